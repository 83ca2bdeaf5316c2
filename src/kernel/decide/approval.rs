//! Questions to people: asked by attempts, answered by people, or by time.
use super::cx::{Cx, Scope};
use chrono::TimeDelta;
use p0_model::{
    actor::Actor,
    approval::Approval,
    event::{Event, OpenStatus},
    id::{ApprovalId, AttemptId, TicketId},
    rejection::Rejection,
    reply::Reply,
    ticket::{BlockedOn, Status},
};

/// Questions that one attempt may have open at a time; a program that asks more does not wait for answers.
const MOST_OPEN: usize = 16;
/// What "for ever" is, where the calendar has no such day.
const MOST_PATIENCE: TimeDelta = TimeDelta::days(36_500);
/// Bytes of a question's texts that are kept.
const MOST_TEXT: usize = 4_000;

/// Puts a question of an attempt on record.
pub(super) fn ask(cx: &mut Cx<'_>, id: AttemptId, tool: &str, target: &str, why: &str) -> Result<Reply, Rejection> {
    let (scope, agent, attempt) = (cx.scope_of(id)?, cx.agent(id)?, cx.attempt(id)?);
    let open = cx.state.approvals.values().filter(|a| a.attempt == id && a.is_open());
    if open.count() >= MOST_OPEN {
        let why = format!("{MOST_OPEN} questions are open already; wait for their answers");
        return Ok(Reply::Refused { why });
    }
    let patience = cx.run(attempt.run)?.settings.limits.approval_s;
    let patience = TimeDelta::try_seconds(i64::try_from(patience).unwrap_or(i64::MAX)).unwrap_or(TimeDelta::MAX);
    let key = cx.state.milestone.as_ref().map(|m| m.key.clone()).unwrap_or_default();
    let approval = Approval {
        id: ApprovalId(format!("{key}-A{}", cx.state.approvals.len() + 1)),
        run: attempt.run,
        attempt: id,
        ticket: attempt.ticket.clone(),
        tool: short(tool),
        target: short(target),
        why: short(why),
        asked_at: cx.at(),
        until: cx.at().checked_add_signed(patience).unwrap_or_else(|| cx.at() + MOST_PATIENCE),
        answer: None,
    };
    let asked = approval.id.clone();
    cx.emit_as(agent, scope, Event::ApprovalRequested { approval: approval.into() });
    Ok(Reply::Asked { approval: asked })
}

fn short(text: &str) -> String {
    let mut end = text.len().min(MOST_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

/// A person's answer. An agent cannot answer itself.
pub(super) fn answer(cx: &mut Cx<'_>, id: &ApprovalId, allowed: bool, reason: &str) -> Result<Reply, Rejection> {
    let approval = find(cx, id)?;
    if let Some(answer) = &approval.answer {
        let word = if answer.allowed { "allowed" } else { "denied" };
        let why = format!("{id} was {word} already by {}; nothing changed", answer.by);
        return Err(Rejection::Refused { why });
    }
    let scope = scope(&approval);
    cx.emit(scope, Event::ApprovalAnswered { id: id.clone(), allowed, reason: reason.to_owned() });
    Ok(Reply::Ok)
}

/// The patience with a question is at its end.
pub(super) fn expired(cx: &mut Cx<'_>, id: &ApprovalId) {
    let Some(approval) = cx.state.approvals.get(id).filter(|a| a.is_open()).cloned() else { return };
    let waited = (approval.until - approval.asked_at).num_seconds();
    deny(cx, &approval, format!("nobody answered within {waited} s"));
}

/// The attempt is over: nobody waits for the answers any more.
pub(super) fn close_all(cx: &mut Cx<'_>, attempt: AttemptId) {
    let open: Vec<Approval> =
        cx.state.approvals.values().filter(|a| a.attempt == attempt && a.is_open()).cloned().collect();
    for approval in open {
        deny(cx, &approval, "the attempt that asked is over".into());
    }
}

fn deny(cx: &mut Cx<'_>, approval: &Approval, reason: String) {
    let event = Event::ApprovalAnswered { id: approval.id.clone(), allowed: false, reason };
    cx.emit_as(Actor::Engine, scope(approval), event);
}

fn scope(approval: &Approval) -> Scope {
    Scope { run: Some(approval.run), ticket: approval.ticket.clone(), attempt: Some(approval.attempt) }
}

fn find(cx: &Cx<'_>, id: &ApprovalId) -> Result<Approval, Rejection> {
    let found = cx.state.approvals.get(id).cloned();
    found.ok_or_else(|| Rejection::NotFound { what: "approval".into(), id: id.to_string() })
}

/// A person answers what a ticket is blocked on: the answer goes to the next round, and the ticket is open again.
pub(super) fn answer_question(cx: &mut Cx<'_>, id: &TicketId, text: &str) -> Result<Reply, Rejection> {
    let ticket = cx.state.tickets.get(id);
    let ticket = ticket.ok_or_else(|| Rejection::NotFound { what: "ticket".into(), id: id.to_string() })?;
    let Status::Blocked(BlockedOn::NeedsInput { .. }) = &ticket.status else {
        let why =
            format!("{id} asks nothing (it is {}); `p0 ticket comment` says something about it", ticket.status.word());
        return Err(Rejection::Refused { why });
    };
    if text.trim().is_empty() {
        return Err(Rejection::Refused { why: "the answer is empty".into() });
    }
    let run = cx.state.live_run().map(|r| r.id);
    let scope = Scope { run, ticket: Some(id.clone()), attempt: None };
    cx.emit(scope.clone(), Event::TicketCommented { text: text.to_owned() });
    let event = Event::TicketStatusChanged { status: OpenStatus::Open, reason: "its question was answered".into() };
    cx.emit(scope, event);
    Ok(Reply::Ok)
}
