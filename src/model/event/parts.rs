//! What events are made of, where nothing else is.
use crate::id::{BlobId, CommitId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the rules in `kernel`. Recorded by each run; raised when the same command may decide otherwise. What
/// each version changed is told at the methods of [`crate::run::Run`] that ask for it.
pub const RULES: u32 = 5;

/// Whether a message is the first one of its line; see [`super::Event::AttemptReported`].
pub(crate) fn is_first_part(part: &u32) -> bool {
    *part == 0
}

/// A jump of the machine's clocks. Each number is 0 where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ClockStep {
    /// By how much the date was set, in milliseconds; below 0 = back.
    pub by_ms: i64,
    /// How long the machine was suspended, in milliseconds.
    pub asleep_ms: u64,
    /// How far the date is behind the log's last entry, in milliseconds, at a start.
    pub behind_log_ms: u64,
}

impl std::fmt::Display for ClockStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut said = Vec::new();
        if self.asleep_ms > 0 {
            said.push(format!("the machine was suspended for {}", span(self.asleep_ms)));
        }
        if self.by_ms != 0 {
            let way = if self.by_ms > 0 { "forward" } else { "back" };
            said.push(format!("the date of the machine was set {} {way}", span(self.by_ms.unsigned_abs())));
        }
        if self.behind_log_ms > 0 {
            let behind = span(self.behind_log_ms);
            said.push(format!("the date of the machine is {behind} behind the log, whose entries keep the later date"));
        }
        write!(f, "{}; limits and deadlines are durations, and go on", said.join("; "))
    }
}

/// A time for people: its two largest units.
fn span(ms: u64) -> String {
    let s = ms.saturating_add(500) / 1000;
    let (days, hours, minutes, seconds) = (s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {seconds} s"),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

pub(super) fn is_false(value: &bool) -> bool {
    !value
}

/// A gate that ended without judging.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LostGate {
    /// The command.
    pub gate: Vec<String>,
    /// The exact commit.
    pub commit: CommitId,
    /// What became of it.
    pub why: String,
    /// What it had printed.
    pub output: Option<BlobId>,
    /// How long it ran, in milliseconds; 0 where nobody knows.
    pub wall_ms: u64,
}

/// What an attempt's intent is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "intent", rename_all = "snake_case")]
pub enum Intent {
    /// To move the run's branch from `parent` to `commit`.
    Land {
        /// The exact commit.
        commit: CommitId,
        /// The head it replaces.
        parent: CommitId,
    },
}

/// The statuses that carry no data of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OpenStatus {
    /// Nobody works on it.
    Open,
    /// Somebody does.
    InProgress,
}
