//! What the driver of a command-line agent is given: its drive file, and the person's variables.
use super::{
    World,
    error::{Error, Gone, Refusal},
    sandbox_input::Own,
};
use crate::{
    driver::{Drive, Resume, write_private},
    model::{
        attempt::Attempt,
        permission::Permissions,
        run::Run,
        sandbox::{self, Mode, SandboxConfig},
        settings::{AgentSettings, Budget},
    },
};
use std::path::Path;

impl World {
    /// Writes the drive file and hands the logins over ([`super::logins`]); the answer is the driver's command line.
    pub(super) fn drive(
        &self,
        run: &Run,
        attempt: &Attempt,
        agent: &AgentSettings,
        worktree: &Path,
        own: Option<&Own>,
    ) -> Result<Vec<String>, Error> {
        let own = own.ok_or(Gone::Home)?;
        let adapter = agent.adapter.as_deref().ok_or(Gone::Adapter)?;
        let permissions = permissions(run, attempt, agent);
        if permissions != Permissions::Allow && !adapter.can_ask() {
            return Err(Refusal::Unguarded { adapter: adapter.name.clone(), role: attempt.role.clone() }.into());
        }
        self.hand_over_logins(attempt, adapter, &own.home)?;
        let resume = attempt.talk.resumes.as_ref().map(|session| Resume {
            session: session.id.clone(),
            input_tokens: session.used.input_tokens,
            output_tokens: session.used.output_tokens,
            cached_tokens: session.used.cached_tokens,
            cost_usd: session.used.cost_usd,
        });
        let drive = Drive {
            adapter: adapter.clone(),
            program: agent.command.clone(),
            model: attempt.talk.model.clone(),
            system: None,
            session: resume,
            worktree: worktree.to_owned(),
            home: own.home.clone(),
            temp: own.temp.clone(),
            p0: self.options.supervisor.clone(),
            permissions,
            // What the attempt says comes after what its program printed, and must be kept too.
            log_bytes: Some(run.settings.limits.output_bytes / 4 * 3),
            budgeted: run.settings.budget != Budget::default(),
            extra_args: agent.extra_args.clone(),
        };
        let file = own.temp.join("drive.json");
        let text = serde_json::to_vec(&drive)?;
        write_private(&file, &text).map_err(Error::at(&file))?;
        tracing::debug!("attempt {} of run {} is driven as {}", attempt.id, run.id, adapter.name);
        let text = |path: &Path| path.display().to_string();
        Ok(vec![text(&self.options.supervisor), "__drive".to_owned(), text(&file)])
    }

    /// The variables of the person that the agent's adapter names.
    pub(super) fn handed_on(&self, agent: &AgentSettings) -> Vec<(String, String)> {
        let Some(adapter) = &agent.adapter else { return Vec::new() };
        let named = |(name, _): &&(String, String)| adapter.pass_env.contains(name);
        self.options.environment.person.iter().filter(named).cloned().collect()
    }
}

/// What the agent has, unless its role took the sandbox away that it was given them for.
fn permissions(run: &Run, attempt: &Attempt, agent: &AgentSettings) -> Permissions {
    let usual = SandboxConfig::default();
    let of_agent = sandbox::resolve(run.settings.sandbox.as_ref(), &agent.sandbox, &usual).mode;
    let of_role = run.settings.sandbox_of(&attempt.role, &attempt.agent).mode;
    if of_agent == Mode::Enforce && of_role != Mode::Enforce && agent.permissions == Permissions::Allow {
        return Permissions::Ask;
    }
    agent.permissions
}
