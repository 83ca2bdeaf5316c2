//! `evolve`: a state and an event give the next state. Total: an event about something unknown changes nothing.
mod attempt;
mod run;
mod ticket;

pub(crate) use ticket::lease_end;

use p0_model::{
    aggregate::{Aggregate, Learning, Milestone},
    approval::Answer,
    event::{Event, events_about},
    id::LearningId,
    record::Draft,
};

fn curate(state: &mut Aggregate, keep: &[LearningId]) {
    let ids: Vec<_> = state.learnings.keys().cloned().collect();
    for id in ids {
        if let Some(learning) = state.learnings.get_mut(&id) {
            learning.curated = Some(keep.contains(&id));
        }
    }
}

/// Takes one event in.
pub fn evolve(state: &mut Aggregate, draft: &Draft) {
    state.at = Some(draft.at);
    match &draft.event {
        Event::MilestoneCreated { id, key, title, spec, project } => {
            state.milestone = Some(Milestone {
                id: *id,
                key: key.clone(),
                title: title.clone(),
                spec: spec.clone(),
                project: project.clone(),
                created_at: draft.at,
            });
        }
        Event::MilestoneUpdated { title, spec } => {
            if let Some(milestone) = &mut state.milestone {
                milestone.title.clone_from(title);
                milestone.spec.clone_from(spec);
            }
        }
        Event::LearningRecorded { id, text } => {
            if let Some(attempt) = draft.attempt {
                state.learnings.insert(id.clone(), Learning { text: text.clone(), attempt, curated: None });
            }
        }
        Event::LearningCurated { keep } => curate(state, keep),
        Event::ApprovalRequested { approval } => {
            state.approvals.insert(approval.id.clone(), (**approval).clone());
        }
        Event::ApprovalAnswered { id, allowed, reason } => {
            if let Some(approval) = state.approvals.get_mut(id) {
                approval.answer = Some(Answer { allowed: *allowed, by: draft.actor.clone(), reason: reason.clone() });
            }
        }
        events_about!(new_ticket ticket) | Event::OwnershipGranted { .. } => ticket::evolve(state, draft),
        events_about!(run stage verdict agent rights)
        | Event::BudgetExhausted { .. }
        | Event::OwnershipViolated { .. }
        | Event::GatePassed { .. }
        | Event::GateFailed { .. }
        | Event::IntegrationConflicted { .. } => run::evolve(state, draft),
        events_about!(new_attempt attempt)
        | Event::GateLost { .. }
        | Event::IntegrationQueued { .. }
        | Event::IntegrationMerged { .. }
        | Event::IntegrationLanded { .. }
        | Event::EffectIntended { .. } => attempt::evolve(state, draft),
        // On record for people; nothing is decided from them.
        Event::OwnershipExtensionRequested { .. }
        | Event::PlanRefused { .. }
        | Event::SandboxDenied { .. }
        | Event::SecretRedacted { .. }
        | Event::ResultIgnored { .. }
        | events_about!(run_file engine) => {}
    }
}
