//! What the program of an attempt may touch: the form in the configuration, and what it comes to for one attempt.
//!
//! The forms are laid over each other, the later over the earlier: `[sandbox]`, `[agents.NAME.sandbox]`,
//! `[roles.NAME.sandbox]`. A run that was recorded before there was a sandbox has none.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether what is asked for must be enforced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It must: a run whose agents cannot be confined is refused.
    Enforce,
    /// As far as this kernel goes.
    BestEffort,
    /// Not at all.
    Off,
}

/// What may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// Everything but p0's data, the person's checkout and the person's secrets.
    Guarded,
    /// The system, what is on `PATH`, and toolchains.
    Narrow,
    /// Everything that the user may read.
    All,
}

/// Which network there is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// All of it.
    Allow,
    /// None.
    None,
    /// TCP connections to these ports, and name resolution.
    #[serde(untagged)]
    Ports(Vec<u16>),
}

/// Limits that the kernel keeps for each process; `None` = as inherited.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Rlimits {
    /// Processes and threads of the whole user.
    pub processes: Option<u64>,
    /// The largest file that may be written, in MiB.
    pub file_mb: Option<u64>,
    /// Files open at the same time.
    pub open_files: Option<u64>,
    /// Address space, in MiB.
    pub memory_mb: Option<u64>,
}

/// `[sandbox]` as written: what is left out is taken from the form below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct SandboxConfig {
    /// `enforce`, `best_effort` or `off`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// `guarded`, `narrow` or `all`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read: Option<Reading>,
    /// Paths that may be written beside the attempt's own; `~/` is the person's home.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<Vec<String>>,
    /// Paths that may be read whatever `read` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_also: Option<Vec<String>>,
    /// `"allow"`, `"none"` or a list of TCP ports.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
    /// Whether the program runs in namespaces of its own as well, made by bubblewrap.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bubblewrap: Option<bool>,
    /// Whether terminals may be made and used: `/dev/ptmx`, and all of `/dev/pts`, where the person's own are too.
    /// Not unless it is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub terminals: Option<bool>,
    /// See [`Rlimits::processes`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processes: Option<u64>,
    /// See [`Rlimits::file_mb`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_mb: Option<u64>,
    /// See [`Rlimits::open_files`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_files: Option<u64>,
    /// See [`Rlimits::memory_mb`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_mb: Option<u64>,
}

/// What it comes to for one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sandbox {
    /// Whether it must be enforced.
    pub mode: Mode,
    /// What may be read.
    pub read: Reading,
    /// What may be written beside the attempt's own.
    pub write: Vec<String>,
    /// What may be read whatever `read` says.
    pub read_also: Vec<String>,
    /// Which network there is.
    pub network: Network,
    /// Namespaces by bubblewrap.
    pub bubblewrap: bool,
    /// Terminals, the person's among them.
    pub terminals: bool,
    /// Limits of each process.
    pub limits: Rlimits,
}

/// What was really applied to a program.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Applied {
    /// The version of Landlock's interface that was used; 0 = none.
    pub landlock: u32,
    /// How many Landlock rules there are.
    pub rules: u32,
    /// Whether a listener records tries, and holds back what Landlock does not know.
    pub listener: bool,
    /// Whether the program runs in namespaces made by bubblewrap.
    pub bubblewrap: bool,
    /// What was asked for and not applied, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// Something that a program tried and was not let.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Denied {
    /// `read`, `write`, `make`, `remove`, `move`, `link`, `cut`, `rights`, `connect`, `signal`, `reach`; `other` for
    /// those that were too many to be told apart.
    pub operation: String,
    /// The file, socket or process.
    pub path: String,
    /// How often.
    pub times: u64,
}

/// A secret that was left out of what is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Redacted {
    /// The variable that holds it.
    pub name: String,
    /// How often.
    pub times: u64,
}

/// The largest file when nothing is said, in MiB: a program that runs wild ends before the disk does.
const FILE_MB: u64 = 16 * 1024;

impl SandboxConfig {
    /// This form laid over `below`. Lists add up: a role that needs one path more does not name the others again.
    #[must_use]
    pub fn over(&self, below: &SandboxConfig) -> SandboxConfig {
        let joined = |own: &Option<Vec<String>>, below: &Option<Vec<String>>| match (own, below) {
            (Some(own), Some(below)) => Some(below.iter().chain(own).cloned().collect()),
            (Some(list), None) | (None, Some(list)) => Some(list.clone()),
            (None, None) => None,
        };
        SandboxConfig {
            mode: self.mode.or(below.mode),
            read: self.read.or(below.read),
            write: joined(&self.write, &below.write),
            read_also: joined(&self.read_also, &below.read_also),
            network: self.network.clone().or_else(|| below.network.clone()),
            bubblewrap: self.bubblewrap.or(below.bubblewrap),
            terminals: self.terminals.or(below.terminals),
            processes: self.processes.or(below.processes),
            file_mb: self.file_mb.or(below.file_mb),
            open_files: self.open_files.or(below.open_files),
            memory_mb: self.memory_mb.or(below.memory_mb),
        }
    }

    /// With the defaults for what nobody said.
    pub fn resolve(&self) -> Sandbox {
        Sandbox {
            mode: self.mode.unwrap_or(Mode::Enforce),
            read: self.read.unwrap_or(Reading::Guarded),
            write: self.write.clone().unwrap_or_default(),
            read_also: self.read_also.clone().unwrap_or_default(),
            network: self.network.clone().unwrap_or(Network::Allow),
            bubblewrap: self.bubblewrap.unwrap_or(false),
            terminals: self.terminals.unwrap_or(false),
            limits: Rlimits {
                processes: self.processes,
                file_mb: Some(self.file_mb.unwrap_or(FILE_MB)),
                open_files: self.open_files,
                memory_mb: self.memory_mb,
            },
        }
    }

    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == SandboxConfig::default()
    }
}

/// What an attempt is confined to: the run's form with its agent's and its role's over it. `None` = recorded before
/// there was a sandbox.
pub fn resolve(run: Option<&SandboxConfig>, agent: &SandboxConfig, role: &SandboxConfig) -> Sandbox {
    match run {
        Some(run) => role.over(&agent.over(run)).resolve(),
        None => SandboxConfig { mode: Some(Mode::Off), ..SandboxConfig::default() }.resolve(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> SandboxConfig {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn nothing_said_is_enforced_and_guarded() {
        let sandbox = resolve(Some(&parse("")), &parse(""), &parse(""));
        assert_eq!((sandbox.mode, sandbox.read, sandbox.network), (Mode::Enforce, Reading::Guarded, Network::Allow));
        assert_eq!(resolve(None, &parse(""), &parse("")).mode, Mode::Off, "an old run had none");
    }

    #[test]
    fn the_role_is_laid_over_the_agent_and_the_agent_over_the_run() {
        let run = parse("mode='best_effort'\nwrite=['/a']\nnetwork='none'");
        let agent = parse("write=['/b']\nnetwork=[443, 80]\nprocesses=100");
        let role = parse("read='narrow'\nprocesses=50");
        let sandbox = resolve(Some(&run), &agent, &role);
        assert_eq!((sandbox.mode, sandbox.read), (Mode::BestEffort, Reading::Narrow));
        assert_eq!(sandbox.write, ["/a", "/b"]);
        assert_eq!(sandbox.network, Network::Ports(vec![443, 80]));
        assert_eq!(sandbox.limits.processes, Some(50));
    }

    #[test]
    fn what_cannot_be_is_refused() {
        assert!(toml::from_str::<SandboxConfig>("network='some'").is_err());
        assert!(toml::from_str::<SandboxConfig>("read='most'").is_err());
        assert!(toml::from_str::<SandboxConfig>("reads='all'").is_err());
    }
}
