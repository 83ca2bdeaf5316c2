//! Every call to the disk fails once, in every way it can; and whatever a power cut leaves of the last group is survived.

use super::*;
use crate::{
    AppendError, Blobs,
    disk::{Disk, RealDisk},
    verify,
};
use std::{
    fs::File,
    io,
    sync::atomic::{AtomicU64, Ordering},
};

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// ENOSPC, nothing done.
    Full,
    /// EIO, nothing done.
    Broken,
    /// Half of it is done, then EIO.
    Short,
}

/// A real disk, one of whose calls fails.
#[derive(Debug)]
pub(super) struct FaultyDisk {
    /// Calls so far.
    calls: AtomicU64,
    /// The number of the call that fails; none while the log is opened for the last time.
    at: AtomicU64,
    fault: Fault,
}

impl FaultyDisk {
    pub(super) fn new(at: u64, fault: Fault) -> Arc<FaultyDisk> {
        Arc::new(FaultyDisk { calls: AtomicU64::new(0), at: AtomicU64::new(at), fault })
    }

    fn fails(&self) -> Option<io::Error> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let at = self.at.load(Ordering::SeqCst);
        // A full disk stays full for a while: room that is reserved ahead is asked for twice before it is missed.
        let calls = if self.fault == Fault::Full { 4 } else { 1 };
        (at <= call && call - at < calls).then(|| match self.fault {
            Fault::Full => io::ErrorKind::StorageFull.into(),
            Fault::Broken | Fault::Short => io::Error::from_raw_os_error(libc::EIO),
        })
    }
}

impl Disk for FaultyDisk {
    fn allocate(&self, file: &File, offset: u64, bytes: u64) -> io::Result<()> {
        let Some(error) = self.fails() else { return RealDisk.allocate(file, offset, bytes) };
        if self.fault == Fault::Short {
            RealDisk.allocate(file, offset, (bytes / 2).max(1))?;
        }
        Err(error)
    }

    fn write_all_at(&self, file: &File, data: &[u8], offset: u64) -> io::Result<()> {
        let Some(error) = self.fails() else { return RealDisk.write_all_at(file, data, offset) };
        if self.fault == Fault::Short {
            RealDisk.write_all_at(file, &data[..data.len() / 2], offset)?;
        }
        Err(error)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        match self.fails() {
            Some(error) => Err(error),
            None => RealDisk.sync_data(file),
        }
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        match self.fails() {
            Some(error) => Err(error),
            None => RealDisk.sync_dir(dir),
        }
    }

    fn free_bytes(&self, dir: &Path) -> io::Result<u64> {
        match self.fails() {
            Some(_) if self.fault == Fault::Full => Ok(0),
            Some(error) => Err(error),
            None => RealDisk.free_bytes(dir),
        }
    }
}

/// What a writer was told.
#[derive(Debug, Default)]
struct Told {
    /// Frames that were acknowledged.
    acknowledged: usize,
    /// Groups that were refused for want of room.
    refused: usize,
    /// Whether the log stopped, or did not open.
    stopped: bool,
}

/// Twelve groups over several segments, on a disk that fails once.
fn write(dir: &Path, disk: &Arc<FaultyDisk>) -> Told {
    let mut told = Told::default();
    let options = Options { disk: disk.clone(), ..small() };
    let Ok((mut log, _)) = open_with(dir, options) else {
        return Told { stopped: true, ..told };
    };
    for n in 1..=12_u64 {
        let frames = n % 4 + 1;
        match log.append(group(log.next_seq(), frames)) {
            Ok(()) => {
                assert!(!told.stopped, "nothing is taken after a failure");
                told.acknowledged += usize::try_from(frames).unwrap();
            }
            Err(AppendError::NoRoom { .. }) => told.refused += 1,
            Err(AppendError::Failed { .. }) => told.stopped = true,
            Err(other) => panic!("{other}"),
        }
    }
    if told.stopped {
        drop(log);
    } else if log.close().is_err() {
        told.stopped = true;
    }
    told
}

#[test]
fn every_call_to_the_disk_may_fail_once() {
    let whole = tempfile::tempdir().unwrap();
    let never = FaultyDisk::new(u64::MAX, Fault::Broken);
    let told = write(whole.path(), &never);
    let calls = never.calls.load(Ordering::SeqCst);
    assert!(calls > 30 && told.refused == 0 && !told.stopped, "{calls} calls, {told:?}");
    let (mut refusals, mut stops) = (0, 0);
    for fault in [Fault::Full, Fault::Broken, Fault::Short] {
        for at in 0..calls {
            let dir = tempfile::tempdir().unwrap();
            let told = write(dir.path(), &FaultyDisk::new(at, fault));
            refusals += told.refused;
            stops += usize::from(told.stopped);
            let case = format!("{fault:?} at call {at} of {calls}: {told:?}");
            // The cause is gone: everything acknowledged is there, once, and at most one group more, and it goes on.
            let (mut log, _) = open(dir.path());
            let frames = all(&log);
            assert!(frames.len() >= told.acknowledged && frames.len() <= told.acknowledged + 4, "{case}");
            for (n, found) in frames.iter().enumerate() {
                let wanted = frame(2 * n as u64 + 1);
                assert_eq!(as_new(std::slice::from_ref(found)), [wanted], "{case}");
            }
            append(&mut log, 3);
            log.close().unwrap();
            let verified = verify(dir.path(), None, &mut |_, _| {}).unwrap();
            assert!(verified.ok, "{case}: {verified:?}");
        }
    }
    assert!(refusals > 0 && stops > 0, "{refusals} refusals, {stops} stops");
}

/// A blob that was put is there; one that was not is asked for again, and leaves nothing behind.
#[test]
fn every_call_to_the_disk_may_fail_while_a_blob_is_put() {
    let content: Vec<u8> = (0..300_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    let whole = tempfile::tempdir().unwrap();
    let never = FaultyDisk::new(u64::MAX, Fault::Broken);
    Blobs::open(&whole.path().join("blobs"), never.clone()).unwrap().put(&content).unwrap();
    let calls = never.calls.load(Ordering::SeqCst);
    assert!(calls > 8, "writes, a sync of the file, and of three folders: {calls}");
    for fault in [Fault::Full, Fault::Broken, Fault::Short] {
        for at in 0..calls {
            let case = format!("{fault:?} at call {at} of {calls}");
            let dir = tempfile::tempdir().unwrap();
            let place = dir.path().join("blobs");
            let disk = FaultyDisk::new(at, fault);
            let Ok(blobs) = Blobs::open(&place, disk.clone()) else { continue };
            let failed = blobs.put(&content).expect_err(&case);
            assert_eq!(matches!(failed, Error::Full { .. }), fault == Fault::Full, "{case}: {failed}");
            let half = fs::read_dir(place.join("tmp")).unwrap().count();
            assert_eq!(half, 0, "{case}: half a file is left");
            disk.at.store(u64::MAX, Ordering::SeqCst);
            let blob = blobs.put(&content).unwrap();
            assert_eq!(blobs.get(&blob.hash).unwrap(), content, "{case}");
        }
    }
}

/// Sectors of the last group get to the disk in any order: what a power cut leaves is any part of them.
#[test]
fn a_power_cut_may_leave_any_part_of_the_last_group() {
    const SECTOR: usize = 512;
    let whole = tempfile::tempdir().unwrap();
    let (mut log, _) = open(whole.path());
    append(&mut log, 6);
    let at = usize::try_from(end_of_frames(whole.path())).unwrap();
    append(&mut log, 9);
    let end = usize::try_from(end_of_frames(whole.path())).unwrap();
    drop(log);
    // As at the moment of the cut: nothing was closed, and the store had not got the group either.
    fs::remove_dir_all(whole.path().join("store")).unwrap();
    let segment = segments(whole.path()).pop().unwrap();
    let bytes = fs::read(&segment).unwrap();
    let first = at / SECTOR;
    let sectors = end.div_ceil(SECTOR) - first;
    assert!((3..12).contains(&sectors), "{sectors} sectors");
    for kept in 0..1_u32 << sectors {
        let dir = tempfile::tempdir().unwrap();
        copy_dir(whole.path(), dir.path());
        let mut cut = bytes.clone();
        for sector in (0..sectors).filter(|n| kept & (1 << n) == 0) {
            let from = ((first + sector) * SECTOR).max(at);
            let to = ((first + sector + 1) * SECTOR).min(end);
            cut[from..to].fill(0);
        }
        fs::write(dir.path().join("journal").join(segment.file_name().unwrap()), &cut).unwrap();
        let (log, report) = open(dir.path());
        let frames = all(&log);
        let kept_all = kept == (1 << sectors) - 1;
        assert_eq!(frames.len() == 15, kept_all, "kept {kept:b}: whole or cut");
        assert!(report.repaired.is_some() || kept_all || kept == 0 || frames.len() > 6, "kept {kept:b}: a cut is told");
        assert!(frames.len() >= 6, "kept {kept:b}: acknowledged frames are there");
        assert_eq!(
            as_new(&frames),
            group(1, frames.len() as u64),
            "kept {kept:b}: and nothing but frames that were written"
        );
        log.close().unwrap();
        assert!(verify(dir.path(), None, &mut |_, _| {}).unwrap().ok);
    }
}

/// Where the frames of the last segment end.
fn end_of_frames(dir: &Path) -> u64 {
    let segment = segments(dir).pop().unwrap();
    let bytes = fs::read(segment).unwrap();
    bytes.iter().rposition(|b| *b != 0).map_or(0, |at| at as u64 + 1)
}
