//! What stands before an object on its line: a log's prefix or a label, behind which the object is what the line says, or
//! words and code that mention it.

/// Words of prefixes and labels. A sentence that has others says something of the object.
const PLAIN: &[&str] = &[
    "info",
    "debug",
    "warn",
    "warning",
    "error",
    "trace",
    "notice",
    "fatal",
    "log",
    "msg",
    "message",
    "event",
    "data",
    "out",
    "output",
    "stdout",
    "stderr",
    "agent",
    "assistant",
    "model",
    "planner",
    "executor",
    "verifier",
    "specialist",
    "reviewer",
    "my",
    "the",
    "this",
    "is",
    "here",
    "final",
    "last",
    "answer",
    "result",
    "response",
    "reply",
    "json",
    "says",
    "said",
    "verdict",
    "decision",
    "status",
    "ticket",
    "subtask",
    "comment",
    "learning",
    "feedback",
    "finding",
    "question",
    "usage",
    "t",
    "z",
    "utc",
    "gmt",
    "mon",
    "tue",
    "wed",
    "thu",
    "fri",
    "sat",
    "sun",
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
];
/// Words of labels before what is not meant: an example, or what a test wanted.
const MENTIONS: &[&str] = &[
    "example", "sample", "expected", "expect", "expects", "actual", "got", "want", "wanted", "left", "right", "format",
    "schema", "template", "fixture", "like", "such", "instead", "not", "cannot", "would", "should", "if", "wrongly",
    "e", "g", "i", "sends", "received", "echo", "print", "printed", "assert", "return", "let", "const", "var", "case",
];
/// The most words of a label.
const LABEL_WORDS: usize = 5;
/// How names of files end that a search prints before what it found.
const FILES: &[&str] = &[
    ".json", ".jsonl", ".ndjson", ".md", ".txt", ".log", ".py", ".rs", ".ts", ".js", ".go", ".sh", ".yml", ".yaml",
    ".toml", ".snap", ".out",
];

/// Whether an object behind this text, on the same line, is what the line says, and not what it speaks of.
pub(super) fn leads_to(text: &str) -> bool {
    let text = text.trim_start();
    // A line that a diff adds or takes out, a comment, and what is struck out.
    let is_removed = text.starts_with('-') && !text.starts_with("- ");
    let is_comment = ["//", "/*", "<!--", "#", "~"].into_iter().any(|mark| text.starts_with(mark));
    if is_removed || is_comment || text.starts_with('+') {
        return false;
    }
    let plain = without_brackets(text);
    let words: Vec<String> = words_of(&plain).map(str::to_ascii_lowercase).collect();
    if words.iter().all(|word| PLAIN.contains(&word.as_str())) {
        return true;
    }
    if words.iter().any(|word| MENTIONS.contains(&word.as_str())) || words.len() > LABEL_WORDS {
        return false;
    }
    // A label, or a container's name.
    match plain.trim_end_matches(['"', '\'', '`', ' ']).strip_suffix(':') {
        Some(label) => {
            let name = label.rsplit(char::is_whitespace).next().unwrap_or_default();
            let name = name.trim_end_matches(|c: char| c.is_ascii_digit()).trim_end_matches(':');
            !FILES.iter().any(|end| name.ends_with(end)) && !label.contains('(')
        }
        None => plain.ends_with('|'),
    }
}

/// The words of a text, apart from numbers.
fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty())
}

/// A text without what stands in square brackets and in the tags of a markup.
fn without_brackets(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut closing = None;
    for c in text.chars() {
        match (closing, c) {
            (Some(end), c) if c == end => closing = None,
            (Some(_), _) => {}
            (None, '[') => closing = Some(']'),
            (None, '<') => closing = Some('>'),
            (None, c) => plain.push(c),
        }
    }
    plain.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_and_labels_lead_to_an_object() {
        for text in [
            "",
            "  ",
            "> ",
            "* ",
            "- ",
            "1. ",
            "INFO agent: ",
            "2026-11-29T01:02:03Z ",
            "Nov 29 09:13:05 ",
            "[agent] ",
            "[main 12] INFO ",
            "data: ",
            "<verdict>",
            "agent-1  | ",
            "My verdict is ",
            "Here is the final answer: ",
            "verdict: ",
            "INFO:root:",
            "INFO app.main: ",
            "\u{200b}",
            "Sure! Here is my plan:",
        ] {
            assert!(leads_to(text), "{text:?}");
        }
    }

    #[test]
    fn sentences_code_and_searches_do_not() {
        for text in [
            "I cannot say ",
            "If everything were fine I would print ",
            "The agent wrongly printed: ",
            "Example of the output format: ",
            "For example ",
            "expected: ",
            "  left: ",
            "tests/fixtures/ok.jsonl:3:",
            "fixtures/ok.jsonl:",
            "-",
            "+",
            "+    print(json.dumps(",
            "# ",
            "// ",
            "~~",
            "<!-- ",
            "let x = r#\"",
            "return ",
            "$ echo '",
            "console.log(JSON.stringify(",
        ] {
            assert!(!leads_to(text), "{text:?}");
        }
    }
}
