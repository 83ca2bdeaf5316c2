//! The journal's files as a copy needs them: which there are, and how far each is written.

use crate::{
    Error, Frame, Hash, Head,
    archives::archive_path,
    log::JOURNAL_DIR,
    segment::{self, Segment},
    tail::is_unacknowledged,
    walk::{self, Step, Walk},
};
use std::path::{Path, PathBuf};

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

/// What [`parts`] shows.
#[derive(Debug)]
pub enum Shown<'a> {
    /// A frame.
    Frame(&'a Frame),
    /// A stream that has archived frames; its archive.
    Archive(PathBuf),
}

/// Reads the journal of `data_dir` to where it ends now, and gives its files up to there. A writer may go on meanwhile:
/// what it adds is not part of it. `show` is shown every frame that is not archived, and where those are that are.
///
/// # Errors
/// The journal is damaged, or cannot be read.
pub fn parts(data_dir: &Path, show: &mut dyn FnMut(Shown<'_>)) -> Result<(Vec<Part>, Head), Error> {
    let segments = segment::list(&data_dir.join(JOURNAL_DIR))?;
    let mut walk = Walk::new(segments, 0, 0, Some(walk::Chain::GENESIS));
    let mut looked_again = false;
    // Where the records of each file end. Looking for its last byte that is not zero would not do: a record may end in
    // zeros.
    let mut ends = vec![0; walk.segments().len()];
    loop {
        let step = walk.step()?;
        let (index, end) = walk.position();
        if let Step::Frame(_) | Step::Span(_) = &step {
            looked_again = false;
            ends[index] = end;
        }
        match step {
            Step::Frame(frame) => show(Shown::Frame(&frame)),
            Step::Span(span) => {
                span.streams().into_iter().for_each(|stream| show(Shown::Archive(archive_path(data_dir, stream))));
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
    let written = walk.segments().iter().zip(ends).filter(|(_, bytes)| *bytes > 0);
    let part = |(segment, bytes): (&Segment, u64)| {
        let name = segment.path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Part { name, path: segment.path.clone(), bytes }
    };
    let found = written.map(part).collect();
    let head = walk.chain().map_or(Head { next_seq: 1, hash: Hash::ZERO }, walk::Chain::head);
    Ok((found, head))
}
