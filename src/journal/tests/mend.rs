//! A journal that was damaged, and the store that still has it.

use super::*;
use crate::{Mended, mend, verify};

fn lock(dir: &Path) -> DirLock {
    DirLock::acquire(dir, Duration::ZERO).unwrap()
}

fn segments(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<PathBuf> = fs::read_dir(dir.join("journal")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|file| (file.clone(), fs::read(file).unwrap())).collect()
}

/// A log of several segments, closed.
fn filled(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut log, _) = open_with(dir, small()).unwrap();
    (0..12).for_each(|_| append(&mut log, 2));
    log.close().unwrap();
    segments(dir)
}

#[test]
fn every_byte_that_was_flipped_is_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let whole = filled(dir.path());
    assert!(whole.len() >= 3);
    let last = whole.last().unwrap().0.clone();
    for (file, bytes) in &whole {
        for at in (0..bytes.len()).step_by(97) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x40;
            fs::write(file, damaged).unwrap();
            let mended = mend(&lock(dir.path()), &small()).unwrap();
            // The very last group may be one that nobody heard of.
            if mended.is_empty() {
                assert!(*file == last, "{} byte {at}", file.display());
                fs::write(file, bytes).unwrap();
            }
            assert!(segments(dir.path()) == whole, "{} byte {at}", file.display());
            assert!(dir.path().join("journal.damaged").exists() || mended.is_empty());
            let _ = fs::remove_dir_all(dir.path().join("journal.damaged"));
        }
    }
    assert_eq!(mend(&lock(dir.path()), &small()).unwrap(), [], "there is nothing to mend");
}

#[test]
fn several_frames_are_mended_and_the_files_as_they_were_found_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let whole = filled(dir.path());
    for (file, bytes) in &whole[..2] {
        let mut damaged = bytes.clone();
        damaged[100] ^= 1;
        let half = bytes.len() / 2;
        damaged[half..half + 200].fill(0xee);
        fs::write(file, damaged).unwrap();
    }
    let found = segments(dir.path());
    assert!(open_with(dir.path(), small()).is_err(), "acknowledged frames are missing");
    let mended = mend(&lock(dir.path()), &small()).unwrap();
    assert!(mended.len() >= 4, "{mended:?}");
    assert!(segments(dir.path()) == whole);
    for (file, bytes) in &found[..2] {
        assert_eq!(fs::read(dir.path().join("journal.damaged").join(file.file_name().unwrap())).unwrap(), *bytes);
    }
    assert!(verify(dir.path(), None, &mut |_, _| {}).unwrap().ok);
    open_with(dir.path(), small()).unwrap().0.close().unwrap();
}

#[test]
fn what_the_store_does_not_have_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let whole = filled(dir.path());
    // The store of another log, whose frames have the same numbers.
    let other = tempfile::tempdir().unwrap();
    let (mut log, _) = open_with(other.path(), small()).unwrap();
    (0..24).for_each(|_| append(&mut log, 1));
    log.close().unwrap();
    fs::remove_dir_all(dir.path().join("store")).unwrap();
    copy_dir(&other.path().join("store"), &dir.path().join("store"));
    let (file, bytes) = &whole[1];
    let mut damaged = bytes.clone();
    damaged[200] ^= 1;
    fs::write(file, &damaged).unwrap();
    for store in ["another", "none"] {
        if store == "none" {
            fs::remove_dir_all(dir.path().join("store")).unwrap();
        }
        let told: Result<Vec<Mended>, Error> = mend(&lock(dir.path()), &small());
        assert!(matches!(told, Err(Error::Damaged { .. })), "{told:?}");
        assert_eq!(fs::read(file).unwrap(), damaged);
    }
}

#[test]
fn a_journal_that_ends_too_early_is_written_on() {
    let dir = tempfile::tempdir().unwrap();
    let whole = filled(dir.path());
    let joined = |files: &[(PathBuf, Vec<u8>)]| files.iter().flat_map(|(_, bytes)| bytes.clone()).collect::<Vec<u8>>();
    let (last, bytes) = whole.last().unwrap();
    for cut in [0, 1, 90, bytes.len() / 2, bytes.len() - 1] {
        fs::write(last, &bytes[..cut]).unwrap();
        assert!(matches!(open_with(dir.path(), small()), Err(Error::Damaged { .. })), "cut at {cut}");
        let mended = mend(&lock(dir.path()), &small()).unwrap();
        assert!(mended.len() == 1 && mended[0].what.contains("written again"), "{mended:?}");
        assert!(joined(&segments(dir.path())) == joined(&whole), "cut at {cut}");
        open_with(dir.path(), small()).unwrap().0.close().unwrap();
    }
    // A file that is gone, and all of them.
    for gone in [whole.len() - 1, 0] {
        whole[gone..].iter().for_each(|(file, _)| fs::remove_file(file).unwrap());
        assert!(matches!(open_with(dir.path(), small()), Err(Error::Damaged { .. })), "without {gone} and later");
        mend(&lock(dir.path()), &small()).unwrap();
        assert!(joined(&segments(dir.path())) == joined(&whole), "without {gone} and later");
        open_with(dir.path(), small()).unwrap().0.close().unwrap();
        fs::remove_dir_all(dir.path().join("journal")).unwrap();
        fs::create_dir(dir.path().join("journal")).unwrap();
        whole.iter().for_each(|(file, bytes)| fs::write(file, bytes).unwrap());
    }
    // What stands behind a lost file cannot be put in its place.
    fs::remove_file(&whole[1].0).unwrap();
    assert!(matches!(mend(&lock(dir.path()), &small()), Err(Error::Damaged { .. })));
}

#[test]
fn an_end_that_nobody_heard_of_is_left_to_the_open() {
    let dir = tempfile::tempdir().unwrap();
    let whole = filled(dir.path());
    let (last, bytes) = whole.last().unwrap();
    fs::write(last, [bytes.as_slice(), &bytes[..60]].concat()).unwrap();
    let found = segments(dir.path());
    assert_eq!(mend(&lock(dir.path()), &small()).unwrap(), []);
    assert!(segments(dir.path()) == found);
}
