//! Unix sockets below a directory of any depth. The kernel takes 107 bytes of path and a data directory may be longer,
//! so sockets are bound and connected through the directory's descriptor: `/proc/self/fd/N/p0.sock`.
use rustix::fs::{CWD, Mode, OFlags, openat};
use std::{
    io,
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};
use tokio::net::{UnixListener, UnixStream};

/// The holder's socket, in the data directory.
pub(crate) const MAIN: &str = "p0.sock";

/// The longest path that other programs can connect to, with some room.
pub(crate) const MAX_PATH_BYTES: usize = 100;

fn open_dir(dir: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

fn through(dir: &OwnedFd, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()))
}

/// A bound socket file; remembers which file it made, so that it never removes another's.
pub(crate) struct SocketFile {
    path: PathBuf,
    made: (u64, u64),
}

impl SocketFile {
    /// Removes the file, unless somebody else has put theirs in its place.
    pub(crate) fn remove(&self) {
        if let Ok(meta) = std::fs::symlink_metadata(&self.path)
            && (meta.dev(), meta.ino()) == self.made
        {
            // Failing leaves a stale file, which everybody ignores.
            drop(std::fs::remove_file(&self.path));
        }
    }
}

/// Binds `dir/name` with mode 0600, in place of whatever was there. Needs a tokio runtime.
pub(crate) fn bind(dir: &Path, name: &str) -> io::Result<(UnixListener, SocketFile)> {
    let fd = open_dir(dir)?;
    // Bound under another name first: nobody can connect before the mode is right, and the rename replaces a stale
    // file in one step.
    let fresh = through(&fd, &format!(".{name}.{}", std::process::id()));
    match std::fs::remove_file(&fresh) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    let meta = std::fs::symlink_metadata(&fresh)?;
    std::fs::rename(&fresh, through(&fd, name))?;
    Ok((listener, SocketFile { path: dir.join(name), made: (meta.dev(), meta.ino()) }))
}

/// Connects to `dir/name`. Refused or missing means: nobody is there.
pub(crate) async fn connect(dir: &Path, name: &str) -> io::Result<UnixStream> {
    let fd = open_dir(dir)?;
    UnixStream::connect(through(&fd, name)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_deep_directory_and_a_stale_file_are_no_obstacle() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("d".repeat(120));
        std::fs::create_dir(&dir).unwrap();
        assert!(connect(&dir, MAIN).await.is_err());
        std::fs::write(dir.join(MAIN), "stale").unwrap();
        assert!(connect(&dir, MAIN).await.is_err());
        let (listener, file) = bind(&dir, MAIN).unwrap();
        assert_eq!(std::fs::metadata(dir.join(MAIN)).unwrap().mode() & 0o777, 0o600);
        let (client, server) = tokio::join!(connect(&dir, MAIN), listener.accept());
        assert!(client.is_ok() && server.is_ok());
        file.remove();
        assert!(!dir.join(MAIN).exists());
    }

    #[tokio::test]
    async fn only_ones_own_file_is_removed() {
        let temp = tempfile::tempdir().unwrap();
        let (_one, old) = bind(temp.path(), MAIN).unwrap();
        let (_two, new) = bind(temp.path(), MAIN).unwrap();
        old.remove();
        assert!(temp.path().join(MAIN).exists());
        new.remove();
        assert!(!temp.path().join(MAIN).exists());
    }
}
