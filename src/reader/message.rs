//! From an object to a message of the protocol.
use super::{
    check::{Unknown, fit},
    form::message,
    lines::objects_in,
    untyped::{counts, denies, meant_by, says_blocked},
    words::{meant_type, nearest, snake, truth},
};
use p0_model::protocol::{FailureClass, Message, OwnStatus, refuses_its_attempt};
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
    let written = match fields.get("type") {
        Some(Value::String(written)) => written,
        None => return if fields.contains_key("native") { Reading::Log } else { untyped(fields) },
        Some(Value::Null) => {
            let mut rest = fields.clone();
            rest.retain(|field, _| field != "type");
            return untyped(&rest);
        }
        Some(other) => {
            let what = word_among(other).or_else(|| Some(meant_by(fields, objects_in)?.word));
            return unreadable(what.unwrap_or(&shown(&other.to_string())), "its `type` is no text");
        }
    };
    let Some(word) = meant_type(written, Message::WORDS) else {
        return status_as_type(fields, written).unwrap_or_else(|| unknown_type(fields, written));
    };
    let reading = match strict(value, fields, word).filter(|_| word == written) {
        Some(message) => Reading::Message { message, notes: Vec::new() },
        None => tolerant(fields, word),
    };
    match &reading {
        Reading::Message { message, .. } => contradiction(message, fields).unwrap_or(reading),
        Reading::Unreadable(_) | Reading::Log => reading,
    }
}

/// The message that an element of a list is the word of.
fn word_among(list: &Value) -> Option<&'static str> {
    let words = list.as_array()?.iter().filter_map(Value::as_str);
    words.filter_map(|word| meant_type(word, Message::WORDS)).next()
}

fn unknown_type(fields: &Map<String, Value>, written: &str) -> Reading {
    let near = also_named(fields, written).or_else(|| nearest(written, Message::WORDS.iter().copied()));
    if let (None, Some(meant)) = (near, meant_by(fields, objects_in)) {
        let place = if meant.is_within { "an object within it seems to be" } else { "it seems to be" };
        return unreadable(
            meant.word,
            &format!("there is no message `{}`; {place} a `{}`", shown(written), meant.word),
        );
    }
    let meant = near.map(|near| format!("; do you mean `{near}`?")).unwrap_or_default();
    let why = format!("there is no message `{}`{meant}", shown(written));
    unreadable(near.unwrap_or(&shown(written)), &why)
}

/// The message that a longer or another word names, where the object has what such a message needs: `ticket_status`,
/// `security-issue`, `ask_user`.
fn also_named(fields: &Map<String, Value>, written: &str) -> Option<&'static str> {
    const OTHERS: &[(&str, &str)] = &[
        ("issue", "feedback"),
        ("bug", "feedback"),
        ("vulnerability", "feedback"),
        ("risk", "feedback"),
        ("blocker", "feedback"),
        ("finding", "feedback"),
        ("findings", "feedback"),
        ("task", "ticket"),
        ("story", "ticket"),
        ("epic", "ticket"),
        ("ask", "question"),
        ("clarification", "question"),
        ("help", "question"),
    ];
    /// What each of those needs, at least one of them.
    const NEEDS: &[(&str, &[&str])] =
        &[("feedback", &["title", "items", "severity"]), ("ticket", &["title"]), ("question", &["text", "question"])];
    /// What a word speaks of that tells of a ticket's status.
    const OF_A_TICKET: &[&str] = &["status", "task", "ticket", "state", "update", "progress"];
    let written = snake(written);
    let parts: Vec<&str> = written.split(|c: char| !c.is_alphanumeric()).collect();
    let has = |field: &str| fields.contains_key(field);
    let needs = |word: &str| message(word)?.get("required")?.as_array()?.iter().find_map(Value::as_str);
    let is_known =
        |word: &&&str| refuses_its_attempt(word) && parts.contains(*word) && has(needs(word).unwrap_or("title"));
    let known = Message::WORDS.iter().find(is_known).copied();
    let has_need = |word: &str| NEEDS.iter().any(|(of, needs)| *of == word && needs.iter().any(|field| has(field)));
    let other = || OTHERS.iter().find(|(part, word)| parts.contains(part) && has_need(word)).map(|(_, word)| *word);
    let says_blocked = || fields.get("status").and_then(Value::as_str).is_some_and(says_blocked);
    let is_of_a_ticket = || parts.iter().any(|part| OF_A_TICKET.contains(part));
    let is_blocked = || (parts.contains(&"blocked") && has("reason")) || (is_of_a_ticket() && says_blocked());
    known.or_else(other).or_else(|| is_blocked().then_some("status"))
}

/// A message whose every field is understood and that cannot be meant so: it says two things, or nothing.
fn contradiction(message: &Message, fields: &Map<String, Value>) -> Option<Reading> {
    match message {
        Message::Verdict { met: true, gaps, .. } => {
            let gap = gaps.iter().find(|gap| !is_no_gap(gap))?;
            let why = format!("`met` is true and `gaps` says what is missing ({}); give one of the two", shown(gap));
            Some(unreadable("verdict", &why))
        }
        Message::Usage { input_tokens, cached_tokens, .. } if cached_tokens > input_tokens => {
            Some(unreadable("usage", "`cached_tokens` are a part of `input_tokens`, and are more"))
        }
        Message::RequestFiles { create, modify, .. } if create.is_empty() && modify.is_empty() => {
            Some(unreadable("request_files", "it names no file in `create` or `modify`"))
        }
        Message::Usage { .. } if !fields.iter().any(|(field, value)| is_amount(field) && !value.is_null()) => {
            Some(unreadable("usage", "it has none of `input_tokens`, `output_tokens` and `cost_usd`"))
        }
        _ => None,
    }
}

fn is_amount(field: &str) -> bool {
    counts(field) || snake(field) == "cost"
}

/// Why what was left out of a message makes it say another thing, or less, than it was meant to.
fn left_out_matters(message: &Message, left_out: &Map<String, Value>) -> Option<String> {
    match message {
        Message::Usage { input_tokens, output_tokens, .. } => {
            let total = input_tokens.saturating_add(*output_tokens);
            // Whatever else is there is a part of what was counted.
            if left_out.get("total_tokens").and_then(Value::as_u64) == Some(total) {
                return None;
            }
            let (field, _) = left_out.iter().find(|(field, value)| is_count(field) && has_a_number(value))?;
            Some(format!(
                "there is no field `{}`, and so it would not be counted; add it to `input_tokens`, `output_tokens` or `cost_usd`",
                shown(field)
            ))
        }
        Message::Verdict { met: true, .. } => {
            let denies = |value: &Value| denies(value) || value.as_object().is_some_and(|of| of.values().any(denies));
            let (field, _) = left_out.iter().find(|(_, value)| denies(value))?;
            Some(format!("`met` is true, and `{}`, which is no field of it, says otherwise", shown(field)))
        }
        Message::Status { status: OwnStatus::Done, .. } if left_out.get("blocked") == Some(&Value::Bool(true)) => {
            Some("`status` is done, and `blocked`, which is no field of it, says otherwise".to_owned())
        }
        _ => None,
    }
}

fn is_count(field: &str) -> bool {
    const PARTS: &[&str] =
        &["token", "cost", "usd", "usage", "price", "dollar", "amount", "output", "input", "spent", "detail"];
    let field = field.to_ascii_lowercase();
    PARTS.iter().any(|part| field.contains(part))
}

/// Whether a value has a number above zero in it, as a text or deeper as well.
fn has_a_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_some_and(|n| n > 0.0),
        Value::String(text) => text.trim_start_matches('$').parse::<f64>().is_ok_and(|n| n > 0.0),
        Value::Array(items) => items.iter().any(has_a_number),
        Value::Object(fields) => fields.values().any(has_a_number),
        Value::Null | Value::Bool(_) => false,
    }
}

/// What is written where nothing is missing.
fn is_no_gap(gap: &str) -> bool {
    const AFTER_NONE: &[&str] =
        &["", "found", "identified", "known", "missing", "left", "remaining", "is", "are", "were"];
    let words = gap.trim().trim_end_matches(['.', '!']).to_ascii_lowercase();
    let rest = ["none", "nothing", "no gaps"].into_iter().find_map(|none| words.strip_prefix(none));
    rest.is_some_and(|rest| rest.split(' ').all(|word| AFTER_NONE.contains(&word)))
        || matches!(words.as_str(), "" | "n/a" | "na" | "-" | "null" | "[]")
        || truth(&words) == Some(false)
}

/// `{"type": "blocked"}`: the state itself stands where `status` should.
fn status_as_type(fields: &Map<String, Value>, written: &str) -> Option<Reading> {
    const BESIDE: &[&str] = &["type", "reason", "why", "message", "text", "explanation", "ticket", "question"];
    // Only this state: programs end their own logs with `{"type": "done"}`.
    if !says_blocked(written) || !fields.keys().all(|field| BESIDE.contains(&field.as_str())) {
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
                Ok(message) => {
                    return match left_out_matters(&message, &fitting.left_out) {
                        Some(why) => unreadable(word, &why),
                        None => Reading::Message { message, notes: fitting.notes },
                    };
                }
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
        if let Some(what) = meant.or_else(|| Some(meant_by(fields, objects_in)?.word)) {
            return unreadable(what, &format!("it has no `type`; do you mean `type` by `{}`?", shown(field)));
        }
    }
    match meant_by(fields, objects_in) {
        Some(meant) if meant.is_within => {
            let why = "it stands within another object; print it as an object of its own, with its `type`";
            unreadable(meant.word, why)
        }
        Some(meant) => unreadable(meant.word, &format!("it has no `type`; is it a `{}`?", meant.word)),
        None => Reading::Log,
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
            (
                json!({"type": "issue", "title": "t"}),
                "feedback",
                "there is no message `issue`; do you mean `feedback`?",
            ),
            (json!({"type": null, "status": "blocked"}), "status", "it has no `type`; is it a `status`?"),
            (json!({"type": ["status"], "status": "blocked"}), "status", "its `type` is no text"),
            (
                json!({"message": {"type": "verdict", "met": false}}),
                "verdict",
                "it stands within another object; print it as an object of its own, with its `type`",
            ),
            (
                json!({"type": "result", "result": "{\"type\":\"verdict\",\"met\":false}"}),
                "verdict",
                "there is no message `result`; an object within it seems to be a `verdict`",
            ),
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
    fn other_words_for_a_message_are_told_as_it() {
        for (value, word) in [
            (json!({"type": "ticket_status", "status": "blocked"}), "status"),
            (json!({"type": "task_blocked", "reason": "r"}), "status"),
            (json!({"type": "security_issue", "title": "t"}), "feedback"),
            (json!({"type": "add_ticket", "title": "t"}), "ticket"),
            (json!({"type": "task", "title": "t"}), "ticket"),
            (json!({"type": "ask_user", "text": "t"}), "question"),
            (json!({"type": "ask_question", "question": "t"}), "question"),
            (json!({"type": "agent_blocked", "reason": "r"}), "status"),
            (json!({"type": "security_finding", "severity": "high", "text": "t"}), "feedback"),
            (json!({"type": "tool_use", "name": "mcp__p0__ticket_status", "input": {"status": "blocked"}}), "ticket"),
            (json!({"type": "verdict/v1", "met": false}), "verdict"),
            (json!({"type": "tool_use", "name": "feedback", "input": {"title": "t"}}), "feedback"),
        ] {
            assert_eq!(what(value.clone()).0, word, "{value}");
        }
        for value in [json!({"type": "status_code", "code": 1}), json!({"type": "Blocked", "url": "u"})] {
            let (word, _) = what(value);
            assert!(!refuses_its_attempt(&word), "{word}");
        }
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
    fn a_verdict_that_says_two_things_is_none() {
        for gaps in
            [json!([]), json!("none"), json!(["None."]), json!(["n/a", ""]), json!(["None identified."]), Value::Null]
        {
            let verdict = said(json!({"type": "verdict", "met": true, "gaps": gaps}));
            assert!(matches!(verdict, Message::Verdict { met: true, .. }), "{verdict:?}");
        }
        for other in [
            json!({"type": "verdict", "met": true, "missing": ["no tests"]}),
            json!({"type": "verdict", "met": true, "result": "fail"}),
            json!({"type": "verdict", "met": true, "satisfied": false}),
            json!({"type": "verdict", "met": true, "details": {"met": false}}),
            json!({"type": "status", "status": "done", "blocked": true}),
            json!({"type": "feedback", "title": "t", "priority": "low", "severity": "critical"}),
            json!({"type": "request_files", "reason": "r"}),
        ] {
            what(other);
        }
        let (word, why) = what(json!({"type": "verdict", "met": true, "gaps": ["no tests"]}));
        let expected = "`met` is true and `gaps` says what is missing (no tests); give one of the two";
        assert_eq!((word.as_str(), why.as_str()), ("verdict", expected));
        said(json!({"type": "verdict", "met": false, "gaps": ["no tests"]}));
    }

    #[test]
    fn usage_counts_all_that_it_tells_or_is_unreadable() {
        for value in [
            json!({"type": "usage", "model": "m"}),
            json!({"type": "usage", "total_tokens": 900_000}),
            json!({"type": "usage", "usage": {"input_tokens": 900_000}}),
            json!({"type": "usage", "input_tokens": null}),
            json!({"type": "usage", "input_tokens": 5, "cache_read_input_tokens": 900_000}),
            json!({"type": "usage", "input_tokens": 5, "output_tokens": 2, "total_tokens": 900_000}),
            json!({"type": "usage", "input_tokens": 5, "costUSDTotal": 12.5}),
            json!({"usage": {"input_tokens": 900_000}}),
            json!({"type": "usage", "input_tokens": 5, "output": 900_000}),
            json!({"type": "usage", "input_tokens": 5, "price": 12.5}),
            json!({"type": "usage", "input_tokens": 5, "total_tokens": "900000"}),
            json!({"type": "usage", "input_tokens": 5, "usage": {"output_tokens": 900_000}}),
            json!({"type": "usage", "input_tokens": 5, "cached_tokens": 900_000}),
            json!({"input_tokens": 900_000, "output_tokens": 5}),
            json!({"type": "result", "total_cost_usd": 12.5, "usage": {"input_tokens": 5}}),
        ] {
            assert_eq!(what(value.clone()).0, "usage", "{value}");
        }
        for value in [
            json!({"type": "usage", "input_tokens": 0}),
            json!({"type": "usage", "input_tokens": 5, "output_tokens": 2, "total_tokens": 7, "reasoning_tokens": 1}),
            json!({"type": "usage", "cost": 12.5}),
            json!({"type": "usage", "input_tokens": 5, "reasoning_tokens": 0}),
        ] {
            assert_eq!(said(value.clone()).word(), "usage", "{value}");
        }
    }

    #[test]
    fn a_session_has_its_numbers() {
        let value = json!({"type": "session", "session": "s", "input_tokens": 5.0, "model": null});
        assert!(matches!(said(value), Message::Session { used, .. } if used.input_tokens == 5));
    }
}
