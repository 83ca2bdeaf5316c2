//! Reading segment files in order, frame by frame, with every link checked. Reads only; never decides what to do about
//! damage.

use crate::{
    Error, Hash, Head,
    frame::{self, Entry, Flaw, Frame, HEADER_BYTES},
    segment::Segment,
    span::Span,
};
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

const WINDOW_BYTES: usize = 256 << 10;
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Where a chain of frames stands: what the next frame must link to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) next_seq: u64,
    pub(crate) hash: Hash,
    pub(crate) last_first_seq: u64,
    /// The highest sequence number that a frame so far said was durable.
    pub(crate) durable_upto: u64,
}

impl Chain {
    pub(crate) const GENESIS: Chain = Chain { next_seq: 1, hash: Hash::ZERO, last_first_seq: 0, durable_upto: 0 };

    /// The chain just before `entry`, taking the entry's own word for it.
    fn before(entry: &Entry) -> Chain {
        let (hash, last_first_seq) = match entry {
            Entry::Frame(frame) => (frame.prev_hash, frame.prev_in_log),
            Entry::Span(span) => (span.prev_hash, span.prev_in_log),
        };
        Chain { next_seq: entry.first_seq(), hash, last_first_seq, durable_upto: 0 }
    }

    pub(crate) fn head(&self) -> Head {
        Head { next_seq: self.next_seq, hash: self.hash }
    }

    /// Checks that `entry` is the next one.
    fn check(&self, entry: &Entry) -> Result<(), String> {
        let (prev_hash, prev_in_log, durable_upto) = match entry {
            Entry::Frame(frame) => (frame.prev_hash, frame.prev_in_log, frame.durable_upto),
            Entry::Span(span) => (span.prev_hash, span.prev_in_log, span.durable_upto),
        };
        if entry.first_seq() != self.next_seq {
            return Err(format!("the frame here starts at event {}, expected {}", entry.first_seq(), self.next_seq));
        }
        if prev_hash != self.hash {
            return Err("the frame does not follow from the one before it (its previous hash differs)".to_owned());
        }
        if prev_in_log != self.last_first_seq || durable_upto < self.durable_upto {
            return Err("the frame does not follow from the one before it (its links differ)".to_owned());
        }
        Ok(())
    }

    pub(crate) fn advance(&mut self, frame: &Frame) {
        self.next_seq = frame.end_seq();
        self.hash = frame.hash;
        self.last_first_seq = frame.first_seq;
        self.durable_upto = frame.durable_upto;
    }

    fn cross(&mut self, span: &Span) {
        self.next_seq = span.end_seq;
        self.hash = span.hash;
        self.last_first_seq = span.last_first_seq;
        self.durable_upto = span.durable_upto;
    }
}

/// The first place that cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Damage {
    pub(crate) seq: u64,
    pub(crate) segment: usize,
    pub(crate) path: PathBuf,
    pub(crate) offset: u64,
    pub(crate) what: String,
    /// Whole files are wrong, not bytes at the end of one: this can never be a write that was cut off.
    pub(crate) structural: bool,
}

impl Damage {
    pub(crate) fn into_error(self) -> Error {
        Error::Damaged { seq: self.seq, file: self.path, offset: self.offset, what: self.what }
    }
}

/// What is at one place of a segment.
pub(crate) enum Slot {
    Entry(Entry),
    /// Nothing but zeros to the end of the file.
    End,
    Bad(String),
}

/// A whole record somewhere in a file: its place, and what it is.
pub(crate) type Found = (u64, Result<Entry, Flaw>);

/// Reads one segment file through a window of bounded size.
#[derive(Debug)]
pub(crate) struct SegmentReader {
    file: File,
    path: PathBuf,
    window: Vec<u8>,
    window_at: u64,
    record: std::ops::Range<usize>,
}

impl SegmentReader {
    pub(crate) fn open(path: &Path) -> Result<SegmentReader, Error> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        SegmentReader::of(path, &file)
    }

    /// Reads a file that is open already.
    pub(crate) fn of(path: &Path, file: &File) -> Result<SegmentReader, Error> {
        let file = file.try_clone().map_err(|e| Error::io("open", path, e))?;
        Ok(SegmentReader { file, path: path.to_path_buf(), window: Vec::new(), window_at: 0, record: 0..0 })
    }

    pub(crate) fn len(&self) -> Result<u64, Error> {
        self.file.metadata().map(|m| m.len()).map_err(|e| Error::io("read", &self.path, e))
    }

    /// Forgets what was read, so that the next look sees what a writer has written since.
    pub(crate) fn refresh(&mut self) {
        self.window.clear();
    }

    /// The bytes of the frame that [`SegmentReader::slot`] returned last.
    pub(crate) fn record(&self) -> &[u8] {
        &self.window[self.record.clone()]
    }

    pub(crate) fn slot(&mut self, at: u64) -> Result<Slot, Error> {
        if let Some(entry) = self.entry_in_window(at) {
            return Ok(Slot::Entry(entry));
        }
        let available = self.len()?.saturating_sub(at);
        let start = usize::try_from(available).unwrap_or(HEADER_BYTES).min(HEADER_BYTES);
        self.fill(at, start)?;
        let head = self.bytes(at, start);
        if head.iter().all(|b| *b == 0) {
            return Ok(match self.first_nonzero(at)? {
                None => Slot::End,
                Some(byte) => Slot::Bad(format!("nothing is written here, but byte {byte} further on is not zero")),
            });
        }
        match self.decode_at(at, available)? {
            Ok(entry) => Ok(Slot::Entry(entry)),
            Err(Flaw::Broken(what)) => Ok(Slot::Bad(what)),
            Err(Flaw::Newer(version)) => Err(Error::NewerVersion {
                file: self.path.clone(),
                version: u32::from(version),
                ours: u32::from(frame::NEWEST),
            }),
        }
    }

    /// What stands at `at`, if it is good and was read already: most of it, and without asking the system for anything.
    fn entry_in_window(&mut self, at: u64) -> Option<Entry> {
        let from = usize::try_from(at.checked_sub(self.window_at)?).ok()?;
        let bytes = frame::record_bytes(self.window.get(from..)?).ok()?;
        let entry = frame::read(self.window.get(from..from.checked_add(bytes)?)?).ok()?;
        self.record = from..from + bytes;
        Some(entry)
    }

    /// The first whole frame that starts at or after `from`, whatever stands before it, with its place.
    pub(crate) fn find_frame(&mut self, from: u64) -> Result<Option<Found>, Error> {
        let len = self.len()?;
        let mut at = from;
        while at + (HEADER_BYTES as u64) <= len {
            let n = usize::try_from(len - at).unwrap_or(WINDOW_BYTES).min(4096);
            self.fill(at, n)?;
            let bytes = self.bytes(at, n);
            let overlap = frame::MAGIC.len() - 1;
            if bytes == &ZEROS[..bytes.len()] {
                at += (n - overlap) as u64;
                continue;
            }
            let Some(hit) = bytes.windows(frame::MAGIC.len()).position(|w| w == frame::MAGIC) else {
                at += (n - overlap) as u64;
                continue;
            };
            at += hit as u64;
            match self.decode_at(at, len - at)? {
                Err(Flaw::Broken(_)) => at += 1,
                found => return Ok(Some((at, found))),
            }
        }
        Ok(None)
    }

    /// The place of the first byte at or after `from` that is not zero.
    pub(crate) fn first_nonzero(&self, from: u64) -> Result<Option<u64>, Error> {
        let mut chunk = vec![0; ZEROS.len()];
        let mut at = from;
        loop {
            let n = self.file.read_at(&mut chunk, at).map_err(|e| Error::io("read", &self.path, e))?;
            if n == 0 {
                return Ok(None);
            }
            if chunk[..n] != ZEROS[..n] {
                let within = chunk[..n].iter().position(|b| *b != 0).unwrap_or(0);
                return Ok(Some(at + within as u64));
            }
            at += n as u64;
        }
    }

    /// The place after the last byte that is not zero, at least `from`.
    pub(crate) fn end_of_nonzero(&self, from: u64) -> Result<u64, Error> {
        let mut chunk = vec![0; ZEROS.len()];
        let (mut at, mut end) = (from, from);
        loop {
            let n = self.file.read_at(&mut chunk, at).map_err(|e| Error::io("read", &self.path, e))?;
            if n == 0 {
                return Ok(end);
            }
            if chunk[..n] != ZEROS[..n] {
                let within = chunk[..n].iter().rposition(|b| *b != 0).unwrap_or(0);
                end = at + within as u64 + 1;
            }
            at += n as u64;
        }
    }

    fn decode_at(&mut self, at: u64, available: u64) -> Result<Result<Entry, Flaw>, Error> {
        let start = usize::try_from(available).unwrap_or(HEADER_BYTES).min(HEADER_BYTES);
        self.fill(at, start)?;
        let bytes = match frame::record_bytes(self.bytes(at, start)) {
            Ok(bytes) => bytes,
            Err(flaw) => return Ok(Err(flaw)),
        };
        // Checked before reading, so that a damaged length never makes us take more memory than the file has bytes.
        if bytes as u64 > available {
            return Ok(Err(Flaw::Broken("a frame was cut short".to_owned())));
        }
        self.fill(at, bytes)?;
        let record = self.bytes(at, bytes);
        let decoded = frame::read(record);
        let from = usize::try_from(at - self.window_at).expect("the window was just filled around `at`");
        self.record = from..from + record_len(&self.window, from, bytes);
        Ok(decoded)
    }

    /// The bytes from `at`, fewer than `n` when the file ends before. [`SegmentReader::fill`] has been called.
    fn bytes(&self, at: u64, n: usize) -> &[u8] {
        let from = usize::try_from(at - self.window_at).unwrap_or(usize::MAX).min(self.window.len());
        &self.window[from..(from + n).min(self.window.len())]
    }

    fn fill(&mut self, at: u64, n: usize) -> Result<(), Error> {
        let end = self.window_at + self.window.len() as u64;
        if at >= self.window_at && at + n as u64 <= end {
            return Ok(());
        }
        self.window.resize(n.max(WINDOW_BYTES), 0);
        self.window.shrink_to(WINDOW_BYTES.max(n));
        self.window_at = at;
        let mut filled = 0;
        while filled < self.window.len() {
            match self.file.read_at(&mut self.window[filled..], at + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.window.clear();
                    return Err(Error::io("read", &self.path, e));
                }
            }
        }
        self.window.truncate(filled);
        Ok(())
    }
}

fn record_len(window: &[u8], from: usize, bytes: usize) -> usize {
    bytes.min(window.len().saturating_sub(from))
}

/// What a walk came to.
pub(crate) enum Step {
    Frame(Box<Frame>),
    /// What stands for frames that archives hold.
    Span(Box<Span>),
    /// The end of the last segment.
    End,
    /// The walk stays where it is; stepping again looks at the same place again.
    Bad(Box<Damage>),
}

/// Walks over segments in order, checking every frame against the one before.
#[derive(Debug)]
pub(crate) struct Walk {
    segments: Vec<Segment>,
    index: usize,
    offset: u64,
    reader: Option<SegmentReader>,
    chain: Option<Chain>,
}

impl Walk {
    /// Starts at segment `index`; without a chain the first frame is taken at its word about what was before it.
    pub(crate) fn new(segments: Vec<Segment>, index: usize, offset: u64, chain: Option<Chain>) -> Walk {
        let chain = match segments.get(index) {
            Some(segment) if segment.first_seq == 1 && offset == 0 => Some(Chain::GENESIS),
            Some(_) => chain,
            None => Some(Chain::GENESIS),
        };
        Walk { segments, index, offset, reader: None, chain }
    }

    pub(crate) fn chain(&self) -> Option<&Chain> {
        self.chain.as_ref()
    }

    /// Index of the current segment and the place in it after the last good frame.
    pub(crate) fn position(&self) -> (usize, u64) {
        (self.index, self.offset)
    }

    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The bytes of the frame returned last.
    pub(crate) fn record(&self) -> &[u8] {
        self.reader.as_ref().map_or(&[], SegmentReader::record)
    }

    /// The current segment's path, and the very file that is being read.
    pub(crate) fn file(&self) -> Result<Option<(PathBuf, File)>, Error> {
        let Some(SegmentReader { file, path, .. }) = &self.reader else { return Ok(None) };
        let file = file.try_clone().map_err(|e| Error::io("open", path, e))?;
        Ok(Some((path.clone(), file)))
    }

    /// Takes a newer list of segments that begins with the present one.
    pub(crate) fn set_segments(&mut self, segments: Vec<Segment>) {
        self.segments = segments;
    }

    /// Looks at the disk anew on the next step.
    pub(crate) fn refresh(&mut self) {
        if let Some(reader) = &mut self.reader {
            reader.refresh();
        }
    }

    pub(crate) fn step(&mut self) -> Result<Step, Error> {
        loop {
            let Some(segment) = self.segments.get(self.index) else { return Ok(Step::End) };
            if let Some(chain) = &self.chain
                && self.offset == 0
                && segment.first_seq != chain.next_seq
            {
                let what = format!("the file starts at event {}, expected {}", segment.first_seq, chain.next_seq);
                return Ok(self.bad(what, true));
            }
            let mut reader = match self.reader.take() {
                Some(reader) => reader,
                None => SegmentReader::open(&segment.path)?,
            };
            let slot = reader.slot(self.offset);
            self.reader = Some(reader);
            match slot? {
                Slot::Entry(entry) => return Ok(self.take(entry)),
                Slot::End if self.index + 1 < self.segments.len() => {
                    self.index += 1;
                    self.offset = 0;
                    self.reader = None;
                }
                Slot::End => return Ok(Step::End),
                Slot::Bad(what) => return Ok(self.bad(what, false)),
            }
        }
    }

    fn take(&mut self, entry: Entry) -> Step {
        let mut chain = self.chain.clone().unwrap_or_else(|| Chain::before(&entry));
        let named = self.segments[self.index].first_seq;
        if self.offset == 0 && entry.first_seq() != named {
            let what = format!("the file starts with event {}, its name says {named}", entry.first_seq());
            return self.bad(what, false);
        }
        if let Err(what) = chain.check(&entry) {
            return self.bad(what, false);
        }
        match &entry {
            Entry::Frame(frame) => chain.advance(frame),
            Entry::Span(span) => chain.cross(span),
        }
        self.chain = Some(chain);
        self.offset += self.record().len() as u64;
        match entry {
            Entry::Frame(frame) => Step::Frame(frame),
            Entry::Span(span) => Step::Span(span),
        }
    }

    fn bad(&self, what: String, structural: bool) -> Step {
        let segment = &self.segments[self.index];
        Step::Bad(Box::new(Damage {
            seq: self.chain.as_ref().map_or(segment.first_seq, |c| c.next_seq),
            segment: self.index,
            path: segment.path.clone(),
            offset: self.offset,
            what,
            structural,
        }))
    }
}
