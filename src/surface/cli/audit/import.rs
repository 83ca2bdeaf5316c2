//! `p0 audit import`.
use crate::{
    contract::{
        endpoints::ImportRun,
        records::{ImportOutcome, ImportRequest},
    },
    service::problem::{Kind, Problem},
    surface::{
        cli::{context::Context, outcome::Outcome},
        ui,
    },
};
use std::path::PathBuf;

/// Take a run of another data directory in from its file
///
/// The file is checked from end to end first, and kept. Afterwards `p0 replay`, `p0 audit log --run` and `p0 audit
/// export` work on the run; it is no run of this data directory and appears in no list.
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct Args {
    /// What `p0 audit export` wrote
    file: PathBuf,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Takes it in.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    if !args.file.exists() {
        return Err(Problem::new(Kind::NotFound, format!("there is no {}", args.file.display())));
    }
    let path = args.file.canonicalize().map_err(|e| Problem::io("looking at", &args.file, &e))?;
    let wish = ImportRequest { path };
    let doc = context.ask(|client| async move { client.post(ImportRun::at(), &wish).await }).await?;
    if args.json {
        ui::json(&doc)?;
        return Ok(0);
    }
    let words = match doc.outcome {
        ImportOutcome::Imported => "imported",
        ImportOutcome::Extended => "imported; it goes on where the earlier import ended",
        ImportOutcome::Known => "was imported before; nothing changed",
    };
    let imported = &doc.imported;
    ui::line(&format!("run     {} ({}: {}) {words}", imported.run.run, imported.key, imported.title));
    ui::line(&format!("events  {} in {} frames", imported.file.events, imported.file.frames));
    ui::line(&format!("head    {}", imported.file.head));
    Ok(0)
}
