//! A log that is only read: as far as it is whole, beside a writer, and never in silence short of what it was.

use super::*;
use crate::ReadOnly;

fn read(dir: &Path) -> Result<(ReadOnly, Vec<Frame>), Error> {
    let mut shown = Vec::new();
    let log = ReadOnly::open::<Error>(dir, |frame| {
        shown.push(frame.clone());
        Ok(())
    })?;
    Ok((log, shown))
}

#[test]
fn no_directory_is_an_empty_log() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("missing");
    let (log, shown) = read(&missing).unwrap();
    assert_eq!((log.head(), shown.len(), log.frames_from(1).count()), (crate::Head::EMPTY, 0, 0));
    assert!(!missing.exists());
}

#[test]
fn it_is_read_beside_its_writer_as_it_was_at_one_moment() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open_with(dir.path(), small()).unwrap();
    for _ in 0..20 {
        append(&mut log, 3);
    }
    let frames = all(&log);
    let (files, shown) = read(dir.path()).unwrap();
    append(&mut log, 3);
    assert_eq!(shown, frames);
    assert_eq!(files.frames_from(1).map(Result::unwrap).collect::<Vec<_>>(), frames);
    assert!(segments(dir.path()).len() > 2, "over several files");
    let (later, _) = read(dir.path()).unwrap();
    assert_eq!(later.frames_from(1).map(Result::unwrap).collect::<Vec<_>>(), all(&log));
    let of_stream = |n: u64| later.frames_of_stream_from(Uuid::from_u64_pair(1, n), 1).count();
    assert_eq!(of_stream(0) + of_stream(1) + of_stream(2), all(&log).len());
    assert_eq!(of_stream(9), 0);
    log.close().unwrap();
}

#[test]
fn a_write_that_was_cut_off_is_where_it_ends() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    append(&mut log, 3);
    log.close().unwrap();
    let file = segments(dir.path()).pop().unwrap();
    let whole = fs::read(&file).unwrap();
    fs::write(&file, [whole.as_slice(), &whole[..60]].concat()).unwrap();
    assert_eq!(read(dir.path()).unwrap().1.len(), 3);
}

#[test]
fn an_end_that_is_missing_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (mut log, _) = open(dir.path());
    for _ in 0..5 {
        append(&mut log, 3);
    }
    log.close().unwrap();
    let file = segments(dir.path()).pop().unwrap();
    let whole = fs::read(&file).unwrap();
    for cut in [Some(whole.len() * 3 / 4), Some(0), None] {
        match cut {
            Some(length) => fs::write(&file, &whole[..length]).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let told = read(dir.path()).unwrap_err().to_string();
        assert!(told.contains("when it was last closed it went on to event 30"), "{cut:?}: {told}");
    }
    // Another log of the same length.
    let other = tempfile::tempdir().unwrap();
    let (mut log, _) = open(other.path());
    let changed: Vec<NewFrame> = group(1, 15).into_iter().map(|f| NewFrame { at_ms: f.at_ms + 1, ..f }).collect();
    log.append(changed).unwrap();
    log.close().unwrap();
    fs::copy(segments(other.path()).pop().unwrap(), &file).unwrap();
    assert!(read(dir.path()).unwrap_err().to_string().contains("another one"));
    fs::write(&file, &whole).unwrap();
    assert_eq!(read(dir.path()).unwrap().1.len(), 15);
}
