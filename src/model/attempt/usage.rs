//! What an attempt used.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens and cost, as the agent reports them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Usage {
    /// Tokens read by the model.
    pub input_tokens: u64,
    /// Tokens written by the model.
    pub output_tokens: u64,
    /// The cached ones of those read.
    #[serde(skip_serializing_if = "is_zero")]
    pub cached_tokens: u64,
    /// US dollars.
    pub cost_usd: f64,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Usage {
    /// The sum of both.
    pub fn plus(self, other: Usage) -> Usage {
        Usage {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cached_tokens: self.cached_tokens.saturating_add(other.cached_tokens),
            cost_usd: self.cost_usd + other.cost_usd,
        }
    }

    /// What this is more than `before`; never less than nothing.
    pub fn minus(self, before: Usage) -> Usage {
        Usage {
            input_tokens: self.input_tokens.saturating_sub(before.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(before.output_tokens),
            cached_tokens: self.cached_tokens.saturating_sub(before.cached_tokens),
            cost_usd: (self.cost_usd - before.cost_usd).max(0.0),
        }
    }
}
