//! `p0 audit verify`.
use crate::surface::{
    api::reply::blocking,
    cli::{args::Outcome, context::Context, ui},
    error::Kind,
    verify,
};
use std::path::PathBuf;

/// Check that every frame of a log is as it was written
///
/// Reads the files only, repairs nothing, and may run beside a live engine. Exit code 20 when something is wrong.
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct Args {
    /// A data directory, its journal, or one segment file [default: the data directory]
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
    /// The hash of a frame that must be in the log: what an earlier check printed as its head
    #[arg(long, value_name = "HASH")]
    anchor: Option<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Checks it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let path = match &args.path {
        Some(path) if !path.exists() => {
            let problem =
                crate::surface::error::Problem::new(Kind::NotFound, format!("there is no {}", path.display()));
            return Err(problem.hint("name a data directory, its journal/ folder, or one segment file"));
        }
        Some(path) => path.clone(),
        None => context.data_dir()?,
    };
    let anchor = args.anchor.clone();
    let found = blocking(move || verify::check(&path, anchor.as_deref())).await?;
    if args.json {
        ui::json(&found)?;
    } else {
        ui::line(&format!("frames  {}", found.frames));
        ui::line(&format!("events  {}", found.events));
        ui::line(&format!("head    {}", found.head));
        match &found.first_bad {
            None => ui::line("ok      every frame is as it was written"),
            Some(bad) => ui::line(&format!("BAD     from event {}: {}", bad.seq, bad.what)),
        }
    }
    Ok(if found.ok { 0 } else { Kind::Diverged.exit_code() })
}
