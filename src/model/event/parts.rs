//! What events are made of, where nothing else is.
use crate::model::id::CommitId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of the rules in `kernel`. Recorded by each run; raised when the same command may decide otherwise. What
/// each version changed is told at the methods of [`crate::model::run::Run`] that ask for it.
pub const RULES: u32 = 5;

/// Whether a message is the first one of its line; see [`super::Event::AttemptReported`].
pub(in crate::model) fn is_first_part(part: &u32) -> bool {
    *part == 0
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
