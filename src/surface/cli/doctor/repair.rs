//! `p0 doctor --repair`: damaged frames of the log, written anew from the store's copies.
use crate::{
    engine::start::Stop,
    journal::Mended,
    service::{config::files::Configs, problem::Problem, repair},
    surface::{
        session::{self, Purpose},
        ui,
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
    let mended = repair::repair(data_dir, LOCK_WAIT).await?;
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
    let events: Vec<u64> = mended.iter().map(|it| it.seq).collect();
    let holding = session::hold(data_dir, Purpose::Write, Configs::default(), LOCK_WAIT).await?;
    let noted = holding.app.service.note_repair(&holding.app.users.own(), &events).await;
    holding.end(Stop::Now).await;
    noted.map(|()| mended)
}
