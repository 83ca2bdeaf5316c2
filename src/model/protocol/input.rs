//! What an agent reads.
use crate::{files::Files, ticket::BacklogItem};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an agent reads on stdin: one JSON object. Keys that do not apply are null or empty.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentInput {
    /// [`super::PROTOCOL`].
    pub protocol: u32,
    /// The role it plays.
    pub role: String,
    /// The run.
    pub run: String,
    /// The iteration, from 1.
    pub iteration: u32,
    /// The attempt.
    pub attempt: String,
    /// The round, from 1.
    pub round: u32,
    /// Everything below in words, for agents that read words.
    pub prompt: String,
    /// The milestone.
    pub milestone: MilestoneInput,
    /// Its ticket, as in `p0 tickets --json`, with its contract.
    pub ticket: Option<Value>,
    /// The items its role may see, as in `p0 tickets --json`.
    pub tickets: Vec<Value>,
    /// Planners: unfinished items of the project's other milestones, as they stood when the run began.
    pub backlog: Vec<BacklogItem>,
    /// The last verdict of the run.
    pub verdict: Option<VerdictInput>,
    /// What earlier attempts learned.
    pub learnings: Vec<LearningInput>,
    /// Why the last round or plan was refused, in words.
    pub feedback: Vec<String>,
    /// The files it may create and modify.
    pub files: Files,
}

/// The milestone, as an agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MilestoneInput {
    /// Its key.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The whole spec.
    pub body: String,
}

/// A verdict, as an agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerdictInput {
    /// Whether the milestone was met.
    pub met: bool,
    /// Why.
    pub rationale: String,
    /// What was missing.
    pub gaps: Vec<String>,
    /// The commit it judged.
    pub commit: String,
}

/// A learning, as an agent sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LearningInput {
    /// Its id.
    pub id: String,
    /// Its text.
    pub text: String,
}
