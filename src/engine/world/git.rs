//! Effects on repositories: branches, harvests, merges, landings, parking.
use super::{
    World, blocking,
    error::{Error, Gone},
    gate::gate_holder,
    retry::Then,
};
use crate::{
    git::{self, HarvestOptions, Landing, Merge, ProjectRepository, Safe},
    model::{
        aggregate::Aggregate,
        attempt::{self, Attempt, ChangeKind, Outcome, PathChange, Phase, Said},
        command::{Action, LandingReport, MergeReport},
        files::Files,
        id::{AttemptId, CommitId, MilestoneId, RunId},
        paths::PathFact,
        protocol::Message,
        workflow::Rights,
    },
    process::{self, remove_tree},
    system::clock,
};
use std::{collections::BTreeMap, path::Path, sync::Arc};

/// Worktrees that are kept warm when no run needs more.
const WARM: usize = 8;

impl World {
    fn repository_of(&self, state: &Aggregate) -> Result<Arc<ProjectRepository>, Error> {
        let project = state.milestone.as_ref().map(|m| m.project.clone()).unwrap_or_default();
        Ok(self.repository(&project)?)
    }

    pub(super) async fn open_run(self: &Arc<Self>, stream: MilestoneId, id: RunId) {
        let Some(state) = self.state(stream) else { return };
        let Some(run) = state.runs.get(&id).cloned() else { return };
        let project = state.milestone.as_ref().map(|m| m.project.clone()).unwrap_or_default();
        let work = move |world: &World| {
            let opened = world
                .repository_of(&state)
                .and_then(|repository| Ok(repository.open_run(&id.to_string(), &run.base.0)?));
            // A repository that was moved may come back; whatever else is wrong stays so.
            if opened.is_err() && !Path::new(&project).exists() { opened.map(Ok) } else { Ok(opened) }
        };
        let what = "making the run's branch";
        let Some(opened) = self.persevere(stream, id, what, Then::HoldUp, work).await else { return };
        match opened {
            Ok(head) => self.report(stream, Action::RunOpened { run: id, head: CommitId(head) }).await,
            Err(error) => {
                let action = Action::RunBroken { run: id, why: error.to_string() };
                self.report_failure(stream, action, error.full()).await;
            }
        }
    }

    pub(super) async fn harvest(self: &Arc<Self>, stream: MilestoneId, id: AttemptId) {
        let Some(state) = self.state(stream) else { return };
        let Some(attempt) = state.attempts.get(&id).cloned() else { return };
        let run = attempt.run;
        // As it is at each try: it may have filled the disk meanwhile.
        let work = move |world: &World| {
            let state = world.state(stream).unwrap_or_else(|| state.clone());
            world.harvest_now(&state, state.attempts.get(&id).unwrap_or(&attempt))
        };
        // Never given up, and never reported when it was not taken: what is not harvested would be lost.
        let what = format!("collecting the work of attempt {id}");
        let Some(harvest) = self.persevere(stream, run, &what, Then::HoldUpOrGoOn, work).await else { return };
        self.report(stream, Action::AttemptHarvested { attempt: id, harvest: Box::new(harvest) }).await;
    }

    fn harvest_now(&self, state: &Aggregate, attempt: &Attempt) -> Result<attempt::Harvest, Error> {
        let repository = self.repository_of(state)?;
        let holder = attempt.id.to_string();
        if repository.worktree(&holder)?.is_none() {
            return Ok(empty_harvest());
        }
        if attempt.talk.filled_disk.is_some() && !self.clear_filler(state, attempt, &repository)? {
            return Ok(empty_harvest());
        }
        let identity = repository.person().identity()?;
        let settings = state.runs.get(&attempt.run).map(|r| &r.settings);
        let message = message(state, attempt);
        let owned = attempt.ticket.as_ref().and_then(|id| state.tickets.get(id)).map(|t| &t.seed.files);
        let nothing = Files::default();
        let options = HarvestOptions {
            generated: settings.map_or(&[], |settings| &settings.generated),
            conflict_markers: settings.map_or(&[], |settings| &settings.conflict_markers),
            owned: owned.unwrap_or(&nothing),
            message: &message,
            author: &identity,
            when_s: attempt.started_at.timestamp(),
        };
        let found = repository.harvest(&holder, &attempt.base.0, &options)?;
        let patch = if found.patch.is_empty() {
            None
        } else {
            let redactor = process::redactor(&self.attempt_dir(attempt.id));
            let patch = redactor.redact(&found.patch, &mut BTreeMap::new());
            Some(self.handle.put_blob(&patch)?)
        };
        let changes = found.changes.into_iter().map(change).chain(found.refused.into_iter().map(|path| PathChange {
            path,
            kind: ChangeKind::TypeChanged,
            symlink_escapes: true,
        }));
        Ok(attempt::Harvest {
            commit: found.commit.map(CommitId),
            tree: found.tree,
            changes: changes.collect(),
            dropped: found.dropped,
            conflict_markers: found.conflict_markers,
            untracked_repos: found.untracked_repos,
            patch,
            paths: listed_paths(&repository, &holder, attempt)?,
            left_out: found.left_out,
        })
    }

    pub(super) async fn merge(self: &Arc<Self>, stream: MilestoneId, id: AttemptId, onto: &CommitId) {
        let Some(state) = self.state(stream) else { return };
        let Some(attempt) = state.attempts.get(&id).cloned() else { return };
        let (run, head) = (attempt.run, onto.clone());
        let work = move |world: &World| world.merge_now(&state, &attempt, &head);
        let Some(merge) = self.persevere(stream, run, "merging", Then::HoldUp, work).await else { return };
        self.report(stream, Action::Merged { attempt: id, onto: onto.clone(), merge }).await;
    }

    fn merge_now(&self, state: &Aggregate, attempt: &Attempt, onto: &CommitId) -> Result<MergeReport, Error> {
        let Some(commit) = &attempt.commit else { return Err(Gone::Commit.into()) };
        let repository = self.repository_of(state)?;
        let merged = repository.merge(&onto.0, &attempt.base.0, &commit.0)?;
        Ok(match merged {
            Merge::Conflict { paths } => MergeReport::Conflict { paths },
            Merge::Clean { tree } => {
                let identity = repository.person().identity()?;
                let message = landing_message(state, attempt);
                // The attempt's own time: the same commit again after a crash.
                let when = attempt.started_at.timestamp();
                let candidate = repository.landing_commit(&tree, &onto.0, &message, &identity, when)?;
                MergeReport::Clean { candidate: CommitId(candidate) }
            }
        })
    }

    pub(super) async fn land(
        self: &Arc<Self>,
        stream: MilestoneId,
        id: AttemptId,
        onto: &CommitId,
        candidate: &CommitId,
    ) {
        let Some(state) = self.state(stream) else { return };
        let Some(attempt) = state.attempts.get(&id).cloned() else { return };
        let started = clock::monotonic();
        let (run, new, parent) = (attempt.run, candidate.0.clone(), onto.0.clone());
        let work = move |world: &World| {
            let branch = state.runs.get(&attempt.run).map(|r| r.branch.clone()).unwrap_or_default();
            let repository = world.repository_of(&state)?;
            let landed = repository.land(&branch, &new, &parent)?;
            Ok((landed, branch))
        };
        let landed = self.persevere(stream, run, "landing", Then::HoldUp, work).await;
        let Some((landed, branch)) = landed else { return };
        let mut note = None;
        let landing = match landed {
            Landing::Landed | Landing::Already => LandingReport::Landed,
            Landing::CheckedOut { place, aside } => {
                note = Some(checked_out(&branch, &place, aside.as_ref()));
                LandingReport::Landed
            }
            Landing::Moved { found } => LandingReport::Moved { found: CommitId(found.unwrap_or_default()) },
        };
        let wall_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or_default();
        let action = Action::Landed { attempt: id, candidate: candidate.clone(), landing, wall_ms, note };
        self.report(stream, action).await;
    }

    /// Parks what did not land, gives the worktree back, and removes the attempt's spool, whose content is a blob.
    pub(super) async fn release(self: &Arc<Self>, stream: MilestoneId, id: AttemptId) {
        let Some(state) = self.state(stream) else { return };
        let Some(attempt) = state.attempts.get(&id).cloned() else { return };
        let run = attempt.run;
        let work = move |world: &World| world.release_now(&state, &attempt);
        let what = format!("giving back the worktree of attempt {id}");
        let Some(parked) = self.persevere(stream, run, &what, Then::GoOn, work).await else { return };
        if let Some(attempt_socket) = &self.options.attempt_socket {
            attempt_socket.close(id);
        }
        self.report(stream, Action::AttemptReleased { attempt: id, parked }).await;
        self.close_gates(stream, run).await;
    }

    /// The last attempt of a run that is over gives back the gates' worktree too, the pin on the run's base, and the
    /// homes of its agents.
    async fn close_gates(self: &Arc<Self>, stream: MilestoneId, run: RunId) {
        let Ok(Some(state)) = self.handle.aggregate(stream) else { return };
        let over = state.runs.get(&run).is_some_and(|r| r.state.is_over());
        if !over || state.live_attempts().any(|a| a.run == run) {
            return;
        }
        let world = self.clone();
        let released = blocking(move || {
            let homes = world.homes_of(run);
            if let Err(e) = remove_tree(&homes) {
                // The rest is given back all the same.
                tracing::warn!("removing the homes of run {run} in {}: {e}", homes.display());
            }
            let repository = world.repository_of(&state)?;
            repository.release(&gate_holder(run), Safe::NothingChanged)?;
            Ok::<_, Error>(repository.close_run(&run.to_string())?)
        });
        if let Err(why) = released.await {
            tracing::warn!("giving back what run {run} held: {why}");
        }
    }

    fn release_now(&self, state: &Aggregate, attempt: &Attempt) -> Result<Option<String>, Error> {
        let repository = self.repository_of(state)?;
        let holder = attempt.id.to_string();
        let mut parked = None;
        let executor = attempt.rights == Rights::Executor;
        if let Some(commit) = attempt.commit.as_ref().filter(|_| executor)
            && attempt.outcome() != Some(&Outcome::Accepted)
        {
            parked = Some(repository.park(&holder, &commit.0)?);
        }
        if let Some(run) = state.runs.get(&attempt.run) {
            self.take_back_logins(run, attempt);
        }
        if attempt.commit.is_none() && attempt.talk.carries.is_some() {
            // What was carried in is kept where it came from, and nothing was added to it.
            repository.checkout_fresh(&holder, &attempt.base.0, false)?;
        }
        let safe = match &attempt.commit {
            Some(commit) if executor => Safe::Commit(&commit.0),
            // A reader's worktree is scratch, and a program that never ran changed nothing.
            Some(_) | None => Safe::NothingChanged,
        };
        repository.release(&holder, safe)?;
        // While a run goes on, the next attempt takes the place and the worktree of the one that ended.
        let going_on = state.runs.get(&attempt.run).filter(|run| !run.state.is_over());
        let places = going_on.map_or(0, |run| usize::try_from(run.settings.limits.max_parallel).unwrap_or(WARM));
        repository.prune_pool(places.max(WARM))?;
        let dir = self.attempt_dir(attempt.id);
        remove_tree(&dir).map_err(Error::at(&dir))?;
        Ok(parked)
    }
}

/// What the tree that a plan is for has at the paths it lists, and so for sub-tasks.
fn listed_paths(repository: &ProjectRepository, holder: &str, attempt: &Attempt) -> Result<Vec<PathFact>, git::Error> {
    let lines: &[Said] = match &attempt.phase {
        Phase::Exited { report } => &report.staged,
        Phase::Starting | Phase::Running { .. } | Phase::Integrating { .. } | Phase::Finished { .. } => &[],
    };
    let said = attempt.staged.iter().chain(lines.iter().map(|line| &line.message));
    let lists: Vec<&Files> = said
        .filter_map(|message| match message {
            Message::Ticket(proposal) | Message::Subtask(proposal) => proposal.files.as_ref(),
            _ => None,
        })
        .collect();
    if lists.is_empty() {
        return Ok(Vec::new());
    }
    repository.path_facts(holder, &attempt.base.0, &lists)
}

/// What a person has to know of a landing on a branch that is checked out.
fn checked_out(branch: &str, place: &Path, aside: Option<&(String, String)>) -> String {
    match aside {
        None => format!("{branch} is checked out in {}, which was fast-forwarded with it", place.display()),
        Some((why, kept)) => format!(
            "{branch} is checked out in {} and was not moved under it ({why}); what has landed is kept as {kept}: \
             `git merge {kept}` there takes it in",
            place.display()
        ),
    }
}

fn empty_harvest() -> attempt::Harvest {
    attempt::Harvest {
        commit: None,
        tree: String::new(),
        changes: Vec::new(),
        dropped: Vec::new(),
        conflict_markers: Vec::new(),
        untracked_repos: Vec::new(),
        patch: None,
        paths: Vec::new(),
        left_out: Vec::new(),
    }
}

fn change(change: git::Change) -> PathChange {
    let kind = match change.kind {
        git::ChangeKind::Added => ChangeKind::Added,
        git::ChangeKind::Modified => ChangeKind::Modified,
        git::ChangeKind::Deleted => ChangeKind::Deleted,
        git::ChangeKind::TypeChanged => ChangeKind::TypeChanged,
    };
    PathChange { path: change.path, kind, symlink_escapes: change.symlink_escapes }
}

/// The subject of an attempt's commit: the ticket's id and title.
fn message(state: &Aggregate, attempt: &Attempt) -> String {
    match attempt.ticket.as_ref().and_then(|id| state.tickets.get(id)) {
        Some(ticket) => format!("{}: {}\n", ticket.seed.id, ticket.seed.title),
        None => format!("{} (attempt {})\n", attempt.role, attempt.id),
    }
}

/// Only landing commits carry the trailers, so that a commit and its record find each other.
fn landing_message(state: &Aggregate, attempt: &Attempt) -> String {
    let mut text = message(state, attempt);
    if let Some(ticket) = attempt.ticket.as_ref().and_then(|id| state.tickets.get(id)) {
        let body = ticket.seed.body.trim();
        if !body.is_empty() {
            text.push_str(&format!("\n{body}\n"));
        }
        text.push_str(&format!("\nP0-Run: {}\nP0-Ticket: {}\n", attempt.run, ticket.seed.id));
    }
    text.push_str(&format!("P0-Attempt: {}\n", attempt.id));
    text
}
