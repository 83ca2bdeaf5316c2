//! Ending an attempt from outside: politely through its supervisor, by force without it. "Stopped" means that nothing
//! of it is alive.

use super::{
    cgroup,
    error::{Error, io_error},
    files::AttemptDir,
    linux::Member,
    look::{Found, glance, supervisor_of, tree_of, until_gone},
};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    process::Signal,
};
use std::{collections::BTreeSet, fs, io, path::Path, time::Duration};

/// What a supervisor may take beyond the grace before it counts as unresponsive.
const STOP_PATIENCE: Duration = Duration::from_secs(2);
/// What it may take to write its record after others have killed its tree for it.
const RECORD_PATIENCE: Duration = Duration::from_secs(3);
/// How long processes may take to die of KILL.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// Ends the attempt in `dir`: TERM to the supervisor, which ends the tree by TERM → grace → KILL and records it. A
/// supervisor that does not manage that in the grace and two seconds more is helped by force. Nothing to stop is fine.
///
/// # Errors
/// The directory cannot be read; or something is alive after all of this.
pub async fn stop(dir: &Path) -> Result<(), Error> {
    let place = AttemptDir::new(dir);
    let supervisor = match glance(dir)? {
        Found::Waiting(supervisor) | Found::Running(supervisor) => supervisor.member(),
        Found::Lost { .. } => return end_remains(dir).await,
        Found::Ended(_) | Found::NeverRan => return Ok(()),
    };
    supervisor.signal(Signal::TERM);
    let grace = Duration::from_millis(place.read_spec().map_or(0, |spec| spec.grace_ms));
    let patience = grace.saturating_add(STOP_PATIENCE);
    if tokio::time::timeout(patience, until_gone(supervisor)).await.is_ok() {
        return end_remains_unless_recorded(dir).await;
    }
    by_force(dir, supervisor).await
}

/// Ends the attempt in `dir` without grace: it does harm as long as it runs. Its end is recorded all the same.
///
/// # Errors
/// Those of [`stop`].
pub async fn stop_at_once(dir: &Path) -> Result<(), Error> {
    let supervisor = match glance(dir)? {
        Found::Waiting(supervisor) | Found::Running(supervisor) => supervisor.member(),
        Found::Lost { .. } => return end_remains(dir).await,
        Found::Ended(_) | Found::NeverRan => return Ok(()),
    };
    supervisor.signal(Signal::TERM);
    by_force(dir, supervisor).await
}

/// Kills the tree, then waits for the supervisor's record.
async fn by_force(dir: &Path, supervisor: Member) -> Result<(), Error> {
    // The tree first: a supervisor that was only slow can still write the record then.
    end_remains(dir).await?;
    if tokio::time::timeout(RECORD_PATIENCE, until_gone(supervisor)).await.is_err() {
        supervisor.signal(Signal::KILL);
        let _ = tokio::time::timeout(KILL_PATIENCE, until_gone(supervisor)).await;
    }
    end_remains_unless_recorded(dir).await
}

/// A supervisor that recorded the end has left nothing alive; one that did not may have.
async fn end_remains_unless_recorded(dir: &Path) -> Result<(), Error> {
    match glance(dir)? {
        Found::Lost { .. } => end_remains(dir).await,
        _ => Ok(()),
    }
}

/// Kills every process of the attempt except its supervisor.
pub(super) async fn end_remains(dir: &Path) -> Result<(), Error> {
    let place = AttemptDir::new(dir);
    let Some(tree) = tree_of(&place) else { return Ok(()) };
    let killed = tokio::task::spawn_blocking(move || tree.kill(KILL_PATIENCE)).await;
    cgroup::clear(&place);
    // A panic in there (it holds no invariant) is one process that may be alive.
    all_gone(dir, killed.unwrap_or(1))
}

fn all_gone(dir: &Path, alive: usize) -> Result<(), Error> {
    if alive == 0 { Ok(()) } else { Err(Error::StillAlive { dir: dir.to_path_buf(), alive }) }
}

/// Kills everything of the attempt in `dir` at once, without grace. The supervisor gets half a second to record what
/// happened; then it is killed too, and the attempt is lost. Blocks for as long.
///
/// # Errors
/// The directory cannot be read; or something does not die of KILL.
pub fn kill_now(dir: &Path) -> Result<(), Error> {
    let place = AttemptDir::new(dir);
    let Some(tree) = tree_of(&place) else { return Ok(()) };
    let supervisor = supervisor_of(&place);
    if let Some(supervisor) = supervisor {
        // It hears of the wish to stop before its program dies, and so records an end on request.
        supervisor.signal(if place.has_begun()? { Signal::TERM } else { Signal::KILL });
    }
    tree.kill(KILL_PATIENCE);
    if let Some((supervisor, handle)) = supervisor.and_then(|it| Some((it, it.open()?))) {
        let patience = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };
        let ended = rustix::event::poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&patience));
        if !matches!(ended, Ok(1)) {
            supervisor.signal(Signal::KILL);
        }
    }
    cgroup::clear(&place);
    // Once more: until the supervisor was gone, it could still have been starting its program.
    all_gone(dir, tree.kill(KILL_PATIENCE))
}

/// For boot: ends every attempt under `attempts_dir` that is alive though nobody knows it. `live` names the
/// directories to leave alone. Answers the names of those that were ended. A missing `attempts_dir` is empty.
///
/// # Errors
/// The first directory that could not be read or ended; the ones after it have been tried all the same.
pub async fn sweep_orphans(attempts_dir: &Path, live: &BTreeSet<String>) -> Result<Vec<String>, Error> {
    let names = match list(attempts_dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io_error("list the attempts", attempts_dir)(error)),
    };
    let (mut ended, mut first_error) = (Vec::new(), None);
    for name in names.into_iter().filter(|name| !live.contains(name)) {
        match sweep_one(&attempts_dir.join(&name)).await {
            Ok(true) => ended.push(name),
            Ok(false) => {}
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    first_error.map_or(Ok(ended), Err)
}

fn list(attempts_dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(attempts_dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            // Names are attempt ids, which the engine made; anything else is not an attempt.
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort_unstable();
    Ok(names)
}

async fn sweep_one(dir: &Path) -> Result<bool, Error> {
    let was_alive = match glance(dir)? {
        Found::Waiting(_) | Found::Running(_) => true,
        Found::Lost { .. } => tree_of(&AttemptDir::new(dir)).is_some_and(|tree| !tree.members().is_empty()),
        Found::Ended(_) | Found::NeverRan => false,
    };
    if was_alive {
        stop(dir).await?;
    }
    // Its supervisor may have died between the last process's end and its own.
    cgroup::clear(&AttemptDir::new(dir));
    Ok(was_alive)
}
