//! What can go wrong on the engine's side and in the supervisor. A program that fails is no error: it is an
//! [`Ending`](super::Ending).

use crate::system::shortage::Shortage;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why this room could not do what it was asked; every sentence names the object and says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something on a file of the attempt.
    #[error(
        "{path}: cannot {doing}: {source}; check the rights and the free space of the data directory, then try again"
    )]
    Io {
        /// What was being done, as a verb phrase.
        doing: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A record in the attempt's directory is not JSON of the expected shape.
    #[error(
        "{path}: not a record this version of p0 understands: {source}; move the directory aside, its attempt counts as lost"
    )]
    Unreadable {
        /// The record.
        path: PathBuf,
        /// Where and why it did not parse.
        source: serde_json::Error,
    },
    /// The specification cannot be supervised safely.
    #[error("{dir}: the specification cannot be used: {why}")]
    BadSpec {
        /// The attempt's directory.
        dir: PathBuf,
        /// What is wrong with it, in words.
        why: &'static str,
    },
    /// A program has already run, or still runs, in this directory.
    #[error("{dir}: this attempt has already begun; give the next attempt a directory of its own")]
    AlreadyBegan {
        /// The attempt's directory.
        dir: PathBuf,
    },
    /// A supervisor is alive in this directory and waits for its go.
    #[error("{dir}: a supervisor (pid {pid}) still waits for its go here; stop it first")]
    Occupied {
        /// The attempt's directory.
        dir: PathBuf,
        /// The supervisor.
        pid: i32,
    },
    /// The supervisor could not be started at all.
    #[error("{exe}: cannot start the supervisor: {source}; check that the p0 binary is there and may be executed")]
    Spawn {
        /// The binary that should have become the supervisor.
        exe: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The supervisor started but did not report itself.
    #[error("{dir}: the supervisor was not ready: {said}; nothing has run, the attempt may be started again")]
    NotReady {
        /// The attempt's directory.
        dir: PathBuf,
        /// Its last words, or that it was silent.
        said: String,
        /// Whether it said that it found no disk space for what it writes.
        no_space: bool,
    },
    /// The supervisor was gone when it should have heard its go.
    #[error(
        "{dir}: the supervisor was gone before its go ({source}); nothing has run, the attempt may be started again"
    )]
    GoneBeforeGo {
        /// The attempt's directory.
        dir: PathBuf,
        /// What writing to it answered.
        source: io::Error,
    },
    /// Nothing ran although it was told to go.
    #[error("{dir}: the program never ran: the supervisor ended before it began; the attempt may be started again")]
    NeverRan {
        /// The attempt's directory.
        dir: PathBuf,
    },
    /// The program began and nobody knows how it ended.
    #[error("{dir}: the outcome is lost: {why}; park what it left and start a new attempt")]
    Lost {
        /// The attempt's directory.
        dir: PathBuf,
        /// The evidence.
        why: String,
    },
    /// Processes of the attempt are alive although they were killed.
    #[error(
        "{dir}: {alive} process(es) of this attempt are still alive after KILL; look at them with ps, they may hang in the kernel"
    )]
    StillAlive {
        /// The attempt's directory.
        dir: PathBuf,
        /// How many.
        alive: usize,
    },
}

impl Error {
    /// What the system has run out of, if this came of that.
    pub fn shortage(&self) -> Option<Shortage> {
        match self {
            Error::Io { source, .. } | Error::Spawn { source, .. } | Error::GoneBeforeGo { source, .. } => {
                Shortage::of(source)
            }
            Error::NotReady { no_space, .. } => no_space.then_some(Shortage::Disk),
            Error::Unreadable { .. }
            | Error::BadSpec { .. }
            | Error::AlreadyBegan { .. }
            | Error::Occupied { .. }
            | Error::NeverRan { .. }
            | Error::Lost { .. }
            | Error::StillAlive { .. } => None,
        }
    }
}

/// Turns the system's answer into [`Error::Io`], for `map_err`.
pub(super) fn io_error<E: Into<io::Error>>(doing: &'static str, path: &Path) -> impl FnOnce(E) -> Error {
    move |source| Error::Io { doing, path: path.to_path_buf(), source: source.into() }
}
