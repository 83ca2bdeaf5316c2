//! The segment files of a journal: how they are named, and which there are.

use crate::Error;
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// The extension of segment files.
pub(crate) const EXTENSION: &str = "p0j";

/// One segment file, named after the first event it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) path: PathBuf,
    pub(crate) first_seq: u64,
}

impl Segment {
    pub(crate) fn at(dir: &Path, first_seq: u64) -> Segment {
        Segment { path: dir.join(format!("{first_seq:020}.{EXTENSION}")), first_seq }
    }

    /// The segment that `path` names, if it has a segment's name.
    pub(crate) fn from_path(path: &Path) -> Option<Segment> {
        let stem = path.file_stem()?.to_str()?;
        let named = path.extension()? == EXTENSION && stem.len() == 20 && stem.bytes().all(|b| b.is_ascii_digit());
        let first_seq = stem.parse().ok()?;
        named.then(|| Segment { path: path.to_path_buf(), first_seq })
    }
}

/// The segments of a journal directory in order; none when there is no directory.
pub(crate) fn list(dir: &Path) -> Result<Vec<Segment>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", dir, e)),
    };
    let mut segments = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| Error::io("list", dir, e))?;
        segments.extend(Segment::from_path(&entry.path()));
    }
    segments.sort_by_key(|s| s.first_seq);
    Ok(segments)
}
