//! The record of a run: lived again, compared with itself, taken out and in, gone on from; and the head of the log.
use super::{
    app::App,
    reply::{Answer, Asked, Caller, Failure, Input, answer},
};
use crate::{
    contract::endpoints::{DiffRun, ForkRun, GetHead, ImportRun, ReplayRun},
    service::{names, problem::Problem},
};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use std::io::{self, Write};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Bytes sent at once, and pieces that may wait for a slow reader.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES: usize = 8;

/// Re-decides a run from its record.
pub(crate) async fn replay(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<ReplayRun>,
) -> Answer<ReplayRun> {
    answer(app.service.replay(&name, &query).await)
}

/// What differs between the states at two points.
pub(crate) async fn diff(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(query): Asked<DiffRun>,
) -> Answer<DiffRun> {
    answer(app.service.differences(&name, &query.span).await)
}

/// Where the log ends.
pub(crate) async fn head(State(app): State<App>) -> Answer<GetHead> {
    Ok(Json(app.service.head()))
}

/// Takes a run of another data directory in.
pub(crate) async fn import(
    State(app): State<App>,
    Caller(who): Caller,
    Input(wish): Input<ImportRun>,
) -> Answer<ImportRun> {
    answer(app.service.import(&who, wish).await)
}

/// Goes on from the state a run had at one event.
pub(crate) async fn fork(
    State(app): State<App>,
    Path(name): Path<String>,
    Caller(who): Caller,
    Input(wish): Input<ForkRun>,
) -> Answer<ForkRun> {
    answer(app.service.fork(&who, &name, wish).await)
}

/// A run as a file.
pub(crate) async fn export(State(app): State<App>, Path(name): Path<String>) -> Result<Response, Failure> {
    let run = names::record(&app.service.handle, &name)?;
    let (pieces, mut sent) = mpsc::channel(PIECES);
    tokio::task::spawn_blocking(move || {
        if let Err(e) = app.service.export(run, Pipe { pieces: pieces.clone(), kept: Vec::new() }) {
            tracing::warn!("exporting run {run}: {e}");
            // Whoever asked may be gone.
            let _ = pieces.blocking_send(Err(e));
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
