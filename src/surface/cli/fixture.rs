//! `p0 __fixture`: the frames of a run's milestone, for `replay-fixtures/`.
use super::{context::Context, outcome::Outcome};
use crate::{
    engine::reading,
    service::problem::{Kind, Problem},
    surface::ui,
};

/// Print the frames of a run's milestone, one JSON object a line, for `replay-fixtures/`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, or the beginning of its id
    #[arg(default_value = "@last")]
    run: String,
}

/// Prints them, from the files of the log.
pub(super) fn run(args: &Args, context: &Context) -> Outcome {
    let handle = reading::open(&context.data_dir()?)?;
    let problem = |e: &dyn std::fmt::Display| Problem::new(Kind::NotFound, e.to_string());
    let run = handle.catalog().find_run(Some(&args.run)).map_err(|e| problem(&e))?.id;
    for frame in handle.frames(run).map_err(|e| problem(&e))? {
        let frame = frame.map_err(|e| problem(&e))?;
        ui::line(&serde_json::to_string(&frame).map_err(|e| problem(&e))?);
    }
    Ok(0)
}
