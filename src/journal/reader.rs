//! Reading a log, whoever keeps what is read: the store of its holder, or its segment files alone.

use crate::{Error, Frame, Head, read_only::ReadOnly, store::Store, store_read::Batch};
use uuid::Uuid;

/// Frames in order. Each can fail on its own.
pub type FrameIter = Box<dyn Iterator<Item = Result<Frame, Error>> + Send>;

/// A log, for reading from any thread. Cheap to clone.
#[derive(Debug, Clone)]
pub enum LogReader {
    /// In the store of the process that holds the log.
    Store(Store),
    /// In its segment files, without the lock.
    Files(ReadOnly),
}

impl LogReader {
    /// The store, where this process holds the log.
    #[must_use]
    pub fn store(&self) -> Option<&Store> {
        match self {
            LogReader::Store(store) => Some(store),
            LogReader::Files(_) => None,
        }
    }

    /// Where the log ends.
    #[must_use]
    pub fn head(&self) -> Head {
        match self {
            LogReader::Store(store) => store.head(),
            LogReader::Files(log) => log.head(),
        }
    }

    /// The sequence number of the last event; 0 for none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.head().next_seq.saturating_sub(1)
    }

    /// All frames from the one that holds event `seq` on, in order.
    ///
    /// # Errors
    /// The log cannot be read; so can each item.
    pub fn frames_from(&self, seq: u64) -> Result<FrameIter, Error> {
        Ok(match self {
            LogReader::Store(store) => Box::new(store.frames_from(seq)?),
            LogReader::Files(log) => Box::new(log.frames_from(seq)),
        })
    }

    /// The frame that holds event `seq`, if the log has got that far.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn frame_at(&self, seq: u64) -> Result<Option<Frame>, Error> {
        self.frames_from(seq)?.next().transpose()
    }

    /// All frames of a stream, oldest first.
    #[must_use]
    pub fn frames_of_stream(&self, stream: Uuid) -> FrameIter {
        self.frames_of_stream_from(stream, 1)
    }

    /// The frames of a stream from the one that holds event `seq`, or the first after it.
    #[must_use]
    pub fn frames_of_stream_from(&self, stream: Uuid, seq: u64) -> FrameIter {
        match self {
            LogReader::Store(store) => Box::new(store.frames_of_stream_from(stream, seq)),
            LogReader::Files(log) => Box::new(log.frames_of_stream_from(stream, seq)),
        }
    }

    /// The frames of a stream that name a ticket, oldest first.
    #[must_use]
    pub fn frames_of_ticket(&self, stream: Uuid, ticket: &str) -> FrameIter {
        match self {
            LogReader::Store(store) => Box::new(store.frames_of_ticket(stream, ticket)),
            LogReader::Files(log) => {
                let ticket = ticket.to_owned();
                let names_it = move |frame: &Result<Frame, Error>| match frame {
                    Ok(frame) => frame.keys.tickets.contains(&ticket),
                    Err(_) => true,
                };
                Box::new(log.frames_of_stream_from(stream, 1).filter(names_it))
            }
        }
    }

    /// All frames of a stream, oldest first, together with others that were read with them: for who reads them all.
    #[must_use]
    pub fn batches_of_stream(&self, stream: Uuid) -> Box<dyn Iterator<Item = Result<Batch, Error>> + Send> {
        match self {
            LogReader::Store(store) => Box::new(store.batches_of_stream(stream)),
            LogReader::Files(log) => Box::new(log.frames_of_stream_from(stream, 1).map(|frame| frame.map(Batch::of))),
        }
    }

    /// The view `name` and the event it was folded up to. A log that is only read has none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn view(&self, name: &str) -> Result<Option<(u64, Vec<u8>)>, Error> {
        match self {
            LogReader::Store(store) => store.view(name),
            LogReader::Files(_) => Ok(None),
        }
    }
}
