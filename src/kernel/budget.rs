//! Budgets: what a run may spend. Looked at before an attempt begins, and whenever something was used.
use super::{
    decide::cx::{Cx, Scope},
    schedule::{self, Exhausted},
};
use p0_model::{
    attempt::{Attempt, Phase},
    event::Event,
    id::AttemptId,
    run::Run,
};

/// Whether the run can pay for an attempt; one that cannot is paused.
pub(crate) fn afford(cx: &mut Cx<'_>, run: &Run) -> bool {
    let Some(exhausted) = schedule::exhausted(run) else { return true };
    pause(cx, run, &exhausted);
    false
}

/// Once the budget is used up nobody goes on spending: the run is paused, also one that was paused for another reason,
/// and its attempts are ended before their next turn. Their conversations and their work stay for the next round.
pub(crate) fn enforce(cx: &mut Cx<'_>) {
    let Some(run) = cx.state.live_run().filter(|run| run.budget_ends_attempts()).cloned() else { return };
    let Some(exhausted) = schedule::exhausted(&run) else { return };
    let spending: Vec<AttemptId> =
        cx.state.attempts.values().filter(|a| a.run == run.id && may_spend(a)).map(|a| a.id).collect();
    if spending.is_empty() {
        // Nobody is to be ended: the next attempt finds out, if there is to be one at all.
        return;
    }
    pause(cx, &run, &exhausted);
    for id in spending {
        let Ok(scope) = cx.scope_of(id) else { continue };
        cx.emit_engine(scope, Event::AttemptStopping { why: exhausted.reason(), filled: None });
    }
}

/// Whether its program may use more, and nobody has told it to end.
fn may_spend(attempt: &Attempt) -> bool {
    let has_program = matches!(attempt.phase, Phase::Starting | Phase::Running { .. });
    has_program && attempt.stopping.is_none() && !attempt.talk.spent
}

fn pause(cx: &mut Cx<'_>, run: &Run, exhausted: &Exhausted) {
    cx.emit_engine(Scope::run(run.id), Event::BudgetExhausted { what: exhausted.what() });
    let why = match exhausted {
        Exhausted::UsedUp { what, option } if run.budget_ends_attempts() => {
            format!("the budget is used up: {what}; `p0 resume {} {option} N` goes on with a larger one", run.id)
        }
        Exhausted::UsedUp { what, .. } => format!("the budget is used up: {what}"),
        Exhausted::Unknown { what } => format!(
            "the budget is unknown: {what}; `p0 resume {}` goes on and counts what it can read; [budget] unknown = \
             \"go_on\" never stops for this",
            run.id
        ),
    };
    cx.emit_engine(Scope::run(run.id), Event::RunPaused { why, until: None, held: false });
}
