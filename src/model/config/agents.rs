//! `[agents.NAME]` and `[adapters.NAME]`: who can be started, and how.
use super::{Config, error::BadConfig};
use crate::{
    adapter::Adapter,
    permission::Permissions,
    sandbox::{Mode, SandboxConfig},
    settings::{AgentKind, AgentSettings},
};
use serde::Deserialize;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// `[agents.NAME]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// How it is driven: `command`, `playbook`, or the name of an adapter (`codex`, `claude`, `acp`, …).
    pub kind: String,
    /// `command`: program and arguments. Adapters: the program, where it is not the table's own.
    #[serde(default)]
    pub command: Vec<String>,
    /// `playbook`: the file, relative to the repository's root.
    #[serde(default)]
    pub file: Option<PathBuf>,
    /// Variables it gets beside the allow-listed environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Adapters: the model, where the role names none.
    #[serde(default)]
    pub model: Option<String>,
    /// Adapters: further arguments.
    #[serde(default)]
    pub args: Vec<String>,
    /// Adapters: `allow` (the sandbox is the fence), `ask` or `deny`, for requests that no rule decides. When left out,
    /// `allow` in a sandbox and `ask` without one.
    #[serde(default)]
    pub permissions: Option<Permissions>,
    /// What its sandbox has other than `[sandbox]`.
    #[serde(default)]
    pub sandbox: SandboxConfig,
}

impl AgentConfig {
    /// The agent called `name` of `config`, for the repository at `root`.
    ///
    /// # Errors
    /// See [`BadConfig`].
    pub(super) fn resolve(&self, name: &str, root: &Path, config: &Config) -> Result<AgentSettings, BadConfig> {
        let incomplete = |what: &str| BadConfig::Incomplete { agent: name.to_owned(), what: what.to_owned() };
        let (kind, command, adapter) = match self.kind.as_str() {
            "command" => {
                if self.command.first().is_none_or(String::is_empty) {
                    return Err(incomplete("kind 'command' needs command = [\"PROGRAM\", \"ARGUMENT\", …]"));
                }
                (AgentKind::Command, self.command.clone(), None)
            }
            "playbook" => {
                let file = self.file.as_ref().ok_or_else(|| incomplete("kind 'playbook' needs file = \"PATH\""))?;
                (AgentKind::Playbook, vec![root.join(file).display().to_string()], None)
            }
            _ => {
                let adapter = self.adapter(name, &config.adapters)?;
                let command = if self.command.is_empty() { adapter.program.clone() } else { self.command.clone() };
                if command.first().is_none_or(String::is_empty) {
                    return Err(incomplete(&format!("kind '{}' needs command = [\"PROGRAM\", …]", self.kind)));
                }
                (AgentKind::Cli, command, Some(Box::new(adapter)))
            }
        };
        let fenced = self.sandbox.over(&config.sandbox).resolve().mode == Mode::Enforce;
        let unasked = if fenced || kind != AgentKind::Cli { Permissions::Allow } else { Permissions::Ask };
        let permissions = self.permissions.unwrap_or(unasked);
        if let Some(adapter) = adapter.as_deref().filter(|a| permissions != Permissions::Allow && !a.can_ask()) {
            return Err(incomplete(&format!(
                "'{}' cannot ask before it uses a tool, so only its sandbox can hold it; say permissions = \"allow\" \
                 if that is meant, or use an agent that asks (claude, or a speaker of ACP such as codex-acp)",
                adapter.name
            )));
        }
        Ok(AgentSettings {
            kind,
            command,
            env_names: self.env.keys().cloned().collect(),
            adapter,
            model: self.model.clone(),
            permissions,
            extra_args: self.args.clone(),
            sandbox: self.sandbox.clone(),
        })
    }

    /// A person's table goes before a built-in one of the same name.
    fn adapter(&self, agent: &str, tables: &BTreeMap<String, toml::Table>) -> Result<Adapter, BadConfig> {
        if let Some(table) = tables.get(&self.kind) {
            return Ok(Adapter::from_table(&self.kind, table.clone())?);
        }
        let known = if self.kind == "acp" && !self.command.is_empty() {
            Adapter::for_acp_command(&self.command)
        } else {
            Adapter::builtin(&self.kind)
        };
        known.ok_or_else(|| {
            let own = tables.keys().cloned();
            let fixed = ["command", "playbook"].into_iter().chain(Adapter::builtin_names()).map(str::to_owned);
            let known: Vec<String> = fixed.chain(own).collect();
            BadConfig::UnknownKind { agent: agent.to_owned(), kind: self.kind.clone(), known: known.join(", ") }
        })
    }
}
