//! Runs beyond the log: where a run came from, and what stays known of one whose record is in a file of its own.
use super::{
    Time,
    actor::Actor,
    id::{AttemptId, BlobId, CommitId, LearningId, MilestoneId, RunId},
    settings::Settings,
    ticket::{BacklogItem, Comment, Seed},
    workflow::Workflow,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The place in the log that a run was forked from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Origin {
    /// The run.
    pub run: RunId,
    /// The last event that was taken over.
    pub seq: u64,
}

/// A run, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunSummary {
    /// Its id.
    pub run: RunId,
    /// The sequence number of its first event.
    pub seq: u64,
    /// The workflow's name.
    pub workflow: String,
    /// The word of its state.
    pub state: String,
    /// The reason of its state.
    pub reason: Option<String>,
    /// Its branch.
    pub branch: String,
    /// The head of its branch, or its base.
    pub head: CommitId,
    /// When it began.
    pub started_at: Time,
    /// When it was over.
    pub ended_at: Option<Time>,
}

/// A run file as it is known to the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunFile {
    /// BLAKE3 of the file, hexadecimal.
    pub blake3: String,
    /// Its first event.
    pub first_seq: u64,
    /// Its last event.
    pub last_seq: u64,
    /// The hash of its last frame.
    pub head: String,
    /// Frames.
    pub frames: u64,
    /// Events.
    pub events: u64,
}

/// A run of another data directory, taken in with its file. Its sequence numbers are those of the log it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Imported {
    /// The run.
    #[serde(flatten)]
    pub run: RunSummary,
    /// Its milestone, in the log it comes from.
    pub milestone: MilestoneId,
    /// The milestone's key.
    pub key: String,
    /// The milestone's title.
    pub title: String,
    /// The repository it was for, where it comes from.
    pub project: String,
    /// The file.
    pub file: RunFile,
}

/// A milestone whose record is in a file of its own from now on: an archive takes the journal's place for it. What lists
/// show stays known without the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Archived {
    /// The milestone; the archive is named after it.
    pub milestone: MilestoneId,
    /// Its key.
    pub key: String,
    /// Its title.
    pub title: String,
    /// Its spec.
    pub spec: BlobId,
    /// The repository's root.
    pub project: String,
    /// Its runs, the oldest first. All are over.
    pub runs: Vec<RunSummary>,
    /// Their attempts.
    pub attempts: Vec<AttemptId>,
    /// The file: the run file of the newest run.
    pub file: RunFile,
}

/// The input of [`super::command::Action::ForkRun`]: a run's state at one event, to go on from under a new key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Fork {
    /// Where it comes from.
    pub origin: Origin,
    /// The new milestone.
    pub milestone: MilestoneId,
    /// Its key.
    pub key: String,
    /// Its title.
    pub title: String,
    /// The whole spec.
    pub spec: BlobId,
    /// The repository's root, absolute.
    pub project: String,
    /// The head of the run at that event.
    pub base: CommitId,
    /// The workflow, as the run pinned it.
    pub workflow: Workflow,
    /// The configuration, as the run pinned it.
    pub settings: Settings,
    /// Its work items, parents before their parts, with their ids under the new key.
    pub tickets: Vec<ForkedTicket>,
    /// What had been learned.
    pub learnings: Vec<ForkedLearning>,
    /// Unfinished items of the project's other milestones.
    pub backlog: Vec<BacklogItem>,
    /// The version of the rules that start it.
    pub rules: u32,
    /// The version of p0 that starts it.
    pub p0: String,
}

/// A work item that is taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForkedTicket {
    /// What it is.
    pub seed: Seed,
    /// Who made it.
    pub by: Actor,
    /// Whether it was done.
    pub done: bool,
    /// The commit it landed as.
    pub commit: Option<CommitId>,
    /// Why it was put off, if it was.
    pub deferred: Option<String>,
    /// Why a person blocked it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// What was said about it.
    pub comments: Vec<Comment>,
}

/// A learning that is taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForkedLearning {
    /// Its id.
    pub id: LearningId,
    /// The text.
    pub text: String,
    /// Who wrote it, in the run it comes from.
    pub attempt: AttemptId,
    /// Whether a planner kept it: `None` = not yet looked at.
    pub curated: Option<bool>,
}
