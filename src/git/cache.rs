//! The engine's stat cache of a worktree: which content a file had when it looked like this.
//!
//! It is written as a git index, so that a copy of it is the agent's index. It answers one question only, "has this
//! file changed since I read it?"; what is tracked is said by trees. So an old, partial or lost cache costs time, never
//! truth.
use super::{
    disk,
    error::{Error, GitContext, IoContext},
    tree::{EXECUTABLE, Entry, FILE, GITLINK, Leaf, SYMLINK},
};
use git2::{Index, IndexEntry, IndexTime, Oid};
use std::{
    collections::HashMap,
    fs::Metadata,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// What the file system says about a file: changes whenever its content does, but within one clock tick.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    modified: (i32, u32),
    changed: (i32, u32),
    inode: u32,
    size: u32,
    device: u32,
    owner: (u32, u32),
}

impl Stat {
    /// As an index holds it: cut to 32 bits.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the index format cuts them as well")]
    pub(super) fn of(meta: &Metadata) -> Stat {
        Stat {
            modified: (meta.mtime() as i32, meta.mtime_nsec() as u32),
            changed: (meta.ctime() as i32, meta.ctime_nsec() as u32),
            inode: meta.ino() as u32,
            size: meta.size() as u32,
            device: meta.dev() as u32,
            owner: (meta.uid(), meta.gid()),
        }
    }
}

/// The mode git gives a file on disk; none for what git cannot hold (a pipe, a socket, a device).
pub(super) fn mode_on_disk(meta: &Metadata) -> Option<u32> {
    let kind = meta.file_type();
    match () {
        () if kind.is_symlink() => Some(SYMLINK),
        () if kind.is_file() && meta.mode() & 0o100 != 0 => Some(EXECUTABLE),
        () if kind.is_file() => Some(FILE),
        () => None,
    }
}

/// What was known of a worktree when the cache was written.
#[derive(Debug, Default)]
pub(super) struct Cache {
    entries: HashMap<Vec<u8>, (Leaf, Stat)>,
    written: (i32, u32),
}

impl Cache {
    /// Reads the cache; a missing or broken one is empty.
    pub(super) fn load(path: &Path) -> Cache {
        let Ok(meta) = std::fs::metadata(path) else { return Cache::default() };
        let Ok(index) = Index::open(path) else { return Cache::default() };
        let entries = index.iter().map(|entry| {
            let stat = Stat {
                modified: (entry.mtime.seconds(), entry.mtime.nanoseconds()),
                changed: (entry.ctime.seconds(), entry.ctime.nanoseconds()),
                inode: entry.ino,
                size: entry.file_size,
                device: entry.dev,
                owner: (entry.uid, entry.gid),
            };
            (entry.path, (Leaf { mode: entry.mode, id: entry.id }, stat))
        });
        Cache { entries: entries.collect(), written: Stat::of(&meta).modified }
    }

    /// The content of a file, when the file looks as it did when its content was read. A file touched in the clock
    /// tick in which the cache was written may have changed unseen, and is not answered for.
    pub(super) fn content(&self, path: &[u8], meta: &Metadata) -> Option<Oid> {
        let (leaf, known) = self.entries.get(path)?;
        let now = Stat::of(meta);
        let settled = known.modified < self.written && known.changed < self.written;
        (settled && now == *known && mode_on_disk(meta) == Some(leaf.mode)).then_some(leaf.id)
    }

    /// Replaces the cache on disk. `entries` are sorted by path.
    pub(super) fn save(path: &Path, entries: &[(Entry, Option<Stat>)]) -> Result<(), Error> {
        let staged: PathBuf = path.with_extension("next");
        disk::remove_any(&staged)?;
        // Left by a process killed while it wrote.
        disk::remove_any(&path.with_extension("next.lock"))?;
        let mut index = Index::open(&staged).git("starting an index", &staged)?;
        for (entry, stat) in entries {
            if stat.is_none() && entry.leaf.mode != GITLINK {
                continue;
            }
            // A name the index refuses is read anew each time.
            let _ = index.add(&index_entry(entry, *stat));
        }
        index.write().git("writing an index", &staged)?;
        std::fs::rename(&staged, path).io("replacing", path)
    }
}

fn index_entry(entry: &Entry, stat: Option<Stat>) -> IndexEntry {
    let zero = ((0, 0), (0, 0), 0, 0, 0, (0, 0));
    let (modified, changed, ino, file_size, dev, (uid, gid)) = match stat {
        Some(s) => (s.modified, s.changed, s.inode, s.size, s.device, s.owner),
        None => zero,
    };
    IndexEntry {
        ctime: IndexTime::new(changed.0, changed.1),
        mtime: IndexTime::new(modified.0, modified.1),
        dev,
        ino,
        mode: entry.leaf.mode,
        uid,
        gid,
        file_size,
        id: entry.leaf.id,
        flags: 0,
        flags_extended: 0,
        path: entry.path.clone(),
    }
}
