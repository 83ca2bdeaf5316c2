//! Moving a worktree to a commit: a status pass, and writes for what differs only.
use super::{
    cache::{self, Cache, Stat},
    convert::{self, Conversion, Converted},
    disk,
    error::{Error, GitContext, IoContext},
    scan,
    slot::Slot,
    tree::{EXECUTABLE, Entry, FILE, GITLINK, SYMLINK},
};
use git2::{ObjectType, Odb, Oid, Repository};
use std::{
    collections::HashSet,
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, Metadata, OpenOptions},
    io::Write,
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink},
    },
    path::Path,
};

/// Makes one working directory the content of one tree.
pub(super) struct Mover<'a> {
    pub(super) slot: &'a Slot,
    pub(super) root: &'a Path,
    /// The commit whose tree it is, for errors.
    pub(super) commit: &'a str,
    pub(super) target: &'a [Entry],
    /// Given: git makes the files, as they are to be converted.
    pub(super) conversion: Option<&'a Conversion>,
    /// Whether conversions were the same then.
    pub(super) same_settings: bool,
    /// What conversions made here before.
    pub(super) converted: &'a Converted,
    pub(super) cache: &'a Cache,
    pub(super) objects: &'a Repository,
    /// Given: what it ignores stays. Absent: only the target's content stays.
    pub(super) keep_ignored: Option<&'a Repository>,
}

/// What a pass over the directory found.
struct Pass {
    kept: Vec<Option<Stat>>,
    extras: Vec<Vec<u8>>,
}

/// The files of a worktree that was moved.
pub(super) struct Moved {
    /// The target's entries with how their files look now.
    pub(super) entries: Vec<(Entry, Option<Stat>)>,
    /// What conversions made of them; none where there are no conversions.
    pub(super) converted: Option<Converted>,
}

impl Mover<'_> {
    /// Moves.
    pub(super) fn run(&self) -> Result<Moved, Error> {
        disk::make_dir(self.root)?;
        let mut pass = Pass { kept: vec![None; self.target.len()], extras: Vec::new() };
        self.folder(&mut Vec::new(), &mut pass)?;
        let odb = self.objects.odb().git("opening the objects", self.objects.path())?;
        let by_git = self.convert(&pass)?;
        let mut made = HashSet::new();
        let mut entries = Vec::with_capacity(self.target.len());
        let mut converted = Converted::default();
        for (entry, kept) in self.target.iter().zip(pass.kept) {
            let stat = match kept {
                Some(stat) => Some(stat),
                None if by_git.contains(entry.path.as_slice()) => Some(self.by_git(entry)?),
                None => self.write(&odb, entry, &mut made)?,
            };
            if self.conversion.is_some() && matches!(entry.leaf.mode, FILE | EXECUTABLE) {
                self.note(entry, kept.is_some(), &mut converted)?;
            }
            entries.push((entry.clone(), stat));
        }
        // After the target's own ignore files are in place.
        if let Some(rules) = self.keep_ignored {
            for path in pass.extras {
                self.sweep(rules, &path)?;
            }
        }
        Ok(Moved { entries, converted: self.conversion.map(|_| converted) })
    }

    /// Has git make the files that are missing, where there are conversions; which ones.
    fn convert(&self, pass: &Pass) -> Result<HashSet<&[u8]>, Error> {
        let Some(conversion) = self.conversion else { return Ok(HashSet::new()) };
        let wanted =
            |(entry, kept): (&'_ Entry, &Option<Stat>)| kept.is_none() && matches!(entry.leaf.mode, FILE | EXECUTABLE);
        let files: Vec<&Entry> =
            self.target.iter().zip(&pass.kept).filter(|pair| wanted(*pair)).map(|(entry, _)| entry).collect();
        let odd = conversion.checkout(self.slot, &files, self.commit)?;
        Ok(files.iter().map(|entry| entry.path.as_slice()).filter(|path| !odd.contains(*path)).collect())
    }

    /// How a file looks that git made.
    fn by_git(&self, entry: &Entry) -> Result<Stat, Error> {
        let full = disk::below(self.root, &entry.path);
        Ok(Stat::of(&fs::symlink_metadata(&full).io("looking at what git checked out as", &full)?))
    }

    /// Notes what a conversion made of a blob, so that nobody takes it for a change.
    fn note(&self, entry: &Entry, kept: bool, converted: &mut Converted) -> Result<(), Error> {
        let content = match self.converted.content_of(&entry.path, entry.leaf.id).filter(|_| kept) {
            Some(known) => known,
            None => convert::content_id(&disk::below(self.root, &entry.path))?,
        };
        converted.insert(&entry.path, entry.leaf.id, content);
        Ok(())
    }

    /// Compares one folder: keeps, removes what is in the way, and lists what the target does not have.
    fn folder(&self, prefix: &mut Vec<u8>, pass: &mut Pass) -> Result<(), Error> {
        let here = disk::below(self.root, prefix);
        for name in names(&here)? {
            if prefix.is_empty() && name == b".git" {
                continue;
            }
            let length = prefix.len();
            prefix.extend_from_slice(&name);
            self.one(prefix, pass)?;
            prefix.truncate(length);
        }
        Ok(())
    }

    fn one(&self, path: &mut Vec<u8>, pass: &mut Pass) -> Result<(), Error> {
        let full = disk::below(self.root, path);
        let meta = fs::symlink_metadata(&full).io("looking at", &full)?;
        if let Ok(at) = self.target.binary_search_by(|entry| entry.path.as_slice().cmp(path)) {
            let entry = &self.target[at];
            if self.is_right(entry, &full, &meta)? {
                pass.kept[at] = Some(Stat::of(&meta));
                return Ok(());
            }
            return disk::remove_any(&full);
        }
        path.push(b'/');
        let first = self.target.partition_point(|entry| entry.path.as_slice() < path.as_slice());
        let needed = self.target.get(first).is_some_and(|entry| entry.path.starts_with(path));
        let result = match () {
            () if needed && meta.is_dir() => self.folder(path, pass),
            () if needed || self.keep_ignored.is_none() => disk::remove_any(&full),
            () => {
                pass.extras.push(path[..path.len() - 1].to_vec());
                Ok(())
            }
        };
        path.pop();
        result
    }

    /// Whether the file on disk is what the target says, in content, kind and permissions.
    fn is_right(&self, entry: &Entry, full: &Path, meta: &Metadata) -> Result<bool, Error> {
        if entry.leaf.mode == GITLINK {
            return Ok(meta.is_dir() && fs::read_dir(full).io("reading", full)?.next().is_none());
        }
        if cache::mode_on_disk(meta) != Some(entry.leaf.mode) {
            return Ok(false);
        }
        if let Some(id) = self.cache.content(&entry.path, meta) {
            return Ok(id == entry.leaf.id);
        }
        // A hard link can be written through from outside; odd permissions are an agent's doing.
        if entry.leaf.mode != SYMLINK && (meta.nlink() > 1 || meta.mode() & 0o7600 != 0o600) {
            return Ok(false);
        }
        if self.conversion.is_some() && entry.leaf.mode != SYMLINK {
            let known = self.converted.content_of(&entry.path, entry.leaf.id).filter(|_| self.same_settings);
            let Some(known) = known.filter(|_| meta.len() <= scan::COMPARED) else { return Ok(false) };
            return Ok(convert::content_id(full)? == known);
        }
        if entry.leaf.mode != SYMLINK && meta.len() > scan::LARGEST {
            return Ok(scan::is_large(full, meta.len(), entry.leaf.id));
        }
        let content = if entry.leaf.mode == SYMLINK {
            fs::read_link(full).io("reading", full)?.into_os_string().into_vec()
        } else {
            fs::read(full).io("reading", full)?
        };
        Ok(Oid::hash_object(ObjectType::Blob, &content).git("hashing a file", full)? == entry.leaf.id)
    }

    fn write(&self, odb: &Odb<'_>, entry: &Entry, made: &mut HashSet<Vec<u8>>) -> Result<Option<Stat>, Error> {
        let full = disk::below(self.root, &entry.path);
        if let Some(at) = entry.path.iter().rposition(|byte| *byte == b'/')
            && !made.contains(&entry.path[..at])
        {
            let parent = disk::below(self.root, &entry.path[..at]);
            DirBuilder::new().recursive(true).mode(0o777).create(&parent).io("creating", &parent)?;
            made.insert(entry.path[..at].to_vec());
        }
        if entry.leaf.mode == GITLINK {
            fs::create_dir(&full).io("creating", &full)?;
            return Ok(None);
        }
        let blob = odb.read(entry.leaf.id).git(format!("reading {}", disk::shown(&entry.path)), self.objects.path())?;
        if entry.leaf.mode == SYMLINK {
            symlink(OsStr::from_bytes(blob.data()), &full).io("linking", &full)?;
        } else {
            let mode = if entry.leaf.mode == EXECUTABLE { 0o777 } else { 0o666 };
            let mut file =
                OpenOptions::new().write(true).create_new(true).mode(mode).open(&full).io("creating", &full)?;
            file.write_all(blob.data()).io("writing", &full)?;
        }
        Ok(Some(Stat::of(&fs::symlink_metadata(&full).io("looking at", &full)?)))
    }

    /// Removes what is neither in the target nor ignored.
    fn sweep(&self, rules: &Repository, path: &[u8]) -> Result<(), Error> {
        let full = disk::below(self.root, path);
        let meta = fs::symlink_metadata(&full).io("looking at", &full)?;
        let relative = Path::new(OsStr::from_bytes(path));
        if rules.is_path_ignored(relative).git("asking what is ignored", self.root)? {
            return Ok(());
        }
        if !meta.is_dir() {
            return disk::remove_any(&full);
        }
        for name in names(&full)? {
            self.sweep(rules, &[path, b"/", &name].concat())?;
        }
        if names(&full)?.is_empty() { disk::remove_any(&full) } else { Ok(()) }
    }
}

/// The names in a folder, which is opened up when an agent closed it.
fn names(dir: &Path) -> Result<Vec<Vec<u8>>, Error> {
    let mode = fs::symlink_metadata(dir).io("looking at", dir)?.mode();
    if mode & 0o700 != 0o700 {
        fs::set_permissions(dir, fs::Permissions::from_mode(mode & 0o777 | 0o700)).io("opening up", dir)?;
    }
    let mut out = Vec::new();
    for entry in fs::read_dir(dir).io("reading", dir)? {
        out.push(OsString::into_vec(entry.io("reading", dir)?.file_name()));
    }
    Ok(out)
}
