//! How fast an event becomes durable: by one writer alone, and by 256 that share one sync.
//!
//! The baselines are the least that any durable log must do: write 500 bytes and `fdatasync`, to a file that grows and to
//! one whose room was allocated before. p0 adds to it a checksum, a hash chain, links and (`Log`) the store in sled.
//! Through the engine comes the decision, the JSON form of the frame and the way through the turn's queue.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench may stop at the first surprise, reads clocks and prints"
)]

mod harness;

use harness::{Case, Group, each, engine::Tracker, folder, seconds};
use p0::journal::{
    DirLock, Error, FrameKeys, Journal, LocalJournal, Log, NewFrame, Options, Tips,
    disk::{Disk, RealDisk},
};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    os::unix::fs::FileExt,
    path::Path,
    time::Duration,
};
use uuid::Uuid;

/// Bytes of an event's payload.
const EVENT: usize = 500;
/// Writers that share one sync.
const WRITERS: usize = 256;
/// Callers of the engine at the same time.
const CALLERS: usize = 64;
/// Events that each log takes, twice, before the clock starts: a process that has written some has the next segment
/// filled with zeros, which takes a part of the disk for a second, goes on in that one, and has the next one filled. It is
/// so for all but the first moments of a daemon; from then on it happens once in 16 MiB.
const BEFORE: usize = 2048;
/// And how long it then has for that.
const SETTLES: Duration = Duration::from_secs(2);
/// Room of the preallocated files, in bytes: more than a bench writes.
const ROOM: u64 = 64 << 20;

/// A file that grows with every write.
struct Growing(File);

impl Growing {
    fn new(path: &Path) -> Growing {
        Growing(OpenOptions::new().create(true).append(true).open(path).unwrap())
    }

    fn append(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
        self.0.sync_data().unwrap();
    }
}

/// A file with its room allocated, written in place.
struct Allocated {
    file: File,
    at: u64,
}

impl Allocated {
    fn new(path: &Path) -> Allocated {
        let file = OpenOptions::new().create_new(true).write(true).open(path).unwrap();
        RealDisk.allocate(&file, 0, ROOM).unwrap();
        file.sync_all().unwrap();
        Allocated { file, at: 0 }
    }

    /// The same, with zeros written everywhere first, so that nothing is left to be marked as written.
    fn zeroed(path: &Path) -> Allocated {
        let made = Allocated::new(path);
        let zeros = vec![0; 1 << 20];
        for at in (0..ROOM).step_by(zeros.len()) {
            made.file.write_all_at(&zeros, at).unwrap();
        }
        made.file.sync_all().unwrap();
        made
    }

    fn append(&mut self, bytes: &[u8]) {
        self.file.write_all_at(bytes, self.at).unwrap();
        self.at += bytes.len() as u64;
        self.file.sync_data().unwrap();
    }
}

/// The same work in a database that is known for its care: WAL, a sync for every transaction, the same columns to find
/// things by.
struct Sqlite {
    connection: rusqlite::Connection,
    next: i64,
}

impl Sqlite {
    fn new(path: &Path) -> Sqlite {
        let connection = rusqlite::Connection::open(path).unwrap();
        connection.pragma_update(None, "journal_mode", "WAL").unwrap();
        connection.pragma_update(None, "synchronous", "FULL").unwrap();
        let tables = "CREATE TABLE frames (seq INTEGER PRIMARY KEY, stream BLOB, run BLOB, ticket TEXT, payload BLOB);
             CREATE INDEX by_stream ON frames (stream, seq);
             CREATE INDEX by_run ON frames (run, seq);
             CREATE INDEX by_ticket ON frames (ticket, seq);";
        connection.execute_batch(tables).unwrap();
        Sqlite { connection, next: 1 }
    }

    fn append(&mut self, count: usize) {
        let work = self.connection.transaction().unwrap();
        let mut insert = work.prepare_cached("INSERT INTO frames VALUES (?1, ?2, ?3, ?4, ?5)").unwrap();
        for _ in 0..count {
            let (stream, run) = (Uuid::from_u128(1), Uuid::from_u128(2));
            let row = (self.next, stream.as_bytes(), run.as_bytes(), "BEN-1", vec![b'x'; EVENT]);
            insert.execute(row).unwrap();
            self.next += 1;
        }
        drop(insert);
        work.commit().unwrap();
    }
}

/// A journal with no store beside it knows no earlier frame of a stream.
struct NoTips;

impl Tips for NoTips {
    fn last_in_stream(&self, _: Uuid) -> Result<u64, Error> {
        Ok(0)
    }
    fn last_in_run(&self, _: Uuid) -> Result<u64, Error> {
        Ok(0)
    }
}

fn journal(dir: &Path) -> LocalJournal {
    LocalJournal::open(&dir.join("journal"), Options::default(), Box::new(NoTips)).unwrap().0
}

fn log(dir: &Path) -> Log {
    let lock = DirLock::acquire(dir, Duration::ZERO).unwrap();
    Log::open(dir, lock, Options::default()).unwrap().0
}

/// Frames of one event each, as many writers would hand them in.
fn frames(first: u64, count: usize) -> Vec<NewFrame> {
    let frame = |first_seq| NewFrame {
        first_seq,
        events: 1,
        at_ms: 1_700_000_000_000,
        keys: FrameKeys { stream: Uuid::from_u128(1), run: Some(Uuid::from_u128(2)), tickets: vec!["BEN-1".into()] },
        payload: vec![b'x'; EVENT],
    };
    (first..).take(count).map(frame).collect()
}

/// Seconds per event of `count` groups of `size` events; what is appended is made before the clock starts.
fn groups<T>(count: usize, size: usize, mut make: impl FnMut(usize) -> T, mut append: impl FnMut(T)) -> Vec<f64> {
    let one = |_| {
        let group = make(size);
        seconds(|| append(group)) / size as f64
    };
    (0..count).map(one).collect()
}

fn bytes(events: usize) -> Vec<u8> {
    vec![b'x'; EVENT * events]
}

/// Makes the next group's frames.
fn numbered() -> impl FnMut(usize) -> Vec<NewFrame> {
    let mut next = 1;
    move |count| {
        let made = frames(next, count);
        next += count as u64;
        made
    }
}

fn append_to_journal(journal: &mut LocalJournal, group: Vec<NewFrame>) {
    let next = journal.head().next_seq;
    journal.append(next, group).unwrap();
}

const GROWING: &str = "raw: append + fdatasync";
const ALLOCATED: &str = "raw: preallocated + fdatasync";
const SQLITE: &str = "SQLite: WAL, synchronous=FULL";
const BOTH: &[&str] = &[GROWING, ALLOCATED];
const ALL: &[&str] = &[GROWING, ALLOCATED, SQLITE];

/// The cases below, each with its own files, in groups of `size`.
fn storage(dir: &Path, count: usize, size: usize) -> Vec<Case<'static>> {
    let at = |name: &str| {
        let path = dir.join(format!("{name}-{size}"));
        std::fs::create_dir_all(&path).unwrap();
        path
    };
    let mut growing = Growing::new(&at("growing").join("file"));
    let mut allocated = Allocated::new(&at("allocated").join("file"));
    let mut zeroed = Allocated::zeroed(&at("zeroed").join("file"));
    let mut sqlite = Sqlite::new(&at("sqlite").join("file"));
    let (mut for_journal, mut for_log) = (numbered(), numbered());
    let mut journal = journal(&at("journal"));
    let mut log = log(&at("log"));
    for _ in 0..2 {
        for _ in 0..BEFORE / WRITERS {
            append_to_journal(&mut journal, for_journal(WRITERS));
            log.append(for_log(WRITERS)).unwrap();
        }
        std::thread::sleep(SETTLES);
    }
    vec![
        Case::new(GROWING, &[], move || groups(count, size, bytes, |b| growing.append(&b))),
        Case::new(ALLOCATED, &[GROWING], move || groups(count, size, bytes, |b| allocated.append(&b))),
        Case::new("raw: zeros written before", &[GROWING], move || groups(count, size, bytes, |b| zeroed.append(&b))),
        Case::new(SQLITE, &[GROWING], move || groups(count, size, |n| n, |n| sqlite.append(n))),
        Case::new("LocalJournal", BOTH, move || {
            groups(count, size, &mut for_journal, |g| append_to_journal(&mut journal, g))
        }),
        Case::new("Log (journal and store)", ALL, move || {
            groups(count, size, &mut for_log, |g| log.append(g).unwrap())
        }),
    ]
}

fn main() {
    if !harness::is_bench() {
        return;
    }
    let dir = folder();
    let tracker = Tracker::new(&dir.path().join("engine"), CALLERS);
    for _ in 0..2 {
        tracker.renew_all(CALLERS, BEFORE / CALLERS);
        std::thread::sleep(SETTLES);
    }
    let mut cases = storage(dir.path(), 40, 1);
    cases.push(Case::new("engine: 1 caller", &[GROWING], || each(40, || tracker.renew_all(1, 1))));
    Group { title: "Durable append, one writer", unit: "event", rounds: 25, cases }.measure();

    let cases = storage(dir.path(), 20, 16);
    Group { title: "Durable append, 16 writers in one sync", unit: "event", rounds: 25, cases }.measure();

    let cases = storage(dir.path(), 8, WRITERS);
    Group { title: "Durable append, 256 writers in one sync", unit: "event", rounds: 25, cases }.measure();

    let mut alone = Growing::new(&dir.path().join("alone"));
    let mut together = Growing::new(&dir.path().join("together"));
    const ALONE: &str = "raw: a sync for each event";
    const TOGETHER: &str = "raw: 64 events in one sync";
    let cases = vec![
        Case::new(ALONE, &[], || groups(64, 1, bytes, |b| alone.append(&b))),
        Case::new(TOGETHER, &[ALONE], || groups(8, CALLERS, bytes, |b| together.append(&b))),
        Case::new("engine: 64 callers at once", &[ALONE, TOGETHER], || {
            vec![seconds(|| tracker.renew_all(CALLERS, 8)) / (8 * CALLERS) as f64]
        }),
    ];
    Group { title: "Durable commands through the engine, 64 callers", unit: "event", rounds: 25, cases }.measure();
    tracker.stop();
}
