//! Checking a log without opening it.
use super::error::{Kind, Problem};
use crate::journal::{self, Hash};
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
    /// The first finding.
    pub(crate) first_bad: Option<FirstBad>,
    /// The hash of the last good frame.
    pub(crate) head: String,
}

/// The first frame that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct FirstBad {
    /// The first event that cannot be vouched for.
    pub(crate) seq: u64,
    /// What is wrong.
    pub(crate) what: String,
}

/// Checks the log at `path` (a data directory, its `journal/`, or one segment file).
pub(crate) fn check(path: &Path, anchor: Option<&str>) -> Result<Verified, Problem> {
    if !path.exists() {
        // A missing directory is an empty one: nothing was written, so nothing is wrong, unless an anchor says so.
        let first_bad = anchor
            .map(|anchor| FirstBad { seq: 1, what: format!("the log is empty; it should hold the frame {anchor}") });
        return Ok(Verified { ok: first_bad.is_none(), frames: 0, events: 0, first_bad, head: "0".repeat(64) });
    }
    let anchor = anchor.map(str::parse::<Hash>).transpose().map_err(|e| Problem::new(Kind::Usage, e.to_string()))?;
    let found = journal::verify(path, anchor, &mut |_, _| {}).map_err(|e| Problem::new(Kind::Store, e.to_string()))?;
    Ok(Verified {
        ok: found.ok,
        frames: found.frames,
        events: found.events,
        first_bad: found.first_bad.map(|bad| FirstBad { seq: bad.seq, what: bad.what }),
        head: found.head.to_string(),
    })
}
