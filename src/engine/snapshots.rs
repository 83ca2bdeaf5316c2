//! Snapshots of milestones' states, so that a start, and a milestone that is needed again, cost the events since the last
//! one and not the history. They are a cache beside the log: a missing, old or damaged one is folded again.
use super::{fold, group::Decided};
use crate::{
    codec::payload,
    journal::{Error, LogReader, Store},
    kernel::invariants,
    model::{aggregate::Aggregate, id::MilestoneId},
};
use std::{
    collections::HashMap,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::JoinHandle,
};

/// The rules that a snapshot was made by. Others may fold the same events into another state, or another form of it.
const RULES_MARK: &str = env!("P0_RULES_MARK");
/// Events of a milestone between two snapshots, at the least.
const EVENTS: u64 = 1000;
/// At a clean stop, a tail of so many events gets a snapshot.
const EVENTS_AT_STOP: u64 = 100;
const LEVEL: i32 = 1;
/// The largest state that is read back, in bytes.
const MAX_BYTES: usize = 1 << 30;

struct Job {
    milestone: MilestoneId,
    upto: u64,
    state: Aggregate,
}

/// Makes them, beside the turn.
pub(super) struct Snapshots {
    /// Events of each live milestone since its last snapshot.
    tails: HashMap<MilestoneId, u64>,
    jobs: Option<SyncSender<Box<Job>>>,
    thread: Option<JoinHandle<()>>,
    last_seq: u64,
}

impl Snapshots {
    /// Starts their thread. `tails` says how many events each live milestone has had since its last snapshot.
    pub(super) fn start(store: Store, last_seq: u64, tails: HashMap<MilestoneId, u64>) -> std::io::Result<Snapshots> {
        let (jobs, given) = sync_channel(1);
        let thread = std::thread::Builder::new().name("p0-snapshots".into()).spawn(move || work(&store, &given))?;
        Ok(Snapshots { tails, jobs: Some(jobs), thread: Some(thread), last_seq })
    }

    /// Takes notice of what became durable.
    pub(super) fn saw(&mut self, decided: &[Decided]) {
        for one in decided {
            let tail = self.tails.entry(one.milestone).or_default();
            *tail += one.drafts.len() as u64;
            self.last_seq = one.drafts.last().map_or(self.last_seq, |(seq, _)| *seq);
            // A large state is written less often: what writing it costs stays in proportion to what happened.
            let weight = one.state.tickets.len() + one.state.attempts.len();
            if *tail < EVENTS.max(2 * weight as u64) {
                continue;
            }
            let job = Job { milestone: one.milestone, upto: self.last_seq, state: one.state.clone() };
            // Where the thread is busy, the next command of this milestone asks again.
            if self.jobs.as_ref().is_some_and(|jobs| jobs.try_send(Box::new(job)).is_ok()) {
                *tail = 0;
            }
        }
        if self.tails.len() > 10_000 {
            // Milestones at rest are not looked at again; a tail that is forgotten only delays a snapshot.
            self.tails.retain(|_, tail| *tail >= EVENTS_AT_STOP);
        }
    }

    /// Writes those that the next start would miss, and waits until all are written.
    pub(super) fn finish(&mut self, live: &HashMap<MilestoneId, Aggregate>) {
        let Some(jobs) = self.jobs.take() else { return };
        for (milestone, state) in live {
            if self.tails.get(milestone).is_some_and(|tail| *tail >= EVENTS_AT_STOP) {
                // A thread that has ended writes none; the next start folds.
                let job = Job { milestone: *milestone, upto: self.last_seq, state: state.clone() };
                let _ = jobs.send(Box::new(job));
            }
        }
        drop(jobs);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn work(store: &Store, jobs: &Receiver<Box<Job>>) {
    while let Ok(job) = jobs.recv() {
        let Job { milestone, upto, state } = *job;
        let written = encode(&state).and_then(|bytes| Ok(store.put_view(&name(milestone), upto, &bytes)?));
        if let Err(why) = written {
            tracing::warn!("no snapshot of milestone {milestone} at event {upto}: {why}");
        }
    }
}

fn name(milestone: MilestoneId) -> String {
    format!("state/{milestone}")
}

/// Drops a milestone's snapshot: it is folded when it is needed again.
pub(super) fn forget(store: &Store, milestone: MilestoneId) -> Result<(), Error> {
    store.remove_view(&name(milestone))
}

/// Why there is no new snapshot.
#[derive(Debug, thiserror::Error)]
enum NoSnapshot {
    #[error(transparent)]
    Form(#[from] rmp_serde::encode::Error),
    #[error(transparent)]
    Compression(#[from] std::io::Error),
    #[error(transparent)]
    Store(#[from] Error),
}

fn encode(state: &Aggregate) -> Result<Vec<u8>, NoSnapshot> {
    let packed = payload::pack(state)?;
    let length = packed.len() as u64;
    let compressed = zstd::bulk::compress(&packed, LEVEL)?;
    let sum = crc32c::crc32c(&compressed);
    Ok([RULES_MARK.as_bytes(), &length.to_be_bytes(), &sum.to_be_bytes(), &compressed].concat())
}

/// The state in a snapshot; `None` when it was made by other rules or is not whole.
fn decode(bytes: &[u8]) -> Option<Aggregate> {
    let rest = bytes.strip_prefix(RULES_MARK.as_bytes())?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let (sum, compressed) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u64::from_be_bytes(*length)).ok().filter(|n| *n <= MAX_BYTES)?;
    if crc32c::crc32c(compressed) != u32::from_be_bytes(*sum) {
        return None;
    }
    payload::unpack(&zstd::bulk::decompress(compressed, length).ok()?).ok()
}

/// A milestone's state, from its last snapshot and the frames since, and how many events those were; `None` = it has no
/// frame.
///
/// # Errors
/// The log cannot be read.
pub(super) fn load(log: &LogReader, milestone: MilestoneId) -> Result<Option<(Aggregate, u64)>, Error> {
    let snapshot = log.view(&name(milestone))?.and_then(|(upto, bytes)| Some((upto, decode(&bytes)?)));
    let (from, mut state) = match snapshot {
        Some((upto, state)) if upto <= log.last_seq() => (upto + 1, Some(state)),
        Some(_) | None => (1, None),
    };
    let mut tail = 0;
    for frame in log.frames_of_stream_from(milestone.0, from) {
        let frame = frame?;
        tail += u64::from(frame.events);
        fold::fold(state.get_or_insert_with(Aggregate::default), frame.view());
    }
    if let Some(state) = state.as_mut().filter(|state| tail > 0 && state.quarantined.is_none()) {
        state.quarantined = invariants::impossible(state);
    }
    Ok(state.map(|state| (state, tail)))
}
