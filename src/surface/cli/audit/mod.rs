//! `p0 audit …`.
use super::{context::Context, outcome::Outcome};
use clap::Subcommand;

pub(super) mod anchor;
mod export;
mod import;
mod log;
mod verify;

/// Read the log, and check that it is as it was written
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Log(log::Args),
    Verify(verify::Args),
    Anchor(anchor::Args),
    Export(export::Args),
    Import(import::Args),
}

/// Runs one of them.
pub(super) async fn run(command: Command, context: &Context) -> Outcome {
    match command {
        Command::Log(args) => log::run(&args, context).await,
        Command::Verify(args) => verify::run(&args, context).await,
        Command::Anchor(args) => anchor::run(&args, context).await,
        Command::Export(args) => export::run(&args, context).await,
        Command::Import(args) => import::run(&args, context).await,
    }
}
