//! Large things beside the log: each in a file named by the BLAKE3 hash of its content, compressed, written once.

use crate::{
    Error, Hash,
    disk::{Disk, RealDisk},
};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, utimensat};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::SystemTime,
};

const LEVEL: i32 = 3;
const COPY_BYTES: usize = 64 << 10;
const TEMP_DIR: &str = "tmp";
/// Told apart from every other writer of this process; other processes by their id.
static NEXT_TEMP: AtomicU64 = AtomicU64::new(0);
/// Held while it is decided whether a file that is there is used again, or goes.
static PLACING: Mutex<()> = Mutex::new(());

/// Names a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// The hash of the content.
    pub hash: Hash,
    /// The length of the content, uncompressed, in bytes.
    pub size: u64,
}

/// The blobs of one data directory. Cheap to clone; any thread may put and get.
#[derive(Debug, Clone)]
pub struct Blobs {
    dir: Arc<PathBuf>,
    disk: Arc<dyn Disk>,
    /// Which of the two-digit directories are known to have durable names, by their number.
    named: Arc<[AtomicBool; 256]>,
}

impl Blobs {
    /// Opens the blobs in `dir`, making it when it is missing.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>) -> Result<Blobs, Error> {
        let temp = dir.join(TEMP_DIR);
        fs::create_dir_all(&temp).map_err(|e| Error::io("create", &temp, e))?;
        let blobs = Blobs { disk, ..Blobs::at(dir) };
        if let Some(parent) = dir.parent() {
            blobs.sync_dir(parent)?;
        }
        Ok(blobs)
    }

    /// The blobs in `dir`, for reading; nothing is made.
    #[must_use]
    pub fn at(dir: &Path) -> Blobs {
        let named = Arc::new([const { AtomicBool::new(false) }; 256]);
        Blobs { dir: Arc::new(dir.to_path_buf()), disk: Arc::new(RealDisk), named }
    }

    fn sync_dir(&self, dir: &Path) -> Result<(), Error> {
        self.disk.sync_dir(dir).map_err(|e| Error::io("sync", dir, e))
    }

    /// Removes what writers that died left half written. Only for the holder of the data directory's lock, at start.
    pub(crate) fn clean(&self) -> Result<(), Error> {
        let temp = self.dir.join(TEMP_DIR);
        for entry in fs::read_dir(&temp).map_err(|e| Error::io("list", &temp, e))? {
            let path = entry.map_err(|e| Error::io("list", &temp, e))?.path();
            fs::remove_file(&path).map_err(|e| Error::io("remove", &path, e))?;
        }
        Ok(())
    }

    /// Keeps `content`. It is durable when this returns; the same content again costs no second file, and mends a
    /// damaged one.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::NotWritable`], or another failure of the file system.
    pub fn put(&self, content: &[u8]) -> Result<BlobRef, Error> {
        self.put_reader(content, Path::new("memory"))
    }

    /// Keeps the content of the file at `path`, with bounded memory.
    ///
    /// # Errors
    /// As [`Blobs::put`], and the file cannot be read.
    pub fn put_file(&self, path: &Path) -> Result<BlobRef, Error> {
        let file = File::open(path).map_err(|e| Error::io("open", path, e))?;
        self.put_reader(file, path)
    }

    /// The content with this hash, checked against it.
    ///
    /// # Errors
    /// [`Error::BlobMissing`], [`Error::BlobDamaged`], or the file cannot be read.
    pub fn get(&self, hash: &Hash) -> Result<Vec<u8>, Error> {
        let mut content = Vec::new();
        self.copy_to(hash, &mut content)?;
        Ok(content)
    }

    /// Writes the content with this hash to `out`, with bounded memory, and returns its length in bytes. `out` may have
    /// received wrong bytes when this fails.
    ///
    /// # Errors
    /// As [`Blobs::get`], and `out` cannot be written.
    pub fn copy_to(&self, hash: &Hash, out: &mut dyn Write) -> Result<u64, Error> {
        let path = self.path(hash);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Error::BlobMissing { hash: *hash, path }),
            Err(e) => return Err(Error::io("open", &path, e)),
        };
        let damaged = |what: String| Error::BlobDamaged { path: path.clone(), what };
        let mut decoder = zstd::stream::read::Decoder::new(file).map_err(|e| damaged(e.to_string()))?;
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; COPY_BYTES];
        let mut size = 0;
        loop {
            let n = match decoder.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(damaged(e.to_string())),
            };
            hasher.update(&chunk[..n]);
            out.write_all(&chunk[..n]).map_err(|e| Error::io("copy", &path, e))?;
            size += n as u64;
        }
        let found = Hash::from_bytes(*hasher.finalize().as_bytes());
        if found != *hash {
            return Err(damaged(format!("its content has the hash {found}")));
        }
        Ok(size)
    }

    /// Whether there is a file for this hash; its content is not checked.
    #[must_use]
    pub fn contains(&self, hash: &Hash) -> bool {
        self.path(hash).is_file()
    }

    /// Where the blob with this hash is or would be.
    #[must_use]
    pub fn path(&self, hash: &Hash) -> PathBuf {
        let name = hash.to_string();
        self.dir.join(&name[..2]).join(name)
    }

    fn put_reader(&self, content: impl Read, source: &Path) -> Result<BlobRef, Error> {
        let n = NEXT_TEMP.fetch_add(1, Ordering::Relaxed);
        let temp = self.dir.join(TEMP_DIR).join(format!("{}-{n}", std::process::id()));
        let put = self.write_temp(&temp, content, source).and_then(|blob| self.place(&temp, blob));
        if put.is_err() {
            // Whatever went wrong, the half-written file is of no use.
            let _ = fs::remove_file(&temp);
        }
        put
    }

    fn write_temp(&self, temp: &Path, mut content: impl Read, source: &Path) -> Result<BlobRef, Error> {
        let failed = |e: io::Error| Error::io("write", temp, e);
        let file = OpenOptions::new().write(true).create(true).truncate(true).open(temp).map_err(failed)?;
        let file = Sequential { disk: self.disk.as_ref(), file, at: 0 };
        let mut encoder = zstd::stream::write::Encoder::new(file, LEVEL).map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        let mut chunk = vec![0; COPY_BYTES];
        let mut size = 0;
        loop {
            let n = match content.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(Error::io("read", source, e)),
            };
            hasher.update(&chunk[..n]);
            encoder.write_all(&chunk[..n]).map_err(failed)?;
            size += n as u64;
        }
        let written = encoder.finish().map_err(failed)?;
        self.disk.sync_data(&written.file).map_err(failed)?;
        Ok(BlobRef { hash: Hash::from_bytes(*hasher.finalize().as_bytes()), size })
    }

    /// Every blob that has a file, whatever its content, with the bytes that the file takes.
    ///
    /// # Errors
    /// A directory cannot be listed.
    pub fn all(&self) -> Result<Vec<(Hash, u64)>, Error> {
        let mut found = Vec::new();
        for folder in list(&self.dir)? {
            if !folder.is_dir() {
                continue;
            }
            for path in list(&folder)? {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let (Ok(hash), Ok(meta)) = (name.parse::<Hash>(), fs::metadata(&path)) else { continue };
                if self.path(&hash) == path {
                    found.push((hash, meta.len()));
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// Whether a blob's file was written, or its content put again, before that moment.
    ///
    /// # Errors
    /// The file cannot be looked at.
    pub fn is_older(&self, hash: &Hash, than: SystemTime) -> Result<bool, Error> {
        let path = self.path(hash);
        let modified = fs::metadata(&path).and_then(|meta| meta.modified());
        modified.map(|at| at < than).map_err(|e| Error::io("look at", &path, e))
    }

    /// Removes a blob, unless somebody put its content since that moment. Says whether it is gone.
    ///
    /// # Errors
    /// The file cannot be looked at or removed.
    pub fn remove_older(&self, hash: &Hash, than: SystemTime) -> Result<bool, Error> {
        let _placing = PLACING.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_older(hash, than)? {
            return Ok(false);
        }
        let path = self.path(hash);
        fs::remove_file(&path).map(|()| true).map_err(|e| Error::io("remove", &path, e))
    }

    /// Whether the content is there and stays: from now on the file counts as just written.
    fn is_kept(&self, blob: &BlobRef) -> bool {
        if !self.contains(&blob.hash) || self.copy_to(&blob.hash, &mut io::sink()).is_err() {
            return false;
        }
        let now = Timestamps {
            last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
            last_modification: Timespec { tv_sec: 0, tv_nsec: UTIME_NOW },
        };
        let _placing = PLACING.lock().unwrap_or_else(PoisonError::into_inner);
        utimensat(CWD, self.path(&blob.hash), &now, AtFlags::empty()).is_ok()
    }

    /// Moves a finished file to its name, unless the same content is there already.
    fn place(&self, temp: &Path, blob: BlobRef) -> Result<BlobRef, Error> {
        let path = self.path(&blob.hash);
        let parent = path.parent().expect("a blob's path has its two-digit directory");
        if self.is_kept(&blob) {
            fs::remove_file(temp).map_err(|e| Error::io("remove", temp, e))?;
        } else {
            match fs::create_dir(parent) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("create", parent, e)),
            }
            fs::rename(temp, &path).map_err(|e| Error::io("rename", temp, e))?;
        }
        // Also when the file was there: another thread may have named it and not yet made the name durable.
        self.sync_dir(parent)?;
        // They are never removed: once is enough.
        let named = &self.named[usize::from(blob.hash.as_bytes()[0])];
        if !named.load(Ordering::Acquire) {
            self.sync_dir(&self.dir)?;
            named.store(true, Ordering::Release);
        }
        Ok(blob)
    }
}

/// A file that is written from its beginning to its end.
struct Sequential<'a> {
    disk: &'a dyn Disk,
    file: File,
    at: u64,
}

impl Write for Sequential<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.disk.write_all_at(&self.file, bytes, self.at)?;
        self.at += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn list(dir: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", dir, e)),
    };
    entries.map(|entry| entry.map(|e| e.path()).map_err(|e| Error::io("list", dir, e))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn puts_once_and_gets_back() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&dir.path().join("blobs"), Arc::new(RealDisk)).unwrap();
        let content = b"prompt ".repeat(50_000);
        let blob = blobs.put(&content).unwrap();
        assert_eq!(blob, BlobRef { hash: Hash::of(&content), size: content.len() as u64 });
        assert_eq!(blobs.put(&content).unwrap(), blob);
        assert!(blobs.contains(&blob.hash));
        assert_eq!(blobs.get(&blob.hash).unwrap(), content);
        let file = dir.path().join("transcript");
        fs::write(&file, &content).unwrap();
        assert_eq!(blobs.put_file(&file).unwrap(), blob);
        assert_eq!(blobs.put(b"").unwrap().size, 0);
        assert_eq!(fs::read_dir(dir.path().join("blobs/tmp")).unwrap().count(), 0);
    }

    #[test]
    fn damage_is_told_and_mended_by_putting_again() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path(), Arc::new(RealDisk)).unwrap();
        let blob = blobs.put(b"the patch").unwrap();
        let path = blobs.path(&blob.hash);
        for at in 0..fs::metadata(&path).unwrap().len() {
            let mut bytes = fs::read(&path).unwrap();
            let at = usize::try_from(at).unwrap();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            if let Ok(content) = blobs.get(&blob.hash) {
                assert_eq!(content, b"the patch");
            }
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
        }
        fs::write(&path, b"").unwrap();
        assert!(matches!(blobs.get(&blob.hash), Err(Error::BlobDamaged { .. })));
        blobs.put(b"the patch").unwrap();
        assert_eq!(blobs.get(&blob.hash).unwrap(), b"the patch");
        assert!(matches!(blobs.get(&Hash::of(b"other")), Err(Error::BlobMissing { .. })));
    }

    #[test]
    fn what_is_put_again_is_not_removed() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path(), Arc::new(RealDisk)).unwrap();
        let (old, again) = (blobs.put(b"old").unwrap(), blobs.put(b"again").unwrap());
        let then = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000);
        for blob in [old, again] {
            File::options().write(true).open(blobs.path(&blob.hash)).unwrap().set_modified(then).unwrap();
        }
        let before = then + std::time::Duration::from_secs(60);
        blobs.put(b"again").unwrap();
        assert!(blobs.remove_older(&old.hash, before).unwrap());
        assert!(!blobs.remove_older(&again.hash, before).unwrap());
        assert!(!blobs.contains(&old.hash) && blobs.contains(&again.hash));
        fs::write(dir.path().join("ab"), "no folder").unwrap();
        let all: Vec<Hash> = blobs.all().unwrap().into_iter().map(|(hash, _)| hash).collect();
        assert_eq!(all, [again.hash]);
    }

    #[test]
    fn leftovers_are_cleaned() {
        let dir = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(dir.path(), Arc::new(RealDisk)).unwrap();
        fs::write(dir.path().join("tmp/1-1"), b"half").unwrap();
        blobs.clean().unwrap();
        assert_eq!(fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0);
    }
}
