//! Names in requests: any unambiguous beginning of an id, or `@last`.
use super::problem::{Kind, Problem};
use crate::{
    engine::handle::Handle,
    model::{
        Time,
        aggregate::Aggregate,
        id::{AttemptId, MilestoneId, RunId, TicketId},
        ticket::Ticket,
    },
    views::catalog::{NotOne, RunRow},
};
use std::sync::Arc;

/// The run that a name stands for.
pub(crate) fn run(handle: &Handle, name: &str) -> Result<RunRow, Problem> {
    Ok(handle.catalog().find_run(Some(name))?)
}

/// The run that a name stands for, of here or imported.
pub(crate) fn record(handle: &Handle, name: &str) -> Result<RunId, Problem> {
    Ok(handle.catalog().find_record(name)?.id())
}

/// The state of a milestone that the catalog knows.
pub(crate) fn state(handle: &Handle, milestone: MilestoneId) -> Result<Arc<Aggregate>, Problem> {
    let found = handle.aggregate(milestone)?;
    found.ok_or_else(|| Problem::new(Kind::NotFound, format!("there is no milestone '{milestone}'")))
}

/// A ticket and where it is.
pub(crate) struct Found {
    /// Its milestone.
    pub(crate) milestone: MilestoneId,
    /// The milestone's state.
    pub(crate) state: Arc<Aggregate>,
    /// Its id.
    pub(crate) id: TicketId,
}

impl Found {
    /// The ticket.
    pub(crate) fn ticket(&self) -> &Ticket {
        self.state.tickets.get(&self.id).expect("it was found in this very state")
    }
}

/// A ticket of this milestone, as it stands now.
pub(crate) fn in_milestone(handle: &Handle, milestone: MilestoneId, id: TicketId) -> Result<Found, Problem> {
    let state = state(handle, milestone)?;
    if !state.tickets.contains_key(&id) {
        return Err(Problem::new(Kind::NotFound, format!("there is no ticket '{id}'")));
    }
    Ok(Found { milestone, state, id })
}

/// The ticket that a name stands for.
pub(crate) fn ticket(handle: &Handle, name: &str) -> Result<Found, Problem> {
    let catalog = handle.catalog();
    let none = || NotOne::None { what: "ticket", name: name.to_owned() };
    if name == "@last" {
        let milestone = catalog.find_run(None)?.milestone;
        let state = state(handle, milestone)?;
        let id = state.tickets.keys().next_back().cloned().ok_or_else(none)?;
        return Ok(Found { milestone, state, id });
    }
    let wanted = name.to_uppercase();
    let key = wanted.split_once('-').map_or(wanted.as_str(), |(key, _)| key);
    let whole_key = wanted.contains('-');
    let mut matches = Vec::new();
    for found in catalog.keys(key) {
        let (name, milestone) = found?;
        if name != key && whole_key {
            continue;
        }
        let state = state(handle, milestone)?;
        let exact = wanted.parse().ok().filter(|id| state.tickets.contains_key(id));
        let found = exact.map_or_else(|| beginning(state.tickets.keys(), &wanted), |id| vec![id]);
        for id in found {
            matches.push(Found { milestone, state: state.clone(), id });
        }
    }
    match matches.len() {
        0 => Err(none().into()),
        1 => Ok(matches.swap_remove(0)),
        _ => {
            let several = matches.iter().take(10).map(|m| m.id.to_string()).collect();
            Err(NotOne::Several { what: "ticket", name: name.to_owned(), several }.into())
        }
    }
}

/// The ids that begin with `wanted`.
fn beginning<'a>(ids: impl Iterator<Item = &'a TicketId>, wanted: &str) -> Vec<TicketId> {
    ids.filter(|id| id.to_string().starts_with(wanted)).cloned().collect()
}

/// The attempt that a name stands for.
pub(crate) fn attempt(handle: &Handle, name: &str) -> Result<(MilestoneId, AttemptId), Problem> {
    let catalog = handle.catalog();
    let wanted = name.to_lowercase();
    let found: Vec<_> = catalog.attempts(&wanted).take(10).collect::<Result<_, _>>()?;
    match found.as_slice() {
        [] => Err(NotOne::None { what: "attempt", name: name.to_owned() }.into()),
        [(id, milestone)] => Ok((*milestone, *id)),
        several => {
            let several = several.iter().map(|(id, _)| id.to_string()).collect();
            Err(NotOne::Several { what: "attempt", name: name.to_owned(), several }.into())
        }
    }
}

/// A place in the log: by number or by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    /// A sequence number.
    Seq(u64),
    /// A moment.
    At(Time),
}

/// Reads `SEQ` or a time (RFC 3339, or a date).
pub(crate) fn point(text: &str) -> Result<Point, Problem> {
    if let Ok(seq) = text.parse() {
        return Ok(Point::Seq(seq));
    }
    if let Ok(at) = chrono::DateTime::parse_from_rfc3339(text) {
        return Ok(Point::At(at.to_utc()));
    }
    if let Some(at) = text.parse::<chrono::NaiveDate>().ok().and_then(|date| date.and_hms_opt(0, 0, 0)) {
        return Ok(Point::At(at.and_utc()));
    }
    Err(Problem::new(Kind::Usage, format!("'{text}' is neither a sequence number nor a time"))
        .hint("write a number, or a time such as 2026-01-31T12:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_of_an_id_is_enough() {
        let ids = [TicketId::new("BLOG", 2), TicketId::new("BLOG", 2).child(1), TicketId::new("BLOG", 21)];
        assert_eq!(beginning(ids.iter(), "BLOG-21"), [ids[2].clone()]);
        assert_eq!(beginning(ids.iter(), "BLOG").len(), 3);
        assert!(beginning(ids.iter(), "SHOP-1").is_empty());
    }

    #[test]
    fn points_are_numbers_or_times() {
        assert_eq!(point("17").unwrap(), Point::Seq(17));
        let noon = chrono::DateTime::parse_from_rfc3339("2026-01-31T12:00:00Z").unwrap().to_utc();
        assert_eq!(point("2026-01-31T13:00:00+01:00").unwrap(), Point::At(noon));
        assert!(matches!(point("2026-01-31").unwrap(), Point::At(_)));
        assert_eq!(point("yesterday").unwrap_err().kind, Kind::Usage);
    }
}
