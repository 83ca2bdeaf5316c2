//! `p0 logs`.
use super::{context::Context, outcome::Outcome};
use crate::surface::{
    client::{query, quoted},
    ui::{self, To},
};

/// Show what an agent prints: of an attempt, or of a ticket's newest attempt
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A ticket, an attempt, or the beginning of its id
    #[arg(value_name = "TICKET|ATTEMPT")]
    name: String,
    /// Go on until its program ends
    #[arg(long, short)]
    follow: bool,
    /// Its standard error instead
    #[arg(long)]
    stderr: bool,
}

/// Shows it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let stream = if args.stderr { "stderr" } else { "stdout" };
    let query = query([("stream", Some(stream)), ("follow", args.follow.then_some("true"))]);
    let path = format!("/api/v1/logs/{}{query}", quoted(&args.name));
    let show = |client: crate::surface::client::Client| async move {
        let mut output = client.lines(&path).await?;
        while let Some(piece) = output.piece().await? {
            ui::raw(To::Out, &piece);
            if ui::gone() {
                break;
            }
        }
        Ok(0)
    };
    context.ask(show).await
}
