//! What an attempt's program tells of its conversation with a model.
use super::Usage;
use crate::{
    id::{AgentName, CommitId},
    protocol::FailureClass,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The conversation of an attempt with a model, as far as its program tells of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Conversation {
    /// The model asked for; `None` = the program's usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The conversation that it was to go on with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resumes: Option<Session>,
    /// The conversation as it stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// Unlanded work that its worktree began with, on top of its base.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub carries: Option<CommitId>,
    /// Tools called, where its program counts them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<u64>,
    /// Its program said that it uses nothing more.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub spent: bool,
    /// Why its program gave up, in its words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<(FailureClass, String)>,
    /// What its program wrote, where it was ended because it filled the disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filled_disk: Option<DiskUse>,
    /// Output that was meant as a message and could not be read, the first ones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
}

/// What takes room on a disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DiskUse {
    /// Bytes on the disk.
    pub bytes: u64,
    /// Files and folders.
    pub files: u64,
}

impl DiskUse {
    /// The sum of both.
    pub fn plus(self, other: DiskUse) -> DiskUse {
        DiskUse { bytes: self.bytes.saturating_add(other.bytes), files: self.files.saturating_add(other.files) }
    }
}

impl std::fmt::Display for DiskUse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        const MIB: u64 = 1024 * 1024;
        let mib = self.bytes / MIB;
        if mib >= 1024 {
            write!(f, "{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024)?;
        } else {
            write!(f, "{mib} MiB")?;
        }
        write!(f, " in {} file{}", self.files, if self.files == 1 { "" } else { "s" })
    }
}

/// Output that was meant as a message and could not be read; see [`crate::protocol::Message::Unreadable`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unread {
    /// The number of the line in the output, from 1; 0 = unknown.
    pub line: u64,
    /// The byte of the line, from 1; 0 = unknown.
    pub column: u64,
    /// The `type` word that the line seems to have; empty = unknown.
    pub what: String,
    /// Why it cannot be read, in a sentence.
    pub why: String,
}

impl std::fmt::Display for Unread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.line, self.column) {
            (0, _) => {}
            (line, 0) => write!(f, "line {line}: ")?,
            (line, column) => write!(f, "line {line}, column {column}: ")?,
        }
        match self.what.as_str() {
            "" => write!(f, "it begins like a message and cannot be read: {}; write log to stderr", self.why),
            what => write!(f, "the {what} cannot be read: {}", self.why),
        }
    }
}

impl Conversation {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Conversation::default()
    }
}

/// A conversation that a program keeps and can take up again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Session {
    /// Its id, as the program gave it.
    pub id: String,
    /// The agent that keeps it.
    pub agent: AgentName,
    /// What it used from its beginning, as the program counts.
    pub used: Usage,
}
