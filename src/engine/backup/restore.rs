//! Restoring a backup: everything is unpacked beside the data directory and checked before the two change places.
//!
//! What attempts of the old directory still run is ended before that: they belong to a log that nobody opens any more, so
//! no engine would ever find them again.
use super::{BackupError, Flaw, MANIFEST, Manifest, SEAL, Seal, VERSION, tar};
use crate::{
    engine::audit::{self, Check},
    journal::{Anchor, DirLock, Error},
    process,
};
use rustix::fs::{AtFlags, CWD, RenameFlags, StatxAttributes, StatxFlags, renameat_with, statx, syncfs};
use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File},
    io::{self, BufReader, Read, Write},
    os::unix::fs::DirBuilderExt,
    path::{Component, Path, PathBuf},
    time::Duration,
};

/// What a backup may hold, below the data directory.
const FOLDERS: [&str; 5] = ["journal", "blobs", "imports", "archives", "repos"];
/// The longest first and last entry, in bytes.
const MAX_NOTE_BYTES: u64 = 64 << 10;
/// What stands between the name of the data directory and the id of the process that unpacks beside it.
const BESIDE: &str = ".restoring-";
/// The file that says that a directory beside it is only a half-made copy of a backup. It goes before the two change
/// places: from then on that name may be the one of the old data.
pub(super) const UNPACKING: &str = "p0-unpacking";

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Restored {
    /// The last event.
    pub seq: u64,
    /// The hash of its frame.
    pub head: String,
    /// Frames.
    pub frames: u64,
    /// Blobs.
    pub blobs: u64,
    /// Where the directory that was there before is now; none when there was none.
    pub kept: Option<PathBuf>,
    /// The attempts of that directory that were still at work, and were ended.
    pub ended: Vec<String>,
}

/// Puts the backup `file` in the place of `data_dir`, after it was checked from end to end. A link to the directory stays
/// one.
///
/// # Errors
/// Somebody holds the directory, nothing can take its place, the file is not whole, an attempt cannot be ended, or
/// something cannot be read or written. Nothing was replaced.
pub fn restore(file: &Path, data_dir: &Path) -> Result<Restored, BackupError> {
    let _lock = DirLock::acquire(data_dir, Duration::ZERO)?;
    let data_dir = &data_dir.canonicalize().map_err(BackupError::io("look at", data_dir))?;
    if is_mount_point(data_dir)? {
        return Err(BackupError::MountPoint(data_dir.clone()));
    }
    let had_content = entries(data_dir)?.iter().any(|name| name != "lock");
    remove_left(data_dir);
    let fresh = beside(data_dir, &format!("{BESIDE}{}", std::process::id()));
    DirBuilder::new().mode(0o700).create(&fresh).map_err(BackupError::io("make", &fresh))?;
    let replaced = unpack(file, &fresh).and_then(|manifest| check(file, &fresh, &manifest)).and_then(|restored| {
        let fresh_lock = DirLock::acquire(&fresh, Duration::ZERO)?;
        let ended = end_attempts(data_dir)?;
        exchange(data_dir, &fresh)?;
        Ok((Restored { ended, ..restored }, fresh_lock))
    });
    if replaced.is_err() {
        // What was unpacked is of no use; the backup still has it.
        let _ = fs::remove_dir_all(&fresh);
    }
    let (restored, _fresh_lock) = replaced?;
    Ok(Restored { kept: put_aside(data_dir, &fresh, had_content)?, ..restored })
}

/// Its neighbour, with this behind its name.
fn beside(data_dir: &Path, more: &str) -> PathBuf {
    let mut name = data_dir.file_name().unwrap_or_default().to_owned();
    name.push(more);
    data_dir.with_file_name(name)
}

/// Whether a file system is mounted here: no rename moves that.
pub(super) fn is_mount_point(dir: &Path) -> Result<bool, BackupError> {
    let failed = BackupError::io("look at", dir);
    let device = |dir: &Path| statx(CWD, dir, AtFlags::empty(), StatxFlags::TYPE).map_err(|e| failed(e.into()));
    let found = device(dir)?;
    if found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
        return Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT));
    }
    let Some(parent) = dir.parent() else { return Ok(true) };
    let above = device(parent)?;
    Ok((found.stx_dev_major, found.stx_dev_minor) != (above.stx_dev_major, above.stx_dev_minor))
}

/// Removes what restores that were killed had unpacked. The lock of the data directory is held, so no other is at it. What
/// cannot be removed is only room.
fn remove_left(data_dir: &Path) {
    let prefix = beside(data_dir, BESIDE);
    let Some(prefix) = prefix.file_name() else { return };
    for entry in data_dir.parent().into_iter().flat_map(fs::read_dir).flatten().flatten() {
        let name = entry.file_name();
        let id = name.as_encoded_bytes().strip_prefix(prefix.as_encoded_bytes());
        let is_named_so = id.is_some_and(|id| !id.is_empty() && id.iter().all(u8::is_ascii_digit));
        if is_named_so && entry.path().join(UNPACKING).is_file() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Ends what attempts of this directory, and their gates, still run.
fn end_attempts(data_dir: &Path) -> Result<Vec<String>, BackupError> {
    let attempts = data_dir.join("attempts");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(BackupError::io("look for what is at work in", &attempts))?.block_on(async {
        let nobody = BTreeSet::new();
        let mut ended = process::sweep_orphans(&attempts, &nobody).await?;
        for attempt in entries(&attempts)? {
            let dir = attempts.join(&attempt);
            if dir.is_dir() && !process::sweep_orphans(&dir, &nobody).await?.is_empty() {
                ended.push(attempt);
            }
        }
        ended.sort();
        ended.dedup();
        Ok(ended)
    })
}

fn entries(dir: &Path) -> Result<Vec<String>, BackupError> {
    match fs::read_dir(dir) {
        Ok(entries) => Ok(entries.filter_map(|e| e.ok()?.file_name().into_string().ok()).collect()),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(BackupError::io("list", dir)(e)),
    }
}

fn unpack(file: &Path, fresh: &Path) -> Result<Manifest, BackupError> {
    let bad = |what: Flaw| BackupError::Bad { path: file.to_path_buf(), what };
    let input = File::open(file).map_err(BackupError::io("open", file))?;
    let decoder = zstd::stream::read::Decoder::new(input).map_err(BackupError::io("read", file))?;
    let mut input = Input { input: BufReader::new(decoder), hasher: blake3::Hasher::new() };
    let mark = fresh.join(UNPACKING);
    File::create_new(&mark).map_err(BackupError::io("write", &mark))?;
    let mut manifest: Option<Manifest> = None;
    let mut files = 0;
    loop {
        let before = input.hasher.finalize().to_hex().to_string();
        let mut block = [0; tar::BLOCK];
        input.exact(&mut block).map_err(|e| bad(flaw(e)))?;
        let Some((name, size)) = tar::parse(&block).map_err(&bad)? else {
            return Err(bad(Flaw::NoEnd));
        };
        match (&manifest, name.as_str()) {
            (None, MANIFEST) => {
                let found: Manifest = note(&mut input, size).map_err(&bad)?;
                if found.p0backup > VERSION {
                    let version = found.p0backup;
                    return Err(Error::NewerVersion { file: file.to_path_buf(), version, ours: VERSION }.into());
                }
                manifest = Some(found);
            }
            (None, _) => return Err(bad(Flaw::NoBeginning)),
            (Some(manifest), SEAL) => {
                let seal: Seal = note(&mut input, size).map_err(&bad)?;
                if seal != (Seal { files, blake3: before }) {
                    return Err(bad(Flaw::Seal));
                }
                let mut rest = Vec::new();
                input.input.by_ref().take(4096).read_to_end(&mut rest).map_err(|e| bad(flaw(e)))?;
                if rest.len() != 2 * tar::BLOCK || rest.iter().any(|b| *b != 0) {
                    return Err(bad(Flaw::Behind));
                }
                sync(fresh)?;
                return Ok(manifest.clone());
            }
            (Some(_), _) => {
                let target = fresh.join(inner(&name).ok_or_else(|| bad(Flaw::NoPlace(name.clone())))?);
                place(&mut input, &target, size, &bad)?;
            }
        }
        files += 1;
    }
}

/// A name that leads to a plain place below the data directory.
fn inner(name: &str) -> Option<&Path> {
    let path = Path::new(name);
    let mut parts = path.components();
    let first = parts.next()?;
    let known = matches!(first, Component::Normal(part) if FOLDERS.iter().any(|folder| part == *folder));
    (known && path.components().count() > 1 && parts.all(|part| matches!(part, Component::Normal(_)))).then_some(path)
}

fn place(
    input: &mut Input<impl Read>,
    target: &Path,
    size: u64,
    bad: &impl Fn(Flaw) -> BackupError,
) -> Result<(), BackupError> {
    let failed = BackupError::io("write", target);
    if let Some(parent) = target.parent() {
        fs::create_dir_all(parent).map_err(&failed)?;
    }
    let mut out = File::create_new(target).map_err(&failed)?;
    let mut chunk = vec![0; 64 << 10];
    let mut left = size;
    while left > 0 {
        let n = chunk.len().min(usize::try_from(left).unwrap_or(chunk.len()));
        input.exact(&mut chunk[..n]).map_err(|e| bad(flaw(e)))?;
        out.write_all(&chunk[..n]).map_err(&failed)?;
        left -= n as u64;
    }
    let mut zeros = [0; tar::BLOCK];
    input.exact(&mut zeros[..tar::padding(size)]).map_err(|e| bad(flaw(e)))
}

fn note<T: serde::de::DeserializeOwned>(input: &mut Input<impl Read>, size: u64) -> Result<T, Flaw> {
    if size > MAX_NOTE_BYTES {
        return Err(Flaw::LongNote);
    }
    let length = usize::try_from(size).map_err(|_| Flaw::LongNote)?;
    let mut text = vec![0; length + tar::padding(size)];
    input.exact(&mut text).map_err(flaw)?;
    let padding = text.split_off(length);
    if padding.iter().any(|byte| *byte != 0) {
        return Err(Flaw::DamagedNote);
    }
    serde_json::from_slice(&text).map_err(Flaw::Note)
}

fn flaw(error: io::Error) -> Flaw {
    if error.kind() == io::ErrorKind::UnexpectedEof { Flaw::CutOff } else { Flaw::Read(error) }
}

struct Input<R> {
    input: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Input<R> {
    fn exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.input.read_exact(bytes)?;
        self.hasher.update(bytes);
        Ok(())
    }
}

/// One call for everything that was written: a backup has many small files.
fn sync(dir: &Path) -> Result<(), BackupError> {
    let failed = BackupError::io("sync", dir);
    syncfs(File::open(dir).map_err(&failed)?).map_err(|e| failed(e.into()))
}

/// Checks what was unpacked, as `p0 audit verify` does.
fn check(file: &Path, fresh: &Path, manifest: &Manifest) -> Result<Restored, BackupError> {
    let bad = |what: Flaw| BackupError::Bad { path: file.to_path_buf(), what };
    // A backup without blobs is one of a data directory too: by this folder the check knows it, and looks beside the log.
    for name in ["journal", "blobs"] {
        let dir = fresh.join(name);
        fs::create_dir_all(&dir).map_err(BackupError::io("make", &dir))?;
    }
    let hash = manifest.head.parse().map_err(|_| bad(Flaw::NoHash))?;
    let anchor = Anchor { seq: Some(manifest.next_seq.saturating_sub(1)), hash };
    let what = Check { path: fresh.to_path_buf(), anchors: vec![anchor], blobs: true };
    let found = audit::check(&what, &mut |_| {})?;
    if let Some((seq, what)) = found.first_bad {
        return Err(bad(Flaw::Log { seq, what }));
    }
    if found.head != hash {
        return Err(bad(Flaw::Longer));
    }
    let seq = manifest.next_seq.saturating_sub(1);
    let (frames, blobs) = (found.counts.frames, found.counts.blobs);
    Ok(Restored { seq, head: manifest.head.clone(), frames, blobs, kept: None, ended: Vec::new() })
}

/// The two directories change places in one step.
fn exchange(data_dir: &Path, fresh: &Path) -> Result<(), BackupError> {
    let failed = BackupError::io("replace", data_dir);
    let mode = fs::metadata(data_dir).map_err(&failed)?.permissions();
    fs::set_permissions(fresh, mode).map_err(&failed)?;
    fs::remove_file(fresh.join(UNPACKING)).and_then(|()| File::open(fresh)?.sync_all()).map_err(&failed)?;
    renameat_with(CWD, data_dir, CWD, fresh, RenameFlags::EXCHANGE).map_err(|e| failed(e.into()))
}

/// What was there before gets a name of its own.
fn put_aside(data_dir: &Path, old: &Path, had_content: bool) -> Result<Option<PathBuf>, BackupError> {
    let failed = BackupError::io("put aside what was there, in", old);
    let kept = if had_content {
        let aside = (1..u32::MAX)
            .map(|n| beside(data_dir, &format!(".before-restore-{n}")))
            .find(|path| !path.exists())
            .unwrap_or_else(|| old.to_path_buf());
        fs::rename(old, &aside).map_err(&failed)?;
        Some(aside)
    } else {
        fs::remove_dir_all(old).map_err(&failed)?;
        None
    };
    let parent = data_dir.parent().unwrap_or(Path::new("/"));
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(&failed)?;
    Ok(kept)
}
