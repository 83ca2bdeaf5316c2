//! What an agent's program says of its provider and itself: limits, trouble, a refused key, a configuration that does not
//! work. None of it is the ticket's fault.
use super::cx::Cx;
use chrono::TimeDelta;
use p0_model::{
    Time,
    backoff::Backoff,
    event::Event,
    id::AttemptId,
    protocol::{FailureClass, Message},
    rejection::Rejection,
};
use std::time::Duration;

/// A shorter wait than this would be a loop, in seconds.
const LEAST_WAIT_S: u64 = 1;
/// The longest limit that is believed: a week, in seconds.
const MOST_WAIT_S: u64 = 7 * 24 * 3600;
/// How long to wait where an agent says "rate limited" without a time, in seconds; doubled with each one in a row.
const FIRST_LIMIT_S: u64 = 60;
/// How long to wait at the first trouble of a provider, in seconds; doubled with each further one in a row.
const FIRST_TROUBLE_S: u64 = 15;
/// The longest wait for a provider that names no time.
const MOST_TROUBLE: Duration = Duration::from_secs(1800);

/// Takes in what a message says of the provider.
pub(super) fn heard(cx: &mut Cx<'_>, id: AttemptId, message: &Message) -> Result<(), Rejection> {
    match message {
        Message::RateLimited { retry_after_s } => wait(cx, id, *retry_after_s, FIRST_LIMIT_S),
        Message::Failed { class: FailureClass::Overloaded, retry_after_s, .. } => {
            wait(cx, id, *retry_after_s, FIRST_TROUBLE_S)
        }
        Message::Failed { class: FailureClass::Auth | FailureClass::Configuration, text, .. } => {
            let (scope, agent) = (cx.scope_of(id)?, cx.attempt(id)?.agent.clone());
            if cx.run(cx.attempt(id)?.run)?.unavailable.contains_key(&agent) {
                return Ok(());
            }
            cx.emit_engine(scope, Event::AgentUnavailable { agent, why: text.clone() });
            Ok(())
        }
        // An agent that refuses, or whose conversation became too long, says nothing of its provider.
        Message::Failed { class: FailureClass::Context | FailureClass::Refused | FailureClass::Other, .. }
        | Message::Ticket(_)
        | Message::Defer { .. }
        | Message::Decision { .. }
        | Message::Status { .. }
        | Message::Subtask(_)
        | Message::Comment { .. }
        | Message::Learning { .. }
        | Message::Curate { .. }
        | Message::RequestFiles { .. }
        | Message::Verdict { .. }
        | Message::Feedback { .. }
        | Message::Artifact { .. }
        | Message::Checklist { .. }
        | Message::Confidence { .. }
        | Message::Usage { .. }
        | Message::Session { .. }
        | Message::Activity { .. }
        | Message::Permission { .. }
        | Message::Ask { .. }
        | Message::Question { .. }
        | Message::Unreadable { .. } => Ok(()),
    }
}

/// The agent gets no more work for `asked` seconds; when the provider names no time, for `first` at the first trouble,
/// and twice as long at each further one: in a row, and since rules 5 over the run, see [`Run::backs_off_over_the_run`].
/// What several attempts hear of the same trouble counts once; of two times that were named, the later one.
///
/// [`Run::backs_off_over_the_run`]: p0_model::run::Run::backs_off_over_the_run
fn wait(cx: &mut Cx<'_>, id: AttemptId, asked: Option<u64>, first: u64) -> Result<(), Rejection> {
    let (scope, actor, attempt) = (cx.scope_of(id)?, cx.agent(id)?, cx.attempt(id)?);
    let (agent, run) = (attempt.agent.clone(), cx.run(attempt.run)?);
    let known = run.limited.get(&agent).copied();
    let times = run.troubles(&agent, cx.at()).saturating_sub(1);
    let backoff = Backoff::new(Duration::from_secs(first), MOST_TROUBLE);
    // A provider that refuses again after the time it named named too short a one.
    let least = match times.checked_sub(1) {
        Some(before) if run.learns_from_bad_ends() => backoff.after(before).as_secs(),
        Some(_) | None => LEAST_WAIT_S,
    };
    let seconds = match (asked, known) {
        (Some(asked), _) => asked.clamp(least, MOST_WAIT_S),
        (None, Some(_)) => return Ok(()),
        (None, None) => backoff.after(times).as_secs(),
    };
    let until: Time = cx.at() + TimeDelta::try_seconds(i64::try_from(seconds).unwrap_or_default()).unwrap_or_default();
    let until = known.map_or(until, |known| known.max(until));
    cx.emit_as(actor, scope, Event::AgentRateLimited { agent, until });
    Ok(())
}
