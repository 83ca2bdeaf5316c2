//! The tool service a decision is made at: the state so far, the events so far, ids from the command's seed.
use crate::evolve::evolve;
use p0_model::{
    Time,
    actor::Actor,
    aggregate::Aggregate,
    attempt::Attempt,
    command::Command,
    event::Event,
    id::{AttemptId, RunId, TicketId},
    record::Draft,
    rejection::Rejection,
    run::Run,
};
use std::sync::Arc;
use uuid::Uuid;

/// What an event belongs to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Scope {
    pub(crate) run: Option<RunId>,
    pub(crate) ticket: Option<TicketId>,
    pub(crate) attempt: Option<AttemptId>,
}

impl Scope {
    pub(crate) fn run(run: RunId) -> Self {
        Scope { run: Some(run), ..Scope::default() }
    }

    pub(crate) fn ticket(mut self, ticket: &TicketId) -> Self {
        self.ticket = Some(ticket.clone());
        self
    }
}

/// A decision in the making. Cloning it is cheap, so that something can be tried and dropped.
#[derive(Clone)]
pub(crate) struct Cx<'c> {
    /// The state after the events so far.
    pub(crate) state: Aggregate,
    command: &'c Command,
    events: Vec<Draft>,
    ids: u16,
}

impl<'c> Cx<'c> {
    pub(crate) fn new(state: &Aggregate, command: &'c Command) -> Self {
        Cx { state: state.clone(), command, events: Vec::new(), ids: 0 }
    }

    pub(crate) fn into_parts(self) -> (Aggregate, Vec<Draft>) {
        (self.state, self.events)
    }

    /// The command's moment.
    pub(crate) fn at(&self) -> Time {
        self.command.at
    }

    /// Something that the sender of the command did.
    pub(crate) fn emit(&mut self, scope: Scope, event: Event) {
        self.emit_as(self.command.actor.clone(), scope, event);
    }

    /// Something that the engine did by its rules.
    pub(crate) fn emit_engine(&mut self, scope: Scope, event: Event) {
        self.emit_as(Actor::Engine, scope, event);
    }

    pub(crate) fn emit_as(&mut self, actor: Actor, scope: Scope, event: Event) {
        let draft =
            Draft { at: self.command.at, run: scope.run, ticket: scope.ticket, attempt: scope.attempt, actor, event };
        evolve(&mut self.state, &draft);
        self.events.push(draft);
    }

    /// A new id (UUID version 7 of the command's moment), derived from the command's seed.
    pub(crate) fn new_id(&mut self) -> Uuid {
        self.ids += 1;
        let mut random = [0u8; 10];
        random.copy_from_slice(&self.command.seed.as_bytes()[..10]);
        let tail = u16::from_be_bytes([random[8], random[9]]).wrapping_add(self.ids);
        random[8..].copy_from_slice(&tail.to_be_bytes());
        let millis = u64::try_from(self.command.at.timestamp_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
    }

    pub(crate) fn run(&self, id: RunId) -> Result<&Run, Rejection> {
        self.state
            .runs
            .get(&id)
            .map(Arc::as_ref)
            .ok_or_else(|| Rejection::NotFound { what: "run".into(), id: id.to_string() })
    }

    pub(crate) fn attempt(&self, id: AttemptId) -> Result<&Attempt, Rejection> {
        self.state
            .attempts
            .get(&id)
            .map(Arc::as_ref)
            .ok_or_else(|| Rejection::NotFound { what: "attempt".into(), id: id.to_string() })
    }

    /// The scope of an attempt's events.
    pub(crate) fn scope_of(&self, id: AttemptId) -> Result<Scope, Rejection> {
        let attempt = self.attempt(id)?;
        Ok(Scope { run: Some(attempt.run), ticket: attempt.ticket.clone(), attempt: Some(id) })
    }

    /// The attempt as an actor.
    pub(crate) fn agent(&self, id: AttemptId) -> Result<Actor, Rejection> {
        Ok(Actor::Agent { role: self.attempt(id)?.role.clone(), attempt: id })
    }

    /// Puts a report that no longer applies on record.
    pub(crate) fn ignore(&mut self, id: AttemptId, what: &str, why: &str) -> Result<(), Rejection> {
        let scope = self.scope_of(id)?;
        self.emit_engine(scope, Event::ResultIgnored { what: what.to_owned(), why: why.to_owned() });
        Ok(())
    }
}
