//! From frames to states.
use super::payload::{self, BadFrame};
use crate::{
    journal::Frame,
    kernel::evolve,
    model::{
        aggregate::Aggregate,
        record::{Draft, FramePayload, Record},
    },
};

/// The command and events of a frame.
pub(super) fn read(frame: &Frame) -> Result<FramePayload, BadFrame> {
    payload::decode(frame)
}

/// Only the events of a frame, without reading its command: what showing needs.
pub(super) fn records(frame: &Frame) -> Result<Vec<Record>, BadFrame> {
    let events = payload::events(frame)?.into_iter().map(payload::Stored::into_record);
    events.collect::<Result<_, _>>().map_err(|e| BadFrame { seq: frame.first_seq, why: e.to_string() })
}

/// Takes a frame's events into a state. What cannot be read quarantines this milestone, and no other.
pub(super) fn fold(state: &mut Aggregate, frame: &Frame, mut each: impl FnMut(u64, &Draft)) {
    if state.quarantined.is_some() {
        return;
    }
    let events = match payload::events(frame) {
        Ok(events) => events,
        Err(bad) => {
            state.quarantined = Some(bad.to_string());
            return;
        }
    };
    for event in events {
        let seq = event.seq();
        match event.into_draft() {
            Ok(draft) => {
                evolve(state, &draft);
                each(seq, &draft);
            }
            Err(unreadable) => {
                state.quarantined = Some(unreadable.to_string());
                return;
            }
        }
    }
}
