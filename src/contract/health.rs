//! Signs of life.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A program that serves. An attempt's socket tells no more than `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HealthDoc {
    /// `ok`.
    pub status: String,
    /// The program: `p0d`, `p0 run`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<String>,
    /// Its process id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

/// A program that takes commands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReadyDoc {
    /// `ready`.
    pub status: String,
    /// The sequence number of the last durable event.
    pub head: u64,
}
