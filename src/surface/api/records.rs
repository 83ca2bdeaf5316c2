//! The record of a run: lived again, compared with itself, taken out and in, gone on from; and the head of the log.
use super::{
    app::App,
    names,
    reply::{Answer, Asked, Failure, Input, blocking},
};
use crate::{
    effects::git::PersonRepo,
    engine::{
        handle::Handle,
        run_files::{ImportError, ImportOutcome},
    },
    model::{command::Action, id::RunId, kept::Imported, reply::Reply},
    surface::{
        api::start::fresh_milestone,
        error::{Kind, Problem},
        replays::{self, ReplayDoc, Wanted},
    },
    views::{
        catalog::{Recorded, RunRow},
        diff::Difference,
    },
};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use std::{
    io::{self, Write},
    path::PathBuf,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes sent at once, and pieces that may wait for a slow reader.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES: usize = 8;

/// How far to replay, and how much to tell.
#[derive(Debug, Deserialize)]
pub(crate) struct ReplayQuery {
    until: Option<String>,
    records: Option<String>,
    steps: Option<String>,
}

/// Re-decides a run from its record.
pub(crate) async fn replay(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<ReplayQuery>,
) -> Answer<ReplayDoc> {
    let run = names::record(&app.handle, &name)?;
    let wanted = Wanted {
        until: query.until.as_deref().map(names::point).transpose()?.map(replays::until),
        records: query.records.is_some(),
        steps: query.steps.is_some(),
    };
    Ok(Json(blocking(move || replays::replayed(run, app.handle.frames(run)?, wanted)).await?))
}

/// Two points, `A..B`.
#[derive(Debug, Deserialize)]
pub(crate) struct DiffQuery {
    span: String,
}

/// What differs between the states at two points.
pub(crate) async fn diff(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<DiffQuery>,
) -> Answer<Vec<Difference>> {
    let run = names::record(&app.handle, &name)?;
    let span = replays::span(&query.span)?;
    let found = blocking(move || replays::differences(|| Ok(app.handle.frames(run)?), span));
    Ok(Json(found.await?))
}

/// The head of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HeadDoc {
    /// The last event.
    pub(crate) seq: u64,
    /// The hash of its frame.
    pub(crate) hash: String,
}

/// Where the log ends.
pub(crate) async fn head(State(app): State<App>) -> Json<HeadDoc> {
    let (seq, hash) = app.handle.anchor();
    Json(HeadDoc { seq, hash })
}

/// A run as a file.
pub(crate) async fn export(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Failure> {
    let run = names::record(&app.handle, &name)?;
    let (pieces, mut sent) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        if let Err(e) = app.handle.export(run, Pipe { pieces: pieces.clone(), kept: Vec::new() }) {
            tracing::warn!("exporting run {run}: {e}");
            // Whoever asked may be gone.
            let _ = pieces.blocking_send(Err(Problem::from(e)));
        }
    });
    // A record that cannot be read from its beginning is an answer of its own, with its exit code.
    let first = sent.recv().await.transpose()?;
    let pieces = stream::iter(first.map(Ok)).chain(ReceiverStream::new(sent));
    let mut response = Body::from_stream(pieces).into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/zstd"));
    if let Ok(id) = HeaderValue::from_str(&run.to_string()) {
        response.headers_mut().insert("p0-run", id);
    }
    Ok(response)
}

/// Hands on what is written, in pieces; waits while the reader is slow. What it still keeps when it is dropped was not
/// finished, and is handed to nobody.
struct Pipe {
    pieces: mpsc::Sender<Result<Bytes, Problem>>,
    kept: Vec<u8>,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.kept.extend_from_slice(bytes);
        if self.kept.len() >= PIECE_BYTES {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        let piece = Bytes::from(std::mem::take(&mut self.kept));
        self.pieces.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }
}

/// A file to take in.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImportWish {
    /// Where it is, absolute.
    pub(crate) path: PathBuf,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImportDoc {
    /// The run.
    #[serde(flatten)]
    pub(crate) imported: Imported,
    /// New, known, or the longer one of two.
    pub(crate) outcome: ImportOutcome,
}

/// Takes a run of another data directory in.
pub(crate) async fn import(State(app): State<App>, Input(wish): Input<ImportWish>) -> Answer<ImportDoc> {
    if !wish.path.is_absolute() {
        return Err(Failure(Problem::new(Kind::Usage, "'path' must be an absolute path")));
    }
    let one_at_a_time = app.starting.lock().await;
    let done = app.handle.import(wish.path, app.person()).await;
    drop(one_at_a_time);
    let (imported, outcome) = done.map_err(|e| match e {
        ImportError::File(bad) => Problem::new(Kind::Diverged, bad),
        ImportError::Refused(why) => Problem::new(Kind::Refused, why),
        ImportError::Read(e) => e.into(),
        ImportError::Submit(e) => e.into(),
    })?;
    Ok(Json(ImportDoc { imported, outcome }))
}

/// Where to go on from.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ForkWish {
    /// The last event that is taken over.
    pub(crate) at: u64,
}

/// A fork.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ForkDoc {
    /// The new run.
    pub(crate) run: RunId,
    /// Its milestone's key.
    pub(crate) milestone: String,
    /// Its branch.
    pub(crate) branch: String,
    /// The commit it begins at.
    pub(crate) base: String,
    /// The run it comes from.
    pub(crate) from: RunId,
    /// The last event that was taken over: the end of the command that the wished one belongs to.
    pub(crate) at: u64,
    /// Whether somebody carries it out now.
    pub(crate) at_work: bool,
}

/// Whether a run can be forked at an event: from its beginning on, and until the next run of its milestone begins. What
/// that one lands is done in the milestone's state, and is not on this one's branch.
fn can_be_forked(handle: &Handle, row: &RunRow, at: u64) -> Result<(), Problem> {
    let mut later = Vec::new();
    for other in handle.catalog().runs_of(row.milestone) {
        later.extend(Some(other?).filter(|other| other.seq > row.seq));
    }
    let head = *handle.head().borrow();
    let mut last = head;
    if let Some(next) = later.first() {
        // A command is taken over whole, so that the first event of the one that began it is too far.
        for frame in handle.frames(row.id)? {
            let events = frame?.events;
            if let (Some(first), true) = (events.first(), events.last().is_some_and(|end| end.seq >= next.seq)) {
                last = first.seq.saturating_sub(1);
                break;
            }
        }
    }
    if (row.seq..=last).contains(&at) {
        return Ok(());
    }
    let why = format!("run {} can be forked at events {} to {last}, not at {at}", row.id, row.seq);
    let instead =
        later.iter().rev().find(|other| other.seq <= at).or(later.first()).filter(|_| at > last && at <= head);
    Err(match instead {
        Some(other) => {
            Problem::new(Kind::Usage, format!("{why}: run {} of the same milestone went on after it", other.id))
                .hint(format!("fork that one: `p0 fork {} --at {}`", other.id, at.max(other.seq)))
        }
        None => Problem::new(Kind::Usage, why).hint("see them with `p0 audit log --run RUN`"),
    })
}

/// Goes on from the state a run had at one event.
pub(crate) async fn fork(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(wish): Input<ForkWish>,
) -> Answer<ForkDoc> {
    let catalog = app.handle.catalog();
    let row = match catalog.find_record(&name)? {
        Recorded::Here(row) => row,
        Recorded::Imported(imported) => {
            let why = format!("run {} was imported: its repository is not here", imported.run.run);
            return Err(Failure(Problem::new(Kind::Refused, why).hint("fork it where it ran")));
        }
    };
    let (handle, of) = (app.handle.clone(), row.clone());
    blocking(move || can_be_forked(&handle, &of, wish.at)).await?;
    let one_at_a_time = app.starting.lock().await;
    let key = catalog.milestone(row.milestone)?.map(|m| m.key).unwrap_or_default();
    let milestone = fresh_milestone();
    let key = catalog.free_key(&key)?;
    let (handle, of) = (app.handle.clone(), row.id);
    let fork = blocking(move || {
        let fork = handle.fork_of(of, wish.at, milestone, key)?;
        let fork = fork.ok_or_else(|| Problem::new(Kind::Usage, format!("run {of} had not begun at {}", wish.at)))?;
        // Where the run is archived, its spec is with it.
        handle.put_blob(&handle.blob(row.milestone, &fork.spec)?)?;
        // Without its commit there is nothing to go on from; better said now than by a run that fails.
        let there = PersonRepo::discover(std::path::Path::new(&fork.project)).and_then(|r| r.resolve(&fork.base.0));
        there.map_err(|e| {
            Problem::new(Kind::Config, format!("the commit that the run was at is not there: {e}"))
                .hint("bring it back into the repository (`git fetch`), then fork again")
        })?;
        Ok(fork)
    });
    let fork = fork.await?;
    let (key, base, at) = (fork.key.clone(), fork.base.0.clone(), fork.origin.seq);
    let accepted = app.handle.submit(milestone, app.person(), Action::ForkRun(Box::new(fork))).await?;
    drop(one_at_a_time);
    let Reply::RunStarted { run } = accepted.reply else {
        return Err(Failure(Problem::new(Kind::General, "the engine gave no run for the fork")));
    };
    app.hand(run);
    let branch = format!("p0/{run}/main");
    let at_work = app.works();
    Ok(Json(ForkDoc { run, milestone: key, branch, base, from: row.id, at, at_work }))
}
