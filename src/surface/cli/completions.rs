//! `p0 completions`.
use super::outcome::Outcome;
use crate::surface::ui::{self, To};
use clap_complete::Shell;

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints those of a command line.
pub(super) fn run(args: &Args, mut definition: clap::Command) -> Outcome {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut definition, "p0", &mut out);
    ui::raw(To::Out, &out);
    Ok(0)
}
