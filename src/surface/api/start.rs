//! `POST /runs`: from a spec to the command that starts its run, attaches to it, or finds it done.
use super::{
    app::App,
    reply::{Answer, Failure, Input, blocking},
};
use crate::{
    effects::{clock, sandbox::Redactor},
    model::{
        command::{Action, StartRun},
        config::Overrides,
        event::RULES,
        id::{BlobId, MilestoneId, RunId},
        reply::Reply,
        settings::Settings,
        spec::Spec,
        ticket::{BacklogItem, Status},
        workflow::Workflow,
    },
    surface::{
        config::{files, gates},
        error::{Kind, Problem},
        project::{self, Project},
    },
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};
use uuid::Uuid;

/// Other milestones that a planner hears of, and items of them, at the most.
const BACKLOG_MILESTONES: usize = 20;
const BACKLOG_ITEMS: usize = 100;

/// What the command line sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Wanted {
    /// A path in the repository.
    pub(crate) project: PathBuf,
    /// The spec's text.
    pub(crate) spec: String,
    /// The workflow, when one is asked for.
    #[serde(default)]
    pub(crate) workflow: Option<String>,
    /// What the command line adds to the configuration.
    #[serde(default)]
    pub(crate) overrides: Overrides,
    /// The revision to begin at.
    #[serde(default)]
    pub(crate) base: Option<String>,
}

/// How a spec and its run came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// A new run.
    Started,
    /// Its unfinished run goes on.
    Attached,
    /// It is done already.
    AlreadyDone,
}

/// The answer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Begun {
    /// The run.
    pub(crate) run: RunId,
    /// New, or known.
    pub(crate) how: How,
    /// The sequence number of the run's first event.
    pub(crate) first: u64,
    /// The sequence number up to which it is history.
    pub(crate) seq: u64,
    /// Who carries it out.
    pub(crate) holder: String,
    /// The unfinished run of an earlier text of the spec that was cancelled for this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) superseded: Option<RunId>,
    /// The run goes on with another budget than was asked for: only a paused one takes a new budget.
    #[serde(default)]
    pub(crate) keeps_budget: bool,
}

impl Begun {
    /// What became of the run of an earlier text, if there was one.
    pub(crate) fn of_the_earlier(&self) -> Option<String> {
        let old = self.superseded?;
        Some(format!(
            "run {old} of the earlier text of this spec was cancelled; its unlanded work is kept under refs/p0/parked/"
        ))
    }

    /// What was asked for and does not apply, because the run goes on as it began. A budget applies to a run
    /// that was paused.
    pub(crate) fn left_out(&self, wanted: &Wanted) -> Option<String> {
        let Overrides { agents, max_parallel, max_iterations, budget_usd, budget_tokens } = &wanted.overrides;
        let asked = [
            ("--workflow", wanted.workflow.is_some()),
            ("--agent", !agents.is_empty()),
            ("--base", wanted.base.is_some()),
            ("--max-parallel", max_parallel.is_some()),
            ("--max-iterations", max_iterations.is_some()),
            ("--budget-usd", self.keeps_budget && budget_usd.is_some()),
            ("--budget-tokens", self.keeps_budget && budget_tokens.is_some()),
        ];
        let names: Vec<&str> = asked.iter().filter(|(_, asked)| *asked).map(|(name, _)| *name).collect();
        (self.how == How::Attached && !names.is_empty())
            .then(|| format!("the run goes on as it began; not applied: {}", names.join(", ")))
    }
}

struct Resolved {
    spec: Spec,
    blob: BlobId,
    project: Project,
    workflow: Workflow,
    settings: Settings,
}

/// Starts, or attaches.
pub(crate) async fn start(State(app): State<App>, Input(wanted): Input<Wanted>) -> Answer<Begun> {
    if !wanted.project.is_absolute() {
        return Err(Failure(Problem::new(Kind::Usage, "'project' must be an absolute path")));
    }
    let explicit = wanted.base.is_some();
    let resolved = {
        let app = app.clone();
        blocking(move || resolve(&app, &wanted)).await?
    };
    let one_at_a_time = app.starting.lock().await;
    let begin = command(&app, resolved, explicit)?;
    let milestone = begin.milestone;
    let budget = begin.settings.budget.clone();
    let action = Action::StartRun(Box::new(begin));
    let newest = app.handle.catalog().runs_of(milestone).next_back().transpose()?;
    let unfinished = newest.filter(|run| run.ended_at.is_none()).map(|run| run.id);
    let accepted = app.handle.submit(milestone, app.person(), action).await?;
    drop(one_at_a_time);
    let (run, how) = match accepted.reply {
        Reply::RunStarted { run } => (run, How::Started),
        Reply::RunAttached { run } => (run, How::Attached),
        Reply::RunAlreadyDone { run } => (run, How::AlreadyDone),
        Reply::Ok
        | Reply::Ticket { .. }
        | Reply::Claimed { .. }
        | Reply::Asked { .. }
        | Reply::Refused { .. }
        | Reply::Ignored => {
            return Err(Failure(Problem::new(Kind::General, "the engine gave no run for the spec")));
        }
    };
    app.hand(run);
    let catalog = app.handle.catalog();
    let first = catalog.run(run)?.map_or(accepted.seq, |row| row.seq);
    let old = unfinished.filter(|old| *old != run).map(|old| catalog.run(old)).transpose()?.flatten();
    let superseded = old.filter(|row| row.state == "cancelled").map(|row| row.id);
    let state = app.handle.aggregate(milestone).ok().flatten();
    let keeps_budget = state.and_then(|s| Some(s.runs.get(&run)?.settings.budget != budget)).unwrap_or(false);
    let holder = app.holder.to_owned();
    Ok(Json(Begun { run, how, first, seq: accepted.seq, holder, superseded, keeps_budget }))
}

/// Everything that can be wrong is found before anything is written, except the spec itself, which is kept as a blob.
fn resolve(app: &App, wanted: &Wanted) -> Result<Resolved, Problem> {
    let spec = Spec::parse(wanted.spec.as_bytes())?;
    let project = project::look(&wanted.project, wanted.base.as_deref())?;
    project.complete()?;
    let config = app.configs.load(&project.root)?;
    let workflow = files::workflow(wanted.workflow.as_deref(), spec.workflow.as_deref(), &config)?;
    let (settings, left_out) = files::settings(&config, &workflow, &project, &wanted.overrides)?;
    gates::all_there(&settings.gates, &project)?;
    left_out.iter().for_each(|who| tracing::warn!("{who}"));
    let redactor = Redactor::default().with_patterns(&settings.secret_patterns);
    let clean = redactor.redact(spec.text.as_bytes(), &mut BTreeMap::new());
    let spec = if clean == spec.text.as_bytes() { spec } else { Spec::parse(&clean)? };
    let blob = app.handle.put_blob(spec.text.as_bytes())?;
    Ok(Resolved { spec, blob, project, workflow, settings })
}

fn command(app: &App, resolved: Resolved, base_is_explicit: bool) -> Result<StartRun, Problem> {
    let Resolved { spec, blob, project, workflow, settings } = resolved;
    let root = project.root.display().to_string();
    let catalog = app.handle.catalog();
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
        title: spec.title,
        spec: blob,
        project: root.clone(),
        base: project.base,
        base_is_explicit,
        workflow,
        settings,
        rules: RULES,
        p0: env!("CARGO_PKG_VERSION").to_owned(),
        backlog: backlog(app, milestone, &root),
    })
}

/// Unfinished items of the project's other milestones, the newest milestones first.
fn backlog(app: &App, own: MilestoneId, project: &str) -> Vec<BacklogItem> {
    let catalog = app.handle.catalog();
    let others = catalog.of_project(project).rev().filter_map(Result::ok).filter(|id| *id != own);
    let states = others.take(BACKLOG_MILESTONES).filter_map(|id| app.handle.aggregate(id).ok().flatten());
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

/// A new id, ordered by time.
pub(crate) fn fresh_milestone() -> MilestoneId {
    let now = clock::now();
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    MilestoneId(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos())))
}
