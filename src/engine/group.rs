//! What was decided together and becomes durable together.
use super::handle::{Accepted, SubmitError};
use crate::{
    journal::NewFrame,
    model::{aggregate::Aggregate, effect::Effect, id::MilestoneId, record::Draft},
};
use tokio::sync::oneshot;

/// A group of commands: their frames share one fdatasync.
#[derive(Default)]
pub(super) struct Group {
    pub(super) frames: Vec<NewFrame>,
    pub(super) decided: Vec<Decided>,
    /// Answers and rejections alike wait for the disk: they rest on what is staged.
    pub(super) answers: Vec<Waiting>,
    /// Effects that said that they are over after something of this group.
    pub(super) over: Vec<(MilestoneId, Effect)>,
}

/// A command that was decided, waiting for the disk.
pub(super) struct Decided {
    pub(super) milestone: MilestoneId,
    /// Its events at their places.
    pub(super) drafts: Vec<(u64, Draft)>,
    /// The state after it.
    pub(super) state: Aggregate,
}

/// A caller, and what he will hear.
pub(super) struct Waiting {
    pub(super) answer: oneshot::Sender<Result<Accepted, SubmitError>>,
    pub(super) result: Result<Accepted, SubmitError>,
}

impl Group {
    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.over.is_empty()
    }

    pub(super) fn is_single(&self) -> bool {
        self.answers.len() == 1
    }

    /// How many callers wait for it.
    pub(super) fn answers(&self) -> usize {
        self.answers.len()
    }
}
