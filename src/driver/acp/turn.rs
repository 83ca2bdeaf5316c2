//! What the end of a turn means: the answer to `session/prompt`, held against what was seen of the turn.
use super::{
    Inner, Shared,
    talk::{Outcome, outcome},
};
use crate::{
    driver::{
        provider_error::ProviderError,
        rules::{count, unread_usage},
    },
    model::adapter::ErrorClass,
};
use agent_client_protocol::Error;
use serde_json::Value;

/// What the answer to the prompt means.
pub(super) fn answered(shared: &Shared, answer: Result<Value, Error>) -> Outcome {
    let mut inner = shared.inner();
    let inner = &mut *inner;
    inner.usage_log.read(&mut inner.heard.usage_meter);
    let told = inner.heard.failure.take();
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => return outcome(&error),
    };
    let usage = shared.drive.adapter.acp.usage.as_ref();
    if let Some(why) = usage.and_then(|usage| count(usage, &answer, &mut inner.heard.usage_meter)) {
        inner.out.say(&unread_usage(&why));
    }
    inner.heard.usage_meter.turn_ended();
    if let Some(line) = inner.heard.usage_meter.usage_line(true) {
        inner.out.say(&line);
    }
    let failed =
        |class, text: &str| Outcome::Failed(ProviderError { class: Some(class), ..ProviderError::words(text) });
    match answer.get("stopReason").and_then(Value::as_str) {
        Some("end_turn") => ended(shared, inner, told),
        Some("refusal") => failed(ErrorClass::Refused, "the model refused to go on"),
        Some("max_tokens") => {
            failed(ErrorClass::Other, "the model came to the limit of what it may write in one answer")
        }
        Some("max_turn_requests") => failed(ErrorClass::Other, "the agent came to its limit of requests in a turn"),
        Some("cancelled") => match &inner.ear.refused {
            Some(tool) => {
                failed(ErrorClass::Other, &format!("the agent ended its turn when it was refused the use of '{tool}'"))
            }
            None => failed(ErrorClass::Other, "the turn was cancelled, and not by p0"),
        },
        other => failed(ErrorClass::Other, &format!("the turn ended for an unknown reason: {other:?}")),
    }
}

/// Whether a turn that ended as usual was one.
fn ended(shared: &Shared, inner: &Inner, told: Option<ProviderError>) -> Outcome {
    if let Some(mut told) = told {
        if told.text.is_empty() {
            // Some say that it failed in one place, and why as if the model had said it.
            let words = inner.heard.last_words();
            let notice = || inner.heard.notice.as_ref().map(|notice| notice.text.clone()).unwrap_or_default();
            told.text = if words.is_empty() { notice() } else { words.to_owned() };
        }
        return Outcome::Failed(told);
    }
    match inner.heard.hollow(&shared.classes) {
        Some(provider_error) => Outcome::Failed(provider_error),
        None => Outcome::Done,
    }
}
