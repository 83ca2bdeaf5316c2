//! Whether text that is no JSON was meant as a message.
use super::{Source, words};
use memchr::memmem;
use p0_model::protocol::{Message, refuses_its_attempt};

/// Whether a line that is no JSON object is worth a look: it has a brace, or the key of a message.
pub(super) fn hints(line: &[u8]) -> bool {
    memchr::memchr(b'{', line).is_some() || memmem::find(line, b"type\"").is_some()
}

/// Whether a text that begins with a brace goes on as a JSON object does: with a key, or with the line's end.
pub(super) fn begins_like_json(text: &str) -> bool {
    let rest = text.trim_start().strip_prefix('{').unwrap_or(text).trim_start();
    rest.is_empty() || rest.starts_with('"')
}

/// The `type` word of the message that unreadable text was meant as; empty where it cannot be known which. `None` =
/// nothing suggests a message: the text does not begin as one, or quotes one within a sentence.
pub(super) fn seems(text: &str, source: Source) -> Option<String> {
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '{' | '"' | '\''));
    if text.starts_with("{\"native\":") {
        // What a driver copies into the log.
        return None;
    }
    // One letter may stand where the brace was.
    let begins = text.starts_with(['{', '"', '\'']) || text.find("type").is_some_and(|at| at <= 2);
    if begins && let Some(word) = word_in(text) {
        return Some(word);
    }
    let is_meant = match source {
        Source::Agent => begins_with_a_field(text),
        Source::Program => begins_like_json(text) && text.trim_end() != "{",
    };
    if text.starts_with('{') && is_meant {
        return Some(String::new());
    }
    // Text before an object that is not one.
    let (_, tail) = text.rsplit_once("{\"type\"").or_else(|| text.rsplit_once("{'type'"))?;
    let quoted = tail.rsplit_once('}').is_some_and(|(_, after)| !after.trim().is_empty());
    if quoted { None } else { word_of_type(&format!("{{\"type\"{tail}")) }
}

/// Fields that hardly anything but a message begins with.
const FIELDS: &[&str] = &[
    "type",
    "met",
    "rationale",
    "gaps",
    "decision",
    "status",
    "items",
    "depends_on",
    "priority",
    "closes",
    "contract",
    "keep",
    "category",
    "create",
    "modify",
    "title",
    "key",
];

/// Whether the first key of what begins like an object is a field of the messages that an attempt is judged by, or
/// the text ends within one.
fn begins_with_a_field(text: &str) -> bool {
    let Some(key) = text.strip_prefix('{').map(str::trim_start).and_then(|rest| rest.strip_prefix('"')) else {
        return false;
    };
    match key.split_once('"') {
        Some((key, _)) => words::nearest(key, FIELDS.iter().copied()).is_some(),
        None => {
            let begun = key.trim_end_matches(|c: char| !c.is_alphanumeric());
            !begun.is_empty() && FIELDS.iter().any(|field| field.starts_with(begun))
        }
    }
}

/// The message's word in a text that was meant as one or several: behind a `type` key, or as the value of a key that cannot
/// be read. Of several it is the one that weighs most: one without which an attempt must not be judged. Empty when the
/// text ends before it can be told which.
pub(super) fn word_in(text: &str) -> Option<String> {
    let mut words = words_of_type(text);
    let is_value = |word: &str| {
        let quoted = format!("\"{word}\"");
        text.match_indices(&quoted).any(|(at, _)| text[..at].trim_end().ends_with(':'))
    };
    words.extend(Message::WORDS.iter().filter(|word| is_value(word)).map(|word| (*word).to_owned()));
    weightiest(&words)
}

fn word_of_type(text: &str) -> Option<String> {
    weightiest(&words_of_type(text))
}

fn weightiest(words: &[String]) -> Option<String> {
    words.iter().find(|word| refuses_its_attempt(word)).or(words.first()).cloned()
}

fn words_of_type(text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase();
    lower.match_indices("type").filter_map(|(at, _)| word_at(text, at)).collect()
}

/// The message's word behind the `type` key at `at`.
fn word_at(text: &str, at: usize) -> Option<String> {
    let known = Message::WORDS;
    let before = text[..at].chars().next_back();
    let is_quoted = text[at + "type".len()..].starts_with(['"', '\'']);
    let begins = before.is_none_or(|c| matches!(c, '"' | '\'' | '{' | '[' | ',' | ':' | '\\'));
    if !begins && !is_quoted {
        return None;
    }
    let rest = text[at + "type".len()..].trim_start_matches(|c: char| !c.is_alphanumeric());
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-')).collect();
    if word.len() == rest.len() {
        // The text ends with it.
        let spelt = words::normal(&word);
        let mut begun = known.iter().filter(|known| known.starts_with(&spelt));
        let weighs = |word: &&&str| refuses_its_attempt(word);
        if let Some(begun) = begun.clone().find(weighs).or_else(|| begun.next()) {
            return Some(if word.is_empty() { String::new() } else { (*begun).to_owned() });
        }
    }
    let is_part = |known: &str| word.contains(known) || (word.len() > 2 && known.contains(&word));
    let within = || known.iter().copied().find(|known| is_part(known));
    let found = words::meant_type(&word, known).or_else(|| words::nearest(&word, known.iter().copied()));
    found.or_else(within).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant_as_a_message_is_seen() {
        let cases = [
            (r#"{"type":"verdict","met":tru"#, Some("verdict")),
            (r#"{"met":true,"type":"verdict",}"#, Some("verdict")),
            (r#"{'type': 'verdict', 'met': True}"#, Some("verdict")),
            (r#"{type: "ticket", title: "t"}"#, Some("ticket")),
            (r#""type":"status","status":"done"}"#, Some("status")),
            (r#"{"type" "usage""#, Some("usage")),
            (r#"{"type":"tic"#, Some("ticket")),
            (r#"{"type":"#, Some("")),
            (r#"{"met":tru"#, Some("")),
            (r#"["type":"question","text":"x"}"#, Some("question")),
            (r#"log: {"type":"feedback","title":"x"#, Some("feedback")),
            (r#"{\"type\":\"decision\"}"#, Some("decision")),
            (r#"expected '{"type":"status"}' but got none"#, None),
            ("fn main() {", None),
            ("{ foo: 1 }", None),
            ("{", None),
            (r#"{"name": "x", "version": "1","#, None),
            (r#"{"t"#, Some("")),
            ("content type: ticket", None),
            (r#"{"native":{"type":"verdict"#, None),
            ("", None),
        ];
        for (text, expected) in cases {
            assert_eq!(seems(text, Source::Agent).as_deref(), expected, "{text}");
        }
    }
}
