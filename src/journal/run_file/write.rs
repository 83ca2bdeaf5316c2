//! Writing a run file.

use super::{
    Readable, base64, blobs_named,
    form::{BlobLine, EndLine, FrameLine, Header, Line, MAX_LINE_BYTES, PART_BYTES, VERSION},
};
use crate::{BlobRef, Error, Frame, Hash};
use std::{
    collections::BTreeSet,
    io::{self, Write},
    path::Path,
};
use uuid::Uuid;

/// How hard zstd tries. Level 9 is where text stops getting much smaller for the time it takes.
const LEVEL: i32 = 9;

/// The frames of a stream, from its beginning.
pub type StreamFrames<'a> = Box<dyn Iterator<Item = Result<Frame, Error>> + 'a>;

/// What a run file is made from.
pub struct Source<'a> {
    /// The run.
    pub run: Uuid,
    /// Its milestone.
    pub stream: Uuid,
    /// Its first event: a frame may begin a run and be found under another one.
    pub begins: u64,
    /// Reads the frames of the stream; called twice.
    pub frames: &'a dyn Fn() -> StreamFrames<'a>,
    /// Writes the content of a blob.
    pub blob: &'a dyn Fn(&Hash, &mut dyn Write) -> Result<u64, Error>,
    /// Reads payloads that are not JSON.
    pub readable: Readable,
}

impl std::fmt::Debug for Source<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("run", &self.run).field("stream", &self.stream).finish_non_exhaustive()
    }
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// What the file begins with.
    pub header: Header,
    /// Frames.
    pub frames: u64,
    /// Events in them.
    pub events: u64,
    /// Blobs.
    pub blobs: u64,
}

/// Writes the run file of `source` to `out`. The same frames give the same bytes.
///
/// # Errors
/// A frame or a blob cannot be read, or `out` cannot be written; `path` names it in the error.
pub fn write(source: &Source<'_>, out: impl Write, path: &Path) -> Result<Written, Error> {
    let header = look(source)?;
    let failed = |e: io::Error| Error::io("write", path, e);
    let mut encoder = zstd::stream::write::Encoder::new(out, LEVEL).map_err(failed)?;
    encoder.include_checksum(true).map_err(failed)?;
    let mut lines = Lines { out: encoder, hasher: blake3::Hasher::new(), path };
    lines.put(&Line::Header(header.clone()))?;
    let mut written = Written { header, frames: 0, events: 0, blobs: 0 };
    let blobs = frames(source, &mut lines, &mut written)?;
    for blob in &blobs {
        let mut parts = Parts { lines: &mut lines, blob: *blob, offset: 0, pending: Vec::new(), failed: None };
        let copied = (source.blob)(&blob.hash, &mut parts);
        if let Some(e) = parts.failed.take() {
            return Err(e);
        }
        let size = copied?;
        if size != blob.size {
            let what = format!("it has {size} bytes, the log says {}", blob.size);
            return Err(Error::BlobDamaged { path: blob.hash.to_string().into(), what });
        }
        parts.finish()?;
        written.blobs += 1;
    }
    let blake3 = Hash::from_bytes(*lines.hasher.finalize().as_bytes());
    let Written { frames, events, blobs, .. } = written;
    lines.put(&Line::End(EndLine { frames, events, blobs, blake3 }))?;
    lines.out.finish().and_then(|mut out| out.flush()).map_err(failed)?;
    Ok(written)
}

/// What the file spans: the frames of the stream up to the run's last.
fn look(source: &Source<'_>) -> Result<Header, Error> {
    let mut first = None;
    let mut last = None;
    for frame in (source.frames)() {
        let frame = frame?;
        first.get_or_insert(frame.first_seq);
        if frame.keys.run == Some(source.run) || frame.first_seq <= source.begins {
            last = Some((frame.last_seq(), frame.hash));
        }
    }
    let (Some(first_seq), Some((last_seq, head))) = (first, last) else {
        let what = format!("it has no frame of run {}", source.run);
        return Err(Error::NotALog { path: source.stream.to_string().into(), what });
    };
    Ok(Header { version: VERSION, run: source.run, stream: source.stream, first_seq, last_seq, head })
}

/// Writes the frames, and gives the blobs that they name.
fn frames<W: Write>(
    source: &Source<'_>,
    lines: &mut Lines<'_, W>,
    written: &mut Written,
) -> Result<Vec<BlobRef>, Error> {
    let mut blobs = Vec::new();
    let mut known = BTreeSet::new();
    for frame in (source.frames)() {
        let frame = frame?;
        if frame.first_seq > written.header.last_seq {
            break;
        }
        let line = FrameLine::of(&frame, source.readable);
        blobs.extend(blobs_named(line.json()).filter(|blob| known.insert(blob.hash)));
        written.frames += 1;
        written.events += u64::from(frame.events);
        lines.put(&Line::Frame(line))?;
    }
    Ok(blobs)
}

struct Lines<'a, W: Write> {
    out: zstd::stream::write::Encoder<'static, W>,
    hasher: blake3::Hasher,
    path: &'a Path,
}

impl<W: Write> Lines<'_, W> {
    fn put(&mut self, line: &Line<'_>) -> Result<(), Error> {
        let mut bytes = serde_json::to_vec(line).map_err(|e| Error::io("write", self.path, e.into()))?;
        bytes.push(b'\n');
        if bytes.len() > MAX_LINE_BYTES {
            let what = format!("a frame takes {} bytes, a run file holds {MAX_LINE_BYTES} in a line", bytes.len());
            return Err(Error::NotALog { path: self.path.to_path_buf(), what });
        }
        self.hasher.update(&bytes);
        self.out.write_all(&bytes).map_err(|e| Error::io("write", self.path, e))
    }
}

/// Takes a blob's content and writes it in parts: text where it is text, because people read these files.
struct Parts<'a, 'b, W: Write> {
    lines: &'a mut Lines<'b, W>,
    blob: BlobRef,
    offset: u64,
    pending: Vec<u8>,
    failed: Option<Error>,
}

impl<W: Write> Parts<'_, '_, W> {
    fn finish(mut self) -> Result<(), Error> {
        if self.pending.is_empty() && self.offset > 0 {
            return Ok(());
        }
        let rest = std::mem::take(&mut self.pending);
        self.part(&rest)
    }

    fn part(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let text = std::str::from_utf8(bytes).ok();
        let line = BlobLine {
            hash: self.blob.hash,
            size: self.blob.size,
            offset: self.offset,
            text: text.map(Into::into),
            base64: text.is_none().then(|| base64::encode(bytes).into()),
        };
        self.offset += bytes.len() as u64;
        self.lines.put(&Line::Blob(line))
    }
}

impl<W: Write> Write for Parts<'_, '_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pending.extend_from_slice(bytes);
        // More than a part, so that the last one is known to be the last: only there may a character be cut.
        while self.pending.len() > PART_BYTES {
            let cut = match std::str::from_utf8(&self.pending[..PART_BYTES]) {
                Err(e) if e.error_len().is_none() && e.valid_up_to() > 0 => e.valid_up_to(),
                Ok(_) | Err(_) => PART_BYTES,
            };
            let rest = self.pending.split_off(cut);
            let part = std::mem::replace(&mut self.pending, rest);
            if let Err(e) = self.part(&part) {
                self.failed = Some(e);
                return Err(io::Error::other("the run file cannot be written"));
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
