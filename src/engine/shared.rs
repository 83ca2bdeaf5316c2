//! What the turn publishes after a commit, and everybody else reads.
use super::{group::Decided, handle::ReadError, retries::Retries, snapshots};
use crate::{
    journal::{self, Blobs, LogReader, Sealer, Store},
    model::{
        aggregate::Aggregate,
        id::{BlobId, MilestoneId},
    },
    views::catalog::{Catalog, RowError},
};
use std::{
    collections::{HashMap, VecDeque},
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::watch;

/// How much of milestones at rest stays in memory, in tickets and attempts: what was asked for is asked for again.
const RESTED_WEIGHT: usize = 20_000;
/// And how many at the most.
const RESTED: usize = 64;
/// How far the catalog's mark may be behind the log, in events.
const MARK_EVERY: u64 = 4096;

/// The durable side of the engine.
pub(crate) struct Shared {
    pub(super) data_dir: PathBuf,
    pub(super) log: LogReader,
    pub(super) blobs: Blobs,
    pub(super) sealer: Sealer,
    pub(super) head: watch::Sender<u64>,
    pub(super) failed: watch::Sender<Option<String>>,
    pub(super) retries: Retries,
    /// Held while a run file is judged and put in its place.
    pub(super) importing: tokio::sync::Mutex<()>,
    states: Mutex<States>,
    catalog: Catalog,
}

/// Durable states in memory.
#[derive(Default)]
struct States {
    live: HashMap<MilestoneId, Arc<Aggregate>>,
    /// Those at rest that were used last, the latest last.
    rested: VecDeque<(MilestoneId, Arc<Aggregate>)>,
    /// The event up to which the catalog says that it is current.
    marked: u64,
    /// Grows with every publication: what was read before one may be older than it.
    publications: u64,
}

impl States {
    fn rest(&mut self, milestone: MilestoneId, state: Arc<Aggregate>) {
        self.rested.retain(|(id, _)| *id != milestone);
        self.rested.push_back((milestone, state));
        let weight = |state: &Aggregate| state.tickets.len() + state.attempts.len();
        let mut total: usize = self.rested.iter().map(|(_, state)| weight(state)).sum();
        while self.rested.len() > 1 && (total > RESTED_WEIGHT || self.rested.len() > RESTED) {
            if let Some((_, state)) = self.rested.pop_front() {
                total -= weight(&state);
            }
        }
    }
}

impl Shared {
    pub(super) fn new(
        data_dir: PathBuf,
        (log, blobs, sealer): (LogReader, Blobs, Sealer),
        catalog: Catalog,
        head: u64,
        live: &HashMap<MilestoneId, Aggregate>,
    ) -> Shared {
        let live = live.iter().map(|(id, state)| (*id, Arc::new(state.clone()))).collect();
        Shared {
            data_dir,
            log,
            blobs,
            sealer,
            head: watch::Sender::new(head),
            failed: watch::Sender::new(None),
            retries: Retries::default(),
            importing: tokio::sync::Mutex::default(),
            states: Mutex::new(States { live, marked: head, ..States::default() }),
            catalog,
        }
    }

    fn states(&self) -> MutexGuard<'_, States> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves the views to the new head.
    pub(super) fn publish(&self, head: u64, decided: &[Decided]) -> Result<(), RowError> {
        // States first: whoever finds a run in the catalog finds it in its milestone's state, too.
        let (marked, changes) = {
            let mut states = self.states();
            states.publications += 1;
            let mut changes = Vec::new();
            for one in decided {
                let (id, is_live) = (one.milestone, !one.state.is_settled());
                if is_live != states.live.contains_key(&id) {
                    changes.push((id, is_live));
                }
                let state = Arc::new(one.state.clone());
                if is_live {
                    states.rested.retain(|(rested, _)| *rested != id);
                    states.live.insert(id, state);
                } else {
                    states.live.remove(&id);
                    states.rest(id, state);
                }
            }
            (states.marked, changes)
        };
        let mut touched = !changes.is_empty();
        for (milestone, is_live) in changes {
            self.catalog.set_live(milestone, is_live)?;
        }
        for one in decided {
            for (seq, draft) in &one.drafts {
                touched |= self.catalog.apply(one.milestone, *seq, draft)?;
            }
        }
        if touched || head >= marked + MARK_EVERY {
            self.catalog.mark(head)?;
            self.states().marked = head;
        }
        self.head.send_replace(head);
        Ok(())
    }

    /// The durable state of a milestone that is not at rest.
    pub(super) fn published(&self, milestone: MilestoneId) -> Option<Arc<Aggregate>> {
        self.states().live.get(&milestone).cloned()
    }

    /// The milestones that are not at rest.
    pub(super) fn live(&self) -> Vec<(MilestoneId, Arc<Aggregate>)> {
        let mut live: Vec<_> = self.states().live.iter().map(|(id, state)| (*id, state.clone())).collect();
        live.sort_by_key(|(id, _)| *id);
        live
    }

    pub(super) fn catalog(&self) -> Catalog {
        self.catalog.clone()
    }

    /// Says that the catalog is current up to the head.
    pub(super) fn note_head(&self) -> Result<(), RowError> {
        self.catalog.mark(*self.head.borrow())
    }

    /// The durable state of a milestone, brought back from the store when it is not in memory; `None` = it has no
    /// frame.
    pub(super) fn load(&self, milestone: MilestoneId) -> Result<Option<Arc<Aggregate>>, ReadError> {
        let publications = {
            let states = self.states();
            let rested = || states.rested.iter().find(|(id, _)| *id == milestone).map(|(_, state)| state.clone());
            if let Some(state) = states.live.get(&milestone).cloned().or_else(rested) {
                return Ok(Some(state));
            }
            states.publications
        };
        let loaded = snapshots::load(&self.log, milestone)?;
        let Some((state, _)) = loaded else { return Ok(None) };
        let state = Arc::new(state);
        let mut states = self.states();
        // What was published while it was read may be newer.
        if states.publications == publications {
            states.rest(milestone, state.clone());
        }
        Ok(Some(state))
    }

    /// The store, for who writes.
    ///
    /// # Errors
    /// This process only reads.
    pub(super) fn store(&self) -> Result<&Store, journal::Error> {
        self.log.store().ok_or_else(|| journal::Error::NotWritable {
            path: self.data_dir.clone(),
            source: io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "this process only reads it"),
        })
    }

    pub(super) fn put_blob(&self, bytes: &[u8]) -> Result<BlobId, journal::Error> {
        self.store()?;
        let blob = self.blobs.put(bytes)?;
        Ok(BlobId { hash: blob.hash.to_string(), size: blob.size })
    }

    /// Notes why the engine stopped.
    pub(super) fn fail(&self, why: String) {
        self.failed.send_replace(Some(why));
    }

    pub(super) fn why_stopped(&self) -> String {
        self.failed.borrow().clone().unwrap_or_else(|| "it was asked to".to_owned())
    }
}
