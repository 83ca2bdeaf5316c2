//! `p0 doctor --repair`: damaged frames of the log, written anew from the store's copies.
use crate::{
    engine::start::Stop,
    journal::{DirLock, Mended, Options, mend},
    model::{command::Action, id::MilestoneId},
    surface::{
        api::reply::blocking,
        cli::ui,
        config::files::Configs,
        error::{Kind, Problem},
        session::{self, Purpose},
    },
};
use std::{path::Path, time::Duration};

/// How long another holder of the data directory is waited for.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// Mends what can be mended, says so, and puts it on record.
pub(super) async fn run(data_dir: &Path, quiet: bool) -> Result<(), Problem> {
    if !data_dir.join("journal").exists() {
        return Ok(());
    }
    let dir = data_dir.to_path_buf();
    let mended = blocking(move || {
        let lock = DirLock::acquire(&dir, LOCK_WAIT).map_err(problem)?;
        mend(&lock, &Options::default()).map_err(problem)
    })
    .await?;
    for Mended { seq, file, offset, what } in mended.iter().filter(|_| !quiet) {
        ui::line(&format!("mended: the frame at event {seq} ({}, byte {offset}): {what}", file.display()));
    }
    if mended.is_empty() {
        return Ok(());
    }
    let events: Vec<String> = mended.iter().map(|it| it.seq.to_string()).collect();
    let what = format!("damaged frames were written anew from the store, at the events {}", events.join(", "));
    let holding = session::hold(data_dir, Purpose::Look, Configs::default(), LOCK_WAIT).await?;
    let (handle, person) = (holding.engine.handle(), holding.app.person());
    let noted = handle.submit(MilestoneId::ENGINE, person, Action::NoteRepair { what }).await;
    let noted = noted.map_err(|e| Problem::general(&e));
    holding.end(Stop::Now).await;
    noted.map(drop)
}

fn problem(e: crate::journal::Error) -> Problem {
    Problem::new(Kind::Store, e.to_string())
}
