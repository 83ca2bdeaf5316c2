//! What every route holds, and the table of routes.
use super::{approvals, claims, edit, events, gc, health, log, peer, records, reply::Failure, runs, start, tickets};
use crate::{
    effects::clock,
    engine::handle::Handle,
    model::{actor::Actor, id::RunId},
    surface::{
        client::Client,
        config::{env, files::Configs},
        error::{Kind, Problem},
        mcp::{self, Desk, PersonDesk},
    },
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, Method, Uri},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};
use tokio::sync::watch;

/// The largest body of a request: a spec, JSON-escaped, with its overrides.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// The holder's name where an engine was started only to look.
pub(crate) const IN_THIS_PROCESS: &str = "in this process";

/// What every route holds. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    /// The engine.
    pub(crate) handle: Handle,
    /// Where configurations come from.
    pub(crate) configs: Arc<Configs>,
    /// Held while something is archived or removed: one at a time.
    pub(crate) collecting: Arc<tokio::sync::Mutex<()>>,
    /// Who holds the data directory: `p0d`, `p0 run`.
    pub(crate) holder: &'static str,
    /// The person on whose behalf this process works.
    pub(crate) user: Arc<str>,
    /// True once no more is served: streams end.
    pub(crate) closing: Arc<watch::Sender<bool>>,
    /// Held while a spec is matched with its milestone, so that two of one spec cannot make two milestones.
    pub(crate) starting: Arc<tokio::sync::Mutex<()>>,
    /// When this process began to serve.
    pub(crate) since: Instant,
    handed: Arc<Mutex<BTreeSet<RunId>>>,
}

impl App {
    /// The state of the routes over an engine.
    pub(crate) fn new(handle: Handle, configs: Configs, holder: &'static str) -> App {
        App {
            handle,
            configs: Arc::new(configs),
            collecting: Arc::default(),
            holder,
            user: env::user().into(),
            closing: Arc::new(watch::Sender::new(false)),
            starting: Arc::default(),
            since: clock::monotonic(),
            handed: Arc::default(),
        }
    }

    /// The person, as an actor.
    pub(crate) fn person(&self) -> Actor {
        Actor::Person((&*self.user).into())
    }

    /// Whether this process carries runs out, or only looks.
    pub(crate) fn works(&self) -> bool {
        self.holder != IN_THIS_PROCESS
    }

    /// Notes that this process was given a run to carry out.
    pub(crate) fn hand(&self, run: RunId) {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
    }

    /// The runs this process was given.
    pub(crate) fn handed(&self) -> Vec<RunId> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Why the process `pid` may not use the main socket, if it may not: it belongs to an attempt.
    pub(crate) async fn refuse_attempts(&self, pid: i32) -> Option<Problem> {
        peer::refuse(&self.handle, pid).await
    }
}

/// Every route of the main socket.
pub(crate) fn routes(app: App) -> Router {
    let api = Router::new()
        .route("/runs", get(runs::list).post(start::start))
        .route("/runs/{run}", get(runs::status))
        .route("/runs/{run}/tickets", get(tickets::of_run))
        .route("/runs/{run}/pause", post(runs::pause))
        .route("/runs/{run}/resume", post(runs::resume))
        .route("/runs/{run}/cancel", post(runs::cancel))
        .route("/runs/{run}/replay", get(records::replay))
        .route("/runs/{run}/diff", get(records::diff))
        .route("/runs/{run}/export", get(records::export))
        .route("/runs/{run}/fork", post(records::fork))
        .route("/imports", post(records::import))
        .route("/head", get(records::head))
        .route("/gc", post(gc::gc))
        .route("/runs/{run}/graph", get(runs::graph))
        .route("/tickets", get(tickets::list).post(edit::create))
        .route("/tickets/status", post(edit::statuses))
        .route("/tickets/{ticket}", get(tickets::show))
        .route("/tickets/{ticket}/status", post(edit::status))
        .route("/tickets/{ticket}/comment", post(edit::comment))
        .route("/tickets/{ticket}/files", post(edit::files))
        .route("/tickets/{ticket}/depends", post(edit::depends))
        .route("/tickets/{ticket}/claim", post(claims::claim))
        .route("/tickets/{ticket}/heartbeat", post(claims::heartbeat))
        .route("/tickets/{ticket}/release", post(claims::release))
        .route("/tickets/{ticket}/answer", post(approvals::answer_ticket))
        .route("/approvals", get(approvals::list))
        .route("/approvals/{approval}/approve", post(approvals::approve))
        .route("/approvals/{approval}/reject", post(approvals::reject))
        .route("/claims", post(claims::claim_next))
        .route("/quarantined", get(runs::quarantined))
        .route("/retrying", get(runs::retrying))
        .route("/ready", get(tickets::ready))
        .route("/events", get(events::events))
        .route("/attempts/{attempt}/log", get(log::of_attempt))
        .route("/logs/{name}", get(log::of_name));
    let api = Router::new().nest("/api/v1", api);
    let desk = Desk::Person(PersonDesk::here(Client::Local(api.clone().with_state(app.clone()))));
    Router::new()
        .merge(api)
        .route_service("/mcp", mcp::service(desk))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::map_response(version))
        .with_state(app)
}

async fn nowhere(method: Method, uri: Uri) -> Failure {
    Failure(Problem::new(Kind::NotFound, format!("there is no {method} {}", uri.path())))
}

async fn version(response: Response) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert("p0-version", HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    response
}
