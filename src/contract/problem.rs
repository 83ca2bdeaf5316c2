//! What every failure is answered with.
use crate::model::{rejection::Rejection, tolerant::known};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A failure, as `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ProblemDoc {
    /// The kind of failure in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// The failure in one sentence.
    pub detail: String,
    /// The exit code of `p0` for it.
    pub code: u8,
    /// What to do; null where `detail` says it.
    #[serde(default)]
    pub hint: Option<String>,
    /// The rule that refused it, with its parameters; null where no rule did.
    #[serde(default, deserialize_with = "known", skip_serializing_if = "Option::is_none")]
    pub reason: Option<Rejection>,
}
