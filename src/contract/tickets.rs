//! Work items: making and changing them.
use crate::model::{command::WantedStatus, protocol::Proposal};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Which items.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct TicketQuery {
    /// Those of this run's milestone; null = of the newest run's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Anything = those of every milestone, the newest milestones first; null = of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<String>,
    /// Those with this status: `open`, `in_progress`, `done`, `blocked`; null = with any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// How many at the most; null = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// A new item.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct NewTicket {
    /// Its content.
    pub proposal: Proposal,
    /// The item that it is a part of; null = of none.
    #[serde(default)]
    pub parent: Option<String>,
    /// The key of its milestone; null = the newest of the project.
    #[serde(default)]
    pub milestone: Option<String>,
    /// A path in the repository it is for; null where a parent or a milestone is given.
    #[serde(default)]
    pub project: Option<PathBuf>,
}

/// A status to set.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct NewStatus {
    /// The status.
    pub status: WantedStatus,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// The claim's token, of a worker; null = somebody else writes.
    #[serde(default)]
    pub token: Option<String>,
}

/// A status for several items.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct NewStatuses {
    /// The items; all of one milestone.
    pub tickets: Vec<String>,
    /// The status.
    pub status: WantedStatus,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// A comment on an item.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct NewComment {
    /// The comment.
    pub text: String,
    /// The claim's token, of a worker; null = somebody else writes.
    #[serde(default)]
    pub token: Option<String>,
}

/// What an item waits for.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct NewDepends {
    /// Items to wait for.
    #[serde(default)]
    pub on: Vec<String>,
    /// Items no longer to wait for.
    #[serde(default)]
    pub remove: Vec<String>,
}
