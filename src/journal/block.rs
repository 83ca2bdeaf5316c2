//! Blocks: frames of the log that stand together, compressed, as one value of the store.
//!
//! A value for every frame costs sled a factor of three to ten; forty in one cost about as much as one, and what they have
//! in common (names, ids, the shape of the JSON) is kept once.
//!
//! ```text
//! 0  tag      1    2 = zstd
//! 1  length   4    of the frames' bytes, big endian
//! 5  frames        one after the other, as they stand in the journal, compressed
//! ```

use std::ops::Range;

use crate::journal::frame::{self, MAX_BODY_BYTES};

/// A block that has reached this many bytes of frames is full.
pub(crate) const BLOCK_BYTES: usize = 32 << 10;
/// Fast, and close to what higher levels give for short JSON texts.
const LEVEL: i32 = 1;
const TAG_ZSTD: u8 = 2;
const HEADER: usize = 5;

/// Compresses `frames` (their bytes, one after the other) into a block.
pub(crate) fn pack(frames: &[u8]) -> std::io::Result<Vec<u8>> {
    let length = u32::try_from(frames.len()).map_err(|_| std::io::Error::other("a block of more than 4 GiB"))?;
    let mut out = vec![TAG_ZSTD];
    out.extend_from_slice(&length.to_be_bytes());
    let room = zstd::zstd_safe::compress_bound(frames.len());
    out.resize(HEADER + room, 0);
    let written = zstd::bulk::compress_to_buffer(frames, &mut out[HEADER..], LEVEL)?;
    out.truncate(HEADER + written);
    Ok(out)
}

/// The bytes of a block's frames; `None` when the value is not a block.
pub(crate) fn unpack(value: &[u8]) -> Option<Vec<u8>> {
    let (head, packed) = value.split_at_checked(HEADER)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?) as usize;
    // The largest block is one frame of the largest size, or less than two ordinary blocks.
    if head[0] != TAG_ZSTD || length > MAX_BODY_BYTES + BLOCK_BYTES {
        return None;
    }
    let frames = zstd::bulk::decompress(packed, length).ok()?;
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
        let packed = pack(&text).unwrap();
        assert!(packed.len() < text.len() / 10);
        assert_eq!(unpack(&packed).unwrap(), text);
    }

    #[test]
    fn what_is_no_block_is_none() {
        let packed = pack(&b"frames ".repeat(100)).unwrap();
        for cut in 0..packed.len() {
            assert_eq!(unpack(&packed[..cut]), None, "cut at {cut}");
        }
        // A length that lies costs nothing: it is bounded before anything is allocated.
        let huge = [&[TAG_ZSTD, 0xff, 0xff, 0xff, 0xff], &packed[HEADER..]].concat();
        assert_eq!(unpack(&huge), None);
        let longer = [&[TAG_ZSTD], &1_000_u32.to_be_bytes()[..], &packed[HEADER..]].concat();
        assert_eq!(unpack(&longer), None);
    }
}
