//! One JSON object in a text: where it ends, what is repaired in it when it does not parse, and whether a key of it
//! stands twice.
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value, map::Entry};
use std::fmt;

/// How far an object has been looked at. The text may go on in the next line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Scan {
    depth: usize,
    in_string: bool,
    escaped: bool,
    seen: usize,
}

impl Scan {
    /// Looks at the rest of `text`, which begins with the object's brace and has grown since the last call. The answer is
    /// the length of the object in bytes once its last brace is there.
    pub(super) fn end(&mut self, text: &str) -> Option<usize> {
        for (at, byte) in text.bytes().enumerate().skip(self.seen) {
            if self.escaped {
                self.escaped = false;
                continue;
            }
            match byte {
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth += 1,
                b'}' | b']' if !self.in_string => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        self.seen = at + 1;
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
        }
        self.seen = text.len();
        None
    }
}

/// Why a text is no JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The byte of the text, from 0.
    pub(super) at: usize,
    /// In the parser's words.
    pub(super) why: String,
}

/// How deep an object is looked at for keys that stand twice in it, and not alike: then nobody knows which one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Levels(pub(super) u32);

impl Levels {
    /// Every one.
    pub(super) const ALL: Levels = Levels(u32::MAX);
    /// The outermost one: what is deeper may be another's text, copied as it stands.
    pub(super) const OUTERMOST: Levels = Levels(1);
}

/// The value that `bytes` are.
///
/// # Errors
/// They are no JSON, or a key stands twice in one of those levels.
pub(super) fn value(bytes: &[u8], levels: Levels) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = levels.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// A JSON value in which no key stands twice and not alike.
#[derive(Debug, Clone, PartialEq)]
pub struct Unambiguous(pub Value);

impl<'de> Deserialize<'de> for Unambiguous {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Levels::ALL.deserialize(deserializer).map(Unambiguous)
    }
}

impl<'de> DeserializeSeed<'de> for Levels {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Levels {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let deeper = Levels(self.0.saturating_sub(1));
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(deeper)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let deeper = Levels(self.0.saturating_sub(1));
        let mut object = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(deeper)?;
            match object.entry(key) {
                Entry::Vacant(place) => _ = place.insert(value),
                Entry::Occupied(earlier) if self.0 > 0 && *earlier.get() != value => {
                    let key = earlier.key();
                    return Err(A::Error::custom(format_args!("`{key}` stands twice in it, and not alike")));
                }
                Entry::Occupied(mut earlier) => _ = earlier.insert(value),
            }
        }
        Ok(Value::Object(object))
    }
}

/// Reads a JSON object. Half a surrogate pair becomes `U+FFFD`, and a control character in a string (the line feed of a
/// string that was broken in two, a tab) is taken as it stands.
///
/// # Errors
/// Where and why it is none.
pub(super) fn parse(text: &str, levels: Levels) -> Result<Value, Fault> {
    let first = match value(text.as_bytes(), levels) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let (repaired, moved) = repair(text);
    if moved.is_empty() {
        return Err(fault(text, &first));
    }
    value(repaired.as_bytes(), levels).map_err(|error| {
        let fault = fault(&repaired, &error);
        let shift = moved.iter().rev().find(|(_, to)| *to <= fault.at);
        let at = shift.map_or(fault.at, |(from, to)| from + (fault.at - to));
        Fault { at: at.min(text.len()), ..fault }
    })
}

fn fault(text: &str, error: &serde_json::Error) -> Fault {
    let lines_before: usize = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum();
    let words = error.to_string();
    let why = match words.split(" at line ").next().unwrap_or_default() {
        "key must be a string" => "a name must stand in double quotes",
        why => why,
    };
    let why = why.to_owned();
    Fault { at: lines_before + error.column().saturating_sub(1), why }
}

/// The text with its strings repaired, and where the two texts go on alike after each repair: (place in `text`, place in
/// the repaired one).
fn repair(text: &str) -> (String, Vec<(usize, usize)>) {
    let (mut out, mut moved) = (String::with_capacity(text.len() + 16), Vec::new());
    let (mut in_string, mut at) = (false, 0);
    while let Some(c) = text[at..].chars().next() {
        let next = at + c.len_utf8();
        let rest = &text[at..];
        match c {
            '"' => {
                in_string = !in_string;
                out.push(c);
                at = next;
            }
            '\\' if in_string => {
                let (taken, is_half) = escape(rest);
                if is_half {
                    out.push_str("\\ufffd");
                    moved.push((at + taken, out.len()));
                } else {
                    out.push_str(&rest[..taken]);
                }
                at += taken;
            }
            c if in_string && c < ' ' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
                moved.push((next, out.len()));
                at = next;
            }
            c => {
                out.push(c);
                at = next;
            }
        }
    }
    (out, moved)
}

/// The length of the escape that `text` begins with, and whether it is half a surrogate pair.
fn escape(text: &str) -> (usize, bool) {
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u32::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(|b| b.is_ascii_hexdigit()))
    };
    match unit(text) {
        Some(0xd800..=0xdbff) => match text.get(6..).and_then(unit) {
            Some(0xdc00..=0xdfff) => (12, false),
            Some(_) | None => (6, true),
        },
        Some(0xdc00..=0xdfff) => (6, true),
        Some(_) => (6, false),
        None => (1 + text[1..].chars().next().map_or(0, char::len_utf8), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_end_is_found_over_several_texts() {
        let whole = r#"{"a": "}\"{", "b": [{}, {"c": "\\"}]} and more"#;
        let end = whole.find(" and").unwrap();
        assert_eq!(Scan::default().end(whole), Some(end));
        for cut in 1..end {
            let mut scan = Scan::default();
            assert_eq!(scan.end(&whole[..cut]), None, "{cut}");
            assert_eq!(scan.end(whole), Some(end), "{cut}");
        }
    }

    #[test]
    fn strings_are_repaired_and_visibly_so() {
        let cases = [
            (r#"{"a":"x\ud83d"}"#, json!({"a": "x\u{fffd}"})),
            (r#"{"a":"\ude00 \ud83d\ude00 \ud83dx"}"#, json!({"a": "\u{fffd} \u{1f600} \u{fffd}x"})),
            (r#"{"a":"\ud83d\u0041"}"#, json!({"a": "\u{fffd}A"})),
            ("{\"a\":\"one\ntwo\tthree\"}", json!({"a": "one\ntwo\tthree"})),
            (r#"{"a":"\\ud83d \" é"}"#, json!({"a": "\\ud83d \" é"})),
        ];
        for (text, expected) in cases {
            assert_eq!(parse(text, Levels::ALL), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_fault_is_told_where_it_stands_in_what_was_written() {
        let at = |text: &str| parse(text, Levels::ALL).unwrap_err().at;
        assert_eq!(at(r#"{"a":1,}"#), 7);
        assert_eq!(at(r#"{"a":"\ud83d","b":x}"#), 18);
        assert_eq!(at("{\"a\":\"1\n2\",\"b\":x}"), 15);
        assert_eq!(at("{\"a\":1,\n\"b\":x}"), 12);
        assert_eq!(parse(r#"{"a":NaN}"#, Levels::ALL).unwrap_err().why, "expected value");
    }

    #[test]
    fn a_key_that_stands_twice_is_a_fault_unless_it_is_the_same() {
        let twice = r#"{"met":false,"met":true}"#;
        let expected = Fault { at: 23, why: "`met` stands twice in it, and not alike".to_owned() };
        assert_eq!(parse(twice, Levels::ALL), Err(expected));
        assert_eq!(parse(r#"{"a":[1,{"b":1}],"a":[1,{"b":1}]}"#, Levels::ALL), Ok(json!({"a": [1, {"b": 1}]})));
        let deeper = format!(r#"{{"a":[{twice}]}}"#);
        assert!(parse(&deeper, Levels::ALL).is_err() && parse(twice, Levels::OUTERMOST).is_err());
        assert_eq!(parse(&deeper, Levels::OUTERMOST), Ok(json!({"a": [{"met": true}]})));
    }

    #[test]
    fn values_are_as_serde_json_has_them() {
        for text in [
            r#"{"a":[null,true,-1,18446744073709551615,1.5,1e300,"é\u0041"],"b":{"c":{}}}"#,
            r#"{"n":18446744073709551616,"m":-9223372036854775809,"z":-0.0}"#,
        ] {
            assert_eq!(value(text.as_bytes(), Levels::ALL).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_looked_at_without_harm(text in "\\PC*|[{}\\[\\]\",:\\\\ud8c0-9a-f\n]{0,60}") {
            let _ = parse(&text, Levels::ALL);
            let mut scan = Scan::default();
            if let Some(end) = scan.end(&text) {
                proptest::prop_assert!(end <= text.len() && text.is_char_boundary(end));
            }
        }
    }
}
