//! What events are made of, where nothing else is.
use super::Event;
use crate::model::id::{BlobId, CommitId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the rules in `kernel`. Recorded by each run; raised when the same command may decide otherwise. What
/// each version changed is told at the methods of [`Run`](crate::model::run::Run) that ask for it.
pub const RULES: u32 = 5;

impl Event {
    /// The version of this kind's form. All are in their first.
    pub fn version(&self) -> u32 {
        1
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
