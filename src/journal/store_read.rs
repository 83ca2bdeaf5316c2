//! Reading frames from the store, lazily, with every link checked: what sled lost is an error, never a gap.

use crate::journal::frame::Frame;
use crate::journal::store::Store;
use crate::journal::trees;
use crate::journal::walk::Chain;
use crate::journal::{Error, Hash};

/// Frames in the order of the log.
pub struct Frames {
    store: Store,
    range: sled::Iter,
    from_seq: u64,
    before_seq: u64,
    /// The sequence number that the next frame must start at, and the hash it must follow, once known.
    expect: Option<(u64, Hash)>,
    done: bool,
}

impl std::fmt::Debug for Frames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Frames").field("from_seq", &self.from_seq).finish_non_exhaustive()
    }
}

impl Frames {
    pub(crate) fn new(store: Store, from_seq: u64) -> Result<Frames, Error> {
        let from_seq = from_seq.max(1);
        let before_seq = store.applied().next_seq;
        let range = store.frames_range(from_seq)?;
        let expect = (from_seq == 1).then_some((Chain::GENESIS.next_seq, Chain::GENESIS.hash));
        Ok(Frames { store, range, from_seq, before_seq, expect, done: from_seq >= before_seq })
    }

    fn read(&mut self) -> Result<Option<Frame>, Error> {
        let range = &mut self.range;
        let Some((key, value)) = self.store.run(|| range.next().transpose())? else {
            return Err(self.store.suspect(&format!("it ends before event {}", self.before_seq)));
        };
        let frame = self.frame(&key, &value)?;
        if frame.first_seq >= self.before_seq {
            return Ok(None);
        }
        match self.expect {
            Some((seq, hash)) if frame.first_seq != seq || frame.prev_hash != hash => {
                return Err(self.store.suspect(&format!("the frame at event {seq} is missing or another one")));
            }
            None if frame.first_seq > self.from_seq || frame.end_seq() <= self.from_seq => {
                return Err(self.store.suspect(&format!("the frame with event {} is missing", self.from_seq)));
            }
            Some(_) | None => {}
        }
        self.expect = Some((frame.end_seq(), frame.hash));
        self.done = frame.end_seq() >= self.before_seq;
        Ok(Some(frame))
    }

    fn frame(&self, key: &[u8], value: &[u8]) -> Result<Frame, Error> {
        let frame = if value.first() == Some(&trees::CHUNKED) {
            self.store.decode(&self.store.whole_record(key, value)?)?
        } else {
            self.store.decode(value)?
        };
        if trees::frame_key(frame.first_seq) != key {
            return Err(self.store.suspect("a frame stands under another frame's number"));
        }
        Ok(frame)
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Result<Frame, Error>> {
        if self.done {
            return None;
        }
        let read = self.read().transpose();
        if !matches!(read, Some(Ok(_))) {
            self.done = true;
        }
        read
    }
}

/// Which link of a frame the index must agree with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Stream,
    Run,
    None,
}

/// The frames that an index names, oldest first.
pub struct FramesByKey {
    store: Store,
    range: sled::Iter,
    prefix_bytes: usize,
    links: Links,
    last: u64,
    before_seq: u64,
    done: bool,
}

impl std::fmt::Debug for FramesByKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FramesByKey").field("links", &self.links).field("last", &self.last).finish_non_exhaustive()
    }
}

impl FramesByKey {
    pub(crate) fn new(store: Store, index: &sled::Tree, prefix: Vec<u8>, links: Links) -> FramesByKey {
        let before_seq = store.applied().next_seq;
        let range = index.scan_prefix(&prefix);
        FramesByKey { store, range, prefix_bytes: prefix.len(), links, last: 0, before_seq, done: false }
    }

    fn read(&mut self) -> Result<Option<Frame>, Error> {
        let range = &mut self.range;
        let Some((key, _)) = self.store.run(|| range.next().transpose())? else { return Ok(None) };
        let Some(seq) = trees::index_seq(&key, self.prefix_bytes) else {
            return Err(self.store.suspect("a key of an index cannot be read"));
        };
        if seq >= self.before_seq {
            return Ok(None);
        }
        let Some(record) = self.store.record(seq)? else {
            return Err(self.store.suspect(&format!("an index names the frame at event {seq}, which is missing")));
        };
        let frame = self.store.decode(&record)?;
        let linked_to = match self.links {
            Links::Stream => frame.prev_in_stream,
            Links::Run => frame.prev_in_run,
            Links::None => self.last,
        };
        if frame.first_seq != seq || linked_to != self.last {
            return Err(self.store.suspect(&format!("the index does not lead to the frame before event {seq}")));
        }
        self.last = seq;
        Ok(Some(frame))
    }
}

impl Iterator for FramesByKey {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Result<Frame, Error>> {
        if self.done {
            return None;
        }
        let read = self.read().transpose();
        if !matches!(read, Some(Ok(_))) {
            self.done = true;
        }
        read
    }
}
