//! `p0 ticket heartbeat` and `release`.
use super::show;
use crate::{
    contract::{
        claims::ClaimToken,
        endpoints::{ReleaseClaim, RenewClaim},
    },
    surface::{
        cli::{context::Context, outcome::Outcome, ready},
        ui,
    },
};

/// Renew a claim before it expires
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct HeartbeatArgs {
    /// The ticket
    ticket: String,
    /// The claim's token
    #[arg(long, value_name = "T")]
    token: String,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Renews it.
pub(super) async fn heartbeat(args: &HeartbeatArgs, context: &Context) -> Outcome {
    let shown = ClaimToken { token: args.token.clone() };
    let granted = context.ask(|client| async move { client.post(RenewClaim::at(&args.ticket), &shown).await }).await?;
    ready::print(&granted, args.json)
}

/// Give a claim back
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct ReleaseArgs {
    /// The ticket
    ticket: String,
    /// The claim's token
    #[arg(long, value_name = "T")]
    token: String,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Gives it back.
pub(super) async fn release(args: &ReleaseArgs, context: &Context) -> Outcome {
    let shown = ClaimToken { token: args.token.clone() };
    let ticket = context.ask(|client| async move { client.post(ReleaseClaim::at(&args.ticket), &shown).await }).await?;
    if args.json {
        ui::json(&ticket)?
    } else {
        show::print(&ticket)
    }
    Ok(0)
}
