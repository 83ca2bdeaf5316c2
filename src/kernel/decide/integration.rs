//! Reports about a commit on its way to the run's branch.
use super::{
    control,
    cx::{Cx, Scope},
    finding,
    gates::{self, Said},
    judge,
};
use crate::schedule;
use p0_model::{
    attempt::{Outcome, Phase, Step},
    command::{GateReport, LandingReport, MergeReport},
    event::{Event, Intent, LostGate},
    id::{AttemptId, CommitId, RunId},
    rejection::Rejection,
    reply::Reply,
    run::Run,
};

fn step_of(cx: &Cx<'_>, id: AttemptId) -> Result<Option<Step>, Rejection> {
    Ok(match &cx.attempt(id)?.phase {
        Phase::Integrating { step, .. } => Some(step.clone()),
        Phase::Starting | Phase::Running { .. } | Phase::Exited { .. } | Phase::Finished { .. } => None,
    })
}

pub(super) fn merged(cx: &mut Cx<'_>, id: AttemptId, onto: &CommitId, merge: &MergeReport) -> Result<Reply, Rejection> {
    let scope = cx.scope_of(id)?;
    let run = cx.run(cx.attempt(id)?.run)?;
    if step_of(cx, id)? != Some(Step::Queued) || run.head.as_ref() != Some(onto) {
        cx.ignore(id, "merge", "the commit is not at that point")?;
        return Ok(Reply::Ignored);
    }
    let no_gates = run.settings.gates.is_empty();
    match merge {
        MergeReport::Clean { candidate } => {
            let event = Event::IntegrationMerged { onto: onto.clone(), candidate: candidate.clone() };
            cx.emit_engine(scope.clone(), event);
            if no_gates {
                intend(cx, id, onto, candidate)?;
            }
        }
        MergeReport::Conflict { paths } => {
            let event = Event::IntegrationConflicted { paths: paths.clone(), onto: onto.clone() };
            cx.emit_engine(scope, event);
            let reason = format!(
                "it conflicts with what landed since it began, in {}; begin from the new head",
                paths.join(", ")
            );
            judge::fail_round(cx, id, Outcome::Refused { reasons: vec![reason] })?;
        }
    }
    Ok(Reply::Ok)
}

/// The intent to land names the exact commit and its parent, so that landing twice is impossible.
fn intend(cx: &mut Cx<'_>, id: AttemptId, onto: &CommitId, candidate: &CommitId) -> Result<(), Rejection> {
    let scope = cx.scope_of(id)?;
    let what = Intent::Land { commit: candidate.clone(), parent: onto.clone() };
    cx.emit_engine(scope, Event::EffectIntended { what });
    Ok(())
}

pub(super) fn gated(
    cx: &mut Cx<'_>,
    id: AttemptId,
    candidate: &CommitId,
    gates: &[GateReport],
) -> Result<Reply, Rejection> {
    let scope = cx.scope_of(id)?;
    let onto = match step_of(cx, id)? {
        Some(Step::Gating { onto, candidate: at }) if at == *candidate => onto,
        Some(Step::Queued | Step::Gating { .. } | Step::Landing { .. }) | None => {
            cx.ignore(id, "gates", "the commit is not at that point")?;
            return Ok(Reply::Ignored);
        }
    };
    match gates::said(gates, cx.attempt(id)?, cx.run(cx.attempt(id)?.run)?) {
        Said::Judged => {}
        Said::Lost { gate, why } => {
            let (output, wall_ms, commit) = (gate.output.clone(), gate.wall_ms, candidate.clone());
            let lost = LostGate { gate: gate.gate.clone(), commit, why, output, wall_ms };
            cx.emit_engine(scope, Event::GateLost { lost: lost.into() });
            return Ok(Reply::Ok);
        }
        Said::CannotStart { why } => {
            let run = cx.attempt(id)?.run;
            let keeps = format!("the run keeps the gates it began with, for others `p0 cancel {run}` first");
            control::hold_up(cx, run, &format!("{why} ({keeps})"))?;
            return Ok(Reply::Ok);
        }
    }
    let gates = &with_evidence(gates, cx.run(cx.attempt(id)?.run)?);
    for report in gates {
        let (gate, commit, wall_ms) = (report.gate.clone(), candidate.clone(), report.wall_ms);
        let output = report.output.clone();
        let event = if report.passed {
            Event::GatePassed { gate, commit, output, wall_ms }
        } else {
            Event::GateFailed { gate, commit, why: report.how.clone(), tail: report.tail.clone(), output, wall_ms }
        };
        cx.emit_engine(scope.clone(), event);
    }
    let wanted = &cx.run(cx.attempt(id)?.run)?.settings.gates;
    if let Some(failed) = gates.iter().find(|g| !g.passed) {
        let reason = format!(
            "the gate `{}` {} on the merged commit {}; its last lines: {}",
            failed.gate.join(" "),
            failed.how,
            candidate.short(),
            failed.tail.trim()
        );
        judge::fail_round(cx, id, Outcome::Refused { reasons: vec![reason] })?;
    } else if gates.len() == wanted.len() {
        intend(cx, id, &onto, candidate)?;
    } else {
        // A gate whose outcome is absent is no evidence.
        let reason = format!("only {} of {} gates reported on {}", gates.len(), wanted.len(), candidate.short());
        judge::fail_round(cx, id, Outcome::Refused { reasons: vec![reason] })?;
    }
    Ok(Reply::Ok)
}

/// A gate that passed and whose output is absent has shown nothing: since rules 2 it counts as failed.
fn with_evidence(gates: &[GateReport], run: &Run) -> Vec<GateReport> {
    let looked_at = |report: &GateReport| {
        let mut report = report.clone();
        if run.rules >= 2 && report.passed && report.output.is_none() {
            report.passed = false;
            report.how = "ended without its output being kept, which is no evidence".to_owned();
        }
        report
    };
    gates.iter().map(looked_at).collect()
}

pub(super) fn landed(
    cx: &mut Cx<'_>,
    id: AttemptId,
    candidate: &CommitId,
    landing: &LandingReport,
    wall_ms: u64,
    note: Option<&str>,
) -> Result<Reply, Rejection> {
    let scope = cx.scope_of(id)?;
    let parent = match step_of(cx, id)? {
        Some(Step::Landing { onto, candidate: at }) if at == *candidate => onto,
        Some(Step::Queued | Step::Gating { .. } | Step::Landing { .. }) | None => {
            cx.ignore(id, "landing", "the commit is not at that point")?;
            return Ok(Reply::Ignored);
        }
    };
    match landing {
        LandingReport::Landed => {
            let event = Event::IntegrationLanded { commit: candidate.clone(), parent: parent.clone(), wall_ms };
            cx.emit_engine(scope.clone(), event);
            if let Some(note) = note
                && scope.ticket.is_some()
            {
                cx.emit_engine(scope.clone(), Event::TicketCommented { text: note.to_owned() });
            }
            cx.emit_engine(scope.clone(), Event::AttemptFinished { outcome: Outcome::Accepted });
            let Some(ticket) = scope.ticket.clone() else { return Ok(Reply::Ok) };
            if !reaches_live_run(cx, scope.run, &parent, candidate) {
                let why = "it landed on the branch of a run that is over, which the run at work does not begin from";
                cx.emit_engine(scope, Event::TicketReleased { why: why.into() });
                return Ok(Reply::Ok);
            }
            if schedule::open_child(&cx.state, &ticket).is_some() {
                judge::wait_for_subtasks(cx, &scope, "it landed");
            } else {
                cx.emit_engine(scope.clone(), Event::TicketCompleted { commit: Some(candidate.clone()) });
                finding::close_after(cx, &scope, &ticket);
            }
        }
        LandingReport::Moved { found } => {
            let run = cx.attempt(id)?.run;
            let did = if found.0.is_empty() { "deleted".into() } else { format!("moved to {}", found.short()) };
            let why = format!(
                "the run's branch was {did} by somebody else; put it back to {}, and run the same spec again",
                parent.short()
            );
            judge::fail_round(cx, id, Outcome::Lost { why: why.clone() })?;
            if !cx.run(run)?.state.is_over() {
                control::end(cx, run, Event::RunFailed { why });
            }
        }
    }
    Ok(Reply::Ok)
}

/// Whether what just landed will be in the branch of the run at work. A landing that was on its way when its run ended
/// may come after a new run began: that one has not been opened yet, and begins at the landing instead.
fn reaches_live_run(cx: &mut Cx<'_>, landed_by: Option<RunId>, parent: &CommitId, commit: &CommitId) -> bool {
    let Some(live) = cx.state.live_run() else { return true };
    let id = live.id;
    if Some(id) == landed_by {
        return true;
    }
    if live.head.is_some() || live.base != *parent {
        return false;
    }
    cx.emit_engine(Scope::run(id), Event::RunRebased { base: commit.clone() });
    true
}
