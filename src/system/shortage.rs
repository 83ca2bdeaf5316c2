//! What the system has run out of, told by an error's own kind and not by its words.
use rustix::io::Errno;
use std::io;

/// A resource of the machine that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// Disk space, a quota, or the size that a file may have.
    Disk,
    /// Open files, of the process or of the system.
    OpenFiles,
}

impl Shortage {
    /// What `error` says is used up; `None` = it says something else.
    pub fn of(error: &io::Error) -> Option<Shortage> {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                return Some(Shortage::Disk);
            }
            _ => {}
        }
        // The standard library has no kind for these.
        match Errno::from_io_error(error) {
            Some(Errno::MFILE | Errno::NFILE) => Some(Shortage::OpenFiles),
            Some(_) | None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, io::Write};

    #[test]
    fn the_system_says_what_is_used_up() {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap().write_all(b"x").unwrap_err();
        assert_eq!(Shortage::of(&full), Some(Shortage::Disk));
        for (errno, short_of) in [
            (Errno::NOSPC, Some(Shortage::Disk)),
            (Errno::DQUOT, Some(Shortage::Disk)),
            (Errno::FBIG, Some(Shortage::Disk)),
            (Errno::MFILE, Some(Shortage::OpenFiles)),
            (Errno::NFILE, Some(Shortage::OpenFiles)),
            (Errno::ACCESS, None),
        ] {
            assert_eq!(Shortage::of(&errno.into()), short_of, "{errno}");
        }
        let words = io::Error::other("No space left on device");
        assert_eq!(Shortage::of(&words), None, "words are no kind");
    }
}
