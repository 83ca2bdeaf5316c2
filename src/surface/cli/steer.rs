//! `p0 pause`, `p0 resume` and `p0 cancel`.
use super::{context::Context, outcome::Outcome};
use crate::{
    contract::{
        endpoint::{Call, Endpoint},
        endpoints::{CancelRun, PauseRun, ResumeRun},
        runs::SteerRequest,
    },
    service::problem::Problem,
    surface::{client::Client, ui},
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

/// The arguments of `p0 resume`.
#[derive(Debug, clap::Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    steer: Args,
    /// What the whole run may spend from now on, in US dollars
    #[arg(long, value_name = "X")]
    budget_usd: Option<f64>,
    /// What the whole run may spend from now on, in tokens
    #[arg(long, value_name = "N")]
    budget_tokens: Option<u64>,
}

/// Lets a run go on.
pub(super) async fn resume(args: &ResumeArgs, context: &Context) -> Outcome {
    let ResumeArgs { steer: Args { run, reason, json }, budget_usd, budget_tokens } = args;
    let (budget_usd, budget_tokens) = (*budget_usd, *budget_tokens);
    let steer = SteerRequest { why: reason.clone(), budget_usd, budget_tokens };
    let (status, nobody) = carry_out(ResumeRun::at(run), steer, *json, context).await?;
    if status.state == "paused"
        && let Some(why) = &status.reason
    {
        ui::note(&format!("it is paused again: {why}"));
    }
    if nobody && !status.is_at_rest() {
        ui::note("nobody is at work on it: `p0 run SPEC` or `p0d` goes on");
    }
    Ok(0)
}

/// Pauses it.
pub(super) async fn pause(args: &Args, context: &Context) -> Outcome {
    carry_out(PauseRun::at(&args.run), args.request(), args.json, context).await.map(|_| 0)
}

/// Cancels it.
pub(super) async fn cancel(args: &Args, context: &Context) -> Outcome {
    carry_out(CancelRun::at(&args.run), args.request(), args.json, context).await.map(|_| 0)
}

impl Args {
    fn request(&self) -> SteerRequest {
        SteerRequest { why: self.reason.clone(), ..SteerRequest::default() }
    }
}

/// Sends it and prints the status; whether nobody is at work on the run.
async fn carry_out<E>(
    call: Call<E>,
    steer: SteerRequest,
    json: bool,
    context: &Context,
) -> Result<(RunStatus, bool), Problem>
where
    E: Endpoint<Body = SteerRequest, Answer = RunStatus>,
{
    let (status, nobody) = context
        .ask(|client| async move {
            let nobody = matches!(client, Client::Local(_));
            Ok((client.post(call, &steer).await?, nobody))
        })
        .await?;
    if json {
        ui::json(&status)?;
    } else {
        ui::line(&format!("run {} is {}", status.run, status.state));
    }
    Ok((status, nobody))
}
