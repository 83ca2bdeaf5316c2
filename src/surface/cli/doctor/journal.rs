//! Whether the log is as it was written, and all of it is there.
use super::check::{Check, Verdict};
use crate::{
    journal::{Bad, DirLock, Options, archives::ARCHIVES, held_by_store, verify},
    service::{
        background::blocking,
        problem::{Kind, Problem},
    },
};
use std::{fs, path::Path, time::Duration};

/// A journal larger than this is not read whole just to look around, in bytes.
const QUICK_BYTES: u64 = 64 * 1024 * 1024;
const NAME: &str = "journal";

/// Reads the journal, if it is not too large for that, and asks the store how far it should go.
pub(super) async fn check(dir: &Path) -> Check {
    let dir = dir.to_path_buf();
    match blocking(move || Ok(read(&dir))).await {
        Ok(check) => check,
        Err(problem) => Check::of(NAME, Verdict::Warn, problem),
    }
}

fn read(dir: &Path) -> Check {
    let path = dir.join("journal");
    let lengths = |entries: fs::ReadDir| entries.flatten().filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum();
    let size: u64 = fs::read_dir(&path).map(lengths).unwrap_or(0);
    if size > QUICK_BYTES {
        return Check::ok(NAME, format!("{} MiB; check it with `p0 audit verify`", size / (1024 * 1024)));
    }
    let (mut events, mut frames) = (0, 0);
    if path.exists() {
        let found = match verify(&path, None, &mut |_, _| {}) {
            Ok(found) => found,
            Err(e) => return Check::of(NAME, Verdict::Warn, Problem::new(Kind::Store, e)),
        };
        if let Some(Bad { seq, what, file, .. }) = found.first_bad {
            let problem = Problem::new(Kind::Store, format!("from event {seq}: {what}"));
            let is_archive = file.parent().is_some_and(|parent| parent.ends_with(ARCHIVES));
            return Check::fail(NAME, problem.hint(if is_archive { OF_ARCHIVES } else { OF_FRAMES }));
        }
        (events, frames) = (found.events, found.frames);
    }
    match in_store(dir) {
        Some(held) if held > events => {
            let text = format!("it ends at event {events}, but events up to {held} were acknowledged");
            Check::fail(NAME, Problem::new(Kind::Store, text).hint(OF_FRAMES))
        }
        Some(_) | None => Check::ok(NAME, format!("{events} events in {frames} frames, all as written")),
    }
}

const OF_ARCHIVES: &str = "put the archive back, or restore a backup (`p0 restore FILE`); all other runs can be used";
const OF_FRAMES: &str =
    "keep a copy of the directory, then try `p0 doctor --repair`; what the store has not is only in a backup";

/// The last event in the store; unknown while somebody else has it open.
fn in_store(dir: &Path) -> Option<u64> {
    // A lock is made with its directory.
    if !dir.join("store").exists() {
        return None;
    }
    let lock = DirLock::acquire(dir, Duration::ZERO).ok()?;
    held_by_store(&lock, &Options::default()).ok()
}
