//! The supervisor beside its program: one `poll` loop that pumps output, reaps, enforces the limits, and ends the
//! whole tree. It sleeps until something happens; while a tree is being ended it looks again every few milliseconds,
//! because the death of another process's child announces itself to nobody.

use super::{
    cgroup::Cgroup,
    files::AttemptDir,
    linux::{Member, Tree, children_cpu_ms, now},
    pump::{Buffer, Pump},
    signals::SignalPipe,
    spec::{AgentSpec, Ending, ExitRecord},
    supervisor::{own_member, wall_clock_ms},
};
use crate::{
    sandbox::{Applied, Listener},
    system::shortage::Shortage,
};
use rustix::{
    event::{PollFd, PollFlags, Timespec},
    io::Errno,
    process::{Signal, WaitOptions, WaitStatus},
};
use std::{
    io,
    time::{Duration, Instant},
};

/// How often a tree that has been told to end is looked at.
const ENDING_TICK: Duration = Duration::from_millis(20);
/// The same, once it is being killed.
const KILLING_TICK: Duration = Duration::from_millis(3);
/// When to give up on processes that do not die of KILL: they hang in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(5);
/// How long what is left in the pipes is read when somebody out of reach keeps writing.
const DRAIN_PATIENCE: Duration = Duration::from_secs(1);

/// A program that has just been started.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) pid: i32,
    pub(super) out: Pump,
    pub(super) err: Pump,
    pub(super) started: Instant,
    pub(super) started_at_ms: u64,
    pub(super) confined: Option<Confined>,
    pub(super) cgroup: Option<Cgroup>,
}

/// How it is confined.
#[derive(Debug)]
pub(super) struct Confined {
    pub(super) applied: Applied,
    /// Who hears of its tries.
    pub(super) listener: Option<Listener>,
}

/// Where the program is on its way.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Running,
    /// TERM is out.
    Ending {
        kill_at: Instant,
    },
    /// KILL is out.
    Killing {
        since: Instant,
    },
    Over {
        survivors: usize,
    },
}

/// Why output is not on disk.
#[derive(Debug)]
struct WriteFailure {
    /// A sentence for a person.
    why: String,
    no_space: bool,
}

/// The loop's state.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    place: &'a AttemptDir,
    spec: &'a AgentSpec,
    signals: &'a SignalPipe,
    program: Running,
    tree: Tree,
    phase: Phase,
    /// The program's own end, once reaped.
    ended: Option<(WaitStatus, Instant)>,
    /// Nobody descends from us any more. As the reaper of all orphans we have a child while anybody does, so this is
    /// certain where a walk through `/proc` can miss a process that appears during the walk.
    childless: bool,
    /// Why we ended it, when we did.
    cause: Option<Ending>,
    last_output: Instant,
    write_failure: Option<WriteFailure>,
    /// Who has been told to end already.
    told: Vec<Member>,
    orphans: usize,
    buffer: Buffer,
}

impl<'a> Watch<'a> {
    /// Watches over `program` from now on.
    pub(super) fn new(place: &'a AttemptDir, spec: &'a AgentSpec, signals: &'a SignalPipe, program: Running) -> Self {
        Self {
            place,
            spec,
            signals,
            tree: Tree::new(own_member(), &spec.nonce),
            phase: Phase::Running,
            ended: None,
            childless: false,
            cause: None,
            last_output: program.started,
            write_failure: None,
            told: Vec::new(),
            orphans: 0,
            buffer: Buffer::new(),
            program,
        }
    }

    /// Runs until nothing of the program is alive and its output is on disk.
    pub(super) fn run(mut self) -> ExitRecord {
        let survivors = loop {
            self.reap();
            self.step();
            if let Phase::Over { survivors } = self.phase {
                break survivors;
            }
            self.sleep();
            self.pump();
        };
        self.drain();
        self.record(survivors)
    }

    /// Collects everyone who has ended: the program, and orphans that became our children.
    fn reap(&mut self) {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == self.program.pid => {
                    self.ended = Some((status, now()));
                }
                Ok(Some(_)) | Err(Errno::INTR) => {}
                answer => {
                    self.childless = answer.is_err();
                    return;
                }
            }
        }
    }

    fn step(&mut self) {
        match self.phase {
            Phase::Running if self.ended.is_some() => self.after_the_end(),
            Phase::Running => {
                if let Some(cause) = self.reason_to_end() {
                    self.cause = Some(cause);
                    self.begin_ending();
                }
            }
            Phase::Ending { kill_at } => self.go_on_ending(kill_at),
            Phase::Killing { since } => self.go_on_killing(since),
            Phase::Over { .. } => {}
        }
    }

    /// The program ended by itself: whoever it left behind is told to end as well.
    fn after_the_end(&mut self) {
        self.orphans = if self.is_deserted() { 0 } else { self.tree.members().len() };
        if self.orphans == 0 && self.childless {
            self.phase = Phase::Over { survivors: 0 };
        } else {
            self.begin_ending();
        }
    }

    /// Whether it is certain, without a walk through all processes, that nobody is left: none of ours is alive, and no
    /// process carries the filter that whoever comes from the program inherited.
    fn is_deserted(&self) -> bool {
        let listener = self.program.confined.as_ref().and_then(|it| it.listener.as_ref());
        self.childless && listener.is_some_and(Listener::is_deserted)
    }

    fn reason_to_end(&mut self) -> Option<Ending> {
        if let Some(failure) = &self.write_failure {
            return Some(Ending::Unrecordable { why: failure.why.clone() });
        }
        if self.signals.stop_wanted() {
            return Some(Ending::Stopped);
        }
        if is_past(self.wall_deadline()) {
            return Some(Ending::TimedOut { limit_ms: self.spec.wall_limit_ms });
        }
        let limit_ms = self.spec.idle_limit_ms?;
        if !is_past(self.idle_deadline()) {
            return None;
        }
        if self.place.is_asking(wall_clock_ms()) {
            // Whoever waits for a person is not idle.
            self.last_output = now();
            return None;
        }
        Some(Ending::Idle { limit_ms })
    }

    /// `None` = so far in the future that the clock cannot say it.
    fn wall_deadline(&self) -> Option<Instant> {
        self.program.started.checked_add(Duration::from_millis(self.spec.wall_limit_ms))
    }

    fn idle_deadline(&self) -> Option<Instant> {
        self.last_output.checked_add(Duration::from_millis(self.spec.idle_limit_ms?))
    }

    fn begin_ending(&mut self) {
        let time = now();
        // A grace beyond the clock's range is none at all rather than one without end.
        let kill_at = time.checked_add(Duration::from_millis(self.spec.grace_ms)).unwrap_or(time);
        self.phase = Phase::Ending { kill_at };
        self.go_on_ending(kill_at);
    }

    fn go_on_ending(&mut self, kill_at: Instant) {
        let members = self.tree.members();
        if members.is_empty() && self.childless {
            self.phase = Phase::Over { survivors: 0 };
        } else if now() >= kill_at {
            if self.cause.is_some() {
                self.orphans = members.iter().filter(|it| it.pid != self.program.pid).count();
            }
            self.phase = Phase::Killing { since: now() };
            self.go_on_killing(now());
        } else {
            for member in members {
                if !self.told.contains(&member) {
                    member.signal(Signal::TERM);
                    // A stopped process hears TERM only when it goes on.
                    member.signal(Signal::CONT);
                    self.told.push(member);
                }
            }
        }
    }

    fn go_on_killing(&mut self, since: Instant) {
        let members = self.tree.members();
        if (members.is_empty() && self.childless) || since.elapsed() >= KILL_PATIENCE {
            self.phase = Phase::Over { survivors: members.len() };
            return;
        }
        if self.ended.is_none()
            && let Some(group) = rustix::process::Pid::from_raw(self.program.pid)
        {
            // In one stroke, so that a program that forks faster than it is listed does not get away. The program is
            // not reaped, so the number cannot mean another group.
            let _ = rustix::process::kill_process_group(group, Signal::KILL);
        }
        self.program.cgroup.iter().for_each(Cgroup::kill);
        members.iter().for_each(|it| it.signal(Signal::KILL));
    }

    /// Waits for output, a signal, or the next deadline.
    fn sleep(&self) {
        let until = match self.phase {
            Phase::Running => [self.wall_deadline(), self.idle_deadline()].into_iter().flatten().min(),
            Phase::Ending { kill_at } => Some(kill_at.min(now() + ENDING_TICK)),
            Phase::Killing { .. } | Phase::Over { .. } => Some(now() + KILLING_TICK),
        };
        let timeout = until.map(|it| timespec(it.saturating_duration_since(now())));
        let mut fds = vec![PollFd::new(self.signals, PollFlags::IN)];
        for pump in [&self.program.out, &self.program.err] {
            fds.extend(pump.source().map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)));
        }
        // An interruption is a signal, and the pipe of signals has rung for it.
        let _ = rustix::event::poll(&mut fds, timeout.as_ref());
        self.signals.close();
    }

    /// Moves one chunk of each output; answers whether there was any.
    fn pump(&mut self) -> bool {
        let moved = [self.program.out.pump(&mut self.buffer), self.program.err.pump(&mut self.buffer)];
        let mut came = 0;
        for result in moved {
            match result {
                Ok(count) => came += count,
                Err(error) => self.note_failure(&error),
            }
        }
        if came > 0 {
            self.last_output = now();
        }
        came > 0
    }

    fn note_failure(&mut self, error: &io::Error) {
        self.write_failure.get_or_insert_with(|| WriteFailure {
            why: format!("the output could not be written: {error}; make room on the disk"),
            no_space: Shortage::of(error) == Some(Shortage::Disk),
        });
    }

    /// Takes what is left in the pipes without waiting for their end: somebody out of our reach may hold them open.
    fn drain(&mut self) {
        let since = now();
        while self.pump() && since.elapsed() < DRAIN_PATIENCE {}
    }

    fn record(mut self, survivors: usize) -> ExitRecord {
        for result in [self.program.out.finish(), self.program.err.finish()] {
            if let Err(error) = result {
                self.note_failure(&error);
            }
        }
        self.program.cgroup.iter().for_each(Cgroup::remove);
        let (stdout_bytes, stdout_kept) = self.program.out.counts();
        let (stderr_bytes, stderr_kept) = self.program.err.counts();
        if self.cause.is_none() {
            // Some appeared only while the tree was being ended.
            self.orphans = self.orphans.max(self.told.len());
        }
        let end = self.ended.map_or_else(now, |(_, at)| at);
        let wall = end.saturating_duration_since(self.program.started);
        ExitRecord {
            ending: self.ending(),
            no_space: self.write_failure.as_ref().is_some_and(|failure| failure.no_space),
            started_at_ms: Some(self.program.started_at_ms),
            wall_ms: u64::try_from(wall.as_millis()).unwrap_or(u64::MAX),
            cpu_ms: children_cpu_ms(),
            stdout_bytes,
            stderr_bytes,
            stdout_kept,
            stderr_kept,
            truncated: stdout_kept < stdout_bytes || stderr_kept < stderr_bytes,
            dropped_messages: self.program.out.dropped_messages(),
            orphans: u32::try_from(self.orphans).unwrap_or(u32::MAX),
            survivors: u32::try_from(survivors).unwrap_or(u32::MAX),
            confined: self.program.confined.as_ref().map(|it| it.applied.clone()),
        }
    }

    /// Whether a signal ended the program in the same moment as we were asked to end it: by whoever stops all at once.
    fn is_ended_with_us(&self) -> bool {
        let Some((status, _)) = self.ended.filter(|_| self.signals.stop_wanted()) else { return false };
        // A shell gives the signal of a program that it started as its own exit code.
        let by_shell = status.exit_status().and_then(|code| code.checked_sub(128));
        status.terminating_signal().or(by_shell).is_some_and(|signal| STOPPING.contains(&signal))
    }

    fn ending(&self) -> Ending {
        // Output that is not on disk outweighs a good exit code: an engine that reads half a plan must know it.
        if let Some(failure) = &self.write_failure {
            return Ending::Unrecordable { why: failure.why.clone() };
        }
        if let Some(cause) = &self.cause {
            return cause.clone();
        }
        if self.is_ended_with_us() {
            return Ending::Stopped;
        }
        let status = self.ended.map(|(status, _)| status);
        let signal = status.and_then(WaitStatus::terminating_signal).map(|signal| Ending::Signaled { signal });
        let code = status.and_then(WaitStatus::exit_status).map(|code| Ending::Exited { code });
        signal
            .or(code)
            .unwrap_or_else(|| Ending::Unrecordable { why: "the kernel did not say how it ended".to_owned() })
    }
}

/// Signals that end a program for whoever stops it: HUP, INT, QUIT, KILL, TERM.
const STOPPING: [i32; 5] = [1, 2, 3, 9, 15];

fn is_past(deadline: Option<Instant>) -> bool {
    deadline.is_some_and(|it| now() >= it)
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(duration.subsec_nanos()),
    }
}
