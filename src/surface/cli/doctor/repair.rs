//! `p0 doctor --repair`: damaged frames of the log, written anew from the store's copies.
use crate::{
    engine::start::Stop,
    journal::{DirLock, Error, Mended, Options, mend},
    model::{command::Action, id::MilestoneId},
    surface::{
        api::reply::blocking,
        cli::ui,
        config::files::Configs,
        error::{Kind, Problem},
        session::{self, Purpose},
    },
};
use serde::Serialize;
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// How long another holder of the data directory is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// What was mended, as it is printed as JSON.
#[derive(Debug, Serialize)]
pub(super) struct Repaired {
    /// The first event.
    seq: u64,
    /// The segment file.
    file: PathBuf,
    /// Where in it, in bytes.
    offset: u64,
    /// What was wrong.
    what: String,
}

/// Mends what can be mended, says so, and puts it on record.
pub(super) async fn run(data_dir: &Path, quiet: bool) -> Result<Vec<Repaired>, Problem> {
    if !data_dir.join("journal").exists() && !data_dir.join("store").exists() {
        return Ok(Vec::new());
    }
    let dir = data_dir.to_path_buf();
    let mended = blocking(move || {
        let lock = DirLock::acquire(&dir, LOCK_WAIT).map_err(problem)?;
        mend(&lock, &Options::default()).map_err(problem)
    })
    .await?;
    let mended: Vec<Repaired> =
        mended.into_iter().map(|Mended { seq, file, offset, what }| Repaired { seq, file, offset, what }).collect();
    for Repaired { seq, file, offset, what } in mended.iter().filter(|_| !quiet) {
        ui::line(&format!("mended: the frame at event {seq} ({}, byte {offset}): {what}", file.display()));
    }
    if mended.is_empty() {
        if !quiet {
            ui::line("mended: nothing; the log has no damage that the store could mend");
        }
        return Ok(mended);
    }
    let events: Vec<String> = mended.iter().map(|it| it.seq.to_string()).collect();
    let what = format!("damaged frames were written anew from the store, at the events {}", events.join(", "));
    let holding = session::hold(data_dir, Purpose::Look, Configs::default(), LOCK_WAIT).await?;
    let (handle, person) = (holding.engine.handle(), holding.app.person());
    let noted = handle.submit(MilestoneId::ENGINE, person, Action::NoteRepair { what }).await;
    let noted = noted.map_err(|e| Problem::general(&e));
    holding.end(Stop::Now).await;
    noted.map(|_| mended)
}

fn problem(e: Error) -> Problem {
    match e {
        // The error's own sentence recommends what was just tried.
        Error::Damaged { seq, file, offset, what } => {
            let text = format!(
                "the log is damaged at event {seq} ({}, byte {offset}): {what}. The store has no copy that fits there, so \
                 it cannot be written anew",
                file.display()
            );
            let hint =
                "restore a backup (`p0 restore FILE`), or put back that file from one; keep this directory until then";
            Problem::new(Kind::Store, text).hint(hint)
        }
        e => Problem::new(Kind::Store, e.to_string()),
    }
}
