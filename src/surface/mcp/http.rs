//! The server over HTTP, for clients that are not started by the agent: mounted at `/mcp` of a socket and of the main
//! socket. Without sessions: every request stands for itself, so that a client may go on after an engine has come back.
use super::server::{Server, ToolService};
use rmcp::transport::streamable_http_server::{
    StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
};
use std::sync::Arc;

/// The service of a tool service. Who may come this far is for the socket to say.
pub(crate) fn service(tools: ToolService) -> StreamableHttpService<Server, NeverSessionManager> {
    let server = Server::new(tools);
    // The names of hosts mean nothing on a Unix socket.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .disable_allowed_hosts();
    StreamableHttpService::new(move || Ok(server.clone()), Arc::default(), config)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contract::endpoints::{Approve, Mcp},
        model::id::{ApprovalId, AttemptId, RunId},
        service::principal::Principal,
        surface::{
            api::reply::{Caller, Input},
            mcp::UserTools,
            route_table::Routes,
        },
        views::approvals::ApprovalDoc,
    };
    use axum::{Extension, Json, Router, body::Body, extract::Path, http::Request};
    use http_body_util::BodyExt;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    /// An approval that says who answered it.
    async fn approve(Path(id): Path<String>, Caller(who): Caller, Input(_): Input<Approve>) -> Json<ApprovalDoc> {
        let at = chrono::DateTime::UNIX_EPOCH;
        Json(ApprovalDoc {
            id: ApprovalId(id),
            run: RunId(uuid::Uuid::nil()),
            ticket: None,
            attempt: AttemptId(uuid::Uuid::nil()),
            tool: String::new(),
            target: String::new(),
            why: String::new(),
            asked_at: at,
            until: at,
            state: "allowed".into(),
            by: Some(who.actor().to_string()),
            reason: None,
        })
    }

    /// A tool's requests are those of the user whose call it is.
    #[tokio::test]
    async fn what_a_tool_does_is_done_by_the_user_who_calls_it() {
        let api: Router = Routes::new().on(Approve, approve).into_router().with_state(());
        let routes: Router = Routes::new()
            .on_service(Mcp, service(ToolService::Person(UserTools::here(api))))
            .into_router()
            .with_state(());
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": "approve", "arguments": { "id": "BLOG-A1" } },
        });
        let answer = |routes: Router| {
            let request = Request::post(Mcp::at().uri())
                .header("host", "p0")
                .header("content-type", "application/json")
                .header("accept", "application/json, text/event-stream")
                .body(Body::from(call.to_string()))
                .unwrap();
            async {
                let body = routes.oneshot(request).await.unwrap().into_body().collect().await.unwrap();
                serde_json::from_slice::<Value>(&body.to_bytes()).unwrap()
            }
        };
        let told = answer(routes.clone().layer(Extension(Principal::User("eve".into())))).await;
        assert_eq!(told["result"]["structuredContent"]["by"], "person:eve", "{told}");
        let told = answer(routes).await;
        assert_eq!(told["result"]["isError"], true, "{told}");
        assert!(told.to_string().contains("not known who asks"), "{told}");
    }
}
