//! What waits for a person.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which questions.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalQuery {
    /// Those of this run; null = of every run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Anything = those that are answered as well; null = the open ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all: Option<String>,
}

/// What an answer says beside yes and no.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalReason {
    /// Why; null = no reason is given.
    #[serde(default)]
    pub why: Option<String>,
}

/// The answer to what a ticket is blocked on.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TicketAnswer {
    /// The answer.
    pub text: String,
}

/// How long to wait for the answer to a question.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalWait {
    /// Seconds, 60 at the most; null = not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_s: Option<u64>,
}
