//! Questions to people as the documents that `p0 approvals --json` prints, and that an attempt waits for.
use p0_model::{
    Time,
    aggregate::Aggregate,
    approval::Approval,
    id::{ApprovalId, AttemptId, RunId, TicketId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A question, and its answer once there is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalDoc {
    /// Its id.
    pub id: ApprovalId,
    /// The run it belongs to.
    pub run: RunId,
    /// What the attempt that asks works on.
    pub ticket: Option<TicketId>,
    /// The attempt that asks.
    pub attempt: AttemptId,
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
    /// `open`, `allowed`, `denied`.
    pub state: String,
    /// Who answered.
    pub by: Option<String>,
    /// Why, where the answer says it.
    pub reason: Option<String>,
}

impl ApprovalDoc {
    /// The document of a question.
    pub fn of(approval: &Approval) -> ApprovalDoc {
        let answer = approval.answer.as_ref();
        let state = match answer.map(|answer| answer.allowed) {
            None => "open",
            Some(true) => "allowed",
            Some(false) => "denied",
        };
        ApprovalDoc {
            id: approval.id.clone(),
            run: approval.run,
            ticket: approval.ticket.clone(),
            attempt: approval.attempt,
            tool: approval.tool.clone(),
            target: approval.target.clone(),
            why: approval.why.clone(),
            asked_at: approval.asked_at,
            until: approval.until,
            state: state.to_owned(),
            by: answer.map(|answer| answer.by.to_string()),
            reason: answer.map(|answer| answer.reason.clone()).filter(|reason| !reason.is_empty()),
        }
    }

    /// Whether it waits for its answer.
    pub fn is_open(&self) -> bool {
        self.state == "open"
    }
}

/// Every question of a milestone, in the order of asking.
pub fn all(state: &Aggregate) -> Vec<ApprovalDoc> {
    let mut found: Vec<ApprovalDoc> = state.approvals.values().map(ApprovalDoc::of).collect();
    found.sort_by_key(|approval| approval.asked_at);
    found
}
