//! What a waiting system call is about: the paths, addresses and processes that its caller named, as the kernel will
//! find them.

use super::{
    filter::{Clock, Form},
    system::{Call, read_memory},
};
use rustix::{
    fs::{Mode, OFlags, ResolveFlags, Timespec, Timestamps},
    io::Errno,
    process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open},
};
use std::{
    collections::BTreeSet,
    ffi::OsStr,
    fs,
    os::{fd::OwnedFd, unix::ffi::OsStrExt},
    path::{Component, Path, PathBuf},
};

/// The longest path that the kernel takes.
const PATH_BYTES: usize = 4096;
/// Memory is read up to the end of a page, so that what lies behind it need not be there.
const PAGE: u64 = 4096;

/// The path in the caller's words, made absolute; `None` when it cannot be read or names nothing.
pub(super) fn named(call: &Call, form: Form) -> Option<PathBuf> {
    let pid = call.pid;
    match form {
        Form::Path(at) => absolute(pid, None, &text(pid, argument(call, at))?),
        Form::At(dir, at) => {
            let words = text(pid, argument(call, at))?;
            absolute(pid, Some(descriptor(argument(call, dir))), &words)
        }
        Form::Fd(at) => Some(link(pid, descriptor(argument(call, at)))),
    }
}

/// An argument; the table only has indexes that there are.
pub(super) fn argument(call: &Call, at: usize) -> u64 {
    call.data.args.get(at).copied().unwrap_or_default()
}

/// A number that the caller passed as a C `int`: the upper half of the register means nothing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "a register's lower half is the number"
)]
pub(super) fn descriptor(argument: u64) -> i32 {
    argument as u32 as i32
}

fn link(pid: u32, fd: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/fd/{fd}"))
}

fn absolute(pid: u32, dir: Option<i32>, words: &[u8]) -> Option<PathBuf> {
    let words = Path::new(OsStr::from_bytes(words));
    if words.is_absolute() {
        return Some(own_proc(pid, words));
    }
    let from = match dir {
        Some(fd) if fd != libc::AT_FDCWD => link(pid, fd),
        _ => PathBuf::from(format!("/proc/{pid}/cwd")),
    };
    let from = fs::read_link(from).ok()?;
    Some(if words.as_os_str().is_empty() { from } else { from.join(words) })
}

/// What is the caller's own by its name, and would be the reader's.
fn own_proc(pid: u32, path: &Path) -> PathBuf {
    const OWN: &[(&str, &str)] = &[
        ("/proc/self", ""),
        ("/proc/thread-self", ""),
        ("/dev/fd", "fd"),
        ("/dev/stdin", "fd/0"),
        ("/dev/stdout", "fd/1"),
        ("/dev/stderr", "fd/2"),
    ];
    for (name, own) in OWN {
        if let Ok(rest) = path.strip_prefix(name) {
            return PathBuf::from(format!("/proc/{pid}")).join(own).join(rest);
        }
    }
    path.to_path_buf()
}

/// A text in the caller's memory, without its end mark.
fn text(pid: u32, address: u64) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let mut at = address;
    let mut buffer = [0; 256];
    while text.len() < PATH_BYTES {
        let rest = usize::try_from(PAGE - at % PAGE).ok()?;
        let wanted = rest.min(buffer.len());
        let read = read_memory(pid, at, buffer.get_mut(..wanted)?);
        let piece = buffer.get(..read)?;
        if let Some(end) = piece.iter().position(|byte| *byte == 0) {
            text.extend_from_slice(piece.get(..end)?);
            return Some(text);
        }
        if read < wanted {
            return None;
        }
        text.extend_from_slice(piece);
        at += read as u64;
    }
    None
}

/// The first number at an address: the flags in the structure of openat2(2).
pub(super) fn number(pid: u32, address: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    (read_memory(pid, address, &mut bytes) == bytes.len()).then(|| u64::from_ne_bytes(bytes))
}

/// The two moments at an address, of the last reading and the last change; both are now where there is no address.
pub(super) fn times(pid: u32, address: u64, clock: Clock) -> Option<Timestamps> {
    let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
    if address == 0 {
        return Some(Timestamps { last_access: now, last_modification: now });
    }
    let mut bytes = [0; 32];
    let (length, nanoseconds) = match clock {
        Clock::Seconds => (16, None),
        Clock::Microseconds => (32, Some(1000)),
        Clock::Nanoseconds => (32, Some(1)),
    };
    if read_memory(pid, address, bytes.get_mut(..length)?) < length {
        return None;
    }
    let word = |n: usize| Some(i64::from_ne_bytes(*bytes.get(8 * n..)?.first_chunk()?));
    let moment = |n: usize| match nanoseconds {
        None => Some(Timespec { tv_sec: word(n)?, tv_nsec: 0 }),
        Some(each) => Some(Timespec { tv_sec: word(2 * n)?, tv_nsec: word(2 * n + 1)?.checked_mul(each)? }),
    };
    Some(Timestamps { last_access: moment(0)?, last_modification: moment(1)? })
}

/// A copy of a descriptor of the caller: it stays what it is, whatever the caller does with the number.
pub(super) fn copy(pid: u32, fd: i32) -> rustix::io::Result<OwnedFd> {
    // Threads may have descriptors of their own; a handle on a thread is known since Linux 6.9.
    let thread = PidfdFlags::from_bits_retain(libc::O_EXCL.unsigned_abs());
    let open = |pid: i32, flags| Pid::from_raw(pid).ok_or(Errno::SRCH).and_then(|pid| pidfd_open(pid, flags));
    let task = open(i32::try_from(pid).unwrap_or_default(), thread)
        .or_else(|_| open(leader(pid).ok_or(Errno::SRCH)?, PidfdFlags::empty()))?;
    pidfd_getfd(task, fd, PidfdGetfdFlags::empty())
}

/// The process that a thread belongs to.
fn leader(pid: u32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok())
}

/// Opens what the caller's words lead to from its own root and folder, without reading it.
pub(super) fn pin_as(pid: u32, words: &[u8]) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let words = self::words(words);
    let own = own_proc(pid, &words);
    if own != words {
        return rustix::fs::open(own, flags, Mode::empty());
    }
    let from = if words.is_absolute() { "root" } else { "cwd" };
    let from = rustix::fs::open(format!("/proc/{pid}/{from}"), flags | OFlags::DIRECTORY, Mode::empty())?;
    let Ok(words) = words.strip_prefix("/") else { return rustix::fs::openat(from, words, flags, Mode::empty()) };
    match rustix::fs::openat2(&from, words, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
        // A link in `/proc` on the way.
        Err(Errno::LOOP | Errno::XDEV) => rustix::fs::openat(from, words, flags, Mode::empty()),
        done => done,
    }
}

/// A path as the caller wrote it.
pub(super) fn words(words: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(words))
}

/// Whether a pinned file is what this process finds by a name, too.
pub(super) fn is_at(file: &OwnedFd, name: &Path) -> bool {
    let (Ok(pinned), Ok(found)) = (rustix::fs::fstat(file), rustix::fs::lstat(name)) else { return false };
    (pinned.st_dev, pinned.st_ino) == (found.st_dev, found.st_ino)
}

/// The inodes of the sockets that the attempt's processes hold.
pub(super) fn sockets_held() -> BTreeSet<u64> {
    let Ok(processes) = fs::read_dir("/proc") else { return BTreeSet::new() };
    let ours = processes.flatten().filter(|it| {
        let pid = it.file_name().to_str().and_then(|name| name.parse().ok());
        pid.is_some_and(is_ours)
    });
    let handles = ours.filter_map(|it| fs::read_dir(it.path().join("fd")).ok()).flatten().flatten();
    let socket = |link: PathBuf| link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok();
    handles.filter_map(|it| fs::read_link(it.path()).ok().and_then(socket)).collect()
}

/// Opens what a path leads to, without reading it: from here on it cannot come to mean something else. The parent
/// where the file itself is not there.
pub(super) fn pin(path: &Path, follow: bool) -> Option<OwnedFd> {
    let links = if follow { OFlags::empty() } else { OFlags::NOFOLLOW };
    rustix::fs::open(path, OFlags::PATH | OFlags::CLOEXEC | links, Mode::empty()).ok()
}

/// Where a pinned file really is; `None` = nowhere, as pipes and sockets are.
pub(super) fn whereabouts(file: &OwnedFd) -> Option<PathBuf> {
    use std::os::fd::AsRawFd;
    let found = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
    // A file that was removed meanwhile: the name it had.
    let bytes = found.as_os_str().as_bytes();
    let name = bytes.strip_suffix(b" (deleted)").unwrap_or(bytes);
    bytes.starts_with(b"/").then(|| PathBuf::from(OsStr::from_bytes(name)))
}

/// The real path of what a path leads to, or would once it is made.
pub(super) fn real(path: &Path, follow: bool) -> Option<PathBuf> {
    if let Some(file) = pin(path, follow) {
        return whereabouts(&file);
    }
    // A link to what is not there yet: that is what would be made.
    let target = follow.then(|| fs::read_link(path).ok()).flatten();
    let path = &target.and_then(|it| Some(path.parent()?.join(it))).unwrap_or_else(|| path.to_path_buf());
    // Not there yet: the nearest folder above that is, and the rest of the name.
    let mut rest = Vec::new();
    for above in path.ancestors() {
        if let Some(folder) = pin(above, true) {
            let mut found = whereabouts(&folder)?;
            found.extend(rest.iter().rev());
            return Some(plain(&found));
        }
        rest.push(above.file_name().unwrap_or(OsStr::new("..")));
    }
    None
}

/// Whether a process comes from this one, the supervisor; threads count like their process.
pub(super) fn is_ours(pid: i32) -> bool {
    /// Deeper than any tree of processes.
    const DEPTH: usize = 512;
    let own = rustix::process::getpid().as_raw_nonzero().get();
    let mut at = pid;
    for _ in 0..DEPTH {
        match parent(at) {
            Some(parent) if parent == own => return true,
            Some(parent) if parent > 1 => at = parent,
            _ => return false,
        }
    }
    false
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything.
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// The process that a descriptor of the caller is a handle on.
pub(super) fn held_process(pid: u32, fd: i32) -> Option<i32> {
    let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).ok()?;
    info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse().ok())
}

/// Without `.` and `..`, by the words alone.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_and_what_is_not_there_yet_are_found_where_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        fs::create_dir(root.join("secret")).unwrap();
        fs::write(root.join("secret/file"), "").unwrap();
        std::os::unix::fs::symlink(root.join("secret"), root.join("link")).unwrap();
        assert_eq!(real(&root.join("link/file"), true).unwrap(), root.join("secret/file"));
        assert_eq!(real(&root.join("link/new/er"), true).unwrap(), root.join("secret/new/er"));
        assert_eq!(real(&root.join("link"), false).unwrap(), root.join("link"));
        assert_eq!(real(&root.join("link/../secret/new"), true).unwrap(), root.join("secret/new"));
        assert_eq!(plain(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(own_proc(7, Path::new("/proc/self/environ")), Path::new("/proc/7/environ"));
        assert_eq!(own_proc(7, Path::new("/dev/fd/3")), Path::new("/proc/7/fd/3"));
        assert_eq!(own_proc(7, Path::new("/dev/null")), Path::new("/dev/null"));
    }

    #[test]
    fn memory_of_this_process_is_read_to_the_end_mark() {
        let words = b"hello\0more";
        let address = words.as_ptr() as u64;
        assert_eq!(text(std::process::id(), address).unwrap(), b"hello");
        assert_eq!(text(std::process::id(), 8), None);
    }
}
