//! Trees as flat lists of paths, and back. Raw objects on both sides: a name or a mode git2 would refuse, or mend,
//! passes through unchanged.
use super::{
    error::{Error, GitContext},
    objects::Sink,
};
use git2::{ObjectType, Odb, Oid, Repository};
use std::collections::{BTreeMap, BTreeSet};

/// Mode of a folder.
pub(super) const TREE: u32 = 0o040000;
/// Mode of a file.
pub(super) const FILE: u32 = 0o100644;
/// Mode of a file that can be run.
pub(super) const EXECUTABLE: u32 = 0o100755;
/// Mode of a symbolic link.
pub(super) const SYMLINK: u32 = 0o120000;
/// Mode of a submodule's commit.
pub(super) const GITLINK: u32 = 0o160000;

/// What stands at a path that is no folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) mode: u32,
    pub(super) id: Oid,
}

/// One path of a tree.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) path: Vec<u8>,
    pub(super) leaf: Leaf,
}

/// What is to stand at each path; none removes it.
pub(super) type Edits = BTreeMap<Vec<u8>, Option<Leaf>>;

/// One of them, its path relative to the folder at hand.
type EditBelow<'p> = (&'p [u8], Option<Leaf>);

/// The mode as git compares it: old repositories hold modes like 100664.
pub(super) fn canonical(mode: u32) -> u32 {
    match mode & 0o170000 {
        0o100000 if mode & 0o100 != 0 => EXECUTABLE,
        0o100000 => FILE,
        kind => kind,
    }
}

/// All paths of a tree, sorted by their bytes (git's tree order, flattened, is that order).
pub(super) fn flatten(repo: &Repository, tree: Oid) -> Result<Vec<Entry>, Error> {
    let odb = repo.odb().git("opening the objects", repo.path())?;
    let mut out = Vec::new();
    flatten_into(&odb, repo, tree, &mut Vec::new(), &mut out)?;
    Ok(out)
}

fn flatten_into(
    odb: &Odb<'_>,
    repo: &Repository,
    tree: Oid,
    prefix: &mut Vec<u8>,
    out: &mut Vec<Entry>,
) -> Result<(), Error> {
    for (name, leaf) in read(odb, repo, tree)? {
        let length = prefix.len();
        prefix.extend_from_slice(&name);
        if canonical(leaf.mode) == TREE {
            prefix.push(b'/');
            flatten_into(odb, repo, leaf.id, prefix, out)?;
        } else {
            out.push(Entry { path: prefix.clone(), leaf: Leaf { mode: canonical(leaf.mode), id: leaf.id } });
        }
        prefix.truncate(length);
    }
    Ok(())
}

/// The entries of one tree object, in its order.
pub(super) fn read(odb: &Odb<'_>, repo: &Repository, tree: Oid) -> Result<Vec<(Vec<u8>, Leaf)>, Error> {
    let object = odb.read(tree).git(format!("reading tree {tree}"), repo.path())?;
    let broken = || git2::Error::from_str("the tree object is malformed");
    let mut rest = object.data();
    let mut out = Vec::new();
    while !rest.is_empty() {
        let parsed = parse_one(rest).ok_or_else(broken).git(format!("reading tree {tree}"), repo.path())?;
        let (name, leaf, after) = parsed;
        out.push((name.to_vec(), leaf));
        rest = after;
    }
    Ok(out)
}

/// `mode SP name NUL id`: the name, what it names, and what follows.
fn parse_one(data: &[u8]) -> Option<(&[u8], Leaf, &[u8])> {
    let space = data.iter().position(|byte| *byte == b' ')?;
    let mode = u32::from_str_radix(std::str::from_utf8(&data[..space]).ok()?, 8).ok()?;
    let rest = &data[space + 1..];
    let nul = rest.iter().position(|byte| *byte == 0)?;
    let (id, after) = rest[nul + 1..].split_at_checked(20)?;
    Some((&rest[..nul], Leaf { mode, id: Oid::from_bytes(id).ok()? }, after))
}

/// Writes the tree that `base` becomes by `edits`; folders without an edit keep their object.
pub(super) fn edit(repo: &Repository, sink: &mut Sink<'_>, base: Oid, edits: &Edits) -> Result<Oid, Error> {
    if edits.is_empty() {
        return Ok(base);
    }
    let list: Vec<_> = edits.iter().map(|(path, leaf)| (path.as_slice(), *leaf)).collect();
    match edit_one(repo, sink, Some(base), &list)? {
        Some(tree) => Ok(tree),
        None => sink.put(ObjectType::Tree, b""),
    }
}

fn edit_one(
    repo: &Repository,
    sink: &mut Sink<'_>,
    base: Option<Oid>,
    edits: &[EditBelow<'_>],
) -> Result<Option<Oid>, Error> {
    let mut entries: BTreeMap<Vec<u8>, Leaf> = match base {
        Some(tree) => sink.read_tree(repo, tree)?.into_iter().collect(),
        None => BTreeMap::new(),
    };
    let mut folders: BTreeMap<&[u8], Vec<EditBelow<'_>>> = BTreeMap::new();
    for (path, leaf) in edits {
        match path.iter().position(|byte| *byte == b'/') {
            Some(at) => folders.entry(&path[..at]).or_default().push((&path[at + 1..], *leaf)),
            None if leaf.is_none() => drop(entries.remove(*path)),
            None => {}
        }
    }
    for (name, inner) in folders {
        let old = entries.get(name).filter(|leaf| canonical(leaf.mode) == TREE).map(|leaf| leaf.id);
        match edit_one(repo, sink, old, &inner)? {
            Some(id) => drop(entries.insert(name.to_vec(), Leaf { mode: TREE, id })),
            None if old.is_some() => drop(entries.remove(name)),
            None => {}
        }
    }
    // Last: a file may have taken the place of the folder emptied above.
    for (path, leaf) in edits {
        if let (None, Some(leaf)) = (path.iter().position(|byte| *byte == b'/'), leaf) {
            entries.insert(path.to_vec(), *leaf);
        }
    }
    if entries.is_empty() {
        return Ok(None);
    }
    sink.put(ObjectType::Tree, &serialize(entries)).map(Some)
}

/// The tree object: folders sort as if their name ended in `/`.
fn serialize(entries: BTreeMap<Vec<u8>, Leaf>) -> Vec<u8> {
    let mut list: Vec<_> = entries.into_iter().collect();
    list.sort_by_cached_key(|(name, leaf)| {
        let mut key = name.clone();
        if canonical(leaf.mode) == TREE {
            key.push(b'/');
        }
        key
    });
    let mut data = Vec::new();
    for (name, leaf) in list {
        data.extend_from_slice(format!("{:o} ", leaf.mode).as_bytes());
        data.extend_from_slice(&name);
        data.push(0);
        data.extend_from_slice(leaf.id.as_bytes());
    }
    data
}

/// The paths at which two trees differ; equal folders are not opened.
pub(super) fn differing(repo: &Repository, a: Oid, b: Oid) -> Result<BTreeSet<Vec<u8>>, Error> {
    let odb = repo.odb().git("opening the objects", repo.path())?;
    let mut out = BTreeSet::new();
    differ(&odb, repo, (Some(a), Some(b)), &mut Vec::new(), &mut out)?;
    Ok(out)
}

fn differ(
    odb: &Odb<'_>,
    repo: &Repository,
    sides: (Option<Oid>, Option<Oid>),
    prefix: &mut Vec<u8>,
    out: &mut BTreeSet<Vec<u8>>,
) -> Result<(), Error> {
    if sides.0 == sides.1 {
        return Ok(());
    }
    let side = |tree: Option<Oid>| -> Result<BTreeMap<Vec<u8>, Leaf>, Error> {
        tree.map_or(Ok(BTreeMap::new()), |tree| Ok(read(odb, repo, tree)?.into_iter().collect()))
    };
    let (left, right) = (side(sides.0)?, side(sides.1)?);
    let names: BTreeSet<&Vec<u8>> = left.keys().chain(right.keys()).collect();
    for name in names {
        let (a, b) = (left.get(name), right.get(name));
        if a == b {
            continue;
        }
        let length = prefix.len();
        prefix.extend_from_slice(name);
        let is_tree = |leaf: Option<&Leaf>| leaf.is_some_and(|leaf| canonical(leaf.mode) == TREE);
        if [a, b].into_iter().any(|leaf| leaf.is_some() && !is_tree(leaf)) {
            out.insert(prefix.clone());
        }
        let folder = |leaf: Option<&Leaf>| leaf.filter(|leaf| canonical(leaf.mode) == TREE).map(|leaf| leaf.id);
        prefix.push(b'/');
        differ(odb, repo, (folder(a), folder(b)), prefix, out)?;
        prefix.truncate(length);
    }
    Ok(())
}
