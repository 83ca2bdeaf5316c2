//! Recorded runs as logs of their own.
use p0::{
    journal::{DirLock, FrameKeys, Log, NewFrame, Options},
    model::record::FramePayload,
};
use std::{fs, path::Path, time::Duration};
use uuid::Uuid;

/// The frames of a recorded run, a line each.
pub(crate) fn recorded(name: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("replay-fixtures").join(format!("{name}.jsonl"));
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// The frames, read.
pub(crate) fn read(frames: &[String]) -> Vec<FramePayload> {
    frames.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Writes milestones one after the other, as the engine would, with their events numbered anew from 1.
pub(crate) fn write_log(dir: &Path, milestones: &[(Uuid, Vec<FramePayload>)]) {
    let lock = DirLock::acquire(dir, Duration::ZERO).unwrap();
    let (mut log, _) = Log::open(dir, lock, Options::default()).unwrap();
    let mut next = 1;
    for (stream, payloads) in milestones {
        for payload in payloads {
            let mut payload = payload.clone();
            for (seq, event) in (next..).zip(&mut payload.events) {
                event.seq = seq;
            }
            let events = u32::try_from(payload.events.len()).unwrap();
            let frame = NewFrame {
                first_seq: next,
                events,
                at_ms: payload.command.at.timestamp_millis(),
                keys: FrameKeys {
                    stream: *stream,
                    run: payload.events.iter().find_map(|e| e.run).map(|r| r.0),
                    tickets: Vec::new(),
                },
                payload: serde_json::to_vec(&payload).unwrap(),
            };
            log.append(vec![frame]).unwrap();
            next += u64::from(events);
        }
    }
    log.close().unwrap();
}
