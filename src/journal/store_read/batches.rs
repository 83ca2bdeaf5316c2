//! Reading the frames of a stream block by block, without a copy of each.

use super::{FramesByKey, Reading, Wanted};
use crate::{
    Error, block,
    frame::{self, EventsView, Frame, RawEntry},
    store::Store,
};
use std::ops::Range;
use uuid::Uuid;

/// Frames of one stream that were read together.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    frames: Vec<(u64, u32, Range<usize>)>,
}

impl Batch {
    /// What its frames' payloads stand in.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The frames, in order.
    pub fn frames(&self) -> impl Iterator<Item = EventsView<'_>> {
        self.frames.iter().map(|(first_seq, events, payload)| EventsView {
            first_seq: *first_seq,
            events: *events,
            payload: &self.bytes[payload.clone()],
        })
    }

    pub(crate) fn of(frame: Frame) -> Batch {
        let payload = 0..frame.payload.len();
        Batch { frames: vec![(frame.first_seq, frame.events, payload)], bytes: frame.payload }
    }
}

/// The frames of one stream, oldest first and block by block: checked as all reading is, and without a copy of each.
#[derive(Debug)]
pub struct Batches {
    frames: FramesByKey,
    stream: Uuid,
}

impl Batches {
    pub(crate) fn new(store: Store, stream: Uuid) -> Batches {
        Batches { frames: FramesByKey::new(store, Wanted::Stream(stream), 1), stream }
    }

    fn read(&mut self) -> Result<Option<Batch>, Error> {
        loop {
            // What archives hold and what waits in memory is read frame by frame.
            let frames = &mut self.frames;
            let next = match frames.next_in_block()? {
                Some(frame) => Some(frame),
                None => match frames.next_block()? {
                    Some(bytes) => {
                        let batch = self.batch(bytes)?;
                        if batch.frames.is_empty() {
                            continue;
                        }
                        return Ok(Some(batch));
                    }
                    None => frames.waiting.next().cloned(),
                },
            };
            let Some(frame) = next else { return Ok(None) };
            if frame.keys.stream == self.stream {
                frames.links(frame.first_seq, Some(frame.prev_in_stream))?;
                return Ok(Some(Batch::of(frame)));
            }
        }
    }

    /// The frames of a block, up to what stands for archived ones.
    fn batch(&mut self, bytes: Vec<u8>) -> Result<Batch, Error> {
        let mut found = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let Some(range) = block::record_at(&bytes, at) else {
                return Err(self.frames.store.suspect("a block holds something that is no frame"));
            };
            let entry = frame::read_raw(&bytes[range.clone()]);
            match entry.map_err(|flaw| self.frames.store.suspect(&flaw.to_string()))? {
                RawEntry::Frame(raw) if raw.first_seq >= self.frames.sled_ends => break,
                RawEntry::Frame(raw) => {
                    if raw.stream == self.stream {
                        self.frames.links(raw.first_seq, Some(raw.prev_in_stream))?;
                        let EventsView { first_seq, events, payload } = raw.view();
                        found.push((first_seq, events, range.end - payload.len()..range.end));
                    }
                }
                RawEntry::Span(_) => {
                    self.frames.block = Reading { frames: bytes.clone(), at };
                    break;
                }
            }
            at = range.end;
        }
        Ok(Batch { bytes, frames: found })
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, Error>;

    fn next(&mut self) -> Option<Result<Batch, Error>> {
        if self.frames.done {
            return None;
        }
        let read = self.read().transpose();
        self.frames.done = !matches!(read, Some(Ok(_)));
        read
    }
}
