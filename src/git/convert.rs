//! Conversions between blobs and files: `text`, `eol`, `core.autocrlf`, `ident`, `working-tree-encoding`, filters.
//!
//! A plain repository has none, and none of this runs for it. Where attributes or the configuration ask for some, the
//! person's git makes the files (`git checkout-index`) and the blobs (`git update-index`), so that a worktree holds what
//! `git checkout` would give, and what lands is what `git add` would have made. Its objects go into the engine's
//! repository; what a filter keeps beside them (Git LFS) is the person's.
use super::{
    disk,
    error::{Error, GitContext},
    person::PersonRepo,
    plumbing::{self, Git},
    repository::ProjectRepository,
    slot::Slot,
    tree::{self, EXECUTABLE, Entry, FILE, Leaf},
};
use git2::{Index, IndexEntry, IndexTime, ObjectType, Oid, Repository};
use std::{
    collections::{BTreeSet, HashMap},
    fs,
    path::{Path, PathBuf},
};

/// The name of attribute files.
const ATTRIBUTES: &[u8] = b".gitattributes";
/// The largest attribute file that git reads, in bytes.
const LARGEST_ATTRIBUTES: u64 = 100 << 20;
/// Keys of the configuration that decide how files are converted, beside `filter.*`.
const KEYS: &[&str] = &["core.autocrlf", "core.eol", "core.safecrlf", "core.checkroundtripencoding"];

/// Conversions apply to a tree.
#[derive(Debug)]
pub(super) struct Conversion {
    /// Names what decides them: with another print, the same blob may give another file.
    print: String,
    own_dir: PathBuf,
    objects: PathBuf,
    person_objects: PathBuf,
    /// The attribute files of the tree.
    attributes: Vec<Entry>,
    /// `core.autocrlf` and `core.eol`, for the agents' git.
    pub(super) endings: Vec<(&'static str, String)>,
}

/// What git made of changed files: the blob, or why there is none.
pub(super) type Added = HashMap<Vec<u8>, Result<Leaf, String>>;

impl ProjectRepository {
    /// The conversions that apply to a tree; none for most. `asked` is whether the worktree's own attributes ask for one.
    pub(super) fn conversion(
        &self,
        repo: &Repository,
        entries: &[Entry],
        asked: bool,
    ) -> Result<Option<Conversion>, Error> {
        let attributes: Vec<&Entry> = entries.iter().filter(|entry| is_attributes(entry)).collect();
        let person = self.person();
        let config = person.open()?.config().git("reading the configuration", person.root())?;
        let mut config = config;
        let config = config.snapshot().git("reading the configuration", person.root())?;
        let mut hash = blake3::Hasher::new();
        let mut asks = asked || config.get_string("core.autocrlf").is_ok_and(|value| converts_endings(&value));
        for path in attribute_files(person, &config) {
            if let Some(text) = read_attributes(&path) {
                asks |= asks_for_conversion(&text);
                hash.update(&text);
            }
        }
        let odb = repo.odb().git("opening the objects", repo.path())?;
        for entry in &attributes {
            let blob = odb.read(entry.leaf.id).git("reading attributes", repo.path())?;
            asks |= asks_for_conversion(blob.data());
            hash.update(&entry.path).update(&[0]).update(entry.leaf.id.as_bytes());
        }
        if !asks {
            return Ok(None);
        }
        let mut endings = Vec::new();
        for key in KEYS {
            if let Ok(value) = config.get_string(key) {
                hash.update(key.as_bytes()).update(value.as_bytes());
                endings.push((*key, value));
            }
        }
        let filters = config.entries(Some("filter\\..*")).git("reading the configuration", person.root())?;
        filters
            .for_each(|entry| {
                hash.update(entry.name_bytes()).update(entry.value_bytes());
            })
            .git("reading the configuration", person.root())?;
        Ok(Some(Conversion {
            print: hash.finalize().to_hex()[..16].to_owned(),
            own_dir: person.own_dir().to_path_buf(),
            objects: self.repo_dir().join("objects"),
            person_objects: person.git_dir().join("objects"),
            attributes: attributes.into_iter().cloned().collect(),
            endings,
        }))
    }
}

impl Conversion {
    /// What names the conversions, for the cache of a worktree.
    pub(super) fn print(&self) -> &str {
        &self.print
    }

    /// Has git write these files of a commit into the worktree, where nothing stands in their place. The paths that no
    /// index of git's takes are left out, and given back. A filter that is not required may fail: git then takes the
    /// content as it is.
    ///
    /// # Errors
    /// A required filter is missing or fails.
    pub(super) fn checkout(&self, slot: &Slot, files: &[&Entry], commit: &str) -> Result<BTreeSet<Vec<u8>>, Error> {
        if files.is_empty() {
            return Ok(BTreeSet::new());
        }
        let (index, odd) = self.index(slot, files.iter().copied())?;
        let taken = files.iter().filter(|entry| !odd.contains(&entry.path));
        let paths = taken.flat_map(|entry| [&entry.path, &b"\0"[..]].concat()).collect();
        let arguments = ["checkout-index", "-q", "-f", "-z", "--stdin"];
        let output = self.git(&slot.tree, &index, &arguments).input(paths).output()?;
        disk::remove_any(&index)?;
        if !output.status.success() {
            return Err(Error::Conversion { commit: commit.into(), said: plumbing::said(&output) });
        }
        Ok(odd)
    }

    /// Has git make blobs of these files of the worktree, beside what `base` has at their paths. `paths` are with the
    /// modes they have on disk.
    pub(super) fn add(&self, slot: &Slot, base: &[Entry], paths: &[(Vec<u8>, u32)]) -> Result<Added, Error> {
        let mut out = Added::new();
        if paths.is_empty() {
            return Ok(out);
        }
        if self.add_some(slot, base, paths, &mut out)?.is_none() {
            return Ok(out);
        }
        // One of them fails, and git took none: each is asked about alone.
        out.clear();
        for path in paths {
            if let Some(why) = self.add_some(slot, base, std::slice::from_ref(path), &mut out)? {
                out.insert(path.0.clone(), Err(why));
            }
        }
        Ok(out)
    }

    /// Why git did not take them; none when it did.
    fn add_some(
        &self,
        slot: &Slot,
        base: &[Entry],
        paths: &[(Vec<u8>, u32)],
        out: &mut Added,
    ) -> Result<Option<String>, Error> {
        let known = paths.iter().filter_map(|(path, _)| {
            let at = base.binary_search_by(|entry| entry.path.as_slice().cmp(path)).ok()?;
            matches!(base[at].leaf.mode, FILE | EXECUTABLE).then_some(&base[at])
        });
        let (index, _) = self.index(slot, known)?;
        let input = paths.iter().flat_map(|(path, _)| [path.as_slice(), b"\0"].concat()).collect();
        let arguments = ["update-index", "--add", "--replace", "-z", "--stdin"];
        let output = self.git(&slot.tree, &index, &arguments).input(input).output()?;
        if !output.status.success() {
            disk::remove_any(&index)?;
            return Ok(Some(plumbing::said(&output)));
        }
        let made = Index::open(&index).git("reading what git added", &index)?;
        let ids: HashMap<Vec<u8>, Oid> = made.iter().map(|entry| (entry.path, entry.id)).collect();
        disk::remove_any(&index)?;
        for (path, mode) in paths {
            let leaf = ids.get(path).map(|id| Leaf { mode: *mode, id: *id });
            out.insert(path.clone(), leaf.ok_or_else(|| "git did not add it".to_owned()));
        }
        Ok(None)
    }

    /// An index of these entries and of the tree's attributes, which git reads where the worktree has none; and the paths
    /// that it does not take.
    fn index<'e>(
        &'e self,
        slot: &Slot,
        entries: impl Iterator<Item = &'e Entry>,
    ) -> Result<(PathBuf, BTreeSet<Vec<u8>>), Error> {
        let path = slot.own.join("convert.index");
        disk::remove_any(&path)?;
        disk::remove_any(&path.with_extension("index.lock"))?;
        let (mut index, mut odd) = (Index::open(&path).git("starting an index", &path)?, BTreeSet::new());
        for entry in self.attributes.iter().chain(entries) {
            if index.add(&plain_entry(entry)).is_err() {
                odd.insert(entry.path.clone());
            }
        }
        index.write().git("writing an index", &path)?;
        Ok((path, odd))
    }

    fn git(&self, root: &Path, index: &Path, arguments: &[&str]) -> Git {
        let settings = [
            "-c",
            "core.hooksPath=/dev/null",
            "-c",
            "core.fsmonitor=false",
            "-c",
            "core.untrackedCache=false",
            "-c",
            "core.splitIndex=false",
            "-c",
            "core.sparseCheckout=false",
            "-c",
            "core.bare=false",
            "-c",
            "core.fileMode=true",
            "-c",
            "core.symlinks=true",
            "-c",
            "core.fsync=loose-object",
            "-c",
            "index.skipHash=false",
            "-c",
            "index.sparse=false",
        ];
        Git::new(root, &[&settings, arguments].concat())
            .env("GIT_DIR", &self.own_dir)
            .env("GIT_WORK_TREE", root)
            .env("GIT_INDEX_FILE", index)
            .env("GIT_OBJECT_DIRECTORY", &self.objects)
            .env("GIT_ALTERNATE_OBJECT_DIRECTORIES", plumbing::quoted(&self.person_objects))
    }
}

/// What the files of a checkout hold that a conversion made: their blobs, and their content as if it were one.
#[derive(Debug, Default)]
pub(super) struct Converted(HashMap<Vec<u8>, (Oid, Oid)>);

impl Converted {
    /// Reads what was noted of a worktree; what is missing or broken is empty.
    pub(super) fn load(path: &Path) -> Converted {
        let Ok(data) = fs::read(path) else { return Converted::default() };
        let one = |line: &[u8]| {
            let (blob, rest) = line.split_at_checked(20)?;
            let (content, path) = rest.split_at_checked(20)?;
            Some((path.to_vec(), (Oid::from_bytes(blob).ok()?, Oid::from_bytes(content).ok()?)))
        };
        let mut found = HashMap::new();
        let mut rest = data.as_slice();
        // Each note begins with its length: ids and paths may hold any byte.
        while let Some((length, after)) = rest.split_first_chunk::<4>() {
            let Some((line, after)) = after.split_at_checked(u32::from_le_bytes(*length) as usize) else { break };
            found.extend(one(line));
            rest = after;
        }
        Converted(found)
    }

    /// Notes a file.
    pub(super) fn insert(&mut self, path: &[u8], blob: Oid, content: Oid) {
        self.0.insert(path.to_vec(), (blob, content));
    }

    /// Whether a file with this content is what a checkout made of this blob.
    pub(super) fn is_checkout(&self, path: &[u8], blob: Oid, content: Oid) -> bool {
        self.0.get(path) == Some(&(blob, content))
    }

    /// What a checkout made of this blob at this path, if it is known.
    pub(super) fn content_of(&self, path: &[u8], blob: Oid) -> Option<Oid> {
        self.0.get(path).filter(|(known, _)| *known == blob).map(|(_, content)| *content)
    }

    /// Writes it down.
    pub(super) fn save(&self, path: &Path) -> Result<(), Error> {
        let mut data = Vec::new();
        for (name, (blob, content)) in &self.0 {
            let length = u32::try_from(40 + name.len()).unwrap_or(u32::MAX);
            data.extend(length.to_le_bytes());
            data.extend(blob.as_bytes());
            data.extend(content.as_bytes());
            data.extend(name);
        }
        disk::write_if_changed(path, &data)
    }
}

/// The content of a file on disk, as the id it would have as a blob.
pub(super) fn content_id(full: &Path) -> Result<Oid, Error> {
    Oid::hash_file(ObjectType::Blob, full).git("hashing a file", full)
}

fn is_attributes(entry: &Entry) -> bool {
    let name = entry.path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name == ATTRIBUTES && matches!(tree::canonical(entry.leaf.mode), FILE | EXECUTABLE)
}

/// Whether a path is an attribute file.
pub(super) fn is_attributes_path(path: &[u8]) -> bool {
    path.rsplit(|byte| *byte == b'/').next() == Some(ATTRIBUTES)
}

fn converts_endings(value: &str) -> bool {
    !matches!(value.to_ascii_lowercase().as_str(), "false" | "no" | "off" | "0" | "")
}

/// Attribute files beside the tree's own: of the repository, of the person, of the system.
fn attribute_files(person: &PersonRepo, config: &git2::Config) -> Vec<PathBuf> {
    let mut found = vec![person.git_dir().join("info/attributes"), PathBuf::from("/etc/gitattributes")];
    match config.get_path("core.attributesFile") {
        Ok(path) => found.push(path),
        Err(_) => found.extend(
            git2::Config::find_xdg()
                .or_else(|_| git2::Config::find_global().map(|path| path.with_file_name(".config/git/config")))
                .ok()
                .and_then(|path| Some(path.parent()?.join("attributes"))),
        ),
    }
    found
}

fn read_attributes(path: &Path) -> Option<Vec<u8>> {
    let meta = fs::metadata(path).ok()?;
    if !meta.is_file() || meta.len() > LARGEST_ATTRIBUTES {
        return None;
    }
    fs::read(path).ok().filter(|text| !text.is_empty())
}

/// Whether attributes ask for a conversion somewhere. A macro says so where it is defined.
pub(super) fn asks_for_conversion(text: &[u8]) -> bool {
    text.split(|byte| *byte == b'\n').any(|line| {
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t' | b'\r')).filter(|word| !word.is_empty());
        match words.next() {
            None => false,
            Some(pattern) if pattern.starts_with(b"#") => false,
            Some(_) => words.any(|word| {
                let name = word.split(|byte| *byte == b'=').next().unwrap_or_default();
                matches!(name, b"text" | b"eol" | b"crlf" | b"ident" | b"filter" | b"working-tree-encoding")
            }),
        }
    })
}

fn plain_entry(entry: &Entry) -> IndexEntry {
    IndexEntry {
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: entry.leaf.mode,
        uid: 0,
        gid: 0,
        file_size: 0,
        id: entry.leaf.id,
        flags: 0,
        flags_extended: 0,
        path: entry.path.clone(),
    }
}
