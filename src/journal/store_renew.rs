//! Giving back the room of a store that has outgrown what it keeps: sled leaves old pages where they are until it has
//! reason to clean up. Its content is copied into a new sled, which then takes the place of the old one.
//!
//! Readers go on as they are; what changes the store waits for the copy, which takes seconds once in millions of events.
//! Whatever happens on the way, one of the two directories is whole, and the store is a cache at that.
//!
//! | in the data directory | what it is |
//! | --- | --- |
//! | `store.next` | the copy; of no use until it has become `store` |
//! | `store.old` | what the copy took the place of; the store, if there is no other |

use crate::{
    Error,
    sled_guard::{self, Trouble, guarded},
    store::Store,
    trees::Trees,
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

/// The files may take this many times what is kept in them, and [`SLACK_BYTES`] besides.
const GROWTH: u64 = 4;
const SLACK_BYTES: u64 = 64 << 20;
/// How much is written at least between two looks at the files.
const LOOK_BYTES: u64 = 16 << 20;
/// sled's cache for the copy.
const COPY_CACHE_BYTES: u64 = 4 << 20;

const NEXT: &str = "store.next";
const OLD: &str = "store.old";

/// Brings to an end what a killed process left half done.
pub(crate) fn finish(data_dir: &Path, store_dir: &Path) -> Result<(), Error> {
    let old = data_dir.join(OLD);
    if old.exists() && !store_dir.exists() {
        fs::rename(&old, store_dir).map_err(|e| Error::io("move", &old, e))?;
    }
    remove(&old)?;
    remove(&data_dir.join(NEXT))
}

/// Removes a directory, if it is there.
pub(crate) fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", dir, e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

impl Store {
    /// Renews sled's files if they have outgrown what they keep; says after how many bytes more it is time to look again.
    /// Trouble is told and changes nothing: the store is as it was.
    pub(crate) fn renew_outgrown(&self) -> u64 {
        let Ok((files, kept)) = self.sizes() else { return LOOK_BYTES };
        if files > GROWTH * kept + SLACK_BYTES {
            tracing::info!(
                "the store is made anew: its files had grown to {files} bytes for {kept} bytes that are kept"
            );
            if let Err(e) = self.renew() {
                tracing::warn!("the store stays as it is for now: {e}");
            }
        }
        // Copying is never more than a part of all writing.
        LOOK_BYTES.max(kept / 4)
    }

    /// Copies everything into a new sled and goes on with that.
    ///
    /// # Errors
    /// There is no room, or a directory cannot be written. The store goes on as it was.
    pub(crate) fn renew(&self) -> Result<(), Error> {
        let store = &self.inner.dir;
        let data_dir = store.parent().unwrap_or(store);
        let [next, old] = [NEXT, OLD].map(|name| data_dir.join(name));
        let _alone = self.inner.changing.write().unwrap_or_else(PoisonError::into_inner);
        let before = self.trees();
        self.check_room(data_dir)?;
        finish(data_dir, store)?;
        if let Err(trouble) = copy(&before, &next) {
            // What is half written is of no use.
            let _ = remove(&next);
            return Err(trouble.into_error(&next));
        }
        let moved = |from: &PathBuf, to: &PathBuf| fs::rename(from, to).map_err(|e| Error::io("move", from, e));
        moved(store, &old)?;
        if let Err(e) = moved(&next, store) {
            moved(&old, store)?;
            return Err(e);
        }
        self.inner.options.disk.sync_dir(data_dir).map_err(|e| Error::io("sync", data_dir, e))?;
        let opened = sled_guard::open(store, self.inner.options.store_cache_bytes);
        let trees = opened.and_then(|db| Trees::open(store, db)).map_err(|trouble| trouble.into_error(store))?;
        *self.inner.trees.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(trees);
        drop(before);
        // Whoever still reads there has its files open.
        remove(&old)
    }

    fn check_room(&self, data_dir: &Path) -> Result<(), Error> {
        let options = &self.inner.options;
        let kept = self.sizes()?.1;
        let free =
            options.disk.free_bytes(data_dir).map_err(|e| Error::io("ask for the free space of", data_dir, e))?;
        if free > options.keep_free_bytes.saturating_add(2 * kept) {
            return Ok(());
        }
        let what = format!("{free} bytes are free, and a copy of {kept} bytes needs twice that");
        Err(Error::io("copy", &self.inner.dir, io::Error::new(io::ErrorKind::StorageFull, what)))
    }
}

/// Copies every tree, and closes the copy again.
fn copy(from: &Trees, to: &Path) -> Result<(), Trouble> {
    let copy = Trees::open(to, sled_guard::open(to, COPY_CACHE_BYTES)?)?;
    guarded(to, || {
        for (from, to) in from.all().into_iter().zip(copy.all()) {
            for entry in from {
                let (key, value) = entry?;
                to.insert(key, value)?;
            }
        }
        copy.db.flush().map(drop)
    })
}
