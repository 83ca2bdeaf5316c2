//! A disk that is full, or fails.

use super::*;
use crate::{
    AppendError,
    disk::{Disk, RealDisk},
    segment, verify,
};
use std::{
    fs::File,
    io,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

/// A real disk with a budget, whose calls can be made to fail.
#[derive(Debug)]
struct FailingDisk {
    room_bytes: AtomicU64,
    fail_write: AtomicBool,
    fail_sync: AtomicBool,
    syncs: AtomicU64,
}

impl FailingDisk {
    fn with_room(bytes: u64) -> Arc<FailingDisk> {
        Arc::new(FailingDisk {
            room_bytes: AtomicU64::new(bytes),
            fail_write: AtomicBool::new(false),
            fail_sync: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
        })
    }
}

impl Disk for FailingDisk {
    fn allocate(&self, file: &File, offset: u64, bytes: u64) -> io::Result<()> {
        let room = self.room_bytes.load(Ordering::SeqCst);
        if bytes > room {
            RealDisk.allocate(file, offset, room.max(1))?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.room_bytes.store(room - bytes, Ordering::SeqCst);
        RealDisk.allocate(file, offset, bytes)
    }

    fn write_all_at(&self, file: &File, data: &[u8], offset: u64) -> io::Result<()> {
        if self.fail_write.load(Ordering::SeqCst) {
            RealDisk.write_all_at(file, &data[..data.len() / 2], offset)?;
            return Err(io::Error::other("the disk is broken"));
        }
        RealDisk.write_all_at(file, data, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.fail_sync.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        RealDisk.sync_data(file)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        RealDisk.sync_dir(dir)
    }

    fn free_bytes(&self, _dir: &Path) -> io::Result<u64> {
        Ok(self.room_bytes.load(Ordering::SeqCst))
    }
}

#[test]
fn no_room_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FailingDisk::with_room(4000);
    let options = Options { disk: disk.clone(), ..small() };
    let (mut log, _) = open_with(dir.path(), options.clone()).unwrap();
    let mut appended = 0;
    let refused = loop {
        match log.append(group(log.next_seq(), 1)) {
            Ok(()) => appended += 1,
            Err(e) => break e,
        }
    };
    assert!(matches!(refused, AppendError::NoRoom { .. }), "{refused}");
    assert!(appended > 8);
    let head = log.head();
    assert!(matches!(log.append(group(log.next_seq(), 1)), Err(AppendError::NoRoom { .. })));
    assert_eq!((log.head(), all(&log).len()), (head, appended));
    // Reopened on the full disk, everything can be read; with room again it goes on.
    drop(log);
    let (mut log, report) = open_with(dir.path(), options).unwrap();
    assert_eq!((report.repaired, all(&log).len()), (None, appended));
    assert!(matches!(log.append(group(log.next_seq(), 20)), Err(AppendError::NoRoom { .. })));
    disk.room_bytes.store(1 << 20, Ordering::SeqCst);
    append(&mut log, 20);
    assert_eq!(all(&log).len(), appended + 20);
    assert!(verify(dir.path(), None, &mut |_, _| {}).unwrap().ok);
}

#[test]
fn room_for_the_store_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FailingDisk::with_room(1 << 20);
    let (mut log, _) = open_with(dir.path(), Options { disk, keep_free_bytes: 8 << 20, ..options() }).unwrap();
    assert!(matches!(log.append(group(1, 1)), Err(AppendError::NoRoom { .. })));
}

#[test]
fn one_sync_per_group_and_none_after_a_failure() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FailingDisk::with_room(1 << 30);
    let options = Options { disk: disk.clone(), ..options() };
    let (mut log, _) = open_with(dir.path(), options.clone()).unwrap();
    let before = disk.syncs.load(Ordering::SeqCst);
    append(&mut log, 100);
    assert_eq!(disk.syncs.load(Ordering::SeqCst), before + 1);

    disk.fail_sync.store(true, Ordering::SeqCst);
    assert!(matches!(log.append(group(log.next_seq(), 1)), Err(AppendError::Failed { .. })));
    disk.fail_sync.store(false, Ordering::SeqCst);
    assert!(matches!(log.append(group(log.next_seq(), 1)), Err(AppendError::Failed { .. })));
    assert_eq!(disk.syncs.load(Ordering::SeqCst), before + 2);
    assert_eq!((log.next_seq(), all(&log).len()), (201, 100));
    drop(log);
    // The group that failed was whole in the file: it may come back, whole, or not at all.
    let (mut log, _) = open_with(dir.path(), options.clone()).unwrap();
    assert!(all(&log).len() == 100 || all(&log).len() == 101);

    let kept = all(&log).len();
    disk.fail_write.store(true, Ordering::SeqCst);
    assert!(matches!(log.append(group(log.next_seq(), 4)), Err(AppendError::Failed { .. })));
    disk.fail_write.store(false, Ordering::SeqCst);
    drop(log);
    let (log, report) = open_with(dir.path(), options).unwrap();
    assert!(report.repaired.is_some());
    assert!(all(&log).len() >= kept && all(&log).len() < kept + 4);
}

#[test]
fn a_process_at_work_goes_on_in_the_segment_that_was_zeroed() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { segment_bytes: 4 << 20, ..options() };
    let (mut log, _) = open_with(dir.path(), options()).unwrap();
    let segments = || segment::list(&dir.path().join("journal")).unwrap().len();
    append(&mut log, 1);
    assert_eq!(segments(), 1);
    // Its first segment has room for ten times as much.
    let big = NewFrame { payload: vec![b'x'; 300 << 10], ..frame(log.next_seq()) };
    log.append(vec![big]).unwrap();
    while segments() == 1 {
        assert!(log.next_seq() < 50_000, "it never goes on");
        std::thread::sleep(Duration::from_millis(1));
        append(&mut log, 1);
    }
    (0..10).for_each(|_| append(&mut log, 1));
    assert_eq!(segments(), 2, "one that is zeroed is as good as the next");
    let frames = all(&log);
    log.close().unwrap();
    let (log, _) = open_with(dir.path(), options()).unwrap();
    assert_eq!(all(&log), frames);
}
