//! The engine's side of a start: write the files, start the supervisor, and give the go once the fact is durable.

use super::{
    error::{Error, io_error},
    files::{AttemptDir, create_private, remove_if_there, to_json, write_private},
    look::{Found, look, wait},
    spec::{AgentSpec, ExitRecord},
    supervisor::{GO_WORD, NO_SPACE_WORD, READY_WORD, SPEC_WORD, last_words},
};
use rustix::process::{Pid, WaitOptions};
use std::{
    collections::BTreeSet,
    io::Write,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::{ChildStdin, Command, Stdio},
    sync::{Mutex, PoisonError},
    time::Duration,
};
use tokio::{io::AsyncReadExt, net::unix::pipe::Receiver};

/// How long a supervisor may take to report itself: it reads one file and writes one, the rest is a loaded machine.
const READY_PATIENCE: Duration = Duration::from_secs(20);

/// Supervisors this process started and has not reaped yet.
static CHILDREN: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// A supervisor that waits for its go.
#[derive(Debug)]
pub struct Launched {
    /// Process id of the supervisor.
    pub pid: i32,
    /// Its start, in clock ticks since boot; with the pid it names the process for good.
    pub start_ticks: u64,
    /// The nonce of the specification it read.
    pub nonce: String,
    /// The permission to run. Dropped unused = the program never runs.
    pub go: Go,
}

/// The permission to run a program once; dropping it means the program never runs, and so does the engine's death.
#[derive(Debug)]
pub struct Go {
    pipe: ChildStdin,
    dir: PathBuf,
}

impl Go {
    /// Lets the program run. To be called when `attempt.spawned` is durable, and not before.
    ///
    /// # Errors
    /// [`Error::GoneBeforeGo`]: the supervisor is not there any more, nothing has run.
    pub fn go(mut self) -> Result<(), Error> {
        // Three bytes into an empty pipe: this never blocks.
        self.pipe.write_all(GO_WORD).map_err(|source| Error::GoneBeforeGo { dir: self.dir.clone(), source })
    }
}

/// Writes what the supervisor reads. May be repeated; a directory left by an attempt that never began is used again.
/// Files are readable by their owner only.
///
/// # Errors
/// [`Error::AlreadyBegan`] and [`Error::Occupied`] protect an earlier attempt, [`Error::BadSpec`] an unusable nonce.
pub fn prepare(dir: &Path, spec: &AgentSpec, stdin: &[u8]) -> Result<(), Error> {
    let bad = |why| Err(Error::BadSpec { dir: dir.to_path_buf(), why });
    if spec.nonce.is_empty() || spec.nonce.contains('\0') {
        return bad("the nonce must be random text without NUL: the processes of the attempt are known by it");
    }
    match look(dir)? {
        Found::NeverRan => {}
        Found::Waiting(supervisor) => return Err(Error::Occupied { dir: dir.to_path_buf(), pid: supervisor.pid }),
        Found::Running(_) | Found::Ended(_) | Found::Lost { .. } => {
            return Err(Error::AlreadyBegan { dir: dir.to_path_buf() });
        }
    }
    let place = AttemptDir::new(dir);
    place.make()?;
    for stale in [place.ready(), place.stdout(), place.stderr()] {
        remove_if_there(&stale)?;
    }
    write_private(&place.stdin(), stdin)?;
    write_private(&place.spec(), &to_json(spec))
}

/// A supervisor that was started and has not been told to read its specification. Dropped, it ends.
#[derive(Debug)]
pub struct Started {
    go: Go,
    voice: OwnedFd,
    pid: i32,
}

/// Starts the supervisor of the attempt in `dir`, which need not be prepared: becoming a process takes as long as
/// preparing does.
///
/// `exe` is the p0 binary; a daemon passes `/proc/self/exe`, which stays the running binary when the file on disk is
/// replaced by an upgrade.
///
/// # Errors
/// [`Error::Spawn`]; nothing has run then.
pub fn start(exe: &Path, dir: &Path) -> Result<Started, Error> {
    reap_children();
    // The supervisor lives in `/`, so that it holds no worktree or mount busy.
    let dir = std::path::absolute(dir).map_err(io_error("make the path absolute", dir))?;
    let place = AttemptDir::new(&dir);
    place.make()?;
    let log = create_private(&place.supervisor_log())?;

    #[expect(clippy::disallowed_methods, reason = "the one place where supervisors are started")]
    let mut command = Command::new(exe);
    command
        .arg("__agent")
        .arg(&dir)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::from(log));
    let mut child = command.spawn().map_err(|source| Error::Spawn { exe: exe.to_path_buf(), source })?;
    let pid = i32::try_from(child.id()).expect("a Linux pid fits 22 bits");
    CHILDREN.lock().unwrap_or_else(PoisonError::into_inner).insert(pid);
    let pipe = child.stdin.take().expect("stdin was asked for as a pipe");
    let voice = child.stdout.take().expect("stdout was asked for as a pipe");
    Ok(Started { go: Go { pipe, dir }, voice: voice.into(), pid })
}

impl Started {
    /// Tells the supervisor that its directory is prepared, and waits until it has reported itself. The program does not
    /// run before [`Go::go`].
    ///
    /// # Errors
    /// [`Error::NotReady`]; nothing has run then, and the attempt may be launched again.
    pub async fn launched(self) -> Result<Launched, Error> {
        // From here on an early return drops `go`, and with it the supervisor.
        let Started { mut go, voice, pid } = self;
        let (dir, place) = (go.dir.clone(), AttemptDir::new(&go.dir));
        let spec = place.read_spec()?;
        // One that has ended says why in its log.
        let told = go.pipe.write_all(SPEC_WORD).is_ok();
        let word = first_word(voice).await.map_err(io_error("hear the supervisor of", &dir))?;
        if !told || word != READY_WORD {
            return Err(Error::NotReady { said: last_words(&place), dir, no_space: word == NO_SPACE_WORD });
        }
        match place.read_ready()? {
            Some(ready) if ready.pid == pid && ready.nonce == spec.nonce => {
                Ok(Launched { pid, start_ticks: ready.start_ticks, nonce: ready.nonce, go })
            }
            _ => {
                let said = "another supervisor reported itself in its place".to_owned();
                Err(Error::NotReady { dir, said, no_space: false })
            }
        }
    }
}

/// [`start`] and [`Started::launched`] for a directory that is prepared.
///
/// # Errors
/// Those of both.
pub async fn launch(exe: &Path, dir: &Path) -> Result<Launched, Error> {
    AttemptDir::new(dir).read_spec()?;
    start(exe, dir)?.launched().await
}

/// The word that the supervisor says first; nothing when it ended without one, or took too long.
async fn first_word(voice: OwnedFd) -> std::io::Result<Vec<u8>> {
    let mut voice = Receiver::from_owned_fd(voice)?.take(READY_WORD.len() as u64);
    let mut word = Vec::new();
    match tokio::time::timeout(READY_PATIENCE, voice.read_to_end(&mut word)).await {
        Ok(Ok(_)) => Ok(word),
        Ok(Err(_)) | Err(_) => Ok(Vec::new()),
    }
}

/// Runs a program to its end: for gates, where there is nothing to record between ready and go. Dropping the future
/// after the go leaves the program running under its limits; find it with [`look`].
///
/// # Errors
/// Those of [`prepare`] and [`launch`]; [`Error::Lost`] when the supervisor died without a record.
pub async fn run_to_end(exe: &Path, dir: &Path, spec: &AgentSpec, stdin: &[u8]) -> Result<ExitRecord, Error> {
    prepare(dir, spec, stdin)?;
    launch(exe, dir).await?.go.go()?;
    match wait(dir).await? {
        Found::Ended(record) => Ok(record),
        Found::NeverRan => Err(Error::NeverRan { dir: dir.to_path_buf() }),
        Found::Lost { why } => Err(Error::Lost { dir: dir.to_path_buf(), why }),
        Found::Waiting(_) | Found::Running(_) => unreachable!("wait answers only when the supervisor has ended"),
    }
}

/// Reaps every supervisor of ours that has ended, so that none stays a zombie, whoever waited for it or did not.
pub(super) fn reap_children() {
    let mut children = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
    // An error means that it is not our child any more: reaped already.
    children.retain(|pid| {
        Pid::from_raw(*pid)
            .is_some_and(|pid| matches!(rustix::process::waitpid(Some(pid), WaitOptions::NOHANG), Ok(None)))
    });
}
