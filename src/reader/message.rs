//! From an object to a message of the protocol.
use super::{
    check::{Unknown, fit},
    form::message,
    words::{meant_type, nearest, normal},
};
use p0_model::protocol::{FailureClass, Message, refuses_its_attempt};
use serde::Deserialize;
use serde_json::{Map, Value};

/// Letters of an unknown `type` word that are told.
const SHOWN: usize = 40;

/// What an object says.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A message.
    Message {
        /// It.
        message: Message,
        /// What of the object was left out or taken for something else, a sentence each.
        notes: Vec<String>,
    },
    /// It is no message and was not meant as one: log.
    Log,
    /// It was meant as a message and cannot be read, or has a `type` that the protocol does not know.
    Unreadable(Unreadable),
}

/// Why an object cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The `type` word that it has or seems to have; empty = unknown.
    pub what: String,
    /// Why it cannot be read, in a sentence.
    pub why: String,
}

/// Reads an object of an agent's output.
pub fn read_message(value: &Value) -> Reading {
    let Value::Object(fields) = value else { return Reading::Log };
    let Some(written) = fields.get("type") else {
        return if fields.contains_key("native") { Reading::Log } else { untyped(fields) };
    };
    let Some(written) = written.as_str() else {
        let Some(what) = seeming(fields) else { return unreadable(&written.to_string(), "its `type` is no text") };
        return unreadable(what, "its `type` is no text");
    };
    let Some(word) = meant_type(written, Message::WORDS) else {
        if let Some(reading) = status_as_type(fields, written) {
            return reading;
        }
        let near = nearest(written, Message::WORDS.iter().copied());
        let meant = near.map(|near| format!("; do you mean `{near}`?")).unwrap_or_default();
        let why = format!("there is no message `{}`{meant}", shown(written));
        return unreadable(near.or(seeming(fields)).unwrap_or(&shown(written)), &why);
    };
    if word == written
        && let Some(message) = strict(value, fields, word)
    {
        return Reading::Message { message, notes: Vec::new() };
    }
    tolerant(fields, word)
}

/// `{"type": "blocked"}`: the state itself stands where `status` should.
fn status_as_type(fields: &Map<String, Value>, written: &str) -> Option<Reading> {
    // Only this state: programs end their own logs with `{"type": "done"}`.
    if normal(written) != "blocked" || fields.contains_key("status") {
        return None;
    }
    let mut whole = fields.clone();
    whole.insert("status".to_owned(), "blocked".into());
    match tolerant(&whole, "status") {
        Reading::Message { message, mut notes } => {
            notes.push(format!("there is no message `{}`: it is read as a `status`", shown(written)));
            Some(Reading::Message { message, notes })
        }
        other => Some(other),
    }
}

/// A message whose fields are all known and as the protocol has them. Objects within it are looked at by [`tolerant`]: a
/// slip in one of their fields would pass here.
fn strict(value: &Value, fields: &Map<String, Value>, word: &str) -> Option<Message> {
    let known = properties(word)?;
    let is_plain = |value: &Value| match value {
        Value::Null | Value::Object(_) => false,
        Value::Array(items) => items.iter().all(Value::is_string),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    };
    let plain = fields.iter().all(|(field, value)| field == "type" || (known.contains_key(field) && is_plain(value)));
    plain.then(|| Message::deserialize(value).ok()).flatten()
}

fn properties(word: &str) -> Option<&'static Map<String, Value>> {
    message(word)?.get("properties")?.as_object()
}

fn tolerant(fields: &Map<String, Value>, word: &str) -> Reading {
    let rest = fields.iter().filter(|(field, _)| *field != "type").map(|(field, value)| (field.clone(), value.clone()));
    let rest: Map<String, Value> = rest.collect();
    let none = Map::new();
    let wrong = match fit(message(word).unwrap_or(&none), rest, Unknown::Noted) {
        Ok(fitting) => {
            let mut whole = fitting.fields;
            whole.insert("type".to_owned(), word.into());
            match Message::deserialize(&Value::Object(whole)) {
                Ok(message) => return Reading::Message { message, notes: fitting.notes },
                Err(error) => vec![error.to_string()],
            }
        }
        Err(wrong) => wrong,
    };
    match by_its_word_alone(fields, word) {
        Some(message) => Reading::Message { message, notes: wrong },
        None => unreadable(word, &wrong.join("; ")),
    }
}

/// A message that says enough by its `type` alone: a limit whose time cannot be read is a limit.
fn by_its_word_alone(fields: &Map<String, Value>, word: &str) -> Option<Message> {
    match word {
        "rate_limited" => Some(Message::RateLimited { retry_after_s: None }),
        "failed" => {
            let text = fields.get("text").and_then(Value::as_str).unwrap_or_default().to_owned();
            Some(Message::Failed { class: FailureClass::Other, text, status: None, retry_after_s: None })
        }
        _ => None,
    }
}

/// An object without `type`.
fn untyped(fields: &Map<String, Value>) -> Reading {
    let slip = fields.iter().find(|(field, value)| value.is_string() && nearest(field, ["type"]).is_some());
    if let Some((field, value)) = slip {
        let written = value.as_str().unwrap_or_default();
        let meant = meant_type(written, Message::WORDS).or_else(|| nearest(written, Message::WORDS.iter().copied()));
        if let Some(what) = meant.or_else(|| seeming(fields)) {
            return unreadable(what, &format!("it has no `type`; do you mean `type` by `{}`?", shown(field)));
        }
    }
    let first =
        fields.values().next().and_then(Value::as_str).filter(|word| !word.is_empty() && Message::is_word(word));
    match first.filter(|word| refuses_its_attempt(word)).or_else(|| seeming(fields)) {
        Some(what) => unreadable(what, &format!("it has no `type`; is it a `{what}`?")),
        None => Reading::Log,
    }
}

/// The message, of those that are applied together at an attempt's end, that has such fields and no other.
fn seeming(fields: &Map<String, Value>) -> Option<&'static str> {
    let has = |field: &str| fields.contains_key(field);
    let is_item = has("title") && ["priority", "files", "depends_on", "closes", "category"].into_iter().any(has);
    if has("met") {
        Some("verdict")
    } else if has("decision") {
        Some("decision")
    } else if is_item {
        Some(if has("category") { "feedback" } else { "ticket" })
    } else if has("ticket") && has("reason") {
        Some("defer")
    } else {
        fields.get("keep").is_some_and(Value::is_array).then_some("curate")
    }
}

fn unreadable(what: &str, why: &str) -> Reading {
    Reading::Unreadable(Unreadable { what: what.to_owned(), why: why.to_owned() })
}

fn shown(word: &str) -> String {
    word.chars().take(SHOWN).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(value: Value) -> Message {
        match read_message(&value) {
            Reading::Message { message, .. } => message,
            other => panic!("{value}: {other:?}"),
        }
    }

    fn what(value: Value) -> (String, String) {
        match read_message(&value) {
            Reading::Unreadable(it) => (it.what, it.why),
            other => panic!("{value}: {other:?}"),
        }
    }

    #[test]
    fn every_message_is_known_by_its_word() {
        for word in Message::WORDS {
            let form = message(word).unwrap();
            let required = form.get("required").and_then(Value::as_array);
            assert!(properties(word).is_some(), "{word}");
            let known =
                required.into_iter().flatten().all(|f| properties(word).unwrap().contains_key(f.as_str().unwrap()));
            assert!(known, "{word}");
        }
        for word in Message::STAGED {
            assert!(Message::is_word(word), "{word}");
        }
    }

    #[test]
    fn a_limit_is_one_whatever_its_time_is() {
        let limit = Message::RateLimited { retry_after_s: None };
        assert_eq!(said(json!({"type": "rate_limited", "retry_after_s": "soon"})), limit);
        assert_eq!(said(json!({"type": "rate-limit"})), limit);
        let told = said(json!({"type": "rate_limited", "retry_after": "60.0"}));
        assert_eq!(told, Message::RateLimited { retry_after_s: Some(60) });
        let failed = said(json!({"type": "failed", "class": 7, "text": "gone"}));
        assert!(matches!(failed, Message::Failed { class: FailureClass::Other, text, .. } if text == "gone"));
    }

    #[test]
    fn slips_are_told_with_the_nearest_word() {
        let cases = [
            (json!({"type": "verdct", "met": true}), "verdict", "there is no message `verdct`; do you mean `verdict`?"),
            (json!({"tpe": "verdict", "met": true}), "verdict", "it has no `type`; do you mean `type` by `tpe`?"),
            (json!({"met": true}), "verdict", "it has no `type`; is it a `verdict`?"),
            (json!({"type": 7, "met": true}), "verdict", "its `type` is no text"),
            (json!({"type": "issue", "title": "t", "priority": "high"}), "ticket", "there is no message `issue`"),
            (json!({"type": "assistant"}), "assistant", "there is no message `assistant`"),
            (json!({"type": "verdict", "met": "perhaps"}), "verdict", "`met` must be true or false, not \"perhaps\""),
        ];
        for (value, word, why) in cases {
            assert_eq!(what(value), (word.to_owned(), why.to_owned()));
        }
        let (word, why) = what(json!({"type": "verdict", "met": false, "gap": ["x"]}));
        assert!(word == "verdict" && why.starts_with("there is no field `gap` (do you mean `gaps`?)"), "{why}");
    }

    #[test]
    fn other_objects_are_log() {
        for value in [
            json!({"native": {"type": "verdict", "met": true}}),
            json!({"reason": "compiler-artifact"}),
            json!({"level": "info", "message": "m"}),
        ] {
            assert_eq!(read_message(&value), Reading::Log, "{value}");
        }
    }

    #[test]
    fn what_was_left_out_is_noted() {
        let value = json!({"type": "verdict", "met": "yes", "reason": "r", "weather": "fine"});
        let Reading::Message { message, notes } = read_message(&value) else { panic!("no message") };
        assert_eq!(message, Message::Verdict { met: true, rationale: "r".into(), gaps: Vec::new() });
        assert_eq!(notes, ["`reason` was taken for `rationale`", "there is no field `weather`; it was left out"]);
    }

    #[test]
    fn a_state_as_the_type_is_a_status() {
        let value = json!({"type": "Blocked", "reason": "no key"});
        let Reading::Message { message, notes } = read_message(&value) else { panic!("no message") };
        assert_eq!(message.word(), "status");
        assert_eq!(notes, ["there is no message `Blocked`: it is read as a `status`"]);
        assert!(serde_json::to_string(&message).unwrap().contains("no key"));
    }

    #[test]
    fn a_session_has_its_numbers() {
        let value = json!({"type": "session", "session": "s", "input_tokens": 5.0, "model": null});
        assert!(matches!(said(value), Message::Session { used, .. } if used.input_tokens == 5));
    }
}
