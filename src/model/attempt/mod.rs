//! Attempts: one invocation of an agent, from its start to what became of it.
mod talk;
mod usage;

pub use talk::{Conversation, DiskUse, Session, Unread};
pub use usage::Usage;

use super::{
    Time,
    id::{AgentName, AttemptId, BlobId, CommitId, RoleName, RunId, StageName, TicketId},
    paths::PathFact,
    protocol::{FailureClass, Message},
    sandbox::{Applied, Denied, Redacted},
    workflow::Rights,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

fn is_none_yet(count: &u32) -> bool {
    *count == 0
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ending {
    /// It exited.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal ended it.
    Signaled {
        /// The signal's number.
        signal: i32,
    },
    /// Its wall limit ended it.
    TimedOut {
        /// The limit in milliseconds.
        limit_ms: u64,
    },
    /// It said nothing for too long.
    Idle {
        /// The limit in milliseconds.
        limit_ms: u64,
    },
    /// The engine asked for it.
    Stopped,
    /// It could not be started.
    NotStarted {
        /// Why, in a sentence.
        why: String,
    },
    /// The engine died before it was let go: nothing of it ever ran.
    NeverRan,
    /// It is gone without a record of its end (the machine went down, or its supervisor was killed).
    Lost {
        /// The evidence.
        why: String,
    },
}

impl Ending {
    /// Whether a signal ended it that asks a program to end: HUP, INT, QUIT, TERM.
    pub fn is_by_request(&self) -> bool {
        matches!(self, Ending::Signaled { signal: 1 | 2 | 3 | 15 })
    }

    /// Whether a signal ended it that programs do not bring about by a crash: one that asks, or KILL, as the kernel sends it
    /// when memory runs out.
    pub fn is_by_signal_from_outside(&self) -> bool {
        self.is_by_request() || matches!(self, Ending::Signaled { signal: 9 })
    }

    /// Exit code 0.
    pub fn is_clean(&self) -> bool {
        matches!(self, Ending::Exited { code: 0 })
    }
}

impl std::fmt::Display for Ending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ending::Exited { code } => write!(f, "exited with code {code}"),
            Ending::Signaled { signal } => write!(f, "was ended by signal {signal}"),
            Ending::TimedOut { limit_ms } => write!(f, "was ended at its time limit of {} s", limit_ms / 1000),
            Ending::Idle { limit_ms } => write!(f, "was ended after {} s without output", limit_ms / 1000),
            Ending::Stopped => f.write_str("was stopped"),
            Ending::NotStarted { why } => write!(f, "could not be started: {why}"),
            Ending::NeverRan => f.write_str("was never started"),
            Ending::Lost { why } => write!(f, "was lost: {why}"),
        }
    }
}

/// A line the agent said that is applied at its clean end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Said {
    /// The number of the line in its output, from 1.
    pub line: u64,
    /// The message.
    pub message: Message,
}

/// What is known at the end of the program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ExitReport {
    /// How it ended.
    pub ending: Ending,
    /// Wall time in milliseconds.
    pub wall_ms: u64,
    /// The whole kept output.
    pub transcript: Option<BlobId>,
    /// Everything it said that is applied at its end, in order.
    pub staged: Vec<Said>,
    /// Lines that began like a message and were none.
    pub malformed_lines: u64,
    /// Messages that could not be read and without which its work must not be taken: why not, a sentence each, with line
    /// and column.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub misread: Vec<String>,
    /// What of its messages was left out or taken for something else, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Bytes it wrote to stdout, kept or not.
    pub stdout_bytes: u64,
    /// Whether output was left out for its size.
    pub truncated: bool,
    /// Descendants that outlived the program and were ended.
    pub orphans: u32,
    /// The last lines of stderr, for people.
    pub stderr_tail: String,
    /// What it tried and its sandbox did not let it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denied: Vec<Denied>,
    /// Secrets that were left out of its output.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<Redacted>,
    /// Its sandbox as it really was; `None` = it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confined: Option<Applied>,
}

impl ExitReport {
    /// The report of a program that ended so without anything it said being known.
    pub fn silent(ending: Ending) -> ExitReport {
        ExitReport {
            ending,
            wall_ms: 0,
            transcript: None,
            staged: Vec::new(),
            malformed_lines: 0,
            misread: Vec::new(),
            notes: Vec::new(),
            stdout_bytes: 0,
            truncated: false,
            orphans: 0,
            stderr_tail: String::new(),
            denied: Vec::new(),
            redacted: Vec::new(),
            confined: None,
        }
    }
}

/// One path that an attempt changed against its base.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathChange {
    /// Relative to the repository's root.
    pub path: String,
    /// `added`, `modified`, `deleted`, `type_changed`.
    pub kind: ChangeKind,
    /// The path is a symbolic link that leads out of the worktree.
    #[serde(default)]
    pub symlink_escapes: bool,
}

/// How a path changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// Was not there.
    Added,
    /// Other content or mode.
    Modified,
    /// Is no longer there.
    Deleted,
    /// A file became a link, or the like.
    TypeChanged,
}

/// What was found in an attempt's worktree at its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Harvest {
    /// The commit that holds it; `None` = nothing changed.
    pub commit: Option<CommitId>,
    /// The tree it adds up to.
    pub tree: String,
    /// The changed paths.
    pub changes: Vec<PathChange>,
    /// Generated files that were left out.
    pub dropped: Vec<String>,
    /// Changed files with conflict markers.
    pub conflict_markers: Vec<String>,
    /// Folders in which the agent made a repository of its own.
    pub untracked_repos: Vec<String>,
    /// The change as a patch.
    pub patch: Option<BlobId>,
    /// The paths that its plan or its sub-tasks list and that are not simply there, or simply new, in the tree it was
    /// made for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathFact>,
    /// What it changed of its own or of tracked files and what does not land: each path with the reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// Its work was taken: the plan applied, the verdict recorded, the commit landed.
    Accepted,
    /// Its work was refused; the reasons go to the next round.
    Refused {
        /// A sentence each.
        reasons: Vec<String>,
    },
    /// It ended badly.
    Failed {
        /// A sentence.
        why: String,
    },
    /// It was lost through no fault of its own; no round is used up.
    Lost {
        /// A sentence.
        why: String,
    },
    /// The run no longer wants it.
    Cancelled,
}

impl Outcome {
    /// The word used in tables and JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Accepted => "accepted",
            Outcome::Refused { .. } => "refused",
            Outcome::Failed { .. } => "failed",
            Outcome::Lost { .. } => "lost",
            Outcome::Cancelled => "cancelled",
        }
    }
}

/// Where a commit is on its way to the run's branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// In the queue; merged when it comes to the front.
    Queued,
    /// Merged on `onto`; the gates look at `candidate`.
    Gating {
        /// The head it was merged on.
        onto: CommitId,
        /// The exact commit that would land.
        candidate: CommitId,
    },
    /// The intent to land is on record.
    Landing {
        /// The head it replaces.
        onto: CommitId,
        /// The exact commit that lands.
        candidate: CommitId,
    },
}

/// Where an attempt stands. Each state owns its data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Phase {
    /// On record; its process is to be started.
    Starting,
    /// Its program runs under the supervisor `pid`.
    Running {
        /// The supervisor's process id.
        pid: u32,
        /// The supervisor's start, in clock ticks since boot: with the pid, its identity.
        start_ticks: u64,
        /// What the supervisor was told at its birth.
        nonce: String,
        /// BLAKE3 of the attempt's token, hexadecimal.
        token_hash: String,
    },
    /// Its program ended; its worktree is to be looked at.
    Exited {
        /// What is known of the end.
        report: ExitReport,
    },
    /// Executors: its commit is on the way to the branch.
    Integrating {
        /// The commit.
        commit: CommitId,
        /// Where it is.
        step: Step,
    },
    /// Over.
    Finished {
        /// What became of it.
        outcome: Outcome,
    },
}

/// What the engine does with the worktree when an attempt is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "worktree", rename_all = "snake_case")]
pub enum Worktree {
    /// The attempt has it, or may have it.
    Held,
    /// Given back; unlanded work was parked here.
    Released {
        /// The ref that keeps it.
        parked: Option<String>,
    },
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// Its run.
    pub run: RunId,
    /// The role it acts in.
    pub role: RoleName,
    /// What the role may write.
    pub rights: Rights,
    /// The agent that plays it.
    pub agent: AgentName,
    /// The stage it belongs to.
    pub stage: StageName,
    /// The iteration it belongs to.
    pub iteration: u32,
    /// Its round: per ticket and run, or per role and stage; from 1.
    pub round: u32,
    /// The ticket, for executors.
    pub ticket: Option<TicketId>,
    /// The commit its worktree begins at.
    pub base: CommitId,
    /// Why the last round or plan was refused, a sentence each.
    pub feedback: Vec<String>,
    /// When it was put on record.
    pub started_at: Time,
    /// Where it stands.
    pub phase: Phase,
    /// Why it is being ended, if it is.
    pub stopping: Option<String>,
    /// The number of the last line taken from its output.
    pub line: u64,
    /// The place of the last message taken from that line, from 0.
    #[serde(default, skip_serializing_if = "super::event::is_first_part")]
    pub part: u32,
    /// What it used.
    pub usage: Usage,
    /// Wall time of its program in milliseconds.
    pub wall_ms: u64,
    /// The commit found in its worktree.
    pub commit: Option<CommitId>,
    /// How often the gates on its commit were lost, in a row; see [`crate::run::LOST_IN_A_ROW`].
    #[serde(default, skip_serializing_if = "is_none_yet")]
    pub gates_lost: u32,
    /// Whether a worktree is (or may be) held.
    pub worktree: Worktree,
    /// What it says of its own ticket, if it says something.
    pub claimed_status: Option<super::protocol::OwnStatus>,
    /// The reason it gave with that.
    pub status_reason: Option<String>,
    /// A question it asked that nobody answered.
    pub question: Option<String>,
    /// What it said through its socket that is applied at its clean end.
    pub staged: Vec<Message>,
    /// Open entries of its checklist.
    pub open_checklist: Vec<String>,
    /// Its agent's provider refused more work until then.
    pub rate_limited: bool,
    /// What its program and its surroundings are, where there is more to say.
    #[serde(default, skip_serializing_if = "Conversation::is_empty")]
    pub talk: Conversation,
}

impl Attempt {
    /// Whether it still takes one of the run's places: its program runs, or will.
    pub fn takes_slot(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Running { .. } | Phase::Exited { .. })
    }

    /// Whether something is still to be done about it.
    pub fn is_live(&self) -> bool {
        !matches!((&self.phase, &self.worktree), (Phase::Finished { .. }, Worktree::Released { .. }))
    }

    /// Whether it ended because its agent cannot work now: a limit or trouble of its provider, a refused key, its
    /// configuration.
    pub fn waits_for_provider(&self) -> bool {
        let class = self.talk.failure.as_ref().map(|(class, _)| *class);
        let waits = [FailureClass::Auth, FailureClass::Overloaded, FailureClass::Configuration];
        self.rate_limited || class.is_some_and(|class| waits.contains(&class))
    }

    /// Whether its conversation became too long.
    pub fn has_talked_too_long(&self) -> bool {
        matches!(self.talk.failure, Some((FailureClass::Context, _)))
    }

    /// What became of it, once it is over.
    pub fn outcome(&self) -> Option<&Outcome> {
        match &self.phase {
            Phase::Finished { outcome } => Some(outcome),
            Phase::Starting | Phase::Running { .. } | Phase::Exited { .. } | Phase::Integrating { .. } => None,
        }
    }
}
