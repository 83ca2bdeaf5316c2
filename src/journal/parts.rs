//! The journal's files as a copy needs them: which there are, and how far each is written.

use std::path::{Path, PathBuf};

use crate::journal::log::JOURNAL_DIR;
use crate::journal::tail::is_unacknowledged;
use crate::journal::walk::{self, Step, Walk};
use crate::journal::{Error, Frame, Hash, Head};

/// A file of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name in the journal's directory.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes from its beginning to the end of its last whole frame.
    pub bytes: u64,
}

/// Reads the journal of `data_dir` to where it ends now, and gives its files up to there. A writer may go on meanwhile:
/// what it adds is not part of it. `on_frame` is shown every frame.
///
/// # Errors
/// The journal is damaged, or cannot be read.
pub fn parts(data_dir: &Path, on_frame: &mut dyn FnMut(&Frame)) -> Result<(Vec<Part>, Head), Error> {
    let segments = walk::list(&data_dir.join(JOURNAL_DIR))?;
    let mut walk = Walk::new(segments, 0, 0, Some(walk::Chain::GENESIS));
    let mut looked_again = false;
    loop {
        match walk.step()? {
            Step::Frame(frame) => {
                looked_again = false;
                on_frame(&frame);
            }
            Step::End => break,
            Step::Bad(damage) if is_unacknowledged(walk.segments(), walk.chain(), &damage)? => break,
            // A writer may have finished this very group, and a later one, since we looked.
            Step::Bad(_) if !looked_again => {
                looked_again = true;
                walk.refresh();
            }
            Step::Bad(damage) => return Err(damage.into_error()),
        }
    }
    let (last, end) = walk.position();
    let mut found = Vec::new();
    for (index, segment) in walk.segments().iter().enumerate().take(last + 1) {
        let bytes = if index == last { end } else { walk::SegmentReader::open(&segment.path)?.end_of_nonzero(0)? };
        let name = segment.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        if bytes > 0 {
            found.push(Part { name, path: segment.path.clone(), bytes });
        }
    }
    let head = walk.chain().map_or(Head { next_seq: 1, hash: Hash::ZERO }, walk::Chain::head);
    Ok((found, head))
}
