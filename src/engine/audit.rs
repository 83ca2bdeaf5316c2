//! Checking what is on disk, without an engine: the log, the blobs its events name, the files of runs kept beside it.
use super::{
    handle::records_of,
    run_files::{self, hash_of_file, readable},
};
use crate::{
    journal::{
        self, ARCHIVES, Anchor, Anchors, Bad, Blobs, Error, Frame, Hash, Kept, archive_path,
        run_file::{self, RunFileError, RunReader},
    },
    model::{event::Event, kept::RunFile},
};
use std::{
    borrow::Cow,
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

/// What is to be checked.
#[derive(Debug, Clone)]
pub struct Check {
    /// A data directory, its journal, a segment file, or a run file.
    pub path: PathBuf,
    /// Frames that must be in it.
    pub anchors: Vec<Anchor>,
    /// Whether the blobs that events name are read too.
    pub blobs: bool,
}

/// How far a check is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Frames.
    pub frames: u64,
    /// Events in them.
    pub events: u64,
    /// Blobs.
    pub blobs: u64,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What was found good.
    pub counts: Progress,
    /// The first event that cannot be vouched for, and why.
    pub first_bad: Option<(u64, String)>,
    /// The hash of the last good frame.
    pub head: Hash,
}

/// Checks it, from its beginning to its end or the first thing that is wrong.
///
/// # Errors
/// It is no log, is of a newer p0, or cannot be read.
pub fn check(what: &Check, on_progress: &mut dyn FnMut(&Progress)) -> Result<Checked, Error> {
    if run_file::looks_like(&what.path) {
        return check_file(what, on_progress);
    }
    // What is archived meanwhile would take blobs with it that this check is going to look for.
    let _held = journal::hold_still(&what.path)?;
    let mut beside = Beside::of(&what.path, what.blobs);
    let mut counts = Progress::default();
    let found = journal::verify_with(&what.path, &what.anchors, &mut |frame, kept| {
        beside.look(frame, kept);
        counts.frames += 1;
        counts.events += u64::from(frame.events);
        counts.blobs = beside.good;
        on_progress(&counts);
    })?;
    counts.blobs = beside.good;
    let bad = found.first_bad.map(|Bad { seq, what, .. }| (seq, what));
    let first_bad = match (beside.bad, bad) {
        // Both are told in the order of the log.
        (Some(beside), Some(log)) => Some(if log.0 < beside.0 { log } else { beside }),
        (beside, log) => beside.or(log),
    };
    Ok(Checked { counts, first_bad, head: found.head })
}

fn check_file(what: &Check, on_progress: &mut dyn FnMut(&Progress)) -> Result<Checked, Error> {
    let mut anchors = Anchors::new(&what.anchors);
    let mut checked = Checked { counts: Progress::default(), first_bad: None, head: Hash::ZERO };
    let mut read = || -> Result<(), RunFileError> {
        let mut reader = RunReader::open(&what.path, readable)?;
        while let Some(entry) = reader.next_entry()? {
            if let run_file::Entry::Frame(frame) = &entry {
                anchors.see(frame);
                checked.head = frame.hash;
            }
            let run_file::Counts { frames, events, blobs } = reader.counts();
            checked.counts = Progress { frames, events, blobs };
            on_progress(&checked.counts);
        }
        Ok(())
    };
    match read() {
        Ok(()) => {
            let missing = anchors.missing();
            checked.first_bad = missing.map(|anchor| (1, format!("the anchor {anchor} is not in this file")));
        }
        Err(RunFileError::Bad { seq, line, what, .. }) => {
            checked.first_bad = Some((seq, format!("line {line}: {what}")));
        }
        Err(RunFileError::Newer { path, version }) => {
            return Err(Error::NewerVersion { file: path, version, ours: 1 });
        }
        Err(RunFileError::Disk(e)) => return Err(e),
    }
    Ok(checked)
}

/// What lies beside a log and is named in it.
struct Beside {
    data_dir: Option<PathBuf>,
    blobs: Option<Blobs>,
    seen: HashSet<Hash>,
    good: u64,
    bad: Option<(u64, String)>,
}

impl Beside {
    /// Only a data directory has something beside its log; a copy of the `journal` folder alone has not.
    fn of(path: &Path, wanted: bool) -> Beside {
        let beside = ["blobs", "lock", "store", run_files::IMPORTS, ARCHIVES];
        let is_data_dir = path.join("journal").is_dir() && beside.iter().any(|name| path.join(name).exists());
        let data_dir = Some(path.to_path_buf()).filter(|_| wanted && is_data_dir);
        let blobs = data_dir.as_ref().map(|dir| Blobs::at(&dir.join("blobs")));
        Beside { data_dir, blobs, seen: HashSet::new(), good: 0, bad: None }
    }

    fn look(&mut self, frame: &Frame, kept: Kept) {
        let (Some(data_dir), Some(blobs)) = (&self.data_dir, &self.blobs) else { return };
        // The blobs of an archived frame are in the archive, which is checked where it is put on record.
        if self.bad.is_some() || kept == Kept::Archive {
            return;
        }
        // What cannot be read is quarantined, and no finding: its hash was checked.
        let Some(json) = payload_json(frame) else { return };
        for blob in run_file::blobs_named(&json) {
            if !self.seen.insert(blob.hash) {
                continue;
            }
            match blobs.copy_to(&blob.hash, &mut io::sink()) {
                Ok(size) if size == blob.size => self.good += 1,
                Ok(size) => {
                    let what = format!("blob {} has {size} bytes, the event says {}", blob.hash, blob.size);
                    self.bad = Some((frame.first_seq, what));
                }
                Err(e) => self.bad = Some((frame.first_seq, e.to_string())),
            }
        }
        if self.bad.is_none() && frame.keys.stream.is_nil() {
            self.bad = run_files(data_dir, frame).map(|what| (frame.first_seq, what));
        }
    }
}

/// The JSON of a payload, whatever form it has; none when this version cannot read it.
pub(super) fn payload_json(frame: &Frame) -> Option<Cow<'_, str>> {
    match std::str::from_utf8(&frame.payload) {
        Ok(text) if text.starts_with('{') => Some(text.into()),
        Ok(_) | Err(_) => readable(frame).map(Into::into),
    }
}

/// What is wrong with a run file that an event of the engine's stream put on record.
pub(super) fn run_files(data_dir: &Path, frame: &Frame) -> Option<String> {
    let drafts = records_of(frame).into_iter().filter_map(|record| record.to_draft().ok());
    drafts.into_iter().find_map(|draft| match draft.event {
        Event::RunImported { imported } => {
            let name = format!("{}.{}", imported.run.run, run_file::EXTENSION);
            let path = data_dir.join(run_files::IMPORTS).join(name);
            let told = run_file_at(&path, &imported.file, "imported")?;
            Some(format!("the imported run {} ({}): {told}", imported.run.run, path.display()))
        }
        Event::RunArchived { archived } => {
            let path = archive_path(data_dir, archived.milestone.0);
            let told = run_file_at(&path, &archived.file, "archived")?;
            Some(format!("the archive of {} ({}): {told}", archived.key, path.display()))
        }
        _ => None,
    })
}

/// What is wrong with the file that is on record as `file`.
pub(super) fn run_file_at(path: &Path, file: &RunFile, became: &str) -> Option<String> {
    match hash_of_file(path) {
        Ok(hash) if hash.to_string() == file.blake3 => None,
        // A later one may have taken its place; then the file itself says whether it is whole.
        Ok(_) => match run_file::check(path, readable, &mut |_| {}) {
            Ok((header, _)) if header.last_seq > file.last_seq || header.head.to_string() == file.head => None,
            Ok(_) => Some(format!("is not the file that was {became}")),
            Err(e) => Some(e.to_string()),
        },
        Err(e) => Some(format!("cannot be read: {e}")),
    }
}
