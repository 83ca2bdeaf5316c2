//! Runs: list, status, steering, graph.
use super::{
    app::App,
    names,
    reply::{Answer, Asked, Failure, Input},
};
use crate::{
    effects::clock,
    engine::handle::Handle,
    model::{
        Time,
        aggregate::Aggregate,
        command::Action,
        id::{CommitId, MilestoneId, RunId},
        settings::Budget,
    },
    surface::error::{Kind, Problem},
    views::{
        catalog::{RowError, RunRow},
        graph::{self, Language},
        status::{RunStatus, Waiting},
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A run, in one row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    /// Its id.
    pub(crate) run: RunId,
    /// Its milestone's key.
    pub(crate) milestone: String,
    /// Its milestone's title.
    pub(crate) title: String,
    /// The repository's root.
    pub(crate) project: String,
    /// The workflow's name.
    pub(crate) workflow: String,
    /// How it stands.
    pub(crate) state: String,
    /// Why.
    pub(crate) reason: Option<String>,
    /// Its branch.
    pub(crate) branch: String,
    /// The head of its branch, or its base.
    pub(crate) commit: CommitId,
    /// When it began.
    pub(crate) started_at: Time,
    /// When it was over.
    pub(crate) ended_at: Option<Time>,
}

/// Every run, the oldest first.
pub(crate) async fn list(State(app): State<App>) -> Answer<Vec<Row>> {
    let catalog = app.handle.catalog();
    let row = |run: Result<RunRow, RowError>| {
        let run = run?;
        let of = catalog.milestone(run.milestone)?;
        let (milestone, title, project) = of.map(|m| (m.key, m.title, m.project)).unwrap_or_default();
        Ok(Row {
            run: run.id,
            milestone,
            title,
            project,
            workflow: run.workflow,
            state: run.state,
            reason: run.reason,
            branch: run.branch,
            commit: run.head,
            started_at: run.started_at,
            ended_at: run.ended_at,
        })
    };
    Ok(Json(catalog.runs().map(row).collect::<Result<_, RowError>>()?))
}

/// A milestone whose record cannot be followed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Quarantined {
    /// Its id.
    pub(crate) milestone: MilestoneId,
    /// Its key.
    pub(crate) key: String,
    /// Why not.
    pub(crate) why: String,
}

/// The milestones whose records cannot be followed by this version; every other one works.
pub(crate) async fn quarantined(State(app): State<App>) -> Answer<Vec<Quarantined>> {
    let catalog = app.handle.catalog();
    let found = app.handle.live().into_iter().filter_map(|(id, state)| Some((id, state.quarantined.clone()?)));
    let row = |(milestone, why)| {
        let key = catalog.milestone(milestone)?.map(|row| row.key).unwrap_or_default();
        Ok(Quarantined { milestone, key, why })
    };
    Ok(Json(found.map(row).collect::<Result<_, RowError>>()?))
}

/// The status of a run.
pub(crate) async fn status(State(app): State<App>, Path(name): Path<String>) -> Answer<RunStatus> {
    let row = names::run(&app.handle, &name)?;
    Ok(Json(status_of(&app.handle, &row)?))
}

/// The status document of a run.
pub(crate) fn status_of(handle: &Handle, row: &RunRow) -> Result<RunStatus, Failure> {
    let state = names::state(handle, row.milestone)?;
    let digest = handle.digest(&state);
    let waiting = waiting(handle, &state);
    RunStatus::of(&state, row.id, clock::now(), digest, waiting)
        .ok_or_else(|| Failure(Problem::new(Kind::Store, format!("the state of run {} is missing", row.id))))
}

fn waiting(handle: &Handle, state: &Aggregate) -> Vec<Waiting> {
    let unfinished = state.tickets.values().filter(|ticket| ticket.is_unsettled());
    unfinished
        .filter_map(|ticket| {
            let why = handle.why_waiting(state, &ticket.seed.id)?;
            Some(Waiting { ticket: ticket.seed.id.clone(), why })
        })
        .collect()
}

/// Why a run is steered.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Steer {
    /// In words.
    #[serde(default)]
    pub(crate) why: Option<String>,
    /// With `resume`: what may be spent from now on, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) budget_usd: Option<f64>,
    /// With `resume`: what may be spent from now on, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) budget_tokens: Option<u64>,
}

/// Starts nothing new.
pub(crate) async fn pause(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(steer): Input<Steer>,
) -> Answer<RunStatus> {
    let why = steer.why.unwrap_or_else(|| format!("paused by {}", app.user));
    steer_run(&app, &name, |run| Action::PauseRun { run, why }).await
}

/// Goes on, perhaps with another budget.
pub(crate) async fn resume(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(steer): Input<Steer>,
) -> Answer<RunStatus> {
    let budget = Budget { usd: steer.budget_usd, tokens: steer.budget_tokens, ..Budget::default() };
    let budget = Some(budget).filter(|wanted| *wanted != Budget::default());
    if let Some(why) = budget.as_ref().and_then(Budget::nonsense) {
        return Err(Failure(Problem::new(Kind::Usage, why)));
    }
    steer_run(&app, &name, |run| Action::ResumeRun { run, budget }).await
}

/// Ends it.
pub(crate) async fn cancel(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(steer): Input<Steer>,
) -> Answer<RunStatus> {
    let why = steer.why.unwrap_or_else(|| format!("cancelled by {}", app.user));
    steer_run(&app, &name, |run| Action::CancelRun { run, why }).await
}

async fn steer_run(app: &App, name: &str, action: impl FnOnce(RunId) -> Action) -> Answer<RunStatus> {
    let row = names::run(&app.handle, name)?;
    app.handle.submit(row.milestone, app.person(), action(row.id)).await?;
    Ok(Json(status_of(&app.handle, &row)?))
}

/// In which language.
#[derive(Debug, Deserialize)]
pub(crate) struct GraphQuery {
    format: Option<String>,
}

/// The tickets of a run and what they depend on.
pub(crate) async fn graph(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<GraphQuery>,
) -> Answer<Value> {
    let language = match query.format.as_deref() {
        None | Some("dot") => Language::Dot,
        Some("mermaid") => Language::Mermaid,
        Some(other) => {
            let text = format!("there is no graph format '{other}'; there are: dot, mermaid");
            return Err(Failure(Problem::new(Kind::Usage, text)));
        }
    };
    let row = names::run(&app.handle, &name)?;
    let state = names::state(&app.handle, row.milestone)?;
    Ok(Json(serde_json::json!({ "graph": graph::of_tickets(&state, language) })))
}
