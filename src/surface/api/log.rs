//! What an attempt's program prints: the spool file while it is there, the transcript's blob afterwards.
use super::{
    app::App,
    reply::{Asked, Failure},
};
use crate::{
    contract::{
        endpoints::{GetAttemptLog, GetLog},
        logs::LogQuery,
    },
    engine::handle::Handle,
    model::{
        attempt::Phase,
        event::Event,
        id::{AttemptId, MilestoneId},
        record::Record,
    },
    process,
    sandbox::Redacting,
    service::{
        background::blocking,
        names,
        problem::{Kind, Problem},
    },
};
use axum::{
    body::{Body, Bytes},
    extract::{Path, State},
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::stream;
use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    time::Duration,
};
use tokio::sync::watch;

/// Bytes sent at once.
const PIECE_BYTES: usize = 64 * 1024;
/// How often a growing file is looked at while somebody follows it.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// The output of an attempt.
pub(crate) async fn of_attempt(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(which): Asked<GetAttemptLog>,
) -> Result<Response, Failure> {
    let (milestone, attempt) = names::attempt(&app.service.handle, &name)?;
    output(&app, milestone, attempt, &which).await
}

/// The output of a ticket's newest attempt, or of an attempt.
pub(crate) async fn of_name(
    State(app): State<App>,
    Path(name): Path<String>,
    Asked(which): Asked<GetLog>,
) -> Result<Response, Failure> {
    let found = match names::ticket(&app.service.handle, &name) {
        Ok(found) => found,
        Err(not_a_ticket) => match names::attempt(&app.service.handle, &name) {
            Ok((milestone, attempt)) => return output(&app, milestone, attempt, &which).await,
            // A name with a key is meant as a ticket, and that is what the answer should speak of.
            Err(_) if name.contains(|c: char| c.is_ascii_uppercase()) => return Err(Failure(not_a_ticket)),
            Err(not_an_attempt) => return Err(Failure(not_an_attempt)),
        },
    };
    let Some(attempt) = found.ticket().attempts.last() else {
        let problem = Problem::new(Kind::NotFound, format!("{} has no attempt yet", found.id));
        return Err(Failure(problem.hint(format!("see why with `p0 ticket show {}`", found.id))));
    };
    output(&app, found.milestone, *attempt, &which).await
}

async fn output(app: &App, milestone: MilestoneId, attempt: AttemptId, which: &LogQuery) -> Result<Response, Failure> {
    let name = match which.stream.as_deref() {
        None | Some("stdout") => "stdout",
        Some("stderr") => "stderr",
        Some(other) => {
            let text = format!("there is no output '{other}'; there are: stdout, stderr");
            return Err(Failure(Problem::new(Kind::Usage, text)));
        }
    };
    let follow = which.follow.as_deref().is_some_and(|word| !matches!(word, "false" | "0"));
    let path = app.service.handle.attempt_dir(attempt).join(name);
    let tail = Tail {
        handle: app.service.handle.clone(),
        closing: app.closing.subscribe(),
        milestone,
        attempt,
        path: path.clone(),
        at: which.from,
        follow,
        clean: None,
    };
    let body = if path.exists() || (follow && tail.runs()) {
        Body::from_stream(stream::unfold(tail, |mut tail| async move {
            match tail.next_piece().await {
                Ok(Some(piece)) => Some((Ok(piece), tail)),
                Ok(None) => None,
                Err(e) => {
                    tail.follow = false;
                    Some((Err(e), tail))
                }
            }
        }))
    } else {
        let (handle, from) = (app.service.handle.clone(), which.from);
        Body::from(blocking(move || kept(&handle, milestone, attempt, name, from)).await?)
    };
    let mut response = body.into_response();
    let kind = HeaderValue::from_static("application/octet-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    if let Ok(id) = HeaderValue::from_str(&attempt.to_string()) {
        response.headers_mut().insert("p0-attempt", id);
    }
    Ok(response)
}

struct Tail {
    handle: Handle,
    closing: watch::Receiver<bool>,
    milestone: MilestoneId,
    attempt: AttemptId,
    path: PathBuf,
    at: u64,
    follow: bool,
    /// Leaves secrets out; there once there is something to read.
    clean: Option<Redacting>,
}

impl Tail {
    async fn next_piece(&mut self) -> std::io::Result<Option<Bytes>> {
        loop {
            // Asked before reading: what is written until its end is then read as well.
            let runs = self.runs();
            let piece = self.read()?;
            if !piece.is_empty() {
                self.at += piece.len() as u64;
                let piece = self.redacting().next(&piece);
                if !piece.is_empty() {
                    return Ok(Some(piece.into()));
                }
                continue;
            }
            if !self.follow || !runs {
                let rest = self.redacting().rest();
                return Ok((!rest.is_empty()).then(|| rest.into()));
            }
            tokio::select! {
                _ = self.closing.wait_for(|closing| *closing) => return Ok(None),
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
        }
    }

    fn redacting(&mut self) -> &mut Redacting {
        let dir = self.path.parent().unwrap_or(&self.path);
        self.clean.get_or_insert_with(|| process::redactor(dir).pieces())
    }

    fn read(&self) -> std::io::Result<Vec<u8>> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        file.seek(SeekFrom::Start(self.at))?;
        let mut piece = Vec::new();
        file.take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
        Ok(piece)
    }

    /// Whether its program runs, or will.
    fn runs(&self) -> bool {
        let state = self.handle.aggregate(self.milestone).ok().flatten();
        let attempt = state.and_then(|state| state.attempts.get(&self.attempt).cloned());
        attempt.is_some_and(|attempt| matches!(attempt.phase, Phase::Starting | Phase::Running { .. }))
    }
}

/// What the log keeps of the output of an attempt that is over.
fn kept(
    handle: &Handle,
    milestone: MilestoneId,
    attempt: AttemptId,
    name: &str,
    from: u64,
) -> Result<Vec<u8>, Problem> {
    let missing = || Problem::new(Kind::NotFound, format!("attempt {attempt} has no output"));
    let Some(Event::AttemptExited { report }) = exit_of(handle, milestone, attempt)? else { return Err(missing()) };
    let bytes = match (name, &report.transcript) {
        ("stderr", _) => report.stderr_tail.into_bytes(),
        (_, Some(blob)) => handle.blob(milestone, blob)?,
        // An agent may have nothing to say.
        (_, None) if report.stdout_bytes == 0 => Vec::new(),
        (_, None) => return Err(missing()),
    };
    let from = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    Ok(bytes[from..].to_vec())
}

fn exit_of(handle: &Handle, milestone: MilestoneId, attempt: AttemptId) -> Result<Option<Event>, Problem> {
    let catalog = handle.catalog();
    let first = catalog.runs_of(milestone).next().transpose()?.map_or(1, |run| run.seq);
    let is_exit = |record: &Record| record.attempt == Some(attempt) && record.kind == "attempt.exited";
    let found = handle.find_record(milestone, first, is_exit)?;
    found.map(|record| record.to_draft().map(|draft| draft.event)).transpose().map_err(|e| Problem::general(&e))
}
