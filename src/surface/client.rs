//! Requests to `/api/v1/…`, wherever they are answered: over the holder's socket, through an attempt's socket, or by the
//! routes of an engine in this process.
use super::socket;
use crate::{
    contract::{
        endpoint::{self, Call, Endpoint},
        endpoints::Healthz,
        events::StreamFailure,
        problem::ProblemDoc,
    },
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
use serde::de::DeserializeOwned;
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
    /// Through the socket of the attempt that this process belongs to.
    Attempt {
        /// The socket.
        socket: PathBuf,
        /// What opens it.
        token: String,
    },
}

impl Client {
    /// Whether this process works for an attempt.
    pub(crate) fn is_attempt(&self) -> bool {
        matches!(self, Client::Attempt { .. })
    }

    /// Whether somebody answers.
    pub(crate) async fn is_alive(&self) -> bool {
        // A refusal is an answer: who may not use this socket is told so, and not that nobody serves it.
        let answer = tokio::time::timeout(ALIVE_WITHIN, self.document(Healthz::at())).await;
        answer.is_ok_and(|answer| answer.map_or_else(|problem| problem.kind == Kind::Refused, |_| true))
    }

    /// The answer to a call without a body.
    pub(crate) async fn get<E: Endpoint<Body = ()>>(&self, call: Call<E>) -> Result<E::Answer, Problem> {
        self.read(&call, None).await
    }

    /// The answer as it comes, with what this version does not know.
    pub(crate) async fn document<E: Endpoint<Body = ()>>(&self, call: Call<E>) -> Result<Value, Problem> {
        self.read(&call, None).await
    }

    /// The answer to a call with a body.
    pub(crate) async fn post<E: Endpoint>(&self, call: Call<E>, body: &E::Body) -> Result<E::Answer, Problem> {
        self.read(&call, Some(body)).await
    }

    async fn read<E: Endpoint, T: DeserializeOwned>(
        &self,
        call: &Call<E>,
        body: Option<&E::Body>,
    ) -> Result<T, Problem> {
        let response = self.send(call, body, "application/json").await?;
        let bytes = collect(response).await?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Problem::new(Kind::General, format!("the answer to {} is not understood: {e}", call.uri())))
    }

    /// An answer that comes in pieces: its lines, as they come.
    pub(crate) async fn lines<E: Endpoint<Body = ()>>(&self, call: Call<E>) -> Result<Lines, Problem> {
        let response = self.send(&call, None, "application/x-ndjson").await?;
        Ok(Lines { body: response.into_body(), rest: Vec::new(), at: 0, is_gone: false })
    }

    async fn send<E: Endpoint>(
        &self,
        call: &Call<E>,
        body: Option<&E::Body>,
        accept: &str,
    ) -> Result<Response<Body>, Problem> {
        let method = match E::METHOD {
            endpoint::Method::Get => Method::GET,
            endpoint::Method::Post => Method::POST,
        };
        let mut request = Request::builder().method(method).uri(call.uri()).header(header::HOST, "p0");
        request = request.header(header::ACCEPT, accept);
        if let Client::Attempt { token, .. } = self {
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
            Client::Attempt { socket, .. } => tokio::net::UnixStream::connect(socket).await,
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
const STREAM_FAILURE: &[u8] = b"{\"problem\":";

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
    let last = line.starts_with(STREAM_FAILURE).then(|| serde_json::from_slice::<StreamFailure>(&line));
    match last {
        Some(Ok(last)) => Err(Problem::from_wire(last.problem)),
        Some(Err(_)) | None => Ok(Some(line)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract::endpoints::{GetHead, ListRuns, StreamEvents},
        surface::{api::reply::Failure, route_table::Routes},
    };

    fn routes(lines: String) -> Router {
        Routes::new()
            .on(StreamEvents, move || async move { lines })
            .on(GetHead, || async { Failure(Problem::new(Kind::Refused, "no")) })
            .into_router()
            .with_state(())
    }

    #[tokio::test]
    async fn lines_and_problems_come_through() {
        let client = Client::Local(routes("one\ntwo\n\nthree".into()));
        let mut lines = client.lines(StreamEvents::at()).await.unwrap();
        let mut seen = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            seen.push(String::from_utf8(line).unwrap());
        }
        assert_eq!(seen, ["one", "two", "", "three"]);
        assert_eq!(client.get(GetHead::at()).await.unwrap_err(), Problem::new(Kind::Refused, "no"));
        assert_eq!(client.get(ListRuns::at()).await.unwrap_err().kind, Kind::NotFound);
    }

    fn stream_failure() -> String {
        let problem = Problem::new(Kind::Store, "it is damaged").hint("restore it").wire();
        serde_json::to_string(&StreamFailure { problem }).unwrap()
    }

    #[tokio::test]
    async fn an_answer_that_could_not_be_given_to_its_end_says_why() {
        let client = Client::Local(routes(format!("one\n{}\n", stream_failure())));
        let mut lines = client.lines(StreamEvents::at()).await.unwrap();
        assert_eq!(lines.next().await.unwrap().unwrap(), b"one");
        let problem = lines.next().await.unwrap_err();
        assert_eq!((problem, lines.is_gone()), (Problem::new(Kind::Store, "it is damaged").hint("restore it"), false));
    }

    #[tokio::test]
    async fn the_same_over_a_socket() {
        let dir = tempfile::tempdir().unwrap();
        let (listener, _file) = socket::bind(dir.path(), socket::MAIN).unwrap();
        tokio::spawn(async move { axum::serve(listener, routes("one\ntwo".into())).await });
        let client = Client::Socket(dir.path().to_path_buf());
        assert_eq!(client.lines(StreamEvents::at()).await.unwrap().next().await.unwrap().unwrap(), b"one");
        assert_eq!(client.get(GetHead::at()).await.unwrap_err().kind, Kind::Refused);
    }
}
