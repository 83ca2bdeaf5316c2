//! Deadlines: how long one is granted when it is armed, and waiting for it.
//!
//! A deadline in the log is a date. The date of a machine may be set, and the log's never goes back, so a deadline is
//! armed as a **duration**, on a clock that nobody sets:
//!
//! | deadline | granted when armed, also at a start of the engine | the clock |
//! | --- | --- | --- |
//! | an agent's limit, a pause | from the log's time now to its end, never more than from the last event of its milestone | of the boot, suspends included: the provider's time goes on |
//! | a question to a person | all of it again | monotonic: nobody can answer while the machine is suspended |
//! | a lease of a worker | all of it again | monotonic: the worker is suspended as well |
//!
//! Patience that ran out while the engine did not run (suspended, stopped by Ctrl-Z) is granted again.
use crate::{
    model::{Time, aggregate::Aggregate, effect::Timer},
    system::clock,
};
use std::time::Duration;

/// Waking up so much later than asked means that this process did not run meanwhile.
const LATE: Duration = Duration::from_secs(3);

/// Waits until a timer is over. `state` is the one that asks for it.
pub(super) async fn wait(timer: &Timer, state: Option<&Aggregate>) {
    let granted = granted(timer, state, clock::now());
    match timer {
        Timer::AgentLimit { .. } | Timer::Pause { .. } => clock::sleep_through(granted).await,
        Timer::Lease { .. } | Timer::Approval { .. } => loop {
            let began = clock::monotonic();
            tokio::time::sleep(granted).await;
            if !slept_through(began.elapsed(), granted) {
                return;
            }
            tracing::info!("patience of {} s ran out while p0 did not run; it is granted again", granted.as_secs());
        },
    }
}

fn slept_through(took: Duration, granted: Duration) -> bool {
    took >= granted.saturating_add(LATE)
}

/// How long `timer` is granted at the date `now`.
pub(super) fn granted(timer: &Timer, state: Option<&Aggregate>, now: Time) -> Duration {
    // The log's time: what was set in it may be ahead of a date that was set back since.
    let log = state.and_then(|state| state.at).map_or(now, |at| at.max(now));
    let between = |from: Time, until: Time| (until - from).to_std().unwrap_or(Duration::ZERO);
    match timer {
        Timer::Lease { lease_s, .. } => Duration::from_secs(*lease_s),
        Timer::AgentLimit { until, .. } | Timer::Pause { until, .. } => between(log, *until),
        Timer::Approval { approval, until } => {
            let asked = state.and_then(|state| state.approvals.get(approval)).map(|approval| approval.asked_at);
            between(asked.unwrap_or(log), *until)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::approval::Approval,
        model::id::{AgentName, ApprovalId, Fence, RunId, TicketId},
    };
    use chrono::TimeDelta;
    use p0_samples::{aggregate, at, attempt_id, run_id};

    fn limit(until: Time) -> Timer {
        Timer::AgentLimit { run: RunId(uuid::Uuid::nil()), agent: AgentName("a".into()), until }
    }

    /// A milestone whose last event is of the minute 60.
    fn state() -> Aggregate {
        let mut state = aggregate();
        state.at = Some(at(3600));
        state
    }

    #[test]
    fn a_limit_that_was_set_while_the_date_was_ahead_takes_its_own_time() {
        let (state, until) = (state(), at(3602));
        for now in [at(0), at(3600)] {
            assert_eq!(granted(&limit(until), Some(&state), now).as_secs(), 2, "the date is {now}");
        }
        assert_eq!(granted(&limit(until), Some(&state), at(3601)).as_secs(), 1, "what is left at a start");
        assert_eq!(granted(&limit(until), Some(&state), at(9_999)).as_secs(), 0);
        let pause = Timer::Pause { run: RunId(uuid::Uuid::nil()), until };
        assert_eq!(granted(&pause, Some(&state), at(0)).as_secs(), 2);
    }

    #[test]
    fn a_question_has_all_of_its_time_at_every_start() {
        let mut state = state();
        let id = ApprovalId("BLOG-A1".into());
        let approval = Approval {
            id: id.clone(),
            run: run_id(),
            attempt: attempt_id(),
            ticket: None,
            tool: "t".into(),
            target: String::new(),
            why: String::new(),
            asked_at: at(3000),
            until: at(3300),
            answer: None,
        };
        state.approvals.insert(id.clone(), approval);
        let timer = Timer::Approval { approval: id, until: at(3300) };
        for now in [at(0), at(3000), at(100_000)] {
            assert_eq!(granted(&timer, Some(&state), now).as_secs(), 300, "the date is {now}");
        }
    }

    #[test]
    fn a_lease_has_all_of_its_time_whatever_the_date() {
        let ticket = TicketId::new("BLOG", 1);
        let timer = Timer::Lease { ticket, fence: Fence(1), renewals: 0, lease_s: 60 };
        assert_eq!(granted(&timer, None, at(0)).as_secs(), 60);
    }

    #[test]
    fn the_last_dates_there_are_do_no_harm() {
        let far = Time::MAX_UTC;
        assert!(granted(&limit(far), Some(&state()), Time::MIN_UTC) > Duration::from_secs(1_000_000_000));
        assert_eq!(granted(&limit(Time::MIN_UTC), Some(&state()), far), Duration::ZERO);
        let beyond = at(0) + TimeDelta::days(36_500 * 1000);
        assert!(granted(&limit(beyond), None, at(0)) > Duration::from_secs(36_500 * 86_400));
    }

    #[test]
    fn what_wakes_up_much_too_late_did_not_run() {
        let s = Duration::from_secs;
        assert!(!slept_through(s(300), s(300)) && !slept_through(s(302), s(300)), "a loaded machine");
        assert!(slept_through(s(303), s(300)) && slept_through(s(9_000), s(300)));
        assert!(!slept_through(s(5), Duration::MAX));
    }
}
