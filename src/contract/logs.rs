//! What an attempt's program prints.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which output, from where.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct LogQuery {
    /// `stdout` (the default) or `stderr`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The byte to begin at.
    #[serde(default)]
    pub from: u64,
    /// Whether to go on until the program ends: anything but `false` and `0`; null = not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<String>,
}
