//! `evolve`: a state and an event give the next state. Total: an event about something unknown changes nothing.
mod attempt;
mod run;
mod ticket;

pub(crate) use ticket::lease_end;

use p0_model::{
    aggregate::{Aggregate, Learning, Milestone},
    approval::Answer,
    event::Event,
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
        Event::TicketCreated { .. }
        | Event::TicketUpdated { .. }
        | Event::TicketClaimed { .. }
        | Event::TicketReleased { .. }
        | Event::TicketRenewed {}
        | Event::TicketLeaseExpired { .. }
        | Event::TicketStatusChanged { .. }
        | Event::TicketReopened { .. }
        | Event::TicketCommented { .. }
        | Event::TicketDeferred { .. }
        | Event::TicketCompleted { .. }
        | Event::TicketBlocked { .. }
        | Event::FeedbackFiled { .. }
        | Event::OwnershipGranted { .. } => ticket::evolve(state, draft),
        Event::RunStarted { .. }
        | Event::RunOpened { .. }
        | Event::RunRebased { .. }
        | Event::RunIterationStarted { .. }
        | Event::RunDecided { .. }
        | Event::RunPaused { .. }
        | Event::RunAwaitingApproval { .. }
        | Event::RunResumed {}
        | Event::RunBudgetChanged { .. }
        | Event::RunStuck { .. }
        | Event::RunDone { .. }
        | Event::RunFailed { .. }
        | Event::RunCancelled { .. }
        | Event::StageEntered { .. }
        | Event::StageCompleted { .. }
        | Event::VerdictIssued { .. }
        | Event::BudgetExhausted { .. }
        | Event::AgentRateLimited { .. }
        | Event::AgentAvailable { .. }
        | Event::AgentUnavailable { .. }
        | Event::OwnershipViolated { .. }
        | Event::RightsRefused { .. }
        | Event::GatePassed { .. }
        | Event::GateFailed { .. }
        | Event::IntegrationConflicted { .. } => run::evolve(state, draft),
        Event::AttemptStarted { .. }
        | Event::AttemptSpawned { .. }
        | Event::AttemptReported { .. }
        | Event::AttemptExited { .. }
        | Event::AttemptLost { .. }
        | Event::AttemptStopping { .. }
        | Event::AttemptHarvested { .. }
        | Event::AttemptFinished { .. }
        | Event::AttemptReleased { .. }
        | Event::GateLost { .. }
        | Event::IntegrationQueued { .. }
        | Event::IntegrationMerged { .. }
        | Event::IntegrationLanded { .. }
        | Event::EffectIntended { .. } => attempt::evolve(state, draft),
        // On record for people; nothing is decided from them.
        Event::AttemptTimedOut { .. }
        | Event::OwnershipExtensionRequested { .. }
        | Event::PlanRefused { .. }
        | Event::SandboxDenied { .. }
        | Event::SecretRedacted { .. }
        | Event::ResultIgnored { .. }
        | Event::RunImported { .. }
        | Event::RunArchived { .. }
        | Event::JournalRepaired { .. }
        | Event::StoreRebuilt { .. }
        | Event::ClockStepped { .. } => {}
    }
}
