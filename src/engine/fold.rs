//! From frames to states.
use super::payload::{self, BadFrame};
use crate::{
    journal::{Error, Frame},
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

/// Events that are handed from the thread that reads to the one that folds, at the most.
const BATCH: usize = 512;

/// Folds frames of one milestone from nothing, on two threads: one reads and checks, one decodes and folds. `None` =
/// there is no frame.
///
/// # Errors
/// A frame cannot be read, or is not what was written.
pub(super) fn refold(frames: impl Iterator<Item = Result<Frame, Error>> + Send) -> Result<Option<Aggregate>, Error> {
    std::thread::scope(|scope| {
        let (batches, read) = std::sync::mpsc::sync_channel::<Vec<Frame>>(8);
        let reader = scope.spawn(move || {
            let mut batch = Vec::with_capacity(BATCH);
            for frame in frames {
                batch.push(frame?);
                if batch.len() == BATCH
                    && batches.send(std::mem::replace(&mut batch, Vec::with_capacity(BATCH))).is_err()
                {
                    break;
                }
            }
            // A receiver that is gone has had enough.
            let _ = batches.send(batch);
            Ok(())
        });
        let mut state = None;
        for frame in read.into_iter().flatten() {
            fold(state.get_or_insert_with(Aggregate::default), &frame, |_, _| {});
        }
        match reader.join() {
            Ok(read) => read.map(|()| state),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
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
