//! How a prompt gets to a program that changes some texts before its model reads them.
//!
//! Some programs rewrite words of a prompt (`@name`), or carry parts of it out (`!{command}`). Their tables list several
//! ways to hand a prompt over. The first way that keeps the prompt as it is is taken; a prompt that none of them keeps is
//! refused before a call of the model is paid.
use regex_lite::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Characters of a text that an error quotes.
const QUOTED: usize = 40;

/// One way to hand a prompt over on stdin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PromptWay {
    /// A regular expression for the texts that the program would change on this way. A prompt in which it is found is not
    /// handed over so.
    pub not_for: Option<String>,
    /// Texts of the prompt and what `{way_prompt}` holds in their place, because the program turns it back.
    pub replace: BTreeMap<String, String>,
    /// What stands on stdin: a template. It, or the text of a file of the table, holds `{way_prompt}`. The prompt itself
    /// stands there when this is left out.
    pub stdin: Option<String>,
}

/// The way for one prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handover<'a> {
    /// The prompt as `{way_prompt}` has it.
    pub prompt: String,
    /// The template of stdin; the prompt itself when `None`.
    pub stdin: Option<&'a str>,
}

/// No way keeps a prompt.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the prompt was not handed over: {program} would change or carry out `{text}` (line {line} of the prompt) before its \
     model reads it, and no other way of handing over keeps this prompt; write the text otherwise, or give the role to \
     an agent of another kind"
)]
pub struct CannotHandOver {
    /// The table's name.
    pub program: String,
    /// The text that the last way would change.
    pub text: String,
    /// The line it begins in, from 1.
    pub line: usize,
}

impl PromptWay {
    /// The text that the program would change on this way, and the line it begins in.
    fn spoils<'p>(&self, prompt: &'p str) -> Option<(&'p str, usize)> {
        // A pattern that cannot be read was refused with its table.
        let pattern = Regex::new(self.not_for.as_deref()?).ok()?;
        let found = pattern.find(prompt)?;
        Some((found.as_str(), prompt[..found.start()].matches('\n').count() + 1))
    }
}

/// The first of `ways` that keeps `prompt`. Without ways the prompt is handed over as it is.
///
/// # Errors
/// [`CannotHandOver`] when there are ways and none keeps it.
pub fn choose<'a>(program: &str, ways: &'a [PromptWay], prompt: &str) -> Result<Handover<'a>, CannotHandOver> {
    let mut spoilt = ("", 0);
    for way in ways {
        match way.spoils(prompt) {
            None => return Ok(Handover { prompt: replaced(prompt, &way.replace), stdin: way.stdin.as_deref() }),
            Some(found) => spoilt = found,
        }
    }
    if ways.is_empty() {
        return Ok(Handover { prompt: prompt.to_owned(), stdin: None });
    }
    let (text, line) = spoilt;
    let text = text.trim().chars().take(QUOTED).collect();
    Err(CannotHandOver { program: program.to_owned(), text, line })
}

/// `text` with each key of `table` replaced by its value, from left to right; what was put in is not looked at again.
fn replaced(text: &str, table: &BTreeMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let found = table.iter().filter(|(from, _)| rest.starts_with(from.as_str())).max_by_key(|(from, _)| from.len());
        match found {
            Some((from, to)) => {
                out.push_str(to);
                rest = &rest[from.len()..];
            }
            None => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way(not_for: Option<&str>, replace: &[(&str, &str)], stdin: Option<&str>) -> PromptWay {
        PromptWay {
            not_for: not_for.map(str::to_owned),
            replace: replace.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect(),
            stdin: stdin.map(str::to_owned),
        }
    }

    #[test]
    fn the_first_way_that_keeps_the_prompt_is_taken() {
        let ways = [
            way(Some("@[a-z]"), &[], None),
            way(Some(r"[!@]\{"), &[], Some("/p0")),
            way(Some(r"!\{"), &[("@{", "{{args}}{")], Some("/p0 @")),
        ];
        let chosen = |prompt: &str| choose("g", &ways, prompt).map(|h| (h.prompt, h.stdin.unwrap_or("-").to_owned()));
        assert_eq!(chosen("plain !{x} @{y}").unwrap(), ("plain !{x} @{y}".into(), "-".into()));
        assert_eq!(chosen("left-pad@x").unwrap(), ("left-pad@x".into(), "/p0".into()));
        assert_eq!(chosen("@x HEAD@{1}@{2}").unwrap(), ("@x HEAD{{args}}{1}{{args}}{2}".into(), "/p0 @".into()));
        let refused = chosen("a\nb @x\nc !{ls} @{u}").unwrap_err();
        assert_eq!((refused.text.as_str(), refused.line), ("!{", 3));
        assert!(refused.to_string().contains("g would change or carry out `!{` (line 3"), "{refused}");
    }

    #[test]
    fn without_ways_every_prompt_is_handed_over_as_it_is() {
        assert_eq!(choose("c", &[], "@x !{y}").unwrap(), Handover { prompt: "@x !{y}".into(), stdin: None });
    }

    #[test]
    fn a_replacement_is_not_replaced_again() {
        let table = [("a".to_owned(), "aa".to_owned()), ("ab".to_owned(), "b".to_owned())].into();
        assert_eq!(replaced("aab ä ab", &table), "aab ä b");
    }
}
