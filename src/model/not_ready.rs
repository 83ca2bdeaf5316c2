//! Why a ticket does not move. Not stored: found out by the kernel from the state whenever somebody asks.
use super::{
    Time,
    command::WantedStatus,
    id::{AgentName, CommitId, RoleName, StageName, TicketId},
    ticket::BlockedOn,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a ticket does not move by itself right now. In documents: a `code` and its parameters; `blocked` has those of
/// [`BlockedOn`] beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum NotReady {
    /// Feedback: the planner answers it.
    Feedback,
    /// The planner put it off.
    Deferred {
        /// Why.
        reason: String,
    },
    /// It is blocked.
    Blocked(BlockedOn),
    /// Something it needs is not done.
    WaitingFor {
        /// What.
        ticket: TicketId,
        /// Where that stands.
        #[schemars(with = "WantedStatus")]
        status: String,
    },
    /// Its own sub-task is not done.
    WaitingForSubtask {
        /// Which.
        ticket: TicketId,
    },
    /// Another ticket at work owns one of its files.
    FilesBusy {
        /// The path.
        path: String,
        /// The other ticket.
        holder: TicketId,
    },
    /// A worker outside any run holds it.
    HeldBy {
        /// The worker.
        worker: String,
    },
    /// An agent works on it.
    AtWork {
        /// Its role and round.
        role: RoleName,
        /// The round.
        round: u32,
    },
    /// Its commit waits to be merged.
    InQueue {
        /// How many are before it.
        before: usize,
    },
    /// Its merged commit is at the gates.
    AtGates {
        /// The commit.
        commit: CommitId,
    },
    /// It is being landed.
    Landing,
    /// Every place is taken.
    SlotsFull {
        /// How many there are.
        limit: u32,
    },
    /// The agent's provider takes no more work.
    AgentLimited {
        /// The agent.
        agent: AgentName,
        /// Until when.
        until: Time,
    },
    /// The agent cannot work until a person does something.
    AgentUnavailable {
        /// The agent.
        agent: AgentName,
        /// What it says.
        why: String,
    },
    /// The agent's limit is over, and one attempt finds out whether it really is.
    AgentOnTrial {
        /// The agent.
        agent: AgentName,
    },
    /// The run is paused.
    Paused {
        /// Why.
        why: String,
    },
    /// No run is at work on this milestone.
    NoRun,
    /// The run is in another stage.
    OtherStage {
        /// Which.
        stage: StageName,
    },
    /// A person set it in progress.
    ByHand,
}

impl fmt::Display for NotReady {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotReady::Feedback => f.write_str("feedback: the planner answers it with a fix, or puts it off"),
            NotReady::Deferred { reason } => write!(f, "put off by the planner: {reason}"),
            NotReady::Blocked(on) => write!(f, "blocked: {on}"),
            NotReady::WaitingFor { ticket, status } => write!(f, "waits for {ticket} ({status})"),
            NotReady::WaitingForSubtask { ticket } => write!(f, "waits for its sub-task {ticket}"),
            NotReady::FilesBusy { path, holder } => write!(f, "'{path}' is at work in {holder}"),
            NotReady::HeldBy { worker } => write!(f, "held by worker {worker}"),
            NotReady::AtWork { role, round } => write!(f, "{role} at work, round {round}"),
            NotReady::InQueue { before: 0 } => f.write_str("being merged"),
            NotReady::InQueue { before } => write!(f, "waits to be merged, {before} before it"),
            NotReady::AtGates { commit } => write!(f, "gates at work on {}", commit.short()),
            NotReady::Landing => f.write_str("being landed"),
            NotReady::SlotsFull { limit } => write!(f, "all {limit} places are taken"),
            NotReady::AgentLimited { agent, until } => {
                write!(f, "agent {agent} is rate limited until {}", until.format("%H:%M:%S"))
            }
            NotReady::AgentUnavailable { agent, why } => write!(f, "agent {agent} cannot work: {why}"),
            NotReady::AgentOnTrial { agent } => {
                write!(f, "agent {agent} was limited; one attempt finds out whether it still is")
            }
            NotReady::Paused { why } => write!(f, "the run is paused: {why}"),
            NotReady::NoRun => f.write_str("no run is at work on it"),
            NotReady::OtherStage { stage } => write!(f, "the run is in stage {stage}"),
            NotReady::ByHand => f.write_str("set in progress by hand"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The codes and parameters that clients read.
    #[test]
    fn reasons_are_codes_with_their_parameters() {
        let on = BlockedOn::NeedsInput { question: "which?".into() };
        let cases = [
            (NotReady::Feedback, json!({"code": "feedback"})),
            (NotReady::Blocked(on), json!({"code": "blocked", "on": "needs_input", "question": "which?"})),
            (
                NotReady::WaitingFor { ticket: TicketId::new("BLOG", 2), status: "in_progress".into() },
                json!({"code": "waiting_for", "ticket": "BLOG-2", "status": "in_progress"}),
            ),
            (NotReady::InQueue { before: 2 }, json!({"code": "in_queue", "before": 2})),
            (NotReady::SlotsFull { limit: 4 }, json!({"code": "slots_full", "limit": 4})),
        ];
        for (reason, document) in cases {
            assert_eq!(serde_json::to_value(&reason).unwrap(), document);
            assert_eq!(serde_json::from_value::<NotReady>(document).unwrap(), reason);
        }
    }
}
