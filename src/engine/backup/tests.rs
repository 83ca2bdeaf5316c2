use super::{BackupError, restore, write};
use crate::journal::{DirLock, FrameKeys, Log, NewFrame, Options};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use uuid::Uuid;

const OPTIONS: fn() -> Options = || Options { segment_bytes: 4096, ..Options::default() };

/// A log of several segments with a blob in every frame.
fn fill(data: &Path, frames: u64) -> Log {
    let lock = DirLock::acquire(data, Duration::ZERO).unwrap();
    let (mut log, _) = Log::open(data, lock, OPTIONS()).unwrap();
    for n in 0..frames {
        let blob = log.blobs().put(format!("blob {n}").as_bytes()).unwrap();
        append(&mut log, &format!("{{\"n\":{n},\"b\":{}}}", serde_json::to_string(&blob).unwrap()));
    }
    log
}

fn append(log: &mut Log, payload: &str) {
    let keys = FrameKeys { stream: Uuid::from_u128(7), run: None, tickets: Vec::new() };
    let first_seq = log.next_seq();
    log.append(vec![NewFrame { first_seq, events: 1, at_ms: 1, keys, payload: payload.into() }]).unwrap();
}

fn back_up(data: &Path, name: &str) -> PathBuf {
    let path = data.with_file_name(name);
    write(data, fs::File::create(&path).unwrap(), &path).unwrap();
    path
}

#[test]
fn a_held_directory_is_backed_up_and_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let mut log = fill(&data, 60);
    fs::create_dir_all(data.join("repos/x/repo.git/objects/ab")).unwrap();
    fs::write(data.join("repos/x/repo.git/objects/ab/cd"), "object").unwrap();
    fs::write(data.join("repos/x/repo.git/objects/tmp_obj_1"), "half").unwrap();
    fs::create_dir_all(data.join("repos/x/trees/1")).unwrap();
    fs::write(data.join("repos/x/trees/1/work"), "work").unwrap();
    fs::write(data.join("token"), "secret").unwrap();
    let file = back_up(&data, "a.backup");
    let (head, frames) = (log.head(), 60);
    append(&mut log, "{\"later\":true}");
    assert!(matches!(restore(&file, &data), Err(BackupError::Disk(crate::journal::Error::Locked { .. }))));
    log.close().unwrap();
    let done = restore(&file, &data).unwrap();
    assert_eq!((done.seq, done.frames, done.blobs), (frames, frames, 60));
    let kept = done.kept.unwrap();
    assert_eq!(fs::read_to_string(kept.join("token")).unwrap(), "secret");
    assert!(kept.join("store").is_dir() && !data.join("token").exists() && !data.join("repos/x/trees").exists());
    assert_eq!(fs::read_to_string(data.join("repos/x/repo.git/objects/ab/cd")).unwrap(), "object");
    assert!(!data.join("repos/x/repo.git/objects/tmp_obj_1").exists());
    let lock = DirLock::acquire(&data, Duration::ZERO).unwrap();
    let (log, _) = Log::open(&data, lock, OPTIONS()).unwrap();
    assert_eq!(log.head(), head);
    assert_eq!(log.reader().frames_from(1).unwrap().map(Result::unwrap).count(), 60);
    log.close().unwrap();
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 3, "{left:?}");
}

#[test]
fn an_empty_directory_and_a_missing_one_are_places_too() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fill(&data, 3).close().unwrap();
    let file = back_up(&data, "a.backup");
    let other = dir.path().join("other");
    let done = restore(&file, &other).unwrap();
    assert_eq!((done.seq, done.kept), (3, None));
    assert!(other.join("journal").is_dir());
    let none = dir.path().join("none");
    fs::create_dir_all(&none).unwrap();
    let empty = back_up(&none, "empty.backup");
    assert_eq!(restore(&empty, &dir.path().join("empty")).unwrap().seq, 0);
}

#[test]
fn what_is_not_whole_replaces_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fill(&data, 12).close().unwrap();
    let file = back_up(&data, "a.backup");
    let bytes = fs::read(&file).unwrap();
    let target = dir.path().join("target");
    fs::create_dir(&target).unwrap();
    fs::write(target.join("mine"), "mine").unwrap();
    let bad = dir.path().join("bad.backup");
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&bad, bytes).unwrap();
        assert!(restore(&bad, &target).is_err(), "{what}");
        assert_eq!(fs::read_to_string(target.join("mine")).unwrap(), "mine", "{what}");
    };
    for at in (0..bytes.len()).step_by(37) {
        refused(&bytes[..at], &format!("cut at {at}"));
    }
    let tar = zstd::decode_all(&bytes[..]).unwrap();
    for at in (0..tar.len()).step_by(211) {
        let mut changed = tar.clone();
        changed[at] ^= 0x10;
        refused(&zstd::encode_all(&changed[..], 1).unwrap(), &format!("flip at {at}"));
    }
    refused(&zstd::encode_all(&[&tar[..], b"more"].concat()[..], 1).unwrap(), "more behind it");
    refused(&zstd::encode_all(&vec![0_u8; 64 << 20][..], 1).unwrap(), "a bomb of zeros");
    refused(b"garbage", "garbage");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains("restoring")), "{left:?}");
}

#[test]
fn no_name_leads_out_of_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fill(&data, 1).close().unwrap();
    let tar = zstd::decode_all(fs::File::open(back_up(&data, "a.backup")).unwrap()).unwrap();
    let manifest_end = 2 * super::tar::BLOCK;
    for name in ["../x", "/etc/x", "journal/../../x", "token", "journal", "p0-backup.json", "store/x", ""] {
        let mut changed = tar[..manifest_end].to_vec();
        changed.extend_from_slice(&super::tar::header(name, 1).unwrap());
        changed.extend_from_slice(&[b'x'; super::tar::BLOCK]);
        let bad = dir.path().join("bad.backup");
        fs::write(&bad, zstd::encode_all(&changed[..], 1).unwrap()).unwrap();
        let told = restore(&bad, &dir.path().join("new")).unwrap_err().to_string();
        assert!(told.contains("has no place for"), "{name}: {told}");
    }
    assert!(!dir.path().join("x").exists());
}

#[test]
fn what_a_killed_restore_had_unpacked_goes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    fill(&data, 2).close().unwrap();
    let file = back_up(&data, "a.backup");
    let unpacked = |name: &str| {
        fs::create_dir(dir.path().join(name)).unwrap();
        fs::write(dir.path().join(name).join(restore::UNPACKING), "").unwrap();
    };
    for name in ["data.restoring-17", "data.restoring-", "data.restoring-1x", "other.restoring-17"] {
        unpacked(name);
    }
    // Killed between the exchange and the renaming: what has this name is what was there before.
    fs::create_dir(dir.path().join("data.restoring-18")).unwrap();
    restore(&file, &data).unwrap();
    let mut left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    left.sort();
    let stays = ["data.restoring-", "data.restoring-18", "data.restoring-1x", "other.restoring-17"];
    assert_eq!(left, [&["a.backup", "data", "data.before-restore-1"][..], &stays].concat());
    assert!(!data.join(restore::UNPACKING).exists());
}

#[test]
fn a_mount_point_is_told_before_anything_is_unpacked() {
    let dir = tempfile::tempdir().unwrap();
    assert!(restore::is_mount_point(Path::new("/proc")).unwrap());
    assert!(!restore::is_mount_point(dir.path()).unwrap());
}
