//! The events by noun, as patterns: a fold that has nothing to say about a noun names the noun instead of writing `_`.
//!
//! A new event belongs to no noun until it is written here, so every `match` stops compiling; once it stands here, every
//! `match` that takes this noun's events one by one still does.

/// A pattern of every event about one of these nouns: `events_about!(run ticket)`. Each event is in one noun.
#[macro_export]
macro_rules! events_about {
    ($first:ident $($noun:ident)+) => { $crate::events_about!($first) $(| $crate::events_about!($noun))+ };
    (milestone) => { Event::MilestoneCreated { .. } | Event::MilestoneUpdated { .. } };
    (new_ticket) => { Event::TicketCreated { .. } | Event::FeedbackFiled { .. } };
    (ticket) => {
        Event::TicketUpdated { .. }
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
    };
    (run) => {
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
    };
    (stage) => { Event::StageEntered { .. } | Event::StageCompleted { .. } };
    (new_attempt) => { Event::AttemptStarted { .. } };
    (attempt) => {
        Event::AttemptSpawned { .. }
        | Event::AttemptReported { .. }
        | Event::AttemptExited { .. }
        | Event::AttemptTimedOut { .. }
        | Event::AttemptLost { .. }
        | Event::AttemptStopping { .. }
        | Event::AttemptHarvested { .. }
        | Event::AttemptFinished { .. }
        | Event::AttemptReleased { .. }
    };
    (rights) => { Event::RightsRefused { .. } };
    (ownership) => {
        Event::OwnershipGranted { .. }
        | Event::OwnershipViolated { .. }
        | Event::OwnershipExtensionRequested { .. }
    };
    (gate) => { Event::GatePassed { .. } | Event::GateFailed { .. } | Event::GateLost { .. } };
    (integration) => {
        Event::IntegrationQueued { .. }
        | Event::IntegrationMerged { .. }
        | Event::IntegrationConflicted { .. }
        | Event::IntegrationLanded { .. }
        | Event::EffectIntended { .. }
    };
    (verdict) => { Event::VerdictIssued { .. } };
    (learning) => { Event::LearningRecorded { .. } | Event::LearningCurated { .. } };
    (agent) => {
        Event::AgentRateLimited { .. } | Event::AgentAvailable { .. } | Event::AgentUnavailable { .. }
    };
    (approval) => { Event::ApprovalRequested { .. } | Event::ApprovalAnswered { .. } };
    // What was refused, hidden or used up.
    (refusal) => {
        Event::PlanRefused { .. }
        | Event::ResultIgnored { .. }
        | Event::SandboxDenied { .. }
        | Event::SecretRedacted { .. }
        | Event::BudgetExhausted { .. }
    };
    // Run files: imported ones, and archives.
    (run_file) => { Event::RunImported { .. } | Event::RunArchived { .. } };
    // The log, the store and the clock of this data directory.
    (engine) => { Event::JournalRepaired { .. } | Event::StoreRebuilt { .. } | Event::ClockStepped { .. } };
}
pub use crate::events_about;
