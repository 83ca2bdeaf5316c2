//! Signals to this process, as wishes.
//!
//! | signal | `p0 run` | `p0d` |
//! | --- | --- | --- |
//! | INT, TERM | stop; another one later: at once | the same |
//! | HUP | stop, unless it was ignored at the start (`nohup`) | reload |
//! | QUIT | stop at once, unless it was ignored at the start | the same |
//! | USR1, USR2 | report | report |
//! | CONT | draw anew | nothing |
//! | XFSZ | the write that was too long for a limit fails instead | the same |
//!
//! Signals that arrive together are one: a terminal, a supervisor and `timeout` may all send one for a single wish.
//! TSTP, TTIN and TTOU stop this process and nothing else: supervisors have sessions of their own. PIPE is ignored from
//! the start, and its default again in programs that are started. So is every other one: what is caught here, and not
//! ignored, is not inherited.
use crate::{service::problem::Problem, system::clock};
use rustix::process::Signal as Number;
use std::time::{Duration, Instant};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Wishes to stop that are not further apart are one.
const TOGETHER: Duration = Duration::from_secs(1);

/// What somebody wants of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// To stop; once more = at once.
    Stop,
    /// To read the configuration anew.
    Reload,
    /// To say how things stand.
    Report,
    /// To go on after it was stopped by the terminal: what was drawn is not there any more.
    GoOn,
}

/// What the end of the terminal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HangUp {
    Stops,
    Reloads,
    Nothing,
}

/// The signals that ask something of this process.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hang_up: Signal,
    quit: Signal,
    user: [Signal; 2],
    go_on: Signal,
    on_hang_up: HangUp,
    heeds_quit: bool,
    stops: Stops,
}

impl Signals {
    /// From now on they no longer end the process by themselves. Those that were ignored when the process began stay
    /// so, apart from INT: shells start what runs in the background without it, and whoever sends it means it.
    pub(crate) fn catch() -> Result<Signals, Problem> {
        let on_hang_up = if is_ignored(Number::HUP) { HangUp::Nothing } else { HangUp::Stops };
        Signals::catch_all(on_hang_up)
    }

    /// [`Signals::catch`] for a daemon, which the end of a terminal does not end.
    pub(crate) fn catch_as_daemon() -> Result<Signals, Problem> {
        Signals::catch_all(HangUp::Reloads)
    }

    fn catch_all(on_hang_up: HangUp) -> Result<Signals, Problem> {
        let heeds_quit = !is_ignored(Number::QUIT);
        let catch = |kind| signal(kind).map_err(|e| Problem::general(&e));
        Ok(Signals {
            interrupt: catch(SignalKind::interrupt())?,
            terminate: catch(SignalKind::terminate())?,
            hang_up: catch(SignalKind::hangup())?,
            quit: catch(SignalKind::quit())?,
            user: [catch(SignalKind::user_defined1())?, catch(SignalKind::user_defined2())?],
            go_on: catch(SignalKind::from_raw(Number::CONT.as_raw()))?,
            on_hang_up,
            heeds_quit,
            stops: Stops::default(),
        })
    }

    /// Waits for the next wish to stop.
    pub(crate) async fn next(&mut self) {
        while self.wish().await != Wish::Stop {}
    }

    /// Waits for the next wish.
    pub(crate) async fn wish(&mut self) -> Wish {
        loop {
            if self.stops.is_owed() {
                return Wish::Stop;
            }
            let [first, second] = &mut self.user;
            let number = tokio::select! {
                _ = self.interrupt.recv() => Number::INT,
                _ = self.terminate.recv() => Number::TERM,
                _ = self.hang_up.recv() => Number::HUP,
                _ = self.quit.recv() => Number::QUIT,
                _ = first.recv() => Number::USR1,
                _ = second.recv() => Number::USR2,
                _ = self.go_on.recv() => Number::CONT,
            };
            if let Some(wish) = self.meaning(number) {
                return wish;
            }
        }
    }

    fn meaning(&mut self, number: Number) -> Option<Wish> {
        match number {
            Number::USR1 | Number::USR2 => Some(Wish::Report),
            Number::CONT => Some(Wish::GoOn),
            Number::HUP if self.on_hang_up == HangUp::Reloads => Some(Wish::Reload),
            Number::HUP if self.on_hang_up == HangUp::Nothing => None,
            Number::QUIT if self.heeds_quit => {
                self.stops.at_once();
                Some(Wish::Stop)
            }
            Number::QUIT => None,
            _ => self.stops.is_new(clock::monotonic()).then_some(Wish::Stop),
        }
    }
}

/// Wishes to stop, those that belong together as one.
#[derive(Debug, Default)]
struct Stops {
    last: Option<Instant>,
    owed: bool,
}

impl Stops {
    /// Whether a signal at this moment is a wish of its own.
    fn is_new(&mut self, now: Instant) -> bool {
        let is_new = self.last.is_none_or(|last| now.saturating_duration_since(last) >= TOGETHER);
        if is_new {
            self.last = Some(now);
        }
        is_new
    }

    /// Counts as two wishes, whatever came before.
    fn at_once(&mut self) {
        self.owed = true;
    }

    fn is_owed(&mut self) -> bool {
        std::mem::take(&mut self.owed)
    }
}

/// Has a write beyond a limit on the size of files (`ulimit -f`) fail, as one on a full disk does, instead of ending this
/// process. To be called within the runtime.
pub(crate) fn survive_file_limit() {
    if let Err(e) = signal(SignalKind::from_raw(Number::XFSZ.as_raw())) {
        tracing::debug!("SIGXFSZ cannot be caught: {e}");
    }
}

/// Whether whoever started this process had it ignore a signal.
fn is_ignored(number: Number) -> bool {
    std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores(&status, number))
}

fn ignores(status: &str, number: Number) -> bool {
    let mask = status.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("SigIgn:")?.trim(), 16).ok());
    let bit = u32::try_from(number.as_raw() - 1).unwrap_or(u32::MAX);
    mask.is_some_and(|mask| mask.checked_shr(bit).unwrap_or_default() & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wishes_to_stop_that_arrive_together_are_one() {
        let (start, ms) = (clock::monotonic(), Duration::from_millis);
        let heard = |times: &[u64]| {
            let mut stops = Stops::default();
            times.iter().filter(|at| stops.is_new(start + ms(**at))).copied().collect::<Vec<_>>()
        };
        assert_eq!(heard(&[0, 0, 1, 999]), [0], "a process group and its supervisor");
        assert_eq!(heard(&[0, 1000]), [0, 1000], "meant");
        assert_eq!(heard(&[0, 30, 60, 990, 1020, 1050]), [0, 1020], "a key that is held down");
        assert_eq!(heard(&[5000, 0]), [5000], "no clock goes back, and if it did");
    }

    #[test]
    fn quit_is_a_wish_to_stop_at_once() {
        let mut stops = Stops::default();
        assert!(!stops.is_owed());
        assert!(stops.is_new(clock::monotonic()));
        stops.at_once();
        assert!(stops.is_owed() && !stops.is_owed());
    }

    #[test]
    fn what_is_ignored_is_read_from_the_mask() {
        let status = "Name:\tp0\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        assert!(ignores(status, Number::HUP) && ignores(status, Number::PIPE));
        assert!(!ignores(status, Number::QUIT) && !ignores(status, Number::TERM));
        assert!(!ignores("Name:\tp0\n", Number::HUP));
        assert!(is_ignored(Number::PIPE), "Rust's programs ignore it");
    }

    #[tokio::test]
    async fn each_signal_has_its_meaning() {
        let mut signals = Signals::catch_all(HangUp::Stops).unwrap();
        signals.heeds_quit = true;
        assert_eq!(signals.meaning(Number::TERM), Some(Wish::Stop));
        assert_eq!(signals.meaning(Number::TERM), None, "together with the first");
        assert_eq!(signals.meaning(Number::HUP), None);
        assert_eq!(signals.meaning(Number::QUIT), Some(Wish::Stop));
        assert_eq!(signals.wish().await, Wish::Stop, "and once more");
        assert_eq!(signals.meaning(Number::USR1), Some(Wish::Report));
        assert_eq!(signals.meaning(Number::CONT), Some(Wish::GoOn));
        signals.on_hang_up = HangUp::Reloads;
        assert_eq!(signals.meaning(Number::HUP), Some(Wish::Reload));
        (signals.on_hang_up, signals.stops) = (HangUp::Nothing, Stops::default());
        assert_eq!(signals.meaning(Number::HUP), None, "started by nohup");
    }
}
