//! Values that must not be shown, replaced by their names in whatever is kept.

use regex_lite::{NoExpand, Regex};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
};

/// Shorter values are words: replacing them would spoil the text and hide nothing.
const SHORTEST: usize = 8;
/// The same of a variable whose name says that it is a secret.
const SHORTEST_NAMED: usize = 6;
/// A line that goes on for longer is looked at in parts.
const LONGEST_LINE: usize = 1 << 20;
/// Words are shorter.
const LONG_WORD: usize = 12;
/// A pattern of every line.
const EVERYTHING: &str = ".+";
/// Words in the names of variables that hold secrets.
const WORDS: &[&str] = &["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];

/// Whether a variable of this name holds a secret: the one answer for what is redacted and for what gates do not get. A
/// number of tokens is none.
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    let counts = name.ends_with("TOKENS");
    (WORDS.iter().any(|word| name.contains(word)) || name.ends_with("_PASS")) && !counts
}

/// Whether a value is a word, as settings are.
fn is_plain(value: &str) -> bool {
    value.len() < LONG_WORD && value.bytes().all(|byte| byte.is_ascii_alphabetic())
}

/// Whether a value is no secret itself but says in which variable one is: its name (`OPENAI_API_KEY`), or its name where
/// it is to be filled in (`$KEY`, `${KEY}`, `{env:KEY}`, `env:KEY`).
pub(super) fn names_a_variable(value: &str) -> bool {
    let between = |from: &str, to: &str| value.strip_prefix(from).and_then(|rest| rest.strip_suffix(to));
    let filled_in = between("${", "}").or(between("{env:", "}")).or(between("env:", "")).or(between("$", ""));
    match filled_in {
        Some(name) => is_variable(name),
        None => is_capital_name(value) && looks_secret(value),
    }
}

fn is_variable(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(is_letter) && name.bytes().all(|byte| is_letter(byte) || byte.is_ascii_digit())
}

/// Whether it is written as the names of variables are: words in capitals, more than one.
pub(super) fn is_capital_name(value: &str) -> bool {
    let is_word = |word: &str| word.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    value.contains('_')
        && value.bytes().next().is_some_and(|byte| byte.is_ascii_uppercase())
        && value.split('_').all(|word| !word.is_empty() && is_word(word))
}

/// How a value may be written: as it is, line by line (a key file), and as programs write it in JSON, some of which spare
/// HTML its marks and some everything that is not ASCII.
fn forms(value: &str) -> Vec<String> {
    let json = serde_json::to_string(value).unwrap_or_default();
    let json = json.trim_matches('"');
    let escaped = |which: fn(char) -> bool| {
        let mut out = String::with_capacity(json.len());
        for each in json.chars() {
            if which(each) {
                let mut units = [0; 2];
                out.extend(each.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
            } else {
                out.push(each);
            }
        }
        out
    };
    let is_mark = |each: char| matches!(each, '<' | '>' | '&');
    let mut forms: Vec<String> = value.lines().map(|line| line.trim().to_owned()).collect();
    forms.extend([value.to_owned(), json.to_owned(), escaped(is_mark)]);
    forms.extend([
        escaped(|each| !each.is_ascii()),
        escaped(|each| !each.is_ascii() || matches!(each, '<' | '>' | '&')),
    ]);
    forms
}

/// Knows the values.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    /// What is looked for, the longest first, and the name it is replaced by.
    wanted: Vec<(Vec<u8>, String)>,
    /// First bytes of any of them.
    first: Vec<bool>,
    /// What is looked for in whole lines, and the name it is replaced by.
    patterns: Vec<(Regex, String)>,
}

impl Redactor {
    /// The secrets of an environment: those that look so by their names, and those named in `also`, unless they are
    /// paths or plain words (`production`), which say nothing and stand in many texts.
    pub fn of(env: &BTreeMap<String, String>, also: &[String]) -> Redactor {
        let mut wanted = Vec::new();
        for (name, value) in env {
            let named = looks_secret(name);
            let given = also.contains(name) && !value.starts_with('/') && !is_plain(value);
            if (!given && !named) || names_a_variable(value) {
                continue;
            }
            // What is short is a secret only if it looks like nothing else.
            let shortest = if named && !is_plain(value) { SHORTEST_NAMED } else { SHORTEST };
            let forms = forms(value).into_iter().filter(|it| it.len() >= shortest);
            wanted.extend(forms.map(|it| (it.into_bytes(), name.clone())));
        }
        Redactor::looking_for(wanted)
    }

    /// With further values, each under its name.
    #[must_use]
    pub fn and(self, values: impl IntoIterator<Item = (String, String)>) -> Redactor {
        let mut wanted = self.wanted;
        wanted.extend(values.into_iter().map(|(name, value)| (value.into_bytes(), name)));
        Redactor { patterns: self.patterns, ..Redactor::looking_for(wanted) }
    }

    fn looking_for(mut wanted: Vec<(Vec<u8>, String)>) -> Redactor {
        wanted.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        wanted.dedup_by(|a, b| a.0 == b.0);
        let mut first = vec![false; 256];
        for (value, _) in &wanted {
            if let Some(mark) = value.first().and_then(|byte| first.get_mut(usize::from(*byte))) {
                *mark = true;
            }
        }
        Redactor { wanted, first, patterns: Vec::new() }
    }

    /// Takes every line for a secret: where what is secret is not known.
    pub fn of_everything() -> Redactor {
        Redactor::default().with_patterns(&[EVERYTHING.to_owned()])
    }

    /// With what matches regular expressions within a line. The configuration was checked when it was read; one that
    /// cannot be understood all the same stands for every line.
    #[must_use]
    pub fn with_patterns(mut self, patterns: &[String]) -> Redactor {
        let understood = |pattern: &str| Regex::new(pattern).or_else(|_| Regex::new(EVERYTHING)).ok();
        let named = |(i, pattern): (usize, &String)| Some((understood(pattern)?, format!("pattern {}", i + 1)));
        self.patterns.extend(patterns.iter().enumerate().filter_map(named));
        self
    }

    /// A value without the secrets in its texts; see [`Redactor::redact_json`].
    ///
    /// # Errors
    /// Without them it is no such value any more. It must not be kept, then: it has a secret where none can be taken out.
    pub fn redact_value<T: Serialize + DeserializeOwned>(
        &self,
        value: T,
        is_text: &dyn Fn(&str) -> bool,
        counts: &mut BTreeMap<String, u64>,
    ) -> Result<T, serde_json::Error> {
        let (mut clean, mut found) = (serde_json::to_value(&value)?, BTreeMap::new());
        self.redact_json(&mut clean, is_text, &mut found);
        if found.is_empty() {
            return Ok(value);
        }
        for (name, times) in found {
            *counts.entry(name).or_default() += times;
        }
        serde_json::from_value(clean)
    }

    /// Whether there is nothing to look for.
    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty() && self.patterns.is_empty()
    }

    /// The text without the values; every replacement is counted.
    pub fn redact(&self, text: &[u8], counts: &mut BTreeMap<String, u64>) -> Vec<u8> {
        let clean = self.without_values(text, counts);
        self.without_matches(clean, counts)
    }

    /// Every text in a value without the secrets, where `is_text` says of the name it stands under that it is one.
    pub fn redact_json(&self, value: &mut Value, is_text: &dyn Fn(&str) -> bool, counts: &mut BTreeMap<String, u64>) {
        self.redact_under("", value, is_text, counts);
    }

    fn redact_under(
        &self,
        name: &str,
        value: &mut Value,
        is_text: &dyn Fn(&str) -> bool,
        counts: &mut BTreeMap<String, u64>,
    ) {
        match value {
            Value::String(text) if is_text(name) => {
                let clean = self.redact(text.as_bytes(), counts);
                if clean != text.as_bytes() {
                    *text = String::from_utf8_lossy(&clean).into_owned();
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.redact_under(name, item, is_text, counts)),
            Value::Object(fields) => {
                fields.iter_mut().for_each(|(name, field)| self.redact_under(name, field, is_text, counts));
            }
            Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// Patterns are looked for in lines, each whole.
    fn without_matches(&self, text: Vec<u8>, counts: &mut BTreeMap<String, u64>) -> Vec<u8> {
        if self.patterns.is_empty() {
            return text;
        }
        let mut out = Vec::with_capacity(text.len());
        for whole in text.split_inclusive(|byte| *byte == b'\n') {
            let line = whole.strip_suffix(b"\n").unwrap_or(whole);
            let mut clean = String::from_utf8_lossy(line);
            let mut changed = false;
            for (pattern, name) in &self.patterns {
                let times = pattern.find_iter(&clean).filter(|found| !found.is_empty()).count() as u64;
                if times > 0 {
                    changed = true;
                    *counts.entry(name.clone()).or_default() += times;
                    let instead = format!("[redacted {name}]");
                    clean = pattern.replace_all(&clean, NoExpand(&instead)).into_owned().into();
                }
            }
            out.extend_from_slice(if changed { clean.as_bytes() } else { line });
            out.extend_from_slice(&whole[line.len()..]);
        }
        out
    }

    fn without_values(&self, text: &[u8], counts: &mut BTreeMap<String, u64>) -> Vec<u8> {
        let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
        while let Some(byte) = text.get(at) {
            match self.found(text, at) {
                Some((value, name)) => {
                    out.extend_from_slice(format!("[redacted {name}]").as_bytes());
                    *counts.entry(name.clone()).or_default() += 1;
                    at += value.len();
                }
                None => {
                    out.push(*byte);
                    at += 1;
                }
            }
        }
        out
    }

    fn found(&self, text: &[u8], at: usize) -> Option<&(Vec<u8>, String)> {
        let byte = text.get(at)?;
        if !self.first.get(usize::from(*byte)).copied().unwrap_or(false) {
            return None;
        }
        self.wanted.iter().find(|(value, _)| text.get(at..).is_some_and(|rest| rest.starts_with(value)))
    }

    /// How many bytes at the end of a text may be the beginning of a value, or of a line with a match.
    fn open_end(&self, text: &[u8]) -> usize {
        if !self.patterns.is_empty() {
            let line = text.iter().rev().take_while(|byte| **byte != b'\n').count();
            if line <= LONGEST_LINE {
                return line;
            }
        }
        let longest = self.wanted.first().map_or(0, |(value, _)| value.len());
        let from = text.len().saturating_sub(longest.saturating_sub(1));
        let is_begun = |at: &usize| {
            let rest = text.get(*at..).unwrap_or_default();
            self.wanted.iter().any(|(value, _)| value.len() > rest.len() && value.starts_with(rest))
        };
        (from..text.len()).find(is_begun).map_or(0, |at| text.len() - at)
    }

    /// Redacts a stream that comes in pieces.
    pub fn pieces(&self) -> Redacting {
        Redacting { redactor: self.clone(), held: Vec::new(), counts: BTreeMap::new() }
    }

    /// Copies a file without the values; answers the counts.
    ///
    /// # Errors
    /// Reading or writing failed.
    pub fn copy(&self, mut from: impl Read, mut to: impl Write) -> io::Result<BTreeMap<String, u64>> {
        let (mut pieces, mut buffer) = (self.pieces(), vec![0; 64 * 1024]);
        loop {
            let count = from.read(&mut buffer)?;
            let piece = buffer.get(..count).unwrap_or_default();
            if piece.is_empty() {
                to.write_all(&pieces.rest())?;
                return Ok(pieces.counts);
            }
            to.write_all(&pieces.next(piece))?;
        }
    }
}

/// A stream that is being redacted: what may be the beginning of a value is held back until it is known.
#[derive(Debug, Default)]
pub struct Redacting {
    redactor: Redactor,
    held: Vec<u8>,
    counts: BTreeMap<String, u64>,
}

impl Redacting {
    /// Takes a piece in; gives what is certain.
    pub fn next(&mut self, piece: &[u8]) -> Vec<u8> {
        self.held.extend_from_slice(piece);
        // A whole value may end where another begins: what is held back is looked for after the replacement.
        let clean = self.redactor.without_values(&self.held, &mut self.counts);
        let open = self.redactor.open_end(&clean);
        let certain = clean.len() - open;
        self.held = clean.get(certain..).unwrap_or_default().to_vec();
        let certain = clean.get(..certain).unwrap_or_default().to_vec();
        self.redactor.without_matches(certain, &mut self.counts)
    }

    /// What was held back, at the end.
    pub fn rest(&mut self) -> Vec<u8> {
        let held = std::mem::take(&mut self.held);
        self.redactor.without_matches(held, &mut self.counts)
    }

    /// How often each value was replaced so far.
    pub fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redactor() -> Redactor {
        let env = [
            ("P0_TOKEN", "0123456789abcdef"),
            ("MY_KEY", "a\"quoted\"key"),
            ("SHORT_KEY", "abc"),
            ("PLAIN", "not a secret"),
            ("GIVEN", "g1ven-value"),
            ("FOLDER", "/a/long/folder"),
            ("WORD", "production"),
            ("PIN_SECRET", "739142"),
            ("USE_KEYRING", "true"),
            ("MAX_OUTPUT_TOKENS", "160000"),
            ("ODD_KEY", "pä&ss<ord"),
            ("PROVIDER_ENV_KEY", "SCRIPTED_KEY"),
            ("GIVEN_NAME", "${SCRIPTED_KEY}"),
            ("PEM_SECRET", "-----BEGIN-----\nline-of-the-key\n-----END-----"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Redactor::of(&env, &["GIVEN", "GIVEN_NAME", "FOLDER", "WORD"].map(str::to_owned))
    }

    fn clean(text: &str) -> (String, u64) {
        let mut counts = BTreeMap::new();
        let out = redactor().redact(text.as_bytes(), &mut counts);
        (String::from_utf8(out).unwrap(), counts.values().sum())
    }

    #[test]
    fn values_are_replaced_by_their_names() {
        assert_eq!(clean("a 0123456789abcdef b"), ("a [redacted P0_TOKEN] b".into(), 1));
        assert_eq!(clean("abc not a secret /a/long/folder"), ("abc not a secret /a/long/folder".into(), 0));
        assert_eq!(clean("g1ven-valueg1ven-value"), ("[redacted GIVEN][redacted GIVEN]".into(), 2));
        assert_eq!(clean(r#"{"k":"a\"quoted\"key"}"#), (r#"{"k":"[redacted MY_KEY]"}"#.into(), 1));
        assert_eq!(clean("in production 739142"), ("in production [redacted PIN_SECRET]".into(), 1));
        assert_eq!(clean("true: 160000"), ("true: 160000".into(), 0));
        let hint = "Missing environment variable: `SCRIPTED_KEY`; set ${SCRIPTED_KEY}";
        assert_eq!(clean(hint), (hint.into(), 0), "the name of a variable is no secret");
        for odd in [r"pä&ss<ord", r"p\u00e4&ss<ord", r"pä\u0026ss\u003cord", r"p\u00e4\u0026ss\u003cord"] {
            assert_eq!(clean(odd), ("[redacted ODD_KEY]".into(), 1), "{odd}");
        }
        assert_eq!(clean("x\nline-of-the-key\n"), ("x\n[redacted PEM_SECRET]\n".into(), 1));
    }

    #[test]
    fn a_message_stays_one_without_its_secrets() {
        let mut message = serde_json::json!({
            "text": "the pin is 739142", "number": 739142, "list": [{"text": "0123456789abcdef"}], "hash": ["739142"],
        });
        let mut counts = BTreeMap::new();
        redactor().redact_json(&mut message, &|name| name != "hash", &mut counts);
        assert_eq!(message["text"], "the pin is [redacted PIN_SECRET]");
        assert_eq!((&message["number"], &message["hash"]), (&739_142.into(), &serde_json::json!(["739142"])));
        assert_eq!(message["list"][0]["text"], "[redacted P0_TOKEN]");
        assert_eq!(counts.values().sum::<u64>(), 2);
    }

    #[test]
    fn a_value_that_comes_in_pieces_is_seen() {
        let (redactor, text) = (redactor(), b"one 0123456789abcdef two 0123456789abcde");
        for size in 1..text.len() {
            let (mut pieces, mut out) = (redactor.pieces(), Vec::new());
            for piece in text.chunks(size) {
                out.extend(pieces.next(piece));
            }
            out.extend(pieces.rest());
            let out = String::from_utf8(out).unwrap();
            assert_eq!(out, "one [redacted P0_TOKEN] two 0123456789abcde", "in pieces of {size}");
            assert_eq!(pieces.counts().values().sum::<u64>(), 1);
        }
    }

    #[test]
    fn patterns_match_within_whole_lines_however_they_come() {
        let patterns = ["tok-[0-9]+".to_owned(), "^pin: .*$".to_owned()];
        let redactor = redactor().with_patterns(&patterns);
        let text = b"a tok-123456 b\npin: 1\n\xff tok-7\n0123456789abcdef tok-8";
        let expected = "a [redacted pattern 1] b\n[redacted pattern 2]\n\u{fffd} [redacted pattern 1]\n[redacted P0_TOKEN] [redacted pattern 1]";
        let mut counts = BTreeMap::new();
        assert_eq!(String::from_utf8(redactor.redact(text, &mut counts)).unwrap(), expected);
        assert_eq!(counts, BTreeMap::from([("P0_TOKEN".into(), 1), ("pattern 1".into(), 3), ("pattern 2".into(), 1)]));
        for size in 1..text.len() {
            let mut out = Vec::new();
            let counts = redactor.copy(Slow(&text[..], size), &mut out).unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected, "in pieces of {size}");
            assert_eq!(counts["pattern 1"], 3);
        }
        assert!(!redactor.is_idle() && Redactor::default().with_patterns(&[]).is_idle());
    }

    /// Gives so many bytes at a time.
    struct Slow<'a>(&'a [u8], usize);

    impl Read for Slow<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let most = self.1.min(buffer.len());
            self.0.read(&mut buffer[..most])
        }
    }

    #[test]
    fn a_value_that_names_a_variable_is_told_from_a_secret() {
        for name in ["SCRIPTED_KEY", "OPENAI_API_KEY", "$MY_LOGIN", "${apiKey}", "{env:X}", "env:GH_TOKEN", "A1_TOKEN"]
        {
            assert!(names_a_variable(name), "{name}");
        }
        for secret in [
            "sk-SCRIPTED_KEY",
            "scripted_key",
            "SCRIPTEDKEY",
            "A_PASSWORD_x",
            "AKIA_IOSF_ODNN",
            "$",
            "${a b}",
            "{env:}",
            "_KEY_",
            "KEY",
            "$2b$12$KEY",
            "",
        ] {
            assert!(!names_a_variable(secret), "{secret}");
        }
    }

    #[test]
    fn what_is_not_known_to_be_clean_is_not_kept() {
        let mut counts = BTreeMap::new();
        let bad = Redactor::default().with_patterns(&["(".to_owned()]);
        assert_eq!(bad.redact(b"a\n\nb", &mut counts), b"[redacted pattern 1]\n\n[redacted pattern 1]");
        let all = Redactor::of_everything();
        assert!(!all.is_idle());
        // A secret where only one of some words may stand: without it, the value cannot be read back.
        let status = crate::model::protocol::OwnStatus::Done;
        assert!(all.redact_value(status, &|_| true, &mut counts).is_err());
        assert_eq!(redactor().redact_value(status, &|_| true, &mut counts).unwrap(), status);
    }

    #[test]
    fn names_that_look_like_secrets() {
        for name in ["OPENAI_API_KEY", "github_token", "DB_PASSWORD", "AWS_SECRET_ACCESS", "X_CREDENTIALS"] {
            assert!(looks_secret(name), "{name}");
        }
        assert!(looks_secret("APIKEY") && looks_secret("DB_PASS") && !looks_secret("MAX_TOKENS"));
        assert!(!looks_secret("PATH") && !looks_secret("HOME"));
    }
}
