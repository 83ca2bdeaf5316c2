//! What this kernel gives a sandbox, and whether it is enough.

use super::{filter, system};
use crate::model::sandbox::{Mode, Network, Sandbox};
use std::path::Path;

/// The newest interface of Landlock whose every right was tried; a newer kernel offers it as well.
pub(super) const NEWEST: u32 = 7;
/// The oldest that holds what p0 promises about files: from here on truncating counts as writing.
const FILES: u32 = 3;
/// From here on TCP ports can be limited.
const PORTS: u32 = 4;
/// From here on signals and abstract sockets stay inside.
pub(super) const SCOPES: u32 = 6;

/// What there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// The version of Landlock's interface; 0 = none.
    pub landlock: u32,
    /// Whether a filter of system calls can report to a listener, and let calls go on.
    pub listener: bool,
    /// Whether a listener may look into the programs it listens to, which is how it knows what a call is about.
    pub tracing: bool,
    /// Whether the user may make namespaces.
    pub namespaces: bool,
    /// Whether bubblewrap is installed.
    pub bubblewrap: bool,
}

impl Kernel {
    /// Asks the kernel. `path` is the list of folders in which programs are looked for.
    pub fn probe(path: &str) -> Kernel {
        Kernel { namespaces: namespaces(), bubblewrap: bubblewrap(path).is_some(), ..Kernel::for_program(None) }
    }

    /// What matters to one program that is about to be confined: `path` only where it wants bubblewrap.
    pub(super) fn for_program(path: Option<&str>) -> Kernel {
        Kernel {
            landlock: system::landlock_abi(),
            listener: system::has_listener(),
            tracing: may_trace(number(YAMA), has_trace_capability()),
            namespaces: false,
            bubblewrap: path.is_some_and(|path| bubblewrap(path).is_some()),
        }
    }

    /// The interface that is used of it.
    pub(super) fn usable(&self) -> u32 {
        self.landlock.min(NEWEST)
    }

    /// What a sandbox asks for and this kernel does not give, a sentence each.
    pub fn missing(&self, sandbox: &Sandbox) -> Vec<String> {
        if sandbox.mode == Mode::Off { Vec::new() } else { self.lacks(&sandbox.network, sandbox.bubblewrap) }
    }

    /// What is missing for this network, with or without bubblewrap.
    pub(super) fn lacks(&self, network: &Network, bubblewrap: bool) -> Vec<String> {
        let mut missing = Vec::new();
        if self.landlock == 0 {
            missing.push("this kernel has no Landlock (Linux 5.13 or later, with landlock among its lsm=)".to_owned());
        } else if self.landlock < FILES {
            let text = "files cannot be kept from being truncated: Landlock has interface";
            missing.push(format!("{text} {}, {FILES} is needed (Linux 6.2)", self.landlock));
        }
        if !self.listener {
            let text = "sockets, rights and signals cannot be held back: this kernel lets no filter report";
            missing.push(format!("{text} to a listener (Linux 5.5 does)"));
        } else if !filter::is_written() {
            let text = "sockets, rights and signals cannot be held back: p0 has no filter for this machine";
            missing.push(format!("{text} (there is one for x86_64 and for aarch64)"));
        } else if !self.tracing {
            let text = "sockets and rights cannot be held back: this machine lets p0 look into no other process";
            missing.push(format!("{text} ({YAMA} is {}; 0 or 1 lets it)", number(YAMA).unwrap_or_default()));
        }
        match network {
            Network::Allow => {}
            Network::None if self.listener && filter::is_written() => {}
            Network::None => missing.push("the network cannot be cut off without a filter".to_owned()),
            Network::Ports(_) if self.landlock >= PORTS => {}
            Network::Ports(_) => {
                missing.push(format!("TCP ports cannot be limited: Landlock {PORTS} is needed (Linux 6.7)"));
            }
        }
        if bubblewrap && !self.bubblewrap {
            missing.push("bubblewrap is asked for and `bwrap` is not on PATH".to_owned());
        }
        missing
    }

    /// What Landlock covers here, for people.
    pub fn landlock_covers(&self) -> String {
        let since = [
            (1, "files"),
            (2, "moves between folders"),
            (3, "truncation"),
            (4, "TCP ports"),
            (5, "device commands"),
            (SCOPES, "signals and abstract sockets"),
        ];
        let covered: Vec<&str> =
            since.iter().filter(|(version, _)| *version <= self.landlock).map(|(_, what)| *what).collect();
        covered.join(", ")
    }
}

/// Who may look into the processes of the same user: 0 = all, 1 = those they come from, 2 = who has `CAP_SYS_PTRACE`,
/// 3 = nobody. Absent without the security module Yama, which is like 0.
const YAMA: &str = "/proc/sys/kernel/yama/ptrace_scope";

/// Whether a supervisor may look into the program that it started.
fn may_trace(scope: Option<u64>, capable: bool) -> bool {
    match scope {
        None | Some(0 | 1) => true,
        Some(2) => capable,
        Some(_) => false,
    }
}

fn has_trace_capability() -> bool {
    let sets = rustix::thread::capabilities(None);
    sets.is_ok_and(|sets| sets.effective.contains(rustix::thread::CapabilitySet::SYS_PTRACE))
}

/// The number that a file of the kernel's holds; `None` = there is no such file.
fn number(path: &str) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Where bubblewrap is.
pub(crate) fn bubblewrap(path: &str) -> Option<std::path::PathBuf> {
    std::env::split_paths(path).map(|dir| dir.join("bwrap")).find(|file| file.is_file())
}

/// Whether the kernel lets this user make user namespaces: a limit of none, or the switch of some distributions, is
/// how it is turned off.
fn namespaces() -> bool {
    let made = Path::new("/proc/self/ns/user").exists();
    let most = number("/proc/sys/user/max_user_namespaces").is_none_or(|most| most > 0);
    let unprivileged = number("/proc/sys/kernel/unprivileged_userns_clone").is_none_or(|on| on > 0);
    let free = number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").is_none_or(|on| on == 0);
    made && most && (rustix::process::getuid().is_root() || (unprivileged && free))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sandbox::SandboxConfig;

    #[test]
    fn what_an_older_kernel_lacks_is_said() {
        let sandbox = |text: &str| toml::from_str::<SandboxConfig>(text).unwrap().resolve();
        let kernel =
            |landlock, listener| Kernel { landlock, listener, tracing: true, namespaces: true, bubblewrap: false };
        assert!(kernel(7, true).missing(&sandbox("")).is_empty());
        assert!(kernel(4, true).missing(&sandbox("")).is_empty(), "the listener holds signals back");
        assert!(kernel(7, false).missing(&sandbox(""))[0].contains("sockets"), "whatever Landlock there is");
        assert!(kernel(0, true).missing(&sandbox(""))[0].contains("no Landlock"));
        assert!(kernel(2, true).missing(&sandbox(""))[0].contains("truncated"));
        assert!(kernel(3, true).missing(&sandbox("network=[443]"))[0].contains("6.7"));
        assert!(kernel(7, false).missing(&sandbox("network='none'"))[1].contains("network"));
        assert!(kernel(7, true).missing(&sandbox("bubblewrap=true"))[0].contains("bwrap"));
        assert!(kernel(0, false).missing(&sandbox("mode='off'")).is_empty());
        let blind = Kernel { tracing: false, ..kernel(7, true) };
        assert!(blind.missing(&sandbox(""))[0].contains("ptrace_scope"), "{:?}", blind.missing(&sandbox("")));
    }

    #[test]
    fn a_hardened_machine_lets_only_the_capable_look_into_processes() {
        let may = |scope| (may_trace(scope, false), may_trace(scope, true));
        assert_eq!([None, Some(0), Some(1)].map(may), [(true, true); 3]);
        assert_eq!([Some(2), Some(3)].map(may), [(false, true), (false, false)]);
    }
}
