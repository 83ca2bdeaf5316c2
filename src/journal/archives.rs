//! Archives: run files (see `run_file`) that hold the frames of a milestone in the journal's place, one per milestone,
//! under `archives/`. Where the journal has a span, its frames are read from here, and checked to be the very ones that
//! were taken away: their hashes lead from the hash before the span to the hash at its end.

use crate::{
    Error, Hash,
    frame::Frame,
    run_file::{self, FileFrames, RunFileError, RunReader},
    span::Span,
};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
};
use uuid::Uuid;

/// The archives' directory in the data directory.
pub const ARCHIVES: &str = "archives";
/// How many archives are kept open between two spans: about as many runs as are at work at the same time. An open one
/// takes the window of its decoder, 4 MiB.
const OPEN: usize = 8;

/// Where the archive of a milestone is.
#[must_use]
pub fn archive_path(data_dir: &Path, stream: Uuid) -> PathBuf {
    data_dir.join(ARCHIVES).join(format!("{stream}.{}", run_file::EXTENSION))
}

/// One archive, read as far as it was needed.
struct Reading {
    stream: Uuid,
    frames: std::iter::Peekable<FileFrames>,
    /// Every frame from this event on is still to come.
    from: u64,
}

/// Reads frames from archives. Spans that are asked for in their order cost reading each archive once.
pub(crate) struct Archives {
    data_dir: PathBuf,
    open: VecDeque<Reading>,
}

impl std::fmt::Debug for Archives {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Archives").field("data_dir", &self.data_dir).finish_non_exhaustive()
    }
}

impl Archives {
    /// Those of a data directory.
    pub(crate) fn of(data_dir: &Path) -> Archives {
        Archives { data_dir: data_dir.to_path_buf(), open: VecDeque::new() }
    }

    /// All frames of a span, in order.
    ///
    /// # Errors
    /// [`Error::Archive`]: an archive is missing, or does not hold what the span stands for.
    pub(crate) fn frames(&mut self, span: &Span) -> Result<Vec<Frame>, Error> {
        let mut all = Vec::new();
        for stream in span.streams() {
            all.extend(self.frames_of(span, stream)?);
        }
        all.sort_by_key(|frame| frame.first_seq);
        let mut hash = span.prev_hash;
        let mut next = span.first_seq;
        for frame in &all {
            if frame.first_seq != next || frame.prev_hash != hash {
                let what = format!("the frame at event {next} is missing, or is not the one that was archived");
                return Err(self.failed(span, frame.keys.stream, what));
            }
            (next, hash) = (frame.end_seq(), frame.hash);
        }
        if next != span.end_seq || hash != span.hash {
            let stream = span.streams().last().copied().unwrap_or_default();
            return Err(self.failed(span, stream, format!("the frame at event {next} is missing")));
        }
        Ok(all)
    }

    /// The frames of a span that are of one stream, in order: each with its hash and linked to the one before, the last one
    /// the last that was archived.
    ///
    /// # Errors
    /// As of [`Archives::frames`].
    pub(crate) fn frames_of(&mut self, span: &Span, stream: Uuid) -> Result<Vec<Frame>, Error> {
        let mut reading = match self.open.iter().position(|r| r.stream == stream && r.from <= span.first_seq) {
            Some(at) => self.open.remove(at).expect("it was just found"),
            None => self.start(span, stream)?,
        };
        let mut found = Vec::new();
        while let Some(next) = reading.frames.peek() {
            match next {
                Ok(frame) if frame.first_seq >= span.end_seq => break,
                Ok(_) | Err(_) => {}
            }
            match reading.frames.next() {
                Some(Ok(frame)) if frame.first_seq >= span.first_seq => found.push(frame),
                Some(Ok(_)) | None => {}
                Some(Err(e)) => return Err(self.refused(span, stream, e)),
            }
        }
        let last = span.members_of(|member| member.stream == stream).map(|(_, last)| last).max();
        let linked = found.windows(2).all(|two| two[1].prev_in_stream == two[0].first_seq);
        if !linked || found.iter().any(|f| f.keys.stream != stream) || found.last().map(|f| f.first_seq) != last {
            let what = "it is the archive of something else, or an earlier one".to_owned();
            return Err(self.failed(span, stream, what));
        }
        reading.from = span.end_seq;
        self.open.push_back(reading);
        if self.open.len() > OPEN {
            self.open.pop_front();
        }
        Ok(found)
    }

    fn start(&mut self, span: &Span, stream: Uuid) -> Result<Reading, Error> {
        // One that is further on is of no more use.
        self.open.retain(|reading| reading.stream != stream);
        let reader = RunReader::open_unread(&archive_path(&self.data_dir, stream));
        match reader {
            Ok(reader) => Ok(Reading { stream, frames: reader.frames().peekable(), from: 1 }),
            Err(e) => Err(self.refused(span, stream, e)),
        }
    }

    fn refused(&self, span: &Span, stream: Uuid, e: RunFileError) -> Error {
        let what = match e {
            RunFileError::Bad { what, line, .. } => format!("line {line}: {what}"),
            RunFileError::Disk(Error::Io { source, .. } | Error::NotWritable { source, .. }) => source.to_string(),
            other => other.to_string(),
        };
        self.failed(span, stream, what)
    }

    fn failed(&self, span: &Span, stream: Uuid, what: String) -> Error {
        Error::Archive {
            path: archive_path(&self.data_dir, stream),
            first_seq: span.first_seq,
            last_seq: span.end_seq.saturating_sub(1),
            what,
        }
    }
}

/// The content of a blob that an archive holds; none when it names no such blob.
///
/// # Errors
/// The archive is missing or damaged.
pub fn archived_blob(data_dir: &Path, stream: Uuid, wanted: &Hash) -> Result<Option<Vec<u8>>, RunFileError> {
    let mut reader = RunReader::open_unread(&archive_path(data_dir, stream))?;
    let mut content = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        if let run_file::Entry::Blob { hash, bytes, last, .. } = entry
            && hash == *wanted
        {
            content.extend_from_slice(&bytes);
            if last {
                return Ok(Some(content));
            }
        }
    }
    Ok(None)
}
