//! Archives: the record of runs that are long over, moved out of the journal into one compressed file per milestone.
//!
//! In this order, so that a crash at any point leaves every frame in the journal or in a file that was checked: the run
//! file of the milestone's newest run is written, made durable and read back; `run.archived` puts on record what lists
//! show; segments and the store's blocks are written anew without its frames ([`journal::compact`]); last of all go the
//! blobs that only those frames named (`gc`). Whatever an earlier call left undone the next one does.
use super::{
    handle::{Handle, ReadError},
    run_files::{hash_of_file, readable, run_file_of},
    snapshots,
};
use crate::{
    journal::{
        self, Compacted, Hash,
        archives::{archive_path, archived_blob},
        disk::RealDisk,
        run_file::{self, RunFileError},
    },
    model::{
        Time,
        actor::Actor,
        command::Action,
        id::{BlobId, MilestoneId},
        kept::{Archived, RunSummary},
    },
    views::catalog::{MilestoneRow, RunRow},
};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::{Path, PathBuf},
};

/// Runs of a project that were over before this moment are archived; none of them where there is none.
pub type Before<'a> = dyn Fn(&str) -> Option<Time> + Send + Sync + 'a;

/// A milestone that is to be archived.
struct Candidate {
    milestone: MilestoneId,
    row: MilestoneRow,
    runs: Vec<RunRow>,
}

impl Handle {
    /// What `before` says can be archived now: milestones at rest, all runs of which were over before that moment.
    fn candidates(&self, before: &Before<'_>) -> Result<Vec<Candidate>, ReadError> {
        let read = |e: &dyn std::fmt::Display| ReadError(e.to_string());
        let catalog = self.catalog();
        let live: std::collections::HashSet<_> = catalog.live().map_err(|e| read(&e))?.into_iter().collect();
        let mut found = Vec::new();
        for milestone in catalog.milestones() {
            let (milestone, row) = milestone.map_err(|e| read(&e))?;
            if live.contains(&milestone) {
                continue;
            }
            let Some(before) = before(&row.project) else { continue };
            let runs: Vec<RunRow> = catalog.runs_of(milestone).collect::<Result<_, _>>().map_err(|e| read(&e))?;
            if runs.is_empty() || !runs.iter().all(|run| run.ended_at.is_some_and(|at| at <= before)) {
                continue;
            }
            let known = catalog.archived(milestone).map_err(|e| read(&e))?;
            if known.is_some_and(|known| known.runs.iter().eq(runs.iter().map(summary).collect::<Vec<_>>().iter())) {
                continue;
            }
            found.push(Candidate { milestone, row, runs });
        }
        Ok(found)
    }

    /// Archives the milestones whose runs were all over before the moment that `before` gives for their project; with
    /// `dry_run` only says which.
    ///
    /// # Errors
    /// A file cannot be written or does not read back, or the engine has stopped. What was archived before that stays so.
    pub async fn archive(
        &self,
        before: impl Fn(&str) -> Option<Time> + Send + Sync + 'static,
        dry_run: bool,
        actor: &Actor,
    ) -> Result<Vec<Archived>, ReadError> {
        let handle = self.clone();
        let archived = blocking(move || {
            let candidates = handle.candidates(&before)?;
            candidates.iter().map(|candidate| handle.write_archive(candidate, dry_run)).collect::<Result<Vec<_>, _>>()
        });
        let archived = archived.await?;
        if dry_run {
            return Ok(archived);
        }
        // What is written from here on begins a segment, so that all of the frames are in finished ones.
        self.shared.sealer.seal();
        for archived in &archived {
            let action = Action::NoteArchive { archived: Box::new(archived.clone()) };
            let noted = self.submit(MilestoneId::ENGINE, actor.clone(), action).await;
            noted.map_err(|e| ReadError(format!("putting the archive of {} on record: {e}", archived.key)))?;
            snapshots::forget(&self.shared.store, archived.milestone).map_err(|e| ReadError(e.to_string()))?;
        }
        Ok(archived)
    }

    /// Takes the frames of archived milestones out of the journal and the store.
    ///
    /// # Errors
    /// An archive does not give back what it should, or a file cannot be read or written.
    pub fn compact(&self) -> Result<Compacted, ReadError> {
        let archived = self.catalog().archives().map(|found| found.map(|a| (a.milestone.0, a.file.last_seq)));
        let archived = archived.collect::<Result<_, _>>().map_err(|e| ReadError(e.to_string()))?;
        journal::compact(&self.shared.data_dir, &self.shared.store, &archived, &RealDisk)
            .map_err(|e| ReadError(e.to_string()))
    }

    /// Writes the file, makes it durable, reads it back, and puts it into its place.
    fn write_archive(&self, candidate: &Candidate, dry_run: bool) -> Result<Archived, ReadError> {
        let Candidate { milestone, row, runs } = candidate;
        let newest = runs.last().ok_or_else(|| ReadError("a milestone without a run".to_owned()))?;
        let path = archive_path(&self.shared.data_dir, milestone.0);
        let temp = path.with_extension("part");
        let failed = |e: &dyn std::fmt::Display| ReadError(format!("writing the archive {}: {e}", path.display()));
        let dir = path.parent().unwrap_or(Path::new("."));
        let work = || -> Result<_, ReadError> {
            fs::create_dir_all(dir).map_err(|e| failed(&e))?;
            let file = File::create(&temp).map_err(|e| failed(&e))?;
            let mut out = BufWriter::new(file);
            self.write_run_file(newest.id, *milestone, newest.seq, &mut out, &temp).map_err(|e| failed(&e))?;
            out.flush().and_then(|()| out.get_ref().sync_all()).map_err(|e| failed(&e))?;
            let checked = run_file::check(&temp, readable, &mut |_| {}).map_err(|e| failed(&e))?;
            Ok((checked, hash_of_file(&temp).map_err(|e| failed(&e))?))
        };
        let written = work();
        if dry_run || written.is_err() {
            // Whether or not it can be removed: the next archive of this milestone takes its place.
            let _ = fs::remove_file(&temp);
        }
        let ((header, counts), blake3) = written?;
        if !dry_run {
            let placed = fs::rename(&temp, &path).and_then(|()| File::open(dir)?.sync_all());
            let placed = placed.and_then(|()| File::open(&self.shared.data_dir)?.sync_all());
            placed.map_err(|e| failed(&e))?;
        }
        Ok(Archived {
            milestone: *milestone,
            key: row.key.clone(),
            title: row.title.clone(),
            spec: row.spec.clone(),
            project: row.project.clone(),
            runs: runs.iter().map(summary).collect(),
            file: run_file_of(&header, counts, blake3),
        })
    }

    /// Where the archive of a milestone is, if it has one.
    ///
    /// # Errors
    /// The catalog cannot be read.
    pub fn archive_of(&self, milestone: MilestoneId) -> Result<Option<(Archived, PathBuf)>, ReadError> {
        let archived = self.catalog().archived(milestone).map_err(|e| ReadError(e.to_string()))?;
        Ok(archived.map(|archived| (archived, archive_path(&self.shared.data_dir, milestone.0))))
    }

    /// The bytes of a blob that a milestone's events name, checked against its hash; from its archive, if they are there.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn blob(&self, milestone: MilestoneId, id: &BlobId) -> Result<Vec<u8>, ReadError> {
        let hash: Hash = id.hash.parse().map_err(|_| ReadError(format!("'{}' is not a blob's hash", id.hash)))?;
        self.blob_of(milestone, &hash).map_err(|e| ReadError(e.to_string()))
    }

    pub(super) fn blob_of(&self, milestone: MilestoneId, hash: &Hash) -> Result<Vec<u8>, journal::Error> {
        let missing = match self.shared.blobs.get(hash) {
            Err(e @ journal::Error::BlobMissing { .. }) => e,
            other => return other,
        };
        match archived_blob(&self.shared.data_dir, milestone.0, hash) {
            Ok(Some(bytes)) => Ok(bytes),
            Ok(None) => Err(missing),
            // A milestone that has no archive is missing its blob, not its archive.
            Err(RunFileError::Disk(journal::Error::Io { source, .. }))
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                Err(missing)
            }
            Err(RunFileError::Disk(e)) => Err(e),
            Err(e) => {
                let path = archive_path(&self.shared.data_dir, milestone.0);
                Err(journal::Error::BlobDamaged { path, what: e.to_string() })
            }
        }
    }
}

fn summary(row: &RunRow) -> RunSummary {
    RunSummary {
        run: row.id,
        seq: row.seq,
        workflow: row.workflow.clone(),
        state: row.state.clone(),
        reason: row.reason.clone(),
        branch: row.branch.clone(),
        head: row.head.clone(),
        started_at: row.started_at,
        ended_at: row.ended_at,
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| ReadError(e.to_string()))?
}
