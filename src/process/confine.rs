//! A new process confines itself as the specification says, tells the supervisor what came of it, and becomes the program.
//!
//! It does so between its fork and its exec. Inside bubblewrap, which is a program of its own, p0 is started once more for
//! it: `p0 __confine DIR`, in the program's place, with a socket to the supervisor as stdin.

use super::{
    files::AttemptDir,
    spec::{AgentSpec, MARK},
    supervisor::explain,
};
use crate::sandbox::{self, Applied, Confine, Entered};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    net::{
        RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
        SendFlags,
    },
};
use serde::{Deserialize, Serialize};
use std::{
    fs::File,
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::process::CommandExt,
    },
    path::Path,
    process::Command,
    time::Duration,
};

/// How long a program may take from its start to its confinement.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest word between the two.
const WORD_BYTES: usize = 64 * 1024;
/// This process failed; the supervisor has been told why.
const FAILED: i32 = 71;

/// What the supervisor is told. Silence after `Entered` means that the program runs.
#[derive(Debug, Serialize, Deserialize)]
enum Word {
    /// The limits are in force.
    Entered(Applied),
    /// Nothing runs.
    Failed(String),
}

/// Confines this process and becomes the program of the attempt in `dir`. Comes back only when that failed.
pub fn confine_main(dir: &Path) -> i32 {
    let place = AttemptDir::new(dir);
    // The socket must not reach the program: its number is the program's stdin.
    let Ok(wire) = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3) else { return FAILED };
    let Err(why) = become_program(&place, &wire);
    let _ = tell(&wire, &Word::Failed(why), None);
    FAILED
}

/// Has the process that `command` starts confine itself between its fork and its exec, and tell the supervisor what came
/// of it: without a second start of p0, which would cost more than all the rest.
#[expect(unsafe_code, reason = "std lets code run between fork and exec only so")]
pub(super) fn before_exec(command: &mut Command, confine: &Confine, path: &str, wire: OwnedFd) {
    let (confine, path) = (confine.clone(), path.to_owned());
    let confined = move || {
        confine_and_tell(&confine, &path, &wire).map_err(|why| {
            // Where nobody hears, nothing runs all the same.
            let _ = tell(&wire, &Word::Failed(why), None);
            io::Error::from(io::ErrorKind::Other)
        })
    };
    // SAFETY: the supervisor has one thread until its program runs, so no other one can hold a lock that the new process
    // would wait for: it may do between fork and exec whatever the supervisor may.
    unsafe {
        command.pre_exec(confined);
    }
}

/// Why a process that was to confine itself did not, once it has ended; `None` = it did, and something else went wrong.
pub(super) fn refusal(wire: &OwnedFd) -> Option<String> {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let said = matches!(rustix::event::poll(&mut [PollFd::new(wire, PollFlags::IN)], Some(&now)), Ok(1));
    match said.then(|| next_word(wire)) {
        Some(Ok(Some((Word::Failed(why), _)))) => Some(why),
        Some(_) | None => None,
    }
}

fn confine_and_tell(confine: &Confine, path: &str, wire: &OwnedFd) -> Result<(), String> {
    let Entered { applied, listener } = sandbox::enter(confine, path)?;
    tell(wire, &Word::Entered(applied), listener.as_ref().map(AsFd::as_fd))
        .map_err(|error| format!("the supervisor does not hear: {error}"))
}

fn become_program(place: &AttemptDir, wire: &OwnedFd) -> Result<std::convert::Infallible, String> {
    let spec = place.read_spec().map_err(|error| error.to_string())?;
    let confine = spec.confine.as_ref().ok_or("the specification confines nothing")?;
    let stdin = File::open(place.stdin()).map_err(|error| format!("the input file cannot be opened: {error}"))?;
    rustix::stdio::dup2_stdin(&stdin).map_err(|errno| format!("the input file cannot be taken: {errno}"))?;
    confine_and_tell(confine, path_of(&spec), wire)?;
    let (program, arguments) = spec.argv.split_first().ok_or("the command is empty; name a program")?;
    #[expect(clippy::disallowed_methods, reason = "this process becomes the program of its attempt")]
    let mut command = Command::new(program);
    let error = command.args(arguments).env_clear().envs(&spec.env).env(MARK, &spec.nonce).exec();
    Err(explain(program, &error))
}

/// The folders in which this program is looked for.
pub(super) fn path_of(spec: &AgentSpec) -> &str {
    spec.env.get("PATH").map_or("", String::as_str)
}

fn tell(wire: &OwnedFd, word: &Word, listener: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let bytes = serde_json::to_vec(word)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut passed = SendAncillaryBuffer::new(&mut space);
    let handles = listener.as_slice();
    if !handles.is_empty() {
        passed.push(SendAncillaryMessage::ScmRights(handles));
    }
    rustix::net::sendmsg(wire, &[IoSlice::new(&bytes)], &mut passed, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The supervisor's side: what was applied, and the listener's descriptor; in words why nothing runs.
pub(super) fn hear(wire: &OwnedFd) -> Result<(Applied, Option<OwnedFd>), String> {
    match next_word(wire)? {
        Some((Word::Entered(applied), listener)) => Ok((applied, listener)),
        Some((Word::Failed(why), _)) => Err(why),
        None => Err("the program ended before it was confined".to_owned()),
    }
}

/// Waits until the confined process has become the program; in words why it could not.
pub(super) fn hear_start(wire: &OwnedFd) -> Result<(), String> {
    match next_word(wire)? {
        None => Ok(()),
        Some((Word::Failed(why), _)) => Err(why),
        Some((Word::Entered(_), _)) => Err("the program was confined twice".to_owned()),
    }
}

/// The next word; `None` = the other side has closed.
fn next_word(wire: &OwnedFd) -> Result<Option<(Word, Option<OwnedFd>)>, String> {
    let said = |errno: rustix::io::Errno| format!("the confinement cannot be heard: {errno}");
    let limit = Timespec { tv_sec: i64::try_from(PATIENCE.as_secs()).unwrap_or_default(), tv_nsec: 0 };
    loop {
        match rustix::event::poll(&mut [PollFd::new(wire, PollFlags::IN)], Some(&limit)) {
            Ok(0) => return Err(format!("the program was not confined within {} s", PATIENCE.as_secs())),
            Ok(_) => break,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(said(errno)),
        }
    }
    let mut bytes = vec![0; WORD_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut passed = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::net::recvmsg(wire, &mut [IoSliceMut::new(&mut bytes)], &mut passed, RecvFlags::CMSG_CLOEXEC);
    let got = match got {
        Ok(got) => got,
        // Its end is how a process that died says so.
        Err(rustix::io::Errno::CONNRESET) => return Ok(None),
        Err(errno) => return Err(said(errno)),
    };
    if got.bytes == 0 {
        return Ok(None);
    }
    if got.flags.contains(ReturnFlags::TRUNC) {
        return Err("the confinement said too much".to_owned());
    }
    let listener = passed.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut handles) => handles.next(),
        _ => None,
    });
    let word = serde_json::from_slice(bytes.get(..got.bytes).unwrap_or_default());
    Ok(Some((word.map_err(|error| format!("the confinement cannot be understood: {error}"))?, listener)))
}
