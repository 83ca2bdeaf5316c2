//! Blocks: frames of the log that stand together, compressed, as one value of the store.
//!
//! A value for every frame costs sled a factor of three to ten; forty in one cost about as much as one, and what they have
//! in common (names, ids, the shape of the JSON) is kept once. Which tickets they name stands before them as a Bloom
//! filter: an index entry for each ticket and block would cost sled more memory than all the rest.
//!
//! ```text
//!  0  tag      1    3 = zstd
//!  1  length   4    of the frames' bytes, big endian
//!  5  tickets  64   of each ticket four bits
//! 69  frames        one after the other, as they stand in the journal, compressed
//! ```

use crate::{
    Hash,
    frame::{self, MAX_BODY_BYTES},
};
use std::{cell::RefCell, ops::Range};
use zstd::bulk::{Compressor, Decompressor};

/// A block that has reached this many bytes of frames is full.
pub(crate) const BLOCK_BYTES: usize = 32 << 10;
/// Fast, and close to what higher levels give for short JSON texts.
const LEVEL: i32 = 1;
const TAG_ZSTD: u8 = 3;
const FILTER_BYTES: usize = 64;
const FILTER_AT: usize = 5;
const HEADER: usize = FILTER_AT + FILTER_BYTES;

/// Which tickets a block may name: all that it does, and by chance (one in a hundred) another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tickets([u8; FILTER_BYTES]);

impl Default for Tickets {
    fn default() -> Tickets {
        Tickets([0; FILTER_BYTES])
    }
}

impl Tickets {
    /// Any: nobody knows which.
    pub(crate) const ANY: Tickets = Tickets([0xff; FILTER_BYTES]);

    pub(crate) fn add(&mut self, ticket: &str) {
        for (byte, bit) in bits(ticket) {
            self.0[byte] |= bit;
        }
    }

    pub(crate) fn may_name(&self, ticket: &str) -> bool {
        bits(ticket).all(|(byte, bit)| self.0[byte] & bit != 0)
    }

    /// Those of a block; none when the value is not a block.
    pub(crate) fn of(value: &[u8]) -> Option<Tickets> {
        let filter = value.get(FILTER_AT..HEADER).filter(|_| value[0] == TAG_ZSTD)?;
        Some(Tickets(filter.try_into().ok()?))
    }
}

/// The four bits of a ticket: its byte and the bit in it.
fn bits(ticket: &str) -> impl Iterator<Item = (usize, u8)> {
    let hash = Hash::of(ticket.as_bytes());
    let places: [u8; 8] = std::array::from_fn(|n| hash.as_bytes()[n]);
    (0..4).map(move |n| (usize::from(places[2 * n]) % FILTER_BYTES, 1 << (places[2 * n + 1] % 8)))
}

thread_local! {
    // Making one costs as much as a block.
    static COMPRESSOR: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    static DECOMPRESSOR: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
}

/// Compresses `frames` (their bytes, one after the other), which name `tickets`, into a block.
pub(crate) fn pack(frames: &[u8], tickets: &Tickets) -> std::io::Result<Vec<u8>> {
    let length = u32::try_from(frames.len()).map_err(|_| std::io::Error::other("a block of more than 4 GiB"))?;
    let mut out = vec![TAG_ZSTD];
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&tickets.0);
    let room = zstd::zstd_safe::compress_bound(frames.len());
    out.resize(HEADER + room, 0);
    let written = COMPRESSOR.with(|kept| {
        let mut kept = kept.borrow_mut();
        let compressor = match kept.as_mut() {
            Some(compressor) => compressor,
            None => kept.insert(Compressor::new(LEVEL)?),
        };
        compressor.compress_to_buffer(frames, &mut out[HEADER..])
    })?;
    out.truncate(HEADER + written);
    Ok(out)
}

/// The bytes of a block's frames; `None` when the value is not a block.
pub(crate) fn unpack(value: &[u8]) -> Option<Vec<u8>> {
    let (head, packed) = value.split_at_checked(HEADER)?;
    let length = u32::from_be_bytes(head[1..FILTER_AT].try_into().ok()?) as usize;
    // The largest block is one frame of the largest size, or less than two ordinary blocks.
    if head[0] != TAG_ZSTD || length > MAX_BODY_BYTES + BLOCK_BYTES {
        return None;
    }
    let frames = DECOMPRESSOR.with(|kept| {
        let mut kept = kept.borrow_mut();
        let decompressor = match kept.as_mut() {
            Some(decompressor) => decompressor,
            None => kept.insert(Decompressor::new().ok()?),
        };
        decompressor.decompress(packed, length).ok()
    })?;
    (frames.len() == length).then_some(frames)
}

/// Where the frame that starts at `at` ends; `None` when no whole frame is there.
pub(crate) fn record_at(frames: &[u8], at: usize) -> Option<Range<usize>> {
    let bytes = frame::record_bytes(frames.get(at..)?).ok()?;
    let end = at.checked_add(bytes)?;
    (end <= frames.len()).then_some(at..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_and_unpacks() {
        let text = br#"{"kind":"ticket.commented"}"#.repeat(200);
        let mut tickets = Tickets::default();
        tickets.add("BLOG-1");
        let packed = pack(&text, &tickets).unwrap();
        assert!(packed.len() < text.len() / 10);
        assert_eq!(unpack(&packed).unwrap(), text);
        assert_eq!(Tickets::of(&packed), Some(tickets));
    }

    #[test]
    fn a_filter_never_misses_and_seldom_errs() {
        let mut tickets = Tickets::default();
        let names: Vec<String> = (0..40).map(|n| format!("BLOG-{n}")).collect();
        names.iter().for_each(|name| tickets.add(name));
        assert!(names.iter().all(|name| tickets.may_name(name)));
        let errors = (40..1040).filter(|n| tickets.may_name(&format!("BLOG-{n}"))).count();
        assert!(errors < 50, "{errors} of a thousand");
        assert!(Tickets::ANY.may_name("BLOG-1") && !Tickets::default().may_name("BLOG-1"));
    }

    #[test]
    fn what_is_no_block_is_none() {
        let packed = pack(&b"frames ".repeat(100), &Tickets::default()).unwrap();
        for cut in 0..packed.len() {
            assert_eq!(unpack(&packed[..cut]), None, "cut at {cut}");
        }
        // A length that lies costs nothing: it is bounded before anything is allocated.
        let with_length = |length: [u8; 4]| [&[TAG_ZSTD], &length[..], &packed[FILTER_AT..]].concat();
        assert_eq!(unpack(&with_length([0xff; 4])), None);
        assert_eq!(unpack(&with_length(1_000_u32.to_be_bytes())), None);
    }
}
