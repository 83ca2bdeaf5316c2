//! Questions to a person, and their answers.
use super::{
    Time,
    actor::Actor,
    id::{ApprovalId, AttemptId, RunId, TicketId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One question: may this be done?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approval {
    /// Its id.
    pub id: ApprovalId,
    /// The run it belongs to.
    pub run: RunId,
    /// Who asks, and waits for the answer.
    pub attempt: AttemptId,
    /// What it works on.
    pub ticket: Option<TicketId>,
    /// The tool it wants to use.
    pub tool: String,
    /// What it wants to use it on.
    pub target: String,
    /// Why no rule answers it.
    pub why: String,
    /// When it was asked.
    pub asked_at: Time,
    /// When it counts as denied.
    pub until: Time,
    /// The answer, once there is one.
    pub answer: Option<Answer>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Answer {
    /// Whether it may be done.
    pub allowed: bool,
    /// Who says so; the engine, when nobody did in time.
    pub by: Actor,
    /// Why, in a sentence; may be empty.
    pub reason: String,
}

impl Approval {
    /// Whether it waits for its answer.
    pub fn is_open(&self) -> bool {
        self.answer.is_none()
    }
}
