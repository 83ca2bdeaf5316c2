//! The local journal: preallocated segment files, written in place, one `fdatasync` per group.

use crate::{
    AppendError, Error, Repair,
    disk::{Disk, RealDisk},
    frame::{self, Frame, NewFrame},
    read::JournalFrames,
    seam::{Head, Journal, Tips},
    segment::{self, Segment},
    spare::{NoWay, Spare, Taken, allocate},
    tail::{self, Look, Settled},
    walk::Chain,
};
use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use uuid::Uuid;

/// What a process has written before it is worth having zeros written ahead of it: some hundreds of events.
const BUSY_BYTES: u64 = 256 << 10;
/// How many streams and runs are remembered before the store is asked again.
const TIPS_KEPT: usize = 8192;

/// How the log is kept. The default is right for a daemon.
#[derive(Debug, Clone)]
pub struct Options {
    /// Size of a segment file, in bytes. A larger group gets a larger file.
    pub segment_bytes: u64,
    /// How much of the journal's end an open reads and compares with the store, in bytes.
    pub verify_bytes: u64,
    /// Appends are refused when the file system has less than this left, in bytes: the store and blobs need room too.
    pub keep_free_bytes: u64,
    /// sled's page cache, in bytes.
    pub store_cache_bytes: u64,
    /// The disk; another one only in tests.
    pub disk: Arc<dyn Disk>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            segment_bytes: 16 << 20,
            verify_bytes: 64 << 20,
            keep_free_bytes: 16 << 20,
            store_cache_bytes: 4 << 20,
            disk: Arc::new(RealDisk),
        }
    }
}

/// The segment that is being written.
#[derive(Debug)]
struct Active {
    file: File,
    path: PathBuf,
    end: u64,
    allocated: u64,
    /// All of its room was written before, see [`Spare::zero`].
    zeroed: bool,
}

/// A group as it was written: the frames, and each one's bytes.
#[derive(Debug, Default)]
pub(crate) struct Written {
    pub(crate) frames: Vec<Frame>,
    pub(crate) bytes: Vec<u8>,
    pub(crate) ranges: Vec<Range<usize>>,
}

/// Asks a journal to begin a new segment with the next group, so that all before it can be compacted.
#[derive(Debug, Clone, Default)]
pub struct Sealer(Arc<AtomicBool>);

impl Sealer {
    /// The next group begins a new segment, if there is room for one.
    pub fn seal(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The journal in segment files of one directory. The caller holds the data directory's lock.
pub struct LocalJournal {
    dir: PathBuf,
    options: Options,
    active: Option<Active>,
    spare: Spare,
    chain: Chain,
    tips: Box<dyn Tips>,
    known_tips: HashMap<Uuid, u64>,
    /// Streams and runs are told apart by this table, not by their ids.
    known_runs: HashMap<Uuid, u64>,
    failed: Option<(PathBuf, String)>,
    /// By this process, in bytes.
    written: u64,
    sealer: Sealer,
}

impl std::fmt::Debug for LocalJournal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LocalJournal").field("dir", &self.dir).field("chain", &self.chain).finish_non_exhaustive()
    }
}

impl LocalJournal {
    /// Opens the journal in `dir` by itself, reading all of it, and repairs its tail. `tips` answers for the frames
    /// that are in it.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::NewerVersion`], or the files cannot be read or written.
    pub fn open(dir: &Path, options: Options, tips: Box<dyn Tips>) -> Result<(LocalJournal, Option<Repair>), Error> {
        let look = Look { from_seq: 1, verify_bytes: u64::MAX, store_mark: 0 };
        let settled = tail::settle(segment::list(dir)?, look, options.disk.as_ref(), &mut |_, _| Ok(()))?;
        let repaired = settled.repaired.clone();
        Ok((LocalJournal::from_settled(dir, &settled, options, tips)?, repaired))
    }

    /// Goes on where `settled` ends, and makes durable whatever it found there.
    pub(crate) fn from_settled(
        dir: &Path,
        settled: &Settled,
        options: Options,
        tips: Box<dyn Tips>,
    ) -> Result<LocalJournal, Error> {
        let created = !dir.exists();
        fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, e))?;
        if let Some(parent) = dir.parent().filter(|_| created) {
            options.disk.sync_dir(parent).map_err(|e| Error::io("sync", parent, e))?;
        }
        let active = match settled.segments.last() {
            Some(segment) => Some(open_active(segment, settled.end, options.disk.as_ref())?),
            None => None,
        };
        options.disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))?;
        let spare = Spare::none_in(dir, options.disk.clone())?;
        Ok(LocalJournal {
            dir: dir.to_path_buf(),
            options,
            active,
            spare,
            chain: settled.chain.clone(),
            tips,
            known_tips: HashMap::new(),
            known_runs: HashMap::new(),
            failed: None,
            written: 0,
            sealer: Sealer::default(),
        })
    }

    /// Reserves the room for what comes next, so that a full disk is found out before it matters. No room is not an
    /// error here: it refuses appends, and reading must go on.
    pub(crate) fn reserve(&mut self) -> Result<(), Error> {
        let made = self.make_room(1).and_then(|()| self.spare.make(self.options.segment_bytes));
        match made {
            Ok(()) | Err(NoWay::NoRoom(_)) => Ok(()),
            Err(NoWay::Failed(path, what)) => {
                Err(Error::Io { doing: "reserve room in", path, source: io::Error::other(what) })
            }
        }
    }

    /// [`Journal::append`], giving the bytes of the frames too.
    pub(crate) fn append_written(&mut self, expected_next: u64, group: Vec<NewFrame>) -> Result<Written, AppendError> {
        if let Some((path, what)) = self.failed.clone() {
            return Err(AppendError::Failed { path, what });
        }
        if expected_next != self.chain.next_seq {
            return Err(AppendError::HeadMoved { expected: expected_next, actual: self.chain.next_seq });
        }
        if group.is_empty() {
            return Ok(Written::default());
        }
        check_group(&group, self.chain.next_seq)?;
        let needed = group.iter().map(frame::encoded_bytes).sum();
        let needed_bytes = needed as u64;
        let room = self.check_free(needed_bytes).and_then(|()| self.seal(needed_bytes));
        if let Err(no_way) = room.and_then(|()| self.make_room(needed_bytes)) {
            return Err(match no_way {
                NoWay::NoRoom(what) => AppendError::NoRoom { path: self.dir.clone(), needed_bytes, what },
                NoWay::Failed(path, what) => self.fail(path, what),
            });
        }
        let mut written = Written { bytes: Vec::with_capacity(needed), ..Written::default() };
        let chain = match self.encode_group(group, &mut written) {
            Ok(chain) => chain,
            Err(e) => return Err(self.fail(self.dir.clone(), e.to_string())),
        };
        self.write(&written.bytes)?;
        self.chain = chain;
        self.written += needed_bytes;
        if !self.spare.is_there() {
            // Ahead of need: an error here will be met again, and answered, when the room is needed.
            let _ = self.spare.make(self.options.segment_bytes);
        }
        if self.written >= BUSY_BYTES {
            self.spare.zero();
        }
        Ok(written)
    }

    /// Trims the last segment to what is written in it and gives up the reserved room.
    ///
    /// # Errors
    /// The files cannot be written or synced; nothing that was appended is lost by it.
    pub fn close(mut self) -> Result<(), Error> {
        self.spare.remove()?;
        let Some(active) = self.active.take() else { return Ok(()) };
        if self.failed.is_some() {
            return Ok(());
        }
        if active.end == 0 {
            fs::remove_file(&active.path).map_err(|e| Error::io("remove", &active.path, e))?;
        } else {
            active.file.set_len(active.end).map_err(|e| Error::io("trim", &active.path, e))?;
            self.options.disk.sync_data(&active.file).map_err(|e| Error::io("sync", &active.path, e))?;
        }
        self.options.disk.sync_dir(&self.dir).map_err(|e| Error::io("sync", &self.dir, e))
    }

    fn fail(&mut self, path: PathBuf, what: String) -> AppendError {
        self.failed = Some((path.clone(), what.clone()));
        AppendError::Failed { path, what }
    }

    /// Before every group: others fill the disk, too, and sled is lost with the first write that finds no room.
    fn check_free(&self, needed: u64) -> Result<(), NoWay> {
        let free = self.options.disk.free_bytes(&self.dir);
        let free = free.map_err(|e| NoWay::Failed(self.dir.clone(), format!("cannot ask for the free space: {e}")))?;
        if free < self.options.keep_free_bytes.saturating_add(needed) {
            return Err(NoWay::NoRoom(format!(
                "{free} bytes are free and {} are kept for the store",
                self.options.keep_free_bytes
            )));
        }
        Ok(())
    }

    pub(crate) fn sealer(&self) -> Sealer {
        self.sealer.clone()
    }

    /// Begins a new segment where that was asked for, or where the next one has become the faster one to write. Without
    /// room for one the old one goes on.
    fn seal(&mut self, needed: u64) -> Result<(), NoWay> {
        let asked = self.sealer.0.swap(false, Ordering::Relaxed);
        let Some(active) = self.active.as_ref().filter(|active| active.end > 0) else { return Ok(()) };
        if !asked && (active.zeroed || !self.spare.is_zeroed()) {
            return Ok(());
        }
        match self.rotate(needed) {
            Err(NoWay::NoRoom(_)) => Ok(()),
            rotated => rotated,
        }
    }

    /// Makes the active segment one that has room for `needed` bytes.
    fn make_room(&mut self, needed: u64) -> Result<(), NoWay> {
        if let Some(active) = &mut self.active {
            if active.end + needed <= active.allocated {
                return Ok(());
            }
            // Grown in place: one that was trimmed at a clean stop, and an empty one for an oversize group.
            if active.end + needed <= self.options.segment_bytes || active.end == 0 {
                let size = self.options.segment_bytes.max(active.end + needed);
                allocate(self.options.disk.as_ref(), &active.file, &active.path, active.allocated, size)?;
                active.allocated = size;
                return Ok(());
            }
        }
        self.rotate(needed)
    }

    fn rotate(&mut self, needed: u64) -> Result<(), NoWay> {
        let path = Segment::at(&self.dir, self.chain.next_seq).path;
        let Taken { file, bytes, zeroed } = self.spare.take(&path, self.options.segment_bytes.max(needed))?;
        if let Some(old) = self.active.replace(Active { file, path, end: 0, allocated: bytes, zeroed }) {
            // Only gives zeros back; whether it happens changes nothing that the log says.
            let _ = old.file.set_len(old.end);
        }
        Ok(())
    }

    fn encode_group(&mut self, group: Vec<NewFrame>, written: &mut Written) -> Result<Chain, Error> {
        let mut chain = self.chain.clone();
        let durable_upto = self.chain.next_seq - 1;
        if self.known_tips.len() + self.known_runs.len() > TIPS_KEPT {
            // The store knows everything up to here.
            self.known_tips.clear();
            self.known_runs.clear();
        }
        for new in group {
            let prev_in_stream = match self.known_tips.insert(new.keys.stream, new.first_seq) {
                Some(seq) => seq,
                None => self.tips.last_in_stream(new.keys.stream)?,
            };
            let prev_in_run = match new.keys.run {
                None => 0,
                Some(run) => match self.known_runs.insert(run, new.first_seq) {
                    Some(seq) => seq,
                    None => self.tips.last_in_run(run)?,
                },
            };
            let mut frame = Frame {
                first_seq: new.first_seq,
                events: new.events,
                at_ms: new.at_ms,
                keys: new.keys,
                payload: new.payload,
                prev_hash: chain.hash,
                hash: chain.hash,
                durable_upto,
                prev_in_log: chain.last_first_seq,
                prev_in_stream,
                prev_in_run,
            };
            let start = written.bytes.len();
            frame::encode(&mut frame, &mut written.bytes);
            written.ranges.push(start..written.bytes.len());
            chain.advance(&frame);
            written.frames.push(frame);
        }
        Ok(chain)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), AppendError> {
        let active = self.active.as_mut().expect("make_room left an active segment");
        let disk = self.options.disk.as_ref();
        let done = disk.write_all_at(&active.file, bytes, active.end).map_err(|e| ("write", e));
        match done.and_then(|()| disk.sync_data(&active.file).map_err(|e| ("fdatasync", e))) {
            Ok(()) => {
                active.end += bytes.len() as u64;
                Ok(())
            }
            Err((doing, e)) => {
                let path = active.path.clone();
                Err(self.fail(path, format!("{doing}: {e}")))
            }
        }
    }
}

impl Journal for LocalJournal {
    fn head(&self) -> Head {
        self.chain.head()
    }

    fn append(&mut self, expected_next: u64, group: Vec<NewFrame>) -> Result<Vec<Frame>, AppendError> {
        Ok(self.append_written(expected_next, group)?.frames)
    }

    fn read_from(&self, from_seq: u64) -> Result<Box<dyn Iterator<Item = Result<Frame, Error>> + Send>, Error> {
        Ok(Box::new(JournalFrames::open(&self.dir, from_seq)?.before(self.chain.next_seq)))
    }
}

fn check_group(group: &[NewFrame], next_seq: u64) -> Result<(), AppendError> {
    let mut next = next_seq;
    for new in group {
        if new.first_seq != next {
            let what = format!("a frame starts at event {}, expected {next}", new.first_seq);
            return Err(AppendError::Invalid { what });
        }
        frame::check_new(new).map_err(|what| AppendError::Invalid { what })?;
        next += u64::from(new.events);
    }
    Ok(())
}

fn open_active(segment: &Segment, end: u64, disk: &dyn Disk) -> Result<Active, Error> {
    let path = &segment.path;
    let file = OpenOptions::new().read(true).write(true).open(path).map_err(|e| Error::io("open", path, e))?;
    // Frames of a group that was never acknowledged may have survived; from here on they count, so they must be durable.
    disk.sync_data(&file).map_err(|e| Error::io("sync", path, e))?;
    let allocated = file.metadata().map_err(|e| Error::io("read", path, e))?.len();
    Ok(Active { file, path: path.clone(), end, allocated, zeroed: false })
}
