//! Writing into sled what the journal has made durable: frames collected into blocks, each with its index entries, and the
//! head last. sled recovers a prefix of its own log, so what the head says is there is there, and what was written after it
//! is written again by the catch-up. A batch would cost a write of its own each time.

use crate::{
    Error,
    block::{self, BLOCK_BYTES, Tickets},
    frame::{self, View},
    segments::Written,
    store::Store,
    trees::{self, Applied, Index},
};
use std::{
    collections::HashSet,
    sync::{PoisonError, atomic::Ordering},
    thread::JoinHandle,
};
use uuid::Uuid;

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
    /// The tickets that they name.
    tickets: Tickets,
    /// Index entries that it has.
    indexed: HashSet<(u8, Uuid)>,
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
        let trees = store.trees();
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
                // May name more than what is left: what is read for nothing is found out.
                let tickets = Tickets::of(&value).unwrap_or(Tickets::ANY);
                block = Block { first_seq, frames, tickets, packed: value.len(), ..Block::default() };
            }
        }
        Ok(StoreWriter { store, block })
    }

    /// Writes what follows on what the store has, each with its bytes.
    pub(crate) fn write<'a>(&mut self, entries: impl Iterator<Item = (View<'a>, &'a [u8])>) -> Result<(), Error> {
        let mut applied = self.store.applied();
        for (entry, record) in entries {
            // A block of more than one frame stays below the size above which values are cut into chunks, so that a
            // block that grows is replaced as one value.
            if !self.block.frames.is_empty() && self.block.frames.len() + record.len() > BLOCK_BYTES {
                self.put_block()?;
                self.block = Block::default();
            }
            applied = Applied::after(entry);
            if self.block.frames.is_empty() {
                self.block.first_seq = match entry {
                    View::Frame(frame) => frame.first_seq,
                    View::Span(span) => span.first_seq,
                };
            }
            self.block.frames.extend_from_slice(record);
            self.index(entry)?;
        }
        if !self.block.frames.is_empty() {
            self.put_block()?;
        }
        let live = self.store.inner.live.load(Ordering::Relaxed);
        self.store.change(|trees| {
            trees.meta.insert(trees::META_LIVE, &live.to_be_bytes())?;
            trees.meta.insert(trees::META_HEAD, applied.encode())
        })?;
        self.store.queue().applied = applied;
        Ok(())
    }

    fn index(&mut self, entry: View<'_>) -> Result<(), Error> {
        match entry {
            View::Frame(frame) => {
                frame.keys.tickets.iter().for_each(|ticket| self.block.tickets.add(ticket));
                self.found_by(frame.keys.stream, frame.keys.run)
            }
            View::Span(span) => {
                self.block.tickets = Tickets::ANY;
                span.members.keys().try_for_each(|member| self.found_by(member.stream, member.run))
            }
        }
    }

    /// Has the block found by this stream and run.
    fn found_by(&mut self, stream: Uuid, run: Option<Uuid>) -> Result<(), Error> {
        let run = run.map(|run| (Index::Run, run));
        for (index, id) in [(Index::Stream, stream)].into_iter().chain(run) {
            if self.block.indexed.insert((index as u8, id)) {
                let key = trees::index_key(&trees::uuid_prefix(index, id), self.block.first_seq);
                self.store.change(|trees| trees.index.insert(key, &[]))?;
            }
        }
        Ok(())
    }

    fn put_block(&mut self) -> Result<(), Error> {
        let Block { first_seq, frames, tickets, packed, .. } = &self.block;
        self.block.packed = self.store.put_block(*first_seq, frames, tickets, *packed)?;
        Ok(())
    }

    /// Writes what waits, as it comes, until the store is closed.
    fn run(mut self) {
        let _ended = Ended(self.store.clone());
        let mut until_look = 0;
        loop {
            if until_look == 0 {
                until_look = self.store.renew_outgrown();
            }
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
                    let bytes = waiting.iter().map(|g| g.bytes.len()).sum::<usize>();
                    queue.pending_bytes -= bytes;
                    until_look = until_look.saturating_sub(bytes as u64);
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

impl Store {
    /// Writes a block in the place of one that took `before` bytes; says how many this one takes.
    pub(crate) fn put_block(
        &self,
        first_seq: u64,
        frames: &[u8],
        tickets: &Tickets,
        before: usize,
    ) -> Result<usize, Error> {
        let key = trees::block_key(first_seq);
        let value = block::pack(frames, tickets).map_err(|e| self.suspect(&format!("packing a block: {e}")))?;
        let packed = value.len();
        self.replaced(before, packed);
        self.change(|trees| {
            if packed <= trees::CHUNK_BYTES {
                trees.blocks.insert(key, value)?;
                return Ok(());
            }
            let mut chunks = 0;
            for chunk in value.chunks(trees::CHUNK_BYTES) {
                trees.chunks.insert(trees::chunk_key(&key, chunks), chunk)?;
                chunks += 1;
            }
            trees.blocks.insert(key, trees::chunked_value(packed, chunks))?;
            Ok(())
        })?;
        Ok(packed)
    }

    /// Drops the chunks of a block's value that one in a single piece has taken the place of.
    pub(crate) fn drop_chunks(&self, first_seq: u64, replaced: &[u8]) -> Result<(), Error> {
        let key = trees::block_key(first_seq);
        let chunks = |value: &[u8]| trees::parse_chunked(value).map_or(0, |(_, chunks)| chunks);
        let left = self.block(first_seq)?.map_or(0, |value| chunks(&value));
        self.change(|trees| {
            (left..chunks(replaced)).try_for_each(|n| trees.chunks.remove(trees::chunk_key(&key, n)).map(drop))
        })
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
fn records(group: &Written) -> impl Iterator<Item = (View<'_>, &[u8])> {
    group.frames.iter().map(View::Frame).zip(group.ranges.iter().map(|range| &group.bytes[range.clone()]))
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
        self.store.change(|trees| trees.db.flush()).map(|_| ())
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
