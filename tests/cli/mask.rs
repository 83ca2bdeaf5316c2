//! What differs from one run to the next, replaced by its name, so that whole outputs can be compared.
use crate::env::python;
use std::{collections::BTreeMap, path::Path};

/// Masks ids, hashes, times, durations and the test's folder.
pub fn mask(text: &str, dir: &Path) -> String {
    let text = text.replace(&dir.display().to_string(), "[dir]").replace(env!("CARGO_BIN_EXE_p0"), "[p0]");
    let text = text.replace(python(), "[python]").replace("/usr/bin/sh", "/bin/sh");
    let mut masker = Masker::default();
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, '-' | ':' | '.' | '+') {
            word.push(c);
        } else {
            masker.put(&word, &mut out);
            word.clear();
            out.push(c);
        }
    }
    masker.put(&word, &mut out);
    seconds(&out)
}

/// `1.2 s` is `[n] s`, and so are the numbers after some words.
fn seconds(text: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let unit = word.trim_end_matches([',', '\n', ')', ';']);
        if (unit == "s" || unit == "ms" || unit == "MiB" || unit == "events/s")
            && let Some(last) = words.last_mut()
            && last.trim_start_matches('(').parse::<f64>().is_ok()
        {
            *last = "[n]".into();
        }
        let before = words.last().map_or("", String::as_str);
        let masked = match word.split_once('\n') {
            _ if !["speedup", "version"].contains(&before) || !word.starts_with(|c: char| c.is_ascii_digit()) => {
                word.to_owned()
            }
            Some((_, rest)) => format!("[n]\n{rest}"),
            None => "[n]".to_owned(),
        };
        words.push(masked);
    }
    words.join(" ")
}

#[derive(Default)]
struct Masker {
    ids: BTreeMap<String, usize>,
}

impl Masker {
    fn put(&mut self, word: &str, out: &mut String) {
        let core = word.trim_end_matches(['.', ':']);
        out.push_str(&self.one(core));
        out.push_str(&word[core.len()..]);
    }

    fn one(&mut self, word: &str) -> String {
        let hex = |w: &str| w.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f'));
        let shape = |w: &str| w.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect::<String>();
        if word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]) && word.split('-').all(hex) {
            let next = self.ids.len() + 1;
            let n = *self.ids.entry(word.to_owned()).or_insert(next);
            return format!("[id {n}]");
        }
        match word.len() {
            64 if hex(word) => return "[hash]".into(),
            40 if hex(word) => return "[commit]".into(),
            7..=12 if hex(word) && word.chars().any(|c| c.is_ascii_digit()) => return "[short]".into(),
            8 if shape(word) == "00:00:00" => return "[time]".into(),
            12 if shape(word) == "00:00:00.000" => return "[time]".into(),
            5 if shape(word) == "00:00" => return "[time]".into(),
            10 if shape(word) == "0000-00-00" => return "[day]".into(),
            20.. if shape(word).starts_with("0000-00-00T00:00:00") => return "[instant]".into(),
            _ => {}
        }
        word.to_owned()
    }
}
