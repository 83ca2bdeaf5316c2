//! Signs of life, and a few numbers for Prometheus.
use super::{app::App, reply::Answer};
use crate::contract::{
    endpoints::{Healthz, Readyz},
    health::{HealthDoc, ReadyDoc},
};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use std::{collections::BTreeMap, fmt::Write};

/// This process is alive, and who it is.
pub(crate) async fn healthz(State(app): State<App>) -> Answer<Healthz> {
    Ok(Json(HealthDoc {
        status: "ok".to_owned(),
        holder: Some(app.service.holder.to_owned()),
        pid: Some(std::process::id()),
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
    }))
}

/// It takes commands.
pub(crate) async fn readyz(State(app): State<App>) -> Answer<Readyz> {
    Ok(Json(ReadyDoc { status: "ready".to_owned(), head: *app.service.handle.head().borrow() }))
}

/// Gauges.
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let catalog = app.service.handle.catalog();
    let mut states: BTreeMap<String, u64> =
        ["running", "awaiting_approval", "paused", "done", "stuck", "failed", "cancelled"]
            .map(|s| (s.to_owned(), 0))
            .into();
    for run in catalog.runs().filter_map(Result::ok) {
        *states.entry(run.state).or_default() += 1;
    }
    let live: usize = app.service.handle.live().iter().map(|(_, state)| state.live_attempts().count()).sum();
    let mut out = String::new();
    let mut gauge = |name: &str, help: &str, values: &[(String, String)]| {
        let mut text = format!("# HELP {name} {help}\n# TYPE {name} gauge\n");
        for (labels, value) in values {
            writeln!(text, "{name}{labels} {value}").expect("writing to a String cannot fail");
        }
        out.push_str(&text);
    };
    let one = |value: String| vec![(String::new(), value)];
    let version = format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"));
    gauge("p0_build_info", "The version that serves.", &[(version, "1".into())]);
    gauge("p0_uptime_seconds", "Since it serves.", &one(app.since.elapsed().as_secs().to_string()));
    gauge("p0_log_head", "The last durable event.", &one(app.service.handle.head().borrow().to_string()));
    gauge("p0_attempts_live", "Attempts that something is still to be done about.", &one(live.to_string()));
    gauge("p0_milestones", "Milestones on record.", &one(catalog.milestones().count().to_string()));
    let runs: Vec<_> = states.iter().map(|(s, n)| (format!("{{state=\"{s}\"}}"), n.to_string())).collect();
    gauge("p0_runs", "Runs by state.", &runs);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], out).into_response()
}
