//! Reading frames from the store, lazily, with every link checked: what sled lost is an error, never a gap.

mod batches;

use crate::{
    Error, Hash,
    archives::Archives,
    block::{self, Tickets},
    frame::{self, Entry, Frame},
    segments::Written,
    span::{Member, Span},
    store::{Snapshot, Store},
    trees::{self, Index},
    walk::Chain,
};
use std::sync::Arc;
use uuid::Uuid;

pub use batches::{Batch, Batches};

/// A block that is being read.
#[derive(Debug, Default)]
struct Reading {
    frames: Vec<u8>,
    at: usize,
}

impl Reading {
    /// What stands next in it, checked, if there is anything.
    fn next(&mut self, store: &Store) -> Result<Option<Entry>, Error> {
        let Some(range) = block::record_at(&self.frames, self.at) else {
            if self.at == self.frames.len() {
                return Ok(None);
            }
            return Err(store.suspect("a block holds something that is no frame"));
        };
        self.at = range.end;
        store.decode(&self.frames[range]).map(Some)
    }
}

/// Frames that are not in sled yet.
#[derive(Debug)]
struct Waiting {
    groups: Vec<Arc<Written>>,
    group: usize,
    frame: usize,
}

impl Waiting {
    fn new(groups: Vec<Arc<Written>>) -> Waiting {
        Waiting { groups, group: 0, frame: 0 }
    }

    fn next(&mut self) -> Option<&Frame> {
        while self.groups.get(self.group)?.frames.len() <= self.frame {
            self.group += 1;
            self.frame = 0;
        }
        self.frame += 1;
        self.groups[self.group].frames.get(self.frame - 1)
    }
}

/// Frames in the order of the log.
pub struct Frames {
    store: Store,
    blocks: sled::Iter,
    block: Reading,
    archives: Archives,
    /// Frames of the last span that are still to be given.
    archived: std::vec::IntoIter<Frame>,
    /// Whether what archives hold is passed over.
    only_present: bool,
    waiting: Waiting,
    /// Where sled's part of what is to be read ends, and where all of it does.
    sled_ends: u64,
    before_seq: u64,
    from_seq: u64,
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
        // Before sled is looked at: it only ever has more than this.
        let Snapshot { applied, pending, head } = store.snapshot();
        let blocks = store.blocks_range(from_seq)?;
        let expect = (from_seq == 1).then_some((Chain::GENESIS.next_seq, Chain::GENESIS.hash));
        Ok(Frames {
            archives: store.archives(),
            archived: Vec::new().into_iter(),
            only_present: false,
            store,
            blocks,
            block: Reading::default(),
            waiting: Waiting::new(pending),
            sled_ends: applied.next_seq,
            before_seq: head.next_seq,
            from_seq,
            expect,
            done: from_seq >= head.next_seq,
        })
    }

    /// Passing over what archives hold.
    pub(crate) fn present(mut self) -> Frames {
        self.only_present = true;
        self
    }

    fn read(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            let Some(frame) = self.next_frame()? else {
                // Nothing but archived frames up to the end.
                if self.only_present && self.expect.is_some_and(|(seq, _)| seq >= self.before_seq) {
                    return Ok(None);
                }
                return Err(self.store.suspect(&format!("it ends before event {}", self.before_seq)));
            };
            if frame.end_seq() <= self.from_seq {
                continue;
            }
            match self.expect {
                Some((seq, hash)) if frame.first_seq != seq || frame.prev_hash != hash => {
                    return Err(self.store.suspect(&format!("the frame at event {seq} is missing or another one")));
                }
                None if frame.first_seq > self.from_seq => {
                    return Err(self.store.suspect(&format!("the frame with event {} is missing", self.from_seq)));
                }
                Some(_) | None => {}
            }
            self.expect = Some((frame.end_seq(), frame.hash));
            self.done = frame.end_seq() >= self.before_seq;
            return Ok(Some(frame));
        }
    }

    /// The next frame of sled or of the archives, then of what waits for sled.
    fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        let next = self.expect.map_or(1, |(seq, _)| seq);
        while next < self.sled_ends {
            if let Some(frame) = self.archived.next() {
                return Ok(Some(frame));
            }
            match self.block.next(&self.store)? {
                Some(Entry::Frame(frame)) if frame.first_seq < self.sled_ends => return Ok(Some(*frame)),
                Some(Entry::Span(span)) if span.first_seq < self.sled_ends => {
                    self.open(&span)?;
                    continue;
                }
                Some(_) => break,
                None => {}
            }
            let blocks = &mut self.blocks;
            let Some((key, value)) = self.store.run(|| blocks.next().transpose())? else { break };
            let Some(first_seq) = trees::index_seq(&key, 0) else {
                return Err(self.store.suspect("a block's key cannot be read"));
            };
            let frames = self.store.unpacked(first_seq, &value)?;
            if frame::first_seq(&frames) != Some(first_seq) {
                return Err(self.store.suspect("a block stands under another block's number"));
            }
            self.block = Reading { frames, at: 0 };
        }
        Ok(self.waiting.next().cloned())
    }

    /// Reads the frames that a span stands for. Where they cannot be read, reading goes on behind them.
    fn open(&mut self, span: &Span) -> Result<(), Error> {
        if span.end_seq <= self.from_seq {
            return Ok(());
        }
        if self.only_present {
            self.expect = Some((span.end_seq, span.hash));
            return Ok(());
        }
        match self.archives.frames(span) {
            Ok(frames) => {
                self.archived = frames.into_iter();
                Ok(())
            }
            Err(e) => {
                self.expect = Some((span.end_seq, span.hash));
                Err(e)
            }
        }
    }
}

impl Iterator for Frames {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Result<Frame, Error>> {
        if self.done {
            return None;
        }
        let read = self.read().transpose();
        match &read {
            Some(Ok(_)) => {}
            // Whoever can do without what an archive holds goes on.
            Some(Err(Error::Archive { last_seq, .. })) => self.done = last_seq + 1 >= self.before_seq,
            Some(Err(_)) | None => self.done = true,
        }
        read
    }
}

/// What frames are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    Stream(Uuid),
    Run(Uuid),
    /// Frames of this stream that name this ticket.
    Ticket(Uuid, String),
}

impl Wanted {
    pub(crate) fn prefix(&self) -> Vec<u8> {
        match self {
            Wanted::Stream(id) | Wanted::Ticket(id, _) => trees::uuid_prefix(Index::Stream, *id),
            Wanted::Run(id) => trees::uuid_prefix(Index::Run, *id),
        }
    }

    fn is(&self, frame: &Frame) -> bool {
        match self {
            Wanted::Stream(id) => frame.keys.stream == *id,
            Wanted::Run(id) => frame.keys.run == Some(*id),
            Wanted::Ticket(stream, id) => frame.keys.stream == *stream && frame.keys.tickets.contains(id),
        }
    }

    /// The frame that this one says comes before it; none for tickets, whose frames are not linked.
    fn link(&self, frame: &Frame) -> Option<u64> {
        match self {
            Wanted::Stream(_) => Some(frame.prev_in_stream),
            Wanted::Run(_) => Some(frame.prev_in_run),
            Wanted::Ticket(..) => None,
        }
    }

    /// Whether a block with this value may hold such frames.
    fn may_be_in(&self, value: &[u8]) -> bool {
        match self {
            Wanted::Stream(_) | Wanted::Run(_) => true,
            Wanted::Ticket(_, id) => Tickets::of(value).is_none_or(|tickets| tickets.may_name(id)),
        }
    }

    /// The stream whose frames a span stands for, if such are among them, and the first event of the last such frame.
    fn within(&self, span: &Span) -> Option<(Uuid, u64)> {
        let of = |member: &Member| match self {
            Wanted::Stream(id) | Wanted::Ticket(id, _) => member.stream == *id,
            Wanted::Run(id) => member.run == Some(*id),
        };
        span.members_of(of).map(|(member, last)| (member.stream, last)).max_by_key(|(_, last)| *last)
    }
}

/// The frames with one key, oldest first.
pub struct FramesByKey {
    store: Store,
    wanted: Wanted,
    index: sled::Iter,
    prefix_bytes: usize,
    block: Reading,
    archives: Archives,
    /// Frames of the last span that are still to be given.
    archived: std::vec::IntoIter<Frame>,
    waiting: Waiting,
    sled_ends: u64,
    from_seq: u64,
    /// The frame before the next one, once known.
    last: Option<u64>,
    done: bool,
}

impl std::fmt::Debug for FramesByKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FramesByKey").field("wanted", &self.wanted).field("last", &self.last).finish_non_exhaustive()
    }
}

impl FramesByKey {
    pub(crate) fn new(store: Store, wanted: Wanted, from_seq: u64) -> FramesByKey {
        let Snapshot { applied, pending, .. } = store.snapshot();
        let prefix = wanted.prefix();
        let tree = &store.trees().index;
        let index = match from_seq {
            0 | 1 => tree.scan_prefix(&prefix),
            // The block that holds `from_seq` may have begun before it.
            _ => match store.run(|| tree.get_lt(trees::index_key(&prefix, from_seq.saturating_add(1)))) {
                Ok(Some((key, _))) if key.starts_with(&prefix) => tree.range(key..=upper(&prefix).into()),
                _ => tree.scan_prefix(&prefix),
            },
        };
        FramesByKey {
            archives: store.archives(),
            archived: Vec::new().into_iter(),
            store,
            wanted,
            index,
            prefix_bytes: prefix.len(),
            block: Reading::default(),
            waiting: Waiting::new(pending),
            sled_ends: applied.next_seq,
            from_seq,
            last: (from_seq <= 1).then_some(0),
            done: false,
        }
    }

    fn read(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            let Some(frame) = self.next_frame()? else { return Ok(None) };
            if self.wanted.is(&frame) && frame.end_seq() > self.from_seq {
                self.links(frame.first_seq, self.wanted.link(&frame))?;
                return Ok(Some(frame));
            }
        }
    }

    /// Checks that the frame at `first_seq`, which says that `link` is the wanted one before it, is the next.
    fn links(&mut self, first_seq: u64, link: Option<u64>) -> Result<(), Error> {
        if let (Some(last), Some(link)) = (self.last, link)
            && last != link
        {
            let what = format!("the index does not lead to the frame before event {first_seq}");
            return Err(self.store.suspect(&what));
        }
        self.last = Some(first_seq);
        Ok(())
    }

    fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = self.next_in_block()? {
                return Ok(Some(frame));
            }
            match self.next_block()? {
                Some(frames) => self.block = Reading { frames, at: 0 },
                None => return Ok(self.waiting.next().cloned()),
            }
        }
    }

    /// The next frame of the block that is being read, or of the archive that it leads to.
    fn next_in_block(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            // A block that was compacted since may lead further than this reader's part of sled.
            if let Some(frame) = self.archived.next().filter(|frame| frame.first_seq < self.sled_ends) {
                return Ok(Some(frame));
            }
            match self.block.next(&self.store)? {
                // What was put into the block since waits in memory for this reader.
                Some(entry) if entry.first_seq() >= self.sled_ends => self.block = Reading::default(),
                Some(Entry::Frame(frame)) => return Ok(Some(*frame)),
                Some(Entry::Span(span)) => {
                    if let Some((stream, _)) = self.wanted.within(&span).filter(|_| span.end_seq > self.from_seq) {
                        self.archived = self.archives.frames_of(&span, stream)?.into_iter();
                    }
                }
                None => return Ok(None),
            }
        }
    }

    /// The bytes of the next block that may hold such frames.
    fn next_block(&mut self) -> Result<Option<Vec<u8>>, Error> {
        loop {
            let index = &mut self.index;
            let Some((key, _)) = self.store.run(|| index.next().transpose())? else { return Ok(None) };
            let Some(first_seq) = trees::index_seq(&key, self.prefix_bytes) else {
                return Err(self.store.suspect("a key of an index cannot be read"));
            };
            if first_seq >= self.sled_ends {
                return Ok(None);
            }
            let Some(value) = self.store.block(first_seq)? else {
                return Err(self
                    .store
                    .suspect(&format!("an index names the block at event {first_seq}, which is missing")));
            };
            if self.wanted.may_be_in(&value) {
                return self.store.unpacked(first_seq, &value).map(Some);
            }
        }
    }
}

/// The highest key that an index entry with this prefix can have.
fn upper(prefix: &[u8]) -> Vec<u8> {
    trees::index_key(prefix, u64::MAX)
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

impl Store {
    /// The `first_seq` of the last frame that is wanted; 0 for none.
    pub(crate) fn last_of(&self, wanted: &Wanted) -> Result<u64, Error> {
        let Snapshot { pending, .. } = self.snapshot();
        let waiting = pending.iter().rev().flat_map(|group| group.frames.iter().rev());
        if let Some(frame) = waiting.filter(|frame| wanted.is(frame)).map(|frame| frame.first_seq).next() {
            return Ok(frame);
        }
        let prefix = wanted.prefix();
        let trees = self.trees();
        let last = self.run(|| trees.index.scan_prefix(&prefix).keys().next_back().transpose())?;
        let Some(first_seq) = last.and_then(|key| trees::index_seq(&key, prefix.len())) else { return Ok(0) };
        let Some(value) = self.block(first_seq)? else { return Ok(0) };
        let mut block = Reading { frames: self.unpacked(first_seq, &value)?, at: 0 };
        let mut found = 0;
        while let Some(entry) = block.next(self)? {
            let last = match entry {
                Entry::Frame(frame) => wanted.is(&frame).then_some(frame.first_seq),
                Entry::Span(span) => wanted.within(&span).map(|(_, last)| last),
            };
            found = last.unwrap_or(found);
        }
        Ok(found)
    }
}
