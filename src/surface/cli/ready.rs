//! `p0 ready` and `p0 claim`: the tracker for workers outside any run.
use super::{context::Context, outcome::Outcome, tickets};
use crate::{
    contract::{
        claims::{ClaimGranted, ClaimRequest},
        endpoints::{ClaimNext, ClaimTicket, ListReady},
    },
    surface::{client::Client, ui},
};

/// List the tickets that a worker could claim now, the most urgent first
#[derive(Debug, clap::Args)]
pub(super) struct ReadyArgs {
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(super) async fn ready(args: &ReadyArgs, context: &Context) -> Outcome {
    let rows = context.ask(|client| async move { client.get(ListReady::at()).await }).await?;
    tickets::print(&rows, args.json)
}

/// Claim a ticket for a worker outside any run
///
/// The token it prints goes with every later write; `p0 ticket heartbeat` renews the claim before it expires. Exit
/// code 4 when nothing is ready.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true))]
pub(super) struct ClaimArgs {
    /// The ticket
    #[arg(group = "which")]
    ticket: Option<String>,
    /// The most urgent ready ticket
    #[arg(long, group = "which")]
    next: bool,
    /// Who claims it
    #[arg(long, value_name = "NAME")]
    worker: String,
    /// Seconds the claim lasts without a heartbeat [default: 600]
    #[arg(long, value_name = "N")]
    lease_s: Option<u64>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Claims it.
pub(super) async fn claim(args: &ClaimArgs, context: &Context) -> Outcome {
    let wish = ClaimRequest { worker: args.worker.clone(), lease_s: args.lease_s };
    let claim = |client: Client| async move {
        match &args.ticket {
            Some(ticket) => client.post(ClaimTicket::at(ticket), &wish).await,
            None => client.post(ClaimNext::at(), &wish).await,
        }
    };
    let granted = context.ask(claim).await?;
    print(&granted, args.json)
}

/// Prints a claim.
pub(super) fn print(granted: &ClaimGranted, json: bool) -> Outcome {
    if json {
        ui::json(granted)?;
    } else {
        ui::line(&format!("ticket   {}", granted.ticket));
        ui::line(&format!("token    {}", granted.token));
        ui::line(&format!("expires  {}", granted.expires.to_rfc3339()));
    }
    Ok(0)
}
