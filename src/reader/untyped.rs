//! What an object was meant as whose `type` is not that of a message: a message without it, or another object with a
//! message in it.
use super::{
    seem::hints,
    words::{meant, meant_type, normal, snake, truth},
};
use p0_model::protocol::{Message, refuses_its_attempt};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// Objects and lists that a message is looked for in, one within another.
const DEEPEST: usize = 32;
/// Values of one object that are looked at.
const MOST: usize = 50_000;
/// Kinds of messages in one text from which on it is p0's prompt, and nothing that an agent said.
const WORDS_OF_A_PROMPT: usize = 4;
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

/// The objects that an agent's text has, as [`super::lines`] finds them.
pub(super) type ObjectsIn = fn(&str) -> Vec<Value>;

/// The message that an object's `type` names, in any case or by a synonym.
pub(super) fn typed(fields: &Map<String, Value>) -> Option<&'static str> {
    meant_type(fields.get("type")?.as_str()?, Message::WORDS)
}

/// What an object was meant as, judged by its fields. `None` = it is none of ours.
pub(super) fn meant_by(fields: &Map<String, Value>, objects_in: ObjectsIn) -> Option<Meant> {
    if is_ours(fields) {
        return None;
    }
    if let Some(word) = itself(fields) {
        return Some(Meant { word, is_within: false });
    }
    let mut found = Within { objects_in, word: None, seen: 0 };
    found.fields(fields, 0);
    found.word.map(|word| Meant { word, is_within: true })
}

/// What p0 itself writes: what a driver copies into the log, what an agent reads, tickets and events that are shown.
fn is_ours(fields: &Map<String, Value>) -> bool {
    let all = |names: &[&str]| names.iter().all(|name| fields.contains_key(*name));
    fields.contains_key("native")
        || all(&["protocol", "prompt"])
        || all(&["id", "title", "status"])
        || all(&["seq", "kind", "data"])
}

/// The message that has such fields, and hardly anything else has. Their names count in any case.
fn itself(fields: &Map<String, Value>) -> Option<&'static str> {
    let spelt: Vec<(String, &Value)> = fields.iter().map(|(field, value)| (snake(field), value)).collect();
    let of = |name: &str| spelt.iter().find(|(field, _)| field == name).map(|(_, value)| *value);
    let has = |name: &str| of(name).is_some();
    let any = |names: &[&str]| names.iter().any(|name| has(name));
    let only = |names: &[&str]| spelt.iter().all(|(field, _)| names.contains(&field.as_str()));
    let text = |name: &str| of(name).and_then(Value::as_str);
    let texts = |name: &str| of(name).and_then(Value::as_array).is_some_and(|list| list.iter().all(Value::is_string));
    let says = |name: &str| of(name).and_then(says_met);
    let met = ["met", "is_met", "verdict"].into_iter().find_map(says);
    let is_blocked = ["status", "state"].into_iter().find_map(text).is_some_and(says_blocked)
        || of("blocked") == Some(&Value::Bool(true));
    if met.is_some_and(|met| !met || only(OF_A_VERDICT)) || (has("rationale") && has("gaps")) {
        Some("verdict")
    } else if text("decision").is_some_and(|word| meant(word, DECISIONS).is_some()) {
        Some("decision")
    } else if any(&["title", "summary"])
        && (has("severity") || (has("category") && any(&["body", "files"])))
        && only(OF_A_FINDING)
    {
        Some("feedback")
    } else if has("title") && (any(&["depends_on", "closes"]) || of("files").is_some_and(are_owned)) {
        Some("ticket")
    } else if has("ticket") && has("reason") {
        Some("defer")
    } else if texts("keep") && only(&["keep", "reason"]) {
        Some("curate")
    } else if is_blocked && (any(&["reason", "why"]) || spelt.len() == 1) {
        Some("status")
    } else if text("question").is_some() && only(&["question", "reason", "why", "ticket", "context"]) {
        Some("question")
    } else if of("checklist").is_some_and(Value::is_array)
        || (spelt.len() == 1 && of("items").is_some_and(is_checklist))
    {
        Some("checklist")
    } else if any(&["create", "modify"]) && has("reason") && only(&["create", "modify", "reason"]) {
        Some("request_files")
    } else if spelt.iter().any(|(field, value)| counts(field) && !value.is_null()) {
        Some("usage")
    } else if any(&["retry_after_s", "retry_after_seconds"]) {
        Some("rate_limited")
    } else {
        alone(fields)
    }
}

/// Fields of a verdict, with what programs call them.
const OF_A_VERDICT: &[&str] = &[
    "type",
    "met",
    "is_met",
    "verdict",
    "rationale",
    "gaps",
    "reason",
    "why",
    "explanation",
    "confidence",
    "missing",
    "issues",
];
/// Fields of a finding, with what programs call them. A scanner's have others.
const OF_A_FINDING: &[&str] = &[
    "type",
    "title",
    "summary",
    "body",
    "description",
    "details",
    "severity",
    "priority",
    "category",
    "files",
    "file",
    "path",
    "recommendation",
];
/// What a planner decides.
const DECISIONS: &[&str] = &["continue", "done", "stuck"];

/// What a value says where a verdict's `met` stands.
fn says_met(value: &Value) -> Option<bool> {
    const MET: &[&str] = &["pass", "passed", "approve", "approved", "accept", "accepted"];
    const NOT_MET: &[&str] = &["fail", "failed", "reject", "rejected", "unsatisfied"];
    match value {
        Value::Bool(met) => Some(*met),
        Value::String(word) => {
            let word = normal(word);
            let by_word = MET.contains(&word.as_str()).then_some(true);
            truth(&word).or(by_word).or_else(|| NOT_MET.contains(&word.as_str()).then_some(false))
        }
        Value::Number(_) | Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Whether a value says that something is not so: `false`, `"fail"`, `"not met"`.
pub(super) fn denies(value: &Value) -> bool {
    says_met(value) == Some(false)
}

/// Whether files are those that a ticket owns.
fn are_owned(files: &Value) -> bool {
    files.get("create").is_some() || files.get("modify").is_some()
}

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
struct Within {
    objects_in: ObjectsIn,
    word: Option<&'static str>,
    seen: usize,
}

impl Within {
    fn note(&mut self, word: &'static str) {
        if self.word.is_none_or(|known| !refuses_its_attempt(known)) {
            self.word = Some(word);
        }
    }

    fn fields(&mut self, fields: &Map<String, Value>, depth: usize) {
        self.called(fields);
        for (key, value) in fields {
            self.named(key, value);
            self.value(value, depth);
        }
    }

    /// A call of a tool that is called like a message, as models' protocols write it.
    fn called(&mut self, fields: &Map<String, Value>) {
        const ARGUMENTS: &[&str] = &["input", "arguments", "args", "parameters"];
        let is_given = |field: &&str| fields.get(*field).is_some_and(|it| it.is_object() || it.is_string());
        let name = fields.get("name").or_else(|| fields.get("tool")).and_then(Value::as_str);
        let Some(name) = name.filter(|_| ARGUMENTS.iter().any(is_given)) else { return };
        // Servers of tools put their own name before it: `mcp__p0__ticket_status`.
        let name = normal(name.rsplit("__").next().unwrap_or(name));
        let by_part = || {
            Message::WORDS
                .iter()
                .copied()
                .find(|word| name.split('_').any(|part| part == *word && refuses_its_attempt(word)))
        };
        if let Some(word) = meant_type(&name, Message::WORDS).or_else(by_part) {
            self.note(word);
        }
    }

    /// An object that is called what it is, and so has no `type`: `{"verdict": {…}}`, `{"tickets": [{…}]}`.
    fn named(&mut self, key: &str, value: &Value) {
        const FINDINGS: &[&str] = &["issue", "problem", "vulnerability", "vulnerabilitie", "bug", "risk"];
        let key = normal(key);
        let one = key.strip_suffix('s').unwrap_or(&key);
        let finding = FINDINGS.contains(&one).then_some("feedback");
        let known = meant_type(&key, Message::WORDS).or_else(|| meant_type(one, Message::WORDS)).or(finding);
        let Some(word) = known else { return };
        let is_one = |value: &Value| match (value, word) {
            (Value::Object(fields), "verdict" | "decision") => !fields.is_empty() && !is_schema(fields),
            (Value::Object(fields), "feedback") if finding.is_some() => itself(fields) == Some("feedback"),
            (Value::Object(fields), "ticket" | "subtask" | "feedback") => {
                fields.get("title").is_some_and(Value::is_string) && !is_ours(fields)
            }
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
            Value::Object(fields) if is_ours(fields) => {}
            Value::Object(fields) => match typed(fields) {
                Some(word) => self.note(word),
                None => {
                    if let Some(word) =
                        itself(fields).filter(|word| ["verdict", "feedback", "usage", "status"].contains(word))
                    {
                        self.note(word);
                    }
                    self.fields(fields, depth + 1);
                }
            },
            Value::Array(items) => items.iter().for_each(|item| self.value(item, depth + 1)),
            Value::String(text) => self.text(text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// The messages of a text: what a program prints whose answer was wrapped once more. One with many of them is the prompt,
    /// which shows the agent how they are written.
    fn text(&mut self, text: &str) {
        if text.len() > LONGEST || !text.contains('{') || !hints(text.as_bytes()) {
            return;
        }
        let word = |value: &Value| {
            let fields = value.as_object()?;
            typed(fields).or_else(|| itself(fields))
        };
        let words: BTreeSet<&'static str> = (self.objects_in)(text).iter().filter_map(word).collect();
        if words.len() < WORDS_OF_A_PROMPT {
            words.into_iter().for_each(|word| self.note(word));
        }
    }
}

/// Whether an object describes a value, as JSON Schema does.
fn is_schema(fields: &Map<String, Value>) -> bool {
    fields.contains_key("$ref") || fields.get("type").is_some_and(|of| of.is_string() || of.is_array())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::objects_in;
    use serde_json::json;

    fn meant(value: Value) -> Option<(&'static str, bool)> {
        meant_by(value.as_object().unwrap(), objects_in).map(|meant| (meant.word, meant.is_within))
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
            (json!({"Met": false, "Reason": "r"}), "verdict"),
            (json!({"Verdict": "not met"}), "verdict"),
            (json!({"rationale": "r", "gaps": []}), "verdict"),
            (json!({"summary": "t", "severity": "critical"}), "feedback"),
            (json!({"status": "Blocked", "reason": "no key"}), "status"),
            (json!({"role": "executor", "status": "blocked", "reason": "r", "exit_code": 1}), "status"),
            (json!({"blocked": true, "why": "no key"}), "status"),
            (json!({"state": "blocked"}), "status"),
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
        let fenced = format!("```json\n{}\n```\nThat is all.", serde_json::to_string_pretty(&blocked).unwrap());
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
            (json!({"data": {"met": false}}), "verdict"),
            (json!({"response": fenced}), "status"),
            (json!({"choices": [{"message": {"content": format!("My answer: {blocked}")}}]}), "status"),
            (json!({"issues": [{"title": "a", "severity": "high"}]}), "feedback"),
            (json!({"name": "verdict", "arguments": {"met": false}}), "verdict"),
            (json!({"params": {"name": "verdict", "arguments": "{}"}}), "verdict"),
            (json!({"tool": "mcp__p0__ticket_status", "input": {"status": "blocked"}}), "ticket"),
            (json!({"data": {"status": "blocked", "reason": "r"}}), "status"),
            (json!({"protocol": 1, "verdict": {"met": false}}), "verdict"),
            (json!({"log": vec![1; 3000], "last": blocked}), "status"),
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
            json!({"protocol": 1, "prompt": "p", "ticket": {"title": "t"}}),
            json!({"id": "A-1", "title": "t", "status": "open", "category": "security", "body": "b"}),
            json!({"seq": 1, "kind": "ticket.created", "data": {"ticket": {"title": "t"}}}),
            json!({"id": 1, "title": "Backpack", "price": 5, "category": "bags"}),
            json!({"title": "Buy milk", "priority": "high"}),
            json!({"title": "t", "files": [{"path": "a"}]}),
            json!({"question": "q", "options": ["a", "b"]}),
            json!({"decision": "allow"}),
            json!({"verdict": "clean"}),
            json!({"Results": [{"Vulnerabilities": [{"Title": "t", "Severity": "HIGH", "VulnerabilityID": "v"}]}]}),
            json!({"keep": ["a"], "drop": []}),
            json!({"name": "cov", "met": true}),
            json!({"status": "blocked", "message": "account locked"}),
            json!({"status": {"type": "string"}, "decision": {"type": "string"}}),
            json!({"name": "ticket", "version": "1.0.0"}),
            json!({"text": Message::WORDS.iter().take(6).map(|w| format!("{{\"type\":\"{w}\"}}\n")).collect::<String>()}),
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
