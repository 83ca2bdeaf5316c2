//! The lines of an agent of kind `command`: JSON objects with a string `type` are messages, everything else is log.
//! `{"native": …}` is log that is JSON: what the driver heard from an agent's program, word for word.
//! What a message means, and whether its fields are right, is for `model::protocol` to say.

use serde_json::Value;

/// One line of an agent's stdout.
#[derive(Clone, Debug, PartialEq)]
pub enum Line {
    /// A JSON object with a string `type`.
    Message(Value),
    /// Plain text, or an object with the key `native` and without `type`, kept as log. Invalid UTF-8 is replaced.
    Log(String),
    /// Begins like a message but is none; kept as log and counted.
    Malformed(String),
}

/// Says what one line (without its newline) is. Total: any bytes are some line.
pub fn parse_line(bytes: &[u8]) -> Line {
    let trimmed = bytes.trim_ascii();
    if trimmed.first() != Some(&b'{') {
        return Line::Log(text(bytes));
    }
    match serde_json::from_slice::<Value>(trimmed) {
        Ok(value) if value.get("type").is_some_and(Value::is_string) => Line::Message(value),
        Ok(value) if value.get("native").is_some() && value.get("type").is_none() => Line::Log(text(bytes)),
        Ok(_) | Err(_) => Line::Malformed(text(bytes)),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_an_object_with_a_type() {
        let expected = serde_json::json!({"type": "comment", "text": "hi"});
        assert_eq!(parse_line(br#"{"type":"comment","text":"hi"}"#), Line::Message(expected.clone()));
        assert_eq!(parse_line(b"  {\"type\":\"comment\",\"text\":\"hi\"}\r"), Line::Message(expected));
    }

    #[test]
    fn plain_text_is_log() {
        assert_eq!(parse_line(b"building..."), Line::Log("building...".into()));
        assert_eq!(parse_line(b""), Line::Log(String::new()));
        assert_eq!(parse_line(b"[1,2]"), Line::Log("[1,2]".into()));
        assert_eq!(parse_line(b"\xff\xfe"), Line::Log("\u{fffd}\u{fffd}".into()));
    }

    #[test]
    fn native_lines_are_log() {
        for line in
            ["{\"native\":{\"type\":\"verdict\"}}", "{\"native\":\"hello\",\"cut_bytes\":9}", " {\"native\":null}"]
        {
            assert_eq!(parse_line(line.as_bytes()), Line::Log(line.into()));
        }
        assert_eq!(parse_line(b"{\"native\":1,\"type\":7}"), Line::Malformed("{\"native\":1,\"type\":7}".into()));
    }

    #[test]
    fn what_begins_like_a_message_and_is_none_is_malformed() {
        for line in ["{", "{\"type\":\"comm", "{\"text\":\"hi\"}", "{\"type\":7}", "{} {}", "{\"type\":\"a\"} x"] {
            assert_eq!(parse_line(line.as_bytes()), Line::Malformed(line.into()));
        }
    }

    #[test]
    fn depth_does_not_exhaust_the_stack() {
        let deep = format!("{{\"type\":{}", "[".repeat(1_000_000));
        assert!(matches!(parse_line(deep.as_bytes()), Line::Malformed(_)));
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_some_line(bytes: Vec<u8>) {
            parse_line(&bytes);
        }
    }
}
