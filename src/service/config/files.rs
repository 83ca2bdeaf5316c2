//! Reading `.p0/config.toml`, choosing the workflow, and resolving both into the settings of a run.
use super::{env, limits};
use crate::{
    model::{
        config::{Config, Overrides},
        id::AgentName,
        sandbox::Mode,
        settings::{AgentKind, AgentSettings, Settings},
        workflow::{Workflow, builtin, check},
    },
    sandbox::Kernel,
    service::{
        problem::{Kind, Problem},
        project::Project,
    },
    system::plain_file,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// The largest configuration that is read, in bytes.
const MAX_CONFIG_BYTES: u64 = 1024 * 1024;

/// Where the settings of a repository stand, relative to its root.
pub const CONFIG_FILE: &str = ".p0/config.toml";

/// Where configurations come from.
#[derive(Debug, Clone, Default)]
pub struct Configs {
    /// The file for repositories without one of their own (`p0d --config`).
    pub fallback: Option<PathBuf>,
}

impl Configs {
    /// The configuration of the repository at `root`; the defaults where it has none.
    ///
    /// # Errors
    /// The file cannot be read, or is not of the form.
    pub fn load(&self, root: &Path) -> Result<Config, Problem> {
        let own = root.join(CONFIG_FILE);
        // A link that leads nowhere is there: its owner believes that p0 reads it.
        let there = std::fs::symlink_metadata(&own).is_ok();
        let path = if there { own } else { self.fallback.clone().unwrap_or(own) };
        match read_config(&path) {
            Ok(text) => Ok(Config::parse(&text, &path)?),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !there => Ok(Config::default()),
            Err(e) => Err(unreadable(&path, &e)),
        }
    }

    /// The variables that the configuration gives an agent, with their values: never recorded, so asked for at every
    /// start of a program.
    ///
    /// # Errors
    /// The file cannot be read, or is not of the form.
    pub fn agent_env(&self, root: &Path, agent: &AgentName) -> Result<BTreeMap<String, String>, Problem> {
        let config = self.load(root)?;
        let Some(agent) = config.agents.get(&agent.0) else { return Ok(BTreeMap::new()) };
        Ok(agent.env.clone())
    }
}

/// Reads a configuration, and nothing but a file.
pub(crate) fn read_config(path: &Path) -> std::io::Result<String> {
    plain_file::read_text(path, MAX_CONFIG_BYTES)
}

/// Whether the prompts of these roles, where the repository has some, are files that can be read.
fn check_prompts(settings: &Settings, root: &Path) -> Result<(), Problem> {
    for role in settings.roles.keys() {
        let path = root.join(".p0/roles").join(format!("{role}.md"));
        match plain_file::open(&path) {
            Err(e) if std::fs::symlink_metadata(&path).is_ok() => return Err(unreadable(&path, &e)),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

fn unreadable(path: &Path, error: &std::io::Error) -> Problem {
    Problem::new(Kind::Config, format!("reading {}: {error}", path.display()))
}

/// The workflow: asked for, declared by the spec, configured, or `ralph`.
pub(crate) fn workflow(asked: Option<&str>, declared: Option<&str>, config: &Config) -> Result<Workflow, Problem> {
    let name = asked.or(declared).or(config.workflow.as_deref()).unwrap_or("ralph");
    let Some(workflow) = builtin::named(name) else {
        return Err(Problem::new(Kind::Config, format!("there is no workflow '{name}'"))
            .hint(format!("this version has: {}", builtin::NAMES.join(", "))));
    };
    check::check(&workflow)?;
    Ok(workflow)
}

/// The settings of a run, with every agent's program found; and who was left out because its program is not there while
/// every role that it plays has another agent: a sentence each, for the person.
pub(crate) fn settings(
    config: &Config,
    workflow: &Workflow,
    project: &Project,
    over: &Overrides,
) -> Result<(Settings, Vec<String>), Problem> {
    if config.agents.is_empty() {
        return Err(Problem::new(Kind::Config, "no agent is configured for this repository").hint(format!(
            "`p0 init` writes {CONFIG_FILE}; then name your agent under [agents.NAME] with kind = \"command\""
        )));
    }
    let mut settings = config.resolve(workflow, &project.root, over)?;
    let mut missing = BTreeMap::new();
    for (name, agent) in &mut settings.agents {
        let bad = |why: String| Problem::new(Kind::Config, format!("agent '{name}': {why}"));
        match agent.kind {
            AgentKind::Command | AgentKind::Cli => {
                if let Err(why) = locate(agent, project) {
                    missing.insert(name.clone(), why);
                }
            }
            AgentKind::Playbook => {
                let file = agent.command.first().cloned().unwrap_or_default();
                if !Path::new(&file).is_file() {
                    return Err(bad(format!("there is no playbook {file}; correct file = \"PATH\"")));
                }
            }
        }
    }
    let left_out = leave_out(&mut settings, &missing)?;
    check_prompts(&settings, &project.root)?;
    can_confine(&settings)?;
    limits::let_programs_start(&settings)?;
    Ok((settings, left_out))
}

/// Takes agents without a program out of the roles that others can play; the first of the others takes their place.
fn leave_out(
    settings: &mut Settings,
    missing: &BTreeMap<AgentName, env::MissingProgram>,
) -> Result<Vec<String>, Problem> {
    for role in settings.roles.values_mut() {
        let mut there = role.agents().filter(|name| !missing.contains_key(*name)).cloned();
        let Some(first) = there.next() else {
            let why = missing.get(&role.agent).map(ToString::to_string).unwrap_or_default();
            return Err(Problem::new(Kind::Config, format!("agent '{}': {why}", role.agent)));
        };
        let others = there.collect();
        (role.agent, role.fallbacks) = (first, others);
    }
    settings.agents.retain(|name, _| !missing.contains_key(name));
    Ok(missing.iter().map(|(name, why)| format!("agent '{name}' is left out of this run: {why}")).collect())
}

/// Whether this kernel can enforce what the sandboxes ask for. What cannot be had is refused before anything begins,
/// unless the configuration accepts it.
fn can_confine(settings: &Settings) -> Result<(), Problem> {
    let kernel = Kernel::probe(&env::var("PATH").unwrap_or_default());
    for (role, of_role) in &settings.roles {
        for agent in of_role.agents() {
            let sandbox = settings.sandbox_of(role, agent);
            let missing = kernel.missing(&sandbox);
            if sandbox.mode == Mode::Enforce && !missing.is_empty() {
                let text = format!("the sandbox of role '{role}' cannot be enforced here: {}", missing.join("; "));
                return Err(Problem::new(Kind::Config, text).hint(
                    "[sandbox] mode = \"best_effort\" accepts what this kernel gives, \"off\" confines nothing",
                ));
            }
        }
    }
    Ok(())
}

/// Makes the program's path absolute: the agent runs in a worktree, where a path meant from the repository's root
/// leads nowhere when the file is not committed. The same for a script that an interpreter is given.
fn locate(agent: &mut AgentSettings, project: &Project) -> Result<(), env::MissingProgram> {
    let Some(program) = agent.command.first_mut() else { return Ok(()) };
    let found = env::find_program(program, &project.root)?;
    if program.contains('/') {
        *program = found.display().to_string();
    }
    if let Some(script) = agent.command.get_mut(1) {
        let file = project.root.join(script.as_str());
        if !script.starts_with(['-', '/']) && file.is_file() && !project.has(script) {
            *script = file.display().to_string();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(root: &Path) -> Project {
        let repo = git2::Repository::init(root).unwrap();
        let author = git2::Signature::new("a", "a@b", &git2::Time::new(0, 0)).unwrap();
        let tree = repo.find_tree(repo.index().unwrap().write_tree().unwrap()).unwrap();
        if repo.head().is_err() {
            repo.commit(Some("HEAD"), &author, &author, "first", &tree, &[]).unwrap();
        }
        crate::service::project::look(root, None).unwrap()
    }

    #[test]
    fn a_missing_file_is_the_defaults_and_an_unknown_workflow_lists_the_known() {
        let dir = tempfile::tempdir().unwrap();
        let config = Configs::default().load(dir.path()).unwrap();
        assert!(config.agents.is_empty());
        assert_eq!(workflow(None, None, &config).unwrap().name, "ralph");
        let problem = workflow(Some("waltz"), None, &config).unwrap_err();
        assert_eq!((problem.kind, problem.hint.unwrap().contains("ralph")), (Kind::Config, true));
        let problem = settings(&config, &builtin::ralph(), &project(dir.path()), &Overrides::default()).unwrap_err();
        assert!(problem.hint.unwrap().contains("p0 init"));
    }

    #[test]
    fn programs_are_checked_before_anything_is_recorded() {
        let dir = tempfile::tempdir().unwrap();
        let parse = |text: &str| Config::parse(text, Path::new("c")).unwrap();
        let resolve =
            |text: &str| settings(&parse(text), &builtin::ralph(), &project(dir.path()), &Overrides::default());
        let missing = resolve("[agents.a]\nkind='command'\ncommand=['./nope.sh']").unwrap_err();
        assert_eq!(missing.kind, Kind::Config);
        assert!(missing.detail.contains("nope.sh"), "{}", missing.detail);
        std::fs::write(dir.path().join("agent.py"), "").unwrap();
        let (found, left_out) = resolve("[agents.a]\nkind='command'\ncommand=['sh', 'agent.py', 'agent.py']").unwrap();
        assert_eq!(left_out, Vec::<String>::new());
        let command = &found.agents[&"a".into()].command;
        assert_eq!(command[0], "sh");
        assert!(command[1].starts_with('/'), "not committed: taken from the repository's root");
        assert_eq!(command[2], "agent.py");
    }

    #[test]
    fn who_is_not_there_is_left_out_where_another_can_play() {
        let dir = tempfile::tempdir().unwrap();
        let resolve = |roles: &str| {
            let agents = "[agents.there]\nkind='command'\ncommand=['sh']\n\
                          [agents.also]\nkind='command'\ncommand=['sh']\n\
                          [agents.gone]\nkind='codex'\ncommand=['surely-no-such-codex']\n\
                          [agents.lost]\nkind='command'\ncommand=['./lost.sh']\n";
            let config = Config::parse(&format!("{agents}{roles}"), Path::new("c")).unwrap();
            settings(&config, &builtin::ralph(), &project(dir.path()), &Overrides::default())
        };
        let others = "[roles.executor]\nagent='there'\nfallbacks=['gone', 'also']\n[roles.verifier]\nagent='also'\n";
        let (found, left_out) =
            resolve(&format!("{others}[roles.planner]\nagent='gone'\nfallbacks=['lost', 'also', 'there']")).unwrap();
        let plays = |role: &str| found.roles[&role.into()].agents().map(|a| a.0.clone()).collect::<Vec<_>>();
        assert_eq!(plays("planner"), ["also", "there"]);
        assert_eq!(plays("executor"), ["there", "also"]);
        assert_eq!(plays("verifier"), ["also"]);
        assert_eq!(found.agents.keys().map(|a| a.0.as_str()).collect::<Vec<_>>(), ["also", "there"]);
        assert_eq!(left_out.len(), 2);
        assert!(left_out[0].contains("'gone'") && left_out[0].contains("not on PATH"), "{left_out:?}");
        assert!(left_out[1].contains("'lost'"), "{left_out:?}");
        let refused = resolve(&format!("{others}[roles.planner]\nagent='gone'\nfallbacks=['lost']")).unwrap_err();
        assert_eq!(refused.kind, Kind::Config);
        assert!(refused.detail.contains("agent 'gone': 'surely-no-such-codex' is not on PATH"), "{}", refused.detail);
    }

    #[test]
    fn values_of_an_agents_environment_come_from_the_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join(".p0")).unwrap();
        let text = "[agents.a]\nkind='command'\ncommand=['x']\nenv={KEY='v'}";
        std::fs::write(dir.path().join(CONFIG_FILE), text).unwrap();
        let env = Configs::default().agent_env(dir.path(), &"a".into()).unwrap();
        assert_eq!(env["KEY"], "v");
    }
}
