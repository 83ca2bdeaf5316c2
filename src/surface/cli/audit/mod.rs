//! `p0 audit …`.
use super::{args::Outcome, context::Context};
use clap::Subcommand;

mod log;
mod verify;

/// Read the log, and check that it is as it was written
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Log(log::Args),
    Verify(verify::Args),
}

/// Runs one of them.
pub(super) async fn run(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Log(args) => log::run(&args, context).await,
        Command::Verify(args) => verify::run(&args, context).await,
    }
}
