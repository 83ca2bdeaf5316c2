//! A run goes on from the state another one had at one event, as a milestone of its own. The original is not touched.
use super::cx::{Cx, Scope};
use p0_model::{
    actor::Actor,
    event::Event,
    id::{LearningId, RunId},
    kept::{Fork, ForkedTicket},
    rejection::Rejection,
    reply::Reply,
    ticket::BlockedOn,
};

pub(super) fn fork(cx: &mut Cx<'_>, wanted: &Fork) -> Result<Reply, Rejection> {
    if cx.state.milestone.is_some() {
        return Err(Rejection::refused("a fork begins a milestone of its own, and this one is there already"));
    }
    let event = Event::MilestoneCreated {
        id: wanted.milestone,
        key: wanted.key.clone(),
        title: wanted.title.clone(),
        spec: wanted.spec.clone(),
        project: wanted.project.clone(),
    };
    cx.emit(Scope::default(), event);
    let id = RunId(cx.new_id());
    let event = Event::RunStarted {
        id,
        workflow: wanted.workflow.clone().into(),
        settings: wanted.settings.clone().into(),
        spec: wanted.spec.clone(),
        base: wanted.base.clone(),
        branch: format!("p0/{id}/main"),
        rules: wanted.rules,
        p0: wanted.p0.clone(),
        backlog: wanted.backlog.clone(),
        origin: Some(wanted.origin.clone()),
    };
    cx.emit(Scope::run(id), event);
    for ticket in &wanted.tickets {
        take_over(cx, id, ticket, wanted.rules);
    }
    for learning in &wanted.learnings {
        let scope = Scope { attempt: Some(learning.attempt), ..Scope::run(id) };
        cx.emit_engine(scope, Event::LearningRecorded { id: learning.id.clone(), text: learning.text.clone() });
    }
    let keep: Vec<LearningId> =
        wanted.learnings.iter().filter(|l| l.curated == Some(true)).map(|l| l.id.clone()).collect();
    if wanted.learnings.iter().any(|l| l.curated.is_some()) {
        cx.emit_engine(Scope::run(id), Event::LearningCurated { keep });
    }
    Ok(Reply::RunStarted { run: id })
}

/// Whoever forks writes it down, and names who said what; what is open begins without claims, rounds or
/// blocks, except those by a person.
fn take_over(cx: &mut Cx<'_>, run: RunId, ticket: &ForkedTicket, rules: u32) {
    let scope = || Scope::run(run).ticket(&ticket.seed.id);
    let created = Event::TicketCreated { ticket: ticket.seed.clone().into() };
    let comments = ticket.comments.iter().map(|comment| (&comment.actor, &comment.text));
    if rules < 3 {
        // The events were on record as if they were those people's.
        cx.emit_as(ticket.by.clone(), scope(), created);
        comments.for_each(|(by, text)| cx.emit_as(by.clone(), scope(), Event::TicketCommented { text: text.clone() }));
    } else {
        // An item that a person made is still one; rules look at that since rules 5.
        let by_person = rules < 5 || matches!(ticket.by, Actor::Person(_));
        if by_person {
            cx.emit(scope(), created)
        } else {
            cx.emit_engine(scope(), created)
        }
        let said = comments.map(|(by, text)| Event::TicketCommented { text: format!("{by} said: {text}") });
        said.for_each(|comment| cx.emit(scope(), comment));
    }
    if let Some(reason) = &ticket.deferred {
        cx.emit_engine(scope(), Event::TicketDeferred { reason: reason.clone() });
    }
    if let Some(reason) = &ticket.blocked {
        cx.emit_engine(scope(), Event::TicketBlocked { on: BlockedOn::Person { reason: reason.clone() } });
    }
    if ticket.done {
        cx.emit_engine(scope(), Event::TicketCompleted { commit: ticket.commit.clone() });
    }
}
