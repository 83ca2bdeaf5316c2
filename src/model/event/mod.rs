//! What happened. Past tense, in the noun's words; append-only.
//!
//! A stored event is never edited: a change of its form gets a new version ([`Event::version`]) and an upcast, and a
//! fixture of the old form stays in `replay-fixtures/`.
#[macro_use]
mod list;
mod nouns;
mod parts;

pub use nouns::events_about;
pub(super) use parts::is_first_part;
pub use parts::{ClockStep, Intent, LostGate, OpenStatus, RULES};

use super::{
    Time,
    attempt::{DiskUse, ExitReport, Harvest, Outcome, Session},
    files::Files,
    id::{AgentName, ApprovalId, AttemptId, BlobId, CommitId, LearningId, MilestoneId, RoleName, RunId, StageName},
    settings::{Budget, Settings},
    ticket::{BacklogItem, BlockedOn, Changes, Claim, Seed},
    workflow::{Choice, Rights, Workflow},
};

events! {
    /// A new spec.
    MilestoneCreated = "milestone.created" {
        /// Its id.
        id: MilestoneId,
        /// Its key.
        key: String,
        /// Its title.
        title: String,
        /// The whole spec.
        spec: BlobId,
        /// The repository's root.
        project: String,
    }
    /// The same spec with other content.
    MilestoneUpdated = "milestone.updated" {
        /// Its title now.
        title: String,
        /// The whole spec now.
        spec: BlobId,
    }
    /// A new work item.
    TicketCreated = "ticket.created" {
        /// What it is made from.
        ticket: Box<Seed>,
    }
    /// An item was changed.
    TicketUpdated = "ticket.updated" {
        /// What is new.
        changes: Box<Changes>,
    }
    /// Somebody holds it now.
    TicketClaimed = "ticket.claimed" {
        /// Who, and the fencing token.
        claim: Claim,
    }
    /// The holder let go of it.
    TicketReleased = "ticket.released" {
        /// Why.
        why: String,
    }
    /// The holder renewed its lease.
    TicketRenewed = "ticket.renewed" {}
    /// The holder is gone.
    TicketLeaseExpired = "ticket.lease_expired" {
        /// The evidence.
        why: String,
    }
    /// Open or in progress.
    TicketStatusChanged = "ticket.status_changed" {
        /// `open` or `in_progress`.
        status: OpenStatus,
        /// Why.
        reason: String,
    }
    /// A change put a blocked item back to work, with a fresh set of rounds.
    TicketReopened = "ticket.reopened" {
        /// How often planners have done so in this run, this time included; a person's changes do not count.
        renewals: u32,
        /// Why.
        reason: String,
    }
    /// Something was said about it.
    TicketCommented = "ticket.commented" {
        /// What.
        text: String,
    }
    /// The planner put it off.
    TicketDeferred = "ticket.deferred" {
        /// Why.
        reason: String,
    }
    /// It is done.
    TicketCompleted = "ticket.completed" {
        /// The commit it landed as; `None` where a person or worker outside any run said so.
        commit: Option<CommitId>,
    }
    /// It is not going on without help.
    TicketBlocked = "ticket.blocked" {
        /// On what.
        on: BlockedOn,
    }
    /// A run begins.
    RunStarted = "run.started" {
        /// Its id.
        id: RunId,
        /// The workflow, pinned.
        workflow: Box<Workflow>,
        /// The resolved configuration, pinned.
        settings: Box<Settings>,
        /// The spec it runs on.
        spec: BlobId,
        /// The commit it begins at.
        base: CommitId,
        /// The branch it lands on.
        branch: String,
        /// The version of the rules.
        rules: u32,
        /// The version of p0.
        p0: String,
        /// Unfinished items of the project's other milestones, for the planner to know.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        backlog: Vec<BacklogItem>,
        /// The place it was forked from, if it was.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        origin: Option<super::kept::Origin>,
    }
    /// Its branch is there.
    RunOpened = "run.opened" {
        /// The head.
        head: CommitId,
    }
    /// What an earlier run was landing when this one began has landed: it begins there.
    RunRebased = "run.rebased" {
        /// The commit it begins at.
        base: CommitId,
    }
    /// A new turn of the planner.
    RunIterationStarted = "run.iteration_started" {
        /// Its number, from 1.
        iteration: u32,
        /// What stood at the end of the one before.
        signature: String,
    }
    /// The planner decided.
    RunDecided = "run.decided" {
        /// What.
        decision: Choice,
        /// Why.
        reason: String,
    }
    /// It starts nothing new.
    RunPaused = "run.paused" {
        /// Why.
        why: String,
        /// Until when.
        until: Option<Time>,
        /// Something outside keeps its effects from being carried out: they rest as well, until it is resumed.
        #[serde(default, skip_serializing_if = "parts::is_false")]
        held: bool,
    }
    /// Nothing of it goes on before a person answers.
    RunAwaitingApproval = "run.awaiting_approval" {
        /// What is to be answered, and how.
        why: String,
    }
    /// It goes on.
    RunResumed = "run.resumed" {}
    /// A person asked for another budget when it was started again.
    RunBudgetChanged = "run.budget_changed" {
        /// The budget from now on.
        budget: Budget,
    }
    /// It cannot go on.
    RunStuck = "run.stuck" {
        /// Why.
        why: String,
    }
    /// Met and landed.
    RunDone = "run.done" {
        /// The head.
        commit: CommitId,
    }
    /// Something outside the plan does not work.
    RunFailed = "run.failed" {
        /// Why.
        why: String,
    }
    /// Somebody ended it.
    RunCancelled = "run.cancelled" {
        /// Why.
        why: String,
    }
    /// A run of another data directory was taken in, with its file.
    RunImported = "run.imported" {
        /// What is known of it.
        #[serde(flatten)]
        imported: super::kept::Imported,
    }
    /// An archive took the journal's place for a milestone whose runs are over.
    RunArchived = "run.archived" {
        /// What stays known of it.
        #[serde(flatten)]
        archived: Box<super::kept::Archived>,
    }
    /// A stage begins.
    StageEntered = "stage.entered" {
        /// Its name.
        stage: StageName,
    }
    /// A stage's work is done.
    StageCompleted = "stage.completed" {
        /// Its name.
        stage: StageName,
    }
    /// An attempt is on record; its process comes after.
    AttemptStarted = "attempt.started" {
        /// Its id.
        id: AttemptId,
        /// Its role.
        role: RoleName,
        /// What the role may write.
        rights: Rights,
        /// Who plays it.
        agent: AgentName,
        /// The stage.
        stage: StageName,
        /// The iteration.
        iteration: u32,
        /// The round.
        round: u32,
        /// The commit it begins at.
        base: CommitId,
        /// Why the last round was refused.
        feedback: Vec<String>,
        /// The model asked for; `None` = the agent's usual one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<String>,
        /// The conversation it is to go on with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resumes: Option<Session>,
        /// Unlanded work that its worktree begins with.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        carries: Option<CommitId>,
    }
    /// Its supervisor waits for "go".
    AttemptSpawned = "attempt.spawned" {
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
    }
    /// It said something that is taken at once.
    AttemptReported = "attempt.reported" {
        /// The line's number.
        line: u64,
        /// Its place among the messages of that line, from 0.
        #[serde(default, skip_serializing_if = "is_first_part")]
        part: u32,
        /// What it said.
        message: super::protocol::Message,
    }
    /// Its program ended.
    AttemptExited = "attempt.exited" {
        /// How.
        report: Box<ExitReport>,
    }
    /// Its program was ended at a limit.
    AttemptTimedOut = "attempt.timed_out" {
        /// Which, in words.
        limit: String,
    }
    /// Its program is gone without a trace of its end.
    AttemptLost = "attempt.lost" {
        /// Whether its program ever ran.
        began: bool,
        /// The evidence.
        why: String,
    }
    /// It is being ended.
    AttemptStopping = "attempt.stopping" {
        /// Why.
        why: String,
        /// What it wrote, where it is ended because it filled the disk.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        filled: Option<DiskUse>,
    }
    /// What its worktree held.
    AttemptHarvested = "attempt.harvested" {
        /// What was found.
        harvest: Box<Harvest>,
    }
    /// What became of it.
    AttemptFinished = "attempt.finished" {
        /// The outcome.
        outcome: Outcome,
    }
    /// Its worktree is free again.
    AttemptReleased = "attempt.released" {
        /// The ref that keeps its unlanded work.
        parked: Option<String>,
    }
    /// A ticket owns more files.
    OwnershipGranted = "ownership.granted" {
        /// The added files.
        files: Files,
    }
    /// An attempt changed what is not its own.
    OwnershipViolated = "ownership.violated" {
        /// The paths.
        paths: Vec<String>,
        /// In words, a sentence each.
        reasons: Vec<String>,
    }
    /// An agent asked for more files.
    OwnershipExtensionRequested = "ownership.extension_requested" {
        /// The files.
        files: Files,
        /// Why.
        reason: String,
        /// Why it was refused; `None` = granted.
        refused: Option<String>,
    }
    /// An agent asked for more than its role may do.
    RightsRefused = "rights.refused" {
        /// What it asked for.
        what: String,
        /// Why not.
        why: String,
    }
    /// A program tried what its sandbox does not let it.
    SandboxDenied = "sandbox.denied" {
        /// `read`, `write`, `connect`, …
        operation: String,
        /// The file, socket or process.
        path: String,
        /// How often.
        times: u64,
    }
    /// A program showed a secret; what is kept has its name in its place.
    SecretRedacted = "secret.redacted" {
        /// The variable that holds it.
        name: String,
        /// How often.
        times: u64,
    }
    /// A plan or a set of reports was refused whole.
    PlanRefused = "plan.refused" {
        /// A sentence each.
        reasons: Vec<String>,
    }
    /// A gate command succeeded on a commit.
    GatePassed = "gate.passed" {
        /// The command.
        gate: Vec<String>,
        /// The exact commit.
        commit: CommitId,
        /// What it printed.
        output: Option<BlobId>,
        /// How long it took, in milliseconds.
        wall_ms: u64,
    }
    /// A gate command refused a commit.
    GateFailed = "gate.failed" {
        /// The command.
        gate: Vec<String>,
        /// The exact commit.
        commit: CommitId,
        /// How it ended.
        why: String,
        /// The last lines it printed.
        tail: String,
        /// What it printed.
        output: Option<BlobId>,
        /// How long it took, in milliseconds.
        wall_ms: u64,
    }
    /// A gate command ended without judging the commit: p0, a signal or a lost process ended it. It is run again.
    GateLost = "gate.lost" {
        /// Which, and what became of it.
        #[serde(flatten)]
        lost: Box<LostGate>,
    }
    /// A commit waits to land.
    IntegrationQueued = "integration.queued" {
        /// The commit.
        commit: CommitId,
    }
    /// It was merged in memory on the head.
    IntegrationMerged = "integration.merged" {
        /// The head it was merged on.
        onto: CommitId,
        /// The exact commit that would land.
        candidate: CommitId,
    }
    /// It does not merge.
    IntegrationConflicted = "integration.conflicted" {
        /// The paths.
        paths: Vec<String>,
        /// The head it does not merge with.
        onto: CommitId,
    }
    /// It is on the branch.
    IntegrationLanded = "integration.landed" {
        /// The commit.
        commit: CommitId,
        /// Its parent.
        parent: CommitId,
        /// Moving the branch, in milliseconds.
        wall_ms: u64,
    }
    /// Something is about to be done that must not be done twice.
    EffectIntended = "effect.intended" {
        /// What.
        what: Intent,
    }
    /// The verifier's word.
    VerdictIssued = "verdict.issued" {
        /// Whether the milestone is met.
        met: bool,
        /// Why.
        rationale: String,
        /// What is missing.
        gaps: Vec<String>,
        /// The commit it judged.
        commit: CommitId,
    }
    /// A read-only role found something: a new item of kind feedback.
    FeedbackFiled = "feedback.filed" {
        /// The item.
        ticket: Box<Seed>,
    }
    /// Somebody learned something.
    LearningRecorded = "learning.recorded" {
        /// Its id.
        id: LearningId,
        /// What.
        text: String,
    }
    /// The planner chose what is worth keeping.
    LearningCurated = "learning.curated" {
        /// The kept ones; the others of now are dropped from prompts.
        keep: Vec<LearningId>,
    }
    /// A limit of the budget is reached.
    BudgetExhausted = "budget.exhausted" {
        /// Which, in words.
        what: String,
    }
    /// An agent's provider takes no more work for now.
    AgentRateLimited = "agent.rate_limited" {
        /// The agent.
        agent: AgentName,
        /// Until when.
        until: Time,
    }
    /// An agent cannot work until a person does something: it is not logged in, or its key is refused.
    AgentUnavailable = "agent.unavailable" {
        /// The agent.
        agent: AgentName,
        /// Why, in its program's words.
        why: String,
    }
    /// An attempt asks a person.
    ApprovalRequested = "approval.requested" {
        /// The question.
        approval: Box<super::approval::Approval>,
    }
    /// A question has its answer.
    ApprovalAnswered = "approval.answered" {
        /// Which.
        id: ApprovalId,
        /// Whether it may be done.
        allowed: bool,
        /// Why; may be empty.
        reason: String,
    }
    /// The limit of an agent is over.
    AgentAvailable = "agent.available" {
        /// The agent.
        agent: AgentName,
    }
    /// A report came that no longer applies.
    ResultIgnored = "result.ignored" {
        /// What it was.
        what: String,
        /// Why it no longer applies.
        why: String,
    }
    /// An unacknowledged rest at the log's end was cut, or damaged frames were written anew from the store.
    JournalRepaired = "journal.repaired" {
        /// What was done, in words.
        what: String,
    }
    /// The store was made anew from the journal.
    StoreRebuilt = "store.rebuilt" {
        /// Why.
        why: String,
    }
    /// The machine's date was set, the machine was suspended, or the date is behind the log.
    ClockStepped = "clock.stepped" {
        /// By how much.
        #[serde(flatten)]
        step: ClockStep,
    }
}
