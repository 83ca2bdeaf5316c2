//! The seam between the engine's log and whatever keeps it: today local segment files, later a replicated log.

use crate::{AppendError, Error, Frame, Hash, NewFrame};

/// Where a log ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The sequence number that the next event gets; 1 for an empty log.
    pub next_seq: u64,
    /// The hash of the last frame; [`Hash::ZERO`] for an empty log.
    pub hash: Hash,
}

impl Head {
    /// The head of an empty log.
    pub const EMPTY: Head = Head { next_seq: 1, hash: Hash::ZERO };
}

/// A log of frames with one order and one writer.
pub trait Journal {
    /// Where the log ends: everything before it is durable.
    fn head(&self) -> Head;

    /// Appends a group of frames as one durable write, if the log still ends at `expected_next`. When it returns the
    /// frames are durable, with their hashes and links. An empty group is a no-op.
    ///
    /// # Errors
    /// See [`AppendError`]: all but `Failed` leave the log as it was.
    fn append(&mut self, expected_next: u64, group: Vec<NewFrame>) -> Result<Vec<Frame>, AppendError>;

    /// Reads the frames from the one that holds event `from_seq`, in order, to the head at the time of the call.
    ///
    /// # Errors
    /// The files cannot be opened; each item can fail on its own ([`Error::Damaged`]).
    fn read_from(&self, from_seq: u64) -> Result<Box<dyn Iterator<Item = Result<Frame, Error>> + Send>, Error>;
}

/// Where the journal asks for the last frame of a stream or a run, to link the next one to it.
pub trait Tips: Send {
    /// `first_seq` of the last frame of this stream; 0 for none.
    ///
    /// # Errors
    /// The store cannot be read.
    fn last_in_stream(&self, stream: uuid::Uuid) -> Result<u64, Error>;

    /// `first_seq` of the last frame of this run; 0 for none.
    ///
    /// # Errors
    /// The store cannot be read.
    fn last_in_run(&self, run: uuid::Uuid) -> Result<u64, Error>;
}
