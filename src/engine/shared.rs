//! What the turn publishes after a commit, and everybody else reads.
use super::{fold, handle::ReadError};
use crate::{
    journal::{Blobs, Store},
    model::{
        aggregate::Aggregate,
        id::{BlobId, MilestoneId},
        record::Draft,
    },
    views::catalog::Catalog,
};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, PoisonError, RwLock},
};
use tokio::sync::watch;

/// The durable side of the engine.
pub(crate) struct Shared {
    pub(super) data_dir: PathBuf,
    pub(super) store: Store,
    pub(super) blobs: Blobs,
    pub(super) head: watch::Sender<u64>,
    pub(super) failed: watch::Sender<Option<String>>,
    live: RwLock<HashMap<MilestoneId, Arc<Aggregate>>>,
    catalog: RwLock<Arc<Catalog>>,
}

impl Shared {
    pub(super) fn new(
        data_dir: PathBuf,
        store: Store,
        blobs: Blobs,
        head: u64,
        catalog: Catalog,
        live: &HashMap<MilestoneId, Aggregate>,
    ) -> Shared {
        let live = live.iter().map(|(id, state)| (*id, Arc::new(state.clone()))).collect();
        Shared {
            data_dir,
            store,
            blobs,
            head: watch::Sender::new(head),
            failed: watch::Sender::new(None),
            live: RwLock::new(live),
            catalog: RwLock::new(Arc::new(catalog)),
        }
    }

    /// Moves the views to the new head.
    pub(super) fn publish(
        &self,
        head: u64,
        decided: impl Iterator<Item = (MilestoneId, Vec<(u64, Draft)>, Aggregate)>,
        keep: impl Fn(&Aggregate) -> bool,
    ) {
        let mut catalog = self.catalog.write().unwrap_or_else(PoisonError::into_inner);
        let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
        for (stream, drafts, state) in decided {
            let catalog = Arc::make_mut(&mut catalog);
            for (seq, draft) in &drafts {
                catalog.apply(stream, *seq, draft);
            }
            if keep(&state) {
                live.insert(stream, Arc::new(state));
            } else {
                live.remove(&stream);
            }
        }
        drop((catalog, live));
        self.head.send_replace(head);
    }

    /// The durable state of a milestone that is not at rest.
    pub(super) fn published(&self, milestone: MilestoneId) -> Option<Arc<Aggregate>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner).get(&milestone).cloned()
    }

    pub(super) fn catalog(&self) -> Arc<Catalog> {
        self.catalog.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Folds a milestone from the store; `None` = it has no frame.
    pub(super) fn load(&self, milestone: MilestoneId) -> Result<Option<Aggregate>, ReadError> {
        let mut state = None;
        for frame in self.store.frames_of_stream(milestone.0) {
            let frame = frame.map_err(|e| ReadError(e.to_string()))?;
            fold::fold(state.get_or_insert_with(Aggregate::default), &frame, |_, _| {});
        }
        Ok(state)
    }

    pub(super) fn put_blob(&self, bytes: &[u8]) -> Result<BlobId, ReadError> {
        let blob = self.blobs.put(bytes).map_err(|e| ReadError(e.to_string()))?;
        Ok(BlobId { hash: blob.hash.to_string(), size: blob.size })
    }

    /// The engine cannot go on.
    pub(super) fn fail(&self, why: String) {
        self.failed.send_replace(Some(why));
    }

    pub(super) fn why_stopped(&self) -> String {
        self.failed.borrow().clone().unwrap_or_else(|| "it was asked to".into())
    }
}
