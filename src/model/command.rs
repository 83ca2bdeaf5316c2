//! What somebody wants. Imperative; a command carries the time and the seed that the rules may use.
use super::{
    Time,
    actor::Actor,
    attempt::{ExitReport, Harvest},
    effect::Timer,
    id::{ApprovalId, AttemptId, BlobId, CommitId, MilestoneId, RunId, TicketId},
    kept::{Archived, Fork, Imported},
    protocol::{Message, Proposal},
    settings::{Budget, Settings},
    ticket::BacklogItem,
    workflow::Workflow,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A command with its inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// When; never earlier than the last command of the log.
    pub at: Time,
    /// The randomness from which the rules derive ids.
    pub seed: Uuid,
    /// Who wants it.
    pub actor: Actor,
    /// What.
    pub action: Action,
}

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Run a spec: attach to its unfinished run, show its finished one, or start a new one.
    StartRun(Box<StartRun>),
    /// Start nothing new.
    PauseRun {
        /// The run.
        run: RunId,
        /// Why.
        why: String,
    },
    /// Go on.
    ResumeRun {
        /// The run.
        run: RunId,
        /// What may be spent from now on; what it leaves open stays as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        budget: Option<Budget>,
    },
    /// End it; unlanded work is parked.
    CancelRun {
        /// The run.
        run: RunId,
        /// Why.
        why: String,
    },
    /// Make a milestone that only serves as a tracker.
    OpenTracker {
        /// Its id.
        milestone: MilestoneId,
        /// Its key.
        key: String,
        /// Its title.
        title: String,
        /// Its text.
        spec: BlobId,
        /// The repository's root.
        project: String,
    },
    /// Make a work item.
    CreateTicket {
        /// What it is.
        proposal: Proposal,
        /// A part of this one.
        parent: Option<TicketId>,
    },
    /// Change a work item.
    UpdateTicket {
        /// Which.
        ticket: TicketId,
        /// What is new.
        proposal: Proposal,
    },
    /// Set a status. A worker names its token.
    SetStatus {
        /// Which.
        ticket: TicketId,
        /// To what.
        status: WantedStatus,
        /// Why.
        reason: String,
        /// BLAKE3 of the claim's token.
        token_hash: Option<String>,
    },
    /// Set the status of several items, all or none.
    SetStatuses {
        /// Which.
        tickets: Vec<TicketId>,
        /// To what.
        status: WantedStatus,
        /// Why.
        reason: String,
    },
    /// Say something about an item.
    Comment {
        /// Which.
        ticket: TicketId,
        /// What.
        text: String,
    },
    /// Claim a ticket for a worker outside any run.
    Claim {
        /// Which; `None` = the next ready one.
        ticket: Option<TicketId>,
        /// The worker.
        worker: String,
        /// BLAKE3 of the token that the worker gets.
        token_hash: String,
        /// Seconds the claim lasts without a heartbeat.
        lease_s: u64,
    },
    /// Renew a claim.
    Heartbeat {
        /// Which ticket.
        ticket: TicketId,
        /// BLAKE3 of the claim's token.
        token_hash: String,
    },
    /// Give a claim back.
    Release {
        /// Which ticket.
        ticket: TicketId,
        /// BLAKE3 of the claim's token.
        token_hash: String,
    },
    /// Answer a question of an attempt.
    AnswerApproval {
        /// Which.
        approval: ApprovalId,
        /// Whether it may be done.
        allowed: bool,
        /// Why; may be empty.
        reason: String,
    },
    /// Answer the question that a ticket is blocked on; it is worked on again.
    AnswerQuestion {
        /// Which ticket.
        ticket: TicketId,
        /// The answer.
        text: String,
    },
    /// Report: the run's branch is there.
    RunOpened {
        /// The run.
        run: RunId,
        /// Its head.
        head: CommitId,
    },
    /// Report: an effect of a run cannot be done at all.
    RunBroken {
        /// The run.
        run: RunId,
        /// Why.
        why: String,
    },
    /// Report: the supervisor waits for "go".
    AttemptSpawned {
        /// The attempt.
        attempt: AttemptId,
        /// The supervisor's pid.
        pid: u32,
        /// Its start time in ticks.
        start_ticks: u64,
        /// Its nonce.
        nonce: String,
        /// BLAKE3 of the attempt's token, hexadecimal.
        token_hash: String,
        /// What it reads on stdin, its prompt included.
        input: Option<BlobId>,
    },
    /// Report: an attempt said something that is taken at once.
    AttemptSaid {
        /// The attempt.
        attempt: AttemptId,
        /// The line's number, from 1; 0 = through its socket.
        line: u64,
        /// Its place among the messages of that line, from 0.
        #[serde(default, skip_serializing_if = "super::event::is_first_part")]
        part: u32,
        /// What.
        message: Message,
    },
    /// Report: its program ended.
    AttemptExited {
        /// The attempt.
        attempt: AttemptId,
        /// How.
        report: Box<ExitReport>,
    },
    /// Report: an engine died before its program was let go; nothing of it ever ran.
    AttemptNeverRan {
        /// The attempt.
        attempt: AttemptId,
    },
    /// Report: its program is gone, or could not be made to run.
    AttemptLost {
        /// The attempt.
        attempt: AttemptId,
        /// The evidence.
        why: String,
    },
    /// Report: what its worktree held.
    AttemptHarvested {
        /// The attempt.
        attempt: AttemptId,
        /// What was found.
        harvest: Box<Harvest>,
    },
    /// Report: its worktree is free again.
    AttemptReleased {
        /// The attempt.
        attempt: AttemptId,
        /// The ref that keeps unlanded work.
        parked: Option<String>,
    },
    /// Report: the commit at the front of the queue was merged in memory.
    Merged {
        /// Whose commit.
        attempt: AttemptId,
        /// The head it was merged on.
        onto: CommitId,
        /// The outcome.
        merge: MergeReport,
    },
    /// Report: the gates looked at a commit.
    Gated {
        /// Whose commit.
        attempt: AttemptId,
        /// The exact commit.
        candidate: CommitId,
        /// Each command's outcome, up to the first failure.
        gates: Vec<GateReport>,
    },
    /// Report: the branch was moved, or was found moved.
    Landed {
        /// Whose commit.
        attempt: AttemptId,
        /// The exact commit.
        candidate: CommitId,
        /// The outcome.
        landing: LandingReport,
        /// Moving the branch, in milliseconds.
        wall_ms: u64,
    },
    /// A deadline is over.
    TimerFired {
        /// Which.
        timer: Timer,
    },
    /// The engine's own note: the end of the log was repaired at open.
    NoteRepair {
        /// What was cut.
        what: String,
    },
    /// The engine's own note: the store was rebuilt at open.
    NoteRebuild {
        /// Why.
        why: String,
    },
    /// Take a run of another data directory in; its file is in its place.
    NoteImport {
        /// What is known of it.
        imported: Box<Imported>,
    },
    /// Let an archive take the journal's place for a milestone; its file is in its place.
    NoteArchive {
        /// What stays known of it.
        archived: Box<Archived>,
    },
    /// Go on from a run's state at one event, as a new milestone.
    ForkRun(Box<Fork>),
    /// An attempt asked through its socket for more than it may; put on record.
    NoteRefusedRequest {
        /// The attempt.
        attempt: AttemptId,
        /// What it asked for.
        what: String,
        /// Why not.
        why: String,
    },
}

/// The input of [`Action::StartRun`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StartRun {
    /// The milestone; a new id where the spec is new.
    pub milestone: MilestoneId,
    /// Its key.
    pub key: String,
    /// Its title.
    pub title: String,
    /// The whole spec.
    pub spec: BlobId,
    /// The repository's root, absolute.
    pub project: String,
    /// The commit to begin at where nothing has landed yet.
    pub base: CommitId,
    /// `base` was asked for by a person: it wins over what has landed.
    pub base_is_explicit: bool,
    /// The workflow.
    pub workflow: Workflow,
    /// The resolved configuration.
    pub settings: Settings,
    /// The version of the rules that start it.
    pub rules: u32,
    /// The version of p0 that starts it.
    pub p0: String,
    /// Unfinished items of the project's other milestones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub backlog: Vec<BacklogItem>,
}

/// A status that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WantedStatus {
    /// Nobody works on it.
    Open,
    /// Somebody does.
    InProgress,
    /// Finished.
    Done,
    /// Not without help.
    Blocked,
}

/// The outcome of a merge in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "merge", rename_all = "snake_case")]
pub enum MergeReport {
    /// It merges; the commit that would land.
    Clean {
        /// The commit.
        candidate: CommitId,
    },
    /// It does not.
    Conflict {
        /// The paths.
        paths: Vec<String>,
    },
}

/// The outcome of one gate command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateReport {
    /// The command.
    pub gate: Vec<String>,
    /// Whether it exited with 0.
    pub passed: bool,
    /// How it ended.
    pub how: String,
    /// The last lines it printed.
    pub tail: String,
    /// All it printed.
    pub output: Option<BlobId>,
    /// How long it took, in milliseconds.
    pub wall_ms: u64,
}

/// The outcome of a landing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "landing", rename_all = "snake_case")]
pub enum LandingReport {
    /// The branch is at the commit, or past it.
    Landed,
    /// The branch was somewhere else.
    Moved {
        /// Where.
        found: CommitId,
    },
}
