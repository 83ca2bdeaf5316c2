//! Values that must not be shown, replaced by their names in whatever is kept.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

/// Shorter values are words: replacing them would spoil the text and hide nothing.
const SHORTEST: usize = 8;
/// Words in the names of variables that hold secrets.
const WORDS: &[&str] = &["KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"];

/// Whether a variable of this name holds a secret.
pub fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    WORDS.iter().any(|word| name.contains(word))
}

/// Knows the values.
#[derive(Clone, Debug, Default)]
pub struct Redactor {
    /// What is looked for, the longest first, and the name it is replaced by.
    wanted: Vec<(Vec<u8>, String)>,
    /// First bytes of any of them.
    first: Vec<bool>,
}

impl Redactor {
    /// The secrets of an environment: those that look so by their names, and those named in `also`, unless they are
    /// paths.
    pub fn of(env: &BTreeMap<String, String>, also: &[String]) -> Redactor {
        let mut wanted = Vec::new();
        for (name, value) in env {
            let given = also.contains(name) && !value.starts_with('/');
            if !given && !looks_secret(name) {
                continue;
            }
            let json = serde_json::to_string(value).unwrap_or_default();
            // Whole, as JSON writes it, and line by line (a key file).
            let forms = [value.as_str(), json.trim_matches('"')].into_iter().chain(value.lines().map(str::trim));
            wanted.extend(forms.filter(|it| it.len() >= SHORTEST).map(|it| (it.as_bytes().to_vec(), name.clone())));
        }
        Redactor::looking_for(wanted)
    }

    /// With further values, each under its name.
    #[must_use]
    pub fn and(self, values: impl IntoIterator<Item = (String, String)>) -> Redactor {
        let mut wanted = self.wanted;
        wanted.extend(values.into_iter().map(|(name, value)| (value.into_bytes(), name)));
        Redactor::looking_for(wanted)
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
        Redactor { wanted, first }
    }

    /// Whether there is nothing to look for.
    pub fn is_idle(&self) -> bool {
        self.wanted.is_empty()
    }

    /// The text without the values; every replacement is counted.
    pub fn redact(&self, text: &[u8], counts: &mut BTreeMap<String, u64>) -> Vec<u8> {
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

    /// How many bytes at the end of a text may be the beginning of a value.
    fn open_end(&self, text: &[u8]) -> usize {
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
        let clean = self.redactor.redact(&self.held, &mut self.counts);
        let open = self.redactor.open_end(&clean);
        let certain = clean.len() - open;
        self.held = clean.get(certain..).unwrap_or_default().to_vec();
        clean.get(..certain).unwrap_or_default().to_vec()
    }

    /// What was held back, at the end.
    pub fn rest(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
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
            ("GIVEN", "given-value"),
            ("FOLDER", "/a/long/folder"),
            ("PEM_SECRET", "-----BEGIN-----\nline-of-the-key\n-----END-----"),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        Redactor::of(&env, &["GIVEN".to_owned(), "FOLDER".to_owned()])
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
        assert_eq!(clean("given-valuegiven-value"), ("[redacted GIVEN][redacted GIVEN]".into(), 2));
        assert_eq!(clean(r#"{"k":"a\"quoted\"key"}"#), (r#"{"k":"[redacted MY_KEY]"}"#.into(), 1));
        assert_eq!(clean("x\nline-of-the-key\n"), ("x\n[redacted PEM_SECRET]\n".into(), 1));
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
    fn names_that_look_like_secrets() {
        for name in ["OPENAI_API_KEY", "github_token", "DB_PASSWORD", "AWS_SECRET_ACCESS", "X_CREDENTIALS"] {
            assert!(looks_secret(name), "{name}");
        }
        assert!(!looks_secret("PATH") && !looks_secret("HOME"));
    }
}
