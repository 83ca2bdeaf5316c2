//! `p0 completions`.
use super::{
    args::{self, Outcome},
    ui::{self, To},
};
use clap_complete::Shell;

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints them.
pub(super) fn run(args: &Args) -> Outcome {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut args::definition(), "p0", &mut out);
    ui::raw(To::Out, &out);
    Ok(0)
}
