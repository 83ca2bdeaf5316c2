//! Damaged frames of the log, written anew from the store's copies.
use super::{
    app::Service,
    background::blocking,
    principal::Principal,
    problem::{Kind, Problem},
};
use crate::{
    journal::{DirLock, Error, Mended, Options, mend},
    model::{command::Action, id::MilestoneId},
};
use std::{path::Path, time::Duration};

/// Repairs what can be repaired of the log in `data_dir`, which nobody else may hold; waits up to `patience` for that.
pub(crate) async fn repair(data_dir: &Path, patience: Duration) -> Result<Vec<Mended>, Problem> {
    let dir = data_dir.to_path_buf();
    blocking(move || {
        let lock = DirLock::acquire(&dir, patience).map_err(problem)?;
        mend(&lock, &Options::default()).map_err(problem)
    })
    .await
}

impl Service {
    /// Puts on record that the frames at these events were repaired.
    pub(crate) async fn note_repair(&self, who: &Principal, repaired: &[u64]) -> Result<(), Problem> {
        let events: Vec<String> = repaired.iter().map(ToString::to_string).collect();
        let what = format!("damaged frames were written anew from the store, at the events {}", events.join(", "));
        let noted = self.handle.submit(MilestoneId::ENGINE, who.actor(), Action::NoteRepair { what }).await;
        noted.map(drop).map_err(|e| Problem::general(&e))
    }
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
