//! The only reader of clocks.
//!
//! | clock | what it counts | used for |
//! | --- | --- | --- |
//! | [`now`] | the date; it may be set, forward and back | what is written down, what people read |
//! | [`monotonic`] | time while the machine is awake | how long something takes, patience |
//! | [`boottime`] | the same, and the time the machine is suspended | limits of others, which go on meanwhile |
use super::wake::when_readable;
use crate::model::Time;
use chrono::DateTime;
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime, timerfd_create,
    timerfd_settime,
};
use std::{
    fs, io,
    os::fd::OwnedFd,
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// The last moment that is written down, in milliseconds since 1970: the end of the year 2261. Nanoseconds of later ones
/// do not fit 64 bits, which is how the log keeps them.
const LAST_MS: i64 = 9_214_646_399_999;

/// A file with the milliseconds that are added to the date; only tests of wrong clocks name one.
static SHIFT: OnceLock<PathBuf> = OnceLock::new();

/// Adds the milliseconds that `file` holds to every date that [`now`] gives from here on, as if the date of the machine
/// had been set; the file may change at any time. For tests.
pub fn shift_by(file: PathBuf) {
    // A second call changes nothing: a process has one such file.
    let _ = SHIFT.set(file);
}

/// The date, in UTC, to the millisecond, from 1970 to 2261 whatever the machine says.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let ms = i64::try_from(since.as_millis()).unwrap_or(LAST_MS);
    date(ms.saturating_add(SHIFT.get().map_or(0, shift)))
}

fn shift(file: &PathBuf) -> i64 {
    fs::read_to_string(file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or_default()
}

fn date(ms: i64) -> Time {
    DateTime::from_timestamp_millis(ms.clamp(0, LAST_MS)).unwrap_or_default()
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}

/// The monotonic clock as a number that all processes of this boot share.
pub fn monotonic_since_boot() -> Duration {
    duration(clock_gettime(ClockId::Monotonic))
}

/// Since this boot, the time that the machine was suspended included.
pub fn boottime() -> Duration {
    duration(clock_gettime(ClockId::Boottime))
}

fn duration(time: Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), u32::try_from(time.tv_nsec).unwrap_or_default())
}

/// Sleeps for so long by [`boottime`]: it ends as soon as the machine is awake again when its end was in a suspend.
pub async fn sleep_through(time: Duration) {
    if time.is_zero() {
        return;
    }
    match alarm(time).and_then(when_readable) {
        Ok(alarm) => drop(alarm.readable().await),
        // Out of file descriptors: a sleep that leaves suspends out is better than none.
        Err(error) => {
            tracing::debug!("no timer by the boot clock: {error}");
            tokio::time::sleep(time).await;
        }
    }
}

fn alarm(time: Duration) -> io::Result<OwnedFd> {
    let alarm = timerfd_create(TimerfdClockId::Boottime, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let value =
        Timespec { tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() };
    let once = Itimerspec { it_interval: Timespec { tv_sec: 0, tv_nsec: 0 }, it_value: value };
    timerfd_settime(&alarm, TimerfdTimerFlags::empty(), &once)?;
    Ok(alarm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Datelike;

    #[test]
    fn a_date_is_one_whatever_the_machine_says() {
        assert_eq!(date(i64::MIN).timestamp_millis(), 0, "before 1970");
        assert_eq!(date(i64::MAX).year(), 2261);
        let last = date(LAST_MS);
        assert!(last.timestamp_nanos_opt().is_some());
        assert_eq!((last + chrono::TimeDelta::milliseconds(1)).year(), 2262);
        // Deadlines may be later.
        for later in [last, last + chrono::TimeDelta::days(7), last + chrono::TimeDelta::days(36_500 * 100)] {
            let text = serde_json::to_string(&later).unwrap();
            assert_eq!(serde_json::from_str::<Time>(&text).unwrap(), later, "{text}");
        }
    }

    #[test]
    fn the_boot_clock_is_never_behind_the_monotonic_one() {
        let before = monotonic_since_boot();
        let boot = boottime();
        assert!(boot >= before && monotonic_since_boot() >= before, "{before:?} {boot:?}");
    }

    #[tokio::test]
    async fn an_alarm_rings_once_its_time_is_over() {
        let began = boottime();
        sleep_through(Duration::from_millis(2)).await;
        assert!(boottime() - began >= Duration::from_millis(2));
        sleep_through(Duration::ZERO).await;
    }
}
