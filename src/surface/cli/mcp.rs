//! `p0 mcp`.
use super::{args::Outcome, context::Context};
use crate::surface::{
    config::env,
    error::{Kind, Problem},
    mcp::{AttemptDesk, Desk, serve},
    session,
};
use tracing_subscriber::EnvFilter;

/// Serve the tracker to an agent or assistant, as tools of the Model Context Protocol on standard input and output
///
/// Inside an attempt these are the tools of its role, through its own socket. Outside they are the words of this
/// command line, for a person's assistant.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

/// Serves it.
pub(super) async fn run(_: &Args, _: &Context) -> Outcome {
    let filter = EnvFilter::try_new(env::var("P0_LOG").unwrap_or_else(|| "error".to_owned()));
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new("error")))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
    match session::door_client()? {
        Some(door) => serve(Desk::Attempt(AttemptDesk::new(door))).await?,
        None => return Err(Problem::new(Kind::Usage, "p0 mcp outside an attempt")),
    }
    Ok(0)
}
