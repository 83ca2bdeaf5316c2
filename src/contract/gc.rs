//! Archiving what is long over, and removing what nothing needs any more.
use crate::model::kept::Archived;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How to clean up.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct GcRequest {
    /// Only say what would go.
    #[serde(default)]
    pub dry_run: bool,
    /// Archive runs that were over for so many days, whatever their projects say; null = as each project says.
    #[serde(default)]
    pub older_than_days: Option<u32>,
}

/// What was done, or would be.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct GcDoc {
    /// What was archived.
    pub archived: Vec<Archived>,
    /// What left the journal for it.
    pub compacted: CompactedDoc,
    /// What was removed.
    #[serde(flatten)]
    pub swept: SweptDoc,
    /// What could not be archived or taken out of the journal, a sentence each.
    pub left: Vec<String>,
}

/// What compacting the journal gave back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CompactedDoc {
    /// Segment files that were written anew.
    pub segments: u64,
    /// Blocks of the store that were.
    pub blocks: u64,
    /// Frames that left the journal.
    pub frames: u64,
    /// Bytes of the journal that were given back.
    pub bytes: u64,
}

/// What was removed of the blobs, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SweptDoc {
    /// Blobs that no event names.
    pub blobs: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Blobs that stay.
    pub kept: u64,
}
