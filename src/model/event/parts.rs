//! What events are made of, where nothing else is.
use crate::model::id::CommitId;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
