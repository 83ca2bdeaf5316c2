//! What an object was meant as whose `type` is not that of a message: a message without it, or another object with a
//! message in it.
use super::{
    lines::{LineReader, Piece, Source},
    seem::hints,
    words::{meant, meant_type, normal, snake},
};
use p0_model::protocol::{Message, refuses_its_attempt};
use serde_json::{Map, Value};

/// Objects and lists that a message is looked for in, one within another.
const DEEPEST: usize = 6;
/// Values of one object that are looked at.
const MOST: usize = 2_000;
/// Bytes of a text that is looked at for a message.
const LONGEST: usize = 1024 * 1024;

/// What an object was meant as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meant {
    /// The message's word.
    pub(super) word: &'static str,
    /// Whether the message stands within the object, and is not the object itself.
    pub(super) is_within: bool,
}

/// What an object was meant as, judged by its fields. `None` = it is none of ours.
pub(super) fn meant_by(fields: &Map<String, Value>) -> Option<Meant> {
    // What a driver copies into the log, and what an agent reads.
    if fields.contains_key("native") || fields.contains_key("protocol") {
        return None;
    }
    if let Some(word) = itself(fields) {
        return Some(Meant { word, is_within: false });
    }
    let mut found = Within::default();
    for (key, value) in fields {
        found.named(key, value);
        found.value(value, 0);
    }
    found.word.map(|word| Meant { word, is_within: true })
}

/// The message that has such fields, and hardly anything else has.
fn itself(fields: &Map<String, Value>) -> Option<&'static str> {
    let has = |field: &str| fields.contains_key(field);
    let any = |names: &[&str]| names.iter().any(|name| has(name));
    let only = |names: &[&str]| fields.keys().all(|field| names.contains(&field.as_str()));
    let text = |field: &str| fields.get(field).and_then(Value::as_str);
    let list = |field: &str| fields.get(field).is_some_and(Value::is_array);
    if has("met") || fields.get("verdict").is_some_and(|it| it.is_string() || it.is_boolean()) {
        Some("verdict")
    } else if has("decision") {
        Some("decision")
    } else if has("title") && any(&["category", "severity"]) {
        Some("feedback")
    } else if has("title") && any(&["priority", "files", "depends_on", "closes"]) {
        Some("ticket")
    } else if has("ticket") && has("reason") {
        Some("defer")
    } else if list("keep") {
        Some("curate")
    } else if text("status").is_some_and(says_blocked) && only(OF_A_STATUS) {
        Some("status")
    } else if text("question").is_some() && !has("answer") {
        Some("question")
    } else if list("checklist") || fields.get("items").is_some_and(is_checklist) {
        Some("checklist")
    } else if (list("create") || list("modify")) && only(&["create", "modify", "reason", "why"]) {
        Some("request_files")
    } else if fields.iter().any(|(field, value)| counts(field) && !value.is_null()) {
        Some("usage")
    } else if any(&["retry_after_s", "retry_after_seconds"]) {
        Some("rate_limited")
    } else {
        alone(fields)
    }
}

/// Fields of a status, with what programs call them.
const OF_A_STATUS: &[&str] = &["status", "reason", "why", "message", "text", "explanation", "ticket", "id"];

/// Whether a word says that a ticket cannot go on. Words that programs end their logs with say nothing of a ticket.
pub(super) fn says_blocked(word: &str) -> bool {
    const OF_LOGS: &[&str] = &["failed", "failure", "error", "aborted", "incomplete", "not_done"];
    meant(word, &["blocked"]).is_some() && !OF_LOGS.contains(&normal(word).as_str())
}

fn is_checklist(items: &Value) -> bool {
    let is_check = |item: &Value| item.get("text").is_some_and(Value::is_string) && item.get("done").is_some();
    items.as_array().is_some_and(|items| items.iter().any(is_check))
}

/// Whether a field counts what was used, in any of the notations of the providers.
pub(super) fn counts(field: &str) -> bool {
    const NAMES: &[&str] = &[
        "input_tokens",
        "output_tokens",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
        "cost_usd",
        "total_cost_usd",
    ];
    NAMES.contains(&snake(field).as_str())
}

/// The message that the only field of an object is called like.
fn alone(fields: &Map<String, Value>) -> Option<&'static str> {
    const WITH_A_TEXT: &[&str] = &["comment", "learning", "question"];
    let (field, value) = fields.iter().next().filter(|_| fields.len() == 1)?;
    let word = WITH_A_TEXT.iter().copied().find(|word| *word == normal(field)).filter(|_| value.is_string());
    word.or((normal(field) == "confidence" && value.is_number()).then_some("confidence"))
}

/// The messages in an object's values: the weightiest, one without which an attempt must not be judged.
#[derive(Default)]
struct Within {
    word: Option<&'static str>,
    seen: usize,
}

impl Within {
    fn note(&mut self, word: &'static str) {
        if self.word.is_none_or(|known| !refuses_its_attempt(known)) {
            self.word = Some(word);
        }
    }

    /// An object that is called what it is, and so has no `type`: `{"verdict": {…}}`, `{"tickets": [{…}]}`.
    fn named(&mut self, key: &str, value: &Value) {
        let key = normal(key);
        let one = key.strip_suffix('s').unwrap_or(&key);
        let Some(word) = meant_type(&key, Message::WORDS).or_else(|| meant_type(one, Message::WORDS)) else { return };
        let is_one = |value: &Value| match (value, word) {
            (Value::Object(fields), "verdict" | "decision") => !fields.is_empty(),
            (Value::Object(fields), "ticket" | "subtask" | "feedback") => fields.contains_key("title"),
            (Value::Object(fields), _) => itself(fields) == Some(word),
            (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_), _) => false,
        };
        let is_meant = match value {
            Value::Array(items) => items.iter().any(is_one),
            other => is_one(other),
        };
        if is_meant {
            self.note(word);
        }
    }

    fn value(&mut self, value: &Value, depth: usize) {
        self.seen += 1;
        if self.seen > MOST || depth > DEEPEST {
            return;
        }
        match value {
            Value::Object(fields) => {
                match fields.get("type").and_then(Value::as_str).and_then(|word| meant_type(word, Message::WORDS)) {
                    Some(word) => self.note(word),
                    None => fields.values().for_each(|value| self.value(value, depth + 1)),
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.value(item, depth + 1)),
            Value::String(text) => self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A text that is a message, or ends with the line of one: what a program prints whose answer was wrapped once more.
    fn text(&mut self, text: &str) {
        let last = text.trim_end().rsplit('\n').next().unwrap_or_default().trim_start();
        if text.len() > LONGEST || !last.starts_with('{') || !hints(last.as_bytes()) {
            return;
        }
        let mut reader = LineReader::new(Source::Agent);
        for piece in reader.line(1, last.as_bytes()) {
            let Piece::Object(value) = piece else { continue };
            let word = value.get("type").and_then(Value::as_str).and_then(|word| meant_type(word, Message::WORDS));
            if let Some(word) = word {
                self.note(word);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn meant(value: Value) -> Option<(&'static str, bool)> {
        meant_by(value.as_object().unwrap()).map(|meant| (meant.word, meant.is_within))
    }

    #[test]
    fn messages_without_their_type() {
        for (value, word) in [
            (json!({"met": false}), "verdict"),
            (json!({"verdict": "not met", "reason": "r"}), "verdict"),
            (json!({"decision": "done"}), "decision"),
            (json!({"title": "t", "body": "b", "severity": "high"}), "feedback"),
            (json!({"title": "t", "files": {"create": ["a"]}}), "ticket"),
            (json!({"ticket": "A-1", "reason": "later"}), "defer"),
            (json!({"keep": ["L1"]}), "curate"),
            (json!({"status": "Blocked", "reason": "no key"}), "status"),
            (json!({"status": "needs input"}), "status"),
            (json!({"question": "may I?"}), "question"),
            (json!({"checklist": [{"text": "a", "done": false}]}), "checklist"),
            (json!({"items": [{"text": "a", "done": false}]}), "checklist"),
            (json!({"modify": ["a.rs"], "reason": "it calls it"}), "request_files"),
            (json!({"model": "m", "input_tokens": 5}), "usage"),
            (json!({"total_tokens": 5}), "usage"),
            (json!({"retry_after_s": 5}), "rate_limited"),
            (json!({"comment": "looks fine"}), "comment"),
            (json!({"confidence": 80}), "confidence"),
        ] {
            assert_eq!(meant(value.clone()), Some((word, false)), "{value}");
        }
    }

    #[test]
    fn messages_within_other_objects() {
        let blocked = json!({"type": "status", "status": "blocked"});
        for (value, word) in [
            (json!({"message": blocked}), "status"),
            (json!({"data": {"items": [1, blocked]}}), "status"),
            (json!({"verdict": {"met": false}}), "verdict"),
            (json!({"tickets": [{"title": "a"}]}), "ticket"),
            (json!({"findings": [{"title": "a"}]}), "feedback"),
            (json!({"usage": {"input_tokens": 5}}), "usage"),
            (json!({"error": {"type": "rate_limit_error", "message": "m"}}), "rate_limited"),
            (json!({"result": blocked.to_string()}), "status"),
            (json!({"result": format!("All is well.\n{blocked}\n")}), "status"),
            (json!({"a": {"type": "comment", "text": "t"}, "b": blocked}), "status"),
        ] {
            assert_eq!(meant(value.clone()), Some((word, true)), "{value}");
        }
    }

    #[test]
    fn objects_of_other_programs() {
        for value in [
            json!({"level": "info", "message": "compiled", "status": 200}),
            json!({"status": "ok"}),
            json!({"status": "failed", "test": "x"}),
            json!({"status": "blocked", "url": "https://example.org"}),
            json!({"reason": "compiler-artifact", "package_id": "x"}),
            json!({"session": {"id": "s"}}),
            json!({"status": {"code": 200}}),
            json!({"question": "q", "answer": "a"}),
            json!({"title": "t", "url": "u"}),
            json!({"text": "hello"}),
            json!({"native": {"type": "verdict", "met": true}}),
            json!({"protocol": 1, "ticket": {"title": "t"}}),
            json!({"message": {"content": [{"type": "text", "text": "hi"}]}}),
            json!({"log": "sends {\"type\":\"status\",\"status\":\"done\"} now\nand ends"}),
            json!({}),
        ] {
            assert_eq!(meant(value.clone()), None, "{value}");
        }
    }

    #[test]
    fn large_and_deep_objects_are_looked_at_in_part() {
        let mut deep = json!({"type": "status"});
        for _ in 0..100 {
            deep = json!([deep]);
        }
        assert_eq!(meant(json!({ "a": deep })), None);
        assert_eq!(meant(json!({ "a": vec![json!({"b": 1}); 100_000] })), None);
    }
}
