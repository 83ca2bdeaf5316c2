//! Where the log ended when it was closed last, noted beside it: a chain of hashes does not show what is missing at its end,
//! and whoever reads the files alone has no store to ask. A process that was killed notes nothing, so that the note may be
//! older than the log; it is never ahead of it.

use crate::{Error, Hash, Head};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The note's file in the data directory: `SEQ HASH` of the last frame.
const FILE: &str = "head";

/// Notes the end of the log. A note that cannot be written is an older one: nothing depends on it.
pub(crate) fn note(data_dir: &Path, head: Head) {
    let (file, new) = (data_dir.join(FILE), data_dir.join(format!("{FILE}.new")));
    let line = format!("{} {}\n", head.next_seq.saturating_sub(1), head.hash);
    let written = fs::write(&new, line).and_then(|()| fs::rename(&new, &file));
    if let Err(e) = written {
        tracing::debug!("{} could not be written: {e}", file.display());
    }
}

/// What was noted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LastHead {
    file: PathBuf,
    seq: u64,
    hash: String,
}

impl LastHead {
    /// The note of a data directory; none where there is none that can be read.
    pub(crate) fn of(data_dir: &Path) -> Option<LastHead> {
        let file = data_dir.join(FILE);
        let text = fs::read_to_string(&file).ok()?;
        let (seq, hash) = text.trim_end().split_once(' ')?;
        Some(LastHead { seq: seq.parse().ok()?, hash: hash.to_owned(), file })
    }

    /// Compares an entry that ends before event `end_seq` with the note.
    ///
    /// # Errors
    /// Another frame stood there.
    pub(crate) fn look(&self, end_seq: u64, hash: &Hash) -> Result<(), Error> {
        if self.seq + 1 == end_seq && self.hash != hash.to_string() {
            return Err(self.missing(end_seq, "the frame here is another one than when the log was last closed"));
        }
        Ok(())
    }

    /// Whether a log that ends so is all of it.
    ///
    /// # Errors
    /// Its end is missing.
    pub(crate) fn ends(&self, head: Head) -> Result<(), Error> {
        if head.next_seq <= self.seq {
            let what = format!("the log ends here; when it was last closed it went on to event {}", self.seq);
            return Err(self.missing(head.next_seq, &what));
        }
        Ok(())
    }

    fn missing(&self, seq: u64, what: &str) -> Error {
        Error::Damaged { seq, file: self.file.clone(), offset: 0, what: what.to_owned() }
    }
}
