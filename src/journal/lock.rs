//! One writer per data directory: an OS lock that the system releases however its holder ends.

use crate::Error;
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

const POLL: Duration = Duration::from_millis(20);

/// The right to write a data directory. Released when dropped, and when the process dies.
#[derive(Debug)]
pub struct DirLock {
    file: File,
    dir: PathBuf,
}

impl DirLock {
    /// Takes the lock `<data_dir>/lock`, making the directory when it is missing, and writes this process's id into it.
    /// Tries again for about `wait` while another process holds it (a restart waits for the old process to end).
    ///
    /// # Errors
    /// [`Error::Locked`] with the holder's process id, or the directory cannot be made or written.
    pub fn acquire(data_dir: &Path, wait: Duration) -> Result<DirLock, Error> {
        make_private(data_dir).map_err(|e| Error::io("create the data directory", data_dir, e))?;
        let path = data_dir.join("lock");
        // Not truncated on opening: until the lock is ours the id in it is somebody else's.
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Error::io("open", &path, e))?;
        let mut waited = Duration::ZERO;
        loop {
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(Errno::WOULDBLOCK) if waited < wait => {
                    std::thread::sleep(POLL);
                    waited += POLL;
                }
                Err(Errno::WOULDBLOCK) => return Err(Error::Locked { holder: holder_of(&mut file), path }),
                Err(Errno::INTR) => {}
                Err(e) => return Err(Error::io("lock", &path, e.into())),
            }
        }
        file.set_len(0)
            .and_then(|()| file.write_all(format!("{}\n", std::process::id()).as_bytes()))
            .map_err(|e| Error::io("write", &path, e))?;
        Ok(DirLock { file, dir: data_dir.to_path_buf() })
    }

    /// The directory it guards.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether somebody (any process, this one included) holds the lock of `data_dir` right now.
    #[must_use]
    pub fn is_held(data_dir: &Path) -> bool {
        let Ok(file) = File::open(data_dir.join("lock")) else { return false };
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Ok(()) => false,
            Err(e) => e == Errno::WOULDBLOCK,
        }
    }
}

impl Drop for DirLock {
    fn drop(&mut self) {
        // Explicit, because a child that inherited the descriptor would otherwise keep the lock alive.
        let _ = flock(&self.file, FlockOperation::Unlock);
    }
}

/// The log holds what agents and people said, and tokens lie beside it: nobody else reads in a directory that p0 makes.
/// One that is there stays as its owner made it.
fn make_private(dir: &Path) -> std::io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(dir)
}

fn holder_of(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_holder_is_told_who_holds_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("made/on/demand");
        let lock = DirLock::acquire(&data, Duration::ZERO).unwrap();
        assert!(DirLock::is_held(&data));
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&data).unwrap().permissions()) & 0o777, 0o700);
        match DirLock::acquire(&data, Duration::from_millis(30)) {
            Err(Error::Locked { holder, path }) => {
                assert_eq!(holder, Some(std::process::id()));
                assert_eq!(path, data.join("lock"));
            }
            other => panic!("{other:?}"),
        }
        drop(lock);
        assert!(!DirLock::is_held(&data));
        DirLock::acquire(&data, Duration::ZERO).unwrap();
    }

    #[test]
    fn waits_for_the_old_holder() {
        let dir = tempfile::tempdir().unwrap();
        let lock = DirLock::acquire(dir.path(), Duration::ZERO).unwrap();
        let data = dir.path().to_path_buf();
        let waiter = std::thread::spawn(move || DirLock::acquire(&data, Duration::from_secs(20)).is_ok());
        drop(lock);
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn a_file_in_the_way_is_an_error_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("file");
        fs::write(&data, b"x").unwrap();
        let message = DirLock::acquire(&data, Duration::ZERO).unwrap_err().to_string();
        assert!(message.contains("file"), "{message}");
    }
}
