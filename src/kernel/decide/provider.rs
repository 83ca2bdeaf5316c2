//! What an agent's program says of its provider: limits, trouble, a refused key. None of it is the ticket's fault.
use super::cx::Cx;
use crate::model::{
    Time,
    event::Event,
    id::AttemptId,
    protocol::{FailureClass, Message},
    rejection::Rejection,
    run::Run,
};
use chrono::TimeDelta;

/// A shorter wait than this would be a loop, in seconds.
const LEAST_WAIT_S: u64 = 1;
/// The longest limit that is believed: a week, in seconds.
const MOST_WAIT_S: u64 = 7 * 24 * 3600;
/// How long to wait where an agent says "rate limited" without a time, in seconds.
const USUAL_RATE_LIMIT_S: u64 = 60;
/// How long to wait at the first trouble of a provider, in seconds; doubled with each further one in a row.
const FIRST_TROUBLE_S: u64 = 15;
/// The longest wait for a provider in trouble, in seconds.
const MOST_TROUBLE_S: u64 = 900;

/// Takes in what a message says of the provider.
pub(super) fn heard(cx: &mut Cx<'_>, id: AttemptId, message: &Message) -> Result<(), Rejection> {
    match message {
        Message::RateLimited { retry_after_s } => wait(cx, id, retry_after_s.unwrap_or(USUAL_RATE_LIMIT_S)),
        Message::Failed { class: FailureClass::Overloaded, retry_after_s, .. } => {
            let attempt = cx.attempt(id)?;
            let seconds = retry_after_s
                .unwrap_or_else(|| cx.run(attempt.run).map_or(FIRST_TROUBLE_S, |r| backoff_s(r, &attempt.agent)));
            wait(cx, id, seconds)
        }
        Message::Failed { class: FailureClass::Auth, text, .. } => {
            let (scope, agent) = (cx.scope_of(id)?, cx.attempt(id)?.agent.clone());
            if cx.run(cx.attempt(id)?.run)?.unavailable.contains_key(&agent) {
                return Ok(());
            }
            cx.emit_engine(scope, Event::AgentUnavailable { agent, why: text.clone() });
            Ok(())
        }
        _ => Ok(()),
    }
}

fn backoff_s(run: &Run, agent: &crate::model::id::AgentName) -> u64 {
    let times = run.trouble.get(agent).copied().unwrap_or_default().min(10);
    (FIRST_TROUBLE_S << times).min(MOST_TROUBLE_S)
}

/// The agent gets no more work for so long. Of two limits that overlap, the later end counts.
fn wait(cx: &mut Cx<'_>, id: AttemptId, seconds: u64) -> Result<(), Rejection> {
    let seconds = i64::try_from(seconds.clamp(LEAST_WAIT_S, MOST_WAIT_S)).unwrap_or_default();
    let until: Time = cx.at() + TimeDelta::try_seconds(seconds).unwrap_or_default();
    let (scope, actor, attempt) = (cx.scope_of(id)?, cx.agent(id)?, cx.attempt(id)?);
    let agent = attempt.agent.clone();
    let until = cx.run(attempt.run)?.limited.get(&agent).copied().map_or(until, |known| known.max(until));
    cx.emit_as(actor, scope, Event::AgentRateLimited { agent, until });
    Ok(())
}
