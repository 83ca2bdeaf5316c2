//! Dates that jump: the machine's date was set, the machine was suspended, or the date is behind what the log says
//! already. Nothing waits for a date, so no jump stops anything; each is told, and is on record.
use crate::{
    model::{Time, command::Action, event::ClockStep},
    system::clock,
};
use chrono::Datelike;
use std::time::Duration;

/// Smaller differences are the usual corrections of a date.
const LEAST: Duration = Duration::from_secs(2);
/// Dates are corrected by so much at the most without a jump: one part of so many of the time that passes.
const SLEW: u32 = 1000;
/// Years that a date is believed to be in.
const YEARS: std::ops::Range<i32> = 2025..2080;

/// All clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    date: Time,
    boot: Duration,
    awake: Duration,
}

impl Reading {
    /// Reads them.
    pub(super) fn now() -> Reading {
        Reading { date: clock::now(), boot: clock::boottime(), awake: clock::monotonic_since_boot() }
    }
}

/// Compares each reading with the one before.
#[derive(Debug)]
pub(super) struct ClockWatch {
    last: Reading,
}

impl ClockWatch {
    /// Begins with this reading.
    pub(super) fn new(last: Reading) -> ClockWatch {
        ClockWatch { last }
    }

    /// What happened to the clocks since the last reading, if something did.
    pub(super) fn look(&mut self, now: Reading) -> Option<ClockStep> {
        let last = std::mem::replace(&mut self.last, now);
        let passed = now.boot.saturating_sub(last.boot);
        let asleep = passed.saturating_sub(now.awake.saturating_sub(last.awake));
        let by_ms = (now.date - last.date).num_milliseconds().saturating_sub(ms(passed));
        let set = by_ms.unsigned_abs() > millis(LEAST + passed / SLEW);
        let slept = asleep >= LEAST;
        (set || slept).then(|| ClockStep {
            by_ms: if set { by_ms } else { 0 },
            asleep_ms: if slept { millis(asleep) } else { 0 },
            behind_log_ms: 0,
        })
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// What is to be put on record when an engine starts: the date is behind the log's last entry. Also says so, and that
/// a date cannot be right.
pub(super) fn at_start(now: Time, last_at: Time) -> Option<Action> {
    if let Some(why) = unbelievable(now) {
        tracing::warn!("{why}");
    }
    let behind = (last_at - now).to_std().unwrap_or_default();
    if behind < LEAST {
        return None;
    }
    let step = ClockStep { behind_log_ms: millis(behind), ..ClockStep::default() };
    tell(&step);
    Some(Action::NoteClock { step })
}

/// Says it where the process says its troubles.
pub(super) fn tell(step: &ClockStep) {
    tracing::warn!("{step}");
}

/// Why a date cannot be right, in a sentence.
pub fn unbelievable(now: Time) -> Option<String> {
    (!YEARS.contains(&now.year())).then(|| {
        format!(
            "the date of this machine is {}, which cannot be right: set it (`date`, NTP). Limits and deadlines are not \
             affected; what is written down has this date",
            now.format("%Y-%m-%d %H:%M UTC")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_samples::at;

    const HOUR: u64 = 3600;

    /// Clocks `s` seconds after the first reading, of which the machine slept some, with a date that was set by some.
    fn reading(s: u64, asleep: u64, set: i64) -> Reading {
        let boot = Duration::from_secs(1000 + s);
        Reading { date: at(i64::try_from(s).unwrap() + set), boot, awake: boot - Duration::from_secs(asleep) }
    }

    fn look(to: Reading) -> Option<(i64, u64)> {
        let step = ClockWatch::new(reading(0, 0, 0)).look(to)?;
        Some((step.by_ms / 1000, step.asleep_ms / 1000))
    }

    #[test]
    fn jumps_of_the_date_and_suspends_are_told_apart() {
        assert_eq!(look(reading(5, 0, 0)), None);
        assert_eq!(look(reading(5, 0, 3600)), Some((3600, 0)), "set forward");
        assert_eq!(look(reading(5, 0, -7200)), Some((-7200, 0)), "set back");
        assert_eq!(look(reading(8 * HOUR, 7 * HOUR, 0)), Some((0, 7 * HOUR)), "suspended");
        assert_eq!(look(reading(8 * HOUR, 7 * HOUR, -60)), Some((-60, 7 * HOUR)), "both");
    }

    #[test]
    fn a_date_that_is_corrected_little_by_little_is_no_jump() {
        assert_eq!(look(reading(5, 0, 1)), None);
        assert_eq!(look(reading(24 * HOUR, 0, 43)), None, "500 parts of a million in a day");
        assert_eq!(look(reading(60, 0, 43)), Some((43, 0)));
    }

    #[test]
    fn a_jump_is_told_once() {
        let mut watch = ClockWatch::new(reading(0, 0, 0));
        assert!(watch.look(reading(5, 0, 3600)).is_some());
        assert!(watch.look(reading(6, 0, 3600)).is_none());
        assert!(watch.look(reading(7, 0, 0)).is_some(), "and the way back, too");
    }

    #[test]
    fn a_start_says_when_the_date_is_behind_the_log() {
        assert_eq!(at_start(at(10), at(10)), None);
        assert_eq!(at_start(at(10), at(11)), None);
        let Some(Action::NoteClock { step }) = at_start(at(10), at(3610)) else { panic!("nothing is told") };
        assert_eq!(step.behind_log_ms, 3_600_000);
        // An empty log has its beginning in 1970.
        assert_eq!(at_start(at(10), Time::UNIX_EPOCH), None);
    }

    #[test]
    fn dates_that_cannot_be_right_are_said_so() {
        let day = |text: &str| unbelievable(text.parse().unwrap());
        assert_eq!(day("2026-11-29T00:00:00Z"), None);
        for wrong in [
            "1970-01-01T00:00:10Z",
            "2099-01-01T00:00:00Z",
            "2106-02-07T06:28:16Z",
            "2262-04-11T23:47:17Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert!(day(wrong).unwrap().contains(&wrong[..10]), "{wrong}");
        }
    }
}
