//! A log that is only read: an index of its segment files in memory, made in one pass over them. It takes no lock, needs
//! no store, starts no thread and writes nothing, so that any number of programs may do so at once, beside the log's
//! holder or without one. The pass costs the whole journal; what a holder keeps current in the store costs it nothing.

use crate::{
    Error, Frame, Head,
    archives::Archives,
    frame::Entry,
    last_head::LastHead,
    read::Entries,
    span::Span,
    walk::{SegmentReader, Slot},
};
use std::{
    collections::HashMap,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};
use uuid::Uuid;

/// A log at one moment, for reading from any thread. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ReadOnly {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    data_dir: PathBuf,
    /// The segment files, held open: one that is compacted meanwhile is still read as it was.
    segments: Vec<(PathBuf, File)>,
    places: Vec<Place>,
    /// The places with frames of each stream, in order.
    streams: HashMap<Uuid, Vec<u32>>,
    head: Head,
}

/// Where an entry stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// The sequence number after its last event.
    end_seq: u64,
    /// The number of its segment.
    segment: u32,
    /// Its first byte in the file.
    offset: u64,
}

impl ReadOnly {
    /// Reads the log in `data_dir` to its end, and shows each frame that no archive holds. A write that is under way or was
    /// cut off is where it ends. No directory is an empty log.
    ///
    /// # Errors
    /// A file cannot be read, is damaged before its end, or is of a newer version; its end is missing, by what was noted when
    /// the log was last closed; or what `show` answers.
    pub fn open<E: From<Error>>(data_dir: &Path, mut show: impl FnMut(&Frame) -> Result<(), E>) -> Result<ReadOnly, E> {
        let mut entries = Entries::open(&data_dir.join(super::log::JOURNAL_DIR), 1)?;
        let mut segments: Vec<(PathBuf, File)> = Vec::new();
        let mut opened = None;
        let last_head = LastHead::of(data_dir);
        let (mut places, mut streams) = (Vec::new(), HashMap::<Uuid, Vec<u32>>::new());
        while let Some(entry) = entries.next_entry()? {
            let (index, end) = entries.walk().position();
            if opened != Some(index) {
                opened = Some(index);
                segments.extend(entries.walk().file()?);
            }
            let offset = end - entries.walk().record().len() as u64;
            let number = u32::try_from(places.len()).unwrap_or(u32::MAX);
            if let Some(last) = &last_head {
                match &entry {
                    Entry::Frame(frame) => last.look(frame.end_seq(), &frame.hash)?,
                    Entry::Span(span) => last.look(span.end_seq, &span.hash)?,
                }
            }
            let mut note = |stream: Uuid| streams.entry(stream).or_default().push(number);
            let end_seq = match &entry {
                Entry::Frame(frame) => {
                    note(frame.keys.stream);
                    show(frame)?;
                    frame.end_seq()
                }
                Entry::Span(span) => {
                    span.streams().into_iter().for_each(&mut note);
                    span.end_seq
                }
            };
            let segment = u32::try_from(segments.len().saturating_sub(1)).unwrap_or(u32::MAX);
            places.push(Place { end_seq, segment, offset });
        }
        let head = entries.walk().chain().map_or(Head::EMPTY, |chain| chain.head());
        if let Some(last) = &last_head {
            last.ends(head)?;
        }
        let data_dir = data_dir.to_path_buf();
        Ok(ReadOnly { inner: Arc::new(Inner { data_dir, segments, places, streams, head }) })
    }

    /// Where it ends.
    #[must_use]
    pub fn head(&self) -> Head {
        self.inner.head
    }

    /// All frames from the one that holds event `seq` on, in order.
    #[must_use]
    pub fn frames_from(&self, seq: u64) -> ReadOnlyFrames {
        let from = self.inner.places.partition_point(|place| place.end_seq <= seq);
        self.frames(from, None, seq)
    }

    /// The frames of a stream, oldest first, from the one that holds event `seq`, or the first after it.
    #[must_use]
    pub fn frames_of_stream_from(&self, stream: Uuid, seq: u64) -> ReadOnlyFrames {
        let is_before = |number: &u32| self.inner.places[*number as usize].end_seq <= seq;
        let from = self.inner.streams.get(&stream).map_or(0, |places| places.partition_point(is_before));
        self.frames(from, Some(stream), seq)
    }

    fn frames(&self, at: usize, stream: Option<Uuid>, from_seq: u64) -> ReadOnlyFrames {
        ReadOnlyFrames {
            archives: Archives::of(&self.inner.data_dir),
            log: self.clone(),
            at,
            stream,
            from_seq,
            reader: None,
            archived: Vec::new().into_iter(),
        }
    }
}

impl Inner {
    /// The place with this number, among all or among those of a stream.
    fn place(&self, stream: Option<Uuid>, at: usize) -> Option<Place> {
        let number = match stream {
            Some(stream) => *self.streams.get(&stream)?.get(at)? as usize,
            None => at,
        };
        self.places.get(number).copied()
    }
}

/// Frames of a log that is only read, oldest first.
#[derive(Debug)]
pub struct ReadOnlyFrames {
    log: ReadOnly,
    /// The next place, among all or among those of the stream.
    at: usize,
    stream: Option<Uuid>,
    from_seq: u64,
    reader: Option<(u32, SegmentReader)>,
    archives: Archives,
    /// Frames of the last span that are still to be given.
    archived: std::vec::IntoIter<Frame>,
}

impl ReadOnlyFrames {
    fn read(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            let next = match self.archived.next() {
                Some(frame) => frame,
                None => {
                    let Some(place) = self.log.inner.place(self.stream, self.at) else { return Ok(None) };
                    self.at += 1;
                    match self.entry(place)? {
                        Entry::Frame(frame) => *frame,
                        Entry::Span(span) => {
                            self.archived = self.of_archives(&span)?.into_iter();
                            continue;
                        }
                    }
                }
            };
            if next.end_seq() > self.from_seq && self.stream.is_none_or(|stream| next.keys.stream == stream) {
                return Ok(Some(next));
            }
        }
    }

    fn of_archives(&mut self, span: &Span) -> Result<Vec<Frame>, Error> {
        match self.stream {
            Some(stream) => self.archives.frames_of(span, stream),
            None => self.archives.frames(span),
        }
    }

    /// The entry at a place: it was read and checked once, and is checked against its own hash again.
    fn entry(&mut self, place: Place) -> Result<Entry, Error> {
        let inner = self.log.inner.clone();
        let (path, file) = &inner.segments[place.segment as usize];
        let mut reader = match self.reader.take() {
            Some((segment, reader)) if segment == place.segment => reader,
            _ => SegmentReader::of(path, file)?,
        };
        let slot = reader.slot(place.offset);
        self.reader = Some((place.segment, reader));
        let changed = |what: String| {
            let first_seq = place.end_seq.saturating_sub(1);
            Error::Damaged { seq: first_seq, file: path.clone(), offset: place.offset, what }
        };
        match slot? {
            Slot::Entry(entry) => Ok(entry),
            Slot::Bad(what) => Err(changed(what)),
            Slot::End => Err(changed("the frame that stood here is gone".to_owned())),
        }
    }
}

impl Iterator for ReadOnlyFrames {
    type Item = Result<Frame, Error>;

    fn next(&mut self) -> Option<Result<Frame, Error>> {
        let read = self.read().transpose();
        // Whoever can do without what an archive holds goes on.
        if matches!(&read, Some(Err(error)) if !matches!(error, Error::Archive { .. })) {
            self.at = usize::MAX;
        }
        read
    }
}
