//! What decided a run beside the spec: the resolved configuration, recorded in `run.started`.
use super::{
    id::{AgentName, RoleName},
    sandbox::{self, Sandbox, SandboxConfig},
    workflow::Rights,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How an agent is driven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AgentKind {
    /// Any program: JSON on stdin, JSON lines on stdout.
    Command,
    /// Plays recorded work from a file.
    Playbook,
}

/// One configured agent. Environment *values* are never recorded: only their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AgentSettings {
    /// How it is driven.
    pub kind: AgentKind,
    /// `command`: program and arguments. `playbook`: the absolute path of the file, alone.
    pub command: Vec<String>,
    /// Names of the variables that the configuration gives it.
    pub env_names: Vec<String>,
    /// What its sandbox has other than the run's.
    #[serde(default, skip_serializing_if = "SandboxConfig::is_empty")]
    pub sandbox: SandboxConfig,
}

/// Who plays a role, and within what limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoleSettings {
    /// The agent.
    pub agent: AgentName,
    /// What the role may write.
    pub rights: Rights,
    /// Wall limit of one attempt, in seconds.
    pub timeout_s: u64,
    /// No output for so long ends the attempt, in seconds; `None` = no such limit.
    pub idle_s: Option<u64>,
    /// The role's own instruction, beside its template.
    pub prompt: Option<String>,
    /// What its sandbox has other than the agent's.
    #[serde(default, skip_serializing_if = "SandboxConfig::is_empty")]
    pub sandbox: SandboxConfig,
}

/// Limits of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Attempts at work at the same time.
    pub max_parallel: u32,
    /// Turns of the planner.
    pub max_iterations: u32,
    /// Rounds of a ticket, and tries of a planning or judging role in one stage.
    pub rounds: u32,
    /// How long a gate command may take, in seconds.
    pub gate_timeout_s: u64,
    /// Time between TERM and KILL, in milliseconds.
    pub grace_ms: u64,
    /// Bytes of an attempt's output that are kept.
    pub output_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            max_parallel: 4,
            max_iterations: 10,
            rounds: 3,
            gate_timeout_s: 1800,
            grace_ms: 5_000,
            output_bytes: 16 * 1024 * 1024,
        }
    }
}

/// What may be spent; `None` = no limit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Budget {
    /// US dollars, as the agents report them.
    pub usd: Option<f64>,
    /// Input and output tokens together.
    pub tokens: Option<u64>,
}

/// The resolved configuration of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// The agents that roles use.
    pub agents: BTreeMap<AgentName, AgentSettings>,
    /// Every role that may act, specialists among them.
    pub roles: BTreeMap<RoleName, RoleSettings>,
    /// The gate commands, in order.
    pub gates: Vec<Vec<String>>,
    /// Patterns of files that belong to nobody and are dropped from attempts.
    pub generated: Vec<String>,
    /// Limits.
    pub limits: Limits,
    /// Budget.
    pub budget: Budget,
    /// What agents may touch; `None` in runs recorded before there was a sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxConfig>,
}

impl Settings {
    /// What an attempt of this agent in this role is confined to.
    pub fn sandbox_of(&self, role: &RoleName, agent: &AgentName) -> Sandbox {
        let usual = SandboxConfig::default();
        let agent = self.agents.get(agent).map_or(&usual, |agent| &agent.sandbox);
        let role = self.roles.get(role).map_or(&usual, |role| &role.sandbox);
        sandbox::resolve(self.sandbox.as_ref(), agent, role)
    }

    /// The names of the configured specialists, in order.
    pub fn specialists(&self) -> impl Iterator<Item = &RoleName> {
        self.roles.iter().filter(|(_, r)| r.rights == Rights::Specialist).map(|(name, _)| name)
    }
}
