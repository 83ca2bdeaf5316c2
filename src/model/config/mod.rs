//! `.p0/config.toml`: its form, its defaults, and how it becomes the settings of a run. Pure: reading the file is the
//! surface's business.
mod agents;
mod error;

pub use agents::AgentConfig;
pub use error::BadConfig;

use super::{
    id::{AgentName, RoleName},
    sandbox::SandboxConfig,
    settings::{AgentSettings, Budget, Limits, RoleSettings, Settings, UnknownUsage},
    workflow::{Rights, Work, Workflow},
};
use regex_lite::Regex;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

/// Files that tools make and nobody writes: dropped from attempts unless the configuration says otherwise.
pub const GENERATED: &[&str] = &[
    "Cargo.lock",
    "package-lock.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "poetry.lock",
    "uv.lock",
    "Gemfile.lock",
    "composer.lock",
    "go.sum",
    "target/",
    "node_modules/",
    "dist/",
    "build/",
    ".venv/",
    "__pycache__/",
    "**/__pycache__/",
    "**/node_modules/",
    ".pytest_cache/",
    ".mypy_cache/",
    ".gradle/",
    "**/*.pyc",
    "**/.DS_Store",
];

/// When `p0 gc` archives a run, in days after its end.
pub const ARCHIVE_AFTER_DAYS: u32 = 90;

/// The project's words to agents, where they usually stand.
pub const CONTEXT: &[&str] = &["AGENTS.md", "README.md"];

/// The file, as written.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The workflow when the command line and the spec name none.
    pub workflow: Option<String>,
    /// The agents.
    pub agents: BTreeMap<String, AgentConfig>,
    /// Tables for command-line agents that p0 does not know, or other ones for those it does.
    pub adapters: BTreeMap<String, toml::Table>,
    /// Who plays which role.
    pub roles: BTreeMap<String, RoleConfig>,
    /// Read-only roles beside the workflow's own.
    pub specialists: BTreeMap<String, RoleConfig>,
    /// Commands that judge a commit.
    pub gates: GatesConfig,
    /// Files that belong to nobody.
    pub files: FilesConfig,
    /// Limits.
    pub limits: LimitsConfig,
    /// Budget.
    pub budget: BudgetConfig,
    /// What agents may touch.
    pub sandbox: SandboxConfig,
    /// What must not be kept of anything that agents and gates print.
    pub secrets: SecretsConfig,
    /// Files of the repository that go into every prompt, the weightiest first; [`CONTEXT`] when left out.
    pub context: Option<Vec<String>>,
    /// How long what happened stays in the log itself.
    pub retention: RetentionConfig,
}

/// `[retention]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetentionConfig {
    /// `p0 gc` archives runs that were over for so many days; [`ARCHIVE_AFTER_DAYS`] when left out.
    pub archive_after_days: Option<u32>,
}

/// `[secrets]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecretsConfig {
    /// Regular expressions, each looked for within a line.
    pub patterns: Vec<String>,
}

impl SecretsConfig {
    fn check(&self) -> Result<(), BadConfig> {
        for (i, pattern) in self.patterns.iter().enumerate() {
            let bad = |why: String| BadConfig::Pattern { nth: i + 1, why };
            let regex = Regex::new(pattern).map_err(|e| bad(format!("is no regular expression: {e}")))?;
            if regex.is_match("") {
                return Err(bad("matches an empty text, so it would match everywhere".to_owned()));
            }
        }
        Ok(())
    }
}

/// `[roles.NAME]` and `[specialists.NAME]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RoleConfig {
    /// The agent that plays it.
    pub agent: Option<String>,
    /// The model, whatever the agent's is.
    pub model: Option<String>,
    /// Agents that play it, in this order, while those before them are limited, missing or keep failing.
    pub fallbacks: Vec<String>,
    /// Wall limit of an attempt in seconds.
    pub timeout_s: Option<u64>,
    /// Limit without output in seconds.
    pub idle_s: Option<u64>,
    /// Instruction beside the role's template.
    pub prompt: Option<String>,
    /// What its sandbox has other than its agent's.
    pub sandbox: SandboxConfig,
}

/// `[gates]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GatesConfig {
    /// The commands, each a program and its arguments.
    pub commands: Vec<Vec<String>>,
    /// Limit of one command in seconds.
    pub timeout_s: Option<u64>,
}

/// `[files]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilesConfig {
    /// Patterns of files that belong to nobody; [`GENERATED`] when left out.
    pub generated: Option<Vec<String>>,
    /// Patterns of files in which conflict markers are meant: manual pages, fixtures.
    pub conflict_markers: Vec<String>,
}

/// `[limits]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsConfig {
    /// Attempts at the same time.
    pub max_parallel: Option<u32>,
    /// Turns of the planner.
    pub max_iterations: Option<u32>,
    /// Rounds of a ticket.
    pub rounds: Option<u32>,
    /// Between TERM and KILL, in milliseconds.
    pub grace_ms: Option<u64>,
    /// Bytes of output kept of an attempt.
    pub output_bytes: Option<u64>,
    /// How long a question to a person stays open, in seconds.
    pub approval_s: Option<u64>,
    /// Bytes of a prompt.
    pub prompt_bytes: Option<u64>,
    /// Room on the disk that attempts must leave, in MiB.
    pub disk_reserve_mb: Option<u64>,
}

/// `[budget]`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BudgetConfig {
    /// US dollars.
    pub usd: Option<f64>,
    /// Tokens.
    pub tokens: Option<u64>,
    /// What follows when a report of usage cannot be read.
    pub unknown: UnknownUsage,
}

/// What the command line adds to the file.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, Deserialize, schemars::JsonSchema)]
#[serde(default)]
pub struct Overrides {
    /// `--agent ROLE=NAME`.
    pub agents: Vec<(String, String)>,
    /// `--max-parallel`.
    pub max_parallel: Option<u32>,
    /// `--max-iterations`.
    pub max_iterations: Option<u32>,
    /// `--budget-usd`.
    pub budget_usd: Option<f64>,
    /// `--budget-tokens`.
    pub budget_tokens: Option<u64>,
}

impl Config {
    /// Reads the file's text. `path` is for the error.
    ///
    /// # Errors
    /// [`BadConfig::Syntax`] with line and column.
    pub fn parse(text: &str, path: &Path) -> Result<Config, BadConfig> {
        toml::from_str(text)
            .map_err(|e| BadConfig::Syntax { path: path.display().to_string(), why: e.to_string().trim().to_owned() })
    }

    /// The configured agent called `name`, in the repository at `root`; `None` when there is none.
    ///
    /// # Errors
    /// See [`BadConfig`].
    pub fn agent(&self, name: &str, root: &Path) -> Option<Result<AgentSettings, BadConfig>> {
        self.agents.get(name).map(|agent| agent.resolve(name, root, self))
    }

    /// The settings of a run of `workflow` in the repository at `root`.
    ///
    /// # Errors
    /// See [`BadConfig`].
    pub fn resolve(&self, workflow: &Workflow, root: &Path, over: &Overrides) -> Result<Settings, BadConfig> {
        let mut agents = BTreeMap::new();
        for (name, agent) in &self.agents {
            agents.insert(AgentName(name.clone()), agent.resolve(name, root, self)?);
        }
        for (i, gate) in self.gates.commands.iter().enumerate() {
            if gate.first().is_none_or(String::is_empty) {
                return Err(BadConfig::EmptyGate { nth: i + 1 });
            }
        }
        self.secrets.check()?;
        let roles = self.resolve_roles(workflow, over)?;
        let used: Vec<&AgentName> = roles.values().flat_map(RoleSettings::agents).collect();
        for (role, settings) in &roles {
            if let Some(missing) = settings.agents().find(|agent| !agents.contains_key(*agent)) {
                return Err(BadConfig::UnknownAgent {
                    role: role.0.clone(),
                    agent: missing.0.clone(),
                    known: join(agents.keys().map(|a| a.0.as_str())),
                });
            }
        }
        let agents: BTreeMap<_, _> =
            agents.iter().filter(|(name, _)| used.contains(name)).map(|(n, a)| (n.clone(), a.clone())).collect();
        let usual = || GENERATED.iter().map(|g| (*g).to_owned()).collect();
        let generated: Vec<String> = self.files.generated.clone().unwrap_or_else(usual);
        for pattern in generated.iter().chain(&self.files.conflict_markers) {
            let bad = |e: globset::Error| BadConfig::Glob { pattern: pattern.clone(), why: e.kind().to_string() };
            globset::Glob::new(pattern).map_err(bad)?;
        }
        let budget = Budget {
            usd: over.budget_usd.or(self.budget.usd),
            tokens: over.budget_tokens.or(self.budget.tokens),
            unknown: self.budget.unknown,
        };
        if let Some(why) = budget.nonsense() {
            return Err(BadConfig::Budget { why });
        }
        Ok(Settings {
            agents,
            roles,
            gates: self.gates.commands.clone(),
            generated,
            conflict_markers: self.files.conflict_markers.clone(),
            limits: self.limits(over)?,
            budget,
            context: self.context.clone().unwrap_or_else(|| CONTEXT.iter().map(|c| (*c).to_owned()).collect()),
            sandbox: Some(self.sandbox.clone()),
            secret_patterns: self.secrets.patterns.clone(),
        })
    }

    fn limits(&self, over: &Overrides) -> Result<Limits, BadConfig> {
        let usual = Limits::default();
        let limits = Limits {
            max_parallel: over.max_parallel.or(self.limits.max_parallel).unwrap_or(usual.max_parallel),
            max_iterations: over.max_iterations.or(self.limits.max_iterations).unwrap_or(usual.max_iterations),
            rounds: self.limits.rounds.unwrap_or(usual.rounds),
            gate_timeout_s: self.gates.timeout_s.unwrap_or(usual.gate_timeout_s),
            grace_ms: self.limits.grace_ms.unwrap_or(usual.grace_ms),
            output_bytes: self.limits.output_bytes.unwrap_or(usual.output_bytes),
            approval_s: self.limits.approval_s.unwrap_or(usual.approval_s),
            prompt_bytes: self.limits.prompt_bytes.unwrap_or(usual.prompt_bytes),
            disk_reserve_mb: self.limits.disk_reserve_mb.unwrap_or(usual.disk_reserve_mb),
        };
        for (name, value) in [
            ("max_parallel", u64::from(limits.max_parallel)),
            ("max_iterations", u64::from(limits.max_iterations)),
            ("rounds", u64::from(limits.rounds)),
            ("[gates] timeout_s", limits.gate_timeout_s),
            ("output_bytes", limits.output_bytes),
            ("approval_s", limits.approval_s),
            ("prompt_bytes", limits.prompt_bytes),
        ] {
            if value == 0 {
                return Err(BadConfig::Zero { name: name.to_owned() });
            }
        }
        Ok(limits)
    }

    /// The roles of the workflow and the specialists. A role without an agent of its own gets the only agent there
    /// is, when there is only one.
    fn resolve_roles(
        &self,
        workflow: &Workflow,
        over: &Overrides,
    ) -> Result<BTreeMap<RoleName, RoleSettings>, BadConfig> {
        let mut rights: BTreeMap<String, Rights> = workflow.roles.iter().map(|(n, r)| (n.0.clone(), *r)).collect();
        let hears_specialists =
            workflow.stages.iter().any(|s| matches!(&s.work, Work::Panel { every_specialist: true, .. }));
        let is_another = |name: &&String| rights.get(*name).is_some_and(|rights| *rights != Rights::Specialist);
        if let Some(name) = self.specialists.keys().find(is_another) {
            return Err(BadConfig::NoSpecialist { name: name.clone(), workflow: workflow.name.clone() });
        }
        if hears_specialists {
            rights.extend(self.specialists.keys().map(|name| (name.clone(), Rights::Specialist)));
        }
        let known = || join(rights.keys().map(String::as_str));
        let named = over.agents.iter().map(|(role, _)| role).chain(self.roles.keys());
        for role in named {
            if !rights.contains_key(role) && !is_role_of_another_workflow(role) {
                return Err(BadConfig::UnknownRole {
                    role: role.clone(),
                    workflow: workflow.name.clone(),
                    known: known(),
                });
            }
        }
        let only = if self.agents.len() == 1 { self.agents.keys().next() } else { None };
        let mut roles = BTreeMap::new();
        for (name, rights) in &rights {
            let config = self.roles.get(name).or_else(|| self.specialists.get(name)).cloned().unwrap_or_default();
            let asked = over.agents.iter().rev().find(|(role, _)| role == name).map(|(_, agent)| agent.clone());
            let Some(agent) = asked.or(config.agent).or_else(|| only.cloned()) else {
                return Err(BadConfig::NoAgent { role: name.clone(), workflow: workflow.name.clone() });
            };
            if config.timeout_s == Some(0) || config.idle_s == Some(0) {
                return Err(BadConfig::Zero { name: format!("timeout_s and idle_s of role '{name}'") });
            }
            roles.insert(
                RoleName(name.clone()),
                RoleSettings {
                    agent: AgentName(agent),
                    rights: *rights,
                    timeout_s: config.timeout_s.unwrap_or(1800),
                    idle_s: config.idle_s,
                    prompt: config.prompt,
                    model: config.model,
                    fallbacks: config.fallbacks.into_iter().map(AgentName).collect(),
                    sandbox: config.sandbox,
                },
            );
        }
        Ok(roles)
    }
}

/// Roles that other workflows use may stand in the same file.
fn is_role_of_another_workflow(role: &str) -> bool {
    const KNOWN: &[&str] =
        &["spec-writer", "architect", "engineer", "qa", "coder", "tester", "reviewer", "coordinator", "auditor"];
    KNOWN.contains(&role)
}

fn join<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::permission::Permissions;
    use crate::workflow::builtin::ralph;

    fn resolve(text: &str) -> Result<Settings, BadConfig> {
        Config::parse(text, Path::new(".p0/config.toml"))?.resolve(&ralph(), Path::new("/r"), &Overrides::default())
    }

    #[test]
    fn one_agent_plays_every_role() {
        let settings =
            resolve("[agents.a]\nkind='command'\ncommand=['x']\n[specialists.security]\nprompt='p'").unwrap();
        assert_eq!(settings.roles.len(), 4);
        assert!(settings.roles.values().all(|r| r.agent.0 == "a"));
        assert_eq!(settings.specialists().map(|s| s.0.as_str()).collect::<Vec<_>>(), ["security"]);
        assert!(settings.generated.contains(&"Cargo.lock".to_owned()));
    }

    #[test]
    fn without_a_sandbox_a_known_agent_asks() {
        let of = |text: &str| {
            resolve(&format!("[agents.a]\nkind='claude'\n{text}")).unwrap().agents[&"a".into()].permissions
        };
        assert_eq!(of(""), Permissions::Allow);
        assert_eq!(of("[sandbox]\nmode='off'"), Permissions::Ask);
        assert_eq!(of("[agents.a.sandbox]\nmode='best_effort'"), Permissions::Ask);
        assert_eq!(of("permissions='allow'\n[sandbox]\nmode='off'"), Permissions::Allow, "who says so means it");
        let why = resolve("[agents.a]\nkind='codex'\n[sandbox]\nmode='off'").unwrap_err().to_string();
        assert!(why.contains("permissions = \"allow\""), "one that cannot ask must be let: {why}");
    }

    #[test]
    fn values_of_the_environment_are_not_recorded() {
        let settings = resolve("[agents.a]\nkind='command'\ncommand=['x']\nenv={KEY='secret'}").unwrap();
        assert_eq!(settings.agents[&"a".into()].env_names, ["KEY"]);
        assert!(!serde_json::to_string(&settings).unwrap().contains("secret"));
        let one = "[agents.a]\nkind='command'\ncommand=['x']\n[secrets]\npatterns=";
        assert_eq!(resolve(&format!("{one}['tok-[0-9]+']")).unwrap().secret_patterns, ["tok-[0-9]+"]);
        for bad in ["['x', '(']", "['x*']"] {
            assert!(matches!(resolve(&format!("{one}{bad}")), Err(BadConfig::Pattern { .. })), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_mend() {
        let sentence = |text: &str| resolve(text).unwrap_err().to_string();
        let one = "[agents.a]\nkind='command'\ncommand=['x']\n";
        assert!(sentence("agents = 3").contains("line 1"));
        assert!(sentence("[agents.a]\nkind='telepathy'").contains("telepathy"));
        assert!(sentence("[agents.a]\nkind='command'").contains("needs command"));
        assert!(sentence(&format!("{one}[roles.executor]\nagent='b'")).contains("'b'"));
        assert!(sentence(&format!("{one}[roles.dancer]\nagent='a'")).contains("planner"));
        assert!(sentence("").contains("[roles.executor]"));
        assert!(sentence(&format!("{one}[limits]\nmax_parallel=0")).contains("max_parallel"));
        assert!(sentence(&format!("{one}[gates]\ncommands=[[]]")).contains("empty"));
        assert!(sentence(&format!("{one}[limit]\nmax_parallel=1")).contains("limit"));
    }

    #[test]
    fn what_would_fail_later_is_refused_now() {
        let one = "[agents.a]\nkind='command'\ncommand=['x']\n";
        for (bad, why) in [
            ("[files]\ngenerated=['[']", "'[' is no pattern of paths"),
            ("[budget]\nusd=-1", "-1 USD is no budget"),
            ("[budget]\nusd=nan", "NaN USD is no budget"),
            ("[specialists.verifier]\nprompt='p'", "write [roles.verifier]"),
        ] {
            let told = resolve(&format!("{one}{bad}")).unwrap_err().to_string();
            assert!(told.contains(why), "{bad}: {told}");
        }
    }
}
