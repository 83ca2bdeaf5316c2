//! From lines of output to the objects in them.
use super::{
    clean::clean,
    object::{Fault, Scan, parse},
    seem::{begins_like_json, hints, seems, word_in},
};
use serde_json::{Value, json};
use std::ops::Range;

/// Lines that an object may be spread over.
const MOST_LINES: usize = 20_000;
/// Braces of one line that are tried as an object's beginning: after so many it is code, or data.
const MOST_TRIES: usize = 32;

/// Whose lines are read, and so which objects behind other text are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// An agent's own output: messages of the protocol.
    Agent,
    /// The output of a program that a driver translates: its events, whatever their `type`, or its half of a JSON-RPC
    /// connection.
    Program,
}

impl Source {
    /// Bytes that an object over several lines may have: as many as one line.
    fn longest(self) -> usize {
        match self {
            Source::Agent => 1024 * 1024,
            Source::Program => 16 * 1024 * 1024,
        }
    }
}

/// What was found in a line. A line without any is log.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A JSON object.
    Object(Value),
    /// Text that was meant as an object and cannot be read.
    Unreadable(Fragment),
}

/// Text that was meant as an object and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// The line of the output that it begins in, from 1.
    pub line: u64,
    /// The byte of that line at which reading failed, from 1.
    pub column: u64,
    /// The `type` word that it seems to have; empty = unknown.
    pub what: String,
    /// Why it cannot be read, in a sentence.
    pub why: String,
    /// The text, its first bytes.
    pub text: String,
}

impl Fragment {
    /// The protocol line that says so of a message `what`.
    pub fn message(&self, what: &str) -> Value {
        json!({ "type": "unreadable", "line": self.line, "column": self.column, "what": what, "why": self.why })
    }
}

/// Bytes of a [`Fragment`]'s text.
const FRAGMENT: usize = 2000;

/// Reads the lines of one output, in order.
#[derive(Debug)]
pub struct LineReader {
    source: Source,
    pending: Option<Pending>,
}

/// An object that has begun and not ended.
#[derive(Debug)]
struct Pending {
    first: u64,
    /// The object's text so far; lines are separated by line feeds.
    text: String,
    /// Where the lines after the first begin in it.
    starts: Vec<usize>,
    scan: Scan,
}

impl LineReader {
    /// At the beginning of an output.
    pub fn new(source: Source) -> LineReader {
        LineReader { source, pending: None }
    }

    /// Reads one line, without its line feed. What it begins and does not end is told with a later line, or at the end.
    pub fn line(&mut self, number: u64, bytes: &[u8]) -> Vec<Piece> {
        let trimmed = bytes.trim_ascii();
        if self.pending.is_none() {
            if trimmed.first() == Some(&b'{')
                && let Ok(value @ Value::Object(_)) = serde_json::from_slice(trimmed)
            {
                return vec![Piece::Object(value)];
            }
            if !hints(trimmed) {
                return Vec::new();
            }
        }
        let text = clean(bytes);
        let mut found = Vec::new();
        if let Some(pending) = self.pending.take() {
            if !self.begins_anew(&text) {
                return self.go_on(pending, &text);
            }
            self.give_up(&pending, "another object begins before its end", &mut found);
        }
        self.pieces(number, &text, true, &mut found);
        found
    }

    /// Whether an object has begun and not ended.
    pub fn is_within(&self) -> bool {
        self.pending.is_some()
    }

    /// What is left when the output has ended, or nothing more of it comes.
    pub fn end(&mut self) -> Vec<Piece> {
        let mut found = Vec::new();
        if let Some(pending) = self.pending.take() {
            self.give_up(&pending, "the output ends in the middle of it", &mut found);
        }
        found
    }

    /// Whether a line is an object of its own, and no part of the one that has begun: parts are indented, or have no
    /// `type` that is a message's.
    fn begins_anew(&self, text: &str) -> bool {
        let object = text.trim();
        if !object.starts_with('{') {
            return false;
        }
        match serde_json::from_str::<Value>(object) {
            Ok(value) => text.starts_with('{') || (self.source == Source::Agent && is_message(&value)),
            Err(_) => false,
        }
    }

    fn go_on(&mut self, mut pending: Pending, line: &str) -> Vec<Piece> {
        pending.text.push('\n');
        pending.starts.push(pending.text.len());
        pending.text.push_str(line.strip_suffix('\r').unwrap_or(line));
        let mut found = Vec::new();
        match pending.scan.end(&pending.text) {
            Some(end) => match parse(&pending.text[..end]) {
                Ok(value) => {
                    let number = pending.first + pending.starts.len() as u64;
                    found.push(Piece::Object(value));
                    let rest = pending.text[end..].to_owned();
                    self.pieces(number, &rest, true, &mut found);
                }
                Err(fault) => self.not_read(&pending, &fault, &mut found),
            },
            None if pending.text.len() > self.source.longest() || pending.starts.len() >= MOST_LINES => {
                self.give_up(&pending, "it has no end within a line's limit", &mut found);
            }
            None => self.pending = Some(pending),
        }
        found
    }

    /// The object that has begun has no end: its lines are read one by one.
    fn give_up(&mut self, pending: &Pending, why: &str, found: &mut Vec<Piece>) {
        let at = parse(&pending.text).err().map_or(0, |fault| fault.at);
        self.not_read(pending, &Fault { at, why: why.to_owned() }, found);
    }

    fn not_read(&mut self, pending: &Pending, fault: &Fault, found: &mut Vec<Piece>) {
        if let Some(what) = seems(&pending.text, self.source) {
            let (line, column) = pending.place(fault.at);
            found.push(Piece::Unreadable(fragment(line, column, &what, &fault.why, &pending.text)));
        }
        let ends = pending.starts.iter().skip(1).map(|start| start - 1).chain([pending.text.len()]);
        let lines: Vec<(u64, &str)> = pending
            .starts
            .iter()
            .zip(ends)
            .zip(1..)
            .map(|((from, to), n)| (pending.first + n, &pending.text[*from..to]))
            .collect();
        for (number, line) in lines {
            // Lines of an object that cannot be read are told with it: only whole messages among them count.
            let mut within = Vec::new();
            self.pieces(number, line, false, &mut within);
            found.extend(within.into_iter().filter(|piece| matches!(piece, Piece::Object(value) if is_message(value))));
        }
    }

    /// The objects of one line. The last one may go on in the next, where `may_go_on` says so.
    fn pieces(&mut self, number: u64, text: &str, may_go_on: bool, found: &mut Vec<Piece>) {
        // Behind the last object that was taken.
        let mut rest = 0;
        let (mut at, mut tries, mut behind_text) = (0, 0, Vec::new());
        let mut fault: Option<Fault> = None;
        while let Some(open) = text[at..].find('{').map(|open| at + open) {
            tries += 1;
            if tries > MOST_TRIES {
                break;
            }
            let leads = text[at..open].chars().all(is_separator);
            let mut scan = Scan::default();
            let Some(end) = scan.end(&text[open..]).map(|length| open + length) else {
                let tail = &text[open..];
                if leads && may_go_on && begins_like_json(tail) {
                    self.not_taken(number, text, rest..open, fault, found);
                    let tail = tail.strip_suffix('\r').unwrap_or(tail);
                    let mut begun =
                        Pending { first: number, text: tail.to_owned(), starts: Vec::new(), scan: Scan::default() };
                    begun.scan.end(&begun.text);
                    self.pending = Some(begun);
                    return;
                }
                let why = "it has no end".to_owned();
                fault.get_or_insert(Fault { at: parse(tail).map_or_else(|f| open + f.at, |_| open), why });
                at = open + 1;
                continue;
            };
            match parse(&text[open..end]) {
                Ok(value) if leads || (self.says_what_it_is(&value) && text[end..].chars().all(is_separator)) => {
                    self.not_taken(number, text, rest..open, fault.take(), found);
                    rest = end;
                    found.extend(behind_text.drain(..).map(Piece::Object));
                    found.push(Piece::Object(value));
                }
                // In the middle of a sentence it is quoted; before another one it is not.
                Ok(value) if self.says_what_it_is(&value) => behind_text.push(value),
                Ok(_) => {}
                Err(bad) => {
                    fault.get_or_insert(Fault { at: open + bad.at, why: bad.why });
                }
            }
            at = end;
        }
        self.not_taken(number, text, rest..text.len(), fault, found);
    }

    /// What of a line is no object that was taken: told where it was meant as one.
    fn not_taken(&self, line: u64, text: &str, part: Range<usize>, fault: Option<Fault>, found: &mut Vec<Piece>) {
        // Behind an object the line is no sentence that quotes one.
        let broken = || fault.as_ref().filter(|_| part.start > 0).and_then(|_| word_in(&text[part.clone()]));
        if let Some(what) = broken().or_else(|| seems(&text[part.clone()], self.source)) {
            let fault = fault.unwrap_or(Fault { at: 0, why: "it is no JSON object".to_owned() });
            found.push(Piece::Unreadable(fragment(line, fault.at as u64 + 1, &what, &fault.why, text)));
        }
    }

    /// Whether an object says what it is, so that it is one with text before it as well.
    fn says_what_it_is(&self, value: &Value) -> bool {
        match self.source {
            Source::Agent => is_message(value),
            Source::Program => value.get("type").or_else(|| value.get("jsonrpc")).is_some_and(Value::is_string),
        }
    }
}

impl Pending {
    /// The line and the byte of that line, both from 1, of a byte of the text.
    fn place(&self, at: usize) -> (u64, u64) {
        let before = self.starts.iter().take_while(|start| **start <= at).count();
        let start = before.checked_sub(1).map_or(0, |n| self.starts[n]);
        (self.first + before as u64, (at - start) as u64 + 1)
    }
}

fn fragment(line: u64, column: u64, what: &str, why: &str, text: &str) -> Fragment {
    let mut end = text.len().min(FRAGMENT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    Fragment { line, column, what: what.to_owned(), why: why.to_owned(), text: text[..end].to_owned() }
}

fn is_message(value: &Value) -> bool {
    value.get("type").and_then(Value::as_str).is_some_and(super::is_word)
}

/// What may stand between two objects of a line.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';' | '[' | ']' | '\0' | '\u{1e}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
