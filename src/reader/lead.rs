//! What stands before an object on its line: a log's prefix or a label, behind which the object is what the line says, or
//! words and code that mention it.

/// Levels of logs.
const LEVELS: &[&str] = &["info", "debug", "warn", "warning", "error", "trace", "notice", "fatal"];
/// Words of prefixes and labels. A text that has others says something of the object.
const PLAIN: &[&str] = &[
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
    "a",
    "final",
    "answer",
    "result",
    "response",
    "reply",
    "json",
    "plan",
    "report",
    "review",
    "conclusion",
    "judgement",
    "judgment",
    "sure",
    "ok",
    "okay",
    "verdict",
    "decision",
    "status",
    "ticket",
    "defer",
    "subtask",
    "comment",
    "learning",
    "curate",
    "feedback",
    "finding",
    "question",
    "usage",
    "artifact",
    "checklist",
    "confidence",
    "session",
    "activity",
    "failed",
    "request",
    "files",
    "rate",
    "limited",
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

/// Whether an object behind this text, on the same line, is what the line says, and not what it speaks of.
pub(super) fn leads_to(text: &str) -> bool {
    // Words that are told in pieces, the object among them: a sentence has ended, and no space stands between.
    let is_next_piece = text.ends_with(['.', '!', '?']) && text.contains(char::is_whitespace);
    let text = text.trim_start();
    // A line that a diff adds or takes out, a comment, and what is struck out.
    let is_bullet = text.starts_with("- ") && !text.starts_with("-  ");
    let is_comment = ["//", "/*", "<!--", "#", "~", "@@", "+"].into_iter().any(|mark| text.starts_with(mark));
    if is_comment || (text.starts_with('-') && !is_bullet) || is_numbered(text) {
        return false;
    }
    let plain = without_brackets(text);
    let words: Vec<String> = words_of(&plain).map(str::to_ascii_lowercase).collect();
    let is_plain = |word: &String| PLAIN.contains(&word.as_str()) || LEVELS.contains(&word.as_str());
    if is_next_piece || words.iter().all(is_plain) {
        return true;
    }
    // A logger's name behind its level, a container's before its bar.
    let has_level = words.first().is_some_and(|word| LEVELS.contains(&word.as_str()));
    (has_level && plain.ends_with(':') && !plain.trim_end_matches(':').contains(": ")) || is_containers(&plain)
}

/// Whether a search or a listing puts the number of a line before it: `a.rs:12:`, `12:`, `12` and a tab.
fn is_numbered(text: &str) -> bool {
    let text = text.trim();
    let last = text.trim_end_matches(':').rsplit([':', ' ', '\t']).next().unwrap_or_default();
    let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    is_number && (text.ends_with(':') || last.len() == text.len())
}

/// Whether a text is a container's name and a bar.
fn is_containers(text: &str) -> bool {
    text.strip_suffix('|').is_some_and(|name| {
        let name = name.trim();
        !name.is_empty() && !name.contains(char::is_whitespace)
    })
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
            "That is it.",
            "2026-11-29 09:13:05,120 INFO app.main: ",
        ] {
            assert!(leads_to(text), "{text:?}");
        }
    }

    #[test]
    fn sentences_code_and_searches_do_not() {
        for text in [
            "I cannot say ",
            "I cannot say. ",
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
            "-  ",
            "src/A.kt:12:",
            "12:",
            "     3\t",
            "@@ -1 +1 @@ ",
            "Wrong: ",
            "Rejected: ",
            "Previous verdict: ",
            "test data: ",
            "The executor said ",
        ] {
            assert!(!leads_to(text), "{text:?}");
        }
    }
}
