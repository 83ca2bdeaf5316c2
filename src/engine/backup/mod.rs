//! A data directory in one file, and back: a tar archive compressed with zstd (`tar --zstd -tf FILE`).
//!
//! In it, consistent at one sequence number: the journal, the blobs that its events name, the files of imported and
//! archived runs, and of the engine's repositories what attempts have committed (`repos/*/repo.git`). Its first entry says
//! what it is, its last has the hash of everything before.
//!
//! Not in it: the store (made anew from the journal), worktrees and homes of attempts (what was at work is lost to the
//! copy, and begins again), sockets, tokens, and the person's repositories: landings and parked work are there.
//!
//! | file | what |
//! | --- | --- |
//! | `write` | from a directory, held or not |
//! | `restore` | to a directory that nobody holds |
//! | `tar` | the form of the archive |
mod restore;
mod tar;
#[cfg(test)]
mod tests;
mod write;

pub use restore::{Restored, restore};
pub use write::{BackedUp, write};

use crate::{journal::Error, process};
use std::io;

/// The version of the form.
const VERSION: u32 = 1;
/// The first entry.
const MANIFEST: &str = "p0-backup.json";
/// The last entry.
const SEAL: &str = "p0-backup-end.json";

/// What a backup begins with.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Manifest {
    p0backup: u32,
    next_seq: u64,
    head: String,
    p0: String,
}

/// What it ends with.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
struct Seal {
    files: u64,
    blake3: String,
}

/// Why a backup was not made or not restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data directory or the file cannot be read or written.
    #[error(transparent)]
    Disk(#[from] Error),
    /// The file is not a whole backup, or what it holds is not what was written. Nothing was replaced.
    #[error("{path} is not a whole backup: {what}")]
    Bad {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong.
        what: Flaw,
    },
    /// Something on record is not there as it was written, so that a backup of it could never be restored.
    #[error("{0}")]
    Unfit(String),
    /// The data directory is a place that no other directory can take.
    #[error("{0} is a mount point, and nothing can take its place")]
    MountPoint(std::path::PathBuf),
    /// What an attempt of the directory that is to be replaced still runs cannot be ended.
    #[error("an attempt of the data directory that is to be replaced is still at work: {0}")]
    AtWork(#[from] process::Error),
    /// Input or output.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// On what.
        path: std::path::PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// What is wrong with the file of a backup, as the end of a sentence.
#[derive(Debug, thiserror::Error)]
pub enum Flaw {
    /// It ends too early.
    #[error("it was cut off")]
    CutOff,
    /// It cannot be read on.
    #[error(transparent)]
    Read(io::Error),
    /// The name of an entry.
    #[error("a name is not text")]
    Name,
    /// The size or the checksum of an entry.
    #[error("an entry's numbers cannot be read")]
    Numbers,
    /// An entry does not match its checksum.
    #[error("an entry's header is damaged")]
    Header,
    /// An entry is a folder, a link, …
    #[error("it holds something else than plain files")]
    NoPlainFile,
    /// An entry that belongs nowhere in a data directory.
    #[error("it has no place for {0:?}")]
    NoPlace(String),
    /// It has no manifest.
    #[error("it does not begin as a backup does")]
    NoBeginning,
    /// It has no seal.
    #[error("it ends without its last entry")]
    NoEnd,
    /// Its manifest or its seal is no such thing.
    #[error("its first or last entry is too long")]
    LongNote,
    /// Its manifest or its seal has more than its text.
    #[error("its first or last entry is damaged")]
    DamagedNote,
    /// Its manifest or its seal is no JSON of that form.
    #[error("its first or last entry cannot be read: {0}")]
    Note(serde_json::Error),
    /// Its seal is that of another file.
    #[error("its last entry does not match what stands before it")]
    Seal,
    /// It goes on behind its seal.
    #[error("something stands behind its last entry")]
    Behind,
    /// The manifest's hash.
    #[error("its first entry names no hash")]
    NoHash,
    /// Its log, by the checks of `p0 audit verify`.
    #[error("from event {seq}: {what}")]
    Log {
        /// The first event that cannot be vouched for.
        seq: u64,
        /// What is wrong there.
        what: String,
    },
    /// Its log has more than its manifest says.
    #[error("its log goes on behind the head that its first entry names")]
    Longer,
}

impl BackupError {
    fn io(doing: &'static str, path: &std::path::Path) -> impl Fn(io::Error) -> BackupError {
        let path = path.to_path_buf();
        move |source| BackupError::Io { doing, path: path.clone(), source }
    }
}
