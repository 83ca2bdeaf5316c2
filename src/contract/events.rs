//! The log as a stream.
use super::problem::ProblemDoc;
use crate::views::retrying::Retrying;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which events.
#[derive(Debug, Default, Clone, Serialize, Deserialize, JsonSchema)]
pub struct EventQuery {
    /// After this sequence number or time; null = from the first one on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Up to and with this sequence number or time; null = to the head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// Those of this run; null = of every run, and of none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// Those about this ticket; null = about anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// Those whose actor begins so; null = of every actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Those whose kind begins so; null = of every kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Whether to go on at the head: anything but `false` and `0`; null = with server-sent events only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<String>,
    /// Whether what is tried again right now is told too, as lines of their own: anything but `false` and `0`;
    /// null = not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<String>,
}

/// What a stream with `live` tells beside events.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RetryingLine {
    /// All of it, the oldest first.
    pub retrying: Vec<Retrying>,
}

/// The last line of an answer that could not be given to its end.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StreamFailure {
    /// Why it ends here.
    pub problem: ProblemDoc,
}
