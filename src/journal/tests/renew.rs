//! A store whose files have outgrown what they keep is made anew, and nobody who uses it notices.

use super::*;
use crate::StoreReport;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that nothing compresses, other ones for each `n`.
fn noise(n: u64, bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    blake3::Hasher::new().update(&n.to_le_bytes()).finalize_xof().fill(&mut noise);
    noise
}

fn first(frames: &[Frame], count: usize) -> &[Frame] {
    &frames[..count.min(frames.len())]
}

#[test]
fn readers_and_writers_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    (0..40).for_each(|_| append(&mut log, 20));
    let big = NewFrame { payload: noise(0, 300_000), ..frame(log.next_seq()) };
    log.append(vec![big]).unwrap();
    let before = all(&log);
    let store = log.reader();
    store.put_view("catalog", 7, &noise(1, 200_000)).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // A reader that begins before the first renewal and ends after the last one, and readers that begin within.
        let mut long = store.frames_from(1).unwrap();
        let mut read = vec![long.next().unwrap().unwrap()];
        let reads = scope.spawn(|| {
            let mut reads = 0;
            while !done.load(Ordering::Relaxed) || reads == 0 {
                let found: Vec<Frame> = store.frames_of_stream(Uuid::from_u64_pair(1, 0)).map(Result::unwrap).collect();
                let wanted: Vec<Frame> =
                    before.iter().filter(|f| f.keys.stream == Uuid::from_u64_pair(1, 0)).cloned().collect();
                assert!(first(&found, wanted.len()) == wanted);
                assert_eq!(store.view("catalog").unwrap().unwrap(), (7, noise(1, 200_000)));
                reads += 1;
            }
        });
        let writes = scope.spawn(|| {
            let mut rows = 0_u64;
            while !done.load(Ordering::Relaxed) || rows == 0 {
                store.put_row("runs", &rows.to_be_bytes(), &noise(rows, 100)).unwrap();
                append(&mut log, 3);
                rows += 1;
            }
            rows
        });
        (0..4).for_each(|_| store.renew().unwrap());
        read.extend(long.by_ref().map(Result::unwrap));
        done.store(true, Ordering::Relaxed);
        reads.join().unwrap();
        let rows = writes.join().unwrap();
        assert_eq!(first(&read, before.len()), before);
        let kept: Vec<_> = store.rows("runs", b"").map(Result::unwrap).collect();
        assert!(kept.iter().map(|(_, row)| row.clone()).eq((0..rows).map(|n| noise(n, 100))));
    });
    let frames = all(&log);
    drop(store);
    log.close().unwrap();
    let (log, report) = open(dir.path());
    assert_eq!(report.store, StoreReport::Clean);
    assert_eq!(all(&log), frames);
    assert!(!dir.path().join("store.old").exists() && !dir.path().join("store.next").exists());
}

#[test]
fn files_that_have_outgrown_what_they_keep_shrink_while_they_are_used() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    let store = log.reader();
    append(&mut log, 20);
    // Rows that come and go: what is kept is nothing, and sled's files have it all.
    let mut written = 0_u64;
    while store.sizes().unwrap().0 < 100 << 20 {
        (0..64).for_each(|n| store.put_row("bulk", &(written + n).to_be_bytes(), &noise(n, 60_000)).unwrap());
        (0..64).for_each(|n| store.remove_row("bulk", &(written + n).to_be_bytes()).unwrap());
        written += 64;
        assert!(written < 100_000, "sled gives its room back by itself");
    }
    // Enough is written that its writer has another look.
    let mut appended = 0;
    while store.sizes().unwrap().0 >= 64 << 20 {
        let compressible = NewFrame { payload: vec![b'x'; 1 << 20], ..frame(log.next_seq()) };
        log.append(vec![compressible]).unwrap();
        appended += 1;
        assert!(appended < 200, "nobody looks at the files");
    }
    let frames = all(&log);
    drop(store);
    log.close().unwrap();
    let (log, report) = open(dir.path());
    assert_eq!((report.store, all(&log) == frames), (StoreReport::Clean, true));
}

#[test]
fn a_renewal_that_was_killed_is_brought_to_an_end() {
    let root = tempfile::tempdir().unwrap();
    let whole = root.path().join("whole");
    let (mut log, _) = open(&whole);
    append(&mut log, 50);
    log.reader().put_row("runs", b"one", b"kept").unwrap();
    let frames = all(&log);
    log.close().unwrap();
    let moved = |dir: &Path, from: &str, to: &str| fs::rename(dir.join(from), dir.join(to)).unwrap();
    let states: [&dyn Fn(&Path); 3] = [
        // Copying.
        &|dir| {
            copy_dir(&dir.join("store"), &dir.join("store.next"));
            fs::write(dir.join("store.next/db"), b"half").unwrap();
        },
        // The old one is out of the way, and the copy is not in its place yet.
        &|dir| {
            copy_dir(&dir.join("store"), &dir.join("store.next"));
            moved(dir, "store", "store.old");
        },
        // The copy is in its place, and the old one still there.
        &|dir| copy_dir(&dir.join("store"), &dir.join("store.old")),
    ];
    for (n, state) in states.into_iter().enumerate() {
        let dir = root.path().join(n.to_string());
        copy_dir(&whole, &dir);
        state(&dir);
        let (log, report) = open(&dir);
        assert_eq!((report.store, all(&log)), (StoreReport::Clean, frames.clone()), "state {n}");
        assert_eq!(log.reader().row("runs", b"one").unwrap().unwrap(), b"kept");
        assert!(!dir.join("store.old").exists() && !dir.join("store.next").exists());
    }
}

#[test]
fn without_room_for_a_copy_the_store_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open_with(dir.path(), Options { keep_free_bytes: u64::MAX / 2, ..options() }).unwrap();
    // The journal refuses, too, with so little room; what is there can be read.
    assert!(log.append(group(1, 1)).is_err());
    let told = log.reader().renew().unwrap_err();
    assert!(matches!(told, Error::Full { .. }), "{told}");
    assert!(dir.path().join("store").exists() && !dir.path().join("store.next").exists());
}
