//! What an open makes of a journal that a crash or a power cut left behind.

use super::*;
use crate::{Journal, StoreReport, read_frames};

/// Five frames in groups of 1, 2, 2; their encoded places; the file's content.
fn small_journal(dir: &Path) -> (Vec<Frame>, Vec<u64>, Vec<u8>) {
    let (mut journal, _) = open_journal(dir, options()).unwrap();
    for frames in [1, 2, 2] {
        let next = journal.head().next_seq;
        journal.append(next, group(next, frames)).unwrap();
    }
    let frames = journal_frames(&journal);
    journal.close().unwrap();
    let bytes = fs::read(dir.join("00000000000000000001.p0j")).unwrap();
    let mut ends = vec![0];
    for (at, _) in bytes.windows(4).enumerate().filter(|(at, w)| *at > 0 && *w == b"p0\x1cf") {
        ends.push(at as u64);
    }
    ends.push(bytes.len() as u64);
    (frames, ends, bytes)
}

#[test]
fn cut_at_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, ends, bytes) = small_journal(&dir.path().join("whole"));
    assert_eq!((frames.len(), ends.len()), (5, 6));
    for cut in 0..=bytes.len() {
        for zeros in [0, 500] {
            let copy = dir.path().join("journal");
            let _ = fs::remove_dir_all(&copy);
            fs::create_dir(&copy).unwrap();
            let mut content = bytes[..cut].to_vec();
            content.resize(content.len() + zeros, 0);
            fs::write(copy.join("00000000000000000001.p0j"), content).unwrap();
            let whole = ends[1..].iter().filter(|end| **end <= cut as u64).count();
            let unlocked: Vec<_> = read_frames(dir.path()).unwrap().map(Result::unwrap).collect();
            assert_eq!(unlocked, frames[..whole]);
            let (mut journal, repaired) = open_journal(&copy, options()).unwrap();
            assert_eq!(journal_frames(&journal), frames[..whole], "cut at {cut}");
            // A cut in a run of zero bytes of the frame leaves a shorter garbage; at a frame's end there is none.
            let at_end = ends.contains(&(cut as u64));
            assert_eq!(repaired.is_some(), !at_end, "cut at {cut}");
            if let Some(repair) = repaired {
                assert_eq!((repair.offset, repair.from_seq), (ends[whole], 1 + 2 * whole as u64));
            }
            let next = journal.head().next_seq;
            journal.append(next, group(next, 1)).unwrap();
            drop(journal);
            let (journal, repaired) = open_journal(&copy, options()).unwrap();
            assert_eq!((journal_frames(&journal).len(), repaired), (whole + 1, None));
        }
    }
}

#[test]
fn a_power_cut_may_lose_an_early_frame_of_the_last_group() {
    let dir = tempfile::tempdir().unwrap();
    let (frames, ends, bytes) = small_journal(dir.path());
    let hole = |from: u64, to: u64| {
        let mut torn = bytes.clone();
        torn[usize::try_from(from).unwrap()..usize::try_from(to).unwrap()].fill(0);
        fs::write(dir.path().join("00000000000000000001.p0j"), &torn).unwrap();
        torn
    };
    // The fourth frame is the first of the last group: the fifth survives and is cut with it.
    hole(ends[3], ends[4]);
    let (journal, repaired) = open_journal(dir.path(), options()).unwrap();
    assert_eq!(journal_frames(&journal), frames[..3]);
    let repair = repaired.unwrap();
    assert_eq!((repair.from_seq, repair.cut_frames, repair.cut_bytes), (7, 1, ends[5] - ends[3]));
    drop(journal);
    // The third was acknowledged, as the last group says: that is damage, and nothing is changed.
    let torn = hole(ends[2], ends[3]);
    match open_journal(dir.path(), options()) {
        Err(Error::Damaged { seq, offset, .. }) => assert_eq!((seq, offset), (5, ends[2])),
        other => panic!("{other:?}"),
    }
    assert_eq!(fs::read(dir.path().join("00000000000000000001.p0j")).unwrap(), torn);
}

#[test]
fn what_the_store_holds_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 1);
    append(&mut log, 1);
    log.close().unwrap();
    let path = segments(dir.path()).pop().unwrap();
    let whole = fs::read(&path).unwrap();
    for cut in [whole.len() - 1, whole.len() / 2 + 7, whole.len() / 2, 10, 0] {
        fs::write(&path, &whole[..cut]).unwrap();
        match open_with(dir.path(), options()) {
            Err(Error::Damaged { seq, file, .. }) => {
                assert_eq!(file, path);
                assert_eq!(seq, if cut >= whole.len() / 2 { 3 } else { 1 });
            }
            other => panic!("cut at {cut}: {other:?}"),
        }
        assert_eq!(fs::read(&path).unwrap().len(), cut);
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(open_with(dir.path(), options()), Err(Error::Damaged { seq: 1, .. })));
    fs::write(&path, &whole).unwrap();
    assert_eq!(all(&open(dir.path()).0).len(), 2);
}

#[test]
fn a_copy_taken_while_running_is_caught_up() {
    let dir = tempfile::tempdir().unwrap();
    let live = dir.path().join("live");
    let (mut log, _) = open_with(&live, small()).unwrap();
    for n in 0..20 {
        append(&mut log, n % 3 + 1);
        if n % 4 == 0 {
            let copy = dir.path().join(format!("copy-{n}"));
            copy_dir(&live, &copy);
            let (reopened, report) = open_with(&copy, small()).unwrap();
            assert_eq!(report.repaired, None);
            assert!(!matches!(report.store, StoreReport::Clean), "sled is never flushed while running");
            assert_eq!(all(&reopened), all(&log));
            assert_eq!(reopened.head(), log.head());
        }
    }
}
