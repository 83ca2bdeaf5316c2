//! Files that must survive: write, sync, rename, sync the folder.
use super::error::{Error, IoContext};
use std::{
    ffi::OsStr,
    fs::{self, File},
    io::{self, Write},
    os::unix::{ffi::OsStrExt, fs::PermissionsExt},
    path::{Path, PathBuf},
};

/// Replaces a file whole: a reader, or a boot after a crash, sees the old content or the new one.
pub(super) fn write_durably(path: &Path, content: &[u8]) -> Result<(), Error> {
    let staged = path.with_extension("new");
    let mut file = File::create(&staged).io("creating", &staged)?;
    file.write_all(content).io("writing", &staged)?;
    file.sync_all().io("syncing", &staged)?;
    fs::rename(&staged, path).io("replacing", path)?;
    sync_parent(path)
}

/// Writes a file that can be made again at any time: atomic, not synced, and untouched when it already says this.
pub(super) fn write_if_changed(path: &Path, content: &[u8]) -> Result<(), Error> {
    if fs::read(path).is_ok_and(|found| found == content) {
        return Ok(());
    }
    let staged = path.with_extension("new");
    fs::write(&staged, content).io("writing", &staged)?;
    fs::rename(&staged, path).io("replacing", path)
}

/// Makes the names in a folder durable. A folder that is not there has no names to lose.
pub(super) fn sync_dir(dir: &Path) -> Result<(), Error> {
    match File::open(dir) {
        Ok(file) => file.sync_all().io("syncing", dir),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).io("opening", dir),
    }
}

/// Makes a name in its folder durable.
pub(super) fn sync_parent(path: &Path) -> Result<(), Error> {
    sync_dir(path.parent().expect("every file this room writes is inside a folder"))
}

/// Makes a folder and the ones above it.
pub(super) fn make_dir(path: &Path) -> Result<(), Error> {
    fs::create_dir_all(path).io("creating", path)
}

/// Removes a file, a link or a folder with all that is in it, whatever permissions were set inside; links are not
/// followed. Nothing there is fine.
pub(super) fn remove_any(path: &Path) -> Result<(), Error> {
    let meta = match fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if is_gone(&error) => return Ok(()),
        Err(error) => return Err(error).io("looking at", path),
    };
    if !meta.is_dir() {
        return fs::remove_file(path).io("removing", path);
    }
    if fs::remove_dir_all(path).is_ok() {
        return Ok(());
    }
    remove_stubborn(path)
}

/// Removes a folder whose folders are closed (tools leave read-only ones behind; their owner may open them), or are so
/// deep in one another that no path leads to the last: each folder that is met is moved to the top before the one that
/// held it goes.
fn remove_stubborn(top: &Path) -> Result<(), Error> {
    open_up(top)?;
    let mut number = 0_u64;
    loop {
        let mut folders = Vec::new();
        for entry in fs::read_dir(top).io("reading", top)? {
            let entry = entry.io("reading", top)?;
            if entry.file_type().io("looking at", top)?.is_dir() {
                folders.push(entry.path());
            } else {
                fs::remove_file(entry.path()).io("removing", &entry.path())?;
            }
        }
        if folders.is_empty() {
            return fs::remove_dir(top).io("removing", top);
        }
        for folder in folders {
            open_up(&folder)?;
            for inner in fs::read_dir(&folder).io("reading", &folder)? {
                let inner = inner.io("reading", &folder)?;
                if !inner.file_type().io("looking at", &folder)?.is_dir() {
                    fs::remove_file(inner.path()).io("removing", &inner.path())?;
                    continue;
                }
                open_up(&inner.path())?;
                let mut free = top.join(format!(".p0-{number}"));
                while fs::symlink_metadata(&free).is_ok() {
                    number += 1;
                    free = top.join(format!(".p0-{number}"));
                }
                fs::rename(inner.path(), &free).io("moving", &inner.path())?;
            }
            fs::remove_dir(&folder).io("removing", &folder)?;
        }
    }
}

fn open_up(dir: &Path) -> Result<(), Error> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).io("opening up", dir)
}

/// Whether the error says that there is no such file, or that a part of its path is not a folder.
pub(super) fn is_gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// A repository-relative byte path below a folder.
pub(super) fn below(root: &Path, path: &[u8]) -> PathBuf {
    root.join(OsStr::from_bytes(path))
}

/// A path for reports: `/` between parts, bytes that are no UTF-8 replaced.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_folders_and_those_that_no_path_leads_to_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path().join("top");
        fs::create_dir_all(top.join("closed/in")).unwrap();
        fs::write(top.join("closed/in/file"), "x").unwrap();
        for closed in ["closed/in", "closed"] {
            fs::set_permissions(top.join(closed), fs::Permissions::from_mode(0o0)).unwrap();
        }
        let flags = rustix::fs::OFlags::DIRECTORY;
        let mut at = rustix::fs::open(&top, flags, 0o700.into()).unwrap();
        for _ in 0..2500 {
            rustix::fs::mkdirat(&at, ".p0-1", 0o700.into()).unwrap();
            at = rustix::fs::openat(&at, ".p0-1", flags, 0o700.into()).unwrap();
        }
        remove_stubborn(&top).unwrap();
        assert!(!top.exists());
    }
}
