//! A line as text: what a terminal would not show is taken out, and what is no text is shown as `U+FFFD`.
use std::borrow::Cow;

const ESCAPE: char = '\u{1b}';
/// Control sequence introducer and operating system command as one character (C1).
const CSI: char = '\u{9b}';
const OSC: char = '\u{9d}';
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The text of `bytes` without byte order marks at its beginning, without terminal sequences (CSI, OSC and the like) and
/// without zero bytes, of which every other one of UTF-16's ASCII is. A byte that is no UTF-8 becomes `U+FFFD`.
pub(super) fn clean(bytes: &[u8]) -> Cow<'_, str> {
    let text = if memchr::memchr(0, bytes).is_some() {
        let bytes: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
        Cow::Owned(String::from_utf8_lossy(&bytes).trim_start_matches(char::REPLACEMENT_CHARACTER).to_owned())
    } else {
        String::from_utf8_lossy(bytes)
    };
    let text = if text.contains([ESCAPE, CSI, OSC]) { Cow::Owned(without_sequences(&text)) } else { text };
    if !text.trim_start().starts_with(BYTE_ORDER_MARK) {
        return text;
    }
    let stripped = text.trim_start_matches(|c: char| c == BYTE_ORDER_MARK || c.is_whitespace());
    Cow::Owned(stripped.to_owned())
}

/// Takes out what is a whole sequence: CSI, a string that is ended (OSC, DCS, APC, PM), a designation of characters. A
/// lone escape character is a space: what follows it may be what was meant.
fn without_sequences(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find([ESCAPE, CSI, OSC]) {
        plain.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = sequence(rest).unwrap_or_else(|| {
            plain.push(' ');
            rest.chars().next().map_or(0, char::len_utf8)
        });
        rest = &rest[length..];
    }
    plain.push_str(rest);
    plain
}

/// The bytes of the sequence that `text` begins with, if it is whole.
fn sequence(text: &str) -> Option<usize> {
    let (opening, kind) = match text.chars().next()? {
        CSI => (CSI.len_utf8(), '['),
        OSC => (OSC.len_utf8(), ']'),
        _ => (2, text[1..].chars().next()?),
    };
    let body = text.get(opening..)?;
    let length = match kind {
        '[' => body.find(|c: char| ('\u{40}'..='\u{7e}').contains(&c)).filter(|end| is_parameters(&body[..*end]))? + 1,
        ']' | 'P' | '_' | '^' | 'X' => {
            let bell = body.find('\u{7}').map(|at| at + 1);
            let terminator = body.find("\u{1b}\\").map(|at| at + 2);
            [bell, terminator].into_iter().flatten().min()?
        }
        '(' | ')' => body.chars().next()?.len_utf8(),
        '=' | '>' | '7' | '8' | 'c' | 'M' => 0,
        _ => return None,
    };
    Some(opening + length)
}

fn is_parameters(text: &str) -> bool {
    text.chars().all(|c| ('\u{20}'..='\u{3f}').contains(&c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_does_not_show_is_taken_out() {
        let cases: &[(&[u8], &str)] = &[
            (b"plain", "plain"),
            (b"\xef\xbb\xbf{}", "{}"),
            (b" \xef\xbb\xbf\xef\xbb\xbf{}", "{}"),
            (b"\x1b[32m{}\x1b[0m", "{}"),
            (b"\x1b[38;5;12m\x1b[K{}", "{}"),
            (b"\x1b]0;agent: ready\x07{}", "{}"),
            (b"\x1b]0;agent: ready\x1b\\{}", "{}"),
            (b"\x1b(B{}", "{}"),
            (b"\x1b[?25l{}\x1b[?25h", "{}"),
            (b"a\xffb", "a\u{fffd}b"),
            ("\u{9b}1m{}\u{9d}0;t\u{7}".as_bytes(), "{}"),
            (b"{\x1b\"a\"", "{ \"a\""),
            (b"\x1b[12", " [12"),
            ("é \u{feff}".as_bytes(), "é \u{feff}"),
            (b"\xff\xfe{\0\"\0a\0\"\0", "{\"a\""),
            (b"\0{\0}\0", "{}"),
            (b"{\"a\": 1}\0{}", "{\"a\": 1}{}"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(clean(bytes), *expected, "{bytes:?}");
        }
    }

    #[test]
    fn a_sequence_without_its_end_takes_no_object_with_it() {
        assert_eq!(clean(b"\x1b]0;title {\"a\":1}"), " ]0;title {\"a\":1}");
    }
}
