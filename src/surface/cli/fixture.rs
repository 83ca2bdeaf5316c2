//! `p0 __fixture`: the frames of a run's milestone, for `replay-fixtures/`.
use super::{context::Context, outcome::Outcome};
use crate::{
    service::problem::{Kind, Problem},
    surface::{
        session::{Purpose, Session},
        ui,
    },
};

/// Print the frames of a run's milestone, one JSON object a line, for `replay-fixtures/`
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, or the beginning of its id
    #[arg(default_value = "@last")]
    run: String,
}

/// Prints them. Only without another holder: it reads the log itself.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let session = Session::open(&context.data_dir()?, Purpose::Look).await?;
    let Some(holding) = &session.holding else {
        return Err(Problem::new(Kind::Refused, "somebody else holds the data directory; stop it first"));
    };
    let handle = holding.engine.handle();
    let problem = |e: &dyn std::fmt::Display| Problem::new(Kind::NotFound, e.to_string());
    let run = handle.catalog().find_run(Some(&args.run)).map_err(|e| problem(&e))?.id;
    for frame in handle.frames(run).map_err(|e| problem(&e))? {
        let frame = frame.map_err(|e| problem(&e))?;
        ui::line(&serde_json::to_string(&frame).map_err(|e| problem(&e))?);
    }
    session.close().await;
    Ok(0)
}
