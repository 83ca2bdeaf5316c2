//! Every way to change a journal is named, or repaired and reported; never wrong data.

use super::*;
use crate::{Hash, Journal, read_frames, verify};

const NAME: &str = "00000000000000000001.p0j";

fn quiet(_: u64, _: u64) {}

fn journal(dir: &Path) -> (Vec<Frame>, Vec<Vec<u8>>) {
    let (mut journal, _) = open_journal(&dir.join("journal"), options()).unwrap();
    for frames in [1, 2, 1, 1] {
        let next = journal.head().next_seq;
        journal.append(next, group(next, frames)).unwrap();
    }
    let frames = journal_frames(&journal);
    journal.close().unwrap();
    let bytes = fs::read(dir.join("journal").join(NAME)).unwrap();
    let starts: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(b"p0\x1cf")).collect();
    let ends = starts[1..].iter().copied().chain([bytes.len()]);
    let records = starts.iter().zip(ends).map(|(from, to)| bytes[*from..to].to_vec()).collect();
    (frames, records)
}

fn write(dir: &Path, records: &[Vec<u8>]) {
    fs::write(dir.join("journal").join(NAME), records.concat()).unwrap();
}

#[test]
fn every_flipped_byte_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, records) = journal(dir.path());
    let whole = records.concat();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        fs::write(dir.path().join("journal").join(NAME), &bytes).unwrap();
        let mut end = 0;
        let index = records.iter().position(|r| {
            end += r.len();
            at < end
        });
        let index = index.unwrap();
        let verified = verify(dir.path(), None, &mut quiet).unwrap();
        let bad = verified.first_bad.unwrap();
        assert!(!verified.ok);
        assert_eq!((bad.seq, verified.frames), (frames[index].first_seq, index as u64), "byte {at}");
        // Read or opened, only frames before it are given; an open that goes on says what it cut.
        let read: Vec<Frame> = read_frames(dir.path()).unwrap().map_while(Result::ok).collect();
        assert_eq!(read, frames[..index]);
        match open_journal(&dir.path().join("journal"), options()) {
            Ok((journal, repair)) => {
                assert_eq!(index, 4, "only the last group can be taken for a write that was cut off");
                assert_eq!(repair.unwrap().from_seq, frames[index].first_seq);
                assert_eq!(journal_frames(&journal), frames[..index]);
            }
            Err(Error::Damaged { seq, .. }) => assert_eq!(seq, frames[index].first_seq),
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

#[test]
fn dropped_swapped_and_repeated_frames_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, records) = journal(dir.path());
    for at in 0..records.len() - 1 {
        let mut dropped = records.clone();
        dropped.remove(at);
        let mut swapped = records.clone();
        swapped.swap(at, at + 1);
        for changed in [dropped, swapped] {
            write(dir.path(), &changed);
            let bad = verify(dir.path(), None, &mut quiet).unwrap().first_bad.unwrap();
            assert_eq!(bad.seq, frames[at].first_seq);
        }
        let mut repeated = records.clone();
        repeated.insert(at, records[at].clone());
        write(dir.path(), &repeated);
        let bad = verify(dir.path(), None, &mut quiet).unwrap().first_bad.unwrap();
        assert_eq!(bad.seq, frames[at + 1].first_seq);
    }
}

#[test]
fn a_cut_log_needs_an_anchor() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, records) = journal(dir.path());
    let anchor = frames[4].hash;
    assert!(verify(dir.path(), Some(anchor), &mut quiet).unwrap().ok);
    for keep in 0..records.len() {
        write(dir.path(), &records[..keep]);
        assert!(verify(dir.path(), None, &mut quiet).unwrap().ok);
        let verified = verify(dir.path(), Some(anchor), &mut quiet).unwrap();
        assert!(!verified.ok);
        let bad = verified.first_bad.unwrap();
        assert!(bad.what.contains("not in this log: it was cut or rewritten before it"), "{}", bad.what);
        assert_eq!(bad.seq, 1 + 2 * keep as u64);
    }
    write(dir.path(), &records[..4]);
    assert!(verify(dir.path(), Some(frames[2].hash), &mut quiet).unwrap().ok);
    assert!(!verify(dir.path(), Some(Hash::of(b"another")), &mut quiet).unwrap().ok);
}

#[test]
fn a_nonzero_byte_after_the_end_is_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut records) = journal(dir.path());
    records.push(vec![0; 9000]);
    write(dir.path(), &records);
    assert!(verify(dir.path(), None, &mut quiet).unwrap().ok);
    records[5][8999] = 1;
    write(dir.path(), &records);
    let bad = verify(&dir.path().join("journal").join(NAME), None, &mut quiet).unwrap().first_bad.unwrap();
    assert_eq!(bad.seq, 11);
}

#[test]
fn missing_segments_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open_with(dir.path(), small()).unwrap();
    for _ in 0..40 {
        append(&mut log, 1);
    }
    log.close().unwrap();
    let paths = segments(dir.path());
    assert!(paths.len() > 3);
    for path in &paths {
        let content = fs::read(path).unwrap();
        let first: u64 = path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        fs::remove_file(path).unwrap();
        let verified = verify(dir.path(), None, &mut quiet).unwrap();
        let last = Some(path) == paths.last();
        // The last file missing is a log cut at a frame's end: only an anchor, or the store, shows it.
        assert_eq!(verified.ok, last);
        if let Some(bad) = verified.first_bad {
            assert_eq!(bad.seq, first);
        }
        match open_with(dir.path(), small()) {
            Err(Error::Damaged { seq, .. }) => assert_eq!(seq, first),
            other => panic!("{other:?}"),
        }
        fs::write(path, content).unwrap();
    }
    assert!(verify(dir.path(), None, &mut quiet).unwrap().ok);
    assert!(verify(&paths[2], None, &mut quiet).unwrap().ok);
}

#[test]
fn a_newer_frame_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (_, mut records) = journal(dir.path());
    let newest = &mut records[4];
    newest[4] = 9;
    let crc = crc32c::crc32c_append(crc32c::crc32c(&newest[..12]), &newest[16..]);
    newest[12..16].copy_from_slice(&crc.to_le_bytes());
    write(dir.path(), &records);
    let newer = |e| matches!(e, Error::NewerVersion { version: 9, ours: 3, .. });
    assert!(newer(open_journal(&dir.path().join("journal"), options()).unwrap_err()));
    assert!(newer(verify(dir.path(), None, &mut quiet).unwrap_err()));
    assert!(newer(open_with(dir.path(), options()).unwrap_err()));
    assert_eq!(fs::read(dir.path().join("journal").join(NAME)).unwrap(), records.concat());
}

#[test]
fn verify_beside_a_live_writer() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().to_path_buf();
    let (mut log, _) = open_with(&data, Options { segment_bytes: 200_000, ..options() }).unwrap();
    let writer = std::thread::spawn(move || {
        for _ in 0..60 {
            append(&mut log, 40);
        }
        log
    });
    while !writer.is_finished() {
        let verified = verify(&data, None, &mut quiet).unwrap();
        assert!(verified.ok, "{verified:?}");
        read_frames(&data).unwrap().for_each(|frame| assert!(frame.is_ok()));
    }
    let log = writer.join().unwrap();
    let verified = verify(&data, Some(log.head().hash), &mut quiet).unwrap();
    assert_eq!((verified.ok, verified.frames), (true, 2400));
}

#[test]
fn what_is_no_log_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(verify(dir.path(), None, &mut quiet), Err(Error::NotALog { .. })));
    fs::write(dir.path().join("x.p0j"), b"x").unwrap();
    assert!(matches!(verify(&dir.path().join("x.p0j"), None, &mut quiet), Err(Error::NotALog { .. })));
    assert!(verify(&dir.path().join("absent"), None, &mut quiet).is_err());
}
