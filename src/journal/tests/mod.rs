//! Tests of the room as a whole, on real files.

mod archives;
mod crash;
mod damage;
mod disk;
mod faults;
mod fuzz;
mod log;
mod mend;
mod read_only;
mod renew;
mod store;

use crate::{DirLock, Error, Frame, FrameKeys, Journal, LocalJournal, Log, NewFrame, OpenReport, Options, Tips};
use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};
use uuid::Uuid;

pub(super) fn options() -> Options {
    Options { segment_bytes: 64 << 10, keep_free_bytes: 0, ..Options::default() }
}

pub(super) fn small() -> Options {
    Options { segment_bytes: 1500, ..options() }
}

pub(super) fn open_with(dir: &Path, options: Options) -> Result<(Log, OpenReport), Error> {
    Log::open(dir, DirLock::acquire(dir, Duration::ZERO)?, options)
}

pub(super) fn open(dir: &Path) -> (Log, OpenReport) {
    open_with(dir, options()).unwrap()
}

pub(super) fn run_id(n: u64) -> Uuid {
    Uuid::from_u64_pair(7, n)
}

/// A frame of two events, in one of three streams and runs, naming one of two tickets.
pub(super) fn frame(first_seq: u64) -> NewFrame {
    NewFrame {
        first_seq,
        events: 2,
        at_ms: 1000 + i64::try_from(first_seq).unwrap(),
        keys: FrameKeys {
            stream: Uuid::from_u64_pair(1, first_seq % 3),
            run: (!first_seq.is_multiple_of(5)).then(|| run_id(first_seq % 3)),
            tickets: vec![format!("BLOG-{}", first_seq % 2)],
        },
        payload: format!("{{\"n\":{first_seq}}}").into_bytes(),
    }
}

pub(super) fn group(first_seq: u64, frames: u64) -> Vec<NewFrame> {
    (0..frames).map(|n| frame(first_seq + 2 * n)).collect()
}

pub(super) fn append(log: &mut Log, frames: u64) {
    log.append(group(log.next_seq(), frames)).unwrap();
}

pub(super) fn all(log: &Log) -> Vec<Frame> {
    log.reader().frames_from(1).unwrap().collect::<Result<_, _>>().unwrap()
}

/// What was appended, as it must read back.
pub(super) fn as_new(frames: &[Frame]) -> Vec<NewFrame> {
    let new = |f: &Frame| NewFrame {
        first_seq: f.first_seq,
        events: f.events,
        at_ms: f.at_ms,
        keys: f.keys.clone(),
        payload: f.payload.clone(),
    };
    frames.iter().map(new).collect()
}

pub(super) fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

pub(super) fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(dir.join("journal"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.extension().is_some_and(|e| e == "p0j"))
        .collect();
    paths.sort();
    paths
}

/// The last frames of streams and runs, for a journal that stands alone.
#[derive(Debug, Clone, Default)]
pub(super) struct MemoryTips(Arc<Mutex<HashMap<(bool, Uuid), u64>>>);

impl Tips for MemoryTips {
    fn last_in_stream(&self, stream: Uuid) -> Result<u64, Error> {
        Ok(self.0.lock().unwrap().get(&(false, stream)).copied().unwrap_or(0))
    }

    fn last_in_run(&self, run: Uuid) -> Result<u64, Error> {
        Ok(self.0.lock().unwrap().get(&(true, run)).copied().unwrap_or(0))
    }
}

pub(super) fn open_journal(dir: &Path, options: Options) -> Result<(LocalJournal, Option<crate::Repair>), Error> {
    LocalJournal::open(dir, options, Box::new(MemoryTips::default()))
}

pub(super) fn journal_frames(journal: &LocalJournal) -> Vec<Frame> {
    journal.read_from(1).unwrap().collect::<Result<_, _>>().unwrap()
}
