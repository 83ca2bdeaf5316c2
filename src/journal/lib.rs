//! The log and everything that keeps it: this room makes a command and its events durable, in order, exactly once, and
//! gives them back unchanged, or says which frame is not what was written.
//!
//! Two things hold the same frames. The **journal** (segment files under `journal/`) is the commit point and the audit
//! log: hash-chained, one `fdatasync` per group. The **store** (sled, under `store/`) is what everybody reads: it is
//! written after the journal, caught up from it at every open, and rebuilt from it when it is lost. Large things live
//! beside them as content-addressed **blobs**.
//!
//! What is never in this room: a clock, a rule about runs or tickets, the meaning of a payload (opaque bytes here), and
//! any mending of acknowledged data. Nothing outside this room knows sled or the layout of a segment file.
//!
//! | file | what is in it |
//! | --- | --- |
//! | `log` | the pair of journal and store, opened, appended to and closed together |
//! | `seam` | the `Journal` trait, so that another log (a replicated one) can take the segments' place |
//! | `segments`, `spare`, `zeroing`, `disk` | the local journal: segment files, the next one's room made ahead, and the few system calls it makes |
//! | `frame`, `raw`, `hash` | one frame: its types, bytes, checksum and hash; read without a copy |
//! | `walk`, `tail` | reading segment files in order; telling an unacknowledged tail from damage |
//! | `store`, `store_read`, `store_write` | the sled store: what is durable, reading it, and the thread that writes it |
//! | `store_renew` | giving back the room of sled's files |
//! | `store_views` | views, and rows of views, beside the frames |
//! | `trees`, `block`, `sled_guard` | the store's trees, keys and values, and the care sled needs |
//! | `archives`, `span`, `compact` | frames that run files hold in the journal's place: reading them, what stands for them, and taking them out |
//! | `read`, `verify` | reading and checking a journal without the lock and without sled |
//! | `mend` | damaged frames, written anew from the store's copies |
//! | `parts` | the journal's files as a copy needs them |
//! | `run_file` | one run as a single file, for exports and archives |
//! | `blobs`, `lock`, `error` | content-addressed files; one writer per data directory; what can go wrong |
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a test may stop at the first surprise and may make its own world"
    )
)]

pub mod archives;
pub mod blobs;
mod block;
pub mod compact;
pub mod disk;
pub mod error;
pub mod frame;
pub mod hash;
mod last_head;
pub mod lock;
pub mod log;
mod mend;
mod parts;
mod raw;
pub mod read;
mod read_only;
mod reader;
pub mod run_file;
pub mod seam;
pub mod segment;
mod segments;
mod sled_guard;
mod span;
mod spare;
pub mod store;
mod store_read;
mod store_renew;
mod store_views;
mod store_write;
mod tail;
#[cfg(test)]
mod tests;
mod trees;
pub mod verify;
mod walk;
mod zeroing;

pub use archives::{ARCHIVES, archive_path, archived_blob};
pub use blobs::{BlobRef, Blobs};
pub use compact::{Archived, Compacted, compact, hold_still};
pub use error::{AppendError, Error};
pub use frame::{EventsView, Frame, FrameKeys, NewFrame};
pub use hash::Hash;
pub use lock::DirLock;
pub use log::{BLOBS, Log, OpenReport, StoreReport};
pub use mend::{Mended, held_by_store, mend};
pub use parts::{Part, Shown, parts};
pub use read::{JournalFrames, read_frames};
pub use read_only::{ReadOnly, ReadOnlyFrames};
pub use reader::{FrameIter, LogReader};
pub use seam::{Head, Journal, Tips};
pub use segments::{LocalJournal, Options, Sealer};
pub use store::Store;
pub use store_read::{Batch, Batches, Frames, FramesByKey};
pub use tail::Repair;
pub use verify::{Anchor, Anchors, Bad, Extent, Kept, Verified, extent, verify, verify_with};

/// Reads `bytes` as a frame, as a value of the store, and as what stands in a segment file: as they are, and with
/// checksum and hash made right.
#[cfg(any(fuzzing, test))]
pub fn fuzz_frames(bytes: &[u8]) {
    fuzz_frames_as_they_are(bytes);
    if let Some(record) = frame::resealed(bytes) {
        fuzz_frames_as_they_are(&record);
    }
}

#[cfg(any(fuzzing, test))]
fn fuzz_frames_as_they_are(bytes: &[u8]) {
    if let Ok(frame::Entry::Span(span)) = frame::read(bytes) {
        let mut again = Vec::new();
        frame::encode_span(&span, &mut again);
        assert_eq!(again[frame::HEADER_BYTES..], bytes[frame::HEADER_BYTES..], "so is what stands for archived ones");
    }
    let _ = block::unpack(bytes);
    let mut at = 0;
    while let Some(range) = block::record_at(bytes, at) {
        at = range.end;
        if let Ok(frame) = frame::decode(&bytes[range.clone()]) {
            let mut again = Vec::new();
            frame::encode(&mut frame.clone(), &mut again);
            let body = range.start + frame::HEADER_BYTES..range.end;
            assert_eq!(again[frame::HEADER_BYTES..], bytes[body], "a frame that is read is written the same way");
        }
    }
}
