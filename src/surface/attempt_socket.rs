//! The socket of one attempt: a socket that takes only what an attempt may do, and only with its token. What its role
//! may say is the kernel's business; whatever is no saying and no looking at its own milestone is refused here and put
//! on record.
use super::{
    api::{
        events,
        reply::{Answer, Asked, Failure, RawInput, answer},
    },
    client::Client,
    mcp::{self, AttemptTools, ToolService},
    route_table::Routes,
    socket::{self, MAX_PATH_BYTES, SocketFile},
};
use crate::{
    contract::{
        attempts::AttemptNow,
        endpoints::{
            GetOwnApproval, GetOwnAttempt, GetTicket, Healthz, ListLearnings, ListTickets, Mcp, RefuseTool, Say,
            StreamEvents,
        },
        health::HealthDoc,
    },
    engine::handle::{AttemptSocketHost, Handle},
    model::{
        attempt::Attempt,
        command::Action,
        files::Files,
        id::{AttemptId, MilestoneId},
        protocol::{LearningInput, Message},
        settings::AgentKind,
    },
    process,
    reader::{Reading, Unreadable, read_message},
    service::{
        approvals,
        background::blocking,
        history, names,
        principal::Principal,
        problem::{Kind, Problem},
        project, tickets, token,
    },
};
use axum::{
    Json, Router,
    extract::{Path as Part, Request, State},
    http::{HeaderMap, Method, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{sync::watch, task::JoinHandle};

/// Requests with a wrong token that are put on record, for each socket.
const MOST_GUESSES: u32 = 20;

/// Every open socket. The engine opens them; they lead to the engine once it is attached.
pub(crate) struct AttemptSockets {
    dir: PathBuf,
    runtime: tokio::runtime::Handle,
    engine: watch::Sender<Option<Handle>>,
    open: Mutex<BTreeMap<AttemptId, (JoinHandle<()>, SocketFile)>>,
}

impl AttemptSockets {
    /// AttemptSockets for the attempts of a data directory. Needs a tokio runtime.
    pub(crate) fn new(data_dir: &Path) -> AttemptSockets {
        AttemptSockets {
            dir: door_dir(data_dir),
            runtime: tokio::runtime::Handle::current(),
            engine: watch::Sender::new(None),
            open: Mutex::default(),
        }
    }

    /// Lets requests through. Those that came before wait for this: an attempt that was adopted may already ask.
    pub(crate) fn attach(&self, handle: Handle) {
        self.engine.send_replace(Some(handle));
        self.sweep();
    }

    /// Removes what an engine that was killed left behind: sockets that nobody serves.
    fn sweep(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let served: Vec<String> = open.keys().map(|attempt| door_name(*attempt)).collect();
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.ends_with(".sock") && !served.contains(&name) {
                // One that cannot be removed is in nobody's way: it is bound anew when its name is needed.
                let _ = std::fs::remove_file(entry.path());
            }
        }
    }
}

/// In the data directory; where that lies too deep for other programs to connect to, in the system's temporary one.
fn door_dir(data_dir: &Path) -> PathBuf {
    let near = data_dir.join("s");
    if near.join("0123456789ab.sock").as_os_str().len() <= MAX_PATH_BYTES {
        return near;
    }
    let mark = blake3::hash(data_dir.as_os_str().as_encoded_bytes()).to_hex();
    std::env::temp_dir().join(format!("p0-{}-{}", rustix::process::getuid().as_raw(), &mark[..12]))
}

/// Makes the folder, mode 0700; somebody else's folder in a shared place is refused.
fn make_dir(dir: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        Ok(()) | Err(_) => {}
    }
    let meta = std::fs::symlink_metadata(dir)?;
    if !meta.is_dir() || meta.uid() != rustix::process::getuid().as_raw() || meta.mode() & 0o077 != 0 {
        let text = format!("{} is not a folder of this user alone (mode 0700); remove it", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    Ok(())
}

/// The socket's name: the random digits of the id, not those that tell the time.
fn door_name(attempt: AttemptId) -> String {
    let digits = attempt.0.simple().to_string();
    format!("{}.sock", &digits[digits.len() - 12..])
}

impl AttemptSocketHost for AttemptSockets {
    fn open(&self, attempt: AttemptId, token_hash: &str) -> io::Result<PathBuf> {
        let _in_runtime = self.runtime.enter();
        make_dir(&self.dir)?;
        let name = door_name(attempt);
        let (listener, file) = socket::bind(&self.dir, &name)?;
        let attempt_socket = AttemptSocket {
            attempt,
            token_hash: token_hash.into(),
            engine: self.engine.subscribe(),
            guesses: Arc::default(),
        };
        let routes = routes(attempt_socket);
        let task = self.runtime.spawn(async move {
            if let Err(e) = axum::serve(listener, routes).await {
                tracing::error!("serving the socket of {attempt} ended: {e}");
            }
        });
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((old, _)) = open.insert(attempt, (task, file)) {
            old.abort();
        }
        Ok(self.dir.join(name))
    }

    fn close(&self, attempt: AttemptId) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((task, file)) = open.remove(&attempt) {
            task.abort();
            file.remove();
        }
    }
}

#[derive(Clone)]
struct AttemptSocket {
    attempt: AttemptId,
    token_hash: Arc<str>,
    engine: watch::Receiver<Option<Handle>>,
    /// Requests with a wrong token, or none.
    guesses: Arc<AtomicU32>,
}

fn routes(attempt_socket: AttemptSocket) -> Router {
    let closed =
        |routes: Routes<AttemptSocket>| routes.into_router().fallback(refused).method_not_allowed_fallback(refused);
    let tools =
        ToolService::Attempt(AttemptTools::new(Client::Local(closed(own_routes()).with_state(attempt_socket.clone()))));
    let all = own_routes().on_service(Mcp, mcp::service(tools));
    closed(all).with_state(attempt_socket.clone()).layer(middleware::from_fn_with_state(attempt_socket, check_token))
}

fn own_routes() -> Routes<AttemptSocket> {
    Routes::new()
        .on(GetOwnAttempt, now)
        .on(Say, say)
        .on(ListLearnings, learnings)
        .on(GetOwnApproval, approval)
        .on(RefuseTool, refused)
        .on(ListTickets, list)
        .on(GetTicket, show)
        .on(StreamEvents, events_of_run)
        .on(Healthz, healthz)
}

async fn healthz() -> Answer<Healthz> {
    Ok(Json(HealthDoc { status: "ok".to_owned(), holder: None, pid: None, version: None }))
}

impl AttemptSocket {
    async fn engine(&self) -> Result<Handle, Failure> {
        let mut engine = self.engine.clone();
        let stopped = || Failure(Problem::new(Kind::Store, "the engine has stopped"));
        let attached = engine.wait_for(Option::is_some).await.map_err(|_| stopped())?;
        attached.clone().ok_or_else(stopped)
    }

    /// The engine, the attempt's milestone, and the attempt.
    async fn own(&self) -> Result<(Handle, MilestoneId, Arc<Attempt>), Failure> {
        let handle = self.engine().await?;
        let missing = || Failure(Problem::new(Kind::NotFound, format!("there is no attempt '{}'", self.attempt)));
        let milestone = handle.catalog().attempt(self.attempt)?.ok_or_else(missing)?;
        let state = names::state(&handle, milestone)?;
        let attempt = state.attempts.get(&self.attempt).cloned().ok_or_else(missing)?;
        Ok((handle, milestone, attempt))
    }

    /// Puts a refused request on record.
    async fn note(&self, what: String, why: &str) -> Failure {
        if let Ok((handle, milestone, attempt)) = self.own().await {
            let actor = principal(&attempt).actor();
            let action = Action::NoteRefusedRequest { attempt: self.attempt, what, why: why.to_owned() };
            if let Err(e) = handle.submit(milestone, actor, action).await {
                tracing::warn!("a refused request of {} could not be put on record: {e}", self.attempt);
            }
        }
        Failure(Problem::new(Kind::Refused, why))
    }
}

/// Who asks with the token of a socket: its attempt.
fn principal(attempt: &Attempt) -> Principal {
    Principal::Attempt(attempt.id, attempt.role.clone())
}

async fn check_token(
    State(attempt_socket): State<AttemptSocket>,
    headers: HeaderMap,
    request: Request,
    next: Next,
) -> Response {
    let shown =
        headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()).and_then(|v| v.strip_prefix("Bearer "));
    match shown {
        Some(shown) if token::fits(shown.trim(), &attempt_socket.token_hash) => next.run(request).await,
        Some(_) | None => {
            let why = "this socket opens to the token of its attempt only";
            // Before the engine is attached there is no log to write to, and a flood of guesses is one try.
            if attempt_socket.engine.borrow().is_some()
                && attempt_socket.guesses.fetch_add(1, Ordering::Relaxed) < MOST_GUESSES
            {
                attempt_socket.note("a request without the token of this socket".to_owned(), why).await;
            }
            let problem = Problem::new(Kind::Refused, why);
            Failure(problem.hint("send `Authorization: Bearer $P0_TOKEN`")).into_response()
        }
    }
}

async fn refused(State(attempt_socket): State<AttemptSocket>, method: Method, uri: Uri) -> Failure {
    attempt_socket
        .note(format!("{method} {}", uri.path()), "an attempt may only speak for itself and look at its own milestone")
        .await
}

async fn say(
    State(attempt_socket): State<AttemptSocket>,
    Asked(meant): Asked<Say>,
    RawInput(said): RawInput,
) -> Answer<Say> {
    let message = read(&said)?;
    let (handle, milestone, attempt) = attempt_socket.own().await?;
    if let Some(name) = meant.ticket {
        let own = attempt.ticket.as_ref().map(ToString::to_string);
        if own.as_deref() != Some(name.to_uppercase().as_str()) && name != "@mine" {
            let what = format!("{} of {name}", message.word());
            return Err(attempt_socket.note(what, "an attempt speaks for its own ticket only").await);
        }
    }
    let driven = names::state(&handle, milestone)?
        .runs
        .get(&attempt.run)
        .is_some_and(|run| run.settings.agents.get(&attempt.agent).is_some_and(|agent| agent.kind == AgentKind::Cli));
    if driven && message.is_a_drivers() {
        return Err(attempt_socket
            .note(message.word().to_owned(), "only what drives the agent says that, and not here")
            .await);
    }
    // What answers the agent's own program is a part of it, and so is what it says about its answers.
    let message = match message {
        Message::Permission { tool, target, allowed, why } => {
            Message::Permission { tool, target, allowed, why: format!("its program says: {why}") }
        }
        other => other,
    };
    let message = without_secrets(&handle.attempt_dir(attempt_socket.attempt), message)?;
    let actor = principal(&attempt).actor();
    let paths = match &message {
        Message::RequestFiles { create, modify, .. } => {
            let files = Files { create: create.clone(), modify: modify.clone() };
            let root = names::state(&handle, milestone)?.milestone.as_ref().map(|m| m.project.clone());
            let base = attempt.base.0.clone();
            let looked =
                blocking(move || project::path_facts(Path::new(&root.unwrap_or_default()), Some(&base), &files));
            looked.await.unwrap_or_else(|why| {
                // What cannot be looked up says nothing; what is made of it is looked at in the harvest.
                tracing::warn!("looking at the files that attempt {} asks for: {why}", attempt_socket.attempt);
                Vec::new()
            })
        }
        _ => Vec::new(),
    };
    let action = Action::AttemptSaid { attempt: attempt_socket.attempt, line: 0, part: 0, message, paths };
    Ok(Json(handle.submit(milestone, actor, action).await?.reply))
}

/// A message of the protocol, read as tolerantly as a line of output.
fn read(said: &Value) -> Result<Message, Failure> {
    let why = match read_message(said) {
        Reading::Message { message, .. } => return Ok(message),
        Reading::Unreadable(Unreadable { what, why }) if Message::is_word(&what) => {
            format!("the {what} cannot be read: {why}")
        }
        Reading::Unreadable(Unreadable { why, .. }) => why,
        Reading::Log => "a message is an object with a `type`".to_owned(),
    };
    let hint = "send one message as docs/agents.md describes it, such as {\"type\":\"comment\",\"text\":\"…\"}";
    Err(Failure(Problem::new(Kind::Usage, why).hint(hint)))
}

async fn now(State(attempt_socket): State<AttemptSocket>) -> Answer<GetOwnAttempt> {
    let (handle, milestone, attempt) = attempt_socket.own().await?;
    let state = names::state(&handle, milestone)?;
    let ticket = attempt.ticket.as_ref().and_then(|id| state.tickets.get(id));
    Ok(Json(AttemptNow {
        attempt: attempt.id,
        role: attempt.role.0.clone(),
        rights: attempt.rights,
        run: attempt.run,
        iteration: attempt.iteration,
        round: attempt.round,
        ticket: attempt.ticket.clone(),
        files: ticket.map(|t| t.seed.files.clone()).unwrap_or_default(),
        staged: attempt.staged.clone(),
    }))
}

/// What was learned, but for what a planner dropped.
async fn learnings(State(attempt_socket): State<AttemptSocket>) -> Answer<ListLearnings> {
    let (handle, milestone, _) = attempt_socket.own().await?;
    let state = names::state(&handle, milestone)?;
    let kept = state.learnings.iter().filter(|(_, learning)| learning.curated != Some(false));
    Ok(Json(kept.map(|(id, learning)| LearningInput { id: id.0.clone(), text: learning.text.clone() }).collect()))
}

/// The message as it may be kept.
fn without_secrets(dir: &Path, message: Message) -> Result<Message, Failure> {
    let (redactor, mut counts) = (process::redactor(dir), BTreeMap::new());
    let bad = |e: serde_json::Error| Failure(Problem::general(&e));
    let clean = redactor.redact_value(message, &|_| true, &mut counts);
    if !counts.is_empty() {
        process::note_redacted(dir, &counts);
    }
    clean.map_err(bad)
}

/// A question that this attempt asked, once it is answered, or as it stands when `wait_s` is over.
async fn approval(
    State(attempt_socket): State<AttemptSocket>,
    Part(id): Part<String>,
    Asked(patience): Asked<GetOwnApproval>,
) -> Answer<GetOwnApproval> {
    let (handle, milestone, attempt) = attempt_socket.own().await?;
    match approvals::wait_for(&handle, (milestone, attempt.id), &id, &patience).await? {
        Some(doc) => Ok(Json(doc)),
        None => {
            let problem = Problem::new(Kind::NotFound, format!("this attempt asked no question '{id}'"));
            Err(Failure(problem))
        }
    }
}

async fn list(State(attempt_socket): State<AttemptSocket>) -> Answer<ListTickets> {
    let (handle, milestone, _) = attempt_socket.own().await?;
    answer(tickets::of_milestone(&handle, milestone))
}

async fn show(State(attempt_socket): State<AttemptSocket>, Part(name): Part<String>) -> Answer<GetTicket> {
    let (handle, milestone, attempt) = attempt_socket.own().await?;
    let name = match (&attempt.ticket, name.as_str()) {
        (Some(own), "@mine") => own.to_string(),
        (None | Some(_), _) => name,
    };
    let found = names::ticket(&handle, &name)?;
    if found.milestone != milestone {
        return Err(attempt_socket.note(format!("ticket {name}"), "an attempt looks at its own milestone only").await);
    }
    Ok(Json(tickets::full(&handle, &found)))
}

async fn events_of_run(
    State(attempt_socket): State<AttemptSocket>,
    headers: HeaderMap,
    Asked(query): Asked<StreamEvents>,
) -> Result<Response, Failure> {
    let (handle, _, attempt) = attempt_socket.own().await?;
    let mut wanted = history::select(&handle, &query, events::reading(&headers))?;
    wanted.filter.run = Some(attempt.run);
    // The socket's streams end with its connection; nothing announces the end of serving to it.
    let (open, closing) = watch::channel(false);
    let response = events::stream_of(handle, closing, wanted).await?;
    drop(open);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{contract::endpoints::TABLE, surface::client::Client};

    #[tokio::test]
    async fn a_door_opens_to_its_token_only_and_closes() {
        let dir = tempfile::tempdir().unwrap();
        let attempt_sockets = AttemptSockets::new(dir.path());
        let attempt = AttemptId(uuid::Uuid::from_u128(0x1234_5678_9abc));
        let socket = attempt_sockets.open(attempt, &token::hash("right")).unwrap();
        assert_eq!(socket.file_name().unwrap(), "123456789abc.sock");
        let client = |token: &str| Client::Attempt { socket: socket.clone(), token: token.into() };
        assert!(client("right").get(Healthz::at()).await.is_ok());
        let refused = client("wrong").get(GetOwnAttempt::at()).await.unwrap_err();
        assert_eq!(refused.kind.exit_code(), 6);
        attempt_sockets.close(attempt);
        assert!(!socket.exists());
    }

    #[test]
    fn an_attempts_socket_serves_its_part_of_the_contract() {
        let tools = ToolService::Attempt(AttemptTools::new(Client::Local(Router::new())));
        let mut served = own_routes().on_service(Mcp, mcp::service(tools)).served().to_vec();
        let mut listed: Vec<&str> = TABLE.iter().filter(|e| e.is_on_attempt_socket()).map(|e| e.name).collect();
        served.sort_unstable();
        listed.sort_unstable();
        assert_eq!(served, listed);
    }

    #[test]
    fn doors_of_a_deep_directory_stand_in_the_temporary_one() {
        assert_eq!(door_dir(Path::new("/data")), Path::new("/data/s"));
        let deep = PathBuf::from("/").join("d".repeat(120));
        let dir = door_dir(&deep);
        assert!(
            dir.join("0123456789ab.sock").as_os_str().len() <= MAX_PATH_BYTES || dir.starts_with(std::env::temp_dir())
        );
        assert_ne!(dir, door_dir(Path::new("/").join("e".repeat(120)).as_path()));
    }
}
