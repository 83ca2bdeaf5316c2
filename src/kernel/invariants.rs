//! What holds in every state. Checked by simulations after every event; in part of every state that comes from the disk.
use p0_model::{aggregate::Aggregate, attempt::Phase, run::RunState, ticket::Status};

/// What makes a state one that no log leads to, under whatever rules it was written; a sentence.
pub fn impossible(state: &Aggregate) -> Option<String> {
    let mut found = Vec::new();
    runs(state, &mut found);
    found.into_iter().next()
}

/// Every broken rule, a sentence each; empty = sound.
pub fn broken(state: &Aggregate) -> Vec<String> {
    let mut found = Vec::new();
    runs(state, &mut found);
    claims(state, &mut found);
    ownership(state, &mut found);
    if !state.is_indexed() {
        found.push("what is at work is not what the tickets and attempts say".to_owned());
    }
    found
}

fn runs(state: &Aggregate, found: &mut Vec<String>) {
    let live: Vec<String> = state.runs.values().filter(|r| !r.state.is_over()).map(|r| r.id.to_string()).collect();
    if live.len() > 1 {
        found.push(format!("more than one live run: {}", live.join(", ")));
    }
    for run in state.runs.values() {
        for id in &run.queue {
            let integrating =
                state.attempts.get(id).is_some_and(|a| matches!(a.phase, Phase::Integrating { .. }) && a.run == run.id);
            if !integrating {
                found.push(format!("attempt {id} is in the merge queue of {} but is not integrating", run.id));
            }
        }
        if run.state == RunState::Done {
            let judged = run.verdict.as_ref().is_some_and(|v| v.met && Some(&v.commit) == run.head.as_ref());
            if run.workflow.done.verdict && !judged {
                found.push(format!("run {} is done without a verdict 'met' on its head", run.id));
            }
        }
    }
}

fn claims(state: &Aggregate, found: &mut Vec<String>) {
    for (id, ticket) in &state.tickets {
        if let Some(attempt) = ticket.holding_attempt() {
            let live = state.attempts.get(&attempt).is_some_and(|a| a.outcome().is_none());
            if !live {
                found.push(format!("{id} is held by attempt {attempt}, which is over"));
            }
        }
        if ticket.claim.is_some() && ticket.status != Status::InProgress {
            found.push(format!("{id} is claimed and yet {}", ticket.status.word()));
        }
    }
    for attempt in state.attempts.values().filter(|a| a.outcome().is_none()) {
        let Some(ticket) = attempt.ticket.as_ref().and_then(|t| state.tickets.get(t)) else { continue };
        if ticket.holding_attempt() != Some(attempt.id) {
            found.push(format!("attempt {} is live but does not hold its ticket {}", attempt.id, ticket.seed.id));
        }
    }
}

/// A file belongs to at most one ticket at work.
fn ownership(state: &Aggregate, found: &mut Vec<String>) {
    let at_work: Vec<_> = state.claimed().map(|(_, ticket)| ticket).collect();
    for (i, a) in at_work.iter().enumerate() {
        for b in &at_work[i + 1..] {
            if let Some(path) = a.seed.files.overlap(&b.seed.files) {
                found.push(format!("'{path}' is at work in both {} and {}", a.seed.id, b.seed.id));
            }
        }
    }
}
