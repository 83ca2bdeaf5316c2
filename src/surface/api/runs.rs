//! Runs: starting, list, status, steering, graph.
use super::{
    app::App,
    reply::{Answer, Asked, Caller, Input, answer},
};
use crate::contract::{
    endpoints::{
        CancelRun, GetRun, GetRunGraph, ListQuarantined, ListRetrying, ListRuns, PauseRun, ResumeRun, StartRun,
    },
    runs::GraphDoc,
};
use axum::{
    Json,
    extract::{Path, State},
};

/// Starts, or attaches.
pub(crate) async fn start(
    State(app): State<App>,
    Caller(who): Caller,
    Input(wanted): Input<StartRun>,
) -> Answer<StartRun> {
    answer(app.service.start(&who, wanted).await)
}

/// Every run, the oldest first.
pub(crate) async fn list(State(app): State<App>) -> Answer<ListRuns> {
    answer(app.service.runs())
}

/// The milestones whose records cannot be followed.
pub(crate) async fn quarantined(State(app): State<App>) -> Answer<ListQuarantined> {
    answer(app.service.quarantined())
}

/// The status of a run.
pub(crate) async fn status(State(app): State<App>, Path(name): Path<String>) -> Answer<GetRun> {
    answer(app.service.status(&name))
}

/// What the engine tries again and again right now.
pub(crate) async fn retrying(State(app): State<App>) -> Answer<ListRetrying> {
    Ok(Json(app.service.handle.retrying()))
}

/// Starts nothing new.
pub(crate) async fn pause(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(steer): Input<PauseRun>,
) -> Answer<PauseRun> {
    answer(app.service.pause(&who, &name, steer).await)
}

/// Goes on.
pub(crate) async fn resume(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(steer): Input<ResumeRun>,
) -> Answer<ResumeRun> {
    answer(app.service.resume(&who, &name, steer).await)
}

/// Ends it.
pub(crate) async fn cancel(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(steer): Input<CancelRun>,
) -> Answer<CancelRun> {
    answer(app.service.cancel(&who, &name, steer).await)
}

/// The tickets of a run and what they depend on.
pub(crate) async fn graph(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<GetRunGraph>,
) -> Answer<GetRunGraph> {
    answer(app.service.graph(&name, query.format.as_deref()).map(|graph| GraphDoc { graph }))
}
