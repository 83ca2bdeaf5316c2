//! From a spec to its run: started, gone on with, or found done.
//!
//! Which milestone a spec belongs to is proposed here from what is durable, and decided by the engine, which puts
//! commands in order: where another command was faster, it names the milestone that has the spec or the key now
//! (`engine::unique`), and the proposal is made anew.
use super::{
    app::Service,
    background::blocking,
    config::{
        files::{self, Configs},
        gates,
    },
    principal::Principal,
    problem::{Kind, Problem},
    project::{self, Project},
};
use crate::{
    contract::runs::{BegunHow, RunBegun, RunRequest},
    engine::handle::{Accepted, SubmitError},
    model::{
        command::{Action, StartRun},
        event::RULES,
        id::{BlobId, MilestoneId, RunId},
        rejection::Rejection,
        reply::Reply,
        settings::{Budget, Settings},
        spec::Spec,
        ticket::{BacklogItem, Status},
        workflow::Workflow,
    },
    sandbox::Redactor,
    system::clock,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// Other milestones that a planner hears of, and items of them, at the most.
const BACKLOG_MILESTONES: usize = 20;
const BACKLOG_ITEMS: usize = 100;

/// How often a proposal is made anew because another command was faster. Each time one of them got its milestone, so
/// this many must be under way for the same key.
pub(super) const PROPOSALS: usize = 1000;

/// A request with everything that it names looked up.
struct Resolved {
    spec: Spec,
    blob: BlobId,
    project: Project,
    base_is_explicit: bool,
    workflow: Workflow,
    settings: Settings,
}

impl Service {
    /// Starts the run of a spec, goes on with it, or finds it done.
    pub(crate) async fn start(&self, who: &Principal, wanted: RunRequest) -> Result<RunBegun, Problem> {
        if !wanted.project.is_absolute() {
            return Err(Problem::new(Kind::Usage, "'project' must be an absolute path"));
        }
        let service = self.clone();
        let resolved = blocking(move || service.resolve(&wanted)).await?;
        let (milestone, accepted) = self.submit_start(who, &resolved).await?;
        let (run, how) = match accepted.reply {
            Reply::RunStarted { run } => (run, BegunHow::Started),
            Reply::RunAttached { run } => (run, BegunHow::Attached),
            Reply::RunAlreadyDone { run } => (run, BegunHow::AlreadyDone),
            Reply::Ok
            | Reply::Ticket { .. }
            | Reply::Claimed { .. }
            | Reply::Asked { .. }
            | Reply::Refused { .. }
            | Reply::Ignored => return Err(Problem::new(Kind::General, "the engine gave no run for the spec")),
        };
        self.hand(run);
        let first = self.handle.catalog().run(run)?.map_or(accepted.seq, |row| row.seq);
        let superseded = if how == BegunHow::Started { self.superseded_by(milestone, run)? } else { None };
        let keeps_budget = self.keeps_budget(milestone, run, &resolved.settings.budget);
        let holder = self.holder.to_owned();
        Ok(RunBegun { run, how, first, seq: accepted.seq, holder, superseded, keeps_budget })
    }

    /// Proposes milestones until the engine takes one.
    async fn submit_start(&self, who: &Principal, resolved: &Resolved) -> Result<(MilestoneId, Accepted), Problem> {
        let mut tries = 0;
        loop {
            let command = self.command(resolved)?;
            let milestone = command.milestone;
            match self.handle.submit(milestone, who.actor(), Action::StartRun(Box::new(command))).await {
                Ok(accepted) => return Ok((milestone, accepted)),
                Err(SubmitError::Rejected(Rejection::Taken { .. })) if tries < PROPOSALS => tries += 1,
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Everything that can be wrong is found before anything is written, except the spec itself, which is kept as a
    /// blob.
    fn resolve(&self, wanted: &RunRequest) -> Result<Resolved, Problem> {
        let spec = Spec::parse(wanted.spec.as_bytes())?;
        let project = project::look(&wanted.project, wanted.base.as_deref())?;
        project.complete()?;
        let config = self.configs.load(&project.root)?;
        let workflow = files::workflow(wanted.workflow.as_deref(), spec.workflow.as_deref(), &config)?;
        let (settings, left_out) = files::settings(&config, &workflow, &project, &wanted.overrides)?;
        gates::all_there(&settings.gates, &project)?;
        left_out.iter().for_each(|who| tracing::warn!("{who}"));
        let redactor = Redactor::default().with_patterns(&settings.secret_patterns);
        let clean = redactor.redact(spec.text.as_bytes(), &mut BTreeMap::new());
        let spec = if clean == spec.text.as_bytes() { spec } else { Spec::parse(&clean)? };
        let blob = self.handle.put_blob(spec.text.as_bytes())?;
        Ok(Resolved { spec, blob, project, base_is_explicit: wanted.base.is_some(), workflow, settings })
    }

    /// The command for the milestone that the spec belongs to now, or for a new one.
    fn command(&self, resolved: &Resolved) -> Result<StartRun, Problem> {
        let Resolved { spec, blob, project, base_is_explicit, workflow, settings } = resolved;
        let root = project.root.display().to_string();
        let catalog = self.handle.catalog();
        let known = catalog.find_spec(&root, &blob.hash, spec.key.as_deref(), &spec.title)?;
        let known = known.map(|id| catalog.milestone(id).map(|row| row.map(|row| (id, row.key)))).transpose()?;
        let (milestone, key) = match known.flatten() {
            Some(known) => known,
            None => {
                let wanted = spec.key.clone().unwrap_or_else(|| spec.suggested_key());
                (fresh_milestone(), catalog.free_key(&wanted)?)
            }
        };
        Ok(StartRun {
            milestone,
            key,
            title: spec.title.clone(),
            spec: blob.clone(),
            project: root.clone(),
            base: project.base.clone(),
            base_is_explicit: *base_is_explicit,
            workflow: workflow.clone(),
            settings: settings.clone(),
            rules: RULES,
            p0: env!("CARGO_PKG_VERSION").to_owned(),
            backlog: self.backlog(milestone, &root),
        })
    }

    /// Unfinished items of the project's other milestones, the newest milestones first.
    fn backlog(&self, own: MilestoneId, project: &str) -> Vec<BacklogItem> {
        let catalog = self.handle.catalog();
        let others = catalog.of_project(project).rev().filter_map(Result::ok).filter(|id| *id != own);
        let states = others.take(BACKLOG_MILESTONES).filter_map(|id| self.handle.aggregate(id).ok().flatten());
        let items = states.flat_map(|state| {
            let open = state.tickets.values().filter(|t| t.status != Status::Done);
            open.map(|t| BacklogItem {
                id: t.seed.id.clone(),
                title: t.seed.title.clone(),
                body: t.seed.body.clone(),
                kind: t.seed.kind,
                priority: t.seed.priority,
                files: t.seed.files.clone(),
                reason: match &t.status {
                    Status::Blocked(on) => Some(on.to_string()),
                    Status::Open | Status::InProgress | Status::Done => t.deferred.clone(),
                },
            })
            .collect::<Vec<_>>()
        });
        items.take(BACKLOG_ITEMS).collect()
    }

    /// The run of an earlier text that was cancelled by the decision that started `run`: both have its time.
    fn superseded_by(&self, milestone: MilestoneId, run: RunId) -> Result<Option<RunId>, Problem> {
        let mut before = None;
        for row in self.handle.catalog().runs_of(milestone) {
            let row = row?;
            if row.id == run {
                let began = row.started_at;
                return Ok(before.filter(|(_, ended)| *ended == Some(began)).map(|(old, _)| old));
            }
            before = Some((row.id, row.ended_at.filter(|_| row.state == "cancelled")));
        }
        Ok(None)
    }

    fn keeps_budget(&self, milestone: MilestoneId, run: RunId, wanted: &Budget) -> bool {
        let state = self.handle.aggregate(milestone).ok().flatten();
        state.and_then(|s| Some(s.runs.get(&run)?.settings.budget != *wanted)).unwrap_or(false)
    }
}

/// Finds out what is wrong with a request, before anything is started for it; gives warnings, a sentence each.
pub(crate) fn check(wanted: &RunRequest) -> Result<Vec<String>, Problem> {
    let spec = Spec::parse(wanted.spec.as_bytes())?;
    let project = project::look(&wanted.project, wanted.base.as_deref())?;
    let configs = Configs::default();
    let config = configs.load(&project.root)?;
    if config.agents.is_empty() {
        // The daemon may have a configuration for repositories without one; it will say.
        return Ok(Vec::new());
    }
    let workflow = files::workflow(wanted.workflow.as_deref(), spec.workflow.as_deref(), &config)?;
    let (settings, left_out) = files::settings(&config, &workflow, &project, &wanted.overrides)?;
    gates::all_there(&settings.gates, &project)?;
    Ok(left_out)
}

/// A role and its agent, written `ROLE=NAME`.
///
/// # Errors
/// It is written otherwise.
pub(crate) fn role_and_agent(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((role, agent)) if !role.is_empty() && !agent.is_empty() => Ok((role.to_owned(), agent.to_owned())),
        Some(_) | None => Err("write ROLE=NAME, for example executor=claude".to_owned()),
    }
}

/// A new id, ordered by time.
pub(super) fn fresh_milestone() -> MilestoneId {
    let now = clock::now();
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    MilestoneId(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos())))
}

#[cfg(test)]
mod tests;
