//! What a change of an item brings with it: whether a blocked one goes back to work, and who waits for a new fix.
use super::cx::{Cx, Scope};
use crate::{graph, schedule};
use p0_model::{
    actor::Actor,
    aggregate::Aggregate,
    event::Event,
    id::TicketId,
    run::MOST_RENEWALS,
    ticket::{Changes, Kind, Status, Ticket},
};
use std::collections::{BTreeMap, BTreeSet};

/// Whose change it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// A planner's.
    Planner,
    /// A person's.
    Person,
}

/// An item was changed: one that was blocked goes back to work, which is an event of its own. Not if a person blocked it, and
/// not without end by planners. Before rules 5 every change opened it, without an event.
pub(super) fn reopen(cx: &mut Cx<'_>, scope: &Scope, id: &TicketId, by: By) {
    if !cx.state.keeps_a_persons_word() {
        return;
    }
    let Some(ticket) = cx.state.tickets.get(id).filter(|t| t.seed.kind != Kind::Feedback) else { return };
    if !matches!(ticket.status, Status::Blocked(_)) {
        return;
    }
    let renewals = ticket.renewals + u32::from(by == By::Planner);
    let stays = if ticket.is_blocked_by_person() {
        Some("a person blocked it".to_owned())
    } else if renewals > MOST_RENEWALS && by == By::Planner {
        Some(format!("planners have put it back to work {MOST_RENEWALS} times in this run already"))
    } else {
        None
    };
    let scope = scope.clone().ticket(id);
    let Some(why) = stays else {
        let reason = match by {
            By::Planner => format!("the planner changed it (time {renewals} of {MOST_RENEWALS} in this run)"),
            By::Person => "a person changed it".to_owned(),
        };
        return cx.emit_engine(scope, Event::TicketReopened { renewals, reason });
    };
    let text = format!("changed, and still blocked: {why}; a person opens it with `p0 ticket status {id} open`");
    let is_said = ticket.comments.iter().any(|comment| comment.text == text);
    if by == By::Planner && !is_said {
        cx.emit_engine(scope, Event::TicketCommented { text });
    }
}

/// Why a planner may not change an item so: a person gave it a higher priority. A sentence.
pub(super) fn against_a_person(state: &Aggregate, id: &TicketId, changes: &Changes) -> Option<String> {
    let ticket = state.tickets.get(id).filter(|_| state.keeps_a_persons_word())?;
    let (priority, by_person) = (ticket.seed.priority, matches!(ticket.by, Actor::Person(_)));
    // The first is the highest.
    let lowered = changes.priority.is_some_and(|wanted| wanted > priority);
    (by_person && lowered).then(|| {
        let word = format!("{priority:?}").to_lowercase();
        format!("{id} was made by a person with {word} priority, which a plan cannot lower; leave \"priority\" out")
    })
}

/// Whether a person said that it is being worked on, outside of any run. Looked at since rules 5.
pub(super) fn is_in_hand(state: &Aggregate, id: &TicketId) -> bool {
    let in_hand = |t: &Ticket| t.status == Status::InProgress && t.claim.is_none();
    state.keeps_a_persons_word()
        && state.tickets.get(id).is_some_and(|t| in_hand(t))
        && schedule::open_child(state, id).is_none()
}

/// What has not begun and depends on something that a fix mends depends on the fix too, unless the fix waits for it.
/// Since rules 5 also what is blocked or put off.
pub(super) fn dependents_wait_for(cx: &mut Cx<'_>, scope: &Scope, fix: &TicketId) {
    let Some(files) = cx.state.tickets.get(fix).map(|t| t.seed.files.clone()) else { return };
    let all = cx.state.keeps_a_persons_word();
    let mended = |id: &TicketId| {
        cx.state.tickets.get(id).is_some_and(|t| t.status == Status::Done && t.seed.files.overlap(&files).is_some())
    };
    let not_begun = |t: &Ticket| match &t.status {
        Status::Open => t.claim.is_none() && (all || t.is_live_work()),
        Status::Blocked(_) => all,
        Status::InProgress | Status::Done => false,
    };
    let dependents: Vec<(TicketId, BTreeSet<TicketId>)> = cx
        .state
        .tickets
        .iter()
        .filter(|(id, t)| *id != fix && t.seed.kind != Kind::Feedback && not_begun(t))
        .filter(|(_, t)| t.seed.depends_on.iter().any(mended) && !(all && t.seed.depends_on.contains(fix)))
        .map(|(id, t)| (id.clone(), t.seed.depends_on.clone()))
        .collect();
    // The engine's own change: no wish of the planner to go on with what it put off.
    let scope = if all { Scope { attempt: None, ..scope.clone() } } else { scope.clone() };
    for (id, mut depends_on) in dependents {
        depends_on.insert(fix.clone());
        let changed = BTreeMap::from([(id.clone(), depends_on.iter().cloned().collect())]);
        if graph::cycle(&cx.state, &changed).is_none() {
            let changes = Changes { depends_on: Some(depends_on), ..Changes::default() };
            cx.emit_engine(scope.clone().ticket(&id), Event::TicketUpdated { changes: changes.into() });
        }
    }
}

/// New items that depend on what an unfinished fix mends wait for that fix as well, wherever it stands in the plan. Since
/// rules 5; before, only items that were there when the fix was made.
pub(super) fn wait_for_fixes(cx: &mut Cx<'_>, scope: &Scope) {
    if !cx.state.keeps_a_persons_word() {
        return;
    }
    let is_open_fix = |t: &Ticket| t.seed.kind == Kind::Fix && t.is_live_work();
    let fixes: Vec<TicketId> =
        cx.state.tickets.iter().filter(|(_, t)| is_open_fix(t)).map(|(id, _)| id.clone()).collect();
    for fix in fixes {
        dependents_wait_for(cx, scope, &fix);
    }
}
