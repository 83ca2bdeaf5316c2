//! Removing what nothing needs any more: blobs that no event names. An attempt that was lost between keeping its output
//! and saying so leaves one behind, as does whoever starts a run that is refused.
use super::{
    audit::payload_json,
    error::Cause,
    handle::{Handle, ReadError},
};
use crate::{
    journal::{self, Hash, Shown, run_file},
    system::clock,
};
use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

/// A blob is durable before the event that names it; a full disk may hold that event up for long.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// What was removed, or would be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Swept {
    /// Blobs that no event names.
    pub blobs: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Blobs that stay.
    pub kept: u64,
}

impl Handle {
    /// Removes the blobs that no event names and that nobody put within a day; with `dry_run` only counts them. Reads
    /// the journal's files, so that the writer is not held up.
    ///
    /// # Errors
    /// The log or the blobs cannot be read, or an event cannot be understood: what it names is then not known, and
    /// nothing is removed.
    pub fn sweep(&self, dry_run: bool) -> Result<Swept, ReadError> {
        let blobs = &self.shared.blobs;
        // Listed first: what is put from now on is not looked at.
        let all = blobs.all()?;
        let before = SystemTime::from(clock::now()) - GRACE;
        let mut named: HashSet<Hash> = HashSet::new();
        let mut unread = None;
        journal::parts(&self.shared.data_dir, &mut |shown| {
            let Shown::Frame(frame) = shown else { return };
            match payload_json(frame) {
                Some(json) => named.extend(run_file::blobs_named(&json).map(|blob| blob.hash)),
                None => {
                    unread.get_or_insert(frame.first_seq);
                }
            }
        })?;
        if let Some(seq) = unread {
            return Err(Cause::Unsweepable { seq }.into());
        }
        let mut swept = Swept::default();
        for (hash, bytes) in all {
            let goes = !named.contains(&hash)
                && match dry_run {
                    true => blobs.is_older(&hash, before),
                    false => blobs.remove_older(&hash, before),
                }?;
            if goes {
                swept.blobs += 1;
                swept.bytes += bytes;
            } else {
                swept.kept += 1;
            }
        }
        Ok(swept)
    }
}
