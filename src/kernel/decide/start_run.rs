//! A spec is to be run: attach, show, or start.
use super::{
    control,
    cx::{Cx, Scope},
};
use p0_model::{
    command::StartRun,
    event::{Event, OpenStatus},
    id::{CommitId, RunId, TicketId},
    rejection::Rejection,
    reply::Reply,
    run::RunState,
    ticket::Status,
};

pub(super) fn start_run(cx: &mut Cx<'_>, start: &StartRun) -> Result<Reply, Rejection> {
    let identical = cx.state.milestone.as_ref().is_some_and(|m| m.spec.hash == start.spec.hash);
    if identical && let Some(reply) = go_on(cx, start)? {
        return Ok(reply);
    }
    milestone(cx, start);
    if let Some(old) = cx.state.live_run().map(|r| r.id) {
        control::end(cx, old, Event::RunCancelled { why: "the spec changed; a new run goes on".into() });
    }
    let base = if start.base_is_explicit { start.base.clone() } else { last_landed(cx).unwrap_or(start.base.clone()) };
    let id = RunId(cx.new_id());
    let event = Event::RunStarted {
        id,
        workflow: start.workflow.clone().into(),
        settings: start.settings.clone().into(),
        spec: start.spec.clone(),
        base,
        branch: format!("p0/{id}/main"),
        rules: start.rules,
        p0: start.p0.clone(),
        backlog: start.backlog.clone(),
        origin: None,
    };
    cx.emit(Scope::run(id), event);
    reopen(cx, id);
    Ok(Reply::RunStarted { run: id })
}

/// The identical spec again: its unfinished run goes on, its finished one is shown.
fn go_on(cx: &mut Cx<'_>, start: &StartRun) -> Result<Option<Reply>, Rejection> {
    let Some(last) = cx.state.last_run() else { return Ok(None) };
    let run = last.id;
    match last.state {
        RunState::Running | RunState::AwaitingApproval { .. } => Ok(Some(Reply::RunAttached { run })),
        RunState::Paused { .. } => {
            // All else is pinned; without this a run that used up its budget could never go on.
            let budget = &start.settings.budget;
            if *budget != last.settings.budget {
                cx.emit(Scope::run(run), Event::RunBudgetChanged { budget: budget.clone() });
            }
            control::resume(cx, run)?;
            Ok(Some(Reply::RunAttached { run }))
        }
        RunState::Done => Ok(Some(Reply::RunAlreadyDone { run })),
        RunState::Stuck { .. } | RunState::Failed { .. } | RunState::Cancelled { .. } => Ok(None),
    }
}

fn milestone(cx: &mut Cx<'_>, start: &StartRun) {
    let event = match &cx.state.milestone {
        None => Event::MilestoneCreated {
            id: start.milestone,
            key: start.key.clone(),
            title: start.title.clone(),
            spec: start.spec.clone(),
            project: start.project.clone(),
        },
        Some(known) if known.spec.hash != start.spec.hash => {
            Event::MilestoneUpdated { title: start.title.clone(), spec: start.spec.clone() }
        }
        Some(_) => return,
    };
    cx.emit(Scope::default(), event);
}

fn last_landed(cx: &Cx<'_>) -> Option<CommitId> {
    cx.state.runs.values().rev().find(|r| r.counters.landed > 0).and_then(|r| r.head.clone())
}

/// What was blocked gets another chance: the person started the spec again, with more information or a changed one. Since
/// rules 5 not what a person blocked: only a person opens it.
fn reopen(cx: &mut Cx<'_>, run: RunId) {
    let keeps = cx.state.keeps_a_persons_word();
    let blocked: Vec<TicketId> = cx
        .state
        .tickets
        .iter()
        .filter(|(_, t)| matches!(t.status, Status::Blocked(_)) && !(keeps && t.is_blocked_by_person()))
        .map(|(id, _)| id.clone())
        .collect();
    for id in blocked {
        let event = Event::TicketStatusChanged { status: OpenStatus::Open, reason: "a new run begins".into() };
        cx.emit_engine(Scope::run(run).ticket(&id), event);
    }
}
