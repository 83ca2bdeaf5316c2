//! Frames that left the journal for an archive read back the same, everywhere; and when their archive is lost, that is
//! told and everything else works.

use super::{
    faults::{Fault, FaultyDisk},
    *,
};
use crate::{
    Anchor, Archived, Compacted, Hash, Kept, ReadOnly, archive_path, compact,
    disk::{Disk, RealDisk},
    read_frames,
    run_file::{self, Source},
    verify, verify_with,
};

fn stream(n: u64) -> Uuid {
    Uuid::from_u64_pair(1, n)
}

fn options() -> Options {
    Options { segment_bytes: 4 << 10, ..super::options() }
}

/// Writes the archives of these streams, each up to its run's last frame.
fn archive(dir: &Path, log: &Log, streams: &[u64]) -> Archived {
    fs::create_dir_all(dir.join("archives")).unwrap();
    let of = |n: &u64| {
        let store = log.reader();
        let path = archive_path(dir, stream(*n));
        let source = Source {
            run: run_id(*n),
            stream: stream(*n),
            begins: 0,
            frames: &|| Box::new(store.frames_of_stream(stream(*n))),
            blob: &|_, _| panic!("these frames name no blobs"),
            readable: |_| None,
        };
        let temp = path.with_extension("part");
        let written = run_file::write(&source, fs::File::create(&temp).unwrap(), &temp).unwrap();
        fs::rename(temp, path).unwrap();
        (stream(*n), written.header.last_seq)
    };
    streams.iter().map(of).collect()
}

fn compact_with(dir: &Path, log: &Log, archived: &Archived, disk: &dyn Disk) -> Result<Compacted, Error> {
    let mut left = None;
    let done = compact(dir, &log.reader(), archived, disk, &mut |why| left = left.take().or(Some(why)))?;
    left.map_or(Ok(done), Err)
}

/// Four hundred frames of three streams, flushed to sled, and their archives.
fn long(dir: &Path, archived: &[u64]) -> (Log, Vec<Frame>, Archived) {
    let (mut log, _) = open_with(dir, options()).unwrap();
    for _ in 0..100 {
        append(&mut log, 4);
    }
    log.close().unwrap();
    let (log, _) = open_with(dir, options()).unwrap();
    let frames = all(&log);
    let archived = archive(dir, &log, archived);
    (log, frames, archived)
}

/// Every way to read gives what there was.
fn reads_as(dir: &Path, log: &Log, frames: &[Frame]) {
    let store = log.reader();
    assert_eq!(all(log), frames);
    assert_eq!(read_frames(dir).unwrap().collect::<Result<Vec<_>, _>>().unwrap(), frames);
    let files = ReadOnly::open::<Error>(dir, |_| Ok(())).unwrap();
    assert_eq!(files.head(), store.head());
    for n in [5, 77, frames.last().unwrap().last_seq()] {
        let from = frames.iter().position(|f| f.end_seq() > n).unwrap();
        assert_eq!(files.frames_from(n).map(Result::unwrap).collect::<Vec<_>>(), frames[from..]);
        assert_eq!(store.frames_from(n).unwrap().map(Result::unwrap).collect::<Vec<_>>(), frames[from..]);
    }
    let read = |frames: crate::FramesByKey| frames.map(Result::unwrap).collect::<Vec<_>>();
    let find = |wanted: &dyn Fn(&Frame) -> bool| frames.iter().filter(|f| wanted(f)).cloned().collect::<Vec<_>>();
    for n in 0..3 {
        assert_eq!(read(store.frames_of_stream(stream(n))), find(&|f| f.keys.stream == stream(n)));
        assert_eq!(read(store.frames_of_run(run_id(n))), find(&|f| f.keys.run == Some(run_id(n))));
        let late = find(&|f| f.keys.stream == stream(n) && f.end_seq() > 200);
        assert_eq!(files.frames_of_stream_from(stream(n), 200).map(Result::unwrap).collect::<Vec<_>>(), late);
        assert_eq!(read(store.frames_of_stream_from(stream(n), 200)), late);
        for ticket in ["BLOG-0", "BLOG-1", "BLOG-2"] {
            let named = find(&|f| f.keys.stream == stream(n) && f.keys.tickets.iter().any(|t| t == ticket));
            assert_eq!(read(store.frames_of_ticket(stream(n), ticket)), named);
        }
    }
}

fn journal_bytes(dir: &Path) -> u64 {
    segments(dir).iter().map(|path| path.metadata().unwrap().len()).sum()
}

#[test]
fn what_is_archived_reads_as_before() {
    let dir = tempfile::tempdir().unwrap();
    let (log, frames, archived) = long(dir.path(), &[0, 1]);
    let before = journal_bytes(dir.path());
    let done = compact_with(dir.path(), &log, &archived, &RealDisk).unwrap();
    assert!(done.segments > 5 && done.frames > 80 && done.blocks > 0, "{done:?}");
    assert_eq!(journal_bytes(dir.path()), before - done.bytes);
    reads_as(dir.path(), &log, &frames);
    // A second time there is nothing to do.
    assert_eq!(compact_with(dir.path(), &log, &archived, &RealDisk).unwrap(), Compacted::default());

    // The third stream goes later, and what stands for the others takes it in.
    let rest = archive(dir.path(), &log, &[2]).into_iter().chain(archived).collect();
    compact_with(dir.path(), &log, &rest, &RealDisk).unwrap();
    assert!(journal_bytes(dir.path()) < before * 2 / 3);
    reads_as(dir.path(), &log, &frames);
    log.close().unwrap();

    // Opened again, with its store and without it.
    let (log, report) = open_with(dir.path(), options()).unwrap();
    assert_eq!(report.store, crate::StoreReport::Clean);
    reads_as(dir.path(), &log, &frames);
    log.close().unwrap();
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    let (mut log, _) = open_with(dir.path(), options()).unwrap();
    reads_as(dir.path(), &log, &frames);

    // Archived streams and runs go on, linked to their last frames.
    append(&mut log, 6);
    let longer = all(&log);
    assert_eq!(longer[..frames.len()], frames);
    for frame in &longer[frames.len()..] {
        let before = |wanted: &dyn Fn(&Frame) -> bool| {
            longer
                .iter()
                .rev()
                .skip_while(|f| f.first_seq >= frame.first_seq)
                .find(|f| wanted(f))
                .map_or(0, |f| f.first_seq)
        };
        assert_eq!(frame.prev_in_stream, before(&|f| f.keys.stream == frame.keys.stream));
        if let Some(run) = frame.keys.run {
            assert_eq!(frame.prev_in_run, before(&|f| f.keys.run == Some(run)));
        }
    }
    reads_as(dir.path(), &log, &longer);
    let mut archived_frames = 0;
    let anchors = [7, 60].map(|n: usize| Anchor { seq: Some(frames[n].last_seq()), hash: frames[n].hash });
    let verified =
        verify_with(dir.path(), &anchors, &mut |_, kept| archived_frames += u64::from(kept == Kept::Archive));
    let verified = verified.unwrap();
    assert!(verified.ok && verified.frames == longer.len() as u64 && archived_frames > 150, "{verified:?}");
}

#[test]
fn a_lost_archive_takes_nothing_else_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (log, frames, archived) = long(dir.path(), &[1]);
    compact_with(dir.path(), &log, &archived, &RealDisk).unwrap();
    log.close().unwrap();
    let path = archive_path(dir.path(), stream(1));
    let away = dir.path().join("away");
    fs::rename(&path, &away).unwrap();
    fs::remove_dir_all(dir.path().join("store")).unwrap();

    let verified = verify(dir.path(), None, &mut |_, _| {}).unwrap();
    let why = verified.first_bad.unwrap().what;
    assert!(why.contains(path.to_str().unwrap()) && why.contains("Put the file back"), "{why}");
    let (mut log, _) = open_with(dir.path(), options()).unwrap();
    append(&mut log, 6);
    let store = log.reader();
    assert!(matches!(store.frames_of_stream(stream(1)).next(), Some(Err(Error::Archive { .. }))));
    let others: Vec<Frame> = store.frames_of_stream(stream(2)).map(Result::unwrap).collect();
    assert_eq!(others[..60], frames.iter().filter(|f| f.keys.stream == stream(2)).cloned().collect::<Vec<_>>()[..60]);
    // In the order of the log, what is lost is told, and what follows it is given.
    let (read, lost): (Vec<_>, Vec<_>) = store.frames_from(1).unwrap().partition(Result::is_ok);
    assert!(lost.iter().all(|e| matches!(e, Err(Error::Archive { .. }))) && !lost.is_empty());
    let left = frames.iter().filter(|f| f.keys.stream != stream(1)).count();
    assert!(read.len() >= left + 6, "{} of {left}", read.len());

    fs::rename(&away, &path).unwrap();
    let whole = all(&log);
    assert_eq!(whole[..frames.len()], frames);
    reads_as(dir.path(), &log, &whole);
}

/// A file that is put back must be the one that was there last.
#[test]
fn an_earlier_archive_is_not_taken_for_the_last_one() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _, archived) = long(dir.path(), &[1]);
    let path = archive_path(dir.path(), stream(1));
    compact_with(dir.path(), &log, &archived, &RealDisk).unwrap();
    let earlier = fs::read(&path).unwrap();
    for _ in 0..100 {
        append(&mut log, 4);
    }
    log.close().unwrap();
    let (log, _) = open_with(dir.path(), options()).unwrap();
    let frames = all(&log);
    let archived = archive(dir.path(), &log, &[1]);
    compact_with(dir.path(), &log, &archived, &RealDisk).unwrap();
    reads_as(dir.path(), &log, &frames);
    let last = fs::read(&path).unwrap();
    fs::write(&path, earlier).unwrap();
    let read: Result<Vec<Frame>, _> = log.reader().frames_of_stream(stream(1)).collect();
    assert!(matches!(read, Err(Error::Archive { .. })), "{read:?}");
    fs::write(&path, last).unwrap();
    reads_as(dir.path(), &log, &frames);
}

#[test]
fn nothing_leaves_the_journal_that_its_archive_does_not_give_back() {
    let dir = tempfile::tempdir().unwrap();
    let (log, frames, archived) = long(dir.path(), &[0, 1]);
    let path = archive_path(dir.path(), stream(1));
    let whole = fs::read(&path).unwrap();
    let before = segments(dir.path()).iter().map(|p| fs::read(p).unwrap()).collect::<Vec<_>>();
    // Damaged, cut, that of another stream, and missing.
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let other = fs::read(archive_path(dir.path(), stream(0))).unwrap();
    for bytes in [&flipped[..], &whole[..whole.len() / 2], &other, b""] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(compact_with(dir.path(), &log, &archived, &RealDisk), Err(Error::Archive { .. })));
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(compact_with(dir.path(), &log, &archived, &RealDisk), Err(Error::Archive { .. })));
    assert_eq!(before, segments(dir.path()).iter().map(|p| fs::read(p).unwrap()).collect::<Vec<_>>());
    reads_as(dir.path(), &log, &frames);
    fs::write(&path, whole).unwrap();
    compact_with(dir.path(), &log, &archived, &RealDisk).unwrap();
    reads_as(dir.path(), &log, &frames);
}

#[test]
fn every_call_to_the_disk_may_fail() {
    for fault in [Fault::Full, Fault::Broken, Fault::Short] {
        let mut at = 0;
        loop {
            let dir = tempfile::tempdir().unwrap();
            let (log, frames, archived) = long(dir.path(), &[0, 1]);
            let disk = FaultyDisk::new(at, fault);
            let done = compact_with(dir.path(), &log, &archived, disk.as_ref());
            reads_as(dir.path(), &log, &frames);
            if done.is_ok() {
                assert!(at > 10, "every segment is written, synced and named");
                break;
            }
            log.close().unwrap();
            let (log, _) = open_with(dir.path(), options()).unwrap();
            reads_as(dir.path(), &log, &frames);
            compact_with(dir.path(), &log, &archived, &RealDisk).unwrap();
            reads_as(dir.path(), &log, &frames);
            at += 7;
        }
    }
}

#[test]
fn every_flipped_byte_of_what_stands_for_frames_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _, archived) = long(dir.path(), &[0, 1, 2]);
    compact_with(dir.path(), &log, &archived, &RealDisk).unwrap();
    log.close().unwrap();
    let first = &segments(dir.path())[0];
    let whole = fs::read(first).unwrap();
    assert!(whole.len() < 500, "one span in the place of all frames, not {} bytes", whole.len());
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(first, &bytes).unwrap();
        let verified = verify(dir.path(), None, &mut |_, _| {}).unwrap();
        assert_eq!(verified.first_bad.map(|bad| bad.seq), Some(1), "byte {at}");
    }
    // Made up anew with a right checksum, it no longer leads from its beginning to its end.
    let mut forged = whole.clone();
    forged[16..48].copy_from_slice(Hash::of(b"another").as_bytes());
    let sum = crc32c::crc32c_append(crc32c::crc32c(&forged[..12]), &forged[16..]);
    forged[12..16].copy_from_slice(&sum.to_le_bytes());
    fs::write(first, &forged).unwrap();
    assert!(!verify(dir.path(), None, &mut |_, _| {}).unwrap().ok);
}
