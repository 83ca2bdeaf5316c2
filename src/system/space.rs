//! Room on a disk: how much there is, what takes it, and a reserve of it.
use crate::model::attempt::DiskUse;
use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::Errno,
};
use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Bytes in a block, as `stat` counts them.
const BLOCK_BYTES: u64 = 512;
/// Bytes in a MiB.
const MIB: u64 = 1024 * 1024;
/// A reserve takes one part of so many of what is free at the most.
const RESERVE_PART: u64 = 8;

/// What this user can still write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// In bytes.
    pub bytes: u64,
    /// Files and folders; `None` = the file system has no limit of them.
    pub files: Option<u64>,
}

impl Free {
    /// On the file system of `path`.
    ///
    /// # Errors
    /// Whatever the system says.
    pub fn at(path: &Path) -> io::Result<Free> {
        let stat = statvfs(path)?;
        let bytes = stat.f_bavail.saturating_mul(stat.f_frsize);
        Ok(Free { bytes, files: (stat.f_files > 0).then_some(stat.f_favail) })
    }
}

/// A moment of a file system's own clock: when what is known of a file changed last, in seconds and nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Changed(i64, i64);

impl Changed {
    /// Of the file at `path`; `None` = it is not there.
    pub fn of(path: &Path) -> Option<Changed> {
        fs::symlink_metadata(path).ok().map(|meta| Changed(meta.ctime(), meta.ctime_nsec()))
    }
}

/// What was written below `root` since `since`, and is there. Links are not followed, other file systems not entered,
/// and what vanishes meanwhile takes no room.
pub fn written_since(root: &Path, since: Changed) -> DiskUse {
    let mut used = DiskUse::default();
    walk(root, &mut |_, meta| {
        if Changed(meta.ctime(), meta.ctime_nsec()) >= since {
            used = used.plus(DiskUse { bytes: meta.blocks().saturating_mul(BLOCK_BYTES), files: 1 });
        }
    });
    used
}

/// Removes files below `root` that were written since `since` and are larger than `most` bytes. What cannot be removed
/// stays.
pub fn remove_larger(root: &Path, since: Changed, most: u64) {
    let mut large = Vec::new();
    walk(root, &mut |path, meta| {
        let is_new = Changed(meta.ctime(), meta.ctime_nsec()) >= since;
        if meta.is_file() && is_new && meta.blocks().saturating_mul(BLOCK_BYTES) > most {
            large.push(path.to_path_buf());
        }
    });
    for path in large {
        if let Err(error) = fs::remove_file(&path) {
            tracing::debug!("{} stays: {error}", path.display());
        }
    }
}

/// Shows `see` everything below `root`, and `root` itself.
fn walk(root: &Path, see: &mut dyn FnMut(&Path, &fs::Metadata)) {
    let Ok(meta) = fs::symlink_metadata(root) else { return };
    let device = meta.dev();
    see(root, &meta);
    let mut open = if meta.is_dir() { vec![root.to_path_buf()] } else { Vec::new() };
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(meta) = fs::symlink_metadata(&path) else { continue };
            if meta.dev() != device {
                continue;
            }
            see(&path, &meta);
            if meta.is_dir() {
                open.push(path);
            }
        }
    }
}

/// Room that is taken in advance, so that it can be given back when there is no other.
#[derive(Debug)]
pub struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// The reserve of a data directory; there may be none yet.
    pub fn of(data_dir: &Path) -> Reserve {
        Reserve { path: data_dir.join("reserve") }
    }

    /// Takes `bytes`, or less where that is more than an eighth of what is free. One that is there stays as it is.
    ///
    /// # Errors
    /// Whatever the system says; nothing is taken then.
    pub fn keep(&self, bytes: u64) -> io::Result<()> {
        if self.path.exists() {
            return Ok(());
        }
        let free = Free::at(self.path.parent().unwrap_or(Path::new("/")))?;
        let bytes = bytes.min(free.bytes / RESERVE_PART) / MIB * MIB;
        if bytes == 0 {
            return Ok(());
        }
        let file = File::create_new(&self.path)?;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            Ok(()) => Ok(()),
            Err(errno) => {
                self.release();
                // A file system that cannot reserve is used without one.
                if errno == Errno::OPNOTSUPP { Ok(()) } else { Err(errno.into()) }
            }
        }
    }

    /// Gives it back; says whether there was one.
    pub fn release(&self) -> bool {
        match fs::remove_file(&self.path) {
            Ok(()) => true,
            Err(error) => {
                if error.kind() != io::ErrorKind::NotFound {
                    tracing::warn!("{} cannot be given back: {error}", self.path.display());
                }
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_counted_and_what_was_there_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("sub")).unwrap();
        fs::write(path("old"), vec![1; 300_000]).unwrap();
        // The clock of a file system ticks in milliseconds.
        let mark = path("mark");
        while Changed::of(&mark) <= Changed::of(&path("old")) {
            fs::write(&mark, "1").unwrap();
        }
        let since = Changed::of(&mark).unwrap();
        let before = written_since(dir.path(), since);
        assert!(before.bytes < 100_000, "{before:?}");
        fs::write(path("sub/new"), vec![1; 500_000]).unwrap();
        std::os::unix::fs::symlink("/", path("sub/all")).unwrap();
        let after = written_since(dir.path(), since);
        assert!((500_000..600_000).contains(&after.bytes), "{after:?}");
        assert!(after.files >= before.files + 2, "{after:?}");
        remove_larger(dir.path(), since, 100_000);
        assert!(path("old").exists() && path("mark").exists() && !path("sub/new").exists());
        assert_eq!(written_since(&path("nothing"), since), DiskUse::default());
    }

    #[test]
    fn a_reserve_takes_room_until_it_is_given_back() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path());
        assert!(!reserve.release());
        reserve.keep(3 * MIB + 1).unwrap();
        reserve.keep(100 * MIB).unwrap();
        assert_eq!(fs::metadata(dir.path().join("reserve")).unwrap().blocks() * BLOCK_BYTES, 3 * MIB);
        assert!(reserve.release() && !reserve.release());
    }

    #[test]
    fn there_is_room_where_the_tests_run() {
        let free = Free::at(Path::new("/tmp")).unwrap();
        assert!(free.bytes > 0 && free.files != Some(0), "{free:?}");
        assert!(Free::at(Path::new("/no/such/place")).is_err());
    }
}
