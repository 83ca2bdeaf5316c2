//! Making a backup: reads files only, so that a live engine is neither asked nor held up.
use super::{BackupError, MANIFEST, Manifest, SEAL, Seal, VERSION, tar};
use crate::{
    engine::{
        audit::{payload_json, run_files},
        run_files::IMPORTS,
    },
    journal::{self, ARCHIVES, Blobs, Hash, Shown, run_file},
};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// The journal compresses well, blobs are compressed already.
const LEVEL: i32 = 3;
/// Files up to this size are read at once, so that one that is replaced meanwhile is whole all the same.
const SMALL_BYTES: u64 = 1 << 20;

/// What a backup holds.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct BackedUp {
    /// The last event in it.
    pub seq: u64,
    /// The hash of its frame.
    pub head: String,
    /// Files.
    pub files: u64,
    /// Blobs among them.
    pub blobs: u64,
}

/// Writes a backup of `data_dir` to `out`, consistent at the sequence number it gives back.
///
/// # Errors
/// The log is damaged; a blob, an archive or an imported file that it names is missing or damaged; or something cannot be
/// read or written.
pub fn write(data_dir: &Path, out: impl Write, target: &Path) -> Result<BackedUp, BackupError> {
    let failed = BackupError::io("write", target);
    let mut named: BTreeSet<Hash> = BTreeSet::new();
    let held = journal::hold_still(data_dir)?;
    let mut archives: BTreeSet<PathBuf> = BTreeSet::new();
    let mut unfit = None;
    let (parts, head) = journal::parts(data_dir, &mut |shown| match shown {
        Shown::Frame(frame) => {
            named.extend(payload_json(frame).iter().flat_map(|json| run_file::blobs_named(json)).map(|blob| blob.hash));
            if unfit.is_none() && frame.keys.stream.is_nil() {
                unfit = run_files(data_dir, frame);
            }
        }
        Shown::Archive(path) => {
            archives.insert(path);
        }
    })?;
    // With less than what is on record the backup could not be restored; better said now.
    if let Some(what) = unfit {
        return Err(BackupError::Unfit(what));
    }
    for path in &archives {
        File::open(path)
            .map_err(|e| BackupError::Unfit(format!("the archive {} cannot be read: {e}", path.display())))?;
    }
    let mut encoder = zstd::stream::write::Encoder::new(out, LEVEL).map_err(&failed)?;
    encoder.include_checksum(true).map_err(&failed)?;
    let mut entries = tar::Entries { out: encoder, hasher: blake3::Hasher::new(), files: 0 };
    let manifest = Manifest {
        p0backup: VERSION,
        next_seq: head.next_seq,
        head: head.hash.to_string(),
        p0: env!("CARGO_PKG_VERSION").to_owned(),
    };
    add_json(&mut entries, MANIFEST, &manifest).map_err(&failed)?;
    for part in &parts {
        let mut file = File::open(&part.path).map_err(BackupError::io("open", &part.path))?;
        entries.add(&format!("journal/{}", part.name), part.bytes, &mut file).map_err(&failed)?;
    }
    let blobs = Blobs::at(&data_dir.join("blobs"));
    for hash in &named {
        blobs.copy_to(hash, &mut io::sink())?;
        add_file(&mut entries, data_dir, &blobs.path(hash)).map_err(&failed)?;
    }
    for path in beside(data_dir)? {
        match add_file(&mut entries, data_dir, &path) {
            // A ref that was moved, an object that was packed: what takes its place was or will be read.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            other => other.map_err(&failed)?,
        }
    }
    drop(held);
    let seal = Seal { files: entries.files, blake3: entries.hasher.finalize().to_hex().to_string() };
    let files = entries.files;
    add_json(&mut entries, SEAL, &seal).map_err(&failed)?;
    entries.out.write_all(&[0; 2 * tar::BLOCK]).map_err(&failed)?;
    entries.out.finish().and_then(|mut out| out.flush()).map_err(&failed)?;
    let seq = head.next_seq.saturating_sub(1);
    Ok(BackedUp { seq, head: head.hash.to_string(), files, blobs: named.len() as u64 })
}

fn add_json<W: Write>(entries: &mut tar::Entries<W>, name: &str, value: &impl serde::Serialize) -> io::Result<()> {
    let mut text = serde_json::to_vec(value)?;
    text.push(b'\n');
    entries.add(name, text.len() as u64, &mut text.as_slice())
}

fn add_file<W: Write>(entries: &mut tar::Entries<W>, data_dir: &Path, path: &Path) -> io::Result<()> {
    let name = path.strip_prefix(data_dir).map_err(io::Error::other)?;
    let name = name.to_str().ok_or_else(|| io::Error::other(format!("{} is not text", path.display())))?;
    let mut file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > SMALL_BYTES {
        return entries.add(name, size, &mut file);
    }
    let mut content = Vec::new();
    file.take(SMALL_BYTES * 2).read_to_end(&mut content)?;
    entries.add(name, content.len() as u64, &mut content.as_slice())
}

/// The files of imported and of archived runs, and the repositories of results. Of these the refs come before the objects:
/// what they name is then there.
fn beside(data_dir: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let mut found = Vec::new();
    for folder in [IMPORTS, ARCHIVES] {
        let is_run_file = &mut |path: &Path| path.extension().is_some_and(|e| e == run_file::EXTENSION);
        list(&data_dir.join(folder), is_run_file, &mut found)?;
    }
    let mut projects = Vec::new();
    for entry in entries_of(&data_dir.join("repos"))? {
        projects.push(entry.join("repo.git"));
    }
    projects.sort();
    let left_out = |path: &Path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(".lock") || name.starts_with("tmp_") || name == "hooks"
    };
    for repo in &projects {
        list(repo, &mut |path| !left_out(path) && !path.starts_with(repo.join("objects")), &mut found)?;
    }
    for repo in &projects {
        list(&repo.join("objects"), &mut |path| !left_out(path), &mut found)?;
    }
    Ok(found)
}

/// The plain files below `dir`, in the order of their names; none when there is no such folder.
fn list(dir: &Path, wanted: &mut dyn FnMut(&Path) -> bool, found: &mut Vec<PathBuf>) -> Result<(), BackupError> {
    let mut entries = entries_of(dir)?;
    entries.sort();
    for path in entries {
        let Ok(meta) = fs::symlink_metadata(&path) else { continue };
        if meta.is_dir() {
            list(&path, wanted, found)?;
        } else if meta.is_file() && wanted(&path) {
            found.push(path);
        }
    }
    Ok(())
}

fn entries_of(dir: &Path) -> Result<Vec<PathBuf>, BackupError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(BackupError::io("list", dir)(e)),
    };
    entries.map(|entry| entry.map(|e| e.path()).map_err(BackupError::io("list", dir))).collect()
}
