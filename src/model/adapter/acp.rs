//! Settings of the dialect `acp`.
use super::{Scope, UsageAt, UsageLog};
use crate::permission::Permissions;
use schemars::JsonSchema;
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{
        MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use serde_json::Value;
use std::fmt;

/// Session modes, as agents name them, in which commands are run without a request for permission, whatever the table
/// says: claude-agent-acp (`auto` has a classifier of its own), codex-acp, gemini, qwen, vibe, copilot.
const ASKS_NOBODY: &[&str] = &[
    "auto",
    "bypassPermissions",
    "full-access",
    "agent-full-access",
    "yolo",
    "auto-approve",
    "autopilot",
    "https://agentclientprotocol.com/protocol/session-modes#autopilot",
];

/// Modes that ask, as agents name them: tried with permissions "ask" and "deny" where the table names none.
const ASKS: &[&str] = &["default", "ask", "manual"];

/// Settings of the dialect `acp`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AcpSettings {
    /// The session mode to be set for each value of `permissions`: of each list the first that the agent offers. A list
    /// alone is the one for "allow".
    pub modes: Modes,
    /// Session modes in which the agent runs commands without a request for permission, besides those that are known.
    /// With permissions "ask" or "deny" a session in one of them is put into another, or refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub asks_nobody: Vec<String>,
    /// `_meta` of `session/new`: a JSON template as in `files.json`.
    pub meta: Option<Value>,
    /// `authMethods` id to authenticate with when the agent asks for it.
    pub auth_method: Option<String>,
    /// Whether MCP servers are handed over in `session/new`.
    pub mcp: bool,
    /// Whether the system prompt, when there is no other place for it, is put before the prompt.
    pub system_in_prompt: bool,
    /// How long the agent may take to end by itself once stdin is closed, in milliseconds; 0 = it never does, and is
    /// told to end at once.
    pub eof_ms: u64,
    /// How long it may take to answer `initialize` and `session/new`, in seconds.
    pub start_s: u64,
    /// How the numbers in the answer to `session/prompt` count: absent = they are not to be trusted.
    pub usage: Option<UsageAt>,
    /// Where `usage_log` was in earlier tables; see [`super::Adapter::usage_log`].
    pub usage_log: Option<UsageLog>,
    /// How the cost of `usage_update` counts.
    pub cost_scope: Scope,
}

impl Default for AcpSettings {
    fn default() -> Self {
        Self {
            modes: Modes::default(),
            asks_nobody: Vec::new(),
            meta: None,
            auth_method: None,
            mcp: true,
            system_in_prompt: true,
            eof_ms: 2_000,
            start_s: 120,
            usage: None,
            usage_log: None,
            cost_scope: Scope::Session,
        }
    }
}

/// The session modes to be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Modes {
    /// With permissions "allow".
    Allow(Vec<String>),
    /// With each value of `permissions`.
    Each(ModesByPolicy),
}

/// The session modes to be set with each value of `permissions`; an empty list leaves the session as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ModesByPolicy {
    /// With "allow".
    pub allow: Vec<String>,
    /// With "ask".
    pub ask: Vec<String>,
    /// With "deny".
    pub deny: Vec<String>,
}

impl<'de> Deserialize<'de> for Modes {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Modes;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of modes for permissions \"allow\", or a table with the lists allow, ask and deny")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Modes, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Modes::Allow)
            }
            fn visit_map<A: MapAccess<'de>>(self, table: A) -> Result<Modes, A::Error> {
                ModesByPolicy::deserialize(MapAccessDeserializer::new(table)).map(Modes::Each)
            }
        }
        from.deserialize_any(Either)
    }
}

impl Default for Modes {
    fn default() -> Self {
        Modes::Allow(Vec::new())
    }
}

impl AcpSettings {
    /// The modes to be tried in order with these permissions.
    pub fn modes_for(&self, permissions: Permissions) -> Vec<&str> {
        let listed: &[String] = match (&self.modes, permissions) {
            (Modes::Allow(modes), Permissions::Allow) => modes,
            (Modes::Allow(_), Permissions::Ask | Permissions::Deny) => &[],
            (Modes::Each(modes), Permissions::Allow) => &modes.allow,
            (Modes::Each(modes), Permissions::Ask) => &modes.ask,
            (Modes::Each(modes), Permissions::Deny) => &modes.deny,
        };
        listed.iter().map(String::as_str).collect()
    }

    /// The modes to be tried where a session asks nobody and has to.
    pub fn modes_that_ask(&self) -> impl Iterator<Item = &'static str> {
        ASKS.iter().copied().filter(|mode| !self.is_unasked(mode))
    }

    /// Whether an agent in this mode runs commands without a request for permission.
    pub fn is_unasked(&self, mode: &str) -> bool {
        ASKS_NOBODY.contains(&mode) || self.asks_nobody.iter().any(|known| known == mode)
    }
}
