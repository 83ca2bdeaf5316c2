//! `p0 audit anchor`.
use crate::{
    contract::endpoints::GetHead,
    git,
    service::problem::{Kind, Problem},
    surface::{
        cli::{context::Context, outcome::Outcome},
        ui,
    },
    system::clock,
};
use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
};

/// Why an anchor is of no use beside the log.
const WHO_CUTS: &str = "who cuts the log can cut it too";

/// Print the head of the log, and note it somewhere else
///
/// A log that was cut at the end of a frame, or written anew, looks whole: only a note outside the data directory shows
/// it. `p0 audit verify` takes such notes with --anchor, --anchors and --git-ref.
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct Args {
    /// Add it to this file, a line each time
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Add it to the list under this ref of a repository, a commit each time
    #[arg(long, num_args = 2, value_names = ["REPO", "REF"])]
    git_ref: Option<Vec<String>>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Prints and notes it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let data_dir = context.data_dir()?;
    if let Some(file) = &args.file {
        outside(file, &data_dir, WHO_CUTS)?;
    }
    if let Some([repo, _]) = args.git_ref.as_deref() {
        outside(Path::new(repo), &data_dir, WHO_CUTS)?;
    }
    let head = context.ask(|client| async move { client.get(GetHead::at()).await }).await?;
    let line = format!("{} {}", head.seq, head.hash);
    if let Some(file) = &args.file {
        append(file, &line)?;
    }
    if let Some([repo, name]) = args.git_ref.as_deref() {
        let at_s = clock::now().timestamp();
        git::append_line(Path::new(repo), name, &line, at_s).map_err(|e| Problem::new(Kind::Config, e))?;
    }
    if args.json {
        ui::json(&head)?
    } else {
        ui::line(&line)
    }
    Ok(0)
}

/// Refuses what is, or a link leads to, in the data directory, with the sentence that says `why`.
pub(in crate::surface::cli) fn outside(file: &Path, data_dir: &Path, why: &str) -> Result<(), Problem> {
    let file = std::path::absolute(file).map_err(|e| Problem::io("looking at", file, &e))?;
    let parent = file.parent().unwrap_or(&file);
    let parent = parent.canonicalize().map_err(|e| Problem::io("looking at", parent, &e))?;
    let real = file.canonicalize().ok().or_else(|| Some(parent.join(std::fs::read_link(&file).ok()?)));
    let places = [Some(parent), real];
    if data_dir.canonicalize().is_ok_and(|data_dir| places.iter().flatten().any(|it| it.starts_with(&data_dir))) {
        let why = format!("{} is in the data directory: {why}", file.display());
        return Err(Problem::new(Kind::Usage, why).hint("name a file somewhere else, best on another machine"));
    }
    Ok(())
}

fn append(path: &Path, line: &str) -> Result<(), Problem> {
    let failed = |e| Problem::io("writing", path, &e);
    let known = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(e) => return Err(failed(e)),
    };
    if known.lines().next_back() == Some(line) {
        return Ok(());
    }
    // A line that was cut off by a crash must not swallow this one.
    let begin = if known.is_empty() || known.ends_with('\n') { "" } else { "\n" };
    let mut file = OpenOptions::new().append(true).create(true).open(path).map_err(failed)?;
    file.write_all(format!("{begin}{line}\n").as_bytes()).and_then(|()| file.sync_all()).map_err(failed)?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(failed)
}
