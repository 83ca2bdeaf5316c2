//! The server over HTTP, for clients that are not started by the agent: mounted at `/mcp` of a door and of the main
//! socket. Without sessions: every request stands for itself, so that a client may go on after an engine has come back.
use super::server::{Desk, Server};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use std::sync::Arc;

/// The service of a desk. Who may come this far is for the socket to say.
pub(crate) fn service(desk: Desk) -> StreamableHttpService<Server, NeverSessionManager> {
    let server = Server::new(desk);
    // The names of hosts mean nothing on a Unix socket.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .disable_allowed_hosts();
    StreamableHttpService::new(move || Ok(server.clone()), Arc::default(), config)
}
