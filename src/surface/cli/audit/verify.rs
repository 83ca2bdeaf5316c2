//! `p0 audit verify`.
use crate::{
    engine::audit::Progress,
    git,
    journal::Anchor,
    service::{
        background::blocking,
        problem::{Kind, Problem},
        verify,
    },
    surface::{
        cli::{context::Context, outcome::Outcome},
        ui::{self, To},
    },
};
use std::path::{Path, PathBuf};

/// Frames and blobs after which progress is shown again.
const SHOW_EVERY: u64 = 4096;

/// Check that everything on record is as it was written
///
/// Of a data directory: every frame of its log, the blobs that events name, and the files of imported runs. Of a run
/// file (`p0 audit export`): all of it. Reads the files only, repairs nothing, and may run beside a live engine. Exit
/// code 20 when something is wrong; the first thing is named. Frames that are missing at the end of a log leave no trace
/// in it: an anchor shows them, and `p0 doctor`, which asks the store.
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct Args {
    /// A data directory, its journal, one segment file, or a run file [default: the data directory]
    #[arg(value_name = "FILE|DIR")]
    path: Option<PathBuf>,
    /// A frame that must be in it: the hash that an earlier check printed as its head, or what `p0 audit anchor` printed
    #[arg(long, value_name = "HASH")]
    anchor: Vec<String>,
    /// A file with anchors, one a line
    #[arg(long, value_name = "FILE")]
    anchors: Option<PathBuf>,
    /// A git ref with anchors
    #[arg(long, num_args = 2, value_names = ["REPO", "REF"])]
    git_ref: Option<Vec<String>>,
    /// Leave out the blobs and files that events name
    #[arg(long)]
    no_blobs: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Checks it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let path = match &args.path {
        Some(path) if !path.exists() => {
            let problem = Problem::new(Kind::NotFound, format!("there is no {}", path.display()));
            return Err(problem.hint("name a data directory, its journal/ folder, one segment file, or a run file"));
        }
        Some(path) => path.clone(),
        None => context.data_dir()?,
    };
    let anchors = anchors(args)?;
    let blobs = !args.no_blobs;
    let shows = ui::can_redraw(To::Err);
    let found = blocking(move || {
        let found = verify::check(&path, anchors, blobs, &mut |progress| show(shows, progress));
        if shows {
            ui::raw(To::Err, b"\r\x1b[K");
        }
        found
    });
    let found = found.await?;
    if args.json {
        ui::json(&found)?;
    } else {
        ui::line(&format!("frames  {}", found.frames));
        ui::line(&format!("events  {}", found.events));
        if blobs {
            ui::line(&format!("blobs   {}", found.blobs));
        }
        ui::line(&format!("head    {}", found.head));
        match &found.first_bad {
            None => ui::line("ok      everything is as it was written"),
            Some(bad) => ui::line(&format!("BAD     from event {}: {}", bad.seq, bad.what)),
        }
    }
    Ok(if found.ok { 0 } else { Kind::Diverged.exit_code() })
}

fn show(shows: bool, progress: &Progress) {
    if shows && (progress.frames + progress.blobs).is_multiple_of(SHOW_EVERY) {
        let text = format!("\r{} frames, {} events, {} blobs", progress.frames, progress.events, progress.blobs);
        ui::raw(To::Err, text.as_bytes());
    }
}

fn anchors(args: &Args) -> Result<Vec<Anchor>, Problem> {
    let mut found = args.anchor.iter().map(|text| verify::anchor(text)).collect::<Result<Vec<_>, _>>()?;
    if let Some(path) = &args.anchors {
        let text = std::fs::read_to_string(path).map_err(|e| Problem::io("reading", path, &e))?;
        found.extend(verify::anchors(&text)?);
    }
    if let Some([repo, name]) = args.git_ref.as_deref() {
        let text = git::read_lines(Path::new(repo), name).map_err(|e| Problem::new(Kind::Config, e))?;
        if text.is_empty() {
            return Err(Problem::new(Kind::NotFound, format!("there is no ref {name} in {repo}")));
        }
        found.extend(verify::anchors(&text)?);
    }
    Ok(found)
}
