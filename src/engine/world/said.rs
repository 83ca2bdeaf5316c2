//! What an attempt's program said: its lines as messages, and its end as a report.
use crate::{
    effects::process::{self, ExitRecord, Line, SpoolLine, parse_line},
    model::{
        attempt::{Ending, ExitReport, Said},
        id::BlobId,
        protocol::Message,
        sandbox::{Denied, Redacted},
    },
};
use serde_json::Value;

/// The most messages that one attempt may stage; more is a flood, not a plan.
const MOST_STAGED: usize = 10_000;
/// Messages of one attempt that are taken at once (comments, usage, …).
const MOST_AT_ONCE: u64 = 2_000;
/// Misread messages that are told one by one.
const MOST_MISREAD: usize = 20;

/// What was heard so far.
#[derive(Default)]
pub(super) struct Heard {
    pub(super) staged: Vec<Said>,
    pub(super) malformed: u64,
    pub(super) misread: Vec<String>,
    at_once: u64,
}

impl Heard {
    /// Takes a line in; gives back a message that is to be reported at once.
    pub(super) fn take(&mut self, line: &SpoolLine) -> Option<Message> {
        // A line without its end may be half a message: it is never acted upon unless it is whole.
        if line.cut {
            self.malformed += 1;
            // A long line of a log is noise; one that may have been a message must not be missing in silence.
            if line.bytes.starts_with(b"{") {
                self.cannot_read(format!("line {} is longer than a line may be", line.number));
            }
            return None;
        }
        let value = match parse_line(&line.bytes) {
            Line::Message(value) => value,
            Line::Log(_) => return None,
            Line::Malformed(_) => {
                self.malformed += 1;
                return None;
            }
        };
        let word = value.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        match serde_json::from_value::<Message>(value) {
            Ok(message) if message.is_staged() => {
                if self.staged.len() < MOST_STAGED {
                    self.staged.push(Said { line: line.number, message });
                } else {
                    self.cannot_read(format!("line {}: more than {MOST_STAGED} items in one attempt", line.number));
                }
                None
            }
            Ok(message) => {
                self.at_once += 1;
                // A flood of words would hold the attempt's end up; what is over the limit stays in its transcript.
                (self.at_once <= MOST_AT_ONCE).then_some(message)
            }
            Err(why) => {
                self.malformed += 1;
                // Left out silently, it would make half a plan of a whole one.
                if Message::STAGED.contains(&word.as_str()) {
                    self.cannot_read(format!("line {}: the {word} cannot be read: {why}", line.number));
                }
                None
            }
        }
    }

    fn cannot_read(&mut self, why: String) {
        if self.misread.len() < MOST_MISREAD {
            self.misread.push(why);
        }
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
pub(super) fn report(record: &ExitRecord, heard: Heard, kept: Kept) -> ExitReport {
    ExitReport {
        ending: ending(&record.ending),
        wall_ms: record.wall_ms,
        transcript: kept.transcript,
        staged: heard.staged,
        malformed_lines: heard.malformed,
        misread: heard.misread,
        stdout_bytes: record.stdout_bytes,
        truncated: record.truncated,
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
