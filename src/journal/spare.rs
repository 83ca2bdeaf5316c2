//! The room of the next segment, made ahead of need.

use crate::{Error, disk::Disk, error::is_full, zeroing::Zeroing};
use std::{
    fs::{self, File, OpenOptions},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Smaller ones are not worth a thread.
const ZERO_FROM_BYTES: u64 = 4 << 20;

/// Why there was no room, or what failed while making it.
pub(crate) enum NoWay {
    NoRoom(String),
    Failed(PathBuf, String),
}

/// A file that is not yet part of the log.
pub(crate) struct Spare {
    path: PathBuf,
    disk: Arc<dyn Disk>,
    /// Its size; 0 = there is none.
    bytes: u64,
    zeroing: Option<Zeroing>,
}

/// What a spare has become: a file of a new name.
pub(crate) struct Taken {
    pub(crate) file: File,
    pub(crate) bytes: u64,
    /// All of its room was written before: see [`Spare::zero`].
    pub(crate) zeroed: bool,
}

impl Spare {
    /// None yet, in the journal's directory.
    ///
    /// # Errors
    /// What the last process left cannot be removed: it may have a half-done size, and making it anew is cheap.
    pub(crate) fn none_in(dir: &Path, disk: Arc<dyn Disk>) -> Result<Spare, Error> {
        let path = dir.join("spare");
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(Error::io("remove", &path, e)),
            Ok(()) | Err(_) => Ok(Spare { path, disk, bytes: 0, zeroing: None }),
        }
    }

    pub(crate) fn is_there(&self) -> bool {
        self.bytes > 0
    }

    /// Makes it at least this large.
    pub(crate) fn make(&mut self, size: u64) -> Result<(), NoWay> {
        if self.bytes >= size {
            return Ok(());
        }
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&self.path);
        let file = match opened {
            Ok(file) => file,
            Err(e) if is_full(&e) => return Err(NoWay::NoRoom(e.to_string())),
            Err(e) => return Err(NoWay::Failed(self.path.clone(), format!("create: {e}"))),
        };
        allocate(self.disk.as_ref(), &file, &self.path, self.bytes, size)?;
        self.bytes = size;
        Ok(())
    }

    /// Has zeros written into it by a thread: blocks that were written before need no change of the file's metadata when
    /// they are written again, and groups are then twice as fast.
    pub(crate) fn zero(&mut self) {
        if self.zeroing.is_none() && self.bytes >= ZERO_FROM_BYTES {
            self.zeroing = Zeroing::start(&self.path, self.bytes);
        }
    }

    pub(crate) fn is_zeroed(&self) -> bool {
        self.zeroing.as_ref().is_some_and(Zeroing::is_done)
    }

    /// Makes it the file at `path`, with room for `size` bytes.
    pub(crate) fn take(&mut self, path: &Path, size: u64) -> Result<Taken, NoWay> {
        // Half-zeroed is as good as any: what was not written yet reads as zeros, too.
        let zeroed = self.is_zeroed();
        self.zeroing = None;
        self.make(size)?;
        let failed = |doing: &str, e: io::Error| NoWay::Failed(self.path.clone(), format!("{doing}: {e}"));
        let file = OpenOptions::new().read(true).write(true).open(&self.path).map_err(|e| failed("open", e))?;
        self.disk.sync_data(&file).map_err(|e| failed("sync", e))?;
        fs::rename(&self.path, path).map_err(|e| failed("rename", e))?;
        let dir = path.parent().unwrap_or(Path::new("."));
        self.disk.sync_dir(dir).map_err(|e| NoWay::Failed(dir.to_path_buf(), format!("sync: {e}")))?;
        Ok(Taken { file, bytes: std::mem::take(&mut self.bytes), zeroed })
    }

    /// Gives its room back.
    pub(crate) fn remove(&mut self) -> Result<(), Error> {
        self.zeroing = None;
        if self.is_there() {
            fs::remove_file(&self.path).map_err(|e| Error::io("remove", &self.path, e))?;
            self.bytes = 0;
        }
        Ok(())
    }
}

/// Reserves the room between two sizes of a file.
pub(crate) fn allocate(disk: &dyn Disk, file: &File, path: &Path, from: u64, to: u64) -> Result<(), NoWay> {
    let Err(e) = disk.allocate(file, from, to - from) else { return Ok(()) };
    // Part of the room may have been given; a later attempt starts from the same size.
    let _ = file.set_len(from);
    if is_full(&e) {
        return Err(NoWay::NoRoom(format!("{}: {e}", path.display())));
    }
    Err(NoWay::Failed(path.to_path_buf(), format!("allocate: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;
    use std::time::Duration;

    #[test]
    fn a_zeroed_spare_becomes_a_segment_that_reads_as_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let mut spare = Spare::none_in(dir.path(), Arc::new(RealDisk)).unwrap();
        spare.zero();
        assert!(!spare.is_zeroed() && !spare.is_there(), "there is nothing to fill");
        assert!(spare.make(ZERO_FROM_BYTES).is_ok());
        spare.zero();
        while !spare.is_zeroed() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let path = dir.path().join("segment");
        let Ok(taken) = spare.take(&path, 1) else { panic!("there was room") };
        assert!(taken.zeroed && taken.bytes == ZERO_FROM_BYTES && !spare.is_there());
        assert_eq!(fs::read(&path).unwrap(), vec![0; usize::try_from(ZERO_FROM_BYTES).unwrap()]);
        // The next one has room for a group that is larger than a segment, and was never zeroed.
        let Ok(taken) = spare.take(&dir.path().join("next"), ZERO_FROM_BYTES + 1) else { panic!("there was room") };
        assert!(!taken.zeroed && taken.bytes == ZERO_FROM_BYTES + 1);
    }
}
