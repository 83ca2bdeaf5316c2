//! `p0 fork`.
use super::{context::Context, outcome::Outcome};
use crate::{
    contract::{endpoints::ForkRun, records::ForkRequest},
    surface::ui,
};

/// Start a new run from the state another one had at an event
///
/// The new run has a milestone of its own, with the same spec, the work items and learnings as they stood, and begins at
/// the commit that was the head then. What was at work, approvals, verdicts and claims are not taken over. The original
/// stays as it is.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, or the beginning of its id
    run: String,
    /// The last event that is taken over, with the rest of its command; `p0 replay RUN --step` shows commands and events
    #[arg(long, value_name = "SEQ")]
    at: u64,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Forks it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let wish = ForkRequest { at: args.at };
    let doc = context.ask(|client| async move { client.post(ForkRun::at(&args.run), &wish).await }).await?;
    if args.json {
        ui::json(&doc)?;
        return Ok(0);
    }
    ui::line(&format!("run        {}", doc.run));
    ui::line(&format!("milestone  {}", doc.milestone));
    ui::line(&format!("branch     {} from {}", doc.branch, doc.base.get(..10).unwrap_or(&doc.base)));
    ui::line(&format!("from       run {} at event {}", doc.from, doc.at));
    if !doc.at_work {
        ui::note("nobody carries it out yet: start `p0d`");
    }
    Ok(0)
}
