//! How long to wait before the next try: twice as long after each failure in a row, up to a limit. Pure.
use std::time::Duration;

/// Waits that double.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    most: Duration,
}

impl Backoff {
    /// From `first` on, and never longer than `most`.
    pub const fn new(first: Duration, most: Duration) -> Backoff {
        Backoff { first, most }
    }

    /// The wait after so many earlier waits in a row: `first` after none.
    pub fn after(self, waits: u32) -> Duration {
        self.first.saturating_mul(2_u32.saturating_pow(waits)).min(self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_limit_and_stay_there() {
        let seconds = |waits| Backoff::new(Duration::from_secs(15), Duration::from_secs(1800)).after(waits).as_secs();
        assert_eq!([0, 1, 2, 6, 7, 31, 32, u32::MAX].map(seconds), [15, 30, 60, 960, 1800, 1800, 1800, 1800]);
        let short = Backoff::new(Duration::from_secs(5), Duration::from_secs(2));
        assert_eq!(short.after(0), Duration::from_secs(2), "the limit holds for the first one");
    }
}
