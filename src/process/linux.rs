//! What `/proc` says about processes: who one is, who descends from it, who carries an attempt's mark.

use super::spec::{MARK, Ready};
use rustix::process::{Pid, PidfdFlags, Signal};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

/// Clock ticks per second in `/proc`: fixed at 100 for user space on every architecture Linux runs p0 on.
const TICKS_PER_SECOND: u64 = 100;

/// More than a `/proc/<pid>/stat` has: a name of 15 bytes and fifty numbers.
const STAT_BYTES: usize = 2048;

/// The monotonic clock of this room. The supervisor is a process of its own, where the engine's clock is not.
#[expect(clippy::disallowed_methods, reason = "limits are enforced by the supervisor, which runs without the engine")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// The few fields of `/proc/<pid>/stat` this room uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) state: u8,
    pub(super) parent: i32,
    /// Ticks of processor time of children that ended and were waited for.
    pub(super) children_ticks: u64,
    pub(super) start_ticks: u64,
}

impl Stat {
    /// Reads the fields of one process; `None` when there is no such process.
    pub(super) fn of(pid: i32) -> Option<Self> {
        // The kernel gives all of it at once; one read is enough, and a walk through `/proc` makes many.
        let mut text = [0; STAT_BYTES];
        let read = fs::File::open(format!("/proc/{pid}/stat")).ok()?.read(&mut text).ok()?;
        Self::parse(&String::from_utf8_lossy(text.get(..read)?))
    }

    fn parse(text: &str) -> Option<Self> {
        // The name in parentheses may hold anything, parentheses and spaces included: fields count from the last one.
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3).copied();
        let ticks = |number: usize| field(number)?.parse::<u64>().ok();
        Some(Self {
            state: *field(3)?.as_bytes().first()?,
            parent: field(4)?.parse().ok()?,
            children_ticks: ticks(16)? + ticks(17)?,
            start_ticks: ticks(22)?,
        })
    }

    /// Whether the process can still do anything; a zombie only waits to be reaped.
    pub(super) fn is_alive(&self) -> bool {
        !matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Processor time, in milliseconds, of every child this process has waited for, and of theirs.
pub(super) fn children_cpu_ms() -> u64 {
    Stat::of(own_pid()).map_or(0, |stat| stat.children_ticks * 1000 / TICKS_PER_SECOND)
}

/// This process.
pub(super) fn own_pid() -> i32 {
    rustix::process::getpid().as_raw_nonzero().get()
}

/// Which boot this is; `None` where the kernel does not say.
pub(super) fn boot_id() -> Option<String> {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").ok().map(|id| id.trim().to_owned())
}

/// A process, pinned by the moment it started: its pid may be given out again, the pair may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Member {
    pub(super) pid: i32,
    pub(super) start_ticks: u64,
}

impl Member {
    /// A handle on exactly this process; `None` when it is gone or only a zombie.
    pub(super) fn open(self) -> Option<OwnedFd> {
        // The handle is taken first and checked afterwards: from then on it cannot come to mean another process.
        let handle = rustix::process::pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        let stat = Stat::of(self.pid)?;
        (stat.start_ticks == self.start_ticks && stat.is_alive()).then_some(handle)
    }

    /// Sends a signal to exactly this process, and to nobody when it is gone.
    pub(super) fn signal(self, signal: Signal) {
        if let Some(handle) = self.open() {
            let _ = rustix::process::pidfd_send_signal(handle, signal);
        }
    }
}

impl Ready {
    /// The supervisor as a process of the boot it reported; `None` when the machine has been started since.
    pub(super) fn member(&self) -> Option<Member> {
        (boot_id().as_deref() == Some(self.boot_id.as_str()))
            .then_some(Member { pid: self.pid, start_ticks: self.start_ticks })
    }
}

/// Everything that belongs to one attempt, except its supervisor.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    supervisor: Option<Member>,
    mark: Vec<u8>,
}

impl Tree {
    /// The tree under `supervisor` (when it lives), and every process that carries the nonce as its mark.
    pub(super) fn new(supervisor: Option<Member>, nonce: &str) -> Self {
        Self { supervisor, mark: format!("{MARK}={nonce}").into_bytes() }
    }

    /// Who is alive now. Zombies are not; neither the supervisor nor the caller is ever among them.
    pub(super) fn members(&self) -> BTreeSet<Member> {
        let stats = all_processes();
        let root = self.supervisor.filter(|it| stats.get(&it.pid).is_some_and(|s| s.start_ticks == it.start_ticks));
        let own = own_pid();
        stats
            .iter()
            .filter(|(pid, stat)| stat.is_alive() && **pid != own && root.is_none_or(|it| it.pid != **pid))
            .filter(|(pid, stat)| {
                // Whoever was there before the supervisor has its mark from nobody.
                let may_be_marked = self.supervisor.is_none_or(|it| stat.start_ticks >= it.start_ticks);
                root.is_some_and(|it| descends(&stats, **pid, it.pid)) || (may_be_marked && self.is_marked(**pid))
            })
            .map(|(pid, stat)| Member { pid: *pid, start_ticks: stat.start_ticks })
            .collect()
    }

    fn is_marked(&self, pid: i32) -> bool {
        // Another user's processes cannot be read, and cannot be ours.
        fs::read(format!("/proc/{pid}/environ"))
            .is_ok_and(|environ| environ.split(|byte| *byte == 0).any(|entry| entry == self.mark))
    }

    /// Kills everyone, again and again until nobody is left or `limit` has passed; answers how many are left.
    ///
    /// Nobody has to be found twice in a row: a process that is being made carries no mark before its `exec`, and a
    /// walk through `/proc` can miss one that appears during the walk.
    pub(super) fn kill(&self, limit: Duration) -> usize {
        let start = now();
        let mut quiet = 0;
        loop {
            let members = self.members();
            quiet = if members.is_empty() { quiet + 1 } else { 0 };
            if quiet == 2 || start.elapsed() >= limit {
                return members.len();
            }
            members.iter().for_each(|it| it.signal(Signal::KILL));
            std::thread::sleep(Duration::from_millis(if quiet > 0 { 20 } else { 2 }));
        }
    }
}

fn all_processes() -> BTreeMap<i32, Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return BTreeMap::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter_map(|pid| Some((pid, Stat::of(pid)?)))
        .collect()
}

fn descends(stats: &BTreeMap<i32, Stat>, pid: i32, root: i32) -> bool {
    let mut at = pid;
    // The walk reads a moving world: the bound keeps a circle of stale parents from holding it for ever.
    for _ in 0..stats.len() {
        let Some(stat) = stats.get(&at) else { return false };
        if stat.parent == root {
            return true;
        }
        at = stat.parent;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194560 1 2 3 4 10 20 30 40 20 0 1 0 98765 1 2 3";
        let stat = Stat::parse(text).unwrap();
        assert_eq!(stat, Stat { state: b'S', parent: 7, children_ticks: 70, start_ticks: 98765 });
    }

    #[test]
    fn half_a_stat_line_is_nobody() {
        assert_eq!(Stat::parse("42 (a) S 7"), None);
        assert_eq!(Stat::parse(""), None);
    }

    #[test]
    fn a_member_with_the_wrong_start_is_somebody_else() {
        let me = Stat::of(own_pid()).unwrap();
        assert!(Member { pid: own_pid(), start_ticks: me.start_ticks }.open().is_some());
        assert!(Member { pid: own_pid(), start_ticks: me.start_ticks + 1 }.open().is_none());
    }

    #[test]
    fn nobody_carries_a_mark_that_was_never_given() {
        assert!(Tree::new(None, "6f1c-not-a-nonce").members().is_empty());
    }
}
