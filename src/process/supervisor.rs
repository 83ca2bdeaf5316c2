//! The supervisor before its program runs: `p0 __agent DIR`. A small process without a runtime; what it does beside
//! the running program is in `watch`.

use super::{
    cgroup::Cgroup,
    confine::{self, path_of},
    error::{Error, io_error},
    files::{AttemptDir, create_private},
    linux::{Member, Stat, Tree, boot_id, now, own_pid},
    pump::{Buffer, Pump},
    signals::SignalPipe,
    spec::{AgentSpec, ExitRecord, MARK, Ready},
    watch::{Confined, Running, Watch},
};
use crate::{
    sandbox::{self, Confine, Listener},
    system::shortage::Shortage,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    fs::FlockOperation,
    net::{AddressFamily, SocketFlags, SocketType},
};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::{fd::OwnedFd, unix::process::CommandExt},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What the engine says when the specification is in place.
pub(super) const SPEC_WORD: &[u8] = b"spec\n";
/// What the engine hears once `ready.json` is in place.
pub(super) const READY_WORD: &[u8] = b"ready\n";
/// What the engine hears instead when there is no disk space for what the supervisor writes. It is not longer than
/// [`READY_WORD`], and the supervisor's end follows it.
pub(super) const NO_SPACE_WORD: &[u8] = b"full\n";
/// What the engine says when the program may run.
pub(super) const GO_WORD: &[u8] = b"go\n";
/// How long an earlier supervisor of the same directory may take to leave.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);

/// Supervises the program of the attempt in `dir`, from before its start until nothing of it is alive. To be called
/// first thing in `main`, before any thread or runtime exists. Answers the exit code of this process.
pub fn supervisor_main(dir: &Path) -> i32 {
    match catch_unwind(AssertUnwindSafe(|| supervise(dir))) {
        Ok(Ok(())) => 0,
        Ok(Err(error)) => {
            let _ = writeln!(io::stderr(), "{error}");
            if error.shortage() == Some(Shortage::Disk) {
                // Also where the log that stderr leads to has no space. Only an engine that waits for the start hears it.
                let _ = rustix::io::write(rustix::stdio::stdout(), NO_SPACE_WORD);
            }
            1
        }
        Err(_) => {
            // An invariant broke. No record, so the attempt counts as lost, but nothing of it stays alive.
            let nonce = AttemptDir::new(dir).read_spec().map(|spec| spec.nonce).unwrap_or_default();
            Tree::new(own_member(), &nonce).kill(Duration::from_secs(5));
            70
        }
    }
}

fn supervise(dir: &Path) -> Result<(), Error> {
    let place = AttemptDir::new(dir);
    let signals = SignalPipe::install().map_err(io_error("catch signals for", dir))?;
    // Fails only for a group leader, that is when a person starts it from a shell.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(io_error("become the reaper of the processes of", dir))?;
    let Some(_lock) = take_lock(&place)? else { return Ok(()) };
    let hear = |word| hear(&signals, word).map_err(io_error("listen to the engine of", dir));
    if !hear(SPEC_WORD)? {
        return Ok(());
    }
    let spec = place.read_spec()?;
    announce(&place, &spec)?;
    // While the engine puts on record that we are here.
    let slot = place.reserve_exit()?;
    let mark = place.place_mark()?;
    if !hear(GO_WORD)? {
        return Ok(());
    }
    mark.set()?;
    let record = match start(&place, &spec) {
        Ok(running) => {
            let listener = running.confined.as_ref().and_then(|it| it.listener.clone());
            let record = Watch::new(&place, &spec, &signals, running).run();
            if let Some(listener) = listener {
                keep_tries(&place, &listener);
            }
            record
        }
        Err(NotStarted { why, no_space }) => ExitRecord::not_started(why, no_space),
    };
    slot.write(&record)
}

/// Writes down what the program tried and was not let. What cannot be written is missing in the record; the end of
/// the program is not.
fn keep_tries(place: &AttemptDir, listener: &Listener) {
    let written = create_private(&place.denied())
        .and_then(|file| listener.tries().write(&file).map_err(io_error("write down what was tried", &place.denied())));
    if let Err(error) = written {
        let _ = writeln!(io::stderr(), "{error}");
    }
}

/// Takes the directory for this process. `None` = the engine that started us is gone already.
fn take_lock(place: &AttemptDir) -> Result<Option<File>, Error> {
    let path = place.lock();
    let file = create_private(&path)?;
    let since = now();
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) if since.elapsed() < LOCK_PATIENCE => {}
            Err(errno) => return Err(io_error("take the lock, is another supervisor alive here?", &path)(errno)),
        }
        let mut fds = [PollFd::from_borrowed_fd(rustix::stdio::stdin(), PollFlags::HUP)];
        let pause = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
        if matches!(rustix::event::poll(&mut fds, Some(&pause)), Ok(1)) && fds[0].revents().contains(PollFlags::HUP) {
            return Ok(None);
        }
    }
}

/// Says who we are: in `ready.json` for whoever looks later, and on stdout for the engine that waits.
fn announce(place: &AttemptDir, spec: &AgentSpec) -> Result<(), Error> {
    let (Some(me), Some(boot_id)) = (own_member(), boot_id()) else {
        return Err(io_error("learn this process's identity, is /proc mounted?", place.path())(io::Error::other(
            "no answer from /proc",
        )));
    };
    let nonce = spec.nonce.clone();
    place.write_ready(&Ready { pid: me.pid, start_ticks: me.start_ticks, boot_id, nonce })?;
    // An engine that died meanwhile shows as the end of stdin; nobody else needs this word.
    let _ = rustix::io::write(rustix::stdio::stdout(), READY_WORD);
    Ok(())
}

/// Waits for a word of the engine. False = it will not come: the engine is gone, or somebody asked us to stop.
fn hear(signals: &SignalPipe, word: &[u8]) -> io::Result<bool> {
    let mut heard = Vec::new();
    while heard.len() < word.len() {
        let stdin = rustix::stdio::stdin();
        let mut fds = [PollFd::new(signals, PollFlags::IN), PollFd::from_borrowed_fd(stdin, PollFlags::IN)];
        match rustix::event::poll(&mut fds, None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let spoken = !fds[1].revents().is_empty();
        signals.close();
        if signals.stop_wanted() {
            return Ok(false);
        }
        if spoken {
            // No further than this word: the next one may be there already.
            let mut rest = vec![0; word.len() - heard.len()];
            match rustix::io::read(stdin, &mut rest) {
                Ok(0) => return Ok(false),
                Ok(count) => heard.extend_from_slice(rest.get(..count).expect("read answers at most the length")),
                Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
    Ok(heard == word)
}

/// Why the program could not be started, as it is recorded.
struct NotStarted {
    /// A sentence for a person.
    why: String,
    /// Whether there was no disk space for its output.
    no_space: bool,
}

impl From<String> for NotStarted {
    fn from(why: String) -> Self {
        Self { why, no_space: false }
    }
}

impl From<Error> for NotStarted {
    fn from(error: Error) -> Self {
        Self { why: error.to_string(), no_space: error.shortage() == Some(Shortage::Disk) }
    }
}

/// Starts the program.
fn start(place: &AttemptDir, spec: &AgentSpec) -> Result<Running, NotStarted> {
    if spec.argv.is_empty() {
        return Err("the command is empty; name a program".to_owned().into());
    }
    if !spec.cwd.is_dir() {
        return Err(format!("the working directory {} is not there", spec.cwd.display()).into());
    }
    let said = |what: &'static str| move |error: io::Error| format!("{what}: {error}");
    let (out_reader, out_writer) = io::pipe().map_err(said("no pipe for stdout"))?;
    let (err_reader, err_writer) = io::pipe().map_err(said("no pipe for stderr"))?;
    let out_file = create_private(&place.stdout())?;
    let err_file = create_private(&place.stderr())?;
    let mut out = Pump::new(out_reader, out_file, spec.stdout_limit).map_err(said("the pipe of stdout"))?;
    if spec.keeps_messages {
        out = out.keeping_messages();
    }
    let mut err = Pump::new(err_reader, err_file, spec.stderr_limit).map_err(said("the pipe of stderr"))?;

    let (mut command, wire) = command(place, spec)?;
    command.stdout(Stdio::from(out_writer)).stderr(Stdio::from(err_writer));
    let cgroup = Cgroup::enter(place, &spec.nonce);
    let spawned = command.spawn();
    let cgroup = cgroup.filter(Cgroup::leave);
    let child = spawned.map_err(|error| {
        cgroup.iter().for_each(Cgroup::remove);
        let refused = wire.as_ref().and_then(confine::refusal);
        refused.unwrap_or_else(|| explain(&command.get_program().to_string_lossy(), &error))
    })?;
    let pid = i32::try_from(child.id()).expect("a Linux pid fits 22 bits");
    // `command` holds our copies of the write ends; dropping it leaves only the program's.
    drop(command);
    let (started, started_at_ms) = (now(), wall_clock_ms());
    let confined = match (wire, &spec.confine) {
        (Some(wire), Some(confine)) => {
            let heard = hear_confined(&wire, confine, spec);
            if heard.is_err() {
                // Nobody is in it any more, and nobody else knows its name.
                cgroup.iter().for_each(Cgroup::kill);
                cgroup.iter().for_each(Cgroup::remove);
            }
            Some(heard.map_err(|why| if confine.bubblewrap { wrapped_in(&why, &mut err, place) } else { why })?)
        }
        _ => None,
    };
    Ok(Running { pid, out, err, started, started_at_ms, confined, cgroup })
}

/// The command that becomes the program, and the wire on which a confined one says what came of it.
fn command(place: &AttemptDir, spec: &AgentSpec) -> Result<(Command, Option<OwnedFd>), String> {
    let wrapped = match &spec.confine {
        Some(confine) if confine.bubblewrap => wrapped(place, spec, confine)?,
        Some(_) | None => None,
    };
    let argv = wrapped.as_ref().unwrap_or(&spec.argv);
    let (program, arguments) = argv.split_first().ok_or("the command is empty; name a program")?;
    #[expect(clippy::disallowed_methods, reason = "the supervisor is where programs of an attempt are started")]
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(&spec.env).env(MARK, &spec.nonce);
    command.current_dir(&spec.cwd).process_group(0);
    let wire = match &spec.confine {
        None => None,
        Some(confine) => {
            let (ours, theirs) =
                rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
                    .map_err(|errno| format!("no socket to the program: {errno}"))?;
            if wrapped.is_some() {
                command.stdin(Stdio::from(theirs));
                return Ok((command, Some(ours)));
            }
            confine::before_exec(&mut command, confine, path_of(spec), theirs);
            Some(ours)
        }
    };
    let input = File::open(place.stdin()).map_err(|error| format!("the input file cannot be opened: {error}"))?;
    command.stdin(Stdio::from(input));
    Ok((command, wire))
}

/// The command that makes namespaces, in which p0 confines itself and becomes the program. `None` = bubblewrap is not
/// there, and need not be.
fn wrapped(place: &AttemptDir, spec: &AgentSpec, confine: &Confine) -> Result<Option<Vec<String>>, String> {
    // In namespaces of its own there is another `/proc`: the binary is named by where it lies.
    let own = std::fs::read_link("/proc/self/exe").map_err(|error| format!("p0 does not find itself: {error}"))?;
    let text = |path: &Path| path.display().to_string();
    let inner = vec![text(&own), "__confine".to_owned(), text(place.path())];
    match sandbox::wrap(confine, path_of(spec), &inner) {
        None if confine.required => {
            Err("the sandbox cannot be enforced: bubblewrap is asked for and `bwrap` is not on PATH".to_owned())
        }
        found => Ok(found),
    }
}

/// Why nothing runs, with the last words of bubblewrap: it ends with a line on its standard error where it may not make
/// namespaces.
fn wrapped_in(why: &str, err: &mut Pump, place: &AttemptDir) -> String {
    // What cannot be read is not said; the reason itself is.
    let _ = err.pump(&mut Buffer::new());
    let said = std::fs::read_to_string(place.stderr()).unwrap_or_default();
    match said.lines().last() {
        Some(line) => format!("{why}; bubblewrap said: {line}"),
        None => format!("{why}; it was started by bubblewrap"),
    }
}

/// What came of the confinement, once the program runs. Where it does not, everything that was started is ended.
fn hear_confined(wire: &OwnedFd, confine: &Confine, spec: &AgentSpec) -> Result<Confined, String> {
    let heard = confine::hear(wire).and_then(|(mut applied, fd)| {
        let listener = match fd.map(|fd| Listener::start(fd, confine.clone(), applied.landlock)) {
            Some(Ok(listener)) => Some(listener),
            Some(Err(error)) => return Err(format!("nobody listens to the program: {error}")),
            None if confine.required => {
                return Err(
                    "the sandbox cannot be enforced: nobody hears of calls; [sandbox] mode = \"best_effort\" accepts that"
                        .to_owned(),
                );
            }
            None => None,
        };
        applied.listener = listener.is_some();
        confine::hear_start(wire)?;
        Ok(Confined { applied, listener })
    });
    if heard.is_err() {
        Tree::new(own_member(), &spec.nonce).kill(Duration::from_secs(5));
    }
    heard
}

pub(super) fn explain(program: &str, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => {
            format!(
                "the program {program} was not found; install it, or give its full path (a script: is its interpreter there?)"
            )
        }
        io::ErrorKind::PermissionDenied => {
            format!("the program {program} may not be executed; make it executable (chmod +x)")
        }
        _ => format!("the program {program} cannot be started: {error}"),
    }
}

/// This process as others will verify it.
pub(super) fn own_member() -> Option<Member> {
    let pid = own_pid();
    Stat::of(pid).map(|stat| Member { pid, start_ticks: stat.start_ticks })
}

#[expect(
    clippy::disallowed_methods,
    reason = "the supervisor runs without the engine and its clock; the record says when"
)]
pub(super) fn wall_clock_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// Reads what a supervisor complained about before it gave up; for the engine's error messages.
pub(super) fn last_words(place: &AttemptDir) -> String {
    let mut words = String::new();
    if let Ok(file) = File::open(place.supervisor_log()) {
        let _ = file.take(2000).read_to_string(&mut words);
    }
    if words.trim().is_empty() { "it said nothing".to_owned() } else { words.trim().to_owned() }
}
