//! `p0 pause`, `p0 resume` and `p0 cancel`.
use super::{args::Outcome, context::Context, ui};
use crate::{
    surface::{
        api::runs::Steer,
        client::{Client, quoted},
    },
    views::status::RunStatus,
};

/// The arguments of all three.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, or the beginning of its id
    #[arg(default_value = "@last")]
    run: String,
    /// Why, for the log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The run's status as one JSON document
    #[arg(long)]
    json: bool,
}

/// Steers a run.
pub(super) async fn run(args: &Args, context: &Context, verb: &str) -> Outcome {
    let path = format!("/api/v1/runs/{}/{verb}", quoted(&args.run));
    let steer = Steer { why: args.reason.clone() };
    let (status, nobody) = context
        .ask(|client| async move {
            let nobody = matches!(client, Client::Local(_));
            Ok((client.post::<RunStatus>(&path, &steer).await?, nobody))
        })
        .await?;
    if args.json {
        ui::json(&status)?;
    } else {
        ui::line(&format!("run {} is {}", status.run, status.state));
    }
    if verb == "resume" && nobody && !status.is_at_rest() {
        ui::note("nobody is at work on it: `p0 run SPEC` or `p0d` goes on");
    }
    Ok(0)
}
