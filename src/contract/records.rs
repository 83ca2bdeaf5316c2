//! The record of a run: lived again, compared with itself, taken in, gone on from; and the head of the log.
use crate::model::{
    id::RunId,
    kept::Imported,
    record::{FramePayload, Record},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

/// How far to replay, and how much to tell.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ReplayQuery {
    /// A sequence number or a time; null = to the run's last event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Anything = with the events; null = without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<String>,
    /// Anything = with the commands and their events; null = without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<String>,
}

/// What a replay found, as `p0 replay --json` prints it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ReplayDoc {
    /// The run.
    pub run: RunId,
    /// How many events were taken in.
    pub events: usize,
    /// The last of them.
    pub until: u64,
    /// Whether every decision is the same today.
    pub verified: bool,
    /// The first that is not; null where all are.
    pub divergence: Option<DivergenceDoc>,
    /// The digest of the state.
    pub digest: String,
    /// The state.
    pub state: Value,
    /// How long it took, in microseconds.
    pub wall_us: u64,
    /// The events, when they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<Vec<Record>>,
    /// The commands with their events, when they are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<FramePayload>>,
}

/// An event that would be decided otherwise today.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DivergenceDoc {
    /// The first event that differs.
    pub seq: u64,
    /// What the log says; null where the rules of today add an event.
    pub recorded: Value,
    /// What the rules of today say; null where they add none.
    pub decided: Value,
}

/// Two points of the log.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DiffQuery {
    /// `A..B`, each a sequence number or a time.
    pub span: String,
}

/// The head of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeadDoc {
    /// The last event.
    pub seq: u64,
    /// The hash of its frame.
    pub hash: String,
}

/// A run file to take in.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ImportRequest {
    /// Where it is, absolute.
    pub path: PathBuf,
}

/// What became of a run file.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ImportDoc {
    /// The run.
    #[serde(flatten)]
    pub imported: Imported,
    /// New, known, or the longer one of two.
    pub outcome: ImportOutcome,
}

/// What became of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// It is there now.
    Imported,
    /// It takes the place of an earlier part of the same record.
    Extended,
    /// This very file was taken in before.
    Known,
}

/// Where a fork begins.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ForkRequest {
    /// The last event that is taken over.
    pub at: u64,
}

/// A fork.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ForkDoc {
    /// The new run.
    pub run: RunId,
    /// Its milestone's key.
    pub milestone: String,
    /// Its branch.
    pub branch: String,
    /// The commit it begins at.
    pub base: String,
    /// The run it comes from.
    pub from: RunId,
    /// The last event that was taken over: the end of the command that the asked one belongs to.
    pub at: u64,
    /// Whether a program carries it out now.
    pub at_work: bool,
}
