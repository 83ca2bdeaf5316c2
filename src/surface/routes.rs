//! Every route of the main socket.
use super::{
    api::{app::App, reply::Failure, routes::routes as api_routes},
    mcp::{self, ToolService, UserTools},
    route_table::Routes,
};
use crate::{
    contract::endpoints::Mcp,
    service::problem::{Kind, Problem},
};
use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, Method, Uri},
    middleware,
    response::{IntoResponse, Response},
};

/// The largest body of a request: a spec, JSON-escaped, with its overrides.
const MAX_BODY_BYTES: usize = 8 * 1024 * 1024;

/// The routes over an engine. Each request needs a [`crate::service::principal::Principal`] among its extensions.
pub(crate) fn routes(app: App) -> Router {
    let tools = ToolService::Person(UserTools::here(api_routes().into_router().with_state(app.clone())));
    with_mcp(api_routes(), tools)
        .into_router()
        .fallback(nowhere)
        .method_not_allowed_fallback(nowhere)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(middleware::map_response(version))
        .with_state(app)
}

fn with_mcp(api: Routes<App>, tools: ToolService) -> Routes<App> {
    api.on_service(Mcp, mcp::service(tools))
}

async fn nowhere(method: Method, uri: Uri) -> Failure {
    Failure(Problem::new(Kind::NotFound, format!("there is no {method} {}", uri.path())))
}

async fn version(response: Response) -> Response {
    let mut response = response.into_response();
    response.headers_mut().insert("p0-version", HeaderValue::from_static(env!("CARGO_PKG_VERSION")));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::contract::endpoints::TABLE;

    /// What the contract has for the main socket is what the main socket serves; the way to serve something else is
    /// closed by a test of the house.
    #[test]
    fn the_main_socket_serves_its_part_of_the_contract() {
        let mut served = with_mcp(api_routes(), ToolService::Person(UserTools::here(Router::new()))).served().to_vec();
        let mut listed: Vec<&str> = TABLE.iter().filter(|e| e.is_on_main_socket()).map(|e| e.name).collect();
        served.sort_unstable();
        listed.sort_unstable();
        assert_eq!(served, listed);
    }
}
