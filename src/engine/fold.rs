//! From frames to states.
use crate::{
    journal::Frame,
    kernel::evolve,
    model::{
        aggregate::Aggregate,
        record::{Draft, FramePayload, Record},
    },
};

/// The version of the payload's form.
pub(super) const PAYLOAD: u32 = 1;

/// A frame that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("frame {seq} cannot be read: {why}")]
pub(super) struct BadFrame {
    pub(super) seq: u64,
    pub(super) why: String,
}

/// The command and events of a frame.
pub(super) fn read(frame: &Frame) -> Result<FramePayload, BadFrame> {
    let bad = |why: String| BadFrame { seq: frame.first_seq, why };
    let payload: FramePayload = serde_json::from_slice(&frame.payload).map_err(|e| bad(e.to_string()))?;
    if payload.v != PAYLOAD {
        return Err(bad(format!("its form is of version {}, this p0 knows {PAYLOAD}; use a newer p0", payload.v)));
    }
    Ok(payload)
}

/// Only the events of a frame, without reading its command: what showing and folding need.
pub(super) fn records(frame: &Frame) -> Result<Vec<Record>, BadFrame> {
    #[derive(serde::Deserialize)]
    struct OnlyEvents {
        v: u32,
        events: Vec<Record>,
    }
    let bad = |why: String| BadFrame { seq: frame.first_seq, why };
    let payload: OnlyEvents = serde_json::from_slice(&frame.payload).map_err(|e| bad(e.to_string()))?;
    if payload.v != PAYLOAD {
        return Err(bad(format!("its form is of version {}, this p0 knows {PAYLOAD}; use a newer p0", payload.v)));
    }
    Ok(payload.events)
}

/// Takes a frame's events into a state. What cannot be read quarantines this milestone, and no other.
pub(super) fn fold(state: &mut Aggregate, frame: &Frame, mut each: impl FnMut(u64, &Draft)) {
    if state.quarantined.is_some() {
        return;
    }
    let events = match records(frame) {
        Ok(events) => events,
        Err(bad) => {
            state.quarantined = Some(bad.to_string());
            return;
        }
    };
    for record in events {
        match record.to_draft() {
            Ok(draft) => {
                evolve(state, &draft);
                each(record.seq, &draft);
            }
            Err(unreadable) => {
                state.quarantined = Some(unreadable.to_string());
                return;
            }
        }
    }
}
