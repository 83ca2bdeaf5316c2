//! The state of one milestone: everything its runs decide from.
use super::{
    Time,
    approval::Approval,
    attempt::Attempt,
    id::{ApprovalId, AttemptId, BlobId, LearningId, MilestoneId, RunId, TicketId},
    run::Run,
    ticket::{Priority, Status, Ticket},
};
use imbl::{OrdMap, OrdSet};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// A spec, as a milestone keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Milestone {
    /// Its id, and the id of its stream.
    pub id: MilestoneId,
    /// Its key: the first part of its tickets' ids.
    pub key: String,
    /// Its title.
    pub title: String,
    /// The whole spec.
    pub spec: BlobId,
    /// The root of the repository it is for, absolute.
    pub project: String,
    /// When it was first seen.
    pub created_at: Time,
}

/// What an attempt wished it had known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Learning {
    /// The text.
    pub text: String,
    /// Who wrote it.
    pub attempt: AttemptId,
    /// Whether a planner kept it: `None` = not yet looked at.
    pub curated: Option<bool>,
}

/// The state of one milestone, folded from its frames. Cloning is cheap: the maps share their nodes. What changes copies
/// its node, with all that stands in it: so the large values are shared too, and a change copies only its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct Aggregate {
    /// The milestone; `None` before its first event.
    pub milestone: Option<Milestone>,
    /// Its work items.
    pub tickets: OrdMap<TicketId, Arc<Ticket>>,
    /// Its runs, oldest first (ids are ordered by time).
    pub runs: OrdMap<RunId, Arc<Run>>,
    /// Their attempts.
    pub attempts: OrdMap<AttemptId, Arc<Attempt>>,
    /// What was learned.
    pub learnings: OrdMap<LearningId, Learning>,
    /// Questions to people.
    #[serde(default, skip_serializing_if = "OrdMap::is_empty")]
    pub approvals: OrdMap<ApprovalId, Approval>,
    /// The number of the last top-level item.
    pub last_item: u32,
    /// The last fencing token given out.
    pub last_fence: u64,
    /// The moment of the last event.
    pub at: Option<Time>,
    /// Why this milestone's record cannot be followed any further, if it cannot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<String>,
    /// What nearly every decision looks at, of tickets and attempts by the thousand. Made from the rest, and not stored.
    #[serde(skip)]
    at_work: AtWork,
}

/// Where somebody is at work, or something is still to be done.
#[derive(Debug, Clone, Default, PartialEq)]
struct AtWork {
    claimed: OrdSet<TicketId>,
    /// Open tickets, the most important first: among them are those that can be claimed.
    open: OrdSet<(Priority, TicketId)>,
    attempts: OrdSet<AttemptId>,
}

/// What of a ticket [`AtWork`] shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shows {
    is_claimed: bool,
    is_open: bool,
    priority: Priority,
}

impl Shows {
    fn of(ticket: &Ticket) -> Shows {
        let (is_claimed, is_open) = (ticket.claim.is_some(), ticket.status == Status::Open);
        Shows { is_claimed, is_open, priority: ticket.seed.priority }
    }
}

impl Serialize for Aggregate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Aggregate::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Aggregate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Aggregate::deserialize(deserializer).map(Aggregate::indexed)
    }
}

impl Aggregate {
    /// With what is made from the rest.
    #[must_use]
    pub fn indexed(mut self) -> Aggregate {
        let claimed = self.tickets.iter().filter(|(_, ticket)| ticket.claim.is_some());
        let open = self.tickets.iter().filter(|(_, ticket)| ticket.status == Status::Open);
        let live = self.attempts.iter().filter(|(_, attempt)| attempt.is_live());
        self.at_work = AtWork {
            claimed: claimed.map(|(id, _)| id.clone()).collect(),
            open: open.map(|(id, ticket)| (ticket.seed.priority, id.clone())).collect(),
            attempts: live.map(|(id, _)| *id).collect(),
        };
        self
    }

    /// Whether what is made from the rest is what the rest says.
    pub fn is_indexed(&self) -> bool {
        self.clone().indexed().at_work == self.at_work
    }

    /// Lets `change` have a ticket, if there is one of this id.
    pub fn change_ticket(&mut self, id: &TicketId, change: impl FnOnce(&mut Ticket)) {
        let Some(ticket) = self.tickets.get_mut(id).map(Arc::make_mut) else { return };
        let before = Shows::of(ticket);
        change(ticket);
        let after = Shows::of(ticket);
        if before != after {
            self.at_work.open.remove(&(before.priority, id.clone()));
            self.note_ticket(id, after);
        }
    }

    /// Adds a ticket.
    pub fn add_ticket(&mut self, id: TicketId, ticket: Ticket) {
        let shows = Shows::of(&ticket);
        self.tickets.insert(id.clone(), Arc::new(ticket));
        self.note_ticket(&id, shows);
    }

    fn note_ticket(&mut self, id: &TicketId, shows: Shows) {
        if shows.is_open {
            self.at_work.open.insert((shows.priority, id.clone()));
        }
        match shows.is_claimed {
            true => self.at_work.claimed.insert(id.clone()),
            false => self.at_work.claimed.remove(id),
        };
    }

    /// To be told of every attempt that begins or ends.
    pub fn note_attempt(&mut self, id: AttemptId) {
        match self.attempts.get(&id).is_some_and(|attempt| attempt.is_live()) {
            true => self.at_work.attempts.insert(id),
            false => self.at_work.attempts.remove(&id),
        };
    }

    /// The open tickets, the most important first, then by number.
    pub fn open(&self) -> impl Iterator<Item = (&TicketId, &Ticket)> {
        let ids = self.at_work.open.iter().map(|(_, id)| id);
        ids.filter_map(|id| self.tickets.get_key_value(id)).map(|(id, ticket)| (id, ticket.as_ref()))
    }

    /// The tickets that somebody holds: a handful, whatever the size of the milestone.
    pub fn claimed(&self) -> impl Iterator<Item = (&TicketId, &Ticket)> {
        self.at_work.claimed.iter().filter_map(|id| self.tickets.get_key_value(id)).map(|(id, t)| (id, t.as_ref()))
    }

    /// The run that is not over, if there is one. At most one at a time.
    pub fn live_run(&self) -> Option<&Run> {
        self.runs.values().rev().map(Arc::as_ref).find(|r| !r.state.is_over())
    }

    /// The newest run.
    pub fn last_run(&self) -> Option<&Run> {
        self.runs.values().next_back().map(Arc::as_ref)
    }

    /// Whether its newest run keeps what a person said; see [`Run::keeps_a_persons_word`].
    pub fn keeps_a_persons_word(&self) -> bool {
        self.last_run().is_some_and(Run::keeps_a_persons_word)
    }

    /// Attempts that something is still to be done about.
    pub fn live_attempts(&self) -> impl Iterator<Item = &Attempt> {
        self.at_work.attempts.iter().filter_map(|id| self.attempts.get(id)).map(Arc::as_ref)
    }

    /// Whether nothing is in flight: no run at work, no attempt alive, no ticket claimed.
    pub fn is_settled(&self) -> bool {
        self.live_run().is_none() && self.at_work.attempts.is_empty() && self.at_work.claimed.is_empty()
    }
}
