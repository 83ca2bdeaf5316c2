//! The attempt's directory: the names in it, and writes that are there after a power cut.

use super::{
    error::{Error, io_error},
    spec::{AgentSpec, ExitRecord, Ready},
};
use crate::system::{clock, space::Changed};
use serde::de::DeserializeOwned;
use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

/// Room kept for the exit record, so that a full disk does not swallow it. Larger than any record: the longest `why`
/// is one sentence with one path.
const EXIT_ROOM_BYTES: u64 = 8192;

/// What a deadline by the monotonic clock begins with.
const MONOTONIC: &str = "monotonic ";

/// What the marker says before the program runs.
const NOT_YET: u8 = b'0';
/// What it says from then on.
const BEGUN: u8 = b'1';

/// The directory of one attempt, and the paths in it.
#[derive(Clone, Debug)]
pub struct AttemptDir {
    dir: PathBuf,
}

impl AttemptDir {
    /// Names the directory; touches nothing.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.dir
    }

    /// What to run.
    pub fn spec(&self) -> PathBuf {
        self.dir.join("spec.json")
    }

    /// What the program reads on its stdin.
    pub fn stdin(&self) -> PathBuf {
        self.dir.join("stdin")
    }

    /// What was kept of the program's stdout.
    pub fn stdout(&self) -> PathBuf {
        self.dir.join("stdout")
    }

    /// What was kept of the program's stderr.
    pub fn stderr(&self) -> PathBuf {
        self.dir.join("stderr")
    }

    /// The supervisor's own complaints; empty when all is well.
    pub fn supervisor_log(&self) -> PathBuf {
        self.dir.join("supervisor.log")
    }

    /// What the program tried and was not let, a JSON line each; absent when it was not confined.
    pub fn denied(&self) -> PathBuf {
        self.dir.join("denied.jsonl")
    }

    /// A file for each question that its program waits for a person's answer to: until when, in milliseconds of the
    /// monotonic clock after a word for it. A p0 of before December 2026 wrote milliseconds since 1970 alone.
    fn asking(&self) -> PathBuf {
        self.dir.join("asking")
    }

    /// Notes that the program waits for the answer to question `id`, for so long from now; not being idle, it is not
    /// ended for that.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn note_asking(&self, id: &str, patience: Duration) -> io::Result<()> {
        fs::create_dir_all(self.asking())?;
        let until = clock::monotonic_since_boot().saturating_add(patience);
        fs::write(self.asking().join(id), format!("{MONOTONIC}{}", until.as_millis()))
    }

    /// The question is answered.
    pub fn forget_asking(&self, id: &str) {
        let _ = fs::remove_file(self.asking().join(id));
    }

    /// Whether the program waits for a person at this moment.
    pub(super) fn is_asking(&self, wall_ms: u64) -> bool {
        let now_ms = clock::monotonic_since_boot().as_millis();
        let is_open = |text: &str| match text.strip_prefix(MONOTONIC) {
            Some(until) => until.parse::<u128>().is_ok_and(|until| now_ms < until),
            None => text.parse::<u64>().is_ok_and(|until| wall_ms < until),
        };
        let entries = fs::read_dir(self.asking()).into_iter().flatten().flatten();
        entries.filter_map(|entry| fs::read_to_string(entry.path()).ok()).any(|text| is_open(&text))
    }

    pub(super) fn ready(&self) -> PathBuf {
        self.dir.join("ready.json")
    }

    /// Where the program's control group is.
    pub(super) fn cgroup(&self) -> PathBuf {
        self.dir.join("cgroup")
    }

    /// One byte: [`NOT_YET`], or [`BEGUN`] from when on the program may have run.
    fn mark(&self) -> PathBuf {
        self.dir.join("mark")
    }

    /// There once the program may have run, for a p0 that does not know [`AttemptDir::mark`] (before November 2026).
    pub(super) fn began(&self) -> PathBuf {
        self.dir.join("began")
    }

    pub(super) fn exit(&self) -> PathBuf {
        self.dir.join("exit.json")
    }

    fn exit_draft(&self) -> PathBuf {
        self.dir.join("exit.json.tmp")
    }

    /// Held by the supervisor while it lives, so that two never share a directory.
    pub(super) fn lock(&self) -> PathBuf {
        self.dir.join("lock")
    }

    /// Makes the directory, readable by its owner only.
    pub(super) fn make(&self) -> Result<(), Error> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.dir)
            .map_err(io_error("make the attempt's directory", &self.dir))
    }

    /// The moment at which the program began, on the clock of the file system; `None` = it did not.
    pub fn began_at(&self) -> Option<Changed> {
        Changed::of(&self.began()).or_else(|| Changed::of(&self.mark()))
    }

    /// Whether the program was started, or was about to be.
    pub(super) fn has_begun(&self) -> Result<bool, Error> {
        let (path, mark) = (self.began(), self.mark());
        if path.try_exists().map_err(io_error("look for the marker", &path))? {
            return Ok(true);
        }
        match fs::read(&mark) {
            Ok(bytes) => Ok(bytes.first() == Some(&BEGUN)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error("read the marker", &mark)(error)),
        }
    }

    pub(super) fn read_spec(&self) -> Result<AgentSpec, Error> {
        let path = self.spec();
        read_json(&path)?.ok_or_else(|| Error::Io {
            doing: "read the specification",
            path,
            source: io::Error::from(io::ErrorKind::NotFound),
        })
    }

    pub(super) fn read_ready(&self) -> Result<Option<Ready>, Error> {
        read_json(&self.ready())
    }

    pub(super) fn read_exit(&self) -> Result<Option<ExitRecord>, Error> {
        read_json(&self.exit())
    }

    /// Writes `ready.json`. It need not survive a power cut: no process does either.
    pub(super) fn write_ready(&self, ready: &Ready) -> Result<(), Error> {
        let (path, draft) = (self.ready(), self.dir.join("ready.json.tmp"));
        write_private(&draft, &to_json(ready))?;
        fs::rename(&draft, &path).map_err(io_error("put the supervisor's identity in place", &path))
    }

    /// Puts the mark in place that says that the program has not run, and makes it durable. Setting it then changes one
    /// byte of a block that is there: a sync that waits for no change of the file system's own records.
    pub(super) fn place_mark(&self) -> Result<Mark, Error> {
        let path = self.mark();
        let file = create_private(&path)?;
        file.write_all_at(&[NOT_YET], 0)
            .and_then(|()| file.sync_all())
            .map_err(io_error("make the marker durable", &path))?;
        self.sync()?;
        Ok(Mark { place: self.clone(), file })
    }

    /// Makes the names in the directory durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        File::open(&self.dir).and_then(|dir| dir.sync_all()).map_err(io_error("make the directory durable", &self.dir))
    }

    /// Sets room aside for the exit record before anything runs.
    pub(super) fn reserve_exit(&self) -> Result<ExitSlot, Error> {
        let draft = self.exit_draft();
        let file = create_private(&draft)?;
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, EXIT_ROOM_BYTES) {
            // Some file systems cannot reserve; they are used without the precaution.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(ExitSlot { place: self.clone(), file }),
            Err(errno) => Err(io_error("set room aside for the exit record", &draft)(errno)),
        }
    }
}

/// What [`AttemptDir::has_begun`] looks at.
#[derive(Debug)]
pub(super) struct Mark {
    place: AttemptDir,
    file: File,
}

impl Mark {
    /// Says durably "from here on the program may have run".
    pub(super) fn set(self) -> Result<(), Error> {
        let path = self.place.mark();
        let set = self.file.write_all_at(&[BEGUN], 0).and_then(|()| self.file.sync_data());
        if let Err(error) = set {
            // Nothing has run: without the marker the attempt can be started again.
            let _ = fs::remove_file(&path);
            return Err(io_error("make the marker durable", &path)(error));
        }
        create_private(&self.place.began()).map(drop)
    }
}

/// Room on disk for the exit record, taken before the program starts.
#[derive(Debug)]
pub(super) struct ExitSlot {
    place: AttemptDir,
    file: File,
}

impl ExitSlot {
    /// Writes the record durably and gives it its name; whoever sees `exit.json` sees all of it.
    pub(super) fn write(self, record: &ExitRecord) -> Result<(), Error> {
        let (draft, path) = (self.place.exit_draft(), self.place.exit());
        let bytes = to_json(record);
        self.file
            .write_all_at(&bytes, 0)
            .and_then(|()| self.file.set_len(bytes.len() as u64))
            .and_then(|()| self.file.sync_all())
            .map_err(io_error("write the exit record", &draft))?;
        fs::rename(&draft, &path).map_err(io_error("put the exit record in place", &path))?;
        self.place.sync()
    }
}

/// Makes or empties a file that only its owner may read.
pub(super) fn create_private(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(io_error("create the file", path))
}

/// Writes a whole file that only its owner may read.
pub(super) fn write_private(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    create_private(path)?.write_all(bytes).map_err(io_error("write the file", path))
}

/// Removes a file that may be absent.
pub(super) fn remove_if_there(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove the stale file", path)(error)),
        _ => Ok(()),
    }
}

/// Removes a folder of an attempt with all that is in it, whatever rights its program left there; links are not
/// followed. Nothing there is fine.
///
/// # Errors
/// Something cannot be removed.
pub fn remove_tree(dir: &Path) -> io::Result<()> {
    let once = || match fs::remove_dir_all(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    once().or_else(|_| open_up(dir).and_then(|()| once()))
}

/// Folders that cannot be written or entered keep what is in them: their owner may change that.
fn open_up(dir: &Path) -> io::Result<()> {
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_up(&entry.path())?;
        }
    }
    Ok(())
}

/// Serialises one of this room's records.
pub(super) fn to_json<T: serde::Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec_pretty(record).expect("records hold only strings, numbers and string-keyed maps")
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Error> {
    match fs::read(path) {
        Ok(bytes) => serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|source| Error::Unreadable { path: path.to_path_buf(), source }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(io_error("read the record", path)(error)),
    }
}
