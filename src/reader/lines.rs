//! From lines of output to the objects in them.
use super::{
    clean::clean,
    lead::leads_to,
    lenient::lenient,
    object::{self, Fault, Levels, Scan},
    seem::{begins_like_json, hints, seems, word_in},
    untyped::{meant_by, typed},
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

    fn levels(self) -> Levels {
        match self {
            Source::Agent => Levels::ALL,
            Source::Program => Levels::OUTERMOST,
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
    levels: Levels,
    pending: Option<Pending>,
}

/// An object that has begun and not ended.
#[derive(Debug)]
struct Pending {
    first: u64,
    /// The object's text so far; lines are separated by line feeds.
    text: String,
    /// The lines after the first: where each begins in the text, and its number.
    more: Vec<(usize, u64)>,
    scan: Scan,
}

impl LineReader {
    /// At the beginning of an output.
    pub fn new(source: Source) -> LineReader {
        LineReader { source, levels: source.levels(), pending: None }
    }

    /// Refuses an object in which a key stands twice and not alike, however deep: each is a request of its sender's own.
    #[must_use]
    pub fn strict(self) -> LineReader {
        LineReader { levels: Levels::ALL, ..self }
    }

    fn parse(&self, text: &str) -> Result<Value, Fault> {
        object::parse(text, self.levels)
    }

    /// Reads one line, without its line feed. What it begins and does not end is told with a later line, or at the end.
    pub fn line(&mut self, number: u64, bytes: &[u8]) -> Vec<Piece> {
        let trimmed = bytes.trim_ascii();
        if self.pending.is_none() {
            if trimmed.first() == Some(&b'{')
                && let Ok(value @ Value::Object(_)) = object::value(trimmed, self.levels)
            {
                return vec![Piece::Object(value)];
            }
            if !hints(trimmed) {
                return Vec::new();
            }
        }
        let mut found = Vec::new();
        // A terminal begins the line anew at a carriage return: what stands before it is a progress bar.
        for part in clean(bytes).trim_end_matches('\r').split('\r') {
            self.part(number, part, &mut found);
        }
        found
    }

    /// Reads one line, or what of it stands between two carriage returns.
    fn part(&mut self, number: u64, text: &str, found: &mut Vec<Piece>) {
        if let Some(pending) = self.pending.take() {
            if !self.begins_anew(text) {
                return self.go_on(pending, number, text, found);
            }
            self.give_up(&pending, "another object begins before its end", found);
        }
        self.pieces(number, text, true, found);
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
        match object::value(object.as_bytes(), Levels(0)) {
            Ok(value) => text.starts_with('{') || (self.source == Source::Agent && is_message(&value)),
            Err(_) => false,
        }
    }

    fn go_on(&mut self, mut pending: Pending, number: u64, line: &str, found: &mut Vec<Piece>) {
        pending.text.push('\n');
        pending.more.push((pending.text.len(), number));
        pending.text.push_str(line);
        match pending.scan.end(&pending.text) {
            Some(end) => match self.parse(&pending.text[..end]) {
                Ok(value) => {
                    found.push(Piece::Object(value));
                    let rest = pending.text[end..].to_owned();
                    self.pieces(number, &rest, true, found);
                }
                Err(fault) => self.not_read(&pending, &fault, found),
            },
            None if pending.text.len() > self.source.longest() || pending.more.len() >= MOST_LINES => {
                self.give_up(&pending, "it has no end within a line's limit", found);
            }
            None => self.pending = Some(pending),
        }
    }

    /// The object that has begun has no end: its lines are read one by one.
    fn give_up(&mut self, pending: &Pending, why: &str, found: &mut Vec<Piece>) {
        let at = self.parse(&pending.text).err().map_or(0, |fault| fault.at);
        self.not_read(pending, &Fault { at, why: why.to_owned() }, found);
    }

    fn not_read(&mut self, pending: &Pending, fault: &Fault, found: &mut Vec<Piece>) {
        let what = self.in_another_notation(&pending.text).or_else(|| seems(&pending.text, self.source));
        if let Some(what) = what {
            let (line, column) = pending.place(fault.at);
            found.push(Piece::Unreadable(fragment(line, column, &what, &fault.why, &pending.text)));
        }
        let ends = pending.more.iter().skip(1).map(|(start, _)| start - 1).chain([pending.text.len()]);
        let lines: Vec<(u64, &str)> =
            pending.more.iter().zip(ends).map(|((from, number), to)| (*number, &pending.text[*from..to])).collect();
        for (number, line) in lines {
            // Lines of an object that cannot be read are told with it: only whole messages among them count.
            let mut within = Vec::new();
            self.pieces(number, line, false, &mut within);
            let counts = |piece: &Piece| matches!(piece, Piece::Object(value) if self.word_of(value).is_some());
            found.extend(within.into_iter().filter(counts));
        }
    }

    /// The objects of one line. The last one may go on in the next, where `may_go_on` says so.
    fn pieces(&mut self, number: u64, text: &str, may_go_on: bool, found: &mut Vec<Piece>) {
        // Behind the last object that was taken.
        let mut rest = 0;
        let (mut at, mut tries, mut amid) = (0, 0, Vec::new());
        let mut fault: Option<Fault> = None;
        while let Some(open) = text[at..].find('{').map(|open| at + open) {
            if tries > MOST_TRIES {
                break;
            }
            let before = &text[at..open];
            let leads = before.chars().all(is_separator);
            let mut scan = Scan::default();
            let Some(end) = scan.end(&text[open..]).map(|length| open + length) else {
                let tail = &text[open..];
                if leads && may_go_on && begins_like_json(tail, self.source) {
                    self.not_taken(number, text, rest..open, fault, found);
                    self.begin(number, tail);
                    return;
                }
                tries += 1;
                let why = "it has no end".to_owned();
                fault.get_or_insert(Fault { at: self.parse(tail).map_or_else(|f| open + f.at, |_| open), why });
                at = open + 1;
                continue;
            };
            match self.parse(&text[open..end]) {
                Ok(value) => {
                    let after = &text[end..];
                    // At the line's beginning with nothing behind it an object is taken, whatever it is.
                    let word = if leads && is_wordless(after) { None } else { self.word_of(&value) };
                    if self.is_taken(word.as_deref(), leads, before, after) {
                        if amid.is_empty() || fault.is_some() {
                            self.not_taken(number, text, rest..open, fault.take(), found);
                        }
                        (rest, tries) = (end, 0);
                        // Before another one that is taken it is no part of a sentence.
                        found.extend(amid.drain(..).map(|earlier: Amid| match earlier.is_led {
                            true => Piece::Object(earlier.value),
                            false => earlier.told(number, text),
                        }));
                        found.push(Piece::Object(value));
                    } else if let Some(word) = word {
                        amid.push(Amid { object: open..end, word, value, is_led: self.leads_to(before) });
                    }
                }
                Err(bad) => {
                    tries += 1;
                    fault.get_or_insert(Fault { at: open + bad.at, why: bad.why });
                }
            }
            at = end;
        }
        if amid.is_empty() || fault.is_some() {
            self.not_taken(number, text, rest..text.len(), fault, found);
        }
        found.extend(amid.iter().filter(|it| !it.is_mention(text)).map(|it| it.told(number, text)));
    }

    /// An object has begun that may go on in the next line.
    fn begin(&mut self, number: u64, text: &str) {
        let mut begun = Pending { first: number, text: text.to_owned(), more: Vec::new(), scan: Scan::default() };
        begun.scan.end(&begun.text);
        self.pending = Some(begun);
    }

    /// Whether an object, which may be the message `word`, is what its line says. Behind a message nothing may follow but
    /// another object; before one stands a prefix or a label.
    fn is_taken(&self, word: Option<&str>, leads: bool, before: &str, after: &str) -> bool {
        if leads {
            let goes_on = || after.trim_start_matches(is_separator).starts_with('{');
            return self.source == Source::Program || word.is_none() || is_wordless(after) || goes_on();
        }
        let is_quoted = is_quoted(before, after) && before.contains(char::is_alphanumeric);
        word.is_some() && !is_quoted && is_wordless(after) && self.leads_to(before)
    }

    /// A program writes its log where it likes.
    fn leads_to(&self, before: &str) -> bool {
        self.source == Source::Program || leads_to(before)
    }

    /// What of a line is no object that was taken: told where it was meant as one.
    fn not_taken(&self, line: u64, text: &str, part: Range<usize>, fault: Option<Fault>, found: &mut Vec<Piece>) {
        // Behind an object the line is no sentence that quotes one.
        let broken = || fault.as_ref().filter(|_| part.start > 0).and_then(|_| word_in(&text[part.clone()]));
        let text_of = &text[part.clone()];
        let what = broken().or_else(|| self.in_another_notation(text_of)).or_else(|| seems(text_of, self.source));
        if let Some(what) = what {
            let fault = fault.unwrap_or(Fault { at: 0, why: "it is no JSON object".to_owned() });
            found.push(Piece::Unreadable(fragment(line, fault.at as u64 + 1, &what, &fault.why, text)));
        }
    }

    /// What an agent's text was meant as that is an object in the notation of JavaScript or Python, or JSON with a slip that
    /// they allow, behind nothing or a label.
    fn in_another_notation(&self, text: &str) -> Option<String> {
        if self.source == Source::Program {
            return None;
        }
        let opens = text.match_indices('{').take(MOST_TRIES).map(|(open, _)| open);
        opens.filter(|open| leads_to(&text[..*open])).find_map(|open| {
            let end = Scan::default().end(&text[open..]).map_or(text.len(), |length| open + length);
            self.word_of(&lenient(&text[open..end])?)
        })
    }

    /// What an object says that it is, so that it is one with text before it as well.
    fn word_of(&self, value: &Value) -> Option<String> {
        let fields = value.as_object()?;
        match self.source {
            Source::Agent => typed(fields).or_else(|| Some(meant_by(fields, objects_in)?.word)).map(str::to_owned),
            Source::Program => {
                let word = fields.get("type").and_then(Value::as_str);
                word.or_else(|| fields.get("jsonrpc")?.as_str()).map(str::to_owned)
            }
        }
    }
}

/// A message with other text around it.
struct Amid {
    object: Range<usize>,
    word: String,
    value: Value,
    /// Whether what stands before it leads to it.
    is_led: bool,
}

impl Amid {
    /// Whether its line only mentions it: what a sentence or code quotes.
    fn is_mention(&self, text: &str) -> bool {
        let (before, after) = (&text[..self.object.start], &text[self.object.end..]);
        is_quoted(before, after) && !(self.is_led && is_wordless(after))
    }

    fn told(&self, number: u64, text: &str) -> Piece {
        let why = "there is other text on its line; print it on a line of its own";
        Piece::Unreadable(fragment(number, self.object.start as u64 + 1, &self.word, why, text))
    }
}

/// Whether the text around an object quotes it.
fn is_quoted(before: &str, after: &str) -> bool {
    before.ends_with(QUOTES) && after.starts_with(QUOTES)
}

/// The objects of an agent's text.
pub(super) fn objects_in(text: &str) -> Vec<Value> {
    let mut reader = LineReader::new(Source::Agent);
    let mut pieces: Vec<Piece> = Vec::new();
    for (line, number) in text.split('\n').zip(1..) {
        pieces.extend(reader.line(number, line.as_bytes()));
    }
    pieces.extend(reader.end());
    let object = |piece| match piece {
        Piece::Object(value) => Some(value),
        Piece::Unreadable(_) => None,
    };
    pieces.into_iter().filter_map(object).collect()
}

/// What a sentence quotes with.
const QUOTES: [char; 5] = ['"', '\'', '`', '\u{201d}', '\u{201c}'];

/// Whether a text has no words, apart from those of a markup's tags.
fn is_wordless(text: &str) -> bool {
    let mut in_tag = false;
    text.chars().all(|c| {
        in_tag = c == '<' || (in_tag && c != '>');
        in_tag || !c.is_alphanumeric()
    })
}

impl Pending {
    /// The line and the byte of that line, both from 1, of a byte of the text.
    fn place(&self, at: usize) -> (u64, u64) {
        let (start, number) =
            self.more.iter().rev().find(|(start, _)| *start <= at).copied().unwrap_or((0, self.first));
        (number, (at - start) as u64 + 1)
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
    value.as_object().and_then(typed).is_some()
}

/// What may stand between two objects of a line.
fn is_separator(c: char) -> bool {
    c.is_whitespace() || matches!(c, ',' | ';' | '[' | ']' | '\u{1e}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
