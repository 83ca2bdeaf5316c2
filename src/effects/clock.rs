//! The only reader of clocks.
use crate::model::Time;
use chrono::{DurationRound, TimeDelta, Utc};
use std::time::Instant;

/// The wall clock, in UTC, to the millisecond.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
pub fn now() -> Time {
    let now = Utc::now();
    now.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(now)
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
pub fn monotonic() -> Instant {
    Instant::now()
}
