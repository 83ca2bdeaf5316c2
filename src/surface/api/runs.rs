//! Runs: starting, list, status, steering, graph.
use super::{
    app::App,
    reply::{Answer, Asked, Caller, Input, answer},
};
use crate::{
    contract::runs::{GraphDoc, GraphQuery, QuarantinedDoc, RunBegun, RunRequest, RunRowDoc, SteerRequest},
    views::{retrying::Retrying, status::RunStatus},
};
use axum::{
    Json,
    extract::{Path, State},
};

/// Starts, or attaches.
pub(crate) async fn start(
    State(app): State<App>,
    Caller(who): Caller,
    Input(wanted): Input<RunRequest>,
) -> Answer<RunBegun> {
    answer(app.service.start(&who, wanted).await)
}

/// Every run, the oldest first.
pub(crate) async fn list(State(app): State<App>) -> Answer<Vec<RunRowDoc>> {
    answer(app.service.runs())
}

/// The milestones whose records cannot be followed.
pub(crate) async fn quarantined(State(app): State<App>) -> Answer<Vec<QuarantinedDoc>> {
    answer(app.service.quarantined())
}

/// The status of a run.
pub(crate) async fn status(State(app): State<App>, Path(name): Path<String>) -> Answer<RunStatus> {
    answer(app.service.status(&name))
}

/// What the engine tries again and again right now.
pub(crate) async fn retrying(State(app): State<App>) -> Answer<Vec<Retrying>> {
    Ok(Json(app.service.handle.retrying()))
}

/// Starts nothing new.
pub(crate) async fn pause(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(steer): Input<SteerRequest>,
) -> Answer<RunStatus> {
    answer(app.service.pause(&who, &name, steer).await)
}

/// Goes on.
pub(crate) async fn resume(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(steer): Input<SteerRequest>,
) -> Answer<RunStatus> {
    answer(app.service.resume(&who, &name, steer).await)
}

/// Ends it.
pub(crate) async fn cancel(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(steer): Input<SteerRequest>,
) -> Answer<RunStatus> {
    answer(app.service.cancel(&who, &name, steer).await)
}

/// The tickets of a run and what they depend on.
pub(crate) async fn graph(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<GraphQuery>,
) -> Answer<GraphDoc> {
    answer(app.service.graph(&name, query.format.as_deref()).map(|graph| GraphDoc { graph }))
}
