//! The store: the frames of the journal in sled, found by sequence, stream, run and ticket, and views kept beside them.
//!
//! Written by plain inserts with the head last: sled recovers a prefix of its own log, so what the head says is there
//! is there, and what was written after it is written again by the catch-up. A batch would cost a write of its own
//! each time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use uuid::Uuid;

use crate::journal::frame::{self, Frame};
use crate::journal::seam::Tips;
use crate::journal::sled_guard::{self, Trouble, guarded};
use crate::journal::store_read::{Frames, FramesByKey, Links};
use crate::journal::trees::{self, Applied, Trees};
use crate::journal::{Error, Head};

/// Says, beside the store, that reading it failed, so that the next open rebuilds it.
pub(crate) const SUSPECT: &str = "store.suspect";

/// The store, for reading from any thread. Cheap to clone; sled is let go when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    trees: Trees,
    applied: Mutex<Applied>,
    /// The next sequence number, apart from the lock because every iterator asks for it.
    next_seq: AtomicU64,
}

/// What opening sled came to.
pub(crate) enum Opened {
    Usable(Store),
    /// Why it has to be rebuilt.
    Unusable(String),
}

impl Store {
    /// Opens or makes the store in `dir`.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Opened, Error> {
        let opened = sled_guard::open(dir, cache_bytes).and_then(|db| Trees::open(dir, db));
        let trees = match opened {
            Ok(trees) => trees,
            Err(Trouble::Disk(e)) => return Err(e),
            Err(Trouble::Content(what)) => return Ok(Opened::Unusable(what)),
        };
        let read = guarded(dir, || {
            let format = trees.meta.get(trees::META_FORMAT)?;
            let head = trees.meta.get(trees::META_HEAD)?;
            let first = trees.frames.first()?;
            Ok((format, head, first.is_some()))
        });
        let (format, head, has_frames) = match read {
            Ok(read) => read,
            Err(Trouble::Disk(e)) => return Err(e),
            Err(Trouble::Content(what)) => return Ok(Opened::Unusable(what)),
        };
        match format.as_deref().map(<[u8; 4]>::try_from) {
            Some(Ok(bytes)) => match u32::from_be_bytes(bytes) {
                trees::FORMAT => {}
                version if version > trees::FORMAT => {
                    return Err(Error::NewerVersion { file: dir.to_path_buf(), version, ours: trees::FORMAT });
                }
                version => return Ok(Opened::Unusable(format!("it has the old format {version}"))),
            },
            Some(Err(_)) => return Ok(Opened::Unusable("its format mark cannot be read".to_owned())),
            None if has_frames || head.is_some() => return Ok(Opened::Unusable("it has no format mark".to_owned())),
            None => {
                let marked = guarded(dir, || trees.meta.insert(trees::META_FORMAT, &trees::FORMAT.to_be_bytes()));
                if let Err(trouble) = marked {
                    return store_error(dir, trouble).map(Opened::Unusable);
                }
            }
        }
        let applied = match head.map(|bytes| Applied::decode(&bytes)) {
            Some(Some(applied)) => applied,
            Some(None) => return Ok(Opened::Unusable("its head cannot be read".to_owned())),
            None => Applied::NOTHING,
        };
        let next_seq = AtomicU64::new(applied.next_seq);
        let inner = Inner { dir: dir.to_path_buf(), trees, applied: Mutex::new(applied), next_seq };
        Ok(Opened::Usable(Store { inner: Arc::new(inner) }))
    }

    /// The sequence number of the last event in the store; 0 for none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.inner.next_seq.load(Ordering::Acquire).saturating_sub(1)
    }

    /// Where the store ends.
    #[must_use]
    pub fn head(&self) -> Head {
        let applied = self.applied();
        Head { next_seq: applied.next_seq, hash: applied.hash }
    }

    /// All frames from the one that holds event `seq` on, in order, to the end as it is now. Each is checked against
    /// the one before.
    ///
    /// # Errors
    /// The store cannot be read ([`Error::Store`]); so can each item.
    pub fn frames_from(&self, seq: u64) -> Result<Frames, Error> {
        Frames::new(self.clone(), seq)
    }

    /// The frame that holds event `seq`, if the log has got that far.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn frame_at(&self, seq: u64) -> Result<Option<Frame>, Error> {
        self.frames_from(seq)?.next().transpose()
    }

    /// All frames of a stream, oldest first.
    #[must_use]
    pub fn frames_of_stream(&self, stream: Uuid) -> FramesByKey {
        FramesByKey::new(self.clone(), &self.inner.trees.by_stream, trees::uuid_prefix(stream), Links::Stream)
    }

    /// All frames of a run, oldest first.
    #[must_use]
    pub fn frames_of_run(&self, run: Uuid) -> FramesByKey {
        FramesByKey::new(self.clone(), &self.inner.trees.by_run, trees::uuid_prefix(run), Links::Run)
    }

    /// All frames that name a ticket, oldest first.
    #[must_use]
    pub fn frames_of_ticket(&self, ticket: &str) -> FramesByKey {
        FramesByKey::new(self.clone(), &self.inner.trees.by_ticket, trees::ticket_prefix(ticket), Links::None)
    }

    /// Keeps `bytes` as the view or snapshot `name`, folded up to event `upto`; the one before it is dropped. A view is
    /// a cache: it is lost when the store is rebuilt.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put_view(&self, name: &str, upto: u64, bytes: &[u8]) -> Result<(), Error> {
        let trees = &self.inner.trees;
        let prefix = [name.as_bytes(), &[0]].concat();
        let chunk_prefix = trees::index_key(&prefix, upto);
        self.run(|| {
            let mut chunks = 0;
            for chunk in bytes.chunks(trees::CHUNK_BYTES) {
                trees.view_chunks.insert(trees::chunk_key(&chunk_prefix, chunks), chunk)?;
                chunks += 1;
            }
            let value = [&upto.to_be_bytes()[..], &trees::chunked_value(bytes.len(), chunks)].concat();
            trees.views.insert(name, value)?;
            for key in trees.view_chunks.scan_prefix(&prefix).keys() {
                let key = key?;
                let keep = key.strip_prefix(&chunk_prefix[..]).is_some_and(|n| n < &chunks.to_be_bytes()[..]);
                if !keep {
                    trees.view_chunks.remove(key)?;
                }
            }
            Ok(())
        })
    }

    /// The view `name` and the event it was folded up to, if there is one. A view that is not whole is none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn view(&self, name: &str) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let trees = &self.inner.trees;
        self.run(|| {
            let Some(value) = trees.views.get(name)? else { return Ok(None) };
            let Some((upto, rest)) = value.split_first_chunk::<8>() else { return Ok(None) };
            let Some((bytes, chunks)) = trees::parse_chunked(rest) else { return Ok(None) };
            let prefix = [name.as_bytes(), &[0], upto].concat();
            let mut out = Vec::new();
            for n in 0..chunks {
                let Some(chunk) = trees.view_chunks.get(trees::chunk_key(&prefix, n))? else { return Ok(None) };
                out.extend_from_slice(&chunk);
            }
            Ok((out.len() as u64 == bytes).then(|| (u64::from_be_bytes(*upto), out)))
        })
    }

    /// Writes frames that the journal has made durable. `records` gives each one's bytes.
    pub(crate) fn apply<'a>(&self, frames: impl Iterator<Item = (&'a Frame, &'a [u8])>) -> Result<(), Error> {
        let mut applied = self.applied();
        for (frame, record) in frames {
            self.run(|| self.insert(frame, record))?;
            applied = Applied { next_seq: frame.end_seq(), last_first_seq: frame.first_seq, hash: frame.hash };
        }
        self.run(|| self.inner.trees.meta.insert(trees::META_HEAD, applied.encode()))?;
        *self.inner.applied.lock().unwrap_or_else(PoisonError::into_inner) = applied;
        self.inner.next_seq.store(applied.next_seq, Ordering::Release);
        Ok(())
    }

    fn insert(&self, frame: &Frame, record: &[u8]) -> sled::Result<()> {
        let trees = &self.inner.trees;
        let key = trees::frame_key(frame.first_seq);
        if record.len() <= trees::CHUNK_BYTES {
            trees.frames.insert(key, record)?;
        } else {
            let mut chunks = 0;
            for chunk in record.chunks(trees::CHUNK_BYTES) {
                trees.chunks.insert(trees::chunk_key(&key, chunks), chunk)?;
                chunks += 1;
            }
            trees.frames.insert(key, trees::chunked_value(record.len(), chunks))?;
        }
        let keys = &frame.keys;
        trees.by_stream.insert(trees::index_key(&trees::uuid_prefix(keys.stream), frame.first_seq), &[])?;
        if let Some(run) = keys.run {
            trees.by_run.insert(trees::index_key(&trees::uuid_prefix(run), frame.first_seq), &[])?;
        }
        for ticket in &keys.tickets {
            trees.by_ticket.insert(trees::index_key(&trees::ticket_prefix(ticket), frame.first_seq), &[])?;
        }
        Ok(())
    }

    /// The bytes of the frame that starts at `first_seq`, if it is there whole.
    pub(crate) fn record(&self, first_seq: u64) -> Result<Option<Vec<u8>>, Error> {
        let key = trees::frame_key(first_seq);
        match self.run(|| self.inner.trees.frames.get(key))? {
            Some(value) => self.whole_record(&key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// Puts a frame's value together when it is in chunks.
    pub(crate) fn whole_record(&self, key: &[u8], value: &[u8]) -> Result<Vec<u8>, Error> {
        if value.first() != Some(&trees::CHUNKED) {
            return Ok(value.to_vec());
        }
        let Some((bytes, chunks)) = trees::parse_chunked(value) else {
            return Err(self.suspect("a frame's list of chunks cannot be read"));
        };
        let mut record = Vec::new();
        for n in 0..chunks {
            match self.run(|| self.inner.trees.chunks.get(trees::chunk_key(key, n)))? {
                Some(chunk) => record.extend_from_slice(&chunk),
                None => return Err(self.suspect("a chunk of a frame is missing")),
            }
        }
        if record.len() as u64 != bytes {
            return Err(self.suspect("the chunks of a frame are not whole"));
        }
        Ok(record)
    }

    pub(crate) fn decode(&self, record: &[u8]) -> Result<Frame, Error> {
        frame::decode(record).map_err(|flaw| self.suspect(&flaw.to_string()))
    }

    /// Runs `work` on sled; damage makes the store suspect.
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
        guarded(&self.inner.dir, work).map_err(|trouble| match trouble {
            Trouble::Disk(e) => e,
            Trouble::Content(what) => self.suspect(&what),
        })
    }

    /// Leaves a note for the next open that the store must be rebuilt, and makes the error.
    pub(crate) fn suspect(&self, what: &str) -> Error {
        if let Some(parent) = self.inner.dir.parent() {
            // Best effort: without the note a second failure leaves it.
            let _ = std::fs::write(parent.join(SUSPECT), what);
        }
        Error::Store { path: self.inner.dir.clone(), what: what.to_owned() }
    }

    pub(crate) fn applied(&self) -> Applied {
        *self.inner.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn frames_range(&self, from: u64) -> Result<sled::Iter, Error> {
        let frames = &self.inner.trees.frames;
        // The frame that holds `from` starts at or before it.
        let start = self.run(|| frames.get_lt(trees::frame_key(from.saturating_add(1))))?;
        Ok(match start {
            Some((key, _)) => frames.range(key..),
            None => frames.range(trees::frame_key(from)..),
        })
    }

    pub(crate) fn flush(&self) -> Result<(), Error> {
        self.run(|| self.inner.trees.db.flush()).map(|_| ())
    }

    fn last_in(&self, index: &sled::Tree, id: Uuid) -> Result<u64, Error> {
        let prefix = trees::uuid_prefix(id);
        let last = self.run(|| index.scan_prefix(&prefix).keys().next_back().transpose())?;
        Ok(last.and_then(|key| trees::index_seq(&key, prefix.len())).unwrap_or(0))
    }
}

impl Tips for Store {
    fn last_in_stream(&self, stream: Uuid) -> Result<u64, Error> {
        self.last_in(&self.inner.trees.by_stream, stream)
    }

    fn last_in_run(&self, run: Uuid) -> Result<u64, Error> {
        self.last_in(&self.inner.trees.by_run, run)
    }
}

fn store_error(dir: &Path, trouble: Trouble) -> Result<String, Error> {
    match trouble {
        Trouble::Disk(e) => Err(e),
        Trouble::Content(what) => Ok(format!("{}: {what}", dir.display())),
    }
}
