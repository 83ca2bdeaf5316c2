//! Finding an attempt again: by its directory and the kernel's word, never by memory. Boot asks this way, and so does
//! the engine that started the attempt itself: there is one way to wait, for own children and adopted ones alike.

use super::{
    error::Error,
    files::AttemptDir,
    launch::reap_children,
    linux::{Member, Tree, now},
    spec::ExitRecord,
    stop::end_remains,
};
use crate::{model::attempt::DiskUse, system::wake::when_readable};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::{collections::BTreeSet, os::unix::fs::MetadataExt, path::Path, time::Duration};

/// How long a supervisor whose engine died may take to notice it.
const SETTLE_PATIENCE: Duration = Duration::from_secs(2);
/// How long a supervisor may take from its exit record to its own end.
const LEAVE_PATIENCE: Duration = Duration::from_secs(2);

/// A supervisor that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Process id of the supervisor.
    pub pid: i32,
    /// Its start, in clock ticks since boot.
    pub start_ticks: u64,
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// The program was never started, and will not be: the attempt may be launched again.
    NeverRan,
    /// A supervisor waits for its go, and somebody alive could still give it.
    Waiting(Running),
    /// The program runs under its supervisor.
    Running(Running),
    /// The program has ended, and nothing of it is alive (but for `survivors`).
    Ended(ExitRecord),
    /// The program was started and nobody knows how it ended. Parts of it may be alive: [`stop`](super::stop()) ends
    /// them.
    Lost {
        /// The evidence, as a sentence.
        why: String,
    },
}

/// Says what became of the attempt in `dir`. A missing directory is an attempt that never ran. A supervisor that
/// waits for the go of an engine that died is given up to two seconds to leave.
///
/// # Errors
/// The directory or a record in it cannot be read.
pub fn look(dir: &Path) -> Result<Found, Error> {
    let since = now();
    loop {
        match glance(dir)? {
            Found::Waiting(supervisor) if since.elapsed() < SETTLE_PATIENCE => settle(supervisor.member()),
            found => return Ok(found),
        }
    }
}

impl Running {
    pub(super) fn member(self) -> Member {
        Member { pid: self.pid, start_ticks: self.start_ticks }
    }
}

/// Waits a moment, or less when the process ends.
fn settle(supervisor: Member) {
    let pause = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
    if let Some(handle) = supervisor.open() {
        let _ = rustix::event::poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&pause));
    }
}

/// [`look`] without patience.
pub(super) fn glance(dir: &Path) -> Result<Found, Error> {
    reap_children();
    let place = AttemptDir::new(dir);
    if let Some(record) = place.read_exit()? {
        return Ok(Found::Ended(record));
    }
    if let Some(supervisor) = supervisor_of(&place) {
        let running = Running { pid: supervisor.pid, start_ticks: supervisor.start_ticks };
        return Ok(if place.has_begun()? { Found::Running(running) } else { Found::Waiting(running) });
    }
    // It may have ended between the two looks; the record comes before the end.
    if let Some(record) = place.read_exit()? {
        return Ok(Found::Ended(record));
    }
    if !place.has_begun()? {
        return Ok(Found::NeverRan);
    }
    let why = match place.read_ready() {
        Ok(Some(ready)) if ready.member().is_none() => "the machine was started anew while the program ran".to_owned(),
        Ok(Some(ready)) => format!("its supervisor (pid {}) is gone and left no exit record", ready.pid),
        Ok(None) | Err(_) => "the program had begun, but its supervisor's identity is not on disk".to_owned(),
    };
    Ok(Found::Lost { why })
}

/// The living supervisor of the attempt. The pid must belong to the process that reported itself: same boot, same
/// start, and the nonce of the specification that lies there now.
///
/// A record that a power cut left torn names nobody, and nobody lives who could have been named in it: only the marker
/// and the exit record are made durable.
pub(super) fn supervisor_of(place: &AttemptDir) -> Option<Member> {
    let ready = place.read_ready().ok()??;
    let is_ours = place.read_spec().map_or(true, |spec| spec.nonce == ready.nonce);
    ready.member().filter(|member| is_ours && member.open().is_some())
}

/// Waits until the attempt in `dir` has ended, whoever started it. Answers `Ended`, `Lost` (what was left alive has
/// been killed then) or `NeverRan`. Sleeps on the supervisor's pidfd: no polling. May be called by many at once, and
/// dropped at any time.
///
/// # Errors
/// The directory or a record in it cannot be read; or processes of a lost attempt do not die.
pub async fn wait(dir: &Path) -> Result<Found, Error> {
    loop {
        match glance(dir)? {
            Found::Waiting(supervisor) | Found::Running(supervisor) => until_gone(supervisor.member()).await,
            Found::Ended(record) => {
                if let Some(supervisor) = supervisor_of(&AttemptDir::new(dir)) {
                    let _ = tokio::time::timeout(LEAVE_PATIENCE, until_gone(supervisor)).await;
                    reap_children();
                }
                return Ok(Found::Ended(record));
            }
            Found::Lost { why } => {
                end_remains(dir).await?;
                return Ok(Found::Lost { why });
            }
            Found::NeverRan => return Ok(Found::NeverRan),
        }
    }
}

/// Sleeps until exactly this process has ended.
pub(super) async fn until_gone(process: Member) {
    while let Some(handle) = process.open() {
        match when_readable(handle) {
            Ok(handle) => {
                let _ = handle.readable().await;
            }
            // Out of file descriptors: the one case where looking again and again is all that is left.
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
    reap_children();
}

/// What files take on the file system of `root` that the attempt in `dir` has open and that have no name any more: no
/// walk through folders finds them, and their room comes back only when they are closed.
pub fn unnamed_files(dir: &Path, root: &Path) -> DiskUse {
    let Ok(device) = std::fs::metadata(root).map(|meta| meta.dev()) else { return DiskUse::default() };
    let members = tree_of(&AttemptDir::new(dir)).map(|tree| tree.members()).unwrap_or_default();
    let mut seen = BTreeSet::new();
    let mut used = DiskUse::default();
    for member in members {
        let handles = std::fs::read_dir(format!("/proc/{}/fd", member.pid)).into_iter().flatten().flatten();
        for meta in handles.filter_map(|handle| std::fs::metadata(handle.path()).ok()) {
            if meta.is_file() && meta.nlink() == 0 && meta.dev() == device && seen.insert(meta.ino()) {
                used = used.plus(DiskUse { bytes: meta.blocks().saturating_mul(512), files: 1 });
            }
        }
    }
    used
}

/// The processes of the attempt, supervisor excepted. `None` = there is no record of a nonce, so nobody carries it.
pub(super) fn tree_of(place: &AttemptDir) -> Option<Tree> {
    let nonce = match place.read_spec() {
        Ok(spec) => spec.nonce,
        Err(_) => place.read_ready().ok()??.nonce,
    };
    Some(Tree::new(supervisor_of(place), &nonce))
}
