//! Asking a person, through the attempt's socket. Whatever goes wrong is a no.
use crate::contract::{
    approvals::ApprovalWait,
    endpoints::{GetOwnApproval, Say},
};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, Request,
    body::Bytes,
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::UnixStream;

/// How long the engine may hold back the answer to one look at a question, in seconds.
const WAIT_S: u64 = 20;
/// How long one answer of the engine is waited for: it holds one back for up to [`WAIT_S`].
const PATIENCE: Duration = Duration::from_secs(40);
/// The longest answer that is read, in bytes.
const LONGEST: usize = 64 * 1024;
/// Failures in a row after which nobody will come back: an agent outlives its engine, and so does its question, which the
/// next engine answers.
const TRIES: u32 = 60;
/// Tries to connect, a second apart, of which each request makes so many.
const CONNECTS: u32 = 20;

/// The attempt's socket.
#[derive(Debug, Clone)]
pub(super) struct AttemptClient {
    socket: PathBuf,
    token: String,
}

/// What a person said.
#[derive(Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) allowed: bool,
    pub(super) why: String,
}

impl Answer {
    fn no(why: impl Into<String>) -> Self {
        Self { allowed: false, why: why.into() }
    }
}

impl AttemptClient {
    /// The socket that the attempt's variables name.
    pub(super) fn of(own: &BTreeMap<String, String>) -> Option<AttemptClient> {
        let value = |name: &str| own.get(name).filter(|value| !value.is_empty());
        Some(AttemptClient { socket: value("P0_SOCKET")?.into(), token: value("P0_TOKEN")?.clone() })
    }

    /// Asks whether `tool` may be used on `target`, and waits for the answer; `waiting` hears again and again that
    /// there is none yet. The engine answers no by itself when nobody does in time.
    pub(super) async fn ask(&self, tool: &str, target: &str, why: &str, waiting: impl Fn(&str)) -> Answer {
        let question = json!({ "type": "ask", "tool": tool, "target": target, "why": why });
        let reply = match self.request(Method::POST, Say::at().uri(), Some(&question)).await {
            Ok(reply) => reply,
            Err(why) => return Answer::no(format!("nobody could be asked: {why}")),
        };
        let text = |name: &str| reply.get(name).and_then(Value::as_str);
        if let Some(why) = text("why") {
            return Answer::no(why);
        }
        let Some(id) =
            text("approval").filter(|id| id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'))
        else {
            return Answer::no("nobody could be asked: the engine named no approval");
        };
        let call = GetOwnApproval::at(id).query(&ApprovalWait { wait_s: Some(WAIT_S) });
        let mut failures = 0;
        loop {
            match self.request(Method::GET, call.uri(), None).await {
                Ok(approval) => {
                    failures = 0;
                    let reason = approval.get("reason").and_then(Value::as_str).unwrap_or_default();
                    match approval.get("state").and_then(Value::as_str) {
                        Some("allowed") => return Answer { allowed: true, why: said("allowed", id, reason) },
                        Some("open") => waiting(id),
                        _ => return Answer::no(said("denied", id, reason)),
                    }
                }
                Err(why) => {
                    failures += 1;
                    if failures == TRIES {
                        return Answer::no(format!("approval {id}: no answer: {why}"));
                    }
                    waiting(id);
                    tokio::time::sleep(Duration::from_secs(1)).await;
                }
            }
        }
    }

    /// The stream to the engine; one that is just being started again is waited for.
    async fn connect(&self) -> std::io::Result<UnixStream> {
        let mut tries = 1;
        loop {
            match UnixStream::connect(&self.socket).await {
                Err(_) if tries < CONNECTS && self.socket.parent().is_some_and(Path::is_dir) => tries += 1,
                done => return done,
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn request(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let whole = tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await;
        whole.unwrap_or_else(|_| Err("the engine took too long".to_owned()))
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value, String> {
        let words = |error: &dyn std::fmt::Display| error.to_string();
        let stream = self.connect().await.map_err(|e| words(&e))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| words(&e))?;
        let task = tokio::spawn(connection);
        let body = body.map(Value::to_string).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "p0")
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| words(&e))?;
        let response = sender.send_request(request).await.map_err(|e| words(&e))?;
        let status = response.status();
        let bytes = Limited::new(response.into_body(), LONGEST).collect().await.map_err(|e| e.to_string())?.to_bytes();
        task.abort();
        if !status.is_success() {
            return Err(format!("the engine answered {status}"));
        }
        serde_json::from_slice(&bytes).map_err(|e| words(&e))
    }
}

fn said(word: &str, id: &str, reason: &str) -> String {
    if reason.is_empty() { format!("{word} by {id}") } else { format!("{word} by {id}: {reason}") }
}
