//! What an attempt's program said: its lines as messages, and its end as a report.
use crate::{
    model::{
        attempt::{Ending, ExitReport, Said, Unread},
        id::BlobId,
        protocol::{LINE_LIMIT, Message, refuses_its_attempt},
        sandbox::{Denied, Redacted},
    },
    process::{self, ExitRecord, SpoolLine},
    reader::{Fragment, LineReader, Piece, Reading, Source, Unreadable, may_be_message, read_message},
};
use serde_json::Value;
use std::collections::BTreeSet;

/// The most messages that one attempt may stage; more is a flood, not a plan.
const MOST_STAGED: usize = 10_000;
/// Messages of one attempt that are taken at once and that nothing is decided by (comments, learnings, …).
const MOST_WORDS: u64 = 2_000;
/// Messages of one attempt that are taken at once and that something is decided by (statuses, usage, limits, …).
const MOST_AT_ONCE: u64 = 20_000;
/// Unreadable messages and notes of one attempt that are told one by one.
const MOST_TOLD: usize = 20;

/// Where a message stands in the output: the line at whose reading it was complete, from 1, and its place among the
/// messages of that line, from 0. Later ones are greater.
pub(super) type Place = (u64, u32);

/// What was heard so far.
pub(super) struct Heard {
    pub(super) staged: Vec<Said>,
    pub(super) malformed: u64,
    pub(super) misread: Vec<String>,
    pub(super) notes: Vec<String>,
    reader: LineReader,
    place: Place,
    words: u64,
    at_once: u64,
    /// Unreadable messages that were reported.
    unread: usize,
    /// What was already told of: `type` words that nobody knows, the first unreadable usage, and floods.
    told: BTreeSet<String>,
}

impl Heard {
    /// At the beginning of an output.
    pub(super) fn new() -> Heard {
        Heard {
            staged: Vec::new(),
            malformed: 0,
            misread: Vec::new(),
            notes: Vec::new(),
            reader: LineReader::new(Source::Agent),
            place: (0, 0),
            words: 0,
            at_once: 0,
            unread: 0,
            told: BTreeSet::new(),
        }
    }

    /// Takes a line in; gives back the messages that are to be reported at once. `redact` takes secrets out of an object.
    pub(super) fn take(&mut self, line: &SpoolLine, redact: &dyn Fn(&mut Value)) -> Vec<(Place, Message)> {
        // The parts of a long line have one number, and their messages places one after the other.
        if line.number != self.place.0 {
            self.place = (line.number, 0);
        }
        if line.cut {
            return self.take_cut(line, redact);
        }
        let pieces = self.reader.line(line.number, &line.bytes);
        self.take_pieces(line.number, pieces, redact)
    }

    /// Takes in what was begun and not ended when the output ended.
    pub(super) fn end(&mut self, redact: &dyn Fn(&mut Value)) -> Vec<(Place, Message)> {
        let pieces = self.reader.end();
        self.take_pieces(self.place.0, pieces, redact)
    }

    /// A long line of a log is noise; one that may have been a message, or is in the middle of one, must not be missing in
    /// silence.
    fn take_cut(&mut self, line: &SpoolLine, redact: &dyn Fn(&mut Value)) -> Vec<(Place, Message)> {
        self.malformed += 1;
        let is_within = self.reader.is_within();
        let pieces = self.reader.end();
        let mut messages = self.take_pieces(line.number, pieces, redact);
        if is_within || line.bytes.trim_ascii_start().starts_with(b"{") || may_be_message(&line.bytes) {
            let why = format!("it is longer than a line may be, {} bytes", LINE_LIMIT);
            let (what, text) = (String::new(), String::new());
            self.unreadable(Fragment { line: line.number, column: 0, what, why, text }, &mut messages);
        }
        messages
    }

    fn take_pieces(&mut self, number: u64, pieces: Vec<Piece>, redact: &dyn Fn(&mut Value)) -> Vec<(Place, Message)> {
        let mut messages = Vec::new();
        for piece in pieces {
            match piece {
                Piece::Object(mut value) => {
                    redact(&mut value);
                    self.object(number, &value, &mut messages);
                }
                Piece::Unreadable(fragment) => {
                    self.malformed += 1;
                    self.unreadable(fragment, &mut messages);
                }
            }
        }
        messages
    }

    fn object(&mut self, line: u64, value: &Value, messages: &mut Vec<(Place, Message)>) {
        match read_message(value) {
            Reading::Log => self.malformed += u64::from(value.get("native").is_none()),
            // Whoever translated the output could not read it.
            Reading::Message { message: Message::Unreadable { line, column, what, why }, .. } => {
                self.unreadable(Fragment { line, column, what, why, text: String::new() }, messages);
            }
            Reading::Message { message, notes } => {
                for note in notes {
                    self.note(format!("line {line}, the {}: {note}", message.word()));
                }
                self.message(line, message, messages);
            }
            Reading::Unreadable(Unreadable { what, why }) => {
                self.malformed += 1;
                self.unreadable(Fragment { line, column: 0, what, why, text: String::new() }, messages);
            }
        }
    }

    fn message(&mut self, line: u64, message: Message, messages: &mut Vec<(Place, Message)>) {
        if message.is_staged() {
            if self.staged.len() < MOST_STAGED {
                self.staged.push(Said { line, message });
            } else {
                self.refuse(format!("line {line}: more than {MOST_STAGED} items in one attempt"));
            }
            return;
        }
        // A flood of words would hold the attempt's end up; what is over the limit stays in its transcript.
        let (count, most) = match is_only_words(&message) {
            true => (&mut self.words, MOST_WORDS),
            false => (&mut self.at_once, MOST_AT_ONCE),
        };
        *count += 1;
        if *count <= most {
            messages.push((self.next_place(), message));
            return;
        }
        let what = message.word().to_owned();
        let why = format!("it is one of more than {most} such messages in one attempt; say less");
        if !self.told.insert(format!("too many: {what}")) {
            return;
        }
        match is_only_words(&message) {
            true => self.note(format!("line {line}, the {what}: {why}")),
            false => self.unreadable(Fragment { line, column: 0, what, why, text: String::new() }, messages),
        }
    }

    /// Left out in silence, it would make half a plan of a whole one, and a finished ticket of one that is not.
    fn unreadable(&mut self, fragment: Fragment, messages: &mut Vec<(Place, Message)>) {
        let Fragment { line, column, what, why, .. } = fragment;
        if refuses_its_attempt(&what) {
            let (what, why) = (what.clone(), why.clone());
            self.refuse(Unread { line, column, what, why }.to_string());
        }
        let is_known = Message::is_word(&what) || what.is_empty();
        let is_new = (what == "usage" || !is_known) && self.told.insert(what.clone());
        if is_new || (is_known && self.unread < MOST_TOLD) {
            self.unread += 1;
            let unread = Message::Unreadable { line, column, what: what.clone(), why };
            messages.push((self.next_place(), unread));
        }
        if what == "rate_limited" {
            // It says enough by its first word.
            self.message(line, Message::RateLimited { retry_after_s: None }, messages);
        }
    }

    /// The output could not be read to its end.
    pub(super) fn broke_off(&mut self, why: &str) {
        self.refuse(format!("its output could not be read to its end: {why}"));
    }

    fn next_place(&mut self) -> Place {
        let place = self.place;
        self.place.1 += 1;
        place
    }

    fn refuse(&mut self, why: String) {
        if self.misread.len() < MOST_TOLD {
            self.misread.push(why);
        }
    }

    fn note(&mut self, note: String) {
        if self.notes.len() < MOST_TOLD {
            self.notes.push(note);
        }
    }
}

/// Whether nothing is decided by a message that is taken at once.
fn is_only_words(message: &Message) -> bool {
    match message {
        Message::Comment { .. }
        | Message::Learning { .. }
        | Message::Artifact { .. }
        | Message::Confidence { .. }
        | Message::Activity { .. }
        | Message::Permission { .. } => true,
        Message::Ticket(_)
        | Message::Defer { .. }
        | Message::Decision { .. }
        | Message::Status { .. }
        | Message::Subtask(_)
        | Message::Curate { .. }
        | Message::RequestFiles { .. }
        | Message::Verdict { .. }
        | Message::Feedback { .. }
        | Message::Checklist { .. }
        | Message::Usage { .. }
        | Message::Session { .. }
        | Message::Failed { .. }
        | Message::Ask { .. }
        | Message::RateLimited { .. }
        | Message::Question { .. }
        | Message::Unreadable { .. } => false,
    }
}

/// The ending, in the model's words.
pub(super) fn ending(ending: &process::Ending) -> Ending {
    match ending {
        process::Ending::Exited { code } => Ending::Exited { code: *code },
        process::Ending::Signaled { signal } => Ending::Signaled { signal: *signal },
        process::Ending::TimedOut { limit_ms } => Ending::TimedOut { limit_ms: *limit_ms },
        process::Ending::Idle { limit_ms } => Ending::Idle { limit_ms: *limit_ms },
        process::Ending::Stopped => Ending::Stopped,
        process::Ending::NotStarted { why } => Ending::NotStarted { why: why.clone() },
        process::Ending::Unrecordable { why } => Ending::Lost { why: why.clone() },
    }
}

/// What is kept of a program beside what it said.
#[derive(Default)]
pub(super) struct Kept {
    pub(super) transcript: Option<BlobId>,
    pub(super) stderr_tail: String,
    pub(super) denied: Vec<Denied>,
    pub(super) redacted: Vec<Redacted>,
}

/// The report of an end.
pub(super) fn report(record: &ExitRecord, mut heard: Heard, kept: Kept) -> ExitReport {
    if record.dropped_messages {
        heard.refuse(
            "it printed so much that lines which may be messages were dropped; print less, say it again".into(),
        );
    }
    ExitReport {
        ending: ending(&record.ending),
        wall_ms: record.wall_ms,
        transcript: kept.transcript,
        staged: heard.staged,
        malformed_lines: heard.malformed,
        misread: heard.misread,
        notes: heard.notes,
        stdout_bytes: record.stdout_bytes,
        // What an agent prints to stderr is never a message: a long one makes nothing incomplete.
        truncated: record.stdout_kept < record.stdout_bytes,
        orphans: record.orphans,
        stderr_tail: kept.stderr_tail,
        denied: kept.denied,
        redacted: kept.redacted,
        confined: record.confined.clone(),
    }
}

/// The report of a program that could not be started at all.
pub(super) fn not_started(why: String) -> ExitReport {
    ExitReport::silent(Ending::NotStarted { why })
}

#[cfg(test)]
mod tests;
