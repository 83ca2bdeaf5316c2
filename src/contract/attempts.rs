//! What an attempt may ask through its own socket.
use crate::model::{
    files::Files,
    id::{AttemptId, RunId, TicketId},
    protocol::Message,
    workflow::Rights,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The attempt, as its own programs see it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AttemptNow {
    /// Its id.
    pub attempt: AttemptId,
    /// The role it plays.
    pub role: String,
    /// What the role may say.
    pub rights: Rights,
    /// Its run.
    pub run: RunId,
    /// The iteration, from 1.
    pub iteration: u32,
    /// The round, from 1.
    pub round: u32,
    /// Its ticket; null where its role works on none.
    pub ticket: Option<TicketId>,
    /// The files it may create and modify now.
    pub files: Files,
    /// What it said through this socket that is applied at its clean end.
    pub staged: Vec<Message>,
}

/// For which ticket an attempt believes to speak.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct SayQuery {
    /// The ticket; `@mine` or null = its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
}
