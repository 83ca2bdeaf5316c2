//! The content of a working directory against a tree: nothing of the agent's git state (its index, HEAD, branches,
//! configuration) is asked.
use super::{
    cache::{self, Cache},
    compare::Owned,
    convert::{self, Converted},
    disk,
    error::{Error, GitContext, IoContext},
    objects::Sink,
    tree::{EXECUTABLE, Edits, Entry, FILE, GITLINK, Leaf, SYMLINK},
};
use git2::{ObjectType, Oid, Repository};
use std::{
    collections::BTreeMap,
    fs::{self, File, Metadata},
    io::{self, Read},
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::Path,
};

/// The most bytes of a file that are taken: git hosts refuse larger ones, and every look at one holds it in memory.
pub(super) const LARGEST: u64 = 100 << 20;
/// Up to this many bytes a larger file is compared with the one of the tree, piece by piece. A file with holes may claim
/// any length.
pub(super) const COMPARED: u64 = 4 << 30;
/// The most bytes of a file of ignore rules.
const LARGEST_RULES: u64 = 1 << 20;
/// Folders in one another: what reads trees goes down one call per folder.
const DEEPEST: usize = 250;

/// A path whose content cannot be taken.
#[derive(Debug)]
pub(super) struct Refused {
    pub(super) path: Vec<u8>,
    /// What is wrong with it, and the mend.
    pub(super) why: String,
}

/// What differs between a working directory and a tree, and what git cannot hold.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Differing paths with what stands there now.
    pub(super) edits: Edits,
    /// The targets of the links among them.
    pub(super) links: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Folders that are repositories of their own, and submodule folders with files but no repository.
    pub(super) repositories: Vec<Vec<u8>>,
    /// Paths whose content cannot be taken: unreadable, too large, too deep, or named like git's own folder. They stand
    /// as in the tree.
    pub(super) refused: Vec<Refused>,
    /// Owned paths that git ignores; a folder ends in `/`.
    pub(super) ignored: Vec<Vec<u8>>,
    /// Whether attributes among the edits ask for conversions.
    pub(super) asks_for_conversion: bool,
}

/// What is known of conversions when a worktree is compared.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversions<'a> {
    /// They apply to the tree: git makes the blobs of what changed, and none is kept here.
    pub(super) by_git: bool,
    /// What they made of the tree's files.
    pub(super) made: &'a Converted,
}

/// Compares one working directory with one tree.
pub(super) struct Scanner<'a, 'r> {
    root: &'a Path,
    base: &'a [Entry],
    cache: &'a Cache,
    rules: &'a Repository,
    owned: &'a Owned,
    conversions: Conversions<'a>,
    sink: Option<&'a mut Sink<'r>>,
    seen: Vec<bool>,
    out: Scan,
}

impl<'a, 'r> Scanner<'a, 'r> {
    /// A scanner of `root` against the sorted entries of `base`. `rules` says what is ignored; changed content goes
    /// into `sink`, or is only hashed.
    pub(super) fn new(
        root: &'a Path,
        base: &'a [Entry],
        cache: &'a Cache,
        rules: &'a Repository,
        owned: &'a Owned,
        conversions: Conversions<'a>,
        sink: Option<&'a mut Sink<'r>>,
    ) -> Scanner<'a, 'r> {
        let seen = vec![false; base.len()];
        Scanner { root, base, cache, rules, owned, conversions, sink, seen, out: Scan::default() }
    }

    /// Walks the directory.
    pub(super) fn run(mut self) -> Result<Scan, Error> {
        self.folder(&mut Vec::new(), false)?;
        for (entry, seen) in self.base.iter().zip(&self.seen) {
            if !seen {
                self.out.edits.insert(entry.path.clone(), None);
            }
        }
        Ok(self.out)
    }

    /// One folder. `prefix` is empty or ends in `/`; in an ignored one only what the tree holds counts.
    fn folder(&mut self, prefix: &mut Vec<u8>, ignored: bool) -> Result<(), Error> {
        let here = disk::below(self.root, prefix);
        let list = match fs::read_dir(&here) {
            Ok(list) => list,
            Err(error) if disk::is_gone(&error) => return Ok(()),
            Err(error) => {
                self.refuse_below(prefix, untaken(&error).ok_or(error).io("reading", &here)?);
                return Ok(());
            }
        };
        if let Some(why) = bad_rules(&here) {
            self.refuse_below(prefix, why);
            return Ok(());
        }
        for entry in list {
            let name = entry.io("reading", &here)?.file_name().into_vec();
            if name == b".git" {
                if !prefix.is_empty() && !ignored {
                    self.out.repositories.push(prefix[..prefix.len() - 1].to_vec());
                }
                continue;
            }
            let length = prefix.len();
            prefix.extend_from_slice(&name);
            self.one(prefix, &name, ignored)?;
            prefix.truncate(length);
        }
        Ok(())
    }

    fn one(&mut self, path: &mut Vec<u8>, name: &[u8], ignored: bool) -> Result<(), Error> {
        let full = disk::below(self.root, path);
        let meta = match fs::symlink_metadata(&full) {
            Ok(meta) => meta,
            Err(error) if disk::is_gone(&error) => return Ok(()),
            Err(error) => {
                self.refuse(path, untaken(&error).ok_or(error).io("looking at", &full)?);
                return Ok(());
            }
        };
        let tracked = self.base.binary_search_by(|entry| entry.path.as_slice().cmp(path)).ok();
        if meta.is_dir() {
            return match tracked.filter(|at| self.base[*at].leaf.mode == GITLINK) {
                Some(at) => self.submodule(at, &full),
                None => self.subfolder(path, name, ignored),
            };
        }
        if tracked.is_none() && !self.owned.names(path) && (ignored || self.is_ignored(path)?) {
            if !ignored && self.owned.cover(path) {
                self.out.ignored.push(path.clone());
            }
            return Ok(());
        }
        if tracked.is_none() && is_gits_own(name) {
            self.refuse(path, NAMED_LIKE_GIT);
            return Ok(());
        }
        if let Some(mode) = cache::mode_on_disk(&meta) {
            self.leaf(path, tracked, &full, &meta, mode)?;
        }
        Ok(())
    }

    fn subfolder(&mut self, path: &mut Vec<u8>, name: &[u8], ignored: bool) -> Result<(), Error> {
        path.push(b'/');
        let first = self.base.partition_point(|entry| entry.path.as_slice() < path.as_slice());
        let holds_tracked = self.base.get(first).is_some_and(|entry| entry.path.starts_with(path));
        let begins = !ignored && self.is_ignored(path)?;
        let ignored = ignored || begins;
        let holds_owned = ignored && self.owned.names_below(path);
        if begins && self.owned.cover(path) {
            self.out.ignored.push(path.clone());
        }
        let result = match () {
            () if ignored && !holds_tracked && !holds_owned => Ok(()),
            () if is_gits_own(name) && !holds_tracked => {
                self.refuse(&path[..path.len() - 1], NAMED_LIKE_GIT);
                Ok(())
            }
            () if path.iter().filter(|byte| **byte == b'/').count() > DEEPEST => {
                self.refuse_below(path, "so many folders in one another cannot land, remove them");
                Ok(())
            }
            () => self.folder(path, ignored),
        };
        path.pop();
        result
    }

    fn leaf(
        &mut self,
        path: &[u8],
        tracked: Option<usize>,
        full: &Path,
        meta: &Metadata,
        mode: u32,
    ) -> Result<(), Error> {
        let base = tracked.map(|at| self.base[at].leaf);
        if let Some(at) = tracked {
            self.seen[at] = true;
        }
        if let Some(id) = self.cache.content(path, meta)
            && base == Some(Leaf { mode, id })
        {
            return Ok(());
        }
        // A filter may make a small blob of a large file.
        let most = if self.conversions.by_git { COMPARED } else { LARGEST };
        if mode != SYMLINK && meta.len() > most {
            if base.is_none_or(|base| base.mode != mode || !is_large(full, meta.len(), base.id)) {
                let why = format!(
                    "its {} MiB are more than the {} MiB a file may have, leave it out, make it smaller or ignore it",
                    meta.len() >> 20,
                    LARGEST >> 20
                );
                self.refuse(path, why);
            }
            return Ok(());
        }
        if self.conversions.by_git && mode != SYMLINK {
            return self.converted_leaf(path, base, full, mode);
        }
        let content = if mode == SYMLINK {
            fs::read_link(full).map(|target| target.into_os_string().into_vec())
        } else {
            read(full)
        };
        let content = match content {
            Ok(content) => content,
            Err(error) => {
                self.refuse(path, untaken(&error).ok_or(error).io("reading", full)?);
                return Ok(());
            }
        };
        let id = Oid::hash_object(ObjectType::Blob, &content).git("hashing a file", full)?;
        let leaf = Leaf { mode, id };
        let made = |base: Leaf| base.mode == mode && self.conversions.made.is_checkout(path, base.id, id);
        if base == Some(leaf) || base.is_some_and(made) {
            return Ok(());
        }
        if let Some(sink) = &mut self.sink {
            sink.put(ObjectType::Blob, &content)?;
        }
        if mode == SYMLINK {
            self.out.links.insert(path.to_vec(), content);
        } else if convert::is_attributes_path(path) && convert::asks_for_conversion(&content) {
            self.out.asks_for_conversion = true;
        }
        self.out.edits.insert(path.to_vec(), Some(leaf));
        Ok(())
    }

    /// A file where conversions apply: unchanged when it is what a checkout made of the tree's blob, or that blob itself.
    /// Of another one git makes the blob afterwards.
    fn converted_leaf(&mut self, path: &[u8], base: Option<Leaf>, full: &Path, mode: u32) -> Result<(), Error> {
        let content = match File::open(full) {
            Ok(_) => convert::content_id(full)?,
            Err(error) => {
                self.refuse(path, untaken(&error).ok_or(error).io("reading", full)?);
                return Ok(());
            }
        };
        let same = |base: Leaf| base.id == content || self.conversions.made.is_checkout(path, base.id, content);
        match base.filter(|base| matches!(base.mode, FILE | EXECUTABLE) && same(*base)) {
            Some(base) if base.mode == mode => {}
            // Another mode with the same content: the blob is the same.
            Some(base) => drop(self.out.edits.insert(path.to_vec(), Some(Leaf { mode, id: base.id }))),
            None => drop(self.out.edits.insert(path.to_vec(), Some(Leaf { mode, id: content }))),
        }
        Ok(())
    }

    /// A folder where the tree has a submodule: empty is how worktrees begin, a repository in it counts by its HEAD.
    fn submodule(&mut self, at: usize, full: &Path) -> Result<(), Error> {
        self.seen[at] = true;
        let entry = &self.base[at];
        let mut list = fs::read_dir(full).io("reading", full)?;
        if list.next().is_none() {
            return Ok(());
        }
        let head = Repository::open(full)
            .ok()
            .filter(|_| full.join(".git").exists())
            .and_then(|repo| repo.head().ok()?.target());
        match head {
            Some(id) if id == entry.leaf.id => {}
            Some(id) => {
                self.out.edits.insert(entry.path.clone(), Some(Leaf { mode: GITLINK, id }));
            }
            None => self.out.repositories.push(entry.path.clone()),
        }
        Ok(())
    }

    fn is_ignored(&self, path: &[u8]) -> Result<bool, Error> {
        let path = Path::new(std::ffi::OsStr::from_bytes(path));
        self.rules.is_path_ignored(path).git(format!("asking whether {} is ignored", path.display()), self.root)
    }

    fn refuse(&mut self, path: &[u8], why: impl Into<String>) {
        self.out.refused.push(Refused { path: path.to_vec(), why: why.into() });
        if let Ok(at) = self.base.binary_search_by(|entry| entry.path.as_slice().cmp(path)) {
            self.seen[at] = true;
        }
    }

    fn refuse_below(&mut self, prefix: &[u8], why: impl Into<String>) {
        let path = prefix.strip_suffix(b"/").unwrap_or(prefix).to_vec();
        self.out.refused.push(Refused { path, why: why.into() });
        for (at, entry) in self.base.iter().enumerate() {
            if entry.path.starts_with(prefix) {
                self.seen[at] = true;
            }
        }
    }
}

const NAMED_LIKE_GIT: &str = "named like git's own folder, give it another name";

/// Names other file systems take for `.git`; a tree with one is an attack on whoever checks it out there.
fn is_gits_own(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b".git") || name.eq_ignore_ascii_case(b"git~1")
}

/// Why a path is not taken; `None` = the error is none of its own, and the whole look failed.
fn untaken(error: &io::Error) -> Option<&'static str> {
    use rustix::io::Errno;
    match Errno::from_io_error(error) {
        Some(Errno::ACCESS | Errno::PERM) => Some("it cannot be read, make it readable or remove it"),
        Some(Errno::NAMETOOLONG) => Some("its path is longer than the system takes, remove it"),
        Some(Errno::LOOP) => Some("links on its path lead in a circle, remove them"),
        Some(_) | None => None,
    }
}

/// What is wrong with the rules of a folder: whoever asks what is ignored or converted would wait at a pipe for ever.
fn bad_rules(folder: &Path) -> Option<&'static str> {
    let bad = |name: &str| {
        let meta = fs::metadata(folder.join(name)).ok()?;
        let is_good = meta.is_dir() || (meta.is_file() && meta.len() <= LARGEST_RULES);
        (!is_good).then_some(())
    };
    let why = |name| match name {
        ".gitignore" => "the .gitignore in it is no plain file, or longer than 1 MiB, make it one or remove it",
        _ => "the .gitattributes in it is no plain file, or longer than 1 MiB, make it one or remove it",
    };
    [".gitignore", ".gitattributes"].into_iter().find(|name| bad(name).is_some()).map(why)
}

/// A file's content; one that grows meanwhile is read up to the limit.
fn read(full: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(full)?.take(LARGEST).read_to_end(&mut content)?;
    Ok(content)
}

/// Whether a file above the limit has this content. What cannot be read is another.
pub(super) fn is_large(full: &Path, length: u64, id: Oid) -> bool {
    length <= COMPARED && Oid::hash_file(ObjectType::Blob, full).is_ok_and(|found| found == id)
}
