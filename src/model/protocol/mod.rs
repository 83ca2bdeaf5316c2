//! The contract with an agent of kind `command`: what it reads on stdin and the lines it writes on stdout.
mod input;

pub use input::{AgentInput, LearningInput, MilestoneInput, VerdictInput};

use super::{
    attempt::Usage,
    files::Files,
    ticket::{Contract, Priority},
    workflow::Choice,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of this contract.
pub const PROTOCOL: u32 = 1;

/// The longest line of a program that is handed on whole, in bytes; a longer one is cut and flagged.
pub const LINE_LIMIT: usize = 1024 * 1024;

/// A work item as a planner or an executor proposes it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Proposal {
    /// A name for other lines of the same plan to refer to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The id of an existing item that this changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// One line. Needed for a new item.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Markdown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// `task` (the default) or `fix`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ProposalKind>,
    /// How much it matters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// The files it will own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub files: Option<Files>,
    /// Keys of the same plan, or ids of existing items.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depends_on: Option<Vec<String>>,
    /// What is agreed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// Ids of feedback that is closed when this lands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub closes: Option<Vec<String>>,
}

/// What a proposal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProposalKind {
    /// Planned work.
    Task,
    /// Work that answers a finding; inherits the files of what it mends when it lists none.
    Fix,
}

/// What an agent says of its own ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OwnStatus {
    /// At work.
    InProgress,
    /// Finished, as it believes.
    Done,
    /// It cannot go on.
    Blocked,
}

/// Why an agent's program gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureClass {
    /// Not logged in, or the key is refused. Trying again does not help.
    Auth,
    /// The provider has trouble. Trying again later may help.
    Overloaded,
    /// The conversation has become too long. A new one may go on.
    Context,
    /// The provider refuses the request as it is: an unknown model, a bad request.
    Refused,
    /// The program cannot be used as it is configured. A person has to change something.
    Configuration,
    /// Anything else.
    Other,
}

/// One entry of a checklist.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What is to be done.
    pub text: String,
    /// Whether it is.
    #[serde(default)]
    pub done: bool,
}

/// One line an agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// A new or changed work item (planner).
    Ticket(Proposal),
    /// Not now, and why (planner).
    Defer {
        /// The item's id.
        ticket: String,
        /// Why.
        reason: String,
    },
    /// What now? (planner)
    Decision {
        /// The answer.
        decision: Choice,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Of its own ticket (executor).
    Status {
        /// The status.
        status: OwnStatus,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// A part of its own ticket (executor).
    Subtask(Proposal),
    /// A comment on its own ticket.
    Comment {
        /// What it says.
        text: String,
    },
    /// "What do you wish you had known?"
    Learning {
        /// The answer.
        text: String,
    },
    /// The learnings worth keeping (planner).
    Curate {
        /// Their ids.
        keep: Vec<String>,
    },
    /// More files for its ticket (executor).
    RequestFiles {
        /// Paths to add.
        #[serde(default)]
        create: Vec<String>,
        /// Paths to change.
        #[serde(default)]
        modify: Vec<String>,
        /// Why.
        #[serde(default)]
        reason: String,
    },
    /// Whether the milestone is met (verifier).
    Verdict {
        /// Whether it is.
        met: bool,
        /// Why.
        #[serde(default)]
        rationale: String,
        /// What is missing.
        #[serde(default)]
        gaps: Vec<String>,
    },
    /// A finding (specialist).
    Feedback {
        /// One line.
        title: String,
        /// Markdown.
        #[serde(default)]
        body: String,
        /// How much it matters.
        #[serde(default)]
        priority: Priority,
        /// What kind of finding; the role's name when left out.
        #[serde(default)]
        category: Option<String>,
        /// The files it is about.
        #[serde(default)]
        files: Vec<String>,
    },
    /// A document for later stages.
    Artifact {
        /// Its name: `spec`, `plan`, `review`.
        name: String,
        /// Its text.
        content: String,
    },
    /// What the agent has set itself to do.
    Checklist {
        /// The entries.
        items: Vec<Check>,
    },
    /// How sure it is.
    Confidence {
        /// From 0 to 100.
        value: f64,
    },
    /// What it used since its last such line; with `total`, everything that it used so far.
    Usage {
        /// The model.
        #[serde(default)]
        model: Option<String>,
        /// Tokens read, cached ones included.
        #[serde(default)]
        input_tokens: u64,
        /// Tokens written.
        #[serde(default)]
        output_tokens: u64,
        /// The cached ones of those read.
        #[serde(default, skip_serializing_if = "is_zero")]
        cached_tokens: u64,
        /// US dollars.
        #[serde(default)]
        cost_usd: f64,
        /// Whether the numbers replace what was said before, instead of adding to it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        total: bool,
        /// Whether nothing more will be used: its program is about to end by itself. A budget that this line uses up does
        /// not end it.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        last: bool,
    },
    /// The conversation that its program keeps, and what the whole of it used, as the program counts.
    Session {
        /// The conversation's id.
        session: String,
        /// Whether an earlier conversation goes on.
        #[serde(default)]
        resumed: bool,
        /// What the conversation used from its beginning.
        #[serde(flatten)]
        used: Usage,
    },
    /// Why its program gave up. Its exit follows.
    Failed {
        /// What kind of failure.
        class: FailureClass,
        /// In the program's words.
        #[serde(default)]
        text: String,
        /// The HTTP status behind it.
        #[serde(default)]
        status: Option<u16>,
        /// Seconds until it may be tried again.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// What it has done so far. A program that called no tool has done nothing, whatever it says.
    Activity {
        /// Tools called.
        tool_calls: u64,
        /// Turns of the model's conversation.
        #[serde(default)]
        turns: u64,
    },
    /// A request for permission that was answered by a rule.
    Permission {
        /// The tool.
        tool: String,
        /// What it was to be used on.
        #[serde(default)]
        target: String,
        /// The answer.
        allowed: bool,
        /// The rule, in words.
        #[serde(default)]
        why: String,
    },
    /// A request for permission that only a person can answer. Only through the attempt's socket, where the answer is
    /// waited for.
    Ask {
        /// The tool.
        tool: String,
        /// What it is to be used on.
        #[serde(default)]
        target: String,
        /// Why a rule does not answer it.
        #[serde(default)]
        why: String,
    },
    /// Its provider takes no more work for now.
    RateLimited {
        /// Seconds until it may.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// Something only a person can answer.
    Question {
        /// The question.
        text: String,
    },
    /// Output of its program that was meant as a message and cannot be read. The engine's reader says it of the agent's
    /// lines, a driver of its program's.
    Unreadable {
        /// The number of the line in the output, from 1; 0 = unknown.
        #[serde(default)]
        line: u64,
        /// The byte of the line at which reading failed, from 1; 0 = unknown.
        #[serde(default)]
        column: u64,
        /// The `type` word that the line seems to have; empty = unknown.
        #[serde(default)]
        what: String,
        /// Why it cannot be read, in a sentence.
        why: String,
    },
}

impl Message {
    /// Every `type` word, in the order of the variants.
    pub const WORDS: &[&str] = &[
        "ticket",
        "defer",
        "decision",
        "status",
        "subtask",
        "comment",
        "learning",
        "curate",
        "request_files",
        "verdict",
        "feedback",
        "artifact",
        "checklist",
        "confidence",
        "usage",
        "session",
        "failed",
        "activity",
        "permission",
        "ask",
        "rate_limited",
        "question",
        "unreadable",
    ];

    /// The `type` words of what waits for the clean end ([`Message::is_staged`]).
    pub const STAGED: &[&str] = &["ticket", "subtask", "defer", "decision", "verdict", "feedback", "curate"];

    /// Whether `word` is the `type` word of a message.
    pub fn is_word(word: &str) -> bool {
        Message::WORDS.contains(&word)
    }

    /// Whether it waits for the agent's clean end, to be applied together with the others.
    pub fn is_staged(&self) -> bool {
        match self {
            Message::Ticket(_)
            | Message::Subtask(_)
            | Message::Defer { .. }
            | Message::Decision { .. }
            | Message::Verdict { .. }
            | Message::Feedback { .. }
            | Message::Curate { .. } => true,
            Message::Status { .. }
            | Message::Comment { .. }
            | Message::Learning { .. }
            | Message::RequestFiles { .. }
            | Message::Artifact { .. }
            | Message::Checklist { .. }
            | Message::Confidence { .. }
            | Message::Usage { .. }
            | Message::Session { .. }
            | Message::Failed { .. }
            | Message::Activity { .. }
            | Message::Permission { .. }
            | Message::Ask { .. }
            | Message::RateLimited { .. }
            | Message::Question { .. }
            | Message::Unreadable { .. } => false,
        }
    }

    /// Whether it is about the program itself: of an agent that is driven, its driver says it in its output.
    pub fn is_a_drivers(&self) -> bool {
        matches!(
            self,
            Message::Usage { .. }
                | Message::Session { .. }
                | Message::Failed { .. }
                | Message::Activity { .. }
                | Message::RateLimited { .. }
                | Message::Unreadable { .. }
        )
    }

    /// Its `type` word.
    pub fn word(&self) -> &'static str {
        match self {
            Message::Ticket(_) => "ticket",
            Message::Defer { .. } => "defer",
            Message::Decision { .. } => "decision",
            Message::Status { .. } => "status",
            Message::Subtask(_) => "subtask",
            Message::Comment { .. } => "comment",
            Message::Learning { .. } => "learning",
            Message::Curate { .. } => "curate",
            Message::RequestFiles { .. } => "request_files",
            Message::Verdict { .. } => "verdict",
            Message::Feedback { .. } => "feedback",
            Message::Artifact { .. } => "artifact",
            Message::Checklist { .. } => "checklist",
            Message::Confidence { .. } => "confidence",
            Message::Usage { .. } => "usage",
            Message::Session { .. } => "session",
            Message::Failed { .. } => "failed",
            Message::Activity { .. } => "activity",
            Message::Permission { .. } => "permission",
            Message::Ask { .. } => "ask",
            Message::RateLimited { .. } => "rate_limited",
            Message::Question { .. } => "question",
            Message::Unreadable { .. } => "unreadable",
        }
    }
}

/// Whether an attempt's work must not be taken when a message with this `type` word could not be read: it may have been
/// its plan, its judgement, or that it is not done. So it is where the word is not known.
pub fn refuses_its_attempt(unread: &str) -> bool {
    const OF_ITS_TICKET: &[&str] = &["status", "checklist", "question", "request_files"];
    unread.is_empty() || Message::STAGED.contains(&unread) || OF_ITS_TICKET.contains(&unread)
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}
