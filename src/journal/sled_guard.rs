//! The care that sled 0.34 needs: it panics on some damage instead of failing, and lets go of its file a moment after
//! its last handle is dropped.

use crate::{Error, error::is_full};
use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    time::Duration,
};

/// How often sled flushes and cleans by itself.
const FLUSH_EVERY_MS: u64 = 600_000;
const LOCK_TRIES: u32 = 250;
const LOCK_POLL: Duration = Duration::from_millis(20);

/// What went wrong inside sled.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The file system refused: not the store's fault.
    Disk(Error),
    /// The store's own content, or sled itself.
    Content(String),
}

impl Trouble {
    /// As an error of the store in `dir`.
    pub(crate) fn into_error(self, dir: &Path) -> Error {
        match self {
            Trouble::Disk(e) => e,
            Trouble::Content(what) => Error::Store { path: dir.to_path_buf(), what },
        }
    }
}

/// Runs `work` and turns sled's errors and panics into [`Trouble`].
pub(crate) fn guarded<T>(dir: &Path, work: impl FnOnce() -> sled::Result<T>) -> Result<T, Trouble> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(e)) => Err(sort(dir, e)),
        Err(panic) => Err(Trouble::Content(format!("sled panicked: {}", panic_text(panic.as_ref())))),
    }
}

fn sort(dir: &Path, error: sled::Error) -> Trouble {
    match error {
        sled::Error::Io(e) if is_disk(&e) => Trouble::Disk(Error::io("use the store", dir, e)),
        other => Trouble::Content(other.to_string()),
    }
}

fn is_disk(e: &io::Error) -> bool {
    is_full(e) || matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "without a message",
    }
}

/// Opens sled in `dir`, waiting a little while an earlier handle of it is still being let go.
pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<sled::Db, Trouble> {
    let mut tries = 0;
    loop {
        // The periodic flusher is also what cleans old segments of sled's file, so it cannot be switched off; rare
        // enough that an idle daemon does not notice it. What it has not flushed the journal gives back at the next open.
        let config = sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(Some(FLUSH_EVERY_MS));
        match guarded(dir, || config.open()) {
            Err(Trouble::Content(what)) if what.contains("could not acquire lock") => {
                if tries >= LOCK_TRIES {
                    return Err(Trouble::Disk(Error::Locked { path: dir.join("db"), holder: None }));
                }
                tries += 1;
                std::thread::sleep(LOCK_POLL);
            }
            done => return done,
        }
    }
}
