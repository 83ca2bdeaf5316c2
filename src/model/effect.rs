//! What the engine asks of the world. Effects are data: printable and comparable. The world answers with commands.
use super::{
    Time,
    id::{AgentName, ApprovalId, AttemptId, CommitId, Fence, RunId, TicketId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A deadline.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "timer", rename_all = "snake_case")]
pub enum Timer {
    /// A worker's lease, unless renewed since.
    Lease {
        /// The ticket.
        ticket: TicketId,
        /// The claim.
        fence: Fence,
        /// The count of renewals it was armed for.
        renewals: u64,
        /// Seconds, counted on a monotonic clock from when it is armed.
        lease_s: u64,
    },
    /// The end of an agent's rate limit.
    AgentLimit {
        /// The run.
        run: RunId,
        /// The agent.
        agent: AgentName,
        /// When.
        until: Time,
    },
    /// The end of the patience with a question that nobody answered.
    Approval {
        /// The question.
        approval: ApprovalId,
        /// When.
        until: Time,
    },
    /// The end of a pause.
    Pause {
        /// The run.
        run: RunId,
        /// When.
        until: Time,
    },
}

/// One thing to do in the world. Each is named by what it belongs to, so that the same one is never in flight twice.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Make the run's branch. Answer: `RunOpened` or `RunBroken`.
    OpenRun {
        /// The run.
        run: RunId,
    },
    /// Worktree, input, supervisor. Answer: `AttemptSpawned`, `AttemptExited` or `AttemptLost`.
    SpawnAttempt {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Say "go" to a supervisor that waits, read its spool, wait for its end. Answer: `AttemptSaid` …, then
    /// `AttemptExited` or `AttemptLost`.
    WatchAttempt {
        /// The attempt.
        attempt: AttemptId,
    },
    /// End its process tree. Answered by the watch.
    StopAttempt {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Make a commit of its worktree's content. Answer: `AttemptHarvested`.
    HarvestAttempt {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Park what has not landed and give the worktree back. Answer: `AttemptReleased`.
    ReleaseAttempt {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Merge its commit in memory. Answer: `Merged`.
    Merge {
        /// The attempt.
        attempt: AttemptId,
        /// The head to merge on.
        onto: CommitId,
    },
    /// Run the gates on the exact commit. Answer: `Gated`.
    Gate {
        /// The attempt.
        attempt: AttemptId,
        /// The commit.
        candidate: CommitId,
    },
    /// Move the branch. Answer: `Landed`.
    Land {
        /// The attempt.
        attempt: AttemptId,
        /// The head it replaces.
        onto: CommitId,
        /// The commit.
        candidate: CommitId,
    },
    /// Wait. Answer: `TimerFired`.
    Wait {
        /// For what.
        timer: Timer,
    },
}

impl Effect {
    /// Its static name, for traces and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Effect::OpenRun { .. } => "open_run",
            Effect::SpawnAttempt { .. } => "spawn_attempt",
            Effect::WatchAttempt { .. } => "watch_attempt",
            Effect::StopAttempt { .. } => "stop_attempt",
            Effect::HarvestAttempt { .. } => "harvest_attempt",
            Effect::ReleaseAttempt { .. } => "release_attempt",
            Effect::Merge { .. } => "merge",
            Effect::Gate { .. } => "gate",
            Effect::Land { .. } => "land",
            Effect::Wait { .. } => "wait",
        }
    }
}
