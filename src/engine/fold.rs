//! From frames to states.
use crate::{
    codec::payload::{self, BadFrame, Detached, NoPayload, Stored},
    journal::{Batch, Error, EventsView, Frame},
    kernel::{evolve, legal::contradicts},
    model::{
        aggregate::Aggregate,
        record::{FramePayload, Record},
    },
};

/// The command and events of a frame.
pub(super) fn read(frame: &Frame) -> Result<FramePayload, BadFrame> {
    payload::decode(frame)
}

/// Only the events of a frame, without reading its command: what showing needs.
pub(super) fn records(frame: &Frame) -> Result<Vec<Record>, BadFrame> {
    let events = payload::events(frame.view())?.into_iter().map(Stored::into_record);
    events.collect::<Result<_, _>>().map_err(|e| BadFrame { seq: frame.first_seq, why: NoPayload::Event(e) })
}

/// Bytes of blocks that are handed from the thread that reads to the one that folds at a time: waking the other one takes
/// as long as folding some dozens of events.
const TOGETHER: usize = 512 << 10;

/// Frames that were read and checked, with their events read as far as their envelopes; or what this version cannot read.
struct Ready(Batch, Result<Vec<Detached>, BadFrame>);

impl Ready {
    fn of(batch: Batch) -> Ready {
        let mut events = Vec::new();
        let read = batch.frames().try_for_each(|frame| {
            events.extend(payload::events(frame)?.into_iter().map(|event| event.detached(batch.bytes())));
            Ok(())
        });
        Ready(batch, read.map(|()| events))
    }

    fn fold_into(self, state: &mut Aggregate) {
        let Ready(batch, events) = self;
        match events {
            Ok(events) => fold_events(state, events.into_iter().map(|event| event.attached(batch.bytes()))),
            // Frame by frame: those before the bad one count.
            Err(_) => batch.frames().for_each(|frame| fold(state, frame)),
        }
    }
}

/// Folds frames of one milestone from nothing, on two threads: one reads and checks, one decodes and folds. `None` =
/// there is no frame.
///
/// # Errors
/// A frame cannot be read, or is not what was written.
pub(super) fn refold(batches: impl Iterator<Item = Result<Batch, Error>> + Send) -> Result<Option<Aggregate>, Error> {
    std::thread::scope(|scope| {
        let (sender, read) = std::sync::mpsc::sync_channel::<Vec<Ready>>(8);
        let reader = scope.spawn(move || {
            let (mut together, mut bytes) = (Vec::new(), 0);
            for batch in batches {
                let batch = batch?;
                bytes += batch.bytes().len();
                together.push(Ready::of(batch));
                if bytes >= TOGETHER {
                    bytes = 0;
                    // A receiver that is gone has had enough.
                    if sender.send(std::mem::take(&mut together)).is_err() {
                        break;
                    }
                }
            }
            let _ = sender.send(together);
            Ok(())
        });
        let mut state = None;
        for ready in read.into_iter().flatten() {
            ready.fold_into(state.get_or_insert_with(Aggregate::default));
        }
        match reader.join() {
            Ok(read) => read.map(|()| state),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Takes a frame's events into a state. What cannot be read quarantines this milestone, and no other.
pub(super) fn fold(state: &mut Aggregate, frame: EventsView<'_>) {
    if state.quarantined.is_some() {
        return;
    }
    match payload::events(frame) {
        Ok(events) => fold_events(state, events.into_iter()),
        Err(bad) => state.quarantined = Some(bad.to_string()),
    }
}

fn fold_events<'a>(state: &mut Aggregate, events: impl Iterator<Item = Stored<'a>>) {
    if state.quarantined.is_some() {
        return;
    }
    for event in events {
        let seq = event.seq();
        match event.into_draft() {
            Ok(draft) => match contradicts(state, &draft) {
                None => evolve(state, &draft),
                Some(why) => {
                    state.quarantined = Some(format!("event {seq} is {why}"));
                    return;
                }
            },
            Err(unreadable) => {
                state.quarantined = Some(unreadable.to_string());
                return;
            }
        }
    }
}
