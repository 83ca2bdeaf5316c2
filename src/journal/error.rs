//! What can go wrong in this room, each with the object, the path and what to do.

use std::{
    io,
    path::{Path, PathBuf},
};

/// Why the log could not be opened, read or closed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process holds the data directory.
    #[error(
        "{path} is held by {}: stop it, or talk to it over its socket",
        holder.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The process that holds it, when its id could be read.
        holder: Option<u32>,
    },
    /// The directory or a file in it may not be written.
    #[error(
        "{path} is not writable ({source}): give this user the right to write it, or choose another data directory"
    )]
    NotWritable {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The disk or the quota is full.
    #[error("no room left to write {path} ({source}): free some space, then start again; nothing written was lost")]
    Full {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A frame that was acknowledged is missing or is not what was written. Nothing has been changed.
    #[error(
        "the log is damaged at event {seq} ({file}, byte {offset}): {what}. Nothing was changed; copy the data \
         directory, then `p0 doctor --repair` writes anew what the store still has, or restore the file from a backup"
    )]
    Damaged {
        /// The first event that cannot be read.
        seq: u64,
        /// The segment file.
        file: PathBuf,
        /// Where in the file, in bytes.
        offset: u64,
        /// What is wrong there.
        what: String,
    },
    /// The log was written by a newer p0.
    #[error(
        "{file} has format version {version}, this p0 reads up to {ours}: use the p0 that wrote it, or a newer one"
    )]
    NewerVersion {
        /// The segment file or the store.
        file: PathBuf,
        /// The version found.
        version: u32,
        /// The highest version this program reads.
        ours: u32,
    },
    /// The store could not be read or written. It is rebuilt from the journal at the next open.
    #[error("the store {path} failed: {what}. Stop p0d and start it again: it is rebuilt from the journal")]
    Store {
        /// The store's directory.
        path: PathBuf,
        /// What failed.
        what: String,
    },
    /// The path given is not a log.
    #[error("{path} is not a p0 log: {what}")]
    NotALog {
        /// What was given.
        path: PathBuf,
        /// Why it is not a log.
        what: String,
    },
    /// A blob that should be there is not.
    #[error("there is no blob {hash} at {path}")]
    BlobMissing {
        /// The hash asked for.
        hash: crate::Hash,
        /// Where it should be.
        path: PathBuf,
    },
    /// A blob's content is not what its name says.
    #[error("blob {path} is damaged: {what}. Restore it from a backup, or put the same content again")]
    BlobDamaged {
        /// The blob's file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Frames that were archived cannot be read from their archive. Everything else can.
    #[error("events {first_seq} to {last_seq} are archived in {path}, which cannot be read: {what}. Put the file back")]
    Archive {
        /// The archive.
        path: PathBuf,
        /// The first of the events that cannot be read.
        first_seq: u64,
        /// The last.
        last_seq: u64,
        /// What is wrong with it.
        what: String,
    },
    /// Any other failure of the file system.
    #[error("cannot {doing} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// Whether this is about nothing but disk space.
    pub fn is_full(&self) -> bool {
        match self {
            Error::Full { .. } => true,
            Error::Io { source, .. } | Error::NotWritable { source, .. } => is_full(source),
            Error::Locked { .. }
            | Error::Damaged { .. }
            | Error::NewerVersion { .. }
            | Error::Store { .. }
            | Error::NotALog { .. }
            | Error::BlobMissing { .. }
            | Error::BlobDamaged { .. }
            | Error::Archive { .. } => false,
        }
    }

    /// Sorts a system error into full, not writable, and the rest.
    pub fn io(doing: &'static str, path: &Path, source: io::Error) -> Error {
        let path = path.to_path_buf();
        if is_full(&source) {
            return Error::Full { path, source };
        }
        match source.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Error::NotWritable { path, source },
            _ => Error::Io { doing, path, source },
        }
    }
}

/// Whether the system says that there is no room: disk, quota or the largest file size.
pub fn is_full(source: &io::Error) -> bool {
    matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge)
}

/// Why a group was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Refused: there is no room. Nothing was written; the journal can be used as soon as there is room again.
    #[error("no room for {needed_bytes} bytes in {path} ({what}): free some space and try again; nothing was written")]
    NoRoom {
        /// The journal's directory.
        path: PathBuf,
        /// How much the group needs, in bytes.
        needed_bytes: u64,
        /// What the system said.
        what: String,
    },
    /// Refused: the log has moved on. Nothing was written.
    #[error("the log is at event {actual}, not {expected}: read it and decide again")]
    HeadMoved {
        /// The next sequence number that the caller expected.
        expected: u64,
        /// The next sequence number of the log.
        actual: u64,
    },
    /// Refused: the group is not well formed (a mistake of the caller). Nothing was written.
    #[error("the group cannot be written: {what}")]
    Invalid {
        /// What is wrong with it.
        what: String,
    },
    /// Writing or syncing failed. What is on disk is unknown: the process must stop; every later append fails too.
    #[error("writing the log failed: {what} ({path}). The process must stop; the next start sorts out the tail")]
    Failed {
        /// The file that failed.
        path: PathBuf,
        /// What failed.
        what: String,
    },
}
