//! Why a command was refused. Part of `decide`'s answer; the edge turns it into an exit code and an HTTP status.
use super::id::{MilestoneId, RunId, TicketId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A refusal, with what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(tag = "rejection", rename_all = "snake_case")]
pub enum Rejection {
    /// There is no such thing.
    #[error("there is no {what} '{id}'")]
    NotFound {
        /// `ticket`, `run`, `attempt`.
        what: String,
        /// What was asked for.
        id: String,
    },
    /// The state forbids it.
    #[error("{why}")]
    Refused {
        /// A sentence that says what to do.
        why: String,
    },
    /// Dependencies would form a cycle.
    #[error("the dependencies would form a cycle: {}", .path.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → "))]
    Cycle {
        /// The cycle, its first item again at its end.
        path: Vec<TicketId>,
    },
    /// Two live tickets would own one path.
    #[error("'{path}' is owned by {held_by}; a file belongs to at most one live ticket (asked for by {wanted_by})")]
    Owned {
        /// The path.
        path: String,
        /// Who owns it.
        held_by: String,
        /// Who wants it.
        wanted_by: String,
    },
    /// The token is not the claim's.
    #[error("the token does not hold {ticket} (the claim ended, or somebody else has it); claim the ticket again")]
    NotHolder {
        /// The ticket.
        ticket: TicketId,
    },
    /// Nothing is ready.
    #[error("no ticket is ready{}", .why.as_deref().map(|w| format!(": {w}")).unwrap_or_default())]
    NothingReady {
        /// Why, of the first that waits.
        why: Option<String>,
    },
    /// The run is over.
    #[error("run {run} is over ({state}); start the spec again with `p0 run`")]
    RunOver {
        /// The run.
        run: RunId,
        /// How it ended.
        state: String,
    },
    /// Another milestone has what this one would begin with.
    #[error("milestone {milestone} has this {what} already")]
    Taken {
        /// What it has.
        what: Unique,
        /// The milestone that has it.
        milestone: MilestoneId,
    },
    /// The record of this milestone cannot be followed.
    #[error("this milestone is quarantined: {why}")]
    Quarantined {
        /// Why.
        why: String,
    },
}

/// What only one milestone may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unique {
    /// The spec, within its project; forks of its milestone aside.
    Spec,
    /// The key.
    Key,
    /// The place of a project's tracker, which is for projects without any milestone.
    Tracker,
}

impl fmt::Display for Unique {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unique::Spec => "spec",
            Unique::Key => "key",
            Unique::Tracker => "project",
        })
    }
}

impl Rejection {
    /// A refusal in one sentence.
    pub fn refused(why: impl Into<String>) -> Self {
        Rejection::Refused { why: why.into() }
    }
}
