//! A file that has its name only once it is whole and durable.
use crate::service::problem::{Kind, Problem};
use rustix::{
    fs::{FlockOperation, flock},
    process::{Pid, test_kill_process},
};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// What stands between the name of a file and the id of the process that is writing it.
const PART: &str = ".part-";
/// More links than this lead nowhere.
const MAX_LINKS: usize = 40;

/// A file in the making; dropped before [`WholeFile::finish`] it leaves nothing behind.
pub(crate) struct WholeFile {
    file: File,
    part: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl WholeFile {
    /// Begins a file that will be `target`, for its owner only. One that is there already is refused, unless `over` allows
    /// it; what is no file (a device, a folder) is always. A link stays, and what it leads to is written.
    pub(crate) fn begin(target: &Path, over: bool) -> Result<WholeFile, Problem> {
        match target.metadata() {
            Ok(meta) if !meta.is_file() => {
                let problem = Problem::new(Kind::Refused, format!("{} is no regular file", target.display()));
                return Err(problem.hint("name another file"));
            }
            Ok(_) if !over => {
                let problem = Problem::new(Kind::Refused, format!("{} is there already", target.display()));
                return Err(problem.hint("name another file, or write over it with --force"));
            }
            // What cannot be looked at shows when it is written.
            Ok(_) | Err(_) => {}
        }
        let target = led_to(target).map_err(|e| Problem::io("looking at", target, &e))?;
        remove_left_parts(&target);
        let part = PathBuf::from(part_of(&target, &std::process::id().to_string()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let file = file.map_err(|e| Problem::io("writing", &part, &e))?;
        // Only for others to see that somebody is at it: who cannot lock here writes all the same.
        let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
        Ok(WholeFile { file, part, target, finished: false })
    }

    /// Gives it its name.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        let parent = folder_of(&self.target);
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.part, &self.target))
            .and_then(|()| File::open(parent)?.sync_all())
            .map_err(|e| Problem::io("writing", &self.target, &e))?;
        self.finished = true;
        Ok(())
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.finished {
            // Half a file is of no use; it may have its name already.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Where a name leads, link by link; what it leads to may be missing.
fn led_to(name: &Path) -> io::Result<PathBuf> {
    let mut path = name.to_path_buf();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(to) => path = folder_of(&path).join(to),
            Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => return Ok(path),
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("too many links, one behind the other"))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn part_of(target: &Path, id: &str) -> OsString {
    let mut part = target.as_os_str().to_owned();
    part.push(PART);
    part.push(id);
    part
}

/// Removes what processes that are gone have left of this very file. Whether or not it can be: it is only room.
fn remove_left_parts(target: &Path) {
    let Some(name) = target.file_name() else { return };
    let prefix = part_of(Path::new(name), "");
    let prefix = prefix.as_encoded_bytes();
    for entry in fs::read_dir(folder_of(target)).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let Some(id) = found.as_encoded_bytes().strip_prefix(prefix) else { continue };
        let is_left = std::str::from_utf8(id).is_ok_and(|id| is_gone(id) && is_unlocked(&entry.path()));
        if is_left && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether this is the id of a process, and no other process than this one has it.
fn is_gone(id: &str) -> bool {
    let number = id.parse::<i32>().ok().filter(|number| number.to_string() == id);
    let Some(pid) = number.and_then(Pid::from_raw) else { return false };
    pid.as_raw_nonzero().get().unsigned_abs() == std::process::id()
        || test_kill_process(pid) == Err(rustix::io::Errno::SRCH)
}

/// Processes of other machines and containers have ids that say nothing here; their locks do.
fn is_unlocked(part: &Path) -> bool {
    File::open(part).is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_last() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("f");
        let mut file = WholeFile::begin(&target, false).unwrap();
        file.write_all(b"one").unwrap();
        assert!(!target.exists());
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut file = WholeFile::begin(&target, false).unwrap();
        file.write_all(b"two").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"two");
        assert_eq!(WholeFile::begin(&target, false).err().unwrap().kind, Kind::Refused);
        WholeFile::begin(&target, true).unwrap().finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"");
    }
    #[test]
    fn links_lead_to_what_is_written_and_devices_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("f"), dir.path().join("link"));
        std::os::unix::fs::symlink("f", &link).unwrap();
        for text in ["new", "over"] {
            let mut out = WholeFile::begin(&link, true).unwrap();
            out.write_all(text.as_bytes()).unwrap();
            out.finish().unwrap();
            assert_eq!(fs::read_to_string(&file).unwrap(), text);
            assert!(link.is_symlink() && !file.is_symlink());
        }
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        std::os::unix::fs::symlink("/dev/null", dir.path().join("null")).unwrap();
        for name in ["null", "."] {
            assert_eq!(WholeFile::begin(&dir.path().join(name), true).err().unwrap().kind, Kind::Refused);
        }
        std::os::unix::fs::symlink("round", dir.path().join("round")).unwrap();
        assert!(WholeFile::begin(&dir.path().join("round"), true).is_err());
    }

    #[test]
    fn halves_of_the_gone_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut gone = std::process::Command::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let stays = ["f.part-1", "f.part-01", "f.part-", "f.part-x", "g.part-1", "f.part-0"];
        let goes = format!("f.part-{}", gone.id());
        for name in stays.iter().chain([&goes.as_str()]) {
            fs::write(dir.path().join(name), "half").unwrap();
        }
        WholeFile::begin(&dir.path().join("f"), false).unwrap().finish().unwrap();
        assert!(!dir.path().join(goes).exists());
        assert!(stays.iter().all(|name| dir.path().join(name).exists()));
    }
}
