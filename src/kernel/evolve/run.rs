//! Events about runs and their stages.
use imbl::{OrdMap, OrdSet, Vector};
use p0_model::{
    aggregate::Aggregate,
    attempt::Usage,
    event::{Event, events_about},
    id::StageName,
    record::Draft,
    run::{AtStage, Counters, Run, RunState, Spent, Verdict},
    ticket::Ticket,
};
use std::sync::Arc;

pub(super) fn evolve(state: &mut Aggregate, draft: &Draft) {
    if let Event::RunStarted { .. } = &draft.event {
        return start(state, draft);
    }
    let Some(run) = draft.run.and_then(|id| state.runs.get_mut(&id).map(Arc::make_mut)) else { return };
    change(run, draft);
}

fn start(state: &mut Aggregate, draft: &Draft) {
    let Event::RunStarted { id, workflow, settings, spec, base, branch, backlog, rules, .. } = &draft.event else {
        return;
    };
    let run = Run {
        id: *id,
        workflow: workflow.clone().into(),
        settings: settings.clone().into(),
        rules: *rules,
        spec_hash: spec.hash.clone(),
        branch: branch.clone(),
        base: base.clone(),
        head: None,
        state: RunState::Running,
        iteration: 0,
        stage: None,
        queue: Vector::new(),
        verdict: None,
        signature: None,
        limited: OrdMap::new(),
        unavailable: OrdMap::new(),
        trouble: OrdMap::new(),
        backoff: OrdMap::new(),
        bad_ends: OrdMap::new(),
        on_trial: OrdSet::new(),
        held_up: false,
        start_failures: 0,
        usage: Usage::default(),
        unknown_usage: None,
        counters: Counters::default(),
        spent: Spent::default(),
        artifacts: OrdMap::new(),
        backlog: backlog.clone(),
        started_at: draft.at,
        ended_at: None,
    };
    state.runs.insert(*id, Arc::new(run));
    // Rounds count per ticket and run.
    let unfinished = |t: &Ticket| t.rounds > 0 && t.is_unsettled();
    let counted = state.tickets.iter().filter(|(_, t)| unfinished(t) || t.renewals > 0).map(|(id, _)| id.clone());
    for id in counted.collect::<Vec<_>>() {
        if let Some(ticket) = state.tickets.get_mut(&id).map(Arc::make_mut) {
            ticket.renewals = 0;
            if unfinished(ticket) {
                ticket.rounds = 0;
                ticket.rounds_counted = 0;
            }
        }
    }
}

fn resume(run: &mut Run) {
    let paused = std::mem::replace(&mut run.state, RunState::Running);
    // Whoever lets it go on has done something about it.
    run.unavailable.clear();
    run.trouble.clear();
    run.backoff.clear();
    run.bad_ends.clear();
    run.held_up = false;
    if run.tells_trouble_from_fault() {
        run.start_failures = 0;
    }
    if let RunState::Paused { .. } = paused {
        run.unknown_usage = None;
    }
}

fn change(run: &mut Run, draft: &Draft) {
    match &draft.event {
        Event::RunOpened { head } => run.head = Some(head.clone()),
        Event::RunRebased { base } => run.base = base.clone(),
        Event::RunIterationStarted { iteration, signature } => {
            run.iteration = *iteration;
            run.signature = Some(signature.clone());
        }
        Event::RunDecided { decision, reason } => {
            if let Some(stage) = &mut run.stage {
                stage.decided = Some((*decision, reason.clone()));
            }
        }
        Event::RunPaused { why, until, held } => {
            run.state = RunState::Paused { why: why.clone(), until: *until };
            run.held_up |= *held;
        }
        Event::RunAwaitingApproval { why } => run.state = RunState::AwaitingApproval { why: why.clone() },
        Event::RunResumed {} => resume(run),
        Event::RunBudgetChanged { budget } => Arc::make_mut(&mut run.settings).budget = budget.clone(),
        Event::RunStuck { why } => end(run, draft, RunState::Stuck { why: why.clone() }),
        Event::RunDone { .. } => end(run, draft, RunState::Done),
        Event::RunFailed { why } => end(run, draft, RunState::Failed { why: why.clone() }),
        Event::RunCancelled { why } => end(run, draft, RunState::Cancelled { why: why.clone() }),
        Event::StageEntered { stage } => run.stage = Some(entered(run, stage)),
        Event::StageCompleted { .. } => {}
        Event::VerdictIssued { met, rationale, gaps, commit } => {
            if let Some(attempt) = draft.attempt {
                run.verdict = Some(Verdict {
                    met: *met,
                    rationale: rationale.clone(),
                    gaps: gaps.clone(),
                    commit: commit.clone(),
                    attempt,
                });
            }
        }
        Event::AgentRateLimited { agent, until } => {
            run.limited.insert(agent.clone(), *until);
            if let Some(backoff) = run.backoff.get_mut(agent) {
                backoff.since = *until;
            }
            run.on_trial.remove(agent);
        }
        Event::AgentAvailable { agent } => {
            run.limited.remove(agent);
            run.on_trial.insert(agent.clone());
        }
        Event::AgentUnavailable { agent, why } => {
            run.unavailable.insert(agent.clone(), why.clone());
        }
        Event::OwnershipViolated { .. } => run.counters.ownership_violations += 1,
        Event::RightsRefused { .. } => run.counters.rights_refused += 1,
        Event::GatePassed { wall_ms, .. } => run.spent.integration_ms += wall_ms,
        Event::GateFailed { wall_ms, .. } => {
            run.counters.gate_failures += 1;
            run.spent.integration_ms += wall_ms;
        }
        Event::IntegrationConflicted { .. } => run.counters.merge_conflicts += 1,
        // A run begins in `start`; its attempts' own events count in `attempt`.
        Event::RunStarted { .. }
        | Event::OwnershipGranted { .. }
        | Event::OwnershipExtensionRequested { .. }
        | Event::GateLost { .. }
        | Event::IntegrationQueued { .. }
        | Event::IntegrationMerged { .. }
        | Event::IntegrationLanded { .. }
        | Event::EffectIntended { .. }
        | events_about!(milestone new_ticket ticket new_attempt attempt learning approval refusal run_file engine) => {}
    }
}

/// A stage at its beginning.
fn entered(run: &Run, stage: &StageName) -> AtStage {
    AtStage {
        name: stage.clone(),
        head: run.head.clone().unwrap_or_else(|| run.base.clone()),
        heard: Vec::new(),
        failures: OrdMap::new(),
        rounds: OrdMap::new(),
        lost: OrdMap::new(),
        feedback: OrdMap::new(),
        decided: None,
    }
}

fn end(run: &mut Run, draft: &Draft, state: RunState) {
    run.state = state;
    run.ended_at = Some(draft.at);
}
