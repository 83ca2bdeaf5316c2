//! Reading a run file: everything is checked as it is read, so that reading to the end is verifying.

use super::{
    Readable, base64, blobs_named,
    form::{BlobLine, EndLine, FrameLine, Header, Line, MAX_LINE_BYTES, PART_BYTES, VERSION},
};
use crate::{BlobRef, Error, Frame, Hash};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// The largest window that a decoder takes memory for, as a power of two: more than any level below 20 uses.
const WINDOW_LOG: u32 = 24;
/// What every zstd frame begins with.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Why a run file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RunFileError {
    /// It is not what was written.
    #[error("{path} is not whole: {what} (line {line})")]
    Bad {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The first event that cannot be vouched for.
        seq: u64,
        /// What is wrong.
        what: String,
    },
    /// It was written by a newer p0.
    #[error("{path} has form version {version}, this p0 reads up to {VERSION}: use a newer p0")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// It cannot be read at all.
    #[error(transparent)]
    Disk(#[from] Error),
}

/// What a run file holds.
#[derive(Debug, PartialEq, Eq)]
pub enum Entry {
    /// A frame.
    Frame(Box<Frame>),
    /// A part of a blob, in order.
    Blob {
        /// Its hash.
        hash: Hash,
        /// Its whole size.
        size: u64,
        /// The part.
        bytes: Vec<u8>,
        /// Whether it is the last one; the blob's hash has then been checked.
        last: bool,
    },
}

/// What is known of a run file that was read to its end.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames.
    pub frames: u64,
    /// Events in them.
    pub events: u64,
    /// Blobs.
    pub blobs: u64,
}

/// The frames of a run file, in order.
pub type FileFrames = Box<dyn Iterator<Item = Result<Frame, RunFileError>> + Send>;

/// The blob whose parts are being read.
struct Current {
    blob: BlobRef,
    offset: u64,
    hasher: blake3::Hasher,
}

/// Reads a run file from its beginning.
pub struct RunReader {
    path: PathBuf,
    input: Option<zstd::stream::read::Decoder<'static, BufReader<File>>>,
    chunk: Vec<u8>,
    at: usize,
    line: u64,
    hasher: blake3::Hasher,
    readable: Option<Readable>,
    header: Header,
    last: Option<(u64, u64, Hash)>,
    runs: HashMap<Uuid, u64>,
    known: BTreeSet<Hash>,
    wanted: VecDeque<Hash>,
    current: Option<Current>,
    counts: Counts,
}

impl std::fmt::Debug for RunReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunReader").field("path", &self.path).field("line", &self.line).finish_non_exhaustive()
    }
}

/// Whether `path` is meant as a run file: by its extension, or by what it begins with.
#[must_use]
pub fn looks_like(path: &Path) -> bool {
    if path.extension().is_some_and(|e| e == super::EXTENSION) {
        return true;
    }
    let mut start = [0; 4];
    path.is_file() && File::open(path).and_then(|mut f| f.read_exact(&mut start)).is_ok() && start == ZSTD_MAGIC
}

/// Reads a run file to its end, and gives its header and counts. `on_progress` is called after every frame and blob.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn check(
    path: &Path,
    readable: Readable,
    on_progress: &mut dyn FnMut(&Counts),
) -> Result<(Header, Counts), RunFileError> {
    let mut reader = RunReader::open(path, readable)?;
    while reader.next_entry()?.is_some() {
        on_progress(&reader.counts);
    }
    Ok((reader.header, reader.counts))
}

impl RunReader {
    /// Opens a run file and reads its header.
    ///
    /// # Errors
    /// It cannot be read, is none, or is of a newer form.
    pub fn open(path: &Path, readable: Readable) -> Result<RunReader, RunFileError> {
        RunReader::open_with(path, Some(readable))
    }

    /// Opens a run file of which only the frames' bytes and the blobs count, not what it tells people of them.
    pub fn open_unread(path: &Path) -> Result<RunReader, RunFileError> {
        RunReader::open_with(path, None)
    }

    fn open_with(path: &Path, readable: Option<Readable>) -> Result<RunReader, RunFileError> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        let mut decoder =
            zstd::stream::read::Decoder::new(file).map_err(|e| Error::io("read", path, e))?.single_frame();
        decoder.window_log_max(WINDOW_LOG).map_err(|e| Error::io("read", path, e))?;
        let header = Header {
            version: VERSION,
            run: Uuid::nil(),
            stream: Uuid::nil(),
            first_seq: 1,
            last_seq: 0,
            head: Hash::ZERO,
        };
        let mut reader = RunReader {
            path: path.to_path_buf(),
            input: Some(decoder),
            chunk: Vec::new(),
            at: 0,
            line: 0,
            hasher: blake3::Hasher::new(),
            readable,
            header,
            last: None,
            runs: HashMap::new(),
            known: BTreeSet::new(),
            wanted: VecDeque::new(),
            current: None,
            counts: Counts::default(),
        };
        let line = reader.read_line()?;
        reader.header = reader.read_header(&line)?;
        reader.hasher.update(&line);
        Ok(reader)
    }

    /// What the file says of itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What was read so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The next entry; none at the end, when everything has been found whole.
    ///
    /// # Errors
    /// What is wrong here.
    pub fn next_entry(&mut self) -> Result<Option<Entry>, RunFileError> {
        if self.input.is_none() {
            return Ok(None);
        }
        let bytes = self.read_line()?;
        let line: Line<'_> =
            serde_json::from_slice(&bytes).map_err(|e| self.bad(format!("it is no line of a run file: {e}")))?;
        let entry = match line {
            Line::Header(_) => return Err(self.bad("a second header")),
            Line::Frame(frame) => self.take_frame(&frame)?,
            Line::Blob(blob) => self.take_blob(&blob)?,
            Line::End(end) => {
                self.take_end(&end, &bytes)?;
                return Ok(None);
            }
        };
        self.hasher.update(&bytes);
        Ok(Some(entry))
    }

    /// Only the frames, without reading what stands behind them.
    pub fn frames(mut self) -> FileFrames {
        let mut over = false;
        Box::new(std::iter::from_fn(move || {
            if over {
                return None;
            }
            let next = match self.next_entry() {
                Ok(Some(Entry::Frame(frame))) => Some(Ok(*frame)),
                Ok(Some(Entry::Blob { .. }) | None) => None,
                Err(e) => Some(Err(e)),
            };
            over = !matches!(next, Some(Ok(_)));
            next
        }))
    }

    fn read_header(&self, line: &[u8]) -> Result<Header, RunFileError> {
        #[derive(serde::Deserialize)]
        struct Any {
            p0run: AnyVersion,
        }
        #[derive(serde::Deserialize)]
        struct AnyVersion {
            version: u32,
        }
        let any: Any = serde_json::from_slice(line).map_err(|_| self.bad("it does not begin as a run file does"))?;
        if any.p0run.version > VERSION {
            return Err(RunFileError::Newer { path: self.path.clone(), version: any.p0run.version });
        }
        match serde_json::from_slice(line) {
            Ok(Line::Header(header)) if header.version == VERSION && header.first_seq > 0 => Ok(header),
            Ok(_) | Err(_) => Err(self.bad("its header cannot be read")),
        }
    }

    fn take_frame(&mut self, line: &FrameLine<'_>) -> Result<Entry, RunFileError> {
        if self.counts.blobs > 0 || self.current.is_some() {
            return Err(self.bad("a frame behind the blobs"));
        }
        let frame = line.to_frame(self.readable).map_err(|what| self.bad(what))?;
        self.check_links(&frame).map_err(|what| self.bad(what))?;
        for blob in blobs_named(line.json()) {
            if self.known.insert(blob.hash) {
                self.wanted.push_back(blob.hash);
            }
        }
        if let Some(run) = frame.keys.run {
            self.runs.insert(run, frame.first_seq);
        }
        self.last = Some((frame.first_seq, frame.end_seq(), frame.hash));
        self.counts.frames += 1;
        self.counts.events += u64::from(frame.events);
        Ok(Entry::Frame(Box::new(frame)))
    }

    fn check_links(&self, frame: &Frame) -> Result<(), String> {
        if frame.keys.stream != self.header.stream {
            return Err("the frame is of another milestone".to_owned());
        }
        let before = self.last.map_or(0, |(first, ..)| first);
        if frame.prev_in_stream != before {
            let (found, seq) = (frame.prev_in_stream, frame.first_seq);
            return Err(format!(
                "the frame at event {seq} follows one at {found}, but here one at {before} is before it"
            ));
        }
        let of_run = frame.keys.run.and_then(|run| self.runs.get(&run)).copied().unwrap_or(0);
        if frame.prev_in_run != of_run {
            return Err(format!("the frame at event {} does not follow from its run's last one", frame.first_seq));
        }
        match self.last {
            None if frame.first_seq != self.header.first_seq => Err("its first frame is missing".to_owned()),
            Some((_, end, _)) if frame.first_seq < end => Err("the frames overlap".to_owned()),
            Some((first, end, hash))
                if frame.first_seq == end && (frame.prev_hash != hash || frame.prev_in_log != first) =>
            {
                Err("the frame does not follow from the one before it (its previous hash differs)".to_owned())
            }
            None | Some(_) => Ok(()),
        }
    }

    fn take_blob(&mut self, line: &BlobLine<'_>) -> Result<Entry, RunFileError> {
        let bytes = match (&line.text, &line.base64) {
            (Some(text), None) => text.as_bytes().to_vec(),
            (None, Some(text)) => base64::decode(text).ok_or_else(|| self.bad("a blob's part is not base64"))?,
            (None, None) | (Some(_), Some(_)) => return Err(self.bad("a blob's part needs a text or base64")),
        };
        let mut current = match self.current.take() {
            Some(current) => current,
            None => {
                if self.wanted.pop_front() != Some(line.hash) {
                    return Err(self.bad(format!("blob {} is not the one that is named next", line.hash)));
                }
                let blob = BlobRef { hash: line.hash, size: line.size };
                Current { blob, offset: 0, hasher: blake3::Hasher::new() }
            }
        };
        let same = BlobRef { hash: line.hash, size: line.size } == current.blob && line.offset == current.offset;
        if !same || bytes.len() > PART_BYTES || (bytes.is_empty() && line.size > 0) {
            return Err(self.bad(format!("the parts of blob {} do not fit together", current.blob.hash)));
        }
        current.hasher.update(&bytes);
        current.offset += bytes.len() as u64;
        let last = current.offset >= current.blob.size;
        if last {
            let found = Hash::from_bytes(*current.hasher.finalize().as_bytes());
            if current.offset != current.blob.size || found != current.blob.hash {
                return Err(self.bad(format!("blob {} has the hash {found}", current.blob.hash)));
            }
            self.counts.blobs += 1;
        } else {
            self.current = Some(current);
        }
        Ok(Entry::Blob { hash: line.hash, size: line.size, bytes, last })
    }

    fn take_end(&mut self, end: &EndLine, line: &[u8]) -> Result<(), RunFileError> {
        if self.current.is_some() || !self.wanted.is_empty() {
            return Err(self.bad("blobs that its events name are missing"));
        }
        let Some((_, end_seq, head)) = self.last else { return Err(self.bad("it has no frame")) };
        if end_seq - 1 != self.header.last_seq || head != self.header.head {
            return Err(self.bad("its last frame is not the one that its header names"));
        }
        let Counts { frames, events, blobs } = self.counts;
        let blake3 = Hash::from_bytes(*self.hasher.finalize().as_bytes());
        // Compared as text too: this is the one line that no hash covers.
        let exact = serde_json::to_vec(&Line::End(EndLine { frames, events, blobs, blake3 })).unwrap_or_default();
        if *end != (EndLine { frames, events, blobs, blake3 }) || line.strip_suffix(b"\n") != Some(&exact[..]) {
            return Err(self.bad("its last line does not match what stands before it"));
        }
        if self.at < self.chunk.len() {
            return Err(self.bad("something stands behind its last line"));
        }
        let Some(mut input) = self.input.take() else { return Ok(()) };
        let mut rest = [0];
        let behind = loop {
            match input.read(&mut rest) {
                Ok(n) => break n > 0,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.broken(e)),
            }
        };
        let file = input.finish();
        if behind || !file.buffer().is_empty() || file_goes_on(file) {
            return Err(self.bad("something stands behind its end"));
        }
        Ok(())
    }

    /// A line with its end, of bounded length.
    fn read_line(&mut self) -> Result<Vec<u8>, RunFileError> {
        let mut line = Vec::new();
        self.line += 1;
        loop {
            let fresh = &self.chunk[self.at..];
            let end = fresh.iter().position(|b| *b == b'\n').map(|at| at + 1);
            let taken = end.unwrap_or(fresh.len());
            line.extend_from_slice(&fresh[..taken]);
            self.at += taken;
            if line.len() > MAX_LINE_BYTES {
                return Err(self.bad(format!("a line has more than {MAX_LINE_BYTES} bytes")));
            }
            if end.is_some() {
                return Ok(line);
            }
            self.chunk.resize(64 << 10, 0);
            self.at = 0;
            let Some(input) = &mut self.input else { return Err(self.bad("it ends here")) };
            let read = input.read(&mut self.chunk);
            match read {
                Ok(0) => {
                    self.chunk.clear();
                    return Err(self.bad("it was cut off here"));
                }
                Ok(n) => self.chunk.truncate(n),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => self.chunk.clear(),
                Err(e) => {
                    self.chunk.clear();
                    return Err(self.broken(e));
                }
            }
        }
    }

    fn bad(&self, what: impl Into<String>) -> RunFileError {
        let seq = self.last.map_or(self.header.first_seq, |(_, end, _)| end);
        RunFileError::Bad { path: self.path.clone(), line: self.line, seq, what: what.into() }
    }

    /// An error of the system is told as such; all others are what zstd thinks of the bytes.
    fn broken(&self, e: io::Error) -> RunFileError {
        match e.raw_os_error() {
            Some(_) => RunFileError::Disk(Error::io("read", &self.path, e)),
            None => self.bad(e.to_string()),
        }
    }
}

fn file_goes_on(mut file: BufReader<File>) -> bool {
    file.fill_buf().is_ok_and(|rest| !rest.is_empty())
}
