//! What the surface holds of the engine: submit a command, look at what is durable, follow the log.
pub use super::error::{NotRedacted, ReadError, SubmitError};
use super::{
    fold, replay,
    shared::Shared,
    turn::{Ask, Submit},
};
use crate::{
    journal, kernel,
    model::{
        actor::Actor,
        aggregate::Aggregate,
        command::Action,
        id::{AttemptId, BlobId, MilestoneId, RunId, TicketId},
        not_ready::NotReady,
        record::{FramePayload, Record},
        reply::Reply,
    },
    sandbox::Redactor,
    views::{catalog::Catalog, retrying::Retrying},
};
use std::{collections::BTreeMap, path::PathBuf, sync::Arc};
use tokio::sync::{mpsc, oneshot, watch};

/// What people write in their own words, in a command.
const FREE_TEXTS: &[&str] = &["text", "reason", "why", "title", "body"];

/// The answer to an accepted command, given when it is durable.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// What the caller is told.
    pub reply: Reply,
    /// The sequence number of the last event it led to (or of the log's head, if to none).
    pub seq: u64,
}

/// A socket for one attempt: a socket that takes only what its role may do. The surface provides it.
pub trait AttemptSocketHost: Send + Sync {
    /// Opens the attempt's socket; `token_hash` is BLAKE3 (hexadecimal) of the token it will show.
    ///
    /// # Errors
    /// The socket cannot be made.
    fn open(&self, attempt: AttemptId, token_hash: &str) -> std::io::Result<PathBuf>;
    /// Closes it.
    fn close(&self, attempt: AttemptId);
}

/// The surface's hold on a running engine. Cheap to clone.
#[derive(Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) asks: mpsc::Sender<Ask>,
}

impl Handle {
    /// Submits a command to a milestone's stream and waits until it is durable.
    ///
    /// # Errors
    /// It was refused, there is no room, or the engine has stopped.
    pub async fn submit(&self, milestone: MilestoneId, actor: Actor, action: Action) -> Result<Accepted, SubmitError> {
        let action = match actor {
            Actor::Person(_) | Actor::Worker(_) => self.without_secrets(milestone, action)?,
            Actor::Agent { .. } | Actor::Engine => action,
        };
        let (answer, answered) = oneshot::channel();
        let stopped = || SubmitError::Stopped(self.shared.why_stopped());
        let submit = Submit { milestone, actor, action, answer };
        self.asks.send(Ask::Submit(submit)).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }

    /// What a person says, without what matches the patterns that the milestone's newest run was given.
    /// Where that cannot be told or done, the command is refused: what is in the log stays there.
    fn without_secrets(&self, milestone: MilestoneId, action: Action) -> Result<Action, SubmitError> {
        if matches!(action, Action::StartRun(_)) {
            return Ok(action);
        }
        let state = self.aggregate(milestone).map_err(|why| SubmitError::Unredacted(NotRedacted::Patterns(why)))?;
        let Some(run) = state.as_ref().and_then(|state| state.last_run()) else { return Ok(action) };
        if run.settings.secret_patterns.is_empty() {
            return Ok(action);
        }
        let redactor = Redactor::default().with_patterns(&run.settings.secret_patterns);
        // Not names, hashes and ids: what they stand for would be another.
        let clean = redactor.redact_value(action, &|name| FREE_TEXTS.contains(&name), &mut BTreeMap::new());
        clean.map_err(|why| SubmitError::Unredacted(NotRedacted::Value(Arc::new(why))))
    }

    /// The durable state of a milestone; brought back from the store when it is at rest.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn aggregate(&self, milestone: MilestoneId) -> Result<Option<Arc<Aggregate>>, ReadError> {
        self.shared.load(milestone)
    }

    /// The state of a milestone, folded from its first frame, every frame checked: whatever is in memory or in a
    /// snapshot.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn refold(&self, milestone: MilestoneId) -> Result<Option<Aggregate>, ReadError> {
        let batches = self.shared.log.batches_of_stream(milestone.0);
        Ok(fold::refold(batches)?)
    }

    /// What there is.
    pub fn catalog(&self) -> Catalog {
        self.shared.catalog()
    }

    /// What the engine tries again and again right now, the oldest first.
    pub fn retrying(&self) -> Vec<Retrying> {
        self.shared.retries.all()
    }

    /// Word of every change of [`Handle::retrying`].
    pub fn watch_retrying(&self) -> watch::Receiver<BTreeMap<u64, Retrying>> {
        self.shared.retries.watch()
    }

    /// The durable states of the milestones that are not at rest.
    pub fn live(&self) -> Vec<(MilestoneId, Arc<Aggregate>)> {
        self.shared.live()
    }

    /// The first event of a milestone, from event `since` on, that is looked for.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn find_record(
        &self,
        milestone: MilestoneId,
        since: u64,
        wanted: impl Fn(&Record) -> bool,
    ) -> Result<Option<Record>, ReadError> {
        for frame in self.shared.log.frames_of_stream_from(milestone.0, since) {
            let frame = frame?;
            let records = fold::records(&frame).unwrap_or_default();
            if let Some(record) = records.into_iter().find(&wanted) {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }

    /// Events after `since`, in order, about `max` at the most (whole frames); none only at the head.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn records(&self, since: u64, max: usize) -> Result<Vec<Record>, ReadError> {
        let head = *self.shared.head.borrow();
        let mut found = Vec::new();
        if since >= head {
            return Ok(found);
        }
        for frame in self.shared.log.frames_from(since + 1)? {
            let frame = frame?;
            if frame.first_seq > head || found.len() >= max {
                break;
            }
            found.extend(records_of(&frame).into_iter().filter(|r| r.seq > since));
        }
        Ok(found)
    }

    /// The sequence number of the last durable event, and word of every later one.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.shared.head.subscribe()
    }

    /// Keeps bytes as a blob, durable when this returns.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<BlobId, journal::Error> {
        self.shared.put_blob(bytes)
    }

    /// The folder with an attempt's spool: `stdout`, `stderr`, `stdin`. It is gone when the attempt is over; its
    /// transcript is then the blob of `attempt.exited`.
    pub fn attempt_dir(&self, attempt: AttemptId) -> PathBuf {
        self.shared.data_dir.join("attempts").join(attempt.to_string())
    }

    /// The data directory.
    pub fn data_dir(&self) -> &std::path::Path {
        &self.shared.data_dir
    }

    /// Why a ticket does not move, by the rules; `None` = it is done.
    pub fn why_waiting(&self, state: &Aggregate, ticket: &TicketId) -> Option<NotReady> {
        kernel::schedule::why_waiting(state, ticket)
    }

    /// The tickets that can be claimed now, the most important first.
    pub fn ready(&self, state: &Aggregate) -> Vec<TicketId> {
        kernel::schedule::ready(state)
    }

    /// Whether any ticket can be claimed now.
    pub fn has_ready(&self, state: &Aggregate) -> bool {
        kernel::schedule::next_ready(state).is_some()
    }

    /// The digest of a milestone's state: what `p0 replay` prints for the same log.
    pub fn digest(&self, state: &Aggregate) -> String {
        kernel::digest(state)
    }

    /// Re-decides a run's milestone from the log, frame by frame.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn replay(&self, run: RunId, until: Option<Until>) -> Result<Replayed, ReadError> {
        replay::replay(self.frames(run)?, until)
    }

    /// The frames of a run's milestone, in order: what a replay needs, and what `replay-fixtures/` keeps.
    ///
    /// # Errors
    /// There is no such run.
    pub fn frames(
        &self,
        run: RunId,
    ) -> Result<impl Iterator<Item = Result<FramePayload, ReadError>> + use<>, ReadError> {
        Ok(self.stream_of(run)?.map(|frame| Ok(fold::read(&frame?)?)))
    }
}

/// The events of a frame. One that this version cannot read is shown as such, so that the rest of the log still is.
pub(super) fn records_of(frame: &journal::Frame) -> Vec<Record> {
    fold::records(frame).unwrap_or_else(|bad| vec![unreadable(frame, &bad.to_string())])
}

/// The events of frames, in order.
pub(super) fn records_in<E: Into<ReadError>>(
    frames: impl Iterator<Item = Result<journal::Frame, E>>,
) -> impl Iterator<Item = Result<Record, ReadError>> {
    frames.flat_map(|frame| match frame {
        Ok(frame) => records_of(&frame).into_iter().map(Ok).collect::<Vec<_>>(),
        Err(e) => vec![Err(e.into())],
    })
}

/// What stands for a frame that cannot be read.
fn unreadable(frame: &journal::Frame, why: &str) -> Record {
    Record {
        seq: frame.last_seq(),
        at: chrono::DateTime::from_timestamp_millis(frame.at_ms).unwrap_or_default(),
        run: frame.keys.run.map(RunId),
        ticket: None,
        attempt: None,
        actor: Actor::Engine,
        kind: "unreadable".into(),
        v: 0,
        data: serde_json::json!({ "why": why }),
    }
}

/// How far to replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// Up to and with this event.
    Seq(u64),
    /// Up to and with the last event not after this moment.
    At(crate::model::Time),
}

/// What a replay found.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// How many of the milestone's events there are up to `until`.
    pub events: usize,
    /// The last sequence number taken in.
    pub until: u64,
    /// Where the rules of today decide otherwise, if they do.
    pub divergence: Option<Divergence>,
    /// The digest of `state`.
    pub digest: String,
    /// The state there.
    pub state: Arc<Aggregate>,
}

/// A frame that would be decided otherwise today.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Divergence {
    /// The first event that differs.
    pub seq: u64,
    /// What the log says; null where the rules of today add an event.
    pub recorded: serde_json::Value,
    /// What the rules of today say; null where they add none.
    pub decided: serde_json::Value,
}
