//! What decided a run beside the spec: the resolved configuration, recorded in `run.started`.
use super::{
    adapter::Adapter,
    id::{AgentName, RoleName},
    permission::Permissions,
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
    /// A command-line agent, run by the driver as its adapter's table says.
    Cli,
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
    /// `cli`: how the program is driven, pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adapter: Option<Box<Adapter>>,
    /// `cli`: the model, where the role names none; `None` = the program's usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// `cli`: what is done about requests for permission that no rule decides.
    #[serde(default, skip_serializing_if = "Permissions::is_usual")]
    pub permissions: Permissions,
    /// `cli`: the person's own arguments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extra_args: Vec<String>,
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
    /// The model, whatever the agent's is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Agents that play the role, in this order, while those before them cannot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fallbacks: Vec<AgentName>,
    /// What its sandbox has other than the agent's.
    #[serde(default, skip_serializing_if = "SandboxConfig::is_empty")]
    pub sandbox: SandboxConfig,
}

impl RoleSettings {
    /// Those who may play it, the first before the others.
    pub fn agents(&self) -> impl Iterator<Item = &AgentName> {
        std::iter::once(&self.agent).chain(&self.fallbacks)
    }
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
    /// How long a question to a person stays open before it counts as denied, in seconds.
    #[serde(default = "usual_approval_s", skip_serializing_if = "is_usual_approval_s")]
    pub approval_s: u64,
    /// Bytes of a prompt; what is cut first is said in `prompts/prompt`.
    #[serde(default = "usual_prompt_bytes", skip_serializing_if = "is_usual_prompt_bytes")]
    pub prompt_bytes: u64,
    /// Room on the disk that attempts must leave, in MiB; the one that took it is ended. 0 = none is asked for.
    #[serde(default = "usual_disk_reserve_mb", skip_serializing_if = "is_usual_disk_reserve_mb")]
    pub disk_reserve_mb: u64,
}

fn usual_disk_reserve_mb() -> u64 {
    64
}

fn is_usual_disk_reserve_mb(value: &u64) -> bool {
    *value == usual_disk_reserve_mb()
}

fn usual_approval_s() -> u64 {
    300
}

fn usual_prompt_bytes() -> u64 {
    200_000
}

// What is usual is not written: runs recorded before there was such a limit have the same form.
fn is_usual_approval_s(value: &u64) -> bool {
    *value == usual_approval_s()
}

fn is_usual_prompt_bytes(value: &u64) -> bool {
    *value == usual_prompt_bytes()
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
            approval_s: usual_approval_s(),
            prompt_bytes: usual_prompt_bytes(),
            disk_reserve_mb: usual_disk_reserve_mb(),
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
    /// What follows when an agent's report of its usage cannot be read: what was used is unknown then, not zero.
    #[serde(default, skip_serializing_if = "UnknownUsage::is_stop")]
    pub unknown: UnknownUsage,
}

/// What a run with a budget does when it cannot know what was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownUsage {
    /// It pauses before it spends more.
    #[default]
    Stop,
    /// It goes on, and counts what it can read.
    GoOn,
}

impl UnknownUsage {
    fn is_stop(&self) -> bool {
        *self == UnknownUsage::Stop
    }
}

impl Budget {
    /// Why nobody can mean it, a sentence.
    pub fn nonsense(&self) -> Option<String> {
        let usd = self.usd.filter(|usd| !usd.is_finite() || *usd < 0.0)?;
        Some(format!("{usd} USD is no budget; give a number from 0 on"))
    }
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
    /// Patterns of files in which conflict markers are meant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conflict_markers: Vec<String>,
    /// Limits.
    pub limits: Limits,
    /// Budget.
    pub budget: Budget,
    /// Files of the repository that go into every prompt, the weightiest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub context: Vec<String>,
    /// What agents may touch; `None` in runs recorded before there was a sandbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxConfig>,
    /// Regular expressions of what must not be kept of anything that agents and gates print.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_patterns: Vec<String>,
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
