//! Reading a journal without its lock and without sled: what a program does when no daemon answers, or on a copy. Never
//! writes.

use crate::{
    Error, Frame,
    archives::Archives,
    frame::Entry,
    segment::{self},
    tail::is_unacknowledged,
    walk::{self, Damage, Step, Walk},
};
use std::path::Path;

/// The entries of a journal in order, as far as they are whole, beside a writer that may be at work.
#[derive(Debug)]
pub(crate) struct Entries {
    walk: Walk,
    looked_again: bool,
    done: bool,
}

impl Entries {
    /// From the segment on that holds event `from_seq`; `journal_dir` is the directory of the segment files.
    pub(crate) fn open(journal_dir: &Path, from_seq: u64) -> Result<Entries, Error> {
        let segments = segment::list(journal_dir)?;
        let index = segments.iter().rposition(|s| s.first_seq <= from_seq).unwrap_or(0);
        // The first file's name must be 1: a chain that has to start at genesis says so when it is not.
        let chain = (index == 0).then_some(walk::Chain::GENESIS);
        Ok(Entries { walk: Walk::new(segments, index, 0, chain), looked_again: false, done: false })
    }

    /// The walk, which stands behind the entry that was given last.
    pub(crate) fn walk(&self) -> &Walk {
        &self.walk
    }

    /// The next entry; `None` = the end, or a write that is under way or was cut off.
    pub(crate) fn next_entry(&mut self) -> Result<Option<Entry>, Error> {
        while !self.done {
            match self.walk.step() {
                Ok(Step::Frame(frame)) => {
                    self.looked_again = false;
                    return Ok(Some(Entry::Frame(frame)));
                }
                Ok(Step::Span(span)) => return Ok(Some(Entry::Span(span))),
                Ok(Step::End) => self.done = true,
                Ok(Step::Bad(damage)) => self.at_bad(*damage)?,
                Err(e) => {
                    self.done = true;
                    return Err(e);
                }
            }
        }
        Ok(None)
    }

    /// Bad bytes are the end, or worth another look, or damage.
    fn at_bad(&mut self, damage: Damage) -> Result<(), Error> {
        if is_unacknowledged(self.walk.segments(), self.walk.chain(), &damage)? {
            self.done = true;
            return Ok(());
        }
        // A writer may have finished this very group, and a later one, since we looked: then the bytes are whole now.
        if self.looked_again {
            self.done = true;
            return Err(damage.into_error());
        }
        self.looked_again = true;
        self.walk.refresh();
        Ok(())
    }
}

/// The frames of a journal in order, as far as they are whole.
#[derive(Debug)]
pub struct JournalFrames {
    entries: Entries,
    from_seq: u64,
    before_seq: u64,
    done: bool,
    archives: Archives,
    /// Frames of the last span that are still to be given.
    archived: std::vec::IntoIter<Frame>,
}

/// Reads all frames of the journal in the data directory `data_dir`. A write that is under way or was cut off at the
/// end is where the frames end; damage before it is an error at that frame. No directory is an empty journal.
///
/// # Errors
/// The directory cannot be listed.
pub fn read_frames(data_dir: &Path) -> Result<JournalFrames, Error> {
    JournalFrames::open(&data_dir.join(super::log::JOURNAL_DIR), 1)
}

impl JournalFrames {
    /// Reads from the frame that holds event `from_seq`; `journal_dir` is the directory of the segment files.
    pub(crate) fn open(journal_dir: &Path, from_seq: u64) -> Result<JournalFrames, Error> {
        let entries = Entries::open(journal_dir, from_seq)?;
        let archives = Archives::of(journal_dir.parent().unwrap_or(journal_dir));
        let archived = Vec::new().into_iter();
        Ok(JournalFrames { entries, from_seq, before_seq: u64::MAX, done: false, archives, archived })
    }

    /// Stops before the frame that starts at `before_seq`.
    pub(crate) fn before(mut self, before_seq: u64) -> JournalFrames {
        self.before_seq = before_seq;
        self
    }

    fn read(&mut self) -> Result<Option<Frame>, Error> {
        while !self.done {
            if let Some(frame) = self.archived.next() {
                if self.wants(&frame) {
                    return Ok(Some(frame));
                }
                continue;
            }
            match self.entries.next_entry()? {
                Some(Entry::Frame(frame)) => {
                    if self.wants(&frame) {
                        return Ok(Some(*frame));
                    }
                }
                Some(Entry::Span(span)) if span.end_seq > self.from_seq => {
                    self.archived = self.archives.frames(&span)?.into_iter();
                }
                Some(Entry::Span(_)) => {}
                None => self.done = true,
            }
        }
        Ok(None)
    }

    /// Whether the frame is one of those that are asked for; the first one after them ends the reading.
    fn wants(&mut self, frame: &Frame) -> bool {
        self.done |= frame.first_seq >= self.before_seq;
        !self.done && frame.end_seq() > self.from_seq
    }
}

impl Iterator for JournalFrames {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Result<Frame, Error>> {
        let read = self.read().transpose();
        if !matches!(read, Some(Ok(_))) {
            self.done = true;
        }
        read
    }
}
