//! The log: the journal and its store, opened, appended to and closed together.

use crate::{
    AppendError, Blobs, DirLock, Error, NewFrame,
    frame::{Entry, Frame},
    last_head,
    seam::{Head, Journal},
    segment::{self},
    segments::{LocalJournal, Options, Sealer},
    store::{Opened, SUSPECT, Store},
    store_renew,
    store_write::{StoreWriter, WriterThread},
    tail::{self, Look, Repair, Settled},
    trees::Applied,
    walk::{Chain, Step, Walk},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The segment files' directory in the data directory.
pub(crate) const JOURNAL_DIR: &str = "journal";
pub(crate) const STORE_DIR: &str = "store";
/// Where the last store is that was damaged.
const ASIDE: &str = "store.damaged";
/// The directory of the blobs in the data directory.
pub const BLOBS: &str = "blobs";
/// Frames are put into the store in groups of this many when it is caught up.
const CATCH_UP_FRAMES: usize = 256;
/// A long catch-up says how far it is every so many events.
const PROGRESS_EVENTS: u64 = 500_000;

/// What opening the log found and did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenReport {
    /// The unacknowledged tail that was cut, if there was one.
    pub repaired: Option<Repair>,
    /// How the store was.
    pub store: StoreReport,
}

/// How the store was when the log was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreReport {
    /// It held exactly what the journal holds.
    Clean,
    /// It had fallen behind; what was missing has been written.
    CaughtUp {
        /// How many frames.
        frames: u64,
    },
    /// It was made anew from the journal.
    Rebuilt {
        /// What was wrong with it.
        why: String,
        /// Where the old one is now; none when there was nothing to keep.
        moved_to: Option<PathBuf>,
    },
}

/// The log of one data directory, for its one writer.
#[derive(Debug)]
pub struct Log {
    // Dropped in this order: sled is let go before the lock.
    journal: LocalJournal,
    writer: WriterThread,
    store: Store,
    blobs: Blobs,
    failed: Option<String>,
    lock: DirLock,
}

/// What was learnt about the store while the journal was read.
struct Compared {
    /// Why it disagrees.
    why: Option<String>,
}

impl Log {
    /// Opens the log in `data_dir`, making what is missing: reads the journal's end, cuts an unacknowledged tail, and
    /// brings the store to the journal's end or makes it anew. `lock` is the lock of the same directory.
    ///
    /// # Errors
    /// [`Error::Damaged`] when an acknowledged frame is missing or changed (nothing is touched then),
    /// [`Error::NewerVersion`], [`Error::Full`], [`Error::NotWritable`], or another failure of the file system.
    pub fn open(data_dir: &Path, lock: DirLock, options: Options) -> Result<(Log, OpenReport), Error> {
        let journal_dir = data_dir.join(JOURNAL_DIR);
        let store_dir = data_dir.join(STORE_DIR);
        fs::create_dir_all(data_dir).map_err(|e| Error::io("create", data_dir, e))?;
        let segments = segment::list(&journal_dir)?;
        store_renew::finish(data_dir, &store_dir)?;
        let had_store = store_dir.exists();
        // sled writes as it opens, and one that finds no room for that is damaged.
        full_disk(&store_dir, &options, options.keep_free_bytes.min(SLED_OPENS_BYTES), "it cannot be opened now")?;
        let opened = open_store(data_dir, &store_dir, &options)?;
        let (mut compared, applied) = match &opened {
            Opened::Usable(store) => (Compared { why: None }, store.applied()),
            Opened::Old(version) => {
                (Compared { why: Some(format!("it has the old format {version}")) }, Applied::NOTHING)
            }
            Opened::Unusable(why) => (Compared { why: Some(why.clone()) }, Applied::NOTHING),
        };
        let look = Look {
            from_seq: applied.last_first_seq.max(1),
            verify_bytes: options.verify_bytes,
            store_mark: applied.next_seq - 1,
        };
        let settled = tail::settle(segments, look, options.disk.as_ref(), &mut |frame, record| match &opened {
            Opened::Usable(store) if compared.why.is_none() => compared.look(store, applied, frame, record),
            Opened::Usable(_) | Opened::Old(_) | Opened::Unusable(_) => Ok(()),
        })?;
        if let (Opened::Usable(store), None) = (&opened, &compared.why) {
            compared.why = cannot_follow(store, &settled)?;
        }
        let (store, report) = match (opened, compared.why) {
            (Opened::Usable(store), None) if had_store || settled.chain.next_seq == 1 => (store, None),
            (Opened::Usable(store), None) => {
                let why = "it was missing".to_owned();
                (store, Some(StoreReport::Rebuilt { why, moved_to: None }))
            }
            (opened, why) => {
                full_disk(&store_dir, &options, options.keep_free_bytes, why.as_deref().unwrap_or_default())?;
                let keep = !matches!(opened, Opened::Old(_));
                drop(opened);
                let moved_to = move_aside(data_dir, &store_dir, keep, &options)?;
                let why = why.unwrap_or_default();
                (fresh_store(&store_dir, &options)?, Some(StoreReport::Rebuilt { why, moved_to }))
            }
        };
        Log::finish_open(data_dir, lock, options, &settled, (store, report))
    }

    fn finish_open(
        data_dir: &Path,
        lock: DirLock,
        options: Options,
        settled: &Settled,
        (store, report): (Store, Option<StoreReport>),
    ) -> Result<(Log, OpenReport), Error> {
        // Opening the journal makes its end durable: only then may the store hold it.
        let tips = Box::new(store.clone());
        let journal_dir = data_dir.join(JOURNAL_DIR);
        let mut journal = LocalJournal::from_settled(&journal_dir, settled, options.clone(), tips)?;
        let mut writer = StoreWriter::new(store.clone())?;
        let frames = catch_up(&store, &mut writer, settled)?;
        store.caught_up();
        let writer = WriterThread::start(writer)?;
        if frames > 0 {
            writer.flush()?;
        }
        remove_note(data_dir)?;
        let store_report = match report {
            Some(report) => report,
            None if frames == 0 => StoreReport::Clean,
            None => StoreReport::CaughtUp { frames },
        };
        journal.reserve()?;
        let blobs = Blobs::open(&data_dir.join(BLOBS), options.disk.clone())?;
        blobs.clean()?;
        let log = Log { journal, writer, store, blobs, failed: None, lock };
        Ok((log, OpenReport { repaired: settled.repaired.clone(), store: store_report }))
    }

    /// Appends a group at the head: durable in the journal with one sync, then readable from the store. An empty group
    /// is a no-op. The frames must follow on [`Log::next_seq`].
    ///
    /// # Errors
    /// See [`AppendError`]. After `Failed` the process must stop; whether the group survives shows at the next open.
    pub fn append(&mut self, group: Vec<NewFrame>) -> Result<(), AppendError> {
        if let Some(what) = &self.failed {
            return Err(AppendError::Failed { path: self.lock.dir().join(STORE_DIR), what: what.clone() });
        }
        let next = self.next_seq();
        let expected = group.first().map_or(next, |f| f.first_seq);
        let written = self.journal.append_written(expected, group)?;
        if written.frames.is_empty() {
            return Ok(());
        }
        if let Err(e) = self.store.push(Arc::new(written)) {
            let what = format!("the journal has the group, the store cannot take it: {e}");
            self.failed = Some(what.clone());
            return Err(AppendError::Failed { path: self.lock.dir().join(STORE_DIR), what });
        }
        Ok(())
    }

    /// The store, for reading.
    #[must_use]
    pub fn reader(&self) -> Store {
        self.store.clone()
    }

    /// Asks for a new segment, from any thread.
    #[must_use]
    pub fn sealer(&self) -> Sealer {
        self.journal.sealer()
    }

    /// The content-addressed files beside the log.
    #[must_use]
    pub fn blobs(&self) -> Blobs {
        self.blobs.clone()
    }

    /// The sequence number that the next event gets; 1 for an empty log.
    #[must_use]
    pub fn next_seq(&self) -> u64 {
        self.head().next_seq
    }

    /// Where the log ends: everything before it is durable.
    #[must_use]
    pub fn head(&self) -> Head {
        self.journal.head()
    }

    /// Stops cleanly: flushes the store, trims the last segment, gives up the reserved room and the lock.
    ///
    /// # Errors
    /// A file cannot be written or synced; nothing that was appended is lost by it.
    pub fn close(self) -> Result<(), Error> {
        let flushed = if self.failed.is_none() { self.writer.flush() } else { Ok(()) };
        let head = Journal::head(&self.journal);
        let closed = self.journal.close();
        drop(self.writer);
        if let (Ok(()), Some(data_dir)) = (&closed, self.store.dir().parent()) {
            last_head::note(data_dir, head);
        }
        drop(self.store);
        drop(self.lock);
        flushed.and(closed)
    }
}

impl Compared {
    /// Compares one frame of the journal with the store's copy. A store that cannot be read is one that disagrees.
    fn look(&mut self, store: &Store, applied: Applied, frame: &Frame, record: &[u8]) -> Result<(), Error> {
        if frame.first_seq >= applied.next_seq {
            return Ok(());
        }
        if frame.first_seq == applied.last_first_seq && frame.hash != applied.hash {
            self.why = Some(format!("its head is not the journal's frame at event {}", frame.first_seq));
            return Ok(());
        }
        match store.record(frame.first_seq) {
            Ok(Some(copy)) if copy == record => Ok(()),
            Ok(Some(_)) => {
                self.why = Some(format!("its frame at event {} differs from the journal's", frame.first_seq));
                Ok(())
            }
            Ok(None) => {
                self.why = Some(format!("it has lost the frame at event {}", frame.first_seq));
                Ok(())
            }
            Err(Error::Store { what, .. }) => {
                self.why = Some(what);
                Ok(())
            }
            Err(other) => Err(other),
        }
    }
}

fn open_store(data_dir: &Path, store_dir: &Path, options: &Options) -> Result<Opened, Error> {
    if let Ok(what) = fs::read_to_string(data_dir.join(SUSPECT)) {
        return Ok(Opened::Unusable(format!("reading it failed before: {what}")));
    }
    Store::open(store_dir, options)
}

fn fresh_store(store_dir: &Path, options: &Options) -> Result<Store, Error> {
    match Store::open(store_dir, options)? {
        Opened::Usable(store) => Ok(store),
        Opened::Old(_) => Err(Error::Store { path: store_dir.to_path_buf(), what: "it is not empty".to_owned() }),
        Opened::Unusable(what) => Err(Error::Store { path: store_dir.to_path_buf(), what }),
    }
}

/// What sled may write while it is opened.
const SLED_OPENS_BYTES: u64 = 1 << 20;

/// Without room sled cannot be used, whatever it holds: that is no reason to make it anew, and there would be no room.
fn full_disk(store_dir: &Path, options: &Options, needed: u64, why: &str) -> Result<(), Error> {
    let data_dir = store_dir.parent().unwrap_or(store_dir);
    let free = options.disk.free_bytes(data_dir).map_err(|e| Error::io("ask for the free space of", data_dir, e))?;
    if free >= needed {
        return Ok(());
    }
    let what = format!("{free} bytes are free: {why}");
    Err(Error::io("open", store_dir, std::io::Error::new(std::io::ErrorKind::StorageFull, what)))
}

/// Moves a store that is of no use out of the way, in the place of one that was before it: for whoever wants to find out
/// what happened to it. One of an older format is gone at once.
fn move_aside(data_dir: &Path, store_dir: &Path, keep: bool, options: &Options) -> Result<Option<PathBuf>, Error> {
    let aside = data_dir.join(ASIDE);
    store_renew::remove(&aside)?;
    match fs::rename(store_dir, &aside) {
        Ok(()) => {}
        // A note can outlive the store that it is about.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::io("move", store_dir, e)),
    }
    options.disk.sync_dir(data_dir).map_err(|e| Error::io("sync", data_dir, e))?;
    if keep {
        return Ok(Some(aside));
    }
    store_renew::remove(&aside)?;
    Ok(None)
}

fn remove_note(data_dir: &Path) -> Result<(), Error> {
    let note = data_dir.join(SUSPECT);
    match fs::remove_file(&note) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io("remove", &note, e)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Why the store cannot be brought to the journal's end, if it cannot: frames were archived that it has in part, or where
/// it has blocks behind its end. Where blocks end depends on what stands in them.
fn cannot_follow(store: &Store, settled: &Settled) -> Result<Option<String>, Error> {
    let from = store.applied().next_seq;
    if from >= settled.chain.next_seq {
        return Ok(None);
    }
    let is_ahead = store.is_ahead()?;
    let mut walk = walk_from(settled, from);
    loop {
        match walk.step()? {
            Step::Span(span) if span.end_seq > from && (is_ahead || span.first_seq < from) => {
                return Ok(Some(format!(
                    "it ends at event {from}, and events from {} on were archived",
                    span.first_seq
                )));
            }
            Step::Frame(_) | Step::Span(_) => {}
            Step::End => return Ok(None),
            Step::Bad(damage) => return Err(damage.into_error()),
        }
    }
}

fn walk_from(settled: &Settled, from: u64) -> Walk {
    let index = settled.segments.iter().rposition(|s| s.first_seq <= from).unwrap_or(0);
    let chain = (index == 0).then_some(Chain::GENESIS);
    Walk::new(settled.segments.clone(), index, 0, chain)
}

/// Writes into the store what the journal holds beyond it; says how many frames, or spans of archived ones, that was.
fn catch_up(store: &Store, writer: &mut StoreWriter, settled: &Settled) -> Result<u64, Error> {
    let from = store.applied().next_seq;
    if from >= settled.chain.next_seq {
        return Ok(0);
    }
    let mut walk = walk_from(settled, from);
    let mut group: Vec<(Entry, Vec<u8>)> = Vec::new();
    let (mut written, mut shown) = (0, from);
    loop {
        let entry = match walk.step()? {
            Step::Frame(frame) => Entry::Frame(frame),
            Step::Span(span) => Entry::Span(span),
            Step::End => {
                writer.write(group.iter().map(|(entry, record)| (entry.view(), record.as_slice())))?;
                return Ok(written + group.len() as u64);
            }
            // The tail is settled, so this is older than what the open looked at.
            Step::Bad(damage) => return Err(damage.into_error()),
        };
        if entry.first_seq() < from {
            continue;
        }
        let at = entry.first_seq();
        group.push((entry, walk.record().to_vec()));
        if group.len() >= CATCH_UP_FRAMES {
            if at / PROGRESS_EVENTS > shown / PROGRESS_EVENTS {
                shown = at;
                tracing::info!("the store takes in the journal: event {shown} of {}", settled.chain.next_seq - 1);
            }
            written += group.len() as u64;
            writer.write(group.iter().map(|(entry, record)| (entry.view(), record.as_slice())))?;
            group.clear();
        }
    }
}
