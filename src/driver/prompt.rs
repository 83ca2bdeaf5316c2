//! The prompt in the form in which every program can be given it, so that its model reads what p0 sent.
//!
//! Programs take a first word for one of their commands (`/help`, `!ls`, `-h`, `exit`) and answer it themselves, turn
//! line ends into others, and cut or add blank lines at the ends. What this form leaves is handed on unchanged by every
//! program that was measured (docs/agents.md), as its table says.

/// The line before a prompt whose first word could be taken for a command.
const OPENING: &str = "Your task:\n\n";

/// `prompt` with line feeds as its only line ends, no blank lines at its ends, no zero bytes, and [`OPENING`] before it
/// where its first word needs one.
pub(super) fn handed_over(prompt: &str) -> String {
    let text = prompt.replace("\r\n", "\n").replace('\r', "\n").replace('\0', "\u{fffd}");
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
    if reads_as_command(text) { format!("{OPENING}{text}") } else { text.to_owned() }
}

/// Whether a program could take the beginning of `text` for a command or an option: a first sign that programs give a
/// meaning, or a word alone in its line. Signs that begin sentences and headings are none of these.
fn reads_as_command(text: &str) -> bool {
    let Some(first) = text.chars().next() else { return false };
    let first_line = text.lines().next().unwrap_or_default();
    (first.is_ascii_punctuation() && !"#*\"'([<`_|".contains(first)) || !first_line.contains(char::is_whitespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_word_that_could_be_a_command_has_words_before_it() {
        for text in [
            "/help me",
            "/src/main.rs has a bug",
            "!ls",
            "@README.md",
            "-h",
            "--x y",
            "?",
            "$skill x",
            ":q",
            "exit",
            "exit\n\nmore words",
        ] {
            assert_eq!(handed_over(text), format!("Your task:\n\n{text}"));
        }
        for text in ["\n/help me", "\u{feff} /help me\n"] {
            assert_eq!(handed_over(text), "Your task:\n\n/help me");
        }
        for text in ["You are the executor.\n\n/help\n!ls", "# Title\n\nwords", "\"quoted\" words", "*a* b", "ünï cödé"]
        {
            assert_eq!(handed_over(text), text);
        }
    }

    #[test]
    fn the_words_stay_and_their_ends_become_simple() {
        assert_eq!(handed_over("\r\n\n a b \r\nc\rd\n\n\n e\t\n"), "a b \nc\nd\n\n\n e");
        assert_eq!(handed_over("a\0b c\u{1b}[31m\u{7}"), "a\u{fffd}b c\u{1b}[31m\u{7}");
    }
}
