//! Boot: open, verify the tail, fold. What was in flight is asked of the state, not of a list of its own.
use super::{fold, shared::Shared, start::StartError};
use crate::{
    journal::{DirLock, Error, Log, Options, StoreReport},
    model::{Time, aggregate::Aggregate, command::Action, id::MilestoneId},
    views::catalog::Catalog,
};
use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

/// An opened log and what is live in it.
pub(super) struct Boot {
    pub(super) log: Log,
    pub(super) shared: Arc<Shared>,
    pub(super) live: HashMap<MilestoneId, Aggregate>,
    pub(super) last_at: Time,
    pub(super) notes: Vec<Action>,
}

pub(super) fn open(data_dir: &Path, wait: Duration) -> Result<Boot, StartError> {
    let lock = DirLock::acquire(data_dir, wait).map_err(start_error)?;
    let (log, report) = Log::open(data_dir, lock, Options::default()).map_err(start_error)?;
    let mut notes = Vec::new();
    if let Some(repair) = &report.repaired {
        notes.push(Action::NoteRepair { what: format!("{repair:?}") });
    }
    match &report.store {
        StoreReport::Rebuilt { why, .. } => notes.push(Action::NoteRebuild { why: why.clone() }),
        StoreReport::Clean | StoreReport::CaughtUp { .. } => {}
    }
    let store = log.reader();
    let mut states: HashMap<MilestoneId, Aggregate> = HashMap::new();
    let mut catalog = Catalog::default();
    let mut last_ms = 0;
    for frame in store.frames_from(1).map_err(start_error)? {
        let frame = frame.map_err(start_error)?;
        let stream = MilestoneId(frame.keys.stream);
        last_ms = last_ms.max(frame.at_ms);
        fold::fold(states.entry(stream).or_default(), &frame, |seq, draft| catalog.apply(stream, seq, draft));
    }
    for (stream, state) in &states {
        if let Some(why) = &state.quarantined {
            tracing::error!("milestone {stream} is quarantined: {why}");
        }
    }
    states.retain(|_, state| !state.is_settled() || state.quarantined.is_some());
    let head = log.next_seq().saturating_sub(1);
    let shared = Shared::new(data_dir.to_owned(), store, log.blobs(), head, catalog, &states);
    let last_at = chrono::DateTime::from_timestamp_millis(last_ms).unwrap_or_default();
    Ok(Boot { log, shared: Arc::new(shared), live: states, last_at, notes })
}

fn start_error(error: Error) -> StartError {
    match error {
        Error::Locked { .. } => StartError::Locked(error.to_string()),
        Error::NotWritable { .. } => StartError::Other(error.to_string()),
        other => StartError::Store(other.to_string()),
    }
}
