//! Whatever happens to the store, the journal gives it back.

use super::*;
use crate::StoreReport;

fn filled(dir: &Path) -> Vec<Frame> {
    let (mut log, _) = open(dir);
    for _ in 0..10 {
        append(&mut log, 20);
    }
    let big = NewFrame { payload: vec![b'z'; 300_000], ..frame(log.next_seq()) };
    log.append(vec![big]).unwrap();
    let frames = all(&log);
    log.close().unwrap();
    // sled writes its first snapshot file when it recovers.
    open(dir).0.close().unwrap();
    frames
}

fn store_files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> =
        fs::read_dir(dir.join("store")).unwrap().map(|e| e.unwrap().path()).filter(|p| p.is_file()).collect();
    files.sort();
    files
}

/// Opens, expects the same frames whatever was done to the store, and tells how the store was.
fn reopened(dir: &Path, frames: &[Frame]) -> StoreReport {
    let (log, report) = open(dir);
    assert_eq!(all(&log), frames);
    assert_eq!(report.repaired, None);
    let by_run: Vec<Frame> = log.reader().frames_of_run(run_id(1)).map(Result::unwrap).collect();
    assert_eq!(by_run, frames.iter().filter(|f| f.keys.run == Some(run_id(1))).cloned().collect::<Vec<_>>());
    log.close().unwrap();
    let (log, again) = open(dir);
    assert_eq!(again.store, StoreReport::Clean);
    log.close().unwrap();
    report.store
}

#[test]
fn deleted_or_foreign_stores_are_rebuilt() {
    let dir = tempfile::tempdir().unwrap();
    let frames = filled(dir.path());
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    assert!(matches!(reopened(dir.path(), &frames), StoreReport::Rebuilt { moved_to: None, .. }));

    // The store of another log, whose frames are in groups of their own.
    let other = tempfile::tempdir().unwrap();
    let (mut log, _) = open(other.path());
    (0..3).for_each(|_| append(&mut log, 1));
    log.close().unwrap();
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    copy_dir(&other.path().join("store"), &dir.path().join("store"));
    match reopened(dir.path(), &frames) {
        StoreReport::Rebuilt { moved_to: Some(aside), why } => assert!(aside.is_dir(), "{why}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn damaged_store_files_are_rebuilt() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    let frames = filled(&whole);
    let mut n = 0;
    for file in store_files(&whole) {
        let name = file.file_name().unwrap();
        let bytes = fs::read(&file).unwrap();
        let half = bytes.len() / 2;
        let ways: [&dyn Fn(&Path); 4] = [
            &|p| fs::remove_file(p).unwrap(),
            &|p| fs::write(p, b"").unwrap(),
            &|p| fs::write(p, &bytes[..half]).unwrap(),
            &|p| fs::write(p, vec![0xa5; bytes.len()]).unwrap(),
        ];
        for way in ways {
            n += 1;
            let dir = root.path().join(format!("{n}"));
            copy_dir(&whole, &dir);
            way(&dir.join("store").join(name));
            reopened(&dir, &frames);
        }
    }
    assert!(n >= 12, "sled has at least a configuration, a log and a snapshot");
}

#[test]
fn overwritten_store_bytes_never_give_wrong_frames() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    let frames = filled(&whole);
    let bytes = fs::read(whole.join("store/db")).unwrap();
    for n in 0..24 {
        let dir = root.path().join(format!("{n}"));
        copy_dir(&whole, &dir);
        let mut damaged = bytes.clone();
        let at = (n * 7919 * 31) % bytes.len();
        let end = (at + 64).min(bytes.len());
        damaged[at..end].iter_mut().for_each(|b| *b ^= 0x5a);
        fs::write(dir.join("store/db"), damaged).unwrap();
        let (log, _) = open(&dir);
        assert_eq!(all(&log), frames, "64 bytes from {at}");
    }
}

#[test]
fn a_half_written_snapshot_file_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let frames = filled(dir.path());
    for name in ["snap.FFFFFFFFFFFFFF00", "snap.0000000000000000.generating", "snap.zzz"] {
        fs::write(dir.path().join("store").join(name), b"half").unwrap();
        reopened(dir.path(), &frames);
    }
}

#[test]
fn a_store_that_failed_a_reader_is_rebuilt_at_the_next_open() {
    let dir = tempfile::tempdir().unwrap();
    let frames = filled(dir.path());
    let (log, _) = open(dir.path());
    let error = log.reader().suspect("a page cannot be read");
    assert!(error.to_string().contains("rebuilt"), "{error}");
    drop(log);
    match reopened(dir.path(), &frames) {
        StoreReport::Rebuilt { why, .. } => assert!(why.contains("a page cannot be read")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_reader_may_outlive_the_log_for_a_moment() {
    let dir = tempfile::tempdir().unwrap();
    let frames = filled(dir.path());
    let (log, _) = open(dir.path());
    let reader = log.reader();
    drop(log);
    let late = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        drop(reader);
    });
    assert_eq!(reopened(dir.path(), &frames), StoreReport::Clean);
    late.join().unwrap();
}

/// sled keeps a prefix of what was written, and the head is written last: whatever came before it may be there already.
#[test]
fn what_a_killed_process_left_beyond_the_head_is_written_again() {
    let whole = tempfile::tempdir().unwrap();
    let (mut log, _) = open(whole.path());
    for _ in 0..40 {
        append(&mut log, 20);
    }
    let frames = all(&log);
    log.close().unwrap();
    // Three blocks and a part of a fourth; heads within, at the end of and between them.
    for upto in [1, 57, 130, 131, 199, 400, 640, 799] {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(whole.path(), dir.path());
        let last = &frames[upto];
        let head = [&last.end_seq().to_be_bytes()[..], &last.first_seq.to_be_bytes(), last.hash.as_bytes()].concat();
        let db = sled::open(dir.path().join("store")).unwrap();
        db.open_tree("meta").unwrap().insert("head", head).unwrap();
        db.flush().unwrap();
        drop(db);
        let report = reopened(dir.path(), &frames);
        let missing = frames.len() as u64 - upto as u64 - 1;
        let expected = if missing == 0 { StoreReport::Clean } else { StoreReport::CaughtUp { frames: missing } };
        assert_eq!(report, expected, "the head is after frame {upto}");
    }
}
