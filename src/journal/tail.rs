//! What to do about the end of the journal at an open: a write that was cut off is cut away, damage to what was
//! acknowledged is left exactly as it is.

use crate::{
    Error,
    disk::Disk,
    frame::{Entry, Flaw, Frame},
    segment::Segment,
    walk::{Chain, Damage, SegmentReader, Slot, Step, Walk},
};
use std::{fmt, fs::OpenOptions, path::PathBuf};

/// An unacknowledged tail that was cut away at an open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repair {
    /// The segment file.
    pub file: PathBuf,
    /// The first event that was cut; the log ends before it.
    pub from_seq: u64,
    /// Where the file was cut, in bytes.
    pub offset: u64,
    /// Bytes cut, up to the last one that was not zero.
    pub cut_bytes: u64,
    /// Whole frames among them (after a hole that a power cut left).
    pub cut_frames: u64,
    /// What was wrong at that place.
    pub what: String,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Repair { file, from_seq, offset, cut_bytes, cut_frames, what } = self;
        let name = file.file_name().unwrap_or(file.as_os_str()).display();
        write!(
            f,
            "what was being written at event {from_seq} and was never acknowledged was cut off: {cut_bytes} bytes"
        )?;
        if *cut_frames > 0 {
            write!(f, " with {cut_frames} whole frames")?;
        }
        write!(f, ", from byte {offset} of {name} on ({what})")
    }
}

/// The journal as an open found it, after repair.
#[derive(Debug)]
pub(crate) struct Settled {
    pub(crate) segments: Vec<Segment>,
    pub(crate) chain: Chain,
    /// Where the last segment's frames end, in bytes.
    pub(crate) end: u64,
    pub(crate) repaired: Option<Repair>,
}

/// How much of the journal to look at, and what is known to have been durable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// Read at least from the segment that holds this event.
    pub(crate) from_seq: u64,
    /// Read at least this many bytes at the end.
    pub(crate) verify_bytes: u64,
    /// The highest event that the store holds: it was durable here before it got there.
    pub(crate) store_mark: u64,
}

/// Is shown a frame and its bytes.
pub(crate) type Visit<'a> = dyn FnMut(&Frame, &[u8]) -> Result<(), Error> + 'a;

/// Reads the end of the journal, shows every good frame to `visit`, and repairs the tail.
pub(crate) fn settle(
    segments: Vec<Segment>,
    look: Look,
    disk: &dyn Disk,
    visit: &mut Visit<'_>,
) -> Result<Settled, Error> {
    let start = start_index(&segments, look)?;
    check_first(&segments)?;
    let mut walk = Walk::new(segments, start, 0, None);
    let bad = loop {
        match walk.step()? {
            Step::Frame(frame) => visit(&frame, walk.record())?,
            // The store may still hold the frames: what is archived is looked at by who reads it.
            Step::Span(_) => {}
            Step::End => break None,
            Step::Bad(damage) => break Some(*damage),
        }
    };
    // A start without any frame means that the journal is empty or damaged at that very place.
    let chain = walk.chain().cloned();
    let segments = walk.segments().to_vec();
    let (_, end) = walk.position();
    let Some(damage) = bad else {
        let chain = chain.unwrap_or(Chain::GENESIS);
        if look.store_mark >= chain.next_seq {
            return Err(missing(&segments, &chain, end, look.store_mark));
        }
        return Ok(Settled { segments, chain, end, repaired: None });
    };
    let ahead = look_ahead(&segments, &damage)?;
    let mark = ahead.mark.max(look.store_mark).max(chain.as_ref().map_or(0, |c| c.durable_upto));
    let Some(chain) = chain.filter(|_| !damage.structural && mark < damage.seq) else {
        return Err(damage.into_error());
    };
    let repaired = cut(&damage, &ahead, disk)?;
    Ok(Settled { segments, chain, end, repaired: Some(repaired) })
}

/// Whether bad bytes at the end of a journal that nobody repairs are a write that was never acknowledged.
pub(crate) fn is_unacknowledged(segments: &[Segment], chain: Option<&Chain>, damage: &Damage) -> Result<bool, Error> {
    let Some(chain) = chain.filter(|_| !damage.structural) else { return Ok(false) };
    Ok(look_ahead(segments, damage)?.mark.max(chain.durable_upto) < damage.seq)
}

/// Which segment to begin with: far enough back for `look`, always with the one before the last (its last frame's hash
/// is needed when the last one turns out to have none), and with frames in it.
fn start_index(segments: &[Segment], look: Look) -> Result<usize, Error> {
    let mut start = segments.len().saturating_sub(2);
    let mut bytes = 0;
    for (index, segment) in segments.iter().enumerate().rev() {
        if bytes < look.verify_bytes || segment.first_seq > look.from_seq {
            start = start.min(index);
        }
        bytes = SegmentReader::open(&segment.path)?.len()?.saturating_add(bytes);
    }
    while segments.get(start).is_some_and(|s| s.first_seq > look.from_seq) && start > 0 {
        start -= 1;
    }
    while start > 0 && !holds_something(&segments[start])? {
        start -= 1;
    }
    Ok(start)
}

fn holds_something(segment: &Segment) -> Result<bool, Error> {
    let mut reader = SegmentReader::open(&segment.path)?;
    Ok(!matches!(reader.slot(0)?, Slot::End))
}

fn check_first(segments: &[Segment]) -> Result<(), Error> {
    match segments.first() {
        Some(first) if first.first_seq != 1 => Err(Error::Damaged {
            seq: 1,
            file: first.path.clone(),
            offset: 0,
            what: format!("the log starts at event {}: the files before it are missing", first.first_seq),
        }),
        _ => Ok(()),
    }
}

fn missing(segments: &[Segment], chain: &Chain, end: u64, mark: u64) -> Error {
    Error::Damaged {
        seq: chain.next_seq,
        file: segments.last().map(|s| s.path.clone()).unwrap_or_default(),
        offset: end,
        what: format!("the journal ends here, but events up to {mark} were acknowledged and are in the store"),
    }
}

/// What survives behind a damaged place.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// The highest sequence number that something behind the damage says was durable.
    mark: u64,
    frames: u64,
    bytes: u64,
}

/// Searches behind the damage: a power cut can lose an early frame of a group and keep a later one, and only a frame of
/// a *later* group proves that the damaged one had been acknowledged.
fn look_ahead(segments: &[Segment], damage: &Damage) -> Result<Ahead, Error> {
    let mut ahead = Ahead::default();
    // A segment is begun only after everything before it is durable.
    for later in segments.iter().skip(damage.segment + 1) {
        ahead.mark = ahead.mark.max(later.first_seq.saturating_sub(1));
    }
    let mut reader = SegmentReader::open(&damage.path)?;
    ahead.bytes = reader.end_of_nonzero(damage.offset)?.saturating_sub(damage.offset);
    let mut from = damage.offset;
    while let Some((place, found)) = reader.find_frame(from)? {
        from = place + reader.record().len().max(1) as u64;
        match found {
            // Frames below the damage can only be copies of what was read already.
            Ok(Entry::Frame(frame)) if frame.first_seq >= damage.seq && place != damage.offset => {
                ahead.frames += 1;
                ahead.mark = ahead.mark.max(frame.durable_upto);
            }
            Ok(Entry::Frame(_)) => {}
            // Only a file that was finished is rewritten with spans in it: all of it had been acknowledged.
            Ok(Entry::Span(_)) => ahead.mark = u64::MAX,
            // Not ours to judge, so nothing may be cut.
            Err(Flaw::Newer(_)) => ahead.mark = u64::MAX,
            Err(Flaw::Broken(_)) => {}
        }
    }
    Ok(ahead)
}

/// Cuts the file at the damage. Shortening a file is one metadata change: after a crash it has happened or not.
fn cut(damage: &Damage, ahead: &Ahead, disk: &dyn Disk) -> Result<Repair, Error> {
    let path = &damage.path;
    let file = OpenOptions::new().write(true).open(path).map_err(|e| Error::io("open", path, e))?;
    file.set_len(damage.offset).map_err(|e| Error::io("cut", path, e))?;
    disk.sync_data(&file).map_err(|e| Error::io("sync", path, e))?;
    Ok(Repair {
        file: path.clone(),
        from_seq: damage.seq,
        offset: damage.offset,
        cut_bytes: ahead.bytes,
        cut_frames: ahead.frames,
        what: damage.what.clone(),
    })
}
