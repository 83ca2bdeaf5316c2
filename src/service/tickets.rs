//! Work items: looking at them.
use super::{
    app::Service,
    names::{self, Found},
    problem::Problem,
};
use crate::{
    contract::tickets::TicketQuery,
    engine::handle::Handle,
    model::{
        id::{MilestoneId, TicketId},
        ticket::{Status, Ticket},
    },
    views::{
        catalog::RowError,
        tickets::{self, TicketDoc, TicketFull},
    },
};
use std::sync::Arc;

impl Service {
    /// The items of the newest run's milestone; of every milestone when there is no run yet, or when asked. What it costs
    /// is what it shows: milestones are read until there are enough.
    pub(crate) fn tickets(&self, which: &TicketQuery) -> Result<Vec<TicketDoc>, Problem> {
        let catalog = self.handle.catalog();
        let limit = which.limit.unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        let take = |rows: &mut Vec<TicketDoc>, milestone: MilestoneId| -> Result<bool, Problem> {
            let state = names::state(&self.handle, milestone)?;
            let wanted =
                |ticket: &&Arc<Ticket>| which.status.as_ref().is_none_or(|status| ticket.status.word() == status);
            let docs = state.tickets.values().filter(wanted).map(|ticket| TicketDoc::of(&state, ticket));
            let room = limit - rows.len();
            rows.extend(docs.take(room));
            Ok(rows.len() < limit)
        };
        if which.all.is_some() || (which.run.is_none() && catalog.runs().next().is_none()) {
            // Unfinished items are only where there were some lately.
            let unfinished = which.status.as_deref().is_some_and(|status| status != Status::Done.word());
            let milestones: Box<dyn Iterator<Item = Result<MilestoneId, RowError>>> = if unfinished {
                Box::new(self.open_milestones()?.into_iter().rev().map(Ok))
            } else {
                Box::new(catalog.milestones().rev().map(|row| Ok(row?.0)))
            };
            for milestone in milestones {
                if !take(&mut rows, milestone?)? {
                    break;
                }
            }
            return Ok(rows);
        }
        let row = names::run(&self.handle, which.run.as_deref().unwrap_or("@last"))?;
        take(&mut rows, row.milestone)?;
        Ok(rows)
    }

    /// The items of a run's milestone.
    pub(crate) fn tickets_of_run(&self, name: &str) -> Result<Vec<TicketDoc>, Problem> {
        of_milestone(&self.handle, names::run(&self.handle, name)?.milestone)
    }

    /// One item, with everything about it.
    pub(crate) fn ticket(&self, name: &str) -> Result<TicketFull, Problem> {
        Ok(full(&self.handle, &names::ticket(&self.handle, name)?))
    }

    /// An item as it stands now.
    pub(super) fn shown(&self, milestone: MilestoneId, id: TicketId) -> Result<TicketFull, Problem> {
        Ok(full(&self.handle, &names::in_milestone(&self.handle, milestone, id)?))
    }

    /// The items that a worker could claim now, of every milestone, the most urgent first.
    pub(crate) fn ready(&self) -> Result<Vec<TicketDoc>, Problem> {
        let mut rows = Vec::new();
        for milestone in self.open_milestones()? {
            let state = names::state(&self.handle, milestone)?;
            rows.extend(tickets::of(&state, &self.handle.ready(&state)));
        }
        rows.sort_by_key(|ticket| ticket.priority);
        Ok(rows)
    }

    /// The milestones that have unfinished items, the oldest first. One that turns out to have none is not looked at
    /// again until it gets one.
    pub(super) fn open_milestones(&self) -> Result<Vec<MilestoneId>, Problem> {
        let catalog = self.handle.catalog();
        let mut open = Vec::new();
        for milestone in catalog.open() {
            let milestone = milestone?;
            if self.is_open(milestone)? {
                open.push(milestone);
                continue;
            }
            catalog.set_open(milestone, false)?;
            // Something may have come in between; if it comes now, its own note comes after this one's removal.
            if self.is_open(milestone)? {
                catalog.set_open(milestone, true)?;
                open.push(milestone);
            }
        }
        Ok(open)
    }

    fn is_open(&self, milestone: MilestoneId) -> Result<bool, Problem> {
        let state = names::state(&self.handle, milestone)?;
        Ok(!state.is_settled() || state.tickets.values().any(|ticket| ticket.status != Status::Done))
    }
}

/// The items of a milestone.
pub(crate) fn of_milestone(handle: &Handle, milestone: MilestoneId) -> Result<Vec<TicketDoc>, Problem> {
    Ok(tickets::all(&*names::state(handle, milestone)?))
}

/// The whole document of an item.
pub(crate) fn full(handle: &Handle, found: &Found) -> TicketFull {
    let waiting = handle.why_waiting(&found.state, &found.id);
    TicketFull::of(&found.state, found.ticket(), waiting)
}
