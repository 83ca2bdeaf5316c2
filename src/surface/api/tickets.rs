//! Work items: looking at them.
use super::{
    app::App,
    names,
    reply::{Answer, Asked, Failure},
};
use crate::{
    engine::handle::Handle,
    model::{
        id::MilestoneId,
        ticket::{Status, Ticket},
    },
    views::{
        catalog::RowError,
        tickets::{self, TicketDoc, TicketFull},
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::Deserialize;
use std::sync::Arc;

/// Which items.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Which {
    /// Those of this run's milestone.
    run: Option<String>,
    /// Those of every milestone, the newest milestones first.
    all: Option<String>,
    /// Those with this status.
    status: Option<String>,
    /// So many at the most.
    limit: Option<usize>,
}

/// The items of the newest run's milestone; of every milestone when there is no run yet, or when asked. What it costs is
/// what it shows: milestones are read until there are enough.
pub(crate) async fn list(State(app): State<App>, Asked(which): Asked<Which>) -> Answer<Vec<TicketDoc>> {
    let catalog = app.handle.catalog();
    let limit = which.limit.unwrap_or(usize::MAX);
    let mut rows = Vec::new();
    let take = |rows: &mut Vec<TicketDoc>, milestone: MilestoneId| -> Result<bool, Failure> {
        let state = names::state(&app.handle, milestone)?;
        let wanted = |ticket: &&Arc<Ticket>| which.status.as_ref().is_none_or(|status| ticket.status.word() == status);
        let docs = state.tickets.values().filter(wanted).map(|ticket| TicketDoc::of(&state, ticket));
        let room = limit - rows.len();
        rows.extend(docs.take(room));
        Ok(rows.len() < limit)
    };
    if which.all.is_some() || (which.run.is_none() && catalog.runs().next().is_none()) {
        // Unfinished items are only where there were some lately.
        let unfinished = which.status.as_deref().is_some_and(|status| status != Status::Done.word());
        let milestones: Box<dyn Iterator<Item = Result<MilestoneId, RowError>>> = if unfinished {
            Box::new(open(&app.handle)?.into_iter().rev().map(Ok))
        } else {
            Box::new(catalog.milestones().rev().map(|row| Ok(row?.0)))
        };
        for milestone in milestones {
            if !take(&mut rows, milestone?)? {
                break;
            }
        }
        return Ok(Json(rows));
    }
    let row = names::run(&app.handle, which.run.as_deref().unwrap_or("@last"))?;
    take(&mut rows, row.milestone)?;
    Ok(Json(rows))
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

/// The milestones that have unfinished items, the oldest first. One that turns out to have none is not looked at again
/// until it gets one.
pub(crate) fn open(handle: &Handle) -> Result<Vec<MilestoneId>, Failure> {
    let catalog = handle.catalog();
    let mut open = Vec::new();
    for milestone in catalog.open() {
        let milestone = milestone?;
        if is_open(handle, milestone)? {
            open.push(milestone);
            continue;
        }
        catalog.set_open(milestone, false)?;
        // Something may have come in between; if it comes now, its own note comes after this one's removal.
        if is_open(handle, milestone)? {
            catalog.set_open(milestone, true)?;
            open.push(milestone);
        }
    }
    Ok(open)
}

fn is_open(handle: &Handle, milestone: MilestoneId) -> Result<bool, Failure> {
    let state = names::state(handle, milestone)?;
    Ok(!state.is_settled() || state.tickets.values().any(|ticket| ticket.status != Status::Done))
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
        let state = names::state(&app.handle, milestone)?;
        rows.extend(tickets::of(&state, &app.handle.ready(&state)));
    }
    rows.sort_by_key(|ticket| ticket.priority);
    Ok(Json(rows))
}
