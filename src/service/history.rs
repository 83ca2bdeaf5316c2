//! Which events are meant.
use super::{
    app::Service,
    names::{self, Point},
    problem::{Kind, Problem},
};
use crate::{
    contract::events::EventQuery,
    engine::{
        handle::{Handle, ReadError},
        history::{Records, Subject},
    },
    model::{
        event::Event,
        id::{RunId, TicketId},
        record::Record,
    },
    views::catalog::Recorded,
};
use chrono::TimeDelta;

/// How long after its time an event may become durable.
pub(crate) const ON_THE_WAY: TimeDelta = TimeDelta::seconds(1);

/// Which events, resolved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Filter {
    /// Those of this run.
    pub(crate) run: Option<RunId>,
    /// Those about this ticket.
    pub(crate) ticket: Option<TicketId>,
    /// Those whose actor begins so.
    pub(crate) actor: Option<String>,
    /// Those whose kind begins so.
    pub(crate) kind: Option<String>,
}

impl Filter {
    /// Whether an event is among them.
    pub(crate) fn lets(&self, record: &Record) -> bool {
        self.run.is_none_or(|run| record.run == Some(run))
            && self.ticket.as_ref().is_none_or(|ticket| record.ticket.as_ref() == Some(ticket))
            && self.kind.as_ref().is_none_or(|kind| record.kind.starts_with(kind.as_str()))
            && self.actor.as_ref().is_none_or(|actor| record.actor.to_string().starts_with(actor.as_str()))
    }
}

/// How a reader of events goes on.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// The last event that it has seen, when it comes back.
    pub(crate) last_seen: Option<u64>,
    /// Whether it takes server-sent events; else lines.
    pub(crate) sse: bool,
}

/// A selection of events.
pub(crate) struct EventSelection {
    /// Which events.
    pub(crate) filter: Filter,
    /// After this one.
    pub(crate) since: u64,
    /// Up to and with this.
    pub(crate) until: Option<Point>,
    /// Whether to go on at the head.
    pub(crate) follow: bool,
    /// Server-sent events, or lines.
    pub(crate) sse: bool,
    /// Whether lines tell what is tried again right now, too: not with server-sent events.
    pub(crate) live: bool,
    /// What is found by index, to be shown before the log is read on; `None` = the log itself.
    pub(crate) past: Option<Past>,
}

/// Events that are found by an index or in a file.
pub(crate) struct Past {
    /// The events, in order.
    pub(crate) records: Records,
    /// The event up to which the index leads; none when there is nothing else to read.
    pub(crate) covered: Option<u64>,
}

impl Past {
    fn here(handle: &Handle, subject: &Subject) -> Past {
        let (records, covered) = handle.history(subject);
        Past { records, covered: Some(covered) }
    }

    fn elsewhere(records: impl Iterator<Item = Result<Record, ReadError>> + Send + 'static) -> Past {
        Past { records: Box::new(records), covered: None }
    }

    fn is_all(&self) -> bool {
        self.covered.is_none()
    }
}

impl Service {
    /// The events that a query means.
    pub(crate) fn select_events(&self, query: &EventQuery, reading: Reading) -> Result<EventSelection, Problem> {
        let mut wanted = select(&self.handle, query, reading)?;
        if let Some(name) = query.run.as_deref() {
            let found = self.handle.catalog().find_record(name)?;
            wanted.filter.run = Some(found.id());
            wanted.past = match found {
                Recorded::Here(row) => Some(Past::here(&self.handle, &Subject::Milestone(row.milestone))),
                Recorded::Imported(imported) => Some(Past::elsewhere(self.handle.records_of_import(&imported)?)),
            };
        }
        if let Some(name) = query.ticket.as_deref() {
            // The tickets of a run that was imported are not in the tracker.
            if wanted.past.as_ref().is_some_and(Past::is_all) {
                wanted.filter.ticket = Some(name.to_uppercase().parse().map_err(|e| Problem::new(Kind::Usage, e))?);
            } else {
                let found = names::ticket(&self.handle, name)?;
                let ticket = found.id;
                wanted.past = Some(Past::here(&self.handle, &Subject::Ticket(found.milestone, ticket.clone())));
                wanted.filter.ticket = Some(ticket);
            }
        }
        Ok(wanted)
    }
}

/// What a query means but for the run and the ticket that it names.
pub(crate) fn select(handle: &Handle, query: &EventQuery, reading: Reading) -> Result<EventSelection, Problem> {
    let Reading { last_seen, sse } = reading;
    let since = match (last_seen, query.since.as_deref().map(names::point).transpose()?) {
        (Some(seq), _) | (None, Some(Point::Seq(seq))) => seq,
        (None, Some(Point::At(at))) => handle.last_before(at)?,
        (None, None) => 0,
    };
    // A whole kind may be one of a newer p0, which is what somebody may be looking for.
    if let Some(kind) = &query.kind
        && !Event::KINDS.iter().any(|known| known.starts_with(kind.as_str()))
        && !is_a_kind(kind)
    {
        let problem = Problem::new(Kind::Usage, format!("no kind of event begins with '{kind}'"));
        return Err(problem.hint(format!("there are: {}", Event::KINDS.join(", "))));
    }
    let is_on = |word: &str| !matches!(word, "false" | "0");
    Ok(EventSelection {
        filter: Filter { run: None, ticket: None, actor: query.actor.clone(), kind: query.kind.clone() },
        since,
        until: query.until.as_deref().map(names::point).transpose()?,
        follow: query.follow.as_deref().map_or(sse, is_on),
        sse,
        live: !sse && query.live.as_deref().is_some_and(is_on),
        past: None,
    })
}

/// Whether a word could be the whole name of a kind: `ticket.created`.
fn is_a_kind(word: &str) -> bool {
    let is_name = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    word.split_once('.').is_some_and(|(room, what)| is_name(room) && is_name(what))
}
