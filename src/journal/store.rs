//! The store: the frames of the journal in sled, found by sequence, stream, run and ticket, and views kept beside them.
//!
//! What the journal has made durable is readable here at once: it waits in memory ([`Store::push`]) until a thread of the
//! store's own ([`crate::store_write`]) has written it into sled, block by block. So sled's pace is never the
//! writer's, and what a killed process had not written yet the journal gives back at the next open.

use crate::{
    Error, Head,
    archives::Archives,
    block,
    frame::{self, Entry, Frame, View},
    seam::Tips,
    segments::{Options, Written},
    sled_guard::{self, Trouble, guarded},
    store_read::{Batches, Frames, FramesByKey, Wanted},
    trees::{self, Applied, Trees},
};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};
use uuid::Uuid;

/// Says, beside the store, that reading it failed, so that the next open rebuilds it.
pub(crate) const SUSPECT: &str = "store.suspect";

/// How much may wait for sled, in bytes, before the writer waits too.
const PENDING_BYTES: usize = 8 << 20;

/// The store, for reading from any thread. Cheap to clone; sled is let go when the last clone is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) dir: PathBuf,
    pub(crate) options: Options,
    /// sled as it is now: [`Store::renew`] puts a fresh one in its place.
    pub(crate) trees: RwLock<Arc<Trees>>,
    /// Held shared by whoever changes sled, and alone while it is copied.
    pub(crate) changing: RwLock<()>,
    pub(crate) queue: Mutex<Queue>,
    /// Told of every change of `queue`.
    pub(crate) moved: Condvar,
    /// Bytes of all blocks, rows and views.
    pub(crate) live: AtomicU64,
    /// The block that [`Store::record`] read last: an open compares frame after frame.
    last_read: Mutex<Option<(u64, Vec<u8>)>>,
}

impl Drop for Inner {
    /// A sled that could not write waits for ever when it is let go, so that one is kept: its process is about to end.
    fn drop(&mut self) {
        if self.queue.get_mut().unwrap_or_else(PoisonError::into_inner).failed.is_some() {
            std::mem::forget(self.trees.get_mut().unwrap_or_else(PoisonError::into_inner).clone());
        }
    }
}

/// What is durable in the journal, and how much of it sled has.
#[derive(Debug)]
pub(crate) struct Queue {
    /// What sled has.
    pub(crate) applied: Applied,
    /// Groups that sled has not got yet, in order.
    pub(crate) pending: VecDeque<Arc<Written>>,
    /// Bytes of `pending`.
    pub(crate) pending_bytes: usize,
    /// Where `pending` ends.
    pub(crate) head: Applied,
    /// Somebody wants all of it written now.
    pub(crate) wanted: bool,
    /// Nothing more is to come.
    pub(crate) closed: bool,
    /// Why sled could not be written.
    pub(crate) failed: Option<String>,
}

/// What is opened.
pub(crate) enum Opened {
    Usable(Store),
    /// It has the form of an older version: this one.
    Old(u32),
    /// Why it has to be rebuilt.
    Unusable(String),
}

/// What a reader may count on for as long as it likes: everything that was durable at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Snapshot {
    /// What is in sled.
    pub(crate) applied: Applied,
    /// What follows it.
    pub(crate) pending: Vec<Arc<Written>>,
    /// Where it ends.
    pub(crate) head: Applied,
}

impl Store {
    /// Opens or makes the store in `dir`.
    pub(crate) fn open(dir: &Path, options: &Options) -> Result<Opened, Error> {
        let opened = sled_guard::open(dir, options.store_cache_bytes).and_then(|db| Trees::open(dir, db));
        let trees = match opened {
            Ok(trees) => trees,
            Err(Trouble::Disk(e)) => return Err(e),
            Err(Trouble::Content(what)) => return Ok(Opened::Unusable(what)),
        };
        let read = guarded(dir, || {
            let format = trees.meta.get(trees::META_FORMAT)?;
            let head = trees.meta.get(trees::META_HEAD)?;
            let first = trees.blocks.first()?;
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
                version => return Ok(Opened::Old(version)),
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
        let queue = Queue {
            applied,
            pending: VecDeque::new(),
            pending_bytes: 0,
            head: applied,
            wanted: false,
            closed: false,
            failed: None,
        };
        let live = match guarded(dir, || trees.live()) {
            Ok(live) => AtomicU64::new(live),
            Err(trouble) => return store_error(dir, trouble).map(Opened::Unusable),
        };
        let inner = Inner {
            dir: dir.to_path_buf(),
            options: options.clone(),
            trees: RwLock::new(Arc::new(trees)),
            changing: RwLock::new(()),
            live,
            queue: Mutex::new(queue),
            moved: Condvar::new(),
            last_read: Mutex::new(None),
        };
        Ok(Opened::Usable(Store { inner: Arc::new(inner) }))
    }

    /// The sequence number of the last event in the store; 0 for none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.queue().head.next_seq.saturating_sub(1)
    }

    /// Where the store ends.
    #[must_use]
    pub fn head(&self) -> Head {
        let head = self.queue().head;
        Head { next_seq: head.next_seq, hash: head.hash }
    }

    /// All frames from the one that holds event `seq` on, in order, to the end as it is now. Each is checked against
    /// the one before.
    ///
    /// # Errors
    /// The store cannot be read ([`Error::Store`]); so can each item.
    pub fn frames_from(&self, seq: u64) -> Result<Frames, Error> {
        Frames::new(self.clone(), seq)
    }

    /// [`Store::frames_from`] without those that archives hold.
    ///
    /// # Errors
    /// As there.
    pub fn present_frames_from(&self, seq: u64) -> Result<Frames, Error> {
        Frames::new(self.clone(), seq).map(Frames::present)
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
        FramesByKey::new(self.clone(), Wanted::Stream(stream), 1)
    }

    /// All frames of a stream, oldest first, block by block: for who reads them all.
    #[must_use]
    pub fn batches_of_stream(&self, stream: Uuid) -> Batches {
        Batches::new(self.clone(), stream)
    }

    /// The frames of a stream from the one that holds event `seq`, or the first after it.
    #[must_use]
    pub fn frames_of_stream_from(&self, stream: Uuid, seq: u64) -> FramesByKey {
        FramesByKey::new(self.clone(), Wanted::Stream(stream), seq)
    }

    /// All frames of a run, oldest first.
    #[must_use]
    pub fn frames_of_run(&self, run: Uuid) -> FramesByKey {
        FramesByKey::new(self.clone(), Wanted::Run(run), 1)
    }

    /// The frames of a stream that name a ticket, oldest first.
    #[must_use]
    pub fn frames_of_ticket(&self, stream: Uuid, ticket: &str) -> FramesByKey {
        FramesByKey::new(self.clone(), Wanted::Ticket(stream, ticket.to_owned()), 1)
    }

    /// How many bytes the store's files take, and how many bytes are kept in them.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn sizes(&self) -> Result<(u64, u64), Error> {
        let trees = self.trees();
        let files = self.run(|| trees.db.size_on_disk())?;
        Ok((files, self.inner.live.load(Ordering::Relaxed)))
    }

    /// Takes in a group that the journal has made durable. Readers see it at once.
    pub(crate) fn push(&self, group: Arc<Written>) -> Result<(), Error> {
        let Some(last) = group.frames.last() else { return Ok(()) };
        let mut queue = self.queue();
        // Memory is bounded: whoever writes faster than sled can take waits for it.
        while queue.pending_bytes > PENDING_BYTES && queue.failed.is_none() {
            queue = self.inner.moved.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(what) = &queue.failed {
            return Err(Error::Store { path: self.inner.dir.clone(), what: what.clone() });
        }
        queue.head = Applied::after(View::Frame(last));
        queue.pending_bytes += group.bytes.len();
        queue.pending.push_back(group);
        if queue.pending_bytes >= block::BLOCK_BYTES {
            self.inner.moved.notify_all();
        }
        Ok(())
    }

    /// What sled has is all there is: the catch-up is over.
    pub(crate) fn caught_up(&self) {
        let mut queue = self.queue();
        queue.head = queue.applied;
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.inner.dir
    }

    /// The block that starts at `first_seq`, as it is kept, if there is one.
    pub(crate) fn block(&self, first_seq: u64) -> Result<Option<sled::IVec>, Error> {
        let trees = self.trees();
        self.run(|| trees.blocks.get(trees::block_key(first_seq)))
    }

    /// The bytes of the frames of a block, put together when its value is in chunks.
    pub(crate) fn unpacked(&self, first_seq: u64, value: &[u8]) -> Result<Vec<u8>, Error> {
        if let Some(whole) = self.whole(first_seq, value)? {
            return Ok(whole);
        }
        // A reader may hold a value that was compacted since, and its chunks are gone.
        let now = self.block(first_seq)?.filter(|now| now.as_ref() != value);
        let whole = now.map(|now| self.whole(first_seq, &now)).transpose()?.flatten();
        whole.ok_or_else(|| self.suspect("a chunk of a block is missing"))
    }

    /// None when a chunk of it is missing.
    fn whole(&self, first_seq: u64, value: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let mut whole = Vec::new();
        if value.first() == Some(&trees::CHUNKED) {
            let Some((bytes, chunks)) = trees::parse_chunked(value) else {
                return Err(self.suspect("a block's list of chunks cannot be read"));
            };
            let key = trees::block_key(first_seq);
            let trees = self.trees();
            for n in 0..chunks {
                match self.run(|| trees.chunks.get(trees::chunk_key(&key, n)))? {
                    Some(chunk) => whole.extend_from_slice(&chunk),
                    None => return Ok(None),
                }
            }
            if whole.len() as u64 != bytes {
                return Err(self.suspect("the chunks of a block are not whole"));
            }
        }
        let value = if whole.is_empty() { value } else { &whole };
        let frames = block::unpack(value);
        frames.map(Some).ok_or_else(|| self.suspect(&format!("the block at event {first_seq} cannot be read")))
    }

    /// Whether sled holds blocks behind the end that it tells: a killed process leaves such.
    pub(crate) fn is_ahead(&self) -> Result<bool, Error> {
        let ends = self.applied().next_seq;
        let trees = self.trees();
        let next = self.run(|| trees.blocks.range(trees::block_key(ends)..).next().transpose())?;
        Ok(next.is_some())
    }

    /// The bytes of the frame that starts at `first_seq`, if it is in sled whole. For the open, before anything is
    /// written: it remembers the block it read.
    pub(crate) fn record(&self, first_seq: u64) -> Result<Option<Vec<u8>>, Error> {
        let before = trees::block_key(first_seq.saturating_add(1));
        let trees = self.trees();
        let Some((key, value)) = self.run(|| trees.blocks.get_lt(before))? else { return Ok(None) };
        let Some(start) = trees::index_seq(&key, 0) else { return Err(self.suspect("a block's key cannot be read")) };
        let mut last = self.inner.last_read.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|(seq, _)| *seq != start) {
            *last = Some((start, self.unpacked(start, &value)?));
        }
        let block = last.as_ref().map_or(&[][..], |(_, block)| block);
        let mut at = 0;
        while let Some(range) = block::record_at(block, at) {
            at = range.end;
            if frame::first_seq(&block[range.clone()]) == Some(first_seq) {
                return Ok(Some(block[range].to_vec()));
            }
        }
        Ok(None)
    }

    pub(crate) fn decode(&self, record: &[u8]) -> Result<Entry, Error> {
        frame::read(record).map_err(|flaw| self.suspect(&flaw.to_string()))
    }

    /// The archives beside it.
    pub(crate) fn archives(&self) -> Archives {
        Archives::of(self.inner.dir.parent().unwrap_or(&self.inner.dir))
    }

    /// Runs `work` on sled; damage makes the store suspect.
    pub(crate) fn run<T>(&self, work: impl FnOnce() -> sled::Result<T>) -> Result<T, Error> {
        guarded(&self.inner.dir, work).map_err(|trouble| match trouble {
            Trouble::Disk(e) => e,
            Trouble::Content(what) => self.suspect(&what),
        })
    }

    /// sled as it is now. What it says is at least what was durable when this was called.
    pub(crate) fn trees(&self) -> Arc<Trees> {
        self.inner.trees.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Runs `work`, which changes sled; not within another such work.
    pub(crate) fn change<T>(&self, work: impl FnOnce(&Trees) -> sled::Result<T>) -> Result<T, Error> {
        let _changing = self.inner.changing.read().unwrap_or_else(PoisonError::into_inner);
        let trees = self.trees();
        self.run(|| work(&trees))
    }

    /// Leaves a note for the next open that the store must be rebuilt, and makes the error.
    pub(crate) fn suspect(&self, what: &str) -> Error {
        if let Some(parent) = self.inner.dir.parent() {
            // Best effort: without the note a second failure leaves it.
            let _ = std::fs::write(parent.join(SUSPECT), what);
        }
        Error::Store { path: self.inner.dir.clone(), what: what.to_owned() }
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.inner.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is durable now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let queue = self.queue();
        // The writer notes what it has written before it takes it off the queue.
        let is_waiting = |g: &&Arc<Written>| g.frames.last().is_some_and(|f| f.first_seq >= queue.applied.next_seq);
        let pending = queue.pending.iter().filter(is_waiting).cloned().collect();
        Snapshot { applied: queue.applied, pending, head: queue.head }
    }

    /// What sled has.
    pub(crate) fn applied(&self) -> Applied {
        self.queue().applied
    }

    /// Blocks from the one that would hold `from`.
    pub(crate) fn blocks_range(&self, from: u64) -> Result<sled::Iter, Error> {
        let blocks = &self.trees().blocks;
        // The block that holds `from` starts at or before it.
        let start = self.run(|| blocks.get_lt(trees::block_key(from.saturating_add(1))))?;
        Ok(match start {
            Some((key, _)) => blocks.range(key..),
            None => blocks.range(trees::block_key(from)..),
        })
    }
}

impl Tips for Store {
    fn last_in_stream(&self, stream: Uuid) -> Result<u64, Error> {
        self.last_of(&Wanted::Stream(stream))
    }

    fn last_in_run(&self, run: Uuid) -> Result<u64, Error> {
        self.last_of(&Wanted::Run(run))
    }
}

fn store_error(dir: &Path, trouble: Trouble) -> Result<String, Error> {
    match trouble {
        Trouble::Disk(e) => Err(e),
        Trouble::Content(what) => Ok(format!("{}: {what}", dir.display())),
    }
}
