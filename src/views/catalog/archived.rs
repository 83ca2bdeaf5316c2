//! Milestones whose record is in an archive: what stays known of them without it.
use super::{Catalog, Found, MilestoneRow, RowError, RunRow, decode, names};
use p0_model::{
    id::MilestoneId,
    kept::{Archived, RunSummary},
};

impl Catalog {
    /// What is kept of a milestone that is archived, if it is.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn archived(&self, milestone: MilestoneId) -> Found<Option<Archived>> {
        self.rows.get("archived", milestone.to_string().as_bytes())?.map(|row| decode(&row)).transpose()
    }

    /// All milestones that are archived, the oldest first.
    pub fn archives(&self) -> impl DoubleEndedIterator<Item = Found<Archived>> + use<> {
        self.rows.scan("archived", b"").map(|row| decode(&row?.1))
    }

    /// Takes in that a milestone is archived: what its own events led to, without them.
    pub(super) fn note_archived(&self, archived: &Archived) -> Found<()> {
        let id = archived.milestone;
        let value = serde_json::to_vec(archived).map_err(|e| RowError(e.to_string()))?;
        self.rows.put("archived", id.to_string().as_bytes(), &value)?;
        if let Some(before) = self.milestone(id)? {
            for (table, key) in names(id, &before) {
                self.rows.remove(table, &key)?;
            }
        }
        let Archived { key, title, spec, project, .. } = archived.clone();
        self.add_milestone(id, &MilestoneRow { key, title, spec, project })?;
        for run in &archived.runs {
            self.add_run(&RunRow::of(id, run))?;
        }
        for attempt in &archived.attempts {
            self.rows.put("attempt", attempt.to_string().as_bytes(), id.to_string().as_bytes())?;
        }
        Ok(())
    }
}

impl RunRow {
    /// What stays known of the run without its events.
    pub fn summary(&self) -> RunSummary {
        let RunRow { id, milestone: _, seq, workflow, state, reason, branch, head, started_at, ended_at } =
            self.clone();
        RunSummary { run: id, seq, workflow, state, reason, branch, head, started_at, ended_at }
    }

    /// The row of a run of which only this is known.
    fn of(milestone: MilestoneId, run: &RunSummary) -> RunRow {
        let RunSummary { run: id, seq, workflow, state, reason, branch, head, started_at, ended_at } = run.clone();
        RunRow { id, milestone, seq, workflow, state, reason, branch, head, started_at, ended_at }
    }
}
