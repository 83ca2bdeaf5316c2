//! Requests to `/api/v1/…`, wherever they are answered: over the holder's socket, through an attempt's door, or by the
//! routes of an engine in this process.
use super::socket;
use crate::{
    contract::{events::LastWords, problem::ProblemDoc},
    service::problem::{Kind, Problem},
};
use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response, StatusCode, header},
};
use futures_util::StreamExt;
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{path::PathBuf, time::Duration};
use tower::ServiceExt;

/// The largest answer that is read as one document, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024 * 1024;

/// How long the holder may take to answer a sign of life.
const ALIVE_WITHIN: Duration = Duration::from_secs(5);

/// Where requests go.
#[derive(Clone)]
pub(crate) enum Client {
    /// To the holder of this data directory.
    Socket(PathBuf),
    /// To an engine in this process.
    Local(Router),
    /// Through the door of the attempt that this process belongs to.
    Door {
        /// The socket.
        socket: PathBuf,
        /// What opens it.
        token: String,
    },
}

impl Client {
    /// Whether this process works for an attempt.
    pub(crate) fn is_door(&self) -> bool {
        matches!(self, Client::Door { .. })
    }

    /// Whether somebody answers.
    pub(crate) async fn is_alive(&self) -> bool {
        // A refusal is an answer: who may not use this socket is told so, and not that nobody serves it.
        let answer = tokio::time::timeout(ALIVE_WITHIN, self.get::<Value>("/healthz")).await;
        answer.is_ok_and(|answer| answer.map_or_else(|problem| problem.kind == Kind::Refused, |_| true))
    }

    /// A document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        self.ask(Method::GET, path, None::<&()>).await
    }

    /// A request that changes something.
    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Problem> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, Problem> {
        let response = self.send(method, path, body, "application/json").await?;
        let bytes = collect(response).await?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Problem::new(Kind::General, format!("the answer to {path} is not understood: {e}")))
    }

    /// An answer that comes in pieces: its lines, as they come.
    pub(crate) async fn lines(&self, path: &str) -> Result<Lines, Problem> {
        let response = self.send(Method::GET, path, None::<&()>, "application/x-ndjson").await?;
        Ok(Lines { body: response.into_body(), rest: Vec::new(), at: 0, is_gone: false })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        accept: &str,
    ) -> Result<Response<Body>, Problem> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "p0");
        request = request.header(header::ACCEPT, accept);
        if let Client::Door { token, .. } = self {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(serde_json::to_vec(body).map_err(|e| Problem::general(&e))?)
            }
            None => Body::empty(),
        };
        let request = request.body(body).map_err(|e| Problem::general(&e))?;
        let response = self.carry(request).await?;
        if response.status().is_success() { Ok(response) } else { Err(refusal(response).await) }
    }

    /// The answer to a request, whatever it says.
    pub(super) async fn carry(&self, request: Request<Body>) -> Result<Response<Body>, Problem> {
        let stream = match self {
            Client::Local(router) => {
                return match router.clone().oneshot(request).await {
                    Ok(response) => Ok(response),
                    Err(never) => match never {},
                };
            }
            Client::Socket(dir) => socket::connect(dir, socket::MAIN).await,
            Client::Door { socket, .. } => tokio::net::UnixStream::connect(socket).await,
        };
        let gone = |e: &dyn std::fmt::Display| {
            Problem::new(Kind::General, format!("the program that holds the data directory went away: {e}"))
                .hint("look again with `p0 status`; `p0 run` with the same spec goes on")
        };
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream.map_err(|e| {
            match e.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    Problem::new(Kind::Refused, format!("this process may not use the socket: {e}"))
                        .hint("an agent uses the socket and the token in P0_SOCKET and P0_TOKEN")
                }
                _ => gone(&e),
            }
        })?))
        .await
        .map_err(|e| gone(&e))?;
        tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(|e| gone(&e))?;
        Ok(response.map(Body::new))
    }
}

async fn collect(response: Response<Body>) -> Result<Vec<u8>, Problem> {
    let whole = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
    whole
        .map(|body| body.to_bytes().to_vec())
        .map_err(|e| Problem::new(Kind::General, format!("the answer broke off: {e}")))
}

async fn refusal(response: Response<Body>) -> Problem {
    let status = response.status();
    let bytes = collect(response).await.unwrap_or_default();
    match serde_json::from_slice::<ProblemDoc>(&bytes) {
        Ok(wire) => Problem::from_wire(wire),
        Err(_) => {
            let kind = if status == StatusCode::NOT_FOUND { Kind::NotFound } else { Kind::General };
            Problem::new(kind, format!("the engine answered {status}: {}", String::from_utf8_lossy(&bytes).trim()))
        }
    }
}

/// How such a line begins, and no other.
const LAST_WORDS: &[u8] = b"{\"problem\":";

/// The lines of an answer.
pub(crate) struct Lines {
    body: Body,
    rest: Vec<u8>,
    at: usize,
    is_gone: bool,
}

impl Lines {
    /// The next line, without its end; `None` at the end of the answer.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        loop {
            if let Some(length) = self.rest[self.at..].iter().position(|b| *b == b'\n') {
                let line = self.rest[self.at..self.at + length].to_vec();
                self.at += length + 1;
                return told(line);
            }
            self.rest.drain(..self.at);
            self.at = 0;
            match self.piece().await? {
                Some(piece) => self.rest.extend_from_slice(&piece),
                None if self.rest.is_empty() => return Ok(None),
                None => return told(std::mem::take(&mut self.rest)),
            }
        }
    }

    /// Whether the answer broke off with the connection, and not because something was wrong with what it was to hold.
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone
    }

    /// The next piece as it came.
    pub(crate) async fn piece(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        let mut pieces = (&mut self.body).into_data_stream();
        match pieces.next().await {
            Some(Ok(bytes)) => Ok(Some(bytes.to_vec())),
            Some(Err(e)) => {
                self.is_gone = true;
                Err(Problem::new(Kind::General, format!("the answer broke off: {e}")))
            }
            None => Ok(None),
        }
    }
}

/// A line, or the problem that it tells of.
fn told(line: Vec<u8>) -> Result<Option<Vec<u8>>, Problem> {
    let last = line.starts_with(LAST_WORDS).then(|| serde_json::from_slice::<LastWords>(&line));
    match last {
        Some(Ok(last)) => Err(Problem::from_wire(last.problem)),
        Some(Err(_)) | None => Ok(Some(line)),
    }
}

/// A text as a part of a path or query.
pub(crate) fn quoted(text: &str) -> String {
    use std::fmt::Write;
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@:".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    out
}

/// `?a=b&c=d` of what is there.
pub(crate) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> String {
    let mut out = String::new();
    for (name, value) in pairs {
        if let Some(value) = value {
            out.push(if out.is_empty() { '?' } else { '&' });
            out.push_str(name);
            out.push('=');
            out.push_str(&quoted(value));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;

    fn routes() -> Router {
        Router::new()
            .route("/lines", get(|| async { "one\ntwo\n\nthree" }))
            .route("/half", get(|| async { format!("one\n{}\n", last_words()) }))
            .route("/no", get(|| async { crate::surface::api::reply::Failure(Problem::new(Kind::Refused, "no")) }))
    }

    #[tokio::test]
    async fn lines_and_problems_come_through() {
        let client = Client::Local(routes());
        let mut lines = client.lines("/lines").await.unwrap();
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            seen.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(seen, ["one", "two", "", "three"]);
        assert_eq!(client.get::<Value>("/no").await.unwrap_err(), Problem::new(Kind::Refused, "no"));
        assert_eq!(client.get::<Value>("/nowhere").await.unwrap_err().kind, Kind::NotFound);
    }

    fn last_words() -> String {
        let problem = Problem::new(Kind::Store, "it is damaged").hint("restore it").wire();
        serde_json::to_string(&LastWords { problem }).unwrap()
    }

    #[tokio::test]
    async fn an_answer_that_could_not_be_given_to_its_end_says_why() {
        let client = Client::Local(routes());
        let mut lines = client.lines("/half").await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), b"one");
        let problem = lines.next().await.unwrap_err();
        assert_eq!((problem, lines.is_gone()), (Problem::new(Kind::Store, "it is damaged").hint("restore it"), false));
    }

    #[tokio::test]
    async fn the_same_over_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let (listener, _file) = socket::bind(dir.path(), socket::MAIN).unwrap();
        tokio::spawn(async move { axum::serve(listener, routes()).await });
        let client = Client::Socket(dir.path().to_path_buf());
        assert_eq!(client.lines("/lines").await.unwrap().next().await.unwrap().unwrap(), b"one");
        assert_eq!(client.get::<Value>("/no").await.unwrap_err().kind, Kind::Refused);
    }

    #[test]
    fn queries_are_quoted() {
        assert_eq!(query([("a", Some("x y&z")), ("b", None), ("c", Some("@last"))]), "?a=x%20y%26z&c=@last");
    }
}
