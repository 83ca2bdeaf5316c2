//! Archives: the record of runs that are long over, moved out of the journal into one compressed file per milestone.
//!
//! In this order, so that a crash at any point leaves every frame in the journal or in a file that was checked: the run
//! file of the milestone's newest run is written, made durable and read back; `run.archived` puts on record what lists
//! show; segments and the store's blocks are written anew without its frames ([`mod@journal::compact`]); last of all go the
//! blobs that only those frames named (`gc`). Whatever an earlier call left undone the next one does.
use super::{
    audit::run_file_at,
    error::Cause,
    fold,
    handle::{Handle, ReadError},
    run_files::{hash_of_file, readable, run_file_of},
    snapshots,
};
use crate::{
    journal::{
        self, Compacted, Hash,
        archives::{ARCHIVES, archive_path, archived_blob},
        disk::RealDisk,
        run_file::{Counts, Entry, Header, RunFileError, RunReader},
    },
    model::{
        Time,
        actor::Actor,
        command::Action,
        id::{AttemptId, BlobId, MilestoneId},
        kept::Archived,
    },
    views::catalog::{MilestoneRow, RunRow},
};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

/// The extension of a file that is not finished.
const PART: &str = "part";

/// Runs of a project that were over before this moment are archived; none of them where there is none.
type Before<'a> = dyn Fn(&str) -> Option<Time> + Send + Sync + 'a;

/// A milestone that is to be archived, up to the end of the last of these runs.
struct Candidate {
    milestone: MilestoneId,
    row: MilestoneRow,
    runs: Vec<RunRow>,
}

impl Handle {
    /// What `before` says can be archived now: of each milestone the runs that were over before that moment, up to the
    /// first that was not. What happened since stays in the journal.
    fn candidates(&self, before: &Before<'_>) -> Result<Vec<Candidate>, ReadError> {
        let catalog = self.catalog();
        let live: std::collections::HashSet<_> = catalog.live()?.into_iter().collect();
        let mut found = Vec::new();
        for milestone in catalog.milestones() {
            let (milestone, row) = milestone?;
            let Some(before) = before(&row.project) else { continue };
            let mut runs: Vec<RunRow> = catalog.runs_of(milestone).collect::<Result<_, _>>()?;
            let all = runs.len();
            let is_old = |run: &RunRow| run.ended_at.is_some_and(|at| at <= before);
            let old = runs.iter().position(|run| !is_old(run)).unwrap_or(all);
            let known = catalog.archived(milestone)?;
            let held = known.as_ref().map_or(0, |known| known.runs.len());
            // One that was lost or damaged is written again, with all that it held, if its frames have not left the
            // journal yet.
            let path = archive_path(&self.shared.data_dir, milestone.0);
            let is_whole = |known: Archived| run_file_at(&path, &known.file, "archived").is_none();
            // One that holds more stays: what it holds has left the journal.
            if held >= old && known.is_none_or(is_whole) {
                continue;
            }
            runs.truncate(old.max(held));
            // Something of the last run is still to be done.
            let unsettled = runs.len() == all && live.contains(&milestone);
            if runs.is_empty() || unsettled {
                continue;
            }
            found.push(Candidate { milestone, row, runs });
        }
        Ok(found)
    }

    /// Archives the runs that were over before the moment that `before` gives for their project; with `dry_run` only says
    /// which. `left` hears of those that could not be: a blob of theirs is missing, or this p0 cannot read all of their
    /// record.
    ///
    /// # Errors
    /// The catalog cannot be read, or the engine has stopped. What was archived before that stays so.
    pub async fn archive(
        &self,
        before: impl Fn(&str) -> Option<Time> + Send + Sync + 'static,
        dry_run: bool,
        actor: &Actor,
        left: &mut Vec<String>,
    ) -> Result<Vec<Archived>, ReadError> {
        let handle = self.clone();
        let written = blocking(move || {
            remove_parts(&handle.shared.data_dir.join(ARCHIVES));
            let candidates = handle.candidates(&before)?;
            Ok(candidates.iter().map(|candidate| handle.write_archive(candidate, dry_run)).collect::<Vec<_>>())
        });
        let mut archived = Vec::new();
        for written in written.await? {
            match written {
                Ok(one) => archived.push(one),
                Err(error) => left.push(error.why()),
            }
        }
        if dry_run || archived.is_empty() {
            return Ok(archived);
        }
        // What is written from here on begins a segment, so that all of the frames are in finished ones.
        self.shared.sealer.seal();
        for archived in &archived {
            let action = Action::NoteArchive { archived: Box::new(archived.clone()) };
            let noted = self.submit(MilestoneId::ENGINE, actor.clone(), action).await;
            noted.map_err(|source| Cause::NotRecorded { key: archived.key.clone(), source })?;
            snapshots::forget(self.shared.store()?, archived.milestone)?;
        }
        Ok(archived)
    }

    /// Takes the frames of archived milestones out of the journal and the store. `left` hears of archives that do not give
    /// back what they should: their frames stay.
    ///
    /// # Errors
    /// A file cannot be read or written.
    pub fn compact(&self, left: &mut Vec<String>) -> Result<Compacted, ReadError> {
        let archived = self.catalog().archives().map(|found| found.map(|a| (a.milestone.0, a.file.last_seq)));
        let archived = archived.collect::<Result<_, _>>()?;
        let on_left = &mut |why: journal::Error| left.push(why.to_string());
        Ok(journal::compact(&self.shared.data_dir, self.shared.store()?, &archived, &RealDisk, on_left)?)
    }

    /// Writes the file, makes it durable, reads it back, and puts it into its place.
    fn write_archive(&self, candidate: &Candidate, dry_run: bool) -> Result<Archived, ReadError> {
        let Candidate { milestone, row, runs } = candidate;
        let newest = runs.last().ok_or(Cause::WithoutRun)?;
        let path = archive_path(&self.shared.data_dir, milestone.0);
        let temp = path.with_extension(format!("{}.{PART}", uuid::Uuid::new_v4()));
        let failed = |source: Cause| Cause::Archive { path: path.clone(), source: Box::new(source) };
        let dir = path.parent().unwrap_or(Path::new("."));
        let work = || -> Result<_, Cause> {
            fs::create_dir_all(dir)?;
            let file = File::create(&temp)?;
            let mut out = BufWriter::new(file);
            self.write_run_file(newest.id, *milestone, newest.seq, &mut out, &temp)?;
            out.flush().and_then(|()| out.get_ref().sync_all())?;
            let read = ReadBack::of(&temp)?;
            let goes_further = |old: &RunReader| old.header().last_seq > read.header.last_seq;
            // A damaged one may say anything about itself.
            if RunReader::open_unread(&path).is_ok_and(|old| goes_further(&old)) && ReadBack::of(&path).is_ok() {
                return Err(Cause::GoesFurther);
            }
            Ok((read, hash_of_file(&temp)?))
        };
        let written = work().map_err(failed);
        if dry_run || written.is_err() {
            // Of no use; one that cannot be removed is only room.
            let _ = fs::remove_file(&temp);
        }
        let (ReadBack { header, counts, attempts }, blake3) = written?;
        if !dry_run {
            let placed = fs::rename(&temp, &path).and_then(|()| File::open(dir)?.sync_all());
            let placed = placed.and_then(|()| File::open(&self.shared.data_dir)?.sync_all());
            placed.map_err(|e| failed(e.into()))?;
        }
        Ok(Archived {
            milestone: *milestone,
            key: row.key.clone(),
            title: row.title.clone(),
            spec: row.spec.clone(),
            project: row.project.clone(),
            runs: runs.iter().map(RunRow::summary).collect(),
            attempts,
            file: run_file_of(&header, counts, blake3),
        })
    }

    /// The bytes of a blob that a milestone's events name, checked against its hash; from its archive, if they are there.
    ///
    /// # Errors
    /// It is missing or damaged.
    pub fn blob(&self, milestone: MilestoneId, id: &BlobId) -> Result<Vec<u8>, ReadError> {
        let hash: Hash = id.hash.parse().map_err(|_| Cause::NoHash(id.hash.clone()))?;
        Ok(self.blob_of(milestone, &hash)?)
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

/// Removes what a killed process had not finished. Whether or not they can be removed: they are only room.
fn remove_parts(dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
    for part in entries.filter(|path| path.extension().is_some_and(|e| e == PART)) {
        let _ = fs::remove_file(part);
    }
}

/// What is known of an archive that was read from end to end.
struct ReadBack {
    header: Header,
    counts: Counts,
    attempts: Vec<AttemptId>,
}

impl ReadBack {
    /// Of a frame that this p0 cannot read it is not known which blobs it names, so they are not in the file: it must not
    /// take the journal's place.
    fn of(path: &Path) -> Result<ReadBack, Cause> {
        let mut reader = RunReader::open(path, readable)?;
        let mut attempts = Vec::new();
        while let Some(entry) = reader.next_entry()? {
            let Entry::Frame(frame) = entry else { continue };
            let payload = fold::read(&frame)?;
            let started = payload.events.iter().filter(|event| event.kind == "attempt.started");
            attempts.extend(started.filter_map(|event| event.attempt));
        }
        Ok(ReadBack { header: reader.header().clone(), counts: reader.counts(), attempts })
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    tokio::task::spawn_blocking(work).await?
}
