//! A run, lived again: the frames of its milestone, every decision taken anew and compared with what was recorded.
use super::handle::{Divergence, ReadError, Replayed, Until};
use crate::{
    kernel::{decide, digest, evolve},
    model::{
        aggregate::Aggregate,
        command::Command,
        record::{FramePayload, Record},
    },
};
use serde_json::Value;
use std::sync::Arc;

/// Re-decides the frames of one milestone, in order, from nothing.
///
/// # Errors
/// A frame cannot be read, or holds an event that this version does not know.
pub fn replay(
    frames: impl Iterator<Item = Result<FramePayload, ReadError>>,
    until: Option<Until>,
) -> Result<Replayed, ReadError> {
    let mut state = Aggregate::default();
    let mut events = 0;
    let mut last = 0;
    let mut divergence = None;
    for frame in frames {
        let payload = frame?;
        if is_past(&payload.events, until) {
            break;
        }
        if divergence.is_none() {
            divergence = compare(&state, &payload.command, &payload.events);
        }
        for record in payload.events {
            if beyond(&record, until) {
                break;
            }
            let draft = record.to_draft()?;
            evolve(&mut state, &draft);
            last = record.seq;
            events += 1;
        }
    }
    Ok(Replayed { events, until: last, divergence, digest: digest(&state), state: Arc::new(state) })
}

fn is_past(events: &[Record], until: Option<Until>) -> bool {
    events.first().is_some_and(|first| beyond(first, until))
}

fn beyond(record: &Record, until: Option<Until>) -> bool {
    match until {
        None => false,
        Some(Until::Seq(seq)) => record.seq > seq,
        Some(Until::At(at)) => record.at > at,
    }
}

/// The first event that the rules of today would decide otherwise.
fn compare(state: &Aggregate, command: &Command, recorded: &[Record]) -> Option<Divergence> {
    let first = recorded.first().map_or(0, |r| r.seq);
    let shown = |record: &Record| serde_json::to_value(record).unwrap_or(Value::Null);
    let decided: Vec<Record> = match decide(state, command) {
        Ok(decision) => (first..).zip(&decision.events).map(|(seq, draft)| Record::new(seq, draft)).collect(),
        Err(rejection) => {
            let decided = serde_json::json!({ "rejected": rejection.to_string() });
            return recorded.first().map(|r| Divergence { seq: first, recorded: shown(r), decided });
        }
    };
    let longest = recorded.len().max(decided.len());
    (0..longest).find_map(|i| {
        let (a, b) = (recorded.get(i), decided.get(i));
        (a != b).then(|| Divergence {
            seq: first + i as u64,
            recorded: a.map_or(Value::Null, shown),
            decided: b.map_or(Value::Null, shown),
        })
    })
}
