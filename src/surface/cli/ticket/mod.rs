//! `p0 ticket …`. In an attempt's environment (P0_TOKEN) the same commands become what the attempt says of itself.
use super::{context::Context, outcome::Outcome};
use clap::Subcommand;

mod change;
mod claim;
mod new;
mod say;
mod show;
mod status;

/// Make, show and change work items
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    New(new::Args),
    Show(show::Args),
    Status(status::Args),
    Comment(change::CommentArgs),
    Files(change::FilesArgs),
    Depends(change::DependsArgs),
    Heartbeat(claim::HeartbeatArgs),
    Release(claim::ReleaseArgs),
}

/// Runs one of them.
pub(super) async fn run(command: Command, context: &Context) -> Outcome {
    match command {
        Command::New(args) => new::run(args, context).await,
        Command::Show(args) => show::run(&args, context).await,
        Command::Status(args) => status::run(&args, context).await,
        Command::Comment(args) => change::comment(args, context).await,
        Command::Files(args) => change::files(args, context).await,
        Command::Depends(args) => change::depends(args, context).await,
        Command::Heartbeat(args) => claim::heartbeat(&args, context).await,
        Command::Release(args) => claim::release(&args, context).await,
    }
}
