//! What a caller is told when its command was accepted.
use super::id::{ApprovalId, Fence, RunId, TicketId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The answer to an accepted command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "reply", rename_all = "snake_case")]
pub enum Reply {
    /// It is on record.
    Ok,
    /// A new run.
    RunStarted {
        /// The run.
        run: RunId,
    },
    /// The spec's unfinished run goes on.
    RunAttached {
        /// The run.
        run: RunId,
    },
    /// The spec is done already, by this run.
    RunAlreadyDone {
        /// The run.
        run: RunId,
    },
    /// A new work item.
    Ticket {
        /// Its id.
        ticket: TicketId,
    },
    /// A claim.
    Claimed {
        /// The ticket.
        ticket: TicketId,
        /// The fencing token.
        fence: Fence,
    },
    /// A question was put to a person.
    Asked {
        /// Its id.
        approval: ApprovalId,
    },
    /// It is on record, and it was refused: an attempt said what it may not, or asked for what it cannot have.
    Refused {
        /// A sentence that the attempt can act on.
        why: String,
    },
    /// The report no longer applies, or was known already; nothing changed.
    Ignored,
}
