//! `p0 __schemas`: writes the JSON Schemas of what is stored and of the API, for `schemas/`.
use super::outcome::Outcome;
use crate::{contract::schema, service::problem::Problem};
use std::path::PathBuf;

/// Write the JSON Schemas of everything that is stored, and of the API
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to
    dir: PathBuf,
}

/// Writes them.
pub(super) fn run(args: &Args) -> Outcome {
    std::fs::create_dir_all(&args.dir).map_err(|e| Problem::io("making", &args.dir, &e))?;
    for (name, text) in schema::all() {
        let path = args.dir.join(name);
        std::fs::write(&path, text).map_err(|e| Problem::io("writing", &path, &e))?;
    }
    Ok(0)
}
