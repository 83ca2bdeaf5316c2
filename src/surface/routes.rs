//! Every route of the main socket.
use super::{
    api::{app::App, health, reply::Failure, routes::routes as api_routes},
    client::Client,
    mcp::{self, Desk, PersonDesk},
};
use crate::service::problem::{Kind, Problem};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, Method, Uri},
    middleware,
    response::{IntoResponse, Response},
    routing::get,
};

/// The largest body of a request: a spec, JSON-escaped, with its overrides.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// The routes over an engine.
pub(crate) fn routes(app: App) -> Router {
    let api = api_routes();
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
