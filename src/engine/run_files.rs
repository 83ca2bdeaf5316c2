//! Runs to and from files of their own: exports for other places, imports from them, and reading a file directly.
use super::{
    error::Cause,
    fold,
    handle::{Accepted, Handle, ReadError, SubmitError, records_in},
};
use crate::{
    codec::payload::{self, BadFrame},
    journal::{
        Error, Frame, Hash,
        run_file::{self, Counts, Entry, Header, RunFileError, RunReader, Source, Written},
    },
    kernel::evolve,
    model::{
        actor::Actor,
        aggregate::Aggregate,
        command::Action,
        event::Event,
        id::{MilestoneId, RunId},
        kept::{Imported, RunFile, RunSummary},
        record::{self, FramePayload, Record},
    },
    views::catalog::Recorded,
};
use std::{
    fs::{self, File},
    io::{self, Seek, Write},
    path::{Path, PathBuf},
};

/// The folder of imported runs in the data directory.
pub const IMPORTS: &str = "imports";
/// Frames of one milestone, from its first.
pub(super) type Stream = Box<dyn Iterator<Item = Result<Frame, ReadError>> + Send>;

/// The JSON of a payload in another form; also where a newer p0 wrote a command or an event that this one does not know.
pub fn readable(frame: &Frame) -> Option<String> {
    match fold::read(frame) {
        Ok(payload) => serde_json::to_string(&payload).ok(),
        Err(_) => payload::as_shown(frame),
    }
}

/// The payloads of a run file, in order, checked frame by frame.
///
/// # Errors
/// It is no run file.
pub fn frames_of_file(
    path: &Path,
) -> Result<(Header, impl Iterator<Item = Result<FramePayload, ReadError>> + Send + use<>), RunFileError> {
    let reader = RunReader::open(path, readable)?;
    let header = reader.header().clone();
    let frames = reader.frames().map(|frame| Ok(fold::read(&frame?)?));
    Ok((header, frames))
}

/// An event, or its frame, that this version cannot read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The frame.
    #[error(transparent)]
    Frame(#[from] BadFrame),
    /// The event.
    #[error(transparent)]
    Event(#[from] record::Unreadable),
}

/// What became of an import.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// It is there now.
    Imported,
    /// It takes the place of an earlier part of the same record.
    Extended,
    /// This very file was taken in before.
    Known,
}

/// Why a file was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is not what was written, or cannot be read.
    #[error(transparent)]
    File(#[from] RunFileError),
    /// It cannot be taken in here.
    #[error("{0}")]
    Refused(String),
    /// This version cannot read an event of it.
    #[error("{0}")]
    Unreadable(Unreadable),
    /// Something else.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not be put on record.
    #[error(transparent)]
    Submit(#[from] SubmitError),
}

impl Handle {
    /// The frames that a run can be lived again from: of its milestone here, or of the file it was taken in with.
    pub(super) fn stream_of(&self, run: RunId) -> Result<Stream, ReadError> {
        let catalog = self.catalog();
        if let Some(row) = catalog.run(run)? {
            let frames = self.shared.log.frames_of_stream(row.milestone.0);
            return Ok(Box::new(frames.map(|frame| Ok(frame?))));
        }
        let imported = catalog.imported(run)?.ok_or(Cause::NoRun(run))?;
        let reader = self.open_import(&imported)?;
        Ok(Box::new(reader.frames().map(|frame| Ok(frame?))))
    }

    /// All events of an imported run's file, in order.
    ///
    /// # Errors
    /// The file is missing or not what was taken in.
    pub fn records_of_import(
        &self,
        imported: &Imported,
    ) -> Result<impl Iterator<Item = Result<Record, ReadError>> + Send + use<>, ReadError> {
        Ok(records_in(self.open_import(imported)?.frames()))
    }

    fn open_import(&self, imported: &Imported) -> Result<RunReader, ReadError> {
        let run = imported.run.run;
        let path = self.import_path(run);
        let reader = RunReader::open(&path, readable).map_err(|source| Cause::Import { run, source })?;
        if reader.header().head.to_string() != imported.file.head {
            return Err(Cause::OtherImport { run, path }.into());
        }
        Ok(reader)
    }

    /// Where the file of an imported run is.
    pub fn import_path(&self, run: RunId) -> PathBuf {
        self.shared.data_dir.join(IMPORTS).join(format!("{run}.{}", run_file::EXTENSION))
    }

    /// Writes the run file of a run to `out`: of an imported run the very bytes that were taken in.
    ///
    /// # Errors
    /// There is no such run, something of it cannot be read, or `out` cannot be written.
    pub fn export(&self, run: RunId, mut out: impl Write) -> Result<(), ReadError> {
        let catalog = self.catalog();
        let found = catalog.find_record(&run.to_string()).map_err(Cause::from)?;
        match found {
            Recorded::Here(row) => {
                self.write_run_file(run, row.milestone, row.seq, out, Path::new("the export"))?;
            }
            Recorded::Imported(imported) => {
                drop(self.open_import(&imported)?);
                let path = self.import_path(run);
                let failed = |source| Cause::Io { doing: "copying", path: path.clone(), source };
                let mut file = File::open(&path).map_err(failed)?;
                // All of it first: what has been handed out cannot be taken back.
                if hash_of(&mut file).map_err(failed)?.to_string() != imported.file.blake3 {
                    return Err(Cause::ChangedImport { run, path }.into());
                }
                let copied = file.rewind().and_then(|()| io::copy(&mut file, &mut out));
                copied.and_then(|_| out.flush()).map_err(failed)?;
            }
        }
        Ok(())
    }

    pub(super) fn write_run_file(
        &self,
        run: RunId,
        milestone: MilestoneId,
        begins: u64,
        out: impl Write,
        path: &Path,
    ) -> Result<Written, Error> {
        let log = &self.shared.log;
        let blobs = &self.shared.blobs;
        let blob = |hash: &Hash, out: &mut dyn Write| match blobs.copy_to(hash, out) {
            Err(Error::BlobMissing { .. }) => {
                let bytes = self.blob_of(milestone, hash)?;
                out.write_all(&bytes).map_err(|e| Error::io("write", path, e))?;
                Ok(bytes.len() as u64)
            }
            other => other,
        };
        let source = Source {
            run: run.0,
            stream: milestone.0,
            begins,
            frames: &|| Box::new(log.frames_of_stream(milestone.0)),
            blob: &blob,
            readable,
        };
        run_file::write(&source, out, path)
    }

    /// Takes a run of another data directory in: checks the file from end to end, keeps a copy, and puts it on record.
    ///
    /// # Errors
    /// See [`ImportError`]; nothing has changed then.
    pub async fn import(&self, path: PathBuf, actor: Actor) -> Result<(Imported, ImportOutcome), ImportError> {
        let handle = self.clone();
        let staged = tokio::task::spawn_blocking(move || handle.stage(&path)).await;
        let (temp, imported) = staged.map_err(ReadError::from)??;
        let run = imported.run.run;
        let _one_at_a_time = self.shared.importing.lock().await;
        let judged = self.judge(&imported, &temp);
        let outcome = match judged {
            Ok(ImportOutcome::Known) | Err(_) => {
                // What was staged is of no use, whether or not it can be removed.
                let _ = fs::remove_file(&temp);
                judged?
            }
            Ok(outcome) => outcome,
        };
        if outcome == ImportOutcome::Known {
            return Ok((imported, outcome));
        }
        let target = self.import_path(run);
        let placed = fs::rename(&temp, &target).and_then(|()| File::open(self.imports())?.sync_all());
        placed.map_err(Cause::io("placing", &target)).map_err(ReadError::from)?;
        let action = Action::NoteImport { imported: Box::new(imported.clone()) };
        let Accepted { .. } = self.submit(MilestoneId::ENGINE, actor, action).await?;
        Ok((imported, outcome))
    }

    fn imports(&self) -> PathBuf {
        self.shared.data_dir.join(IMPORTS)
    }

    /// Copies a file and checks the copy: what is kept is what was checked.
    fn stage(&self, path: &Path) -> Result<(PathBuf, Imported), ImportError> {
        let dir = self.imports();
        let temp = dir.join(format!("{}.part", uuid::Uuid::new_v4()));
        let failed = |source| ReadError::from(Cause::Copy { from: path.to_owned(), to: temp.clone(), source });
        RunReader::open(path, readable)?;
        fs::create_dir_all(&dir).map_err(failed)?;
        let copied = File::open(path).and_then(|mut from| {
            let mut to = File::create_new(&temp)?;
            io::copy(&mut from, &mut to)?;
            to.sync_all()
        });
        let described = copied.map_err(|e| ImportError::Read(failed(e))).and_then(|()| describe(&temp));
        if described.is_err() {
            // The half of a copy is of no use.
            let _ = fs::remove_file(&temp);
        }
        described.map(|imported| (temp, imported))
    }

    /// Whether the file has a place here.
    fn judge(&self, imported: &Imported, temp: &Path) -> Result<ImportOutcome, ImportError> {
        let run = imported.run.run;
        let catalog = self.catalog();
        if catalog.run(run).map_err(ReadError::from)?.is_some() {
            let why = format!("run {run} is a run of this data directory; its own record is not replaced by a file");
            return Err(ImportError::Refused(why));
        }
        let Some(known) = catalog.imported(run).map_err(ReadError::from)? else { return Ok(ImportOutcome::Imported) };
        if known.file == imported.file {
            // A kept file that was damaged since gives way to this one.
            let kept = hash_of_file(&self.import_path(run));
            let whole = kept.is_ok_and(|hash| hash.to_string() == known.file.blake3);
            return Ok(if whole { ImportOutcome::Known } else { ImportOutcome::Imported });
        }
        let mut frames = RunReader::open(temp, readable)?.frames();
        let goes_on = frames.any(|frame| frame.is_ok_and(|frame| frame.hash.to_string() == known.file.head));
        if goes_on {
            return Ok(ImportOutcome::Extended);
        }
        let (seq, head) = (known.file.last_seq, &known.file.head);
        let why = format!(
            "run {run} was imported up to event {seq} ({head}), and this file does not go on from there: one of the two \
             was changed, or is older"
        );
        Err(ImportError::Refused(why))
    }
}

/// The state of a file's milestone, as far as it was read.
struct Folded {
    run: RunId,
    /// The first event of the run.
    begins: u64,
    state: Aggregate,
}

impl Folded {
    fn take(&mut self, frame: &Frame) -> Result<(), Unreadable> {
        let payload = fold::read(frame)?;
        for record in payload.events {
            let draft = record.to_draft()?;
            if matches!(&draft.event, Event::RunStarted { id, .. } if *id == self.run) {
                self.begins = record.seq;
            }
            evolve(&mut self.state, &draft);
        }
        Ok(())
    }
}

/// Checks a run file from end to end, and says what it holds.
fn describe(path: &Path) -> Result<Imported, ImportError> {
    let mut reader = RunReader::open(path, readable)?;
    let run = RunId(reader.header().run);
    let mut folded = Folded { run, begins: 0, state: Aggregate::default() };
    let mut understood = Ok(());
    while let Some(entry) = reader.next_entry()? {
        // Damage anywhere in the file is told before what this version cannot make of it.
        if let (Entry::Frame(frame), Ok(())) = (&entry, &understood) {
            understood = folded.take(frame);
        }
    }
    understood.map_err(ImportError::Unreadable)?;
    let Folded { begins, state, .. } = folded;
    let (header, counts) = (reader.header().clone(), reader.counts());
    let none = || ImportError::Refused(format!("the file says it holds run {run}, and its events know none"));
    let found = state.runs.get(&run).ok_or_else(none)?;
    let milestone = state.milestone.as_ref().ok_or_else(none)?;
    let blake3 = hash_of_file(path).map_err(Cause::io("reading", path)).map_err(ReadError::from)?;
    Ok(Imported {
        run: RunSummary {
            run,
            seq: begins,
            workflow: found.workflow.name.clone(),
            state: found.state.word().to_owned(),
            reason: found.state.why().map(str::to_owned),
            branch: found.branch.clone(),
            head: found.head.clone().unwrap_or_else(|| found.base.clone()),
            started_at: found.started_at,
            ended_at: found.ended_at,
        },
        milestone: MilestoneId(header.stream),
        key: milestone.key.clone(),
        title: milestone.title.clone(),
        project: milestone.project.clone(),
        file: run_file_of(&header, counts, blake3),
    })
}

pub(super) fn run_file_of(header: &Header, counts: Counts, blake3: Hash) -> RunFile {
    RunFile {
        blake3: blake3.to_string(),
        first_seq: header.first_seq,
        last_seq: header.last_seq,
        head: header.head.to_string(),
        frames: counts.frames,
        events: counts.events,
    }
}

/// BLAKE3 of a file's bytes.
pub(super) fn hash_of_file(path: &Path) -> io::Result<Hash> {
    hash_of(&mut File::open(path)?)
}

/// BLAKE3 of what a file has from here on.
fn hash_of(file: &mut File) -> io::Result<Hash> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file)?;
    Ok(Hash::from_bytes(*hasher.finalize().as_bytes()))
}
