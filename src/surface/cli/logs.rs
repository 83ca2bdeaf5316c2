//! `p0 logs`.
use super::{context::Context, outcome::Outcome};
use crate::{
    contract::{endpoints::GetLog, logs::LogQuery},
    surface::{
        client::Client,
        ui::{self, To},
    },
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
    let follow = args.follow.then(|| "true".to_owned());
    let query = LogQuery { stream: Some(stream.to_owned()), from: 0, follow };
    let show = |client: Client| async move {
        let mut output = client.lines(GetLog::at(&args.name).query(&query)).await?;
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
