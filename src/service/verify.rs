//! Checking a log or a run file without opening it.
use super::problem::{Kind, Problem};
use crate::{
    engine::audit::{self, Check, Progress},
    journal::{Anchor, Hash},
};
use serde::Serialize;
use std::path::Path;

/// What a check found, as `p0 audit verify --json` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Verified {
    /// Whether everything is as it was written.
    pub(crate) ok: bool,
    /// Good frames.
    pub(crate) frames: u64,
    /// Events in them.
    pub(crate) events: u64,
    /// Good blobs.
    pub(crate) blobs: u64,
    /// The first finding.
    pub(crate) first_bad: Option<FirstBad>,
    /// The hash of the last good frame.
    pub(crate) head: String,
}

/// The first thing that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FirstBad {
    /// The first event that cannot be vouched for.
    pub(crate) seq: u64,
    /// What is wrong.
    pub(crate) what: String,
}

/// Reads `HASH` or `SEQ HASH`.
pub(crate) fn anchor(text: &str) -> Result<Anchor, Problem> {
    text.parse().map_err(|e| Problem::new(Kind::Usage, format!("an anchor is a hash, or a number and a hash: {e}")))
}

/// Reads one anchor per line.
pub(crate) fn anchors(text: &str) -> Result<Vec<Anchor>, Problem> {
    text.lines().filter(|line| !line.trim().is_empty()).map(anchor).collect()
}

/// Checks what is at `path`: a data directory, its `journal/`, one segment file, or a run file.
pub(crate) fn check(
    path: &Path,
    anchors: Vec<Anchor>,
    blobs: bool,
    on_progress: &mut dyn FnMut(&Progress),
) -> Result<Verified, Problem> {
    if !path.exists() {
        // A missing directory is an empty one: nothing was written, so nothing is wrong, unless an anchor says so.
        let first_bad = anchors
            .iter()
            .find(|anchor| anchor.hash != Hash::ZERO)
            .map(|anchor| FirstBad { seq: 1, what: format!("the log is empty; it should hold the frame {anchor}") });
        let head = Hash::ZERO.to_string();
        return Ok(Verified { ok: first_bad.is_none(), frames: 0, events: 0, blobs: 0, first_bad, head });
    }
    let what = Check { path: path.to_path_buf(), anchors, blobs };
    let found = audit::check(&what, on_progress).map_err(|e| Problem::new(Kind::Store, e.to_string()))?;
    Ok(Verified {
        ok: found.first_bad.is_none(),
        frames: found.counts.frames,
        events: found.counts.events,
        blobs: found.counts.blobs,
        first_bad: found.first_bad.map(|(seq, what)| FirstBad { seq, what }),
        head: found.head.to_string(),
    })
}
