//! Work items: tickets, sub-tasks, feedback and fixes.
use super::{
    Time,
    actor::Actor,
    files::Files,
    id::{AttemptId, CommitId, Fence, RunId, TicketId},
};
use imbl::Vector;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What a work item is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Planned work.
    Task,
    /// A part of a task, made by the agent that works on it.
    Subtask,
    /// A finding of a read-only role. Nobody executes it: the planner answers it with a fix, or defers it.
    Feedback,
    /// Work that answers a finding on something landed.
    Fix,
}

/// How much an item matters. An open high item forbids DONE; a medium one must be addressed or deferred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// First.
    High,
    /// The usual.
    #[default]
    Medium,
    /// May stay as backlog.
    Low,
}

/// What was agreed on a ticket beside its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Contract {
    /// The feature this ticket belongs to.
    pub feature_id: Option<String>,
    /// What it offers to others.
    pub provides: Vec<String>,
    /// What it needs of others, in words.
    pub depends_on: Vec<String>,
    /// When it is good.
    pub acceptance_criteria: Vec<Criterion>,
}

/// One acceptance criterion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Criterion {
    /// Only words.
    Text(String),
    /// Words and a command that checks them.
    Checked {
        /// The criterion in words.
        text: String,
        /// The program and its arguments; exit code 0 means met.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        command: Option<Vec<String>>,
    },
}

/// Why an item is blocked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "on", rename_all = "snake_case")]
pub enum BlockedOn {
    /// Every round was used up; the last round's reasons.
    Rounds {
        /// Rounds used.
        rounds: u32,
        /// What was wrong with the last one, a sentence each.
        last: Vec<String>,
    },
    /// The agent said so, and its reason.
    Agent {
        /// In the agent's words.
        reason: String,
    },
    /// The agent asked something that nobody can answer during the run.
    NeedsInput {
        /// The question.
        question: String,
    },
    /// A person said so.
    Person {
        /// In the person's words.
        reason: String,
    },
}

impl std::fmt::Display for BlockedOn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            BlockedOn::Rounds { rounds, last } => {
                write!(f, "failed {rounds} round{}: {}", if *rounds == 1 { "" } else { "s" }, last.join("; "))
            }
            BlockedOn::Agent { reason } => write!(f, "the agent reports: {reason}"),
            BlockedOn::NeedsInput { question } => write!(f, "needs input: {question}"),
            BlockedOn::Person { reason } => write!(f, "set by a person: {reason}"),
        }
    }
}

/// Where a work item stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Status {
    /// Nobody works on it.
    Open,
    /// Claimed, in integration, or waiting for its sub-tasks.
    InProgress,
    /// Landed (or closed by the item that answered it).
    Done,
    /// Not without help.
    Blocked(BlockedOn),
}

impl Status {
    /// The word used in tables and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Status::Open => "open",
            Status::InProgress => "in_progress",
            Status::Done => "done",
            Status::Blocked(_) => "blocked",
        }
    }
}

/// Something said about an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Comment {
    /// Who said it.
    pub actor: Actor,
    /// What was said.
    pub text: String,
    /// When.
    pub at: Time,
}

/// Who holds a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "holder", rename_all = "snake_case")]
pub enum Holder {
    /// An attempt of the engine; it holds the claim while its supervisor lives.
    Attempt {
        /// The attempt.
        attempt: AttemptId,
    },
    /// A worker outside any run; it renews the claim by heartbeat.
    Worker {
        /// As it calls itself.
        name: String,
        /// BLAKE3 of the token it was given, hexadecimal.
        token_hash: String,
        /// How long the claim lasts after a heartbeat, in seconds.
        lease_s: u64,
        /// When it ends without a heartbeat, by the clock of the last command. A new claim takes its word for it; while
        /// an engine is at work its monotonic timer decides.
        expires: Time,
        /// Heartbeats received; a lease timer armed for an older count is void.
        renewals: u64,
    },
}

/// A lease on a ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// Its fencing token.
    pub fence: Fence,
    /// Who holds it.
    pub holder: Holder,
}

/// What an item is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Seed {
    /// Its id.
    pub id: TicketId,
    /// One line.
    pub title: String,
    /// The rest, Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub body: String,
    /// What it is for.
    pub kind: Kind,
    /// How much it matters.
    pub priority: Priority,
    /// Feedback: the kind of finding (`security`, `style`, …).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The item this is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<TicketId>,
    /// Items that must be done before this one starts.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub depends_on: BTreeSet<TicketId>,
    /// The files it owns (feedback: the files it is about).
    #[serde(default)]
    pub files: Files,
    /// What was agreed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// Feedback that is closed when this lands.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub closes: BTreeSet<TicketId>,
}

/// An unfinished item of another milestone of the same project, as it stood when a run began: for its planner to know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BacklogItem {
    /// Its id; its key tells the milestone.
    pub id: TicketId,
    /// One line.
    pub title: String,
    /// The rest, Markdown.
    pub body: String,
    /// What it is for.
    pub kind: Kind,
    /// How much it matters.
    pub priority: Priority,
    /// The files it is about.
    pub files: Files,
    /// Why it was put off or blocked, if it was.
    pub reason: Option<String>,
}

/// A change to an existing item; what is `None` stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Changes {
    /// New title.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// New body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// New priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// New lists of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
    /// New dependencies.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<BTreeSet<TicketId>>,
    /// New contract.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// Feedback that is closed when this lands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes: Option<BTreeSet<TicketId>>,
}

/// A work item as it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ticket {
    /// What it was made from, with later changes applied.
    #[serde(flatten)]
    pub seed: Seed,
    /// Where it stands.
    pub status: Status,
    /// The run it was made in; `None` for one made by a person outside any run.
    pub run: Option<RunId>,
    /// Who made it.
    pub by: Actor,
    /// What was said about it, oldest first.
    #[schemars(with = "Vec<Comment>")]
    pub comments: Vector<Comment>,
    /// Who holds it now.
    pub claim: Option<Claim>,
    /// Its attempts, oldest first, over all runs.
    pub attempts: Vec<AttemptId>,
    /// The commit it landed as.
    pub commit: Option<CommitId>,
    /// Why the planner put it off, if it did.
    pub deferred: Option<String>,
    /// Rounds used in the current run; numbers the next one.
    pub rounds: u32,
    /// Rounds that count against the limit: reset when the planner changes a blocked item.
    pub rounds_counted: u32,
    /// Attempts lost in a row; see [`crate::run::LOST_IN_A_ROW`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: u32,
    /// How often planners have put it back to work in the current run; see [`crate::run::MOST_RENEWALS`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub renewals: u32,
    /// Why the last round was refused, a sentence each; handed to the next round.
    pub feedback: Vec<String>,
    /// Sub-tasks made so far; numbers the next one.
    pub children: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Ticket {
    /// Whether the item still owns its files: work that is neither done nor put off.
    pub fn is_live_work(&self) -> bool {
        self.seed.kind != Kind::Feedback && self.status != Status::Done && self.deferred.is_none()
    }

    /// Whether it still asks for something: not done, and not put off with a reason.
    pub fn is_unsettled(&self) -> bool {
        self.status != Status::Done && self.deferred.is_none()
    }

    /// Whether a person blocked it.
    pub fn is_blocked_by_person(&self) -> bool {
        matches!(self.status, Status::Blocked(BlockedOn::Person { .. }))
    }

    /// The attempt that holds it now, if one does.
    pub fn holding_attempt(&self) -> Option<AttemptId> {
        match &self.claim {
            Some(Claim { holder: Holder::Attempt { attempt }, .. }) => Some(*attempt),
            Some(Claim { holder: Holder::Worker { .. }, .. }) | None => None,
        }
    }
}
