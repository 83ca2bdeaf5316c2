//! The supervisor's ear: it hears of the calls that the filter reports, writes forbidden tries down, and lets the
//! kernel go on, which is where the decision is made. What the kernel does not decide is done here in the caller's
//! place, or refused; of connections the listener makes all.

use super::{
    caller::{self, argument, descriptor, named, pin, real, whereabouts},
    connect::{Aim, Refusal},
    filter::{self, Form, Known, Rights, SyscallAction},
    kernel,
    spec::Confine,
    system::{self, Answer, Call},
    tries::Tries,
};
use libc::c_int;
use rustix::fs::{AtFlags, Gid, Mode, Uid};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
};

/// Connections that wait for the other side at the same time.
const WAITING: usize = 256;
/// What a thread needs that makes one system call.
const STACK_BYTES: usize = 128 * 1024;
/// What `/proc` tells of a process only to those who may trace it.
const PRIVATE: &[&str] = &["environ", "mem", "maps", "smaps", "auxv", "pagemap", "stack", "syscall"];

/// Hears until nobody is left who could call.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    tries: Arc<Mutex<Tries>>,
    /// The thread's descriptor, which is to close when the thread ends, however it does.
    fd: Weak<OwnedFd>,
    /// Whether the thread ended because nobody was left.
    over: Arc<AtomicBool>,
}

impl Listener {
    /// Begins to listen, in a thread of its own. `abi` is the interface of Landlock that the program is under.
    pub(crate) fn start(fd: OwnedFd, confine: Confine, abi: u32) -> io::Result<Listener> {
        system::make_fast(fd.as_fd());
        let fd = Arc::new(fd);
        let listener = Listener { tries: Arc::default(), fd: Arc::downgrade(&fd), over: Arc::default() };
        let ear = Ear { confine, abi, tries: listener.tries.clone(), waiting: Arc::default() };
        let over = listener.over.clone();
        // Should it panic, its descriptor closes, and what waits is told that the call does not exist.
        std::thread::Builder::new().name("p0-listener".into()).spawn(move || {
            ear.listen(&fd);
            over.store(system::is_deserted(fd.as_fd()), Ordering::Release);
        })?;
        Ok(listener)
    }

    /// Whether nobody is left who could call.
    pub(crate) fn is_deserted(&self) -> bool {
        match self.fd.upgrade() {
            Some(fd) => system::is_deserted(fd.as_fd()),
            None => self.over.load(Ordering::Acquire),
        }
    }

    /// What was tried so far.
    pub(crate) fn tries(&self) -> Tries {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Ear {
    confine: Confine,
    abi: u32,
    tries: Arc<Mutex<Tries>>,
    /// Held once by each connection that waits.
    waiting: Arc<()>,
}

impl Ear {
    fn listen(&self, fd: &Arc<OwnedFd>) {
        loop {
            match system::receive(fd.as_fd()) {
                Ok(Some(call)) => {
                    if let Some(answer) = self.judge(fd, &call) {
                        system::answer(fd.as_fd(), call.id, answer);
                    }
                }
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }

    fn note(&self, operation: &str, what: &Path) {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner).note(operation, &what.to_string_lossy());
    }

    /// The answer; `None` = somebody else gives it.
    fn judge(&self, fd: &Arc<OwnedFd>, call: &Call) -> Option<Answer> {
        let Some(known) = filter::known(call.data.nr.into()) else { return Some(Answer::GoOn) };
        Some(match known.action {
            SyscallAction::Open { flags, indirect } => {
                self.open(call, known, flags, indirect);
                Answer::GoOn
            }
            SyscallAction::Change(what) => {
                self.change(call, known, what);
                Answer::GoOn
            }
            SyscallAction::Rights(rights) => self.rights(fd, call, known, rights),
            SyscallAction::Connect => return self.connect(fd, call),
            SyscallAction::Signal(at) => self.signal(descriptor(argument(call, at))),
            SyscallAction::SignalBy(at) => caller::held_process(call.pid, descriptor(argument(call, at)))
                .map_or(Answer::GoOn, |pid| self.signal(pid)),
            SyscallAction::Reach(at) => {
                let target = descriptor(argument(call, at));
                if target > 0 && !caller::is_ours(target) {
                    self.note("reach", &process(target));
                }
                Answer::GoOn
            }
            SyscallAction::Govern(at) => self.govern(descriptor(argument(call, at))),
            SyscallAction::GovernMany(process) => self.govern_many(call, process),
            SyscallAction::Attribute { follow } => self.attribute(call, known, follow),
            SyscallAction::FileFlags => self.attribute(call, known, true),
            SyscallAction::Share(what) => {
                self.note("share", Path::new(what));
                Answer::Done(libc::EPERM)
            }
        })
    }

    /// Limits and priorities of another process.
    fn govern(&self, target: i32) -> Answer {
        if target <= 0 || caller::is_ours(target) || !process(target).exists() {
            return Answer::GoOn;
        }
        self.note("govern", &process(target));
        Answer::Done(libc::EPERM)
    }

    /// The same of a group, or of all processes of a user, which p0 is one of.
    fn govern_many(&self, call: &Call, of_a_process: u64) -> Answer {
        let (which, who) = (argument(call, 0), descriptor(argument(call, 1)));
        if which & 0xffff_ffff == of_a_process {
            return self.govern(who);
        }
        if which & 0xffff_ffff == of_a_process + 1 && (who == 0 || caller::is_ours(who)) {
            return Answer::GoOn;
        }
        self.note("govern", Path::new(&format!("others (which {which}, who {who})")));
        Answer::Done(libc::EPERM)
    }

    /// Programs are prepared for file systems without such attributes.
    fn attribute(&self, call: &Call, known: &Known, follow: bool) -> Answer {
        if let Some(path) = known.about[0].and_then(|form| named(call, form))
            && let Some(real) = real(&path, follow)
            && real.is_absolute()
            && !self.confine.may_write(&real)
        {
            self.note("rights", &real);
            return Answer::Done(libc::EPERM);
        }
        Answer::Done(libc::EOPNOTSUPP)
    }

    fn open(&self, call: &Call, known: &Known, flags: usize, indirect: bool) {
        let flags = argument(call, flags);
        let flags = if indirect { caller::number(call.pid, flags) } else { Some(flags) };
        let is_set = |flag: c_int| flags.is_some_and(|it| descriptor(it) & flag == flag);
        // Such a descriptor leads nowhere by itself.
        if is_set(libc::O_PATH) {
            return;
        }
        let Some(path) = known.about[0].and_then(|form| named(call, form)) else { return };
        let follow = !is_set(libc::O_NOFOLLOW);
        if flags.is_none_or(|it| it & u64::from(filter::writing_flags()) != 0) {
            if let Some(real) = real(&path, follow)
                && !self.confine.may_write(&real)
            {
                self.note("write", &real);
            }
        } else if let Some(real) = pin(&path, follow).and_then(|file| whereabouts(&file))
            && (!self.confine.may_read(&real) || is_anothers(&real))
        {
            self.note("read", &real);
        }
    }

    fn change(&self, call: &Call, known: &Known, what: &'static str) {
        for path in known.about.iter().flatten().filter_map(|form| named(call, *form)) {
            if what == "make" && path.symlink_metadata().is_ok() {
                continue;
            }
            if let Some(real) = real(&path, what == "cut")
                && !self.confine.may_write(&real)
            {
                self.note(what, &real);
            }
        }
    }

    /// Changes of mode, owner and times, which Landlock does not know: done here on exactly the file that was looked at.
    fn rights(&self, fd: &OwnedFd, call: &Call, known: &Known, rights: Rights) -> Answer {
        let flags = match (rights, known.number) {
            (Rights::Owner { flags: Some(at), .. } | Rights::Times { flags: Some(at), .. }, _) => {
                descriptor(argument(call, at))
            }
            (Rights::Mode(_), filter::FCHMODAT2) => descriptor(argument(call, 3)),
            (Rights::Owner { .. } | Rights::Mode(_) | Rights::Times { .. }, _) => 0,
        };
        let follows = !matches!(rights, Rights::Owner { follow: false, .. });
        let follow = follows && flags & libc::AT_SYMLINK_NOFOLLOW == 0;
        // Without a path it is about the folder's descriptor itself.
        let form = match known.about[0] {
            Some(Form::At(dir, at)) if argument(call, at) == 0 => Some(Form::Fd(dir)),
            form => form,
        };
        // What cannot be read of the caller (a hardened kernel lets nobody) is between it and the kernel.
        let Some(path) = form.and_then(|form| named(call, form)) else { return Answer::GoOn };
        // The caller's folder was read from `/proc` by its number: it must still be the caller.
        let file = match pin(&path, follow || matches!(form, Some(Form::Fd(_)))) {
            Some(file) if system::still_waits(fd.as_fd(), call.id) => file,
            Some(_) | None => return Answer::Done(libc::ENOENT),
        };
        // Pipes, sockets and memory are nowhere, and the caller's own.
        if let Some(real) = whereabouts(&file).filter(|it| !it.to_string_lossy().starts_with("/memfd:"))
            && !self.confine.may_write(&real)
        {
            // git marks an object that it finds as used; where it cannot, it takes it for absent and writes it again.
            if matches!(rights, Rights::Times { at, .. } if argument(call, at) == 0) && self.is_an_object(&real) {
                return Answer::Done(0);
            }
            self.note("rights", &real);
            return Answer::Done(libc::EPERM);
        }
        let done = match rights {
            Rights::Mode(at) => change_mode(&file, argument(call, at)),
            Rights::Owner { user, .. } => {
                // All ones leave it as it is.
                let id = |at: usize| u32::try_from(argument(call, at) & 0xffff_ffff).ok().filter(|it| *it != u32::MAX);
                let (user, group) = (id(user).map(Uid::from_raw), id(user + 1).map(Gid::from_raw));
                rustix::fs::chownat(&file, "", user, group, AtFlags::EMPTY_PATH)
            }
            Rights::Times { at, clock, .. } => match caller::times(call.pid, argument(call, at), clock) {
                Some(times) => rustix::fs::utimensat(&file, "", &times, AtFlags::EMPTY_PATH),
                None => Err(rustix::io::Errno::FAULT),
            },
        };
        Answer::Done(done.map_or_else(rustix::io::Errno::raw_os_error, |()| 0))
    }

    /// Whether a path is in a repository's store of objects that may be read.
    fn is_an_object(&self, path: &Path) -> bool {
        path.components().any(|part| part.as_os_str() == "objects") && self.confine.may_read(path)
    }

    /// `None` = the answer comes from a thread of its own, which may wait for the other side.
    fn connect(&self, fd: &Arc<OwnedFd>, call: &Call) -> Option<Answer> {
        let aim = Aim::of(&self.confine, call);
        // All of it was read by the caller's number: it must still be the caller.
        if !system::still_waits(fd.as_fd(), call.id) {
            return Some(Answer::Done(libc::ENOENT));
        }
        match aim {
            Ok(aim) if aim.may_wait() => self.connect_aside(fd, call.id, aim),
            Ok(aim) => Some(Answer::Done(aim.connect())),
            Err(Refusal::Plain(number)) => Some(Answer::Done(number)),
            Err(Refusal::Out(number, what)) => {
                self.note("connect", Path::new(&what));
                Some(Answer::Done(number))
            }
            Err(Refusal::Unreadable) if self.confine.required => {
                self.note("connect", &process(descriptor(call.pid.into())));
                Some(Answer::Done(libc::EACCES))
            }
            Err(Refusal::Unreadable) => Some(Answer::GoOn),
        }
    }

    /// Even a socket that does not wait gets a thread: it shares that with the caller, who may change it meanwhile.
    fn connect_aside(&self, fd: &Arc<OwnedFd>, id: u64, aim: Aim) -> Option<Answer> {
        let place = self.waiting.clone();
        if Arc::strong_count(&place) > WAITING {
            return Some(Answer::Done(libc::EAGAIN));
        }
        let fd = fd.clone();
        let thread = std::thread::Builder::new().name("p0-connect".into()).stack_size(STACK_BYTES).spawn(move || {
            system::answer(fd.as_fd(), id, Answer::Done(aim.connect()));
            drop(place);
        });
        thread.is_err().then_some(Answer::Done(libc::EAGAIN))
    }

    fn signal(&self, target: i32) -> Answer {
        let process_or_group = target.saturating_abs();
        if target == 0 || (target != -1 && caller::is_ours(process_or_group)) {
            return Answer::GoOn;
        }
        if target != -1 && !process(process_or_group).exists() {
            return Answer::GoOn;
        }
        self.note("signal", &process(process_or_group));
        if self.abi >= kernel::SCOPES { Answer::GoOn } else { Answer::Done(libc::EPERM) }
    }
}

fn process(pid: i32) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}"))
}

/// Whether a path in `/proc` tells what only those learn who may trace the process, and it is none of the attempt's.
fn is_anothers(path: &Path) -> bool {
    let Ok(rest) = path.strip_prefix("/proc") else { return false };
    let mut parts = rest.iter().filter_map(|part| part.to_str());
    let Some(pid) = parts.next().and_then(|part| part.parse().ok()) else { return false };
    parts.next_back().is_some_and(|name| PRIVATE.contains(&name)) && !caller::is_ours(pid)
}

fn change_mode(file: &OwnedFd, mode: u64) -> rustix::io::Result<()> {
    // A descriptor that cannot be read cannot be changed by itself, but by its name in `/proc`; a link has no mode.
    if rustix::fs::fstat(file).is_ok_and(|stat| stat.st_mode & libc::S_IFMT == libc::S_IFLNK) {
        return Err(rustix::io::Errno::OPNOTSUPP);
    }
    let mode = Mode::from_raw_mode(u32::try_from(mode & 0o7777).unwrap_or_default());
    rustix::fs::chmod(format!("/proc/self/fd/{}", file.as_raw_fd()), mode)
}
