//! Boot: open, verify the tail, bring the catalog up to the head, fold what is live. It costs what happened since the last
//! snapshots, not the history. What was in flight is asked of the state, not of a list of its own.
use super::{
    rows::StoreRows,
    shared::Shared,
    snapshots::{self, Snapshots},
    start::StartError,
};
use crate::{
    codec::payload,
    journal::{DirLock, Error, Frame, Log, LogReader, Options, Store, StoreReport},
    model::{Time, aggregate::Aggregate, command::Action, id::MilestoneId},
    views::catalog::{Catalog, RowError},
};
use std::{
    collections::{BTreeSet, HashMap},
    path::Path,
    sync::Arc,
    time::Duration,
};

/// An opened log and what is live in it.
pub(super) struct Boot {
    pub(super) log: Log,
    pub(super) shared: Arc<Shared>,
    pub(super) snapshots: Snapshots,
    pub(super) live: HashMap<MilestoneId, Aggregate>,
    pub(super) last_at: Time,
    pub(super) notes: Vec<Action>,
}

pub(super) fn open(data_dir: &Path, wait: Duration) -> Result<Boot, StartError> {
    let lock = DirLock::acquire(data_dir, wait)?;
    let (log, report) = Log::open(data_dir, lock, Options::default())?;
    let mut notes = Vec::new();
    if let Some(repair) = &report.repaired {
        notes.push(Action::NoteRepair { what: repair.to_string() });
    }
    match &report.store {
        StoreReport::Rebuilt { why, .. } => notes.push(Action::NoteRebuild { why: why.clone() }),
        StoreReport::Clean | StoreReport::CaughtUp { .. } => {}
    }
    let store = log.reader();
    let head = log.next_seq().saturating_sub(1);
    let catalog = Catalog::new(Arc::new(StoreRows(store.clone())));
    catch_up(&store, &catalog, head)?;
    let reader = LogReader::Store(store.clone());
    let (live, tails) = fold_live(&reader, &catalog)?;
    let last_ms = match head {
        0 => 0,
        head => store.frame_at(head)?.map_or(0, |frame| frame.at_ms),
    };
    let last_at = chrono::DateTime::from_timestamp_millis(last_ms).unwrap_or_default();
    let shared = Shared::new(data_dir.to_owned(), (reader, log.blobs(), log.sealer()), catalog, head, &live);
    let snapshots = Snapshots::start(store, head, tails).map_err(|e| StartError::Other(e.to_string()))?;
    Ok(Boot { log, shared: Arc::new(shared), snapshots, live, last_at, notes })
}

/// Takes into the catalog what happened since its mark. Its rows may be ahead of the mark: what is taken in again leads
/// to the same rows.
fn catch_up(store: &Store, catalog: &Catalog, head: u64) -> Result<(), StartError> {
    let from = catalog.marked().map_err(row_error)? + 1;
    let mut seen = BTreeSet::new();
    if from <= head {
        // What is archived was taken in with the event that archived it.
        for frame in store.present_frames_from(from)? {
            take_in(&frame?, catalog, &mut seen)?;
        }
        catalog.mark(head).map_err(row_error)?;
    }
    Ok(())
}

/// Takes one frame into the catalog; `seen` are the streams that were taken in before.
pub(super) fn take_in(frame: &Frame, catalog: &Catalog, seen: &mut BTreeSet<MilestoneId>) -> Result<(), StartError> {
    let stream = MilestoneId(frame.keys.stream);
    if seen.insert(stream) {
        // Whether it is at rest shows when it is folded.
        catalog.set_live(stream, true).map_err(row_error)?;
    }
    // What cannot be read quarantines the milestone where it is folded; here it is passed over.
    for event in payload::events(frame.view()).into_iter().flatten() {
        let seq = event.seq();
        if let Ok(draft) = event.into_draft() {
            catalog.apply(stream, seq, &draft).map_err(row_error)?;
        }
    }
    Ok(())
}

type Live = (HashMap<MilestoneId, Aggregate>, HashMap<MilestoneId, u64>);

/// The states of milestones that are not at rest, and how many events each has had since its last snapshot.
pub(super) fn fold_live(log: &LogReader, catalog: &Catalog) -> Result<Live, StartError> {
    let (mut live, mut tails) = (HashMap::new(), HashMap::new());
    for milestone in catalog.live().map_err(row_error)? {
        let loaded = match snapshots::load(log, milestone) {
            // It stays what it is until its archive is back; whoever asks for it hears why it cannot be had.
            Err(Error::Archive { path, what, .. }) => {
                tracing::error!(
                    "milestone {milestone} needs its archive {}, which cannot be read: {what}",
                    path.display()
                );
                continue;
            }
            loaded => loaded?,
        };
        let Some((state, tail)) = loaded.filter(|(state, _)| !state.is_settled() || state.quarantined.is_some()) else {
            catalog.set_live(milestone, false).map_err(row_error)?;
            continue;
        };
        if let Some(why) = &state.quarantined {
            tracing::error!("milestone {milestone} is quarantined: {why}");
        }
        tails.insert(milestone, tail);
        live.insert(milestone, state);
    }
    Ok((live, tails))
}

pub(super) fn row_error(error: RowError) -> StartError {
    StartError::Store(error.to_string())
}

impl From<Error> for StartError {
    fn from(error: Error) -> StartError {
        match error {
            Error::Locked { .. } => StartError::Locked(error.to_string()),
            Error::NotWritable { .. } => StartError::Other(error.to_string()),
            other => StartError::Store(other.to_string()),
        }
    }
}
