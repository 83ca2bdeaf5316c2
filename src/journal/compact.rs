//! Giving back the room of frames that archives hold: finished segment files, and blocks of the store, are written anew
//! with spans in the place of those frames.
//!
//! Every file is replaced whole, by a rename, after the archives have given back the very frames that leave it; so
//! whatever happens, each frame is in the journal or in its archive. What is half done the next call finishes.

use crate::{
    Error,
    archives::Archives,
    block::{self, Tickets},
    disk::Disk,
    frame::{self, Entry, Frame},
    log::JOURNAL_DIR,
    segment::{self, Segment},
    span::Span,
    store::Store,
    trees,
    walk::{Step, Walk},
};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io,
    path::Path,
    time::Duration,
};
use uuid::Uuid;

/// The file that is going to take a segment's place.
const REWRITTEN: &str = "rewritten";

/// How long a copy or a check of the journal is waited for.
const PATIENCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(20);

/// Which streams are archived, each with the last event that its archive holds.
pub type Archived = HashMap<Uuid, u64>;

/// What was given back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compacted {
    /// Segment files that were written anew.
    pub segments: u64,
    /// Blocks of the store that were.
    pub blocks: u64,
    /// Frames that left the journal.
    pub frames: u64,
    /// Bytes of the journal that were given back.
    pub bytes: u64,
}

/// Takes out of the journal in `data_dir`, and out of its store, the frames that archives hold. May run beside the writer
/// and readers, in the process that holds the directory's lock. The segment that is being written is left alone.
///
/// A segment of which an archive does not give back what it should stays as it is; `on_left` hears why.
///
/// # Errors
/// A file cannot be read or written.
pub fn compact(
    data_dir: &Path,
    store: &Store,
    archived: &Archived,
    disk: &dyn Disk,
    on_left: &mut dyn FnMut(Error),
) -> Result<Compacted, Error> {
    let dir = data_dir.join(JOURNAL_DIR);
    let segments = segment::list(&dir)?;
    let mut done = Compacted::default();
    let Some((active, finished)) = segments.split_last().filter(|_| !archived.is_empty()) else { return Ok(done) };
    let mut archives = Archives::of(data_dir);
    let mut left = false;
    for segment in finished {
        let Some(_alone) = hold_alone(&dir)? else {
            let what = "a backup or a check is reading it; what is archived leaves it once `p0 gc` runs after that";
            on_left(Error::io("compact", &dir, io::Error::other(what)));
            left = true;
            break;
        };
        let Some(rewriting) = Rewriting::of(segment, archived)? else { continue };
        match rewriting.fresh.iter().try_for_each(|span| archives.frames(span).map(drop)) {
            Err(e @ Error::Archive { .. }) => {
                on_left(e);
                left = true;
                continue;
            }
            given_back => given_back?,
        }
        let before = fs::metadata(&segment.path).map_err(|e| Error::io("read", &segment.path, e))?.len();
        replace(&dir, segment, &rewriting.bytes, disk)?;
        done.segments += 1;
        done.frames += rewriting.frames;
        done.bytes += before.saturating_sub(rewriting.bytes.len() as u64);
    }
    // Not ahead of the journal: what is still there can be compared.
    if !left {
        // Nor of the end that sled tells: what comes behind it is written again after a crash, and must be the same.
        done.blocks = compact_store(store, archived, active.first_seq.min(store.applied().next_seq))?;
    }
    Ok(done)
}

/// Keeps what is archived in the journal too for as long as the answer lives: for whoever copies its files.
///
/// None where there is no journal yet.
///
/// # Errors
/// The journal cannot be locked.
pub fn hold_still(data_dir: &Path) -> Result<Option<File>, Error> {
    let dir = data_dir.join(JOURNAL_DIR);
    if !dir.exists() {
        return Ok(None);
    }
    hold(&dir, FlockOperation::LockShared).map(Some)
}

/// Keeps copies and checks of the journal away; none where one of them goes on for longer than [`PATIENCE`]. Whoever
/// waits here holds the data directory, and everybody else waits for that.
fn hold_alone(dir: &Path) -> Result<Option<File>, Error> {
    let mut waited = Duration::ZERO;
    loop {
        match hold(dir, FlockOperation::NonBlockingLockExclusive) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::WouldBlock => {}
            held => return held.map(Some),
        }
        if waited >= PATIENCE {
            return Ok(None);
        }
        std::thread::sleep(POLL);
        waited += POLL;
    }
}

fn hold(dir: &Path, how: FlockOperation) -> Result<File, Error> {
    let file = File::open(dir).map_err(|e| Error::io("open", dir, e))?;
    flock(&file, how).map_err(|e| Error::io("lock", dir, e.into()))?;
    Ok(file)
}

/// Whether the frame is in its stream's archive.
fn is_archived(archived: &Archived, frame: &Frame) -> bool {
    archived.get(&frame.keys.stream).is_some_and(|last| frame.last_seq() <= *last)
}

/// What takes the place of records.
#[derive(Debug, Default)]
struct Rewriting {
    bytes: Vec<u8>,
    /// The span that the last record belongs to.
    open: Option<Span>,
    /// The part of it that was frames until now.
    open_fresh: Option<Span>,
    /// What was frames until now. Verified apart from the older parts of their spans: an archive that was lost since does
    /// not stand in the way of others.
    fresh: Vec<Span>,
    /// Frames that spans stand for now and did not before.
    frames: u64,
    tickets: Tickets,
}

impl Rewriting {
    /// A segment without what is archived; none when it holds nothing of that.
    fn of(segment: &Segment, archived: &Archived) -> Result<Option<Rewriting>, Error> {
        let mut walk = Walk::new(vec![segment.clone()], 0, 0, None);
        let mut rewriting = Rewriting::default();
        loop {
            let entry = match walk.step()? {
                Step::Frame(frame) => Entry::Frame(frame),
                Step::Span(span) => Entry::Span(span),
                Step::End => break,
                Step::Bad(damage) => return Err(damage.into_error()),
            };
            rewriting.take(entry, walk.record(), archived);
        }
        Ok(rewriting.finish())
    }

    fn take(&mut self, entry: Entry, record: &[u8], archived: &Archived) {
        match entry {
            Entry::Frame(frame) if is_archived(archived, &frame) => {
                self.frames += 1;
                let span = Span::of(&frame, record.len());
                join(&mut self.open_fresh, span.clone());
                join(&mut self.open, span);
            }
            Entry::Frame(frame) => {
                self.close();
                frame.keys.tickets.iter().for_each(|ticket| self.tickets.add(ticket));
                self.bytes.extend_from_slice(record);
            }
            Entry::Span(span) => {
                self.fresh.extend(self.open_fresh.take());
                join(&mut self.open, *span);
            }
        }
    }

    fn close(&mut self) {
        self.fresh.extend(self.open_fresh.take());
        let Some(span) = self.open.take() else { return };
        frame::encode_span(&span, &mut self.bytes);
        self.tickets = Tickets::ANY;
    }

    fn finish(mut self) -> Option<Rewriting> {
        self.close();
        (self.frames > 0).then_some(self)
    }
}

/// Lets a span go on with the next one.
fn join(open: &mut Option<Span>, next: Span) {
    match open {
        Some(span) => span.join(next),
        None => *open = Some(next),
    }
}

/// Puts `bytes` in the place of a segment, durable when this returns.
fn replace(dir: &Path, segment: &Segment, bytes: &[u8], disk: &dyn Disk) -> Result<(), Error> {
    let path = dir.join(REWRITTEN);
    let written = || -> io::Result<()> {
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(&path)?;
        disk.write_all_at(&file, bytes, 0)?;
        disk.sync_data(&file)?;
        fs::rename(&path, &segment.path)
    };
    written().map_err(|e| {
        // What is half written is of no use; the segment is as it was.
        let _ = fs::remove_file(&path);
        Error::io("write", &path, e)
    })?;
    disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))
}

/// Replaces the blocks that end before event `before`. The last block is its writer's.
fn compact_store(store: &Store, archived: &Archived, before: u64) -> Result<u64, Error> {
    let mut blocks = store.blocks_range(1)?;
    let mut replaced = 0;
    let mut current = store.run(|| blocks.next().transpose())?;
    while let Some((key, value)) = current {
        current = store.run(|| blocks.next().transpose())?;
        let next = current.as_ref().and_then(|(key, _)| trees::index_seq(key, 0));
        if next.is_none_or(|next| next > before) {
            break;
        }
        let Some(first_seq) = trees::index_seq(&key, 0) else {
            return Err(store.suspect("a block's key cannot be read"));
        };
        let frames = store.unpacked(first_seq, &value)?;
        let mut rewriting = Rewriting::default();
        let mut at = 0;
        while let Some(range) = block::record_at(&frames, at) {
            at = range.end;
            rewriting.take(store.decode(&frames[range.clone()])?, &frames[range], archived);
        }
        if let Some(Rewriting { bytes, tickets, .. }) = rewriting.finish() {
            let before = trees::parse_chunked(&value).map_or(value.len() as u64, |(bytes, _)| bytes);
            store.put_block(first_seq, &bytes, &tickets, usize::try_from(before).unwrap_or_default())?;
            store.drop_chunks(first_seq, &value)?;
            replaced += 1;
        }
    }
    Ok(replaced)
}
