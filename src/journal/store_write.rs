//! Writing into sled what the journal has made durable: frames collected into blocks, each with its index entries, and the
//! head last. sled recovers a prefix of its own log, so what the head says is there is there, and what was written after it
//! is written again by the catch-up. A batch would cost a write of its own each time.

use std::collections::HashSet;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crate::journal::Error;
use crate::journal::block::{self, BLOCK_BYTES};
use crate::journal::frame::{self, Frame};
use crate::journal::segments::Written;
use crate::journal::store::Store;
use crate::journal::trees::{self, Applied, Index};

/// The store's writer: one at a time, by the holder of the data directory's lock.
#[derive(Debug)]
pub(crate) struct StoreWriter {
    store: Store,
    block: Block,
}

/// The block that is being filled.
#[derive(Debug, Default)]
struct Block {
    first_seq: u64,
    /// The frames in it, as they stand in the journal.
    frames: Vec<u8>,
    /// Index entries that it has.
    indexed: HashSet<Vec<u8>>,
    /// Bytes that it takes in sled now.
    packed: usize,
}

impl StoreWriter {
    /// Goes on where the store says that it ends: its last block is filled up if there is room in it.
    ///
    /// A killed process may have left more than that: a block that had grown already, later blocks, index entries of
    /// blocks that never came. Where a block ends depends on nothing but the frames, so the catch-up writes the very
    /// same ones again; only what the last block has too much must not be taken for its beginning.
    pub(crate) fn new(store: Store) -> Result<StoreWriter, Error> {
        let trees = &store.inner.trees;
        let ends = store.applied().next_seq;
        let last = store.run(|| trees.blocks.get_lt(trees::block_key(ends)))?;
        let mut block = Block::default();
        if let Some((key, value)) = last
            && let Some(first_seq) = trees::index_seq(&key, 0)
        {
            let mut frames = store.unpacked(first_seq, &value)?;
            let mut at = 0;
            while let Some(range) = block::record_at(&frames, at)
                && frame::first_seq(&frames[range.clone()]).is_some_and(|seq| seq < ends)
            {
                at = range.end;
            }
            frames.truncate(at);
            if frames.len() < BLOCK_BYTES {
                block = Block { first_seq, frames, packed: value.len(), ..Block::default() };
            }
        }
        Ok(StoreWriter { store, block })
    }

    /// Writes frames that follow on what the store has; `records` gives each one's bytes.
    pub(crate) fn write<'a>(&mut self, frames: impl Iterator<Item = (&'a Frame, &'a [u8])>) -> Result<(), Error> {
        let mut applied = self.store.applied();
        for (frame, record) in frames {
            // A block of more than one frame stays below the size above which values are cut into chunks, so that a
            // block that grows is replaced as one value.
            if !self.block.frames.is_empty() && self.block.frames.len() + record.len() > BLOCK_BYTES {
                self.put_block()?;
                self.block = Block::default();
            }
            if self.block.frames.is_empty() {
                self.block.first_seq = frame.first_seq;
            }
            self.block.frames.extend_from_slice(record);
            self.index(frame)?;
            applied = Applied::after(frame);
        }
        if !self.block.frames.is_empty() {
            self.put_block()?;
        }
        let meta = &self.store.inner.trees.meta;
        let live = self.store.inner.live.load(Ordering::Relaxed);
        self.store.run(|| meta.insert(trees::META_LIVE, &live.to_be_bytes()))?;
        self.store.run(|| meta.insert(trees::META_HEAD, applied.encode()))?;
        self.store.queue().applied = applied;
        Ok(())
    }

    fn index(&mut self, frame: &Frame) -> Result<(), Error> {
        let keys = &frame.keys;
        let run = keys.run.map(|run| trees::uuid_prefix(Index::Run, run));
        let tickets = keys.tickets.iter().map(|ticket| trees::ticket_prefix(ticket));
        for prefix in [trees::uuid_prefix(Index::Stream, keys.stream)].into_iter().chain(run).chain(tickets) {
            if self.block.indexed.contains(&prefix) {
                continue;
            }
            let key = trees::index_key(&prefix, self.block.first_seq);
            self.store.run(|| self.store.inner.trees.index.insert(key, &[]))?;
            self.block.indexed.insert(prefix);
        }
        Ok(())
    }

    fn put_block(&mut self) -> Result<(), Error> {
        let trees = &self.store.inner.trees;
        let key = trees::block_key(self.block.first_seq);
        let value =
            block::pack(&self.block.frames).map_err(|e| self.store.suspect(&format!("packing a block: {e}")))?;
        self.store.replaced(self.block.packed, value.len());
        self.block.packed = value.len();
        self.store.run(|| {
            if value.len() <= trees::CHUNK_BYTES {
                trees.blocks.insert(key, value)?;
                return Ok(());
            }
            let mut chunks = 0;
            for chunk in value.chunks(trees::CHUNK_BYTES) {
                trees.chunks.insert(trees::chunk_key(&key, chunks), chunk)?;
                chunks += 1;
            }
            trees.blocks.insert(key, trees::chunked_value(value.len(), chunks))?;
            Ok(())
        })
    }

    /// Writes what waits, as it comes, until the store is closed.
    fn run(mut self) {
        let _ended = Ended(self.store.clone());
        loop {
            let waiting = {
                let mut queue = self.store.queue();
                while queue.pending_bytes < BLOCK_BYTES && !queue.closed && !(queue.wanted && queue.pending_bytes > 0) {
                    queue.wanted = false;
                    self.store.inner.moved.notify_all();
                    queue = self.store.inner.moved.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
                if queue.pending.is_empty() {
                    return;
                }
                queue.pending.iter().cloned().collect::<Vec<_>>()
            };
            let written = self.write(waiting.iter().flat_map(|group| records(group)));
            let mut queue = self.store.queue();
            match written {
                Ok(()) => {
                    queue.pending.drain(..waiting.len());
                    queue.pending_bytes -= waiting.iter().map(|g| g.bytes.len()).sum::<usize>();
                    self.store.inner.moved.notify_all();
                }
                Err(e) => {
                    queue.failed = Some(e.to_string());
                    self.store.inner.moved.notify_all();
                    return;
                }
            }
        }
    }
}

/// Whoever waits for the writer must hear of its end, however it came about.
struct Ended(Store);

impl Drop for Ended {
    fn drop(&mut self) {
        let mut queue = self.0.queue();
        if !queue.closed && queue.failed.is_none() {
            queue.failed = Some("the thread that writes it has ended".to_owned());
        }
        self.0.inner.moved.notify_all();
    }
}

/// The frames of a group with their bytes.
pub(crate) fn records(group: &Written) -> impl Iterator<Item = (&Frame, &[u8])> {
    group.frames.iter().zip(group.ranges.iter().map(|range| &group.bytes[range.clone()]))
}

/// The thread that writes into sled.
#[derive(Debug)]
pub(crate) struct WriterThread {
    store: Store,
    thread: Option<JoinHandle<()>>,
}

impl WriterThread {
    pub(crate) fn start(writer: StoreWriter) -> Result<WriterThread, Error> {
        let store = writer.store.clone();
        let spawned = std::thread::Builder::new().name("p0-store".into()).spawn(move || writer.run());
        let thread = spawned.map_err(|e| Error::Store { path: store.dir().to_path_buf(), what: e.to_string() })?;
        Ok(WriterThread { store, thread: Some(thread) })
    }

    /// Waits until sled has everything that was pushed, and its files too.
    pub(crate) fn flush(&self) -> Result<(), Error> {
        let mut queue = self.store.queue();
        queue.wanted = true;
        self.store.inner.moved.notify_all();
        while !queue.pending.is_empty() && queue.failed.is_none() {
            queue = self.store.inner.moved.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(what) = &queue.failed {
            return Err(Error::Store { path: self.store.dir().to_path_buf(), what: what.clone() });
        }
        drop(queue);
        self.store.run(|| self.store.inner.trees.db.flush()).map(|_| ())
    }
}

impl Drop for WriterThread {
    /// Lets the thread write what waits and waits for it: sled must be let go before the data directory's lock.
    fn drop(&mut self) {
        self.store.queue().closed = true;
        self.store.inner.moved.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has left its message; what it did not write the next open does.
            let _ = thread.join();
        }
    }
}
