//! Starting an attempt: worktree, input, token, supervisor. The program itself waits for "go".
use super::{
    World, blocking,
    error::{Error, Gone},
    retry::{Retry, Then},
    said,
    sandbox_input::SandboxInput,
};
use crate::{
    git::{Merge, ProjectRepository},
    model::{
        aggregate::Aggregate,
        attempt::{Attempt, Worktree},
        command::Action,
        id::{AttemptId, MilestoneId, RunId},
        run::Run,
        settings::{AgentKind, AgentSettings},
        workflow::Rights,
    },
    process::{self, AgentSpec, Found},
    prompts::{input::input, source::Source},
    sandbox::{Redactor, secrets_in_file},
    system::{clock, plain_file},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
    time::Duration,
};

/// How often, and at which intervals, it is looked whether a worktree was given back.
const WORKTREE_TRIES: u32 = 400;
const WORKTREE_PAUSE: Duration = Duration::from_millis(25);

/// What a launched supervisor is known by.
struct Prepared {
    spec: AgentSpec,
    /// Its input as it is kept.
    kept: Vec<u8>,
    token_hash: String,
    stdin: Vec<u8>,
}

/// Why an attempt could not be started.
enum Trouble {
    /// It has no worktree, or the repository went away meanwhile.
    Repository(Error),
    /// Anything else.
    Other(Error),
}

impl<E: Into<Error>> From<E> for Trouble {
    fn from(error: E) -> Trouble {
        Trouble::Other(error.into())
    }
}

impl World {
    pub(super) async fn spawn(self: &Arc<Self>, stream: MilestoneId, id: AttemptId) {
        let Some(run) = self.state(stream).and_then(|s| Some(s.attempts.get(&id)?.run)) else { return };
        let mut retry = Retry::new(self, Some(run), &format!("making the worktree of attempt {id}"), String::new());
        let error = loop {
            match self.try_spawn(stream, id).await {
                Ok(Some(spawned)) => return self.report(stream, spawned).await,
                Ok(None) => return,
                // Not the agent's trouble: the repository is, or the place for worktrees.
                Err(Trouble::Repository(error)) if self.pauses_for_trouble(stream, run) && !error.is_full() => {
                    if !self.goes_on(stream, run, &mut retry, Then::HoldUp, error).await {
                        return;
                    }
                }
                Err(Trouble::Repository(error) | Trouble::Other(error)) => break error,
            }
        };
        let action = Action::AttemptExited { attempt: id, report: Box::new(said::not_started(error.told())) };
        self.report_failure(stream, action, error.full()).await;
    }

    fn pauses_for_trouble(&self, stream: MilestoneId, run: RunId) -> bool {
        let state = self.state(stream);
        let run = state.as_ref().and_then(|state| state.runs.get(&run));
        run.is_some_and(|run| run.tells_trouble_from_fault() && !run.state.is_over())
    }

    async fn try_spawn(self: &Arc<Self>, stream: MilestoneId, id: AttemptId) -> Result<Option<Action>, Trouble> {
        let Some(state) = self.state(stream) else { return Ok(None) };
        let Some(attempt) = state.attempts.get(&id).cloned() else { return Ok(None) };
        let project = state.milestone.as_ref().map(|m| m.project.clone()).unwrap_or_default();
        let dir = self.attempt_dir(id);
        self.await_worktree(stream, &state, &attempt).await;
        // Held until the supervisor waits.
        let Ok(_place) = self.starts.acquire().await else { return Ok(None) };
        // Begun again at the next start of the engine.
        if self.is_stopping() {
            return Ok(None);
        }
        self.clear_earlier(&dir).await?;
        // It becomes a process while its worktree and input are made.
        let started = process::start(&self.options.supervisor, &dir)?;
        let world = self.clone();
        let prepared = blocking(move || {
            let began = clock::monotonic();
            let tree = world.worktree(&state, &attempt)?;
            // `cargo bench --bench dispatch` reads this.
            tracing::debug!("attempt {} has its worktree after {} us", attempt.id, began.elapsed().as_micros());
            Ok::<_, Error>(world.prepare(&state, &attempt, tree))
        });
        let prepared = prepared.await.map_err(Trouble::Repository)?;
        let gone =
            |error| if Path::new(&project).exists() { Trouble::Other(error) } else { Trouble::Repository(error) };
        let prepared = prepared.map_err(gone)?;
        // Made durable while the supervisor gets ready, which waits until the event that names it is.
        let (handle, kept) = (self.handle.clone(), prepared.kept);
        let kept = tokio::task::spawn_blocking(move || handle.put_blob(&kept));
        process::prepare(&dir, &prepared.spec, &prepared.stdin)?;
        let launched = started.launched().await?;
        let input = kept.await??;
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, launched.go);
        Ok(Some(Action::AttemptSpawned {
            attempt: id,
            pid: u32::try_from(launched.pid).unwrap_or_default(),
            start_ticks: launched.start_ticks,
            nonce: launched.nonce,
            token_hash: prepared.token_hash,
            input: Some(input),
        }))
    }

    /// A conversation goes on in the folder it was in, once that was given back; not for ever: elsewhere it begins anew.
    async fn await_worktree(&self, stream: MilestoneId, state: &Aggregate, attempt: &Attempt) {
        let Some(before) = talked_before(state, attempt) else { return };
        let is_held = |state: &Aggregate| state.attempts.get(&before).is_some_and(|a| a.worktree == Worktree::Held);
        for _ in 0..WORKTREE_TRIES {
            if !self.state(stream).is_some_and(|state| is_held(&state)) || !self.pause(WORKTREE_PAUSE).await {
                return;
            }
        }
        tracing::info!("attempt {} does not wait any longer for the worktree of {before}", attempt.id);
    }

    /// A supervisor of an earlier engine whose start was never put on record has not been told "go": it ends by
    /// itself, and nothing ran.
    async fn clear_earlier(&self, dir: &Path) -> Result<(), Error> {
        let at = dir.to_owned();
        let found = blocking(move || process::look(&at)).await;
        if let Ok(Found::Running(_) | Found::Waiting(_) | Found::Lost { .. }) = found
            && let Err(e) = process::stop(dir).await
        {
            tracing::warn!("ending an earlier supervisor: {e}");
        }
        process::remove_tree(dir).map_err(Error::at(dir))
    }

    fn prepare(
        &self,
        state: &Aggregate,
        attempt: &Attempt,
        (worktree, carried): (PathBuf, Vec<String>),
    ) -> Result<Prepared, Error> {
        let run = state.runs.get(&attempt.run).ok_or(Gone::Run)?;
        let project = state.milestone.as_ref().map(|m| m.project.clone()).unwrap_or_default();
        let project = Path::new(&project);
        let spec = state.milestone.as_ref().map(|m| self.handle.blob(m.id, &m.spec)).transpose()?;
        let template = role_prompt(&project.join(".p0/roles").join(format!("{}.md", attempt.role)))?;
        let source = Source {
            state,
            run,
            attempt,
            spec: String::from_utf8_lossy(&spec.unwrap_or_default()).into_owned(),
            template,
            context: context(&run.settings.context, &worktree),
            carried,
        };
        let mut stdin = serde_json::to_vec(&input(&source))?;
        stdin.push(b'\n');
        // What is kept of it has no secrets either: files of the repository may hold some.
        let kept =
            Redactor::default().with_patterns(&run.settings.secret_patterns).redact(&stdin, &mut BTreeMap::new());
        let token = uuid::Uuid::new_v4().simple().to_string();
        let token_hash = blake3::hash(token.as_bytes()).to_hex().to_string();
        let socket = self.attempt_socket(attempt.id, &token_hash);
        let spec = self.agent_spec(run, attempt, project, &worktree, socket, &token)?;
        Ok(Prepared { spec, kept, token_hash, stdin })
    }

    /// An executor keeps its worktree until its work is safe; a reader's is scratch.
    /// The answer names it, and the paths that an earlier attempt left in it.
    fn worktree(&self, state: &Aggregate, attempt: &Attempt) -> Result<(PathBuf, Vec<String>), Error> {
        let project = state.milestone.as_ref().map(|m| m.project.clone()).unwrap_or_default();
        let repository = self.repository(&project)?;
        let holder = attempt.id.to_string();
        let tree = match attempt.rights {
            Rights::Executor => {
                let before = talked_before(state, attempt).map(|id| id.to_string());
                let tree = repository.checkout_after(&holder, &attempt.base.0, before.as_deref());
                let tree = tree?;
                return Ok((tree, carry(&repository, state, attempt)?));
            }
            Rights::Planner | Rights::Verifier | Rights::Specialist => {
                repository.checkout_fresh(&holder, &attempt.base.0, false)
            }
        };
        Ok((tree?, Vec::new()))
    }

    fn attempt_socket(&self, id: AttemptId, token_hash: &str) -> Option<PathBuf> {
        let attempt_socket = self.options.attempt_socket.as_ref()?;
        match attempt_socket.open(id, token_hash) {
            Ok(socket) => Some(socket),
            Err(e) => {
                tracing::warn!("attempt {id} gets no socket of its own: {e}");
                None
            }
        }
    }

    fn agent_spec(
        &self,
        run: &Run,
        attempt: &Attempt,
        project: &Path,
        worktree: &Path,
        socket: Option<PathBuf>,
        token: &str,
    ) -> Result<AgentSpec, Error> {
        let agent = run.settings.agents.get(&attempt.agent).ok_or_else(|| Gone::Agent(attempt.agent.clone()))?;
        let role = run.settings.roles.get(&attempt.role);
        let own = self.own_places(run, attempt, project)?;
        let argv = match agent.kind {
            AgentKind::Command => program(&agent.command, project, worktree),
            AgentKind::Playbook => {
                let mut argv = vec![self.options.supervisor.display().to_string(), "__playbook".to_owned()];
                argv.extend(agent.command.iter().cloned());
                argv
            }
            AgentKind::Cli => self.drive(run, attempt, agent, worktree, own.as_ref())?,
        };
        let mut env: BTreeMap<String, String> = self.options.environment.agents.iter().cloned().collect();
        env.extend(self.handed_on(agent));
        if !agent.env_names.is_empty() {
            env.extend((self.options.agent_env)(project, &attempt.agent)?);
        }
        env.extend(own_variables(attempt, worktree, socket.as_deref(), token, &self.options.supervisor));
        // The program that the driver starts must be readable as well.
        let named: Vec<String> = argv.iter().chain(&agent.command).cloned().collect();
        let confine = match &own {
            Some(own) => {
                let sandbox_input =
                    SandboxInput { project, worktree, attempt_socket: socket.as_deref(), argv: &named, own };
                self.confine(run, attempt, &mut env, &sandbox_input)?
            }
            None => None,
        };
        let logins = own.as_ref().map(|own| handed_over(agent, &own.home)).unwrap_or_default();
        let hidden = logins.iter().flat_map(|(name, path)| secrets_in_file(name, path)).collect();
        Ok(AgentSpec {
            argv,
            cwd: worktree.to_owned(),
            env,
            wall_limit_ms: role.map_or(1_800_000, |r| r.timeout_s.saturating_mul(1000)),
            idle_limit_ms: role.and_then(|r| r.idle_s).map(|s| s.saturating_mul(1000)),
            grace_ms: run.settings.limits.grace_ms,
            stdout_limit: run.settings.limits.output_bytes,
            stderr_limit: run.settings.limits.output_bytes.min(1024 * 1024),
            keeps_messages: true,
            nonce: uuid::Uuid::new_v4().simple().to_string(),
            confine,
            secrets: agent.env_names.clone(),
            secret_patterns: run.settings.secret_patterns.clone(),
            hidden,
            logins,
        })
    }
}

/// What every agent is told of its attempt in its environment (docs/agents.md).
fn own_variables(
    attempt: &Attempt,
    worktree: &Path,
    socket: Option<&Path>,
    token: &str,
    p0: &Path,
) -> [(String, String); 9] {
    let text = |path: &Path| path.display().to_string();
    [
        ("P0_ROLE", attempt.role.0.clone()),
        ("P0_RIGHTS", rights_word(attempt)),
        ("P0_RUN", attempt.run.to_string()),
        ("P0_TICKET", attempt.ticket.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("P0_ATTEMPT", attempt.id.to_string()),
        ("P0_WORKTREE", text(worktree)),
        ("P0_SOCKET", socket.map(text).unwrap_or_default()),
        ("P0_TOKEN", token.to_owned()),
        ("P0_BIN", text(p0)),
    ]
    .map(|(name, value)| (name.to_owned(), value))
}

/// The rights of an attempt's role in the words of `model::workflow::Rights`: its list of tools does not wait for an engine
/// that is away.
fn rights_word(attempt: &Attempt) -> String {
    let word = serde_json::to_value(attempt.rights).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

/// The logins and settings of the person that stand in an attempt's home, by their names.
fn handed_over(agent: &AgentSettings, home: &Path) -> BTreeMap<String, PathBuf> {
    let Some(login) = agent.adapter.as_ref().map(|adapter| &adapter.login) else { return BTreeMap::new() };
    login.files.iter().chain(&login.config).map(|file| (file.clone(), home.join(file))).collect()
}

/// The attempt that was last in the conversation this one goes on with.
fn talked_before(state: &Aggregate, attempt: &Attempt) -> Option<AttemptId> {
    let session = &attempt.talk.resumes.as_ref()?.id;
    let talks = |a: &&Arc<Attempt>| a.id != attempt.id && a.talk.session.as_ref().is_some_and(|s| s.id == *session);
    state.attempts.values().rev().find(talks).map(|a| a.id)
}

/// Brings what an earlier attempt left into the worktree. What does not fit the new base stays parked: the feedback
/// names it. The answer is the paths that were brought.
fn carry(repository: &ProjectRepository, state: &Aggregate, attempt: &Attempt) -> Result<Vec<String>, Error> {
    let Some(commit) = &attempt.talk.carries else { return Ok(Vec::new()) };
    let Some(from) = state.attempts.values().find(|a| a.commit.as_ref() == Some(commit)) else { return Ok(Vec::new()) };
    let carried = repository.carry(&attempt.id.to_string(), &attempt.base.0, &from.base.0, &commit.0);
    match carried? {
        Merge::Clean { .. } => repository.changed_between(&from.base.0, &commit.0).map_err(Error::from),
        Merge::Conflict { paths } => {
            tracing::info!("attempt {} begins clean: {} conflicts with the new base", attempt.id, paths.join(", "));
            Ok(Vec::new())
        }
    }
}

/// The repository's own prompt of a role; none where it has none.
fn role_prompt(path: &Path) -> Result<Option<String>, Error> {
    match plain_file::read_text(path, MAX_PROMPT_BYTES) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::Io { doing: Some("reading the prompt"), path: path.to_owned(), source }),
    }
}

/// The largest prompt of a role that is read, in bytes.
const MAX_PROMPT_BYTES: u64 = 1024 * 1024;
/// The largest context file that is read, in bytes; the prompt's own limit comes after.
const MAX_CONTEXT_BYTES: usize = 64 * 1024;

/// The project's words to agents, as they stand in the worktree. Links are not followed: they may lead anywhere.
fn context(files: &[String], worktree: &Path) -> Vec<(String, String)> {
    let read = |path: &String| {
        let file = worktree.join(path);
        let plain = std::fs::symlink_metadata(&file).is_ok_and(|m| m.is_file());
        let inside =
            file.canonicalize().is_ok_and(|real| worktree.canonicalize().is_ok_and(|root| real.starts_with(root)));
        let mut content = std::fs::read(&file).ok().filter(|_| plain && inside)?;
        content.truncate(MAX_CONTEXT_BYTES);
        Some((path.clone(), String::from_utf8_lossy(&content).into_owned()))
    };
    files.iter().filter_map(read).collect()
}

/// The command with its program and script found: a program written with a `/` is relative to the project, and so is
/// an argument that names a file there which the worktree does not have (an agent script that is not committed).
fn program(command: &[String], project: &Path, worktree: &Path) -> Vec<String> {
    let found = |(i, part): (usize, &String)| {
        let path = Path::new(part);
        let in_project = project.join(path);
        let names_file = !part.starts_with('-') && path.is_relative() && in_project.is_file();
        let moves = if i == 0 { part.contains('/') } else { !worktree.join(path).exists() };
        if names_file && moves { in_project.display().to_string() } else { part.clone() }
    };
    command.iter().enumerate().map(found).collect()
}
