//! The filter of system calls: which ones the listener hears of. Landlock enforces; the filter exists so that tries
//! are seen, and for the few calls that Landlock does not know.

use crate::model::sandbox::Network;
use libc::{c_long, sock_filter};

/// How a process names what a call is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A path in this argument, from the working directory.
    Path(usize),
    /// A folder's descriptor in the first argument of the pair, a path in the second.
    At(usize, usize),
    /// A file's descriptor in this argument.
    Fd(usize),
}

/// What a call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SyscallAction {
    /// Opens; the flags are in this argument, or in the first word of the structure it points to.
    Open { flags: usize, indirect: bool },
    /// Makes, moves, removes or cuts something.
    Change(&'static str),
    /// Changes rights or owner: unknown to Landlock, so that the listener does it for the caller or refuses.
    Rights(Rights),
    /// Connects to an address.
    Connect,
    /// Sends a signal to the process in this argument.
    Signal(usize),
    /// Sends a signal to the process that the descriptor in this argument is a handle on.
    SignalBy(usize),
    /// Reaches into the process in this argument.
    Reach(usize),
    /// Sets limits, or how the process in this argument is run: unknown to Landlock.
    Govern(usize),
    /// The same for a process, a group or all of a user: which of them is in the first argument, its number in the
    /// second. The value that means a process is given.
    GovernMany(u64),
    /// Gives or takes an attribute beside mode and owner (an access list, for one): unknown to Landlock, and refused.
    Attribute { follow: bool },
    /// The same by ioctl(2), which does much else.
    FileFlags,
    /// Shares memory, messages, counters or keys by a number or a name that is every process's of the machine: refused.
    Share(&'static str),
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rights {
    /// The mode is in this argument.
    Mode(usize),
    /// User and group are in this argument and the next; the flags may be in a third.
    Owner { user: usize, flags: Option<usize>, follow: bool },
    /// The moments are behind this argument; the flags may be in another.
    Times { at: usize, clock: Clock, flags: Option<usize> },
}

/// How two moments are written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    Seconds,
    Microseconds,
    Nanoseconds,
}

/// One call of the table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Known {
    pub(super) number: c_long,
    pub(super) action: SyscallAction,
    /// What it is about; a call with two paths has both.
    pub(super) about: [Option<Form>; 2],
}

const fn one(number: c_long, action: SyscallAction, form: Form) -> Known {
    Known { number, action, about: [Some(form), None] }
}

const fn two(number: c_long, what: &'static str, first: Form, second: Form) -> Known {
    Known { number, action: SyscallAction::Change(what), about: [Some(first), Some(second)] }
}

const fn none(number: c_long, action: SyscallAction) -> Known {
    Known { number, action, about: [None, None] }
}

/// Calls that every machine has.
const COMMON: &[Known] = &[
    one(libc::SYS_openat, SyscallAction::Open { flags: 2, indirect: false }, Form::At(0, 1)),
    one(libc::SYS_openat2, SyscallAction::Open { flags: 2, indirect: true }, Form::At(0, 1)),
    one(libc::SYS_unlinkat, SyscallAction::Change("remove"), Form::At(0, 1)),
    one(libc::SYS_mkdirat, SyscallAction::Change("make"), Form::At(0, 1)),
    one(libc::SYS_mknodat, SyscallAction::Change("make"), Form::At(0, 1)),
    one(libc::SYS_symlinkat, SyscallAction::Change("link"), Form::At(1, 2)),
    one(libc::SYS_truncate, SyscallAction::Change("cut"), Form::Path(0)),
    two(libc::SYS_linkat, "link", Form::At(0, 1), Form::At(2, 3)),
    two(libc::SYS_renameat2, "move", Form::At(0, 1), Form::At(2, 3)),
    one(libc::SYS_fchmodat, SyscallAction::Rights(Rights::Mode(2)), Form::At(0, 1)),
    one(FCHMODAT2, SyscallAction::Rights(Rights::Mode(2)), Form::At(0, 1)),
    one(libc::SYS_fchmod, SyscallAction::Rights(Rights::Mode(1)), Form::Fd(0)),
    one(
        libc::SYS_fchownat,
        SyscallAction::Rights(Rights::Owner { user: 2, flags: Some(4), follow: true }),
        Form::At(0, 1),
    ),
    one(libc::SYS_fchown, SyscallAction::Rights(Rights::Owner { user: 1, flags: None, follow: true }), Form::Fd(0)),
    none(libc::SYS_connect, SyscallAction::Connect),
    none(libc::SYS_kill, SyscallAction::Signal(0)),
    none(libc::SYS_tkill, SyscallAction::Signal(0)),
    none(libc::SYS_tgkill, SyscallAction::Signal(0)),
    none(libc::SYS_rt_sigqueueinfo, SyscallAction::Signal(0)),
    none(libc::SYS_rt_tgsigqueueinfo, SyscallAction::Signal(0)),
    none(libc::SYS_pidfd_send_signal, SyscallAction::SignalBy(0)),
    none(libc::SYS_ptrace, SyscallAction::Reach(1)),
    none(libc::SYS_process_vm_readv, SyscallAction::Reach(0)),
    none(libc::SYS_process_vm_writev, SyscallAction::Reach(0)),
    none(libc::SYS_prlimit64, SyscallAction::Govern(0)),
    none(libc::SYS_sched_setaffinity, SyscallAction::Govern(0)),
    none(libc::SYS_sched_setparam, SyscallAction::Govern(0)),
    none(libc::SYS_sched_setscheduler, SyscallAction::Govern(0)),
    none(libc::SYS_sched_setattr, SyscallAction::Govern(0)),
    none(libc::SYS_migrate_pages, SyscallAction::Govern(0)),
    none(libc::SYS_move_pages, SyscallAction::Govern(0)),
    none(libc::SYS_setpriority, SyscallAction::GovernMany(0)),
    none(libc::SYS_ioprio_set, SyscallAction::GovernMany(1)),
    one(libc::SYS_utimensat, SyscallAction::Rights(NANOSECONDS), Form::At(0, 1)),
    one(libc::SYS_setxattr, SyscallAction::Attribute { follow: true }, Form::Path(0)),
    one(libc::SYS_lsetxattr, SyscallAction::Attribute { follow: false }, Form::Path(0)),
    one(libc::SYS_fsetxattr, SyscallAction::Attribute { follow: true }, Form::Fd(0)),
    one(libc::SYS_removexattr, SyscallAction::Attribute { follow: true }, Form::Path(0)),
    one(libc::SYS_lremovexattr, SyscallAction::Attribute { follow: false }, Form::Path(0)),
    one(libc::SYS_fremovexattr, SyscallAction::Attribute { follow: true }, Form::Fd(0)),
    one(SETXATTRAT, SyscallAction::Attribute { follow: true }, Form::At(0, 1)),
    one(REMOVEXATTRAT, SyscallAction::Attribute { follow: true }, Form::At(0, 1)),
    one(FILE_SETATTR, SyscallAction::Attribute { follow: true }, Form::At(0, 1)),
    one(libc::SYS_ioctl, SyscallAction::FileFlags, Form::Fd(0)),
    none(libc::SYS_shmget, SyscallAction::Share("shmget")),
    none(libc::SYS_shmat, SyscallAction::Share("shmat")),
    none(libc::SYS_shmctl, SyscallAction::Share("shmctl")),
    none(libc::SYS_msgget, SyscallAction::Share("msgget")),
    none(libc::SYS_msgsnd, SyscallAction::Share("msgsnd")),
    none(libc::SYS_msgrcv, SyscallAction::Share("msgrcv")),
    none(libc::SYS_msgctl, SyscallAction::Share("msgctl")),
    none(libc::SYS_semget, SyscallAction::Share("semget")),
    none(libc::SYS_semop, SyscallAction::Share("semop")),
    none(libc::SYS_semtimedop, SyscallAction::Share("semtimedop")),
    none(libc::SYS_semctl, SyscallAction::Share("semctl")),
    none(libc::SYS_mq_open, SyscallAction::Share("mq_open")),
    none(libc::SYS_mq_unlink, SyscallAction::Share("mq_unlink")),
    none(libc::SYS_add_key, SyscallAction::Share(KEYS[0])),
    none(libc::SYS_request_key, SyscallAction::Share(KEYS[1])),
    none(libc::SYS_keyctl, SyscallAction::Share(KEYS[2])),
];

/// Keys are the user's, in whatever namespace it is asked for them.
const KEYS: [&str; 3] = ["add_key", "request_key", "keyctl"];
/// `FS_IOC_SETFLAGS` and `FS_IOC_FSSETXATTR`: they need no descriptor that may be written to.
const FILE_FLAGS: [u32; 2] = [0x4008_6602, 0x401c_5820];

const NANOSECONDS: Rights = Rights::Times { at: 2, clock: Clock::Nanoseconds, flags: Some(3) };

/// fchmodat2(2), since Linux 6.6: the same number everywhere.
pub(super) const FCHMODAT2: c_long = 452;
/// Since Linux 6.13, and 6.17.
const SETXATTRAT: c_long = 463;
const REMOVEXATTRAT: c_long = 466;
const FILE_SETATTR: c_long = 469;

/// Calls of old that only this machine has.
#[cfg(target_arch = "x86_64")]
const OLD: &[Known] = &[
    one(libc::SYS_open, SyscallAction::Open { flags: 1, indirect: false }, Form::Path(0)),
    one(libc::SYS_creat, SyscallAction::Change("write"), Form::Path(0)),
    one(libc::SYS_unlink, SyscallAction::Change("remove"), Form::Path(0)),
    one(libc::SYS_rmdir, SyscallAction::Change("remove"), Form::Path(0)),
    one(libc::SYS_mkdir, SyscallAction::Change("make"), Form::Path(0)),
    one(libc::SYS_mknod, SyscallAction::Change("make"), Form::Path(0)),
    one(libc::SYS_symlink, SyscallAction::Change("link"), Form::Path(1)),
    two(libc::SYS_link, "link", Form::Path(0), Form::Path(1)),
    two(libc::SYS_rename, "move", Form::Path(0), Form::Path(1)),
    two(libc::SYS_renameat, "move", Form::At(0, 1), Form::At(2, 3)),
    one(libc::SYS_chmod, SyscallAction::Rights(Rights::Mode(1)), Form::Path(0)),
    one(libc::SYS_chown, SyscallAction::Rights(Rights::Owner { user: 1, flags: None, follow: true }), Form::Path(0)),
    one(libc::SYS_lchown, SyscallAction::Rights(Rights::Owner { user: 1, flags: None, follow: false }), Form::Path(0)),
    one(
        libc::SYS_utime,
        SyscallAction::Rights(Rights::Times { at: 1, clock: Clock::Seconds, flags: None }),
        Form::Path(0),
    ),
    one(
        libc::SYS_utimes,
        SyscallAction::Rights(Rights::Times { at: 1, clock: Clock::Microseconds, flags: None }),
        Form::Path(0),
    ),
    one(
        libc::SYS_futimesat,
        SyscallAction::Rights(Rights::Times { at: 2, clock: Clock::Microseconds, flags: None }),
        Form::At(0, 1),
    ),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[Known] = &[];

/// What is known of a call.
pub(super) fn known(number: c_long) -> Option<&'static Known> {
    COMMON.iter().chain(OLD).find(|it| it.number == number)
}

#[cfg(target_arch = "x86_64")]
const MACHINE: Option<u32> = Some(0xC000_003E);
#[cfg(target_arch = "aarch64")]
const MACHINE: Option<u32> = Some(0xC000_00B7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const MACHINE: Option<u32> = None;

/// Whether there is a filter for this machine.
pub(super) fn is_written() -> bool {
    MACHINE.is_some()
}

const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
const EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
const AT_LEAST: u32 = libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K;
const ANY_BIT: u32 = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
const RETURN: u32 = libc::BPF_RET | libc::BPF_K;

/// In `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

fn argument(index: u32) -> u32 {
    16 + 8 * index
}

fn step(code: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or_default(), jt: yes, jf: no, k }
}

/// "This call does not exist here": what programs are prepared for.
fn absent() -> u32 {
    libc::SECCOMP_RET_ERRNO | u32::try_from(libc::ENOSYS).unwrap_or_default()
}

/// Answers a call by one of its arguments: `hit` when any of the tests holds for its lower half, `miss` otherwise.
fn by_argument(call: c_long, index: usize, tests: &[(u32, u32)], hit: u32, miss: u32) -> Vec<sock_filter> {
    let short = |steps: usize| u8::try_from(steps).unwrap_or_default();
    let left = tests.len();
    let mut steps = vec![
        step(EQUAL, number(call), 0, short(left + 3)),
        step(LOAD, argument(u32::try_from(index).unwrap_or_default()), 0, 0),
    ];
    steps.extend(tests.iter().enumerate().map(|(at, (code, k))| step(*code, *k, short(left - at), 0)));
    steps.extend([step(RETURN, miss, 0, 0), step(RETURN, hit, 0, 0)]);
    steps
}

fn number(call: c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

/// The filter. Reading is reported like writing only where `reads` says so; with `own_ipc` what the program shares it
/// shares in a namespace of its own.
pub(super) fn program(network: &Network, reads: bool, own_ipc: bool) -> Vec<sock_filter> {
    const TELL: u32 = libc::SECCOMP_RET_USER_NOTIF;
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    let mut steps = vec![
        step(LOAD, ARCH, 0, 0),
        // Calls of another machine (32-bit programs) have other numbers: they would pass unseen.
        step(EQUAL, MACHINE.unwrap_or_default(), 1, 0),
        step(RETURN, absent(), 0, 0),
        step(LOAD, NUMBER, 0, 0),
    ];
    if cfg!(target_arch = "x86_64") {
        steps.extend([step(AT_LEAST, 0x4000_0000, 0, 1), step(RETURN, absent(), 0, 0)]);
    }
    // What is done through a ring is seen by no filter.
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter, libc::SYS_io_uring_register] {
        steps.extend([step(EQUAL, number(call), 0, 1), step(RETURN, absent(), 0, 0)]);
    }
    for call in COMMON.iter().chain(OLD) {
        match call.action {
            SyscallAction::Open { flags, indirect: false } if !reads => {
                steps.extend(by_argument(call.number, flags, &[(ANY_BIT, writing_flags())], TELL, ALLOW));
            }
            // Every program asks for its own limits as it starts.
            SyscallAction::Govern(who) => steps.extend(by_argument(call.number, who, &[(EQUAL, 0)], ALLOW, TELL)),
            SyscallAction::FileFlags => {
                steps.extend(by_argument(call.number, 1, &FILE_FLAGS.map(|flags| (EQUAL, flags)), TELL, ALLOW));
            }
            SyscallAction::Share(what) if own_ipc && !KEYS.contains(&what) => {}
            _ => steps.extend([step(EQUAL, number(call.number), 0, 1), step(RETURN, TELL, 0, 0)]),
        }
    }
    steps.extend(of_network(network));
    steps.push(step(RETURN, ALLOW, 0, 0));
    steps
}

/// What Landlock does not know of a network that is not all allowed.
fn of_network(network: &Network) -> Vec<sock_filter> {
    const ALLOW: u32 = libc::SECCOMP_RET_ALLOW;
    let refused = |why: libc::c_int| libc::SECCOMP_RET_ERRNO | u32::try_from(why).unwrap_or_default();
    let word = |name: libc::c_int| u32::try_from(name).unwrap_or_default();
    match network {
        // A connection that is made by its first words: nobody would look at the port.
        Network::Ports(_) => [(libc::SYS_sendto, 3), (libc::SYS_sendmsg, 2), (libc::SYS_sendmmsg, 3)]
            .into_iter()
            .flat_map(|(call, flags)| {
                let first_words = [(ANY_BIT, word(libc::MSG_FASTOPEN))];
                by_argument(call, flags, &first_words, refused(libc::EOPNOTSUPP), ALLOW)
            })
            .collect(),
        Network::None => {
            // Sockets of the machine itself, and the kernel's own (for the list of interfaces).
            let own = [libc::AF_UNIX, libc::AF_NETLINK].map(|family| (EQUAL, word(family)));
            by_argument(libc::SYS_socket, 0, &own, ALLOW, refused(libc::EACCES))
        }
        Network::Allow => Vec::new(),
    }
}

/// Flags of open(2) that write, make or cut.
pub(super) fn writing_flags() -> u32 {
    let flags = libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT | libc::O_TRUNC | (libc::O_TMPFILE & !libc::O_DIRECTORY);
    u32::try_from(flags).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A small machine for the filter, so that it is tried without being put in force.
    fn verdict(program: &[sock_filter], arch: u32, number: c_long, args: [u64; 6]) -> u32 {
        let load = |k: u32| match k {
            NUMBER => u32::try_from(number).unwrap(),
            ARCH => arch,
            k => u32::try_from(args[usize::try_from((k - 16) / 8).unwrap()] & 0xffff_ffff).unwrap(),
        };
        let (mut at, mut word) = (0, 0);
        loop {
            let step = &program[at];
            let code = u32::from(step.code);
            let jump = |yes: bool| usize::from(if yes { step.jt } else { step.jf });
            at += 1;
            match code {
                LOAD => word = load(step.k),
                EQUAL => at += jump(word == step.k),
                AT_LEAST => at += jump(word >= step.k),
                ANY_BIT => at += jump(word & step.k != 0),
                RETURN => return step.k,
                _ => panic!("unknown step"),
            }
        }
    }

    fn flags(of: libc::c_int) -> [u64; 6] {
        [0, 0, u64::try_from(of).unwrap(), 0, 0, 0]
    }

    #[test]
    fn the_listener_hears_of_what_writes_and_not_of_what_reads() {
        let (here, filter) = (MACHINE.unwrap(), program(&Network::Allow, false, false));
        let say = |number, args| verdict(&filter, here, number, args);
        assert_eq!(say(libc::SYS_openat, flags(libc::O_RDONLY | libc::O_CLOEXEC)), libc::SECCOMP_RET_ALLOW);
        for open in [libc::O_WRONLY, libc::O_RDWR, libc::O_CREAT, libc::O_TRUNC, libc::O_TMPFILE] {
            assert_eq!(say(libc::SYS_openat, flags(open)), libc::SECCOMP_RET_USER_NOTIF, "{open:#o}");
        }
        assert_eq!(say(libc::SYS_openat, flags(libc::O_DIRECTORY)), libc::SECCOMP_RET_ALLOW);
        assert_eq!(say(libc::SYS_unlinkat, flags(0)), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(say(libc::SYS_read, flags(0)), libc::SECCOMP_RET_ALLOW);
        assert_eq!(say(libc::SYS_io_uring_setup, flags(0)), absent());
        assert_eq!(verdict(&filter, 0x4000_0003, libc::SYS_read, flags(0)), absent(), "another machine's call");
        let all = program(&Network::Allow, true, false);
        assert_eq!(verdict(&all, here, libc::SYS_openat, flags(0)), libc::SECCOMP_RET_USER_NOTIF);
    }

    #[test]
    fn a_process_may_set_limits_of_itself_and_is_heard_of_when_they_are_anothers() {
        let (here, filter) = (MACHINE.unwrap(), program(&Network::Allow, false, false));
        let say = |number, who| verdict(&filter, here, number, [who, 0, 0, 0, 0, 0]);
        assert_eq!(say(libc::SYS_prlimit64, 0), libc::SECCOMP_RET_ALLOW);
        assert_eq!(say(libc::SYS_prlimit64, 1), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(say(libc::SYS_setpriority, 0), libc::SECCOMP_RET_USER_NOTIF);
        assert_eq!(say(libc::SYS_utimensat, 0), libc::SECCOMP_RET_USER_NOTIF);
    }

    #[test]
    fn what_all_processes_share_is_heard_of_unless_it_is_its_own() {
        let here = MACHINE.unwrap();
        let say = |own_ipc, number, second| {
            verdict(&program(&Network::Allow, true, own_ipc), here, number, [3, second, 0, 0, 0, 0])
        };
        let (tell, allow) = (libc::SECCOMP_RET_USER_NOTIF, libc::SECCOMP_RET_ALLOW);
        for call in [libc::SYS_shmget, libc::SYS_msgsnd, libc::SYS_semop, libc::SYS_mq_open] {
            assert_eq!((say(false, call, 0), say(true, call, 0)), (tell, allow));
        }
        assert_eq!((say(false, libc::SYS_keyctl, 0), say(true, libc::SYS_keyctl, 0)), (tell, tell));
        for flags in FILE_FLAGS {
            assert_eq!(say(false, libc::SYS_ioctl, flags.into()), tell);
        }
        assert_eq!(say(false, libc::SYS_ioctl, libc::TCGETS), allow);
    }

    #[test]
    fn with_ports_no_connection_is_made_by_its_first_words() {
        let here = MACHINE.unwrap();
        let fast = u64::try_from(libc::MSG_FASTOPEN).unwrap();
        let say = |network: &Network, flags| {
            verdict(&program(network, false, false), here, libc::SYS_sendto, [0, 0, 0, flags, 0, 0])
        };
        assert_eq!(say(&Network::Ports(vec![1]), 0), libc::SECCOMP_RET_ALLOW);
        assert_ne!(say(&Network::Ports(vec![1]), fast), libc::SECCOMP_RET_ALLOW);
        assert_eq!(say(&Network::Allow, fast), libc::SECCOMP_RET_ALLOW);
    }

    #[test]
    fn without_a_network_only_the_machines_own_sockets_are_made() {
        let (here, filter) = (MACHINE.unwrap(), program(&Network::None, false, false));
        let socket = |family: libc::c_int| {
            verdict(&filter, here, libc::SYS_socket, [u64::try_from(family).unwrap(), 0, 0, 0, 0, 0])
        };
        assert_eq!(socket(libc::AF_UNIX), libc::SECCOMP_RET_ALLOW);
        assert_eq!(socket(libc::AF_NETLINK), libc::SECCOMP_RET_ALLOW);
        for family in [libc::AF_INET, libc::AF_INET6, libc::AF_PACKET, libc::AF_VSOCK] {
            assert_ne!(socket(family), libc::SECCOMP_RET_ALLOW);
        }
    }
}
