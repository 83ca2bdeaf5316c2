//! The state of one milestone: everything its runs decide from.
use super::{
    Time,
    approval::Approval,
    attempt::Attempt,
    id::{ApprovalId, AttemptId, BlobId, LearningId, MilestoneId, RunId, TicketId},
    run::Run,
    ticket::Ticket,
};
use imbl::OrdMap;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A spec, as a milestone keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestone {
    /// Its id, and the id of its stream.
    pub id: MilestoneId,
    /// Its key: the first part of its tickets' ids.
    pub key: String,
    /// Its title.
    pub title: String,
    /// The whole spec.
    pub spec: BlobId,
    /// The root of the repository it is for, absolute.
    pub project: String,
    /// When it was first seen.
    pub created_at: Time,
}

/// What an attempt wished it had known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learning {
    /// The text.
    pub text: String,
    /// Who wrote it.
    pub attempt: AttemptId,
    /// Whether a planner kept it: `None` = not yet looked at.
    pub curated: Option<bool>,
}

/// The state of one milestone, folded from its frames. Cloning is cheap: the maps share their nodes. What changes copies
/// its node, with all that stands in it: so the large values are shared too, and a change copies only its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Aggregate {
    /// The milestone; `None` before its first event.
    pub milestone: Option<Milestone>,
    /// Its work items.
    pub tickets: OrdMap<TicketId, Arc<Ticket>>,
    /// Its runs, oldest first (ids are ordered by time).
    pub runs: OrdMap<RunId, Arc<Run>>,
    /// Their attempts.
    pub attempts: OrdMap<AttemptId, Arc<Attempt>>,
    /// What was learned.
    pub learnings: OrdMap<LearningId, Learning>,
    /// Questions to people.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub approvals: OrdMap<ApprovalId, Approval>,
    /// The number of the last top-level item.
    pub last_item: u32,
    /// The last fencing token given out.
    pub last_fence: u64,
    /// The moment of the last event.
    pub at: Option<Time>,
    /// Why this milestone's record cannot be followed any further, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
}

impl Aggregate {
    /// The run that is not over, if there is one. At most one at a time.
    pub fn live_run(&self) -> Option<&Run> {
        self.runs.values().rev().map(Arc::as_ref).find(|r| !r.state.is_over())
    }

    /// The newest run.
    pub fn last_run(&self) -> Option<&Run> {
        self.runs.values().next_back().map(Arc::as_ref)
    }

    /// Attempts that something is still to be done about.
    pub fn live_attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.values().map(Arc::as_ref).filter(|a| a.is_live())
    }

    /// Whether nothing is in flight: no run at work, no attempt alive, no ticket claimed.
    pub fn is_settled(&self) -> bool {
        self.live_run().is_none()
            && self.live_attempts().next().is_none()
            && self.tickets.values().all(|t| t.claim.is_none())
    }
}
