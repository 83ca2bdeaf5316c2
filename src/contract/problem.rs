//! What every failure is answered with.
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
}
