//! Which effects a state wants to be in flight.
use p0_model::{
    aggregate::Aggregate,
    attempt::{Attempt, Phase, Step, Worktree},
    effect::{Effect, Timer},
    run::{Run, RunState},
    ticket::Holder,
};
use std::collections::BTreeSet;

/// Every effect that should be in flight in this state. Recovery is nothing but this: what it names is compared with
/// the world and reported, adopted or done.
pub fn outstanding(state: &Aggregate) -> BTreeSet<Effect> {
    let mut wanted = BTreeSet::new();
    if state.quarantined.is_some() {
        return wanted;
    }
    // A landing whose intent is on record may still happen; where a new run begins is known only after it.
    let is_landing = |a: &Attempt| matches!(a.phase, Phase::Integrating { step: Step::Landing { .. }, .. });
    let landing = state.live_attempts().any(is_landing);
    for run in state.runs.values().filter(|r| !r.state.is_over()) {
        of_run(run, landing, &mut wanted);
    }
    for attempt in state.live_attempts() {
        of_attempt(state, attempt, &mut wanted);
    }
    for approval in state.approvals.values().filter(|a| a.is_open()) {
        let timer = Timer::Approval { approval: approval.id.clone(), until: approval.until };
        wanted.insert(Effect::Wait { timer });
    }
    for (id, ticket) in state.claimed() {
        let Some(claim) = &ticket.claim else { continue };
        if let Holder::Worker { lease_s, renewals, .. } = &claim.holder {
            let timer = Timer::Lease { ticket: id.clone(), fence: claim.fence, renewals: *renewals, lease_s: *lease_s };
            wanted.insert(Effect::Wait { timer });
        }
    }
    wanted
}

fn of_run(run: &Run, landing: bool, wanted: &mut BTreeSet<Effect>) {
    if run.head.is_none() && !landing && !run.is_held_up() {
        wanted.insert(Effect::OpenRun { run: run.id });
    }
    for (agent, until) in &run.limited {
        let timer = Timer::AgentLimit { run: run.id, agent: agent.clone(), until: *until };
        wanted.insert(Effect::Wait { timer });
    }
    if let RunState::Paused { until: Some(until), .. } = &run.state {
        wanted.insert(Effect::Wait { timer: Timer::Pause { run: run.id, until: *until } });
    }
}

fn of_attempt(state: &Aggregate, attempt: &Attempt, wanted: &mut BTreeSet<Effect>) {
    let id = attempt.id;
    // What runs goes on to its end; nothing else is tried before the run goes on.
    let held_up = state.runs.get(&attempt.run).is_some_and(|run| run.is_held_up());
    if held_up && !matches!(attempt.phase, Phase::Running { .. }) {
        return;
    }
    match &attempt.phase {
        Phase::Starting => {
            wanted.insert(Effect::SpawnAttempt { attempt: id });
        }
        Phase::Running { .. } => {
            wanted.insert(Effect::WatchAttempt { attempt: id });
            if attempt.stopping.is_some() {
                wanted.insert(Effect::StopAttempt { attempt: id });
            }
        }
        Phase::Exited { .. } => {
            wanted.insert(Effect::HarvestAttempt { attempt: id });
        }
        Phase::Integrating { step, .. } => {
            let Some(run) = state.runs.get(&attempt.run) else { return };
            // One at a time: the next merge begins on the head that this one leaves behind.
            if run.queue.front() != Some(&id) {
                return;
            }
            wanted.extend(match step {
                Step::Queued => run.head.clone().map(|onto| Effect::Merge { attempt: id, onto }),
                Step::Gating { candidate, .. } => Some(Effect::Gate { attempt: id, candidate: candidate.clone() }),
                Step::Landing { onto, candidate } => {
                    Some(Effect::Land { attempt: id, onto: onto.clone(), candidate: candidate.clone() })
                }
            });
        }
        Phase::Finished { .. } => {
            if attempt.worktree == Worktree::Held {
                wanted.insert(Effect::ReleaseAttempt { attempt: id });
            }
        }
    }
}
