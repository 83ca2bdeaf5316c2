//! New lines of an attempt's output as they come. Woken by the kernel (inotify for the files, a pidfd for the
//! supervisor); only where it has no inotify left to give does it look again every so often.

use super::{
    error::Error,
    files::AttemptDir,
    look::{Found, Running, glance, until_gone},
    spool::{Cursor, SpoolLine, read_lines},
};
use crate::{model::backoff::Backoff, system::wake::when_readable};
use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use std::{
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::io::unix::AsyncFd;

/// About how many bytes of lines are handed on at once.
const PAGE_BYTES: usize = 256 * 1024;
/// How often to look where the kernel does not wake us.
const POLL: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(250));

/// A reader of one output; made by [`follow`].
#[derive(Debug)]
pub struct Follow {
    dir: PathBuf,
    path: PathBuf,
    cursor: Cursor,
    watch: Option<AsyncFd<OwnedFd>>,
    /// Looks in a row that found nothing.
    idle_looks: u32,
    /// Who was seen alive, and of whose end nothing has been heard.
    supervisor: Option<Running>,
    ended: bool,
}

/// Follows an output (`stdout` or `stderr` of an [`AttemptDir`]) from `from` on, until the attempt has ended. To be called within a tokio runtime, once the attempt is launched: before, it counts as ended.
pub fn follow(path: &Path, from: Cursor) -> Follow {
    let dir = path.parent().unwrap_or(Path::new(".")).to_path_buf();
    let watch = watch(&dir);
    Follow { dir, path: path.to_path_buf(), cursor: from, watch, idle_looks: 0, supervisor: None, ended: false }
}

/// `None` = the kernel gives no watch (too many instances, or a file system without); we poll then.
fn watch(dir: &Path) -> Option<AsyncFd<OwnedFd>> {
    let inotify = init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).ok()?;
    add_watch(&inotify, dir, WatchFlags::MODIFY | WatchFlags::CREATE | WatchFlags::MOVED_TO).ok()?;
    when_readable(inotify).ok()
}

impl Follow {
    /// The next lines, at least one; `None` when the attempt has ended and all has been read. May be dropped while it
    /// waits: nothing is skipped.
    ///
    /// # Errors
    /// The attempt's directory cannot be read.
    pub async fn next(&mut self) -> Result<Option<Vec<SpoolLine>>, Error> {
        loop {
            let (lines, cursor) = read_lines(&self.path, self.cursor, PAGE_BYTES, self.ended)?;
            self.cursor = cursor;
            if !lines.is_empty() {
                self.idle_looks = 0;
                return Ok(Some(lines));
            }
            if self.ended {
                return Ok(None);
            }
            // Most changes are output: only the record of the end, or the end itself, are worth a look at all of it.
            if let Some(supervisor) = self.supervisor
                && !AttemptDir::new(&self.dir).exit().exists()
            {
                self.change(supervisor).await;
                continue;
            }
            match glance(&self.dir)? {
                Found::Waiting(supervisor) | Found::Running(supervisor) => {
                    self.supervisor = Some(supervisor);
                    self.change(supervisor).await;
                }
                // What came between the read and the end is read in one last round.
                Found::NeverRan | Found::Ended(_) | Found::Lost { .. } => self.ended = true,
            }
        }
    }

    /// Where the reader stands; a later [`follow`] goes on from there.
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// Sleeps until something in the directory changed or the supervisor is gone.
    async fn change(&mut self, supervisor: Running) {
        let Some(watch) = &self.watch else {
            tokio::time::sleep(POLL.after(self.idle_looks)).await;
            self.idle_looks = self.idle_looks.saturating_add(1);
            self.supervisor = None;
            return;
        };
        tokio::select! {
            ready = watch.readable() => {
                if let Ok(mut ready) = ready {
                    swallow(watch.get_ref());
                    ready.clear_ready();
                }
            }
            () = until_gone(supervisor.member()) => self.supervisor = None,
        }
    }
}

/// Takes every pending event out: that there was one is all we want to know.
fn swallow(inotify: &OwnedFd) {
    let mut buffer = [MaybeUninit::uninit(); 4096];
    let mut events = Reader::new(inotify, &mut buffer);
    while events.next().is_ok() {}
}
