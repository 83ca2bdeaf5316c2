//! Work items: looking at them.
use super::{
    app::App,
    names,
    reply::{Answer, Asked, Failure},
};
use crate::{
    engine::handle::Handle,
    model::id::MilestoneId,
    views::tickets::{self, TicketDoc, TicketFull},
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;

/// Which items.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Which {
    /// Those of this run's milestone.
    run: Option<String>,
    /// Those of every milestone.
    all: Option<String>,
}

/// The items of the newest run's milestone; of every milestone when there is no run yet, or when asked.
pub(crate) async fn list(State(app): State<App>, Asked(which): Asked<Which>) -> Answer<Vec<TicketDoc>> {
    let catalog = app.handle.catalog();
    if which.all.is_some() || (which.run.is_none() && catalog.runs().next().is_none()) {
        let mut rows = Vec::new();
        for row in catalog.milestones() {
            rows.extend(tickets::all(&*names::state(&app.handle, row?.0)?));
        }
        return Ok(Json(rows));
    }
    let row = names::run(&app.handle, which.run.as_deref().unwrap_or("@last"))?;
    of_milestone(&app.handle, row.milestone)
}

/// The items of a run's milestone.
pub(crate) async fn of_run(State(app): State<App>, Path(name): Path<String>) -> Answer<Vec<TicketDoc>> {
    let row = names::run(&app.handle, &name)?;
    of_milestone(&app.handle, row.milestone)
}

/// The items of a milestone.
pub(crate) fn of_milestone(handle: &Handle, milestone: MilestoneId) -> Answer<Vec<TicketDoc>> {
    Ok(Json(tickets::all(&*names::state(handle, milestone)?)))
}

/// The milestones that have, or lately had, unfinished items: what has none is not looked at again until it gets one.
pub(crate) fn open(handle: &Handle) -> Result<Vec<MilestoneId>, Failure> {
    Ok(handle.catalog().open().collect::<Result<_, _>>()?)
}

/// One item, with everything about it.
pub(crate) async fn show(State(app): State<App>, Path(name): Path<String>) -> Answer<TicketFull> {
    let found = names::ticket(&app.handle, &name)?;
    Ok(Json(full(&app.handle, &found)))
}

/// The whole document of an item.
pub(crate) fn full(handle: &Handle, found: &names::Found) -> TicketFull {
    let waiting = handle.why_waiting(&found.state, &found.id);
    TicketFull::of(&found.state, found.ticket(), waiting)
}

/// The items that a worker could claim now, of every milestone.
pub(crate) async fn ready(State(app): State<App>) -> Answer<Vec<TicketDoc>> {
    let mut rows = Vec::new();
    for milestone in open(&app.handle)? {
        rows.extend(tickets::ready(&*names::state(&app.handle, milestone)?));
    }
    rows.sort_by_key(|ticket| ticket.priority);
    Ok(Json(rows))
}
