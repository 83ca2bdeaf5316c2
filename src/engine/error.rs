//! Why a command was not carried out, and why the log, or a file beside it, could not be read or written.
use crate::{
    codec::payload::BadFrame,
    journal::{self, AppendError, run_file::RunFileError},
    model::{id::RunId, record::Unreadable, rejection::Rejection},
    views::catalog::{Lookup, RowError},
};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::task::JoinError;

/// What to do about an imported file that is not as it was.
const IMPORT_AGAIN: &str = "import the file again with `p0 audit import`";

/// An error of whoever the engine asks something.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a command was not carried out.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    /// By the rules.
    #[error("{0}")]
    Rejected(Rejection),
    /// There is no room for it in the log; nothing was written.
    #[error("the log has no room: {0}; free some space and try again")]
    NoRoom(Arc<AppendError>),
    /// The secrets in it could not be taken out; nothing was written.
    #[error("the secrets in it cannot be taken out: {0}; nothing was written")]
    Unredacted(NotRedacted),
    /// The engine has stopped.
    #[error("the engine has stopped: {0}")]
    Stopped(String),
}

/// Why secrets could not be taken out of a command.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotRedacted {
    /// The patterns of its milestone's newest run are not known.
    #[error(transparent)]
    Patterns(ReadError),
    /// Without them it is no command any more.
    #[error("a secret stands where p0 needs one of its own words ({0})")]
    Value(Arc<serde_json::Error>),
}

/// Why the log could not be read. Cheap to clone.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the log cannot be read: {0}")]
pub struct ReadError(Arc<Cause>);

impl ReadError {
    /// The reason alone, as a sentence.
    pub(super) fn why(&self) -> String {
        self.0.to_string()
    }

    /// Whether there was no disk space.
    pub(super) fn is_full(&self) -> bool {
        self.0.is_full()
    }
}

/// The reason of a [`ReadError`].
#[derive(Debug, thiserror::Error)]
pub(super) enum Cause {
    #[error(transparent)]
    Journal(#[from] journal::Error),
    #[error(transparent)]
    Rows(#[from] RowError),
    #[error(transparent)]
    Lookup(#[from] Lookup),
    #[error(transparent)]
    Frame(#[from] BadFrame),
    #[error(transparent)]
    Event(#[from] Unreadable),
    #[error(transparent)]
    RunFile(#[from] RunFileError),
    /// Of a file that whoever passes this on names.
    #[error(transparent)]
    System(#[from] io::Error),
    #[error(transparent)]
    Panicked(#[from] JoinError),
    #[error("there is no run {0}")]
    NoRun(RunId),
    #[error("'{0}' is not a blob's hash")]
    NoHash(String),
    #[error(
        "the frame at event {seq}: this p0 cannot read it, so it is not known which blobs it names; nothing was removed"
    )]
    Unsweepable { seq: u64 },
    #[error("{doing} {}: {source}", path.display())]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("copying {} to {}: {source}", from.display(), to.display())]
    Copy { from: PathBuf, to: PathBuf, source: io::Error },
    #[error("the imported run {run}: {source}; {IMPORT_AGAIN}")]
    Import { run: RunId, source: RunFileError },
    #[error("{} is not the file that was imported as run {run}; {IMPORT_AGAIN}", path.display())]
    OtherImport { run: RunId, path: PathBuf },
    #[error("{} is not as it was imported as run {run}; {IMPORT_AGAIN}", path.display())]
    ChangedImport { run: RunId, path: PathBuf },
    #[error("a milestone without a run")]
    WithoutRun,
    #[error("writing the archive {}: {source}", path.display())]
    Archive { path: PathBuf, source: Box<Cause> },
    /// Of an archive that is to be written.
    #[error("the one that is there goes further")]
    GoesFurther,
    #[error("putting the archive of {key} on record: {source}")]
    NotRecorded { key: String, source: SubmitError },
}

impl Cause {
    /// Input or output on a path.
    pub(super) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Cause {
        move |source| Cause::Io { doing, path: path.to_owned(), source }
    }

    fn is_full(&self) -> bool {
        match self {
            Cause::Journal(error) | Cause::RunFile(RunFileError::Disk(error)) => error.is_full(),
            Cause::Import { source: RunFileError::Disk(error), .. } => error.is_full(),
            Cause::System(source) | Cause::Io { source, .. } | Cause::Copy { source, .. } => {
                journal::error::is_full(source)
            }
            Cause::Archive { source, .. } => source.is_full(),
            Cause::NotRecorded { source, .. } => matches!(source, SubmitError::NoRoom(_)),
            Cause::Rows(_)
            | Cause::Lookup(_)
            | Cause::Frame(_)
            | Cause::Event(_)
            | Cause::RunFile(RunFileError::Bad { .. } | RunFileError::Newer { .. })
            | Cause::Panicked(_)
            | Cause::NoRun(_)
            | Cause::NoHash(_)
            | Cause::Unsweepable { .. }
            | Cause::Import { source: RunFileError::Bad { .. } | RunFileError::Newer { .. }, .. }
            | Cause::OtherImport { .. }
            | Cause::ChangedImport { .. }
            | Cause::WithoutRun
            | Cause::GoesFurther => false,
        }
    }
}

impl From<Cause> for ReadError {
    fn from(cause: Cause) -> ReadError {
        ReadError(Arc::new(cause))
    }
}

/// Errors of other rooms are causes, and so read errors.
macro_rules! causes {
    ($($error:ty),*) => {$(
        impl From<$error> for ReadError {
            fn from(error: $error) -> ReadError {
                Cause::from(error).into()
            }
        }
    )*};
}

causes!(journal::Error, RowError, BadFrame, Unreadable, RunFileError, JoinError);
