//! Every tree of the store, its keys and its values. All numbers are big endian, so that keys sort as the numbers do.
//!
//! | tree | key | value |
//! | --- | --- | --- |
//! | `blocks` | first_seq of its first frame u64 | a block (see `block`), or `0x01`, length u64, chunks u32 |
//! | `chunks` | first_seq u64, chunk u32 | a part of a block longer than [`CHUNK_BYTES`] |
//! | `index` | [`Index`], id, first_seq of a block u64 | empty: the block holds frames with this id, or stands for them |
//! | `rows` | table, `0x00`, key | a row of a view that is kept current with the log |
//! | `views` | name | upto u64, length u64, chunks u32 |
//! | `view_chunks` | name, `0x00`, upto u64, chunk u32 | a part of the view |
//! | `meta` | `format` | u32 |
//! | `meta` | `head` | next_seq u64, first_seq of the last frame u64, its hash |
//! | `meta` | `live` | bytes of all blocks, rows and views u64: what the files are measured against |

use crate::{
    Hash,
    frame::View,
    sled_guard::{Trouble, guarded},
};
use std::path::Path;
use uuid::Uuid;

/// The version of everything above. A store of an older one is made anew from the journal.
///
/// 1 had a value for every frame and an index entry for every frame and id; 2 an index entry for every ticket of a block.
pub(crate) const FORMAT: u32 = 3;
/// The longest value: longer ones cost sled a file each, or a large part of one of its segments.
pub(crate) const CHUNK_BYTES: usize = 64 << 10;
/// The first byte of a `blocks` value that stands for chunks; a block's own first byte is another.
pub(crate) const CHUNKED: u8 = 1;
pub(crate) const META_FORMAT: &[u8] = b"format";
pub(crate) const META_HEAD: &[u8] = b"head";
pub(crate) const META_LIVE: &[u8] = b"live";

/// What an index entry is about: its first byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Index {
    Stream = b's',
    Run = b'r',
}

/// The trees, open.
#[derive(Debug, Clone)]
pub(crate) struct Trees {
    pub(crate) db: sled::Db,
    pub(crate) blocks: sled::Tree,
    pub(crate) chunks: sled::Tree,
    pub(crate) index: sled::Tree,
    pub(crate) rows: sled::Tree,
    pub(crate) views: sled::Tree,
    pub(crate) view_chunks: sled::Tree,
    pub(crate) meta: sled::Tree,
}

impl Trees {
    pub(crate) fn open(dir: &Path, db: sled::Db) -> Result<Trees, Trouble> {
        guarded(dir, move || {
            Ok(Trees {
                blocks: db.open_tree("blocks")?,
                chunks: db.open_tree("chunks")?,
                index: db.open_tree("index")?,
                rows: db.open_tree("rows")?,
                views: db.open_tree("views")?,
                view_chunks: db.open_tree("view_chunks")?,
                meta: db.open_tree("meta")?,
                db,
            })
        })
    }
}

impl Trees {
    /// All trees, in the same order every time.
    pub(crate) fn all(&self) -> [&sled::Tree; 7] {
        let Trees { db: _, blocks, chunks, index, rows, views, view_chunks, meta } = self;
        [blocks, chunks, index, rows, views, view_chunks, meta]
    }

    /// The bytes of everything that is kept, as of the last writing of blocks.
    pub(crate) fn live(&self) -> sled::Result<u64> {
        let live = self.meta.get(META_LIVE)?;
        Ok(live.and_then(|v| v.as_ref().try_into().ok()).map_or(0, u64::from_be_bytes))
    }
}

/// What the store says about itself: which frame it applied last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) next_seq: u64,
    pub(crate) last_first_seq: u64,
    pub(crate) hash: Hash,
}

impl Applied {
    pub(crate) const NOTHING: Applied = Applied { next_seq: 1, last_first_seq: 0, hash: Hash::ZERO };

    /// Everything up to and with this.
    pub(crate) fn after(entry: View<'_>) -> Applied {
        match entry {
            View::Frame(frame) => {
                Applied { next_seq: frame.end_seq(), last_first_seq: frame.first_seq, hash: frame.hash }
            }
            View::Span(span) => {
                Applied { next_seq: span.end_seq, last_first_seq: span.last_first_seq, hash: span.hash }
            }
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(48);
        out.extend_from_slice(&self.next_seq.to_be_bytes());
        out.extend_from_slice(&self.last_first_seq.to_be_bytes());
        out.extend_from_slice(self.hash.as_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Applied> {
        let (next_seq, rest) = bytes.split_first_chunk()?;
        let (last_first_seq, rest) = rest.split_first_chunk()?;
        Some(Applied {
            next_seq: u64::from_be_bytes(*next_seq),
            last_first_seq: u64::from_be_bytes(*last_first_seq),
            hash: Hash::from_bytes(rest.try_into().ok()?),
        })
    }
}

pub(crate) fn block_key(first_seq: u64) -> [u8; 8] {
    first_seq.to_be_bytes()
}

pub(crate) fn chunk_key(prefix: &[u8], chunk: u32) -> Vec<u8> {
    [prefix, &chunk.to_be_bytes()].concat()
}

/// The stand-in for `bytes` bytes in `chunks` chunks.
pub(crate) fn chunked_value(bytes: usize, chunks: u32) -> Vec<u8> {
    let mut out = vec![CHUNKED];
    out.extend_from_slice(&(bytes as u64).to_be_bytes());
    out.extend_from_slice(&chunks.to_be_bytes());
    out
}

/// The length in bytes and the number of chunks that a stand-in tells.
pub(crate) fn parse_chunked(value: &[u8]) -> Option<(u64, u32)> {
    let (tag, rest) = value.split_first()?;
    let (bytes, rest) = rest.split_first_chunk()?;
    let chunks = u32::from_be_bytes(rest.try_into().ok()?);
    (*tag == CHUNKED).then(|| (u64::from_be_bytes(*bytes), chunks))
}

/// What all index keys of one stream or run begin with.
pub(crate) fn uuid_prefix(index: Index, id: Uuid) -> Vec<u8> {
    [&[index as u8], &id.as_bytes()[..]].concat()
}

/// A row's key: its table's name, and its own.
pub(crate) fn row_key(table: &str, key: &[u8]) -> Vec<u8> {
    [table.as_bytes(), &[0], key].concat()
}

pub(crate) fn index_key(prefix: &[u8], first_seq: u64) -> Vec<u8> {
    [prefix, &first_seq.to_be_bytes()].concat()
}

/// The first_seq at the end of an index key that begins with a prefix of `prefix_bytes` bytes.
pub(crate) fn index_seq(key: &[u8], prefix_bytes: usize) -> Option<u64> {
    Some(u64::from_be_bytes(key.get(prefix_bytes..)?.try_into().ok()?))
}
