//! What was decided together and becomes durable together.
use super::handle::{Accepted, SubmitError};
use crate::{
    codec::payload,
    journal::{FrameKeys, NewFrame},
    model::{aggregate::Aggregate, command::Command, effect::Effect, id::MilestoneId, record::Draft},
};
use std::collections::BTreeSet;
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

    /// Its events, each with its milestone and its place.
    pub(super) fn events(&self) -> impl Iterator<Item = (MilestoneId, u64, &Draft)> {
        self.decided.iter().flat_map(|one| one.drafts.iter().map(|(seq, draft)| (one.milestone, *seq, draft)))
    }

    /// How many callers wait for it.
    pub(super) fn answers(&self) -> usize {
        self.answers.len()
    }
}

/// Why a command and its events have no frame.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoFrame {
    #[error(transparent)]
    TooMany(#[from] std::num::TryFromIntError),
    #[error(transparent)]
    Form(#[from] rmp_serde::encode::Error),
}

/// A command and its events as a frame, with the events at their places.
pub(super) fn frame(
    milestone: MilestoneId,
    first_seq: u64,
    command: &Command,
    drafts: Vec<Draft>,
) -> Result<(NewFrame, Vec<(u64, Draft)>), NoFrame> {
    let drafts: Vec<(u64, Draft)> = (first_seq..).zip(drafts).collect();
    let run = drafts.iter().find_map(|(_, d)| d.run);
    let tickets: BTreeSet<String> = drafts.iter().filter_map(|(_, d)| Some(d.ticket.as_ref()?.to_string())).collect();
    let frame = NewFrame {
        first_seq,
        events: u32::try_from(drafts.len())?,
        at_ms: command.at.timestamp_millis(),
        keys: FrameKeys { stream: milestone.0, run: run.map(|r| r.0), tickets: tickets.into_iter().collect() },
        payload: payload::encode(command, run, &drafts)?,
    };
    Ok((frame, drafts))
}
