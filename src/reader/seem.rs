//! Whether text that is no JSON was meant as a message.
use super::{Source, form::message, lead::leads_to, words};
use memchr::memmem;
use p0_model::protocol::{Message, refuses_its_attempt};
use std::{borrow::Cow, sync::LazyLock};

/// Whether a line that is no JSON object is worth a look: it has a brace, or the key of a message.
pub(super) fn hints(line: &[u8]) -> bool {
    static TYPE: LazyLock<memmem::Finder<'static>> = LazyLock::new(|| memmem::Finder::new(b"type"));
    let is_key = |at: usize| {
        let (before, after) = (line.get(..at).unwrap_or_default(), line.get(at + 4..).unwrap_or_default());
        after.starts_with(b"\"")
            || after.starts_with(b"'")
            || (after.starts_with(b": '") && before.trim_ascii().is_empty())
    };
    memchr::memchr(b'{', line).is_some() || TYPE.find_iter(line).any(is_key)
}

/// Whether a text that begins with a brace goes on as an object does: with a key, or with the line's end. An agent's may
/// be Python's.
pub(super) fn begins_like_json(text: &str, source: Source) -> bool {
    let rest = text.trim_start().strip_prefix('{').unwrap_or(text).trim_start();
    rest.is_empty() || rest.starts_with('"') || (source == Source::Agent && rest.starts_with('\''))
}

/// The `type` word of the message that unreadable text was meant as; empty where it cannot be known which. `None` =
/// nothing suggests a message.
pub(super) fn seems(text: &str, source: Source) -> Option<String> {
    let text = plain_quotes(text);
    if is_of_a_diff(&text) {
        return None;
    }
    let text = text.trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, '{' | '"' | '\''));
    if text.starts_with("{\"native\":") {
        // What a driver copies into the log.
        return None;
    }
    // One letter may stand where the brace was.
    let begins = text.starts_with(['{', '"', '\'']) || text.find("type").is_some_and(|at| at <= 2);
    if begins && let Some(word) = word_in(text).filter(|word| is_plainly(word, text)) {
        return Some(word);
    }
    let is_meant = match source {
        Source::Agent => begins_with_a_field(text),
        Source::Program => begins_like_json(text, source) && text.trim_end() != "{",
    };
    if text.starts_with('{') && is_meant {
        return Some(String::new());
    }
    amid(text)
}

/// Whether a line is added or taken out by a diff: what it has is another file's.
fn is_of_a_diff(text: &str) -> bool {
    let rest = text.strip_prefix(['-', '+']);
    rest.is_some_and(|rest| rest.starts_with([' ', '\t', '"', '\'']) && !rest.trim_start().starts_with('{'))
}

/// Whether a text that is no JSON any more names the message as the protocol does: by its very word, and with another of its
/// fields where it is whole. Declarations of types have semicolons.
fn is_plainly(word: &str, text: &str) -> bool {
    if text.contains("\"type") || !text.contains("type") {
        return true;
    }
    let is_whole = text.contains('{') && text.contains('}');
    !text.contains(';') && text.contains(word) && (!is_whole || has_a_field_of(word, text))
}

/// The text with the double quotes of other alphabets, and of HTML, as JSON has them.
fn plain_quotes(text: &str) -> Cow<'_, str> {
    const HTML: &[&str] = &["&quot;", "&#34;", "&#x22;", "&ldquo;", "&rdquo;"];
    let curly =
        |c: char| matches!(c, '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{ff02}');
    if text.is_ascii() && !text.contains('&') {
        return Cow::Borrowed(text);
    }
    let plain = text.replace(curly, "\"");
    Cow::Owned(HTML.iter().fold(plain, |plain, entity| plain.replace(entity, "\"")))
}

/// Braces of one text behind which a message is looked for.
const MOST_BRACES: usize = 32;

/// The message amid other text that cannot be read: an object that begins with a `type`, or that has a message's word and
/// another of its fields, in whatever notation.
fn amid(text: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let last = lower.rfind("type")?;
    let mut words = Vec::new();
    for (open, _) in lower[..last].match_indices('{').take(MOST_BRACES) {
        let Some(tail) = text.get(open..).filter(|tail| begins_with_a_key(tail)) else { continue };
        if tail.starts_with("{\"type\"") || tail.starts_with("{'type'") {
            words.extend(words_of_type(tail));
        } else if text.get(..open).is_some_and(leads_to) {
            let has_more = |word: &String| !tail.contains('}') || has_a_field_of(word, tail);
            words.extend(words_of_type(tail).into_iter().filter(has_more));
        }
    }
    weightiest(&words)
}

/// Whether a brace is followed by a name and what separates a name from its value.
fn begins_with_a_key(text: &str) -> bool {
    let is_mark = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '\\' | '`');
    let rest = text.trim_start_matches('{').trim_start_matches(|c| is_mark(c) || c == ':');
    let after = rest.trim_start_matches(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-'));
    after.len() < rest.len() && after.trim_start_matches(is_mark).starts_with([':', '='])
}

/// Whether a text has a field of the message with this word, beside its `type`.
fn has_a_field_of(word: &str, text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    let is_key = |field: &String| {
        lower.match_indices(field.as_str()).any(|(at, _)| {
            let before = lower[..at].chars().next_back();
            let after =
                lower[at + field.len()..].trim_start_matches(|c: char| !c.is_alphanumeric() && !matches!(c, ':' | '='));
            before.is_none_or(|c| !c.is_alphanumeric() && c != '_') && after.starts_with([':', '='])
        })
    };
    let fields = message(word).and_then(|form| form.get("properties")?.as_object());
    fields.is_some_and(|fields| fields.keys().any(is_key))
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
/// the text ends within one. In another notation than JSON it must be one that other programs have no use for.
fn begins_with_a_field(text: &str) -> bool {
    const OURS: &[&str] = &["met", "rationale", "gaps", "decision", "depends_on"];
    let Some(rest) = text.strip_prefix('{').map(str::trim_start) else { return false };
    let (rest, fields) = match rest.strip_prefix('"') {
        Some(rest) => (rest, FIELDS),
        None => (rest.trim_start_matches([':', '\'', '\\', '"']), OURS),
    };
    let end = rest.find(['"', '\'', ':', '=', '\\']);
    match end.and_then(|end| rest.get(..end)) {
        Some(key) => words::nearest(key, fields.iter().copied()).is_some(),
        None => {
            let begun = rest.trim_end_matches(|c: char| !c.is_alphanumeric());
            let may_begin = |field: &&str| field.starts_with(begun);
            fields.len() == FIELDS.len() && !begun.is_empty() && fields.iter().any(may_begin)
        }
    }
}

/// The message's word in a text that was meant as one or several: behind a `type` key, or as the value of a key that cannot
/// be read. Of several it is the one that weighs most: one without which an attempt must not be judged. Empty when the
/// text ends before it can be told which.
pub(super) fn word_in(text: &str) -> Option<String> {
    let text = &plain_quotes(text);
    let mut words = words_of_type(text);
    let is_value = |word: &str| {
        let quoted = format!("\"{word}\"");
        text.match_indices(&quoted).any(|(at, _)| text[..at].trim_end().ends_with(':'))
    };
    words.extend(Message::WORDS.iter().filter(|word| is_value(word)).map(|word| (*word).to_owned()));
    weightiest(&words)
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
    let before = text[..at].trim_end().chars().next_back();
    let is_quoted = text[at + "type".len()..].starts_with(['"', '\'']);
    let begins = before.is_none_or(|c| matches!(c, '"' | '\'' | '{' | '[' | ',' | ':' | '\\'));
    if !begins && !is_quoted {
        return None;
    }
    let rest = text[at + "type".len()..].trim_start_matches(|c: char| !c.is_alphanumeric());
    let word: String = rest.chars().take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '/' | '.')).collect();
    if word.len() == rest.len() {
        // The text ends with it.
        let spelt = words::normal(&word);
        let mut begun = known.iter().filter(|known| known.starts_with(&spelt));
        let weighs = |word: &&&str| refuses_its_attempt(word);
        if let Some(begun) = begun.clone().find(weighs).or_else(|| begun.next()) {
            return Some(if word.is_empty() { String::new() } else { (*begun).to_owned() });
        }
    }
    let found = words::meant_type(&word, known).or_else(|| words::nearest(&word, known.iter().copied()));
    found.map(str::to_owned)
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
            (r#"expected '{"type":"status"}' but got none"#, Some("status")),
            ("{ type: 'status', status: 'blocked' }", Some("status")),
            (
                "{\u{201c}type\u{201d}: \u{201c}status\u{201d}, \u{201c}status\u{201d}: \u{201c}blocked\u{201d}}",
                Some("status"),
            ),
            ("final: {'met': False, 'type': 'verdict'} (sure)", Some("verdict")),
            ("{&quot;type&quot;:&quot;verdict&quot;,&quot;met&quot;:false}", Some("verdict")),
            ("final: {:type=>\"verdict\", :met=>false} now", Some("verdict")),
            ("type: 'verdict',", Some("verdict")),
            ("type: verdict", Some("verdict")),
            ("| { type: 'status'; code: number }", None),
            ("{ type: 'status', code: 200 }", None),
            ("-   \"status\": \"blocked\",", None),
            ("-   \"type\": \"status\",", None),
            ("type: 'verdict';", None),
            ("type: object", None),
            ("{'type': 'dict', 'schema': {}}", None),
            ("{'type': 'ticket/created'}", None),
            ("return { type: 'status', status: x }", None),
            ("{'met': False,", Some("")),
            ("{ met: false,", Some("")),
            (r#"echo "{\"type\":\"verdict\",\"met\":$met}" >> log"#, None),
            ("{'status': 'ok', 'code': 200}", None),
            ("{ items: [], key: 'x' }", None),
            ("S { type: 'status', code: 200 }", None),
            ("if x { type: click }", None),
            ("error[E0277]: `{type}` is not implemented", None),
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
