//! Runs: pause, resume, cancel, their reports and their timers.
use super::cx::{Cx, Scope};
use p0_model::{
    attempt::{Outcome, Phase, Step},
    effect::Timer,
    event::Event,
    id::{AttemptId, CommitId, RunId},
    rejection::Rejection,
    reply::Reply,
    run::RunState,
    settings::Budget,
    ticket::Holder,
};

pub(super) fn pause(cx: &mut Cx<'_>, run: RunId, why: &str) -> Result<Reply, Rejection> {
    not_over(cx, run)?;
    if !matches!(cx.run(run)?.state, RunState::Paused { .. }) {
        cx.emit(Scope::run(run), Event::RunPaused { why: why.to_owned(), until: None, held: false });
    }
    Ok(Reply::Ok)
}

pub(super) fn resume(cx: &mut Cx<'_>, run: RunId) -> Result<Reply, Rejection> {
    not_over(cx, run)?;
    if matches!(cx.run(run)?.state, RunState::Paused { .. }) {
        cx.emit(Scope::run(run), Event::RunResumed {});
    }
    Ok(Reply::Ok)
}

/// A person lets it go on, perhaps with another budget; a run at work may be given one as well.
pub(super) fn go_on(cx: &mut Cx<'_>, run: RunId, budget: Option<&Budget>) -> Result<Reply, Rejection> {
    not_over(cx, run)?;
    if let Some(wanted) = budget {
        let now = &cx.run(run)?.settings.budget;
        let budget = Budget { usd: wanted.usd.or(now.usd), tokens: wanted.tokens.or(now.tokens), unknown: now.unknown };
        if budget != *now {
            cx.emit(Scope::run(run), Event::RunBudgetChanged { budget });
        }
    }
    resume(cx, run)
}

pub(super) fn cancel(cx: &mut Cx<'_>, run: RunId, why: &str) -> Result<Reply, Rejection> {
    not_over(cx, run)?;
    end(cx, run, Event::RunCancelled { why: why.to_owned() });
    Ok(Reply::Ok)
}

fn not_over(cx: &Cx<'_>, run: RunId) -> Result<(), Rejection> {
    let state = &cx.run(run)?.state;
    if state.is_over() {
        return Err(Rejection::RunOver { run, state: state.word().to_owned() });
    }
    Ok(())
}

/// Ends a run: the ending goes on record, its attempts are told to stop, its tickets are free again. A landing whose
/// intent is on record is finished first: it may have happened.
pub(crate) fn end(cx: &mut Cx<'_>, run: RunId, ending: Event) {
    let why = ending.kind().to_owned();
    cx.emit(Scope::run(run), ending);
    let unfinished: Vec<AttemptId> =
        cx.state.attempts.values().filter(|a| a.run == run && a.outcome().is_none()).map(|a| a.id).collect();
    for id in unfinished {
        let Ok(scope) = cx.scope_of(id) else { continue };
        match cx.state.attempts.get(&id).map(|a| a.phase.clone()) {
            Some(Phase::Integrating { step: Step::Landing { .. }, .. } | Phase::Finished { .. }) | None => {}
            Some(Phase::Integrating { step: Step::Queued | Step::Gating { .. }, .. }) => finish_cancelled(cx, id),
            Some(Phase::Starting | Phase::Running { .. } | Phase::Exited { .. }) => {
                cx.emit_engine(scope, Event::AttemptStopping { why: why.clone(), filled: None });
            }
        }
    }
}

/// An attempt of a run that is over: its work is parked, its ticket is free.
pub(crate) fn finish_cancelled(cx: &mut Cx<'_>, id: AttemptId) {
    let Ok(scope) = cx.scope_of(id) else { return };
    cx.emit_engine(scope.clone(), Event::AttemptFinished { outcome: Outcome::Cancelled });
    if scope.ticket.as_ref().and_then(|t| cx.state.tickets.get(t)).is_some_and(|t| t.holding_attempt() == Some(id)) {
        cx.emit_engine(scope, Event::TicketReleased { why: "the run is over".into() });
    }
}

pub(super) fn opened(cx: &mut Cx<'_>, run: RunId, head: &CommitId) -> Result<Reply, Rejection> {
    if cx.run(run)?.head.is_none() {
        cx.emit_engine(Scope::run(run), Event::RunOpened { head: head.clone() });
    }
    Ok(Reply::Ok)
}

pub(super) fn broken(cx: &mut Cx<'_>, run: RunId, why: &str) -> Result<Reply, Rejection> {
    if !cx.run(run)?.state.is_over() {
        end(cx, run, Event::RunFailed { why: why.to_owned() });
    }
    Ok(Reply::Ok)
}

/// Something outside keeps effects from being carried out: the run is paused with the reason, and its effects rest. Before
/// rules 5 it failed.
pub(super) fn held_up(cx: &mut Cx<'_>, run: RunId, why: &str) -> Result<Reply, Rejection> {
    if !cx.run(run)?.tells_trouble_from_fault() {
        return broken(cx, run, why);
    }
    hold_up(cx, run, why)?;
    Ok(Reply::Ok)
}

/// Pauses a run, and has its effects rest until somebody resumes it.
pub(super) fn hold_up(cx: &mut Cx<'_>, run: RunId, why: &str) -> Result<(), Rejection> {
    let found = cx.run(run)?;
    if !found.state.is_over() && !found.is_held_up() {
        let why = format!("{why}; then run the same command again, or `p0 resume {run}`");
        cx.emit_engine(Scope::run(run), Event::RunPaused { why, until: None, held: true });
    }
    Ok(())
}

/// A deadline. One that no longer applies changes nothing: it was renewed, or answered in another way.
pub(super) fn timer(cx: &mut Cx<'_>, timer: &Timer) -> Result<Reply, Rejection> {
    match timer {
        Timer::Lease { ticket, fence, renewals, lease_s } => {
            let claim = cx.state.tickets.get(ticket).and_then(|t| t.claim.as_ref());
            let due = claim.is_some_and(|c| {
                c.fence == *fence && matches!(&c.holder, Holder::Worker { renewals: r, .. } if r == renewals)
            });
            if due {
                let scope = Scope { run: None, ticket: Some(ticket.clone()), attempt: None };
                cx.emit_engine(scope, Event::TicketLeaseExpired { why: format!("no heartbeat for {lease_s} s") });
            }
        }
        Timer::AgentLimit { run, agent, until } => {
            if cx.run(*run)?.limited.get(agent) == Some(until) {
                cx.emit_engine(Scope::run(*run), Event::AgentAvailable { agent: agent.clone() });
            }
        }
        Timer::Approval { approval, .. } => super::approval::expired(cx, approval),
        Timer::Pause { run, until } => {
            if matches!(&cx.run(*run)?.state, RunState::Paused { until: Some(u), .. } if u == until) {
                cx.emit_engine(Scope::run(*run), Event::RunResumed {});
            }
        }
    }
    Ok(Reply::Ok)
}
