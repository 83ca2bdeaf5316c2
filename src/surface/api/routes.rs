//! The table of the API's routes.
use super::{app::App, approvals, claims, events, gc, log, records, runs, tickets};
use axum::{
    Router,
    routing::{get, post},
};

/// Every route under `/api/v1`.
pub(crate) fn routes() -> Router<App> {
    let api = Router::new()
        .route("/runs", get(runs::list).post(runs::start))
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
        .route("/tickets", get(tickets::list).post(tickets::create))
        .route("/tickets/status", post(tickets::statuses))
        .route("/tickets/{ticket}", get(tickets::show))
        .route("/tickets/{ticket}/status", post(tickets::status))
        .route("/tickets/{ticket}/comment", post(tickets::comment))
        .route("/tickets/{ticket}/files", post(tickets::files))
        .route("/tickets/{ticket}/depends", post(tickets::depends))
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
    Router::new().nest("/api/v1", api)
}
