//! Putting limits in force in the own process, for good: the last thing before it becomes the program.

use super::{
    filter,
    kernel::{self, Kernel},
    rules,
    spec::Confine,
    system,
};
use crate::model::sandbox::{Applied, Rlimits};
use rustix::{
    process::{Resource, Rlimit},
    thread::CapabilitySet,
};
use std::{
    ffi::{OsStr, OsString},
    io::Write,
    os::{fd::OwnedFd, unix::process::CommandExt},
    path::Path,
};

/// What root keeps: to work on files of others in its own folders, and to become another user. Everything that reaches
/// past the file system (raw disks, modules, mounts, tracing) goes.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// The limits are in force.
#[derive(Debug)]
pub(crate) struct Entered {
    /// What was applied.
    pub(crate) applied: Applied,
    /// The descriptor on which the supervisor hears of calls.
    pub(crate) listener: Option<OwnedFd>,
}

/// Confines this process. An answer in words when what is required cannot be had; nothing may be run then.
pub(crate) fn enter(confine: &Confine, path: &str) -> Result<Entered, String> {
    let kernel = Kernel::for_program(confine.bubblewrap.then_some(path));
    let mut missing = kernel.lacks(&confine.network, confine.bubblewrap);
    if confine.required && !missing.is_empty() {
        return Err(refusal(&missing));
    }
    limit(&confine.limits)?;
    drop_capabilities();
    rustix::thread::set_no_new_privs(true).map_err(|errno| format!("no new privileges: {errno}"))?;
    let (mut applied, mut listener) = (Applied::default(), None);
    if kernel.usable() > 0 {
        match rules::apply(confine, kernel.usable()) {
            Ok(count) => {
                applied.landlock = kernel.usable();
                applied.rules = count;
            }
            Err(why) if confine.required => return Err(refusal(&[why])),
            Err(why) => missing.push(why),
        }
    }
    applied.bubblewrap = confine.bubblewrap && kernel.bubblewrap;
    // Without one a confinement that is required was refused above.
    if kernel.listener && filter::is_written() {
        match system::filter(&filter::program(&confine.network, READS, applied.bubblewrap)) {
            Ok(made) => listener = Some(made),
            Err(error) if confine.required => {
                return Err(refusal(&[format!("the filter of system calls: {error}")]));
            }
            Err(error) => missing.push(format!("tries are not recorded: {error}")),
        }
    } else {
        missing.push("tries are not recorded".to_owned());
    }
    applied.listener = listener.is_some();
    applied.missing = missing;
    Ok(Entered { applied, listener })
}

/// Whether the listener hears of opening for reading too.
const READS: bool = true;

fn refusal(missing: &[String]) -> String {
    format!(
        "the sandbox cannot be enforced: {}; [sandbox] mode = \"best_effort\" accepts what there is",
        missing.join("; ")
    )
}

/// Sets the limits of the process, never above what it may have.
fn limit(limits: &Rlimits) -> Result<(), String> {
    const MIB: u64 = 1024 * 1024;
    let wanted = [
        (Resource::Core, Some(0), "core"),
        (Resource::Nproc, limits.processes, "processes"),
        (Resource::Fsize, limits.file_mb.map(|mb| mb.saturating_mul(MIB)), "file_mb"),
        (Resource::Nofile, limits.open_files, "open_files"),
        (Resource::As, limits.memory_mb.map(|mb| mb.saturating_mul(MIB)), "memory_mb"),
    ];
    for (resource, value, name) in wanted {
        let Some(value) = value else { continue };
        let most = rustix::process::getrlimit(resource).maximum;
        let value = most.map_or(value, |most| most.min(value));
        let limit = Rlimit { current: Some(value), maximum: Some(value) };
        rustix::process::setrlimit(resource, limit).map_err(|errno| format!("the limit {name} = {value}: {errno}"))?;
    }
    Ok(())
}

/// Sets limits, given as JSON, for this process, and becomes the program. Comes back only when that failed: to try out whether
/// programs start under them.
pub fn limited_main(limits: &OsStr, mut command: impl Iterator<Item = OsString>) -> i32 {
    const FAILED: i32 = 71;
    let become_it = || -> Result<std::convert::Infallible, String> {
        let limits = limits.to_str().ok_or("the limits are not text")?;
        let limits: Rlimits = serde_json::from_str(limits).map_err(|e| e.to_string())?;
        let program = command.next().ok_or("no program is named")?;
        limit(&limits)?;
        #[expect(clippy::disallowed_methods, reason = "this process becomes the program")]
        let mut program = std::process::Command::new(program);
        Err(program.args(command).exec().to_string())
    };
    let Err(why) = become_it();
    // Where nobody reads it, the exit code says as much.
    let _ = writeln!(std::io::stderr(), "{why}");
    FAILED
}

/// Gives up what root could do past the file system. Whoever is not root has nothing to give up, and where the rest
/// cannot be given up (a container without the right to) there is nothing to lose either.
fn drop_capabilities() {
    let Ok(mut sets) = rustix::thread::capabilities(None) else { return };
    for capability in CapabilitySet::all().difference(KEPT) {
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    sets.permitted &= KEPT;
    sets.effective &= KEPT;
    sets.inheritable &= KEPT;
    let _ = rustix::thread::set_capabilities(None, sets);
}

/// The command that starts `inner` in namespaces of its own: the whole system to read, the attempt's own to write,
/// other processes out of sight. `None` = bubblewrap is not on `path`.
pub(crate) fn wrap(confine: &Confine, path: &str, inner: &[String]) -> Option<Vec<String>> {
    let text = |path: &Path| path.display().to_string();
    let mut command = vec![text(&kernel::bubblewrap(path)?)];
    let mut add = |parts: &[&str]| command.extend(parts.iter().map(|part| (*part).to_owned()));
    add(&["--die-with-parent", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--ro-bind", "/", "/"]);
    add(&["--dev", "/dev", "--proc", "/proc"]);
    for write in confine.write.iter().filter(|it| !it.starts_with("/dev") && it.exists()) {
        let write = text(write);
        add(&["--bind", &write, &write]);
    }
    add(&["--"]);
    command.extend(inner.iter().cloned());
    Some(command)
}
