//! The sandbox of an attempt: its own home and temporary folder, and the limits of its program.
use super::{World, error::Error};
use crate::{
    model::{attempt::Attempt, id::RunId, run::Run, sandbox::Mode, settings::AgentKind},
    sandbox::{self, Confine, Places},
};
use std::{
    collections::BTreeMap,
    io::Write,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

/// What of an attempt the limits are made from.
pub(super) struct SandboxInput<'a> {
    pub(super) project: &'a Path,
    pub(super) worktree: &'a Path,
    pub(super) attempt_socket: Option<&'a Path>,
    pub(super) argv: &'a [String],
    pub(super) own: &'a Own,
}

/// What an attempt has of its own.
pub(super) struct Own {
    /// Its home.
    pub(super) home: PathBuf,
    /// Its folder for temporary files.
    pub(super) temp: PathBuf,
}

impl World {
    /// Makes the attempt's home and temporary folder. A program without a sandbox is at home in the person's, unless it
    /// is a known one: those keep their conversations and settings there.
    pub(super) fn own_places(&self, run: &Run, attempt: &Attempt, project: &Path) -> Result<Option<Own>, Error> {
        let is_cli = run.settings.agents.get(&attempt.agent).is_some_and(|agent| agent.kind == AgentKind::Cli);
        if run.settings.sandbox_of(&attempt.role, &attempt.agent).mode == Mode::Off && !is_cli {
            return Ok(None);
        }
        let repository = self.repository(&project.display().to_string())?;
        let own = Own { home: self.home_of(attempt)?, temp: private(self.attempt_dir(attempt.id).join("tmp"))? };
        greet(&own.home, repository.person())?;
        Ok(Some(own))
    }

    /// Points `env` at the attempt's own places, and says what the program may touch.
    pub(super) fn confine(
        &self,
        run: &Run,
        attempt: &Attempt,
        env: &mut BTreeMap<String, String>,
        sandbox_input: &SandboxInput<'_>,
    ) -> Result<Option<Confine>, Error> {
        let settings = run.settings.sandbox_of(&attempt.role, &attempt.agent);
        let Own { home, temp } = sandbox_input.own;
        // Not that of `env`, which an agent's table may set: what is hidden is the person's.
        let home_of_person = self.options.environment.agents.iter().find(|(name, _)| name == "HOME");
        let person = home_of_person.map(|(_, home)| PathBuf::from(home));
        sandbox::hermetic(env, home, temp);
        if settings.mode == Mode::Off {
            return Ok(None);
        }
        let repository = self.repository(&sandbox_input.project.display().to_string())?;
        let (git, objects) = repository.agent_places(&attempt.id.to_string())?;
        let logins = run.settings.agents.values().filter_map(|agent| agent.adapter.as_ref()).map(|it| &it.login);
        let secrets = person.as_deref().map(|home| sandbox::secrets_of(home, &self.options.environment.person, logins));
        let places = Places {
            worktree: sandbox_input.worktree,
            git: vec![git],
            objects,
            home,
            temp,
            attempt_socket: sandbox_input.attempt_socket,
            data: &self.options.data_dir,
            project: sandbox_input.project,
            project_git: repository.person().git_dir(),
            person: person.as_deref(),
            secrets: secrets.unwrap_or_default(),
            argv: sandbox_input.argv,
            p0: &self.options.supervisor,
            env,
        };
        Ok(sandbox::confine(&settings, &places))
    }

    /// The home of an agent at work on one ticket, or in one role: it survives rounds, and conversations with it.
    pub(super) fn home_of(&self, attempt: &Attempt) -> Result<PathBuf, Error> {
        let whose = attempt.ticket.as_ref().map_or_else(|| attempt.role.to_string(), ToString::to_string);
        let name: String = format!("{whose}-{}", attempt.agent)
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' })
            .collect();
        private(self.homes_of(attempt.run).join(name))
    }

    /// Where the homes of a run's agents are.
    pub(super) fn homes_of(&self, run: RunId) -> PathBuf {
        self.options.data_dir.join("homes").join(run.to_string())
    }
}

/// Who the person is, for what agents commit elsewhere than in their worktree, whose own settings say it.
fn greet(home: &Path, person: &crate::git::PersonRepo) -> Result<(), Error> {
    let path = home.join(".gitconfig");
    let Ok(identity) = person.identity() else { return Ok(()) };
    let clean = |value: &str| value.replace(['\\', '"', '\n'], "");
    let text = format!("[user]\n\tname = \"{}\"\n\temail = \"{}\"\n", clean(&identity.name), clean(&identity.email));
    // Never through a link that an earlier round may have left there.
    match std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&path)
        .and_then(|mut f| f.write_all(text.as_bytes()))
    {
        Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => Err(Error::at(&path)(e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A folder that only its owner may look into.
fn private(dir: PathBuf) -> Result<PathBuf, Error> {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir);
    made.map_err(Error::at(&dir))?;
    Ok(dir)
}
