//! An object that is no JSON, read as JavaScript or Python would: only to find out what it was meant as. What it says is not
//! taken from it.
use serde_json::Value;

/// Brackets that may stand one within another: the parser has no limit of its own.
const DEEPEST: usize = 100;
/// Bytes that are looked at.
const LONGEST: usize = 1024 * 1024;

/// The object that `text` is in JSON5 (names without quotes, single quotes, comments, a comma at the end), or as Python
/// prints it.
pub(super) fn lenient(text: &str) -> Option<Value> {
    if text.len() > LONGEST || is_too_deep(text) {
        return None;
    }
    let value = json5::from_str(text).or_else(|_| json5::from_str(&with_words_of_json(text))).ok()?;
    Some(value).filter(Value::is_object)
}

fn is_too_deep(text: &str) -> bool {
    let mut depth = 0_usize;
    text.bytes().any(|byte| {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEPEST
    })
}

/// Python's names for true, false and null as JSON's, where they are words of their own.
fn with_words_of_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain([' ']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        out.push_str(match word.as_str() {
            "True" => "true",
            "False" => "false",
            "None" => "null",
            other => other,
        });
        word.clear();
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn other_notations_are_understood() {
        let expected = json!({"type": "verdict", "met": false, "gaps": null});
        for text in [
            r#"{"type":"verdict","met":false,"gaps":null,}"#,
            "{ type: 'verdict', met: false, gaps: null }",
            "{'type': 'verdict', 'met': False, 'gaps': None}",
            "{\n  // mine\n  type: \"verdict\", /* x */ met: false,\n  gaps: null,\n}",
        ] {
            assert_eq!(lenient(text), Some(expected.clone()), "{text}");
        }
        for text in ["[1]", "{ type: status }", "", &"{\"a\":".repeat(1000), &"[".repeat(100_000)] {
            assert_eq!(lenient(text), None);
        }
    }
}
