//! Writing and copying objects durably: an object that exists is complete and synced, and so is all it names, because
//! what is named is written first.
use super::{
    disk,
    error::{Error, GitContext, IoContext},
    tree::{self, GITLINK, Leaf, TREE},
};
use git2::{ObjectType, Odb, OdbLookupFlags, Oid, Repository};
use std::collections::{HashMap, HashSet};

/// Up to this many objects are written one file each, above it as one pack: a sync per object is the dearer way for
/// many, and a pack per small landing would slow down every later look-up.
const LOOSE_LIMIT: usize = 48;
/// Above this many buffered bytes the pending objects are written.
const BUFFER_BYTES: usize = 32 << 20;

/// Collects new objects of the project repository and writes them together.
pub(super) struct Sink<'r> {
    repo: &'r Repository,
    odb: Odb<'r>,
    pending: Vec<(Oid, ObjectType, Vec<u8>)>,
    index: HashMap<Oid, usize>,
    bytes: usize,
}

impl<'r> Sink<'r> {
    /// A sink into this repository.
    pub(super) fn new(repo: &'r Repository) -> Result<Sink<'r>, Error> {
        let odb = repo.odb().git("opening the objects", repo.path())?;
        Ok(Sink { repo, odb, pending: Vec::new(), index: HashMap::new(), bytes: 0 })
    }

    /// Takes an object; it is durable after [`Sink::finish`].
    pub(super) fn put(&mut self, kind: ObjectType, data: &[u8]) -> Result<Oid, Error> {
        let id = Oid::hash_object(kind, data).git("hashing an object", self.repo.path())?;
        if self.index.contains_key(&id) || self.odb.exists_ext(id, OdbLookupFlags::NO_REFRESH) {
            return Ok(id);
        }
        self.index.insert(id, self.pending.len());
        self.pending.push((id, kind, data.to_vec()));
        self.bytes += data.len();
        if self.bytes > BUFFER_BYTES {
            self.finish()?;
        }
        Ok(id)
    }

    /// The entries of a tree of the repository. Trees still pending are never asked for: edits start from a base.
    pub(super) fn read_tree(&self, repo: &Repository, id: Oid) -> Result<Vec<(Vec<u8>, Leaf)>, Error> {
        tree::read(&self.odb, repo, id)
    }

    /// Writes what is pending. The order of `put` is kept, so what is named precedes what names it.
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        let path = self.repo.path();
        let pending = std::mem::take(&mut self.pending);
        self.index.clear();
        self.bytes = 0;
        if pending.is_empty() {
            return Ok(());
        }
        if pending.len() <= LOOSE_LIMIT {
            for (id, kind, data) in &pending {
                self.odb.write(*kind, data).git(format!("writing object {id}"), path)?;
            }
        } else {
            // A handle of its own: its memory backend must not outlive the pack.
            let memory = Repository::open_bare(path).git("opening the repository", path)?;
            let config = self.repo.config().git("reading the configuration", path)?;
            memory.set_config(&config).git("setting the configuration", path)?;
            let odb = memory.odb().git("opening the objects", path)?;
            odb.add_new_mempack_backend(1000).git("adding a memory backend", path)?;
            for (id, kind, data) in &pending {
                odb.write(*kind, data).git(format!("keeping object {id}"), path)?;
            }
            write_pack(&memory, self.repo, pending.iter().map(|(id, _, _)| *id))?;
        }
        self.odb.refresh().git("looking at the objects", path)?;
        disk::sync_dir(&path.join("objects"))
    }
}

/// Packs objects of one repository into the other's pack folder; synced, then named.
fn write_pack(from: &Repository, to: &Repository, ids: impl Iterator<Item = Oid>) -> Result<(), Error> {
    let mut pack = from.packbuilder().git("starting a pack", to.path())?;
    pack.set_threads(1);
    for id in ids {
        pack.insert_object(id, None).git(format!("packing object {id}"), to.path())?;
    }
    let folder = to.commondir().join("objects/pack");
    std::fs::create_dir_all(&folder).io("creating", &folder)?;
    pack.write(&folder, 0o444).git("writing a pack", to.path())?;
    disk::sync_dir(&folder)
}

/// Copies a commit and all it needs that is missing, durably and bottom up: whatever exists after a crash is whole.
pub(super) fn copy(from: &Repository, to: &Repository, tip: Oid) -> Result<(), Error> {
    let source = from.odb().git("opening the objects", from.path())?;
    let target = to.odb().git("opening the objects", to.path())?;
    target.refresh().git("looking at the objects", to.path())?;
    let mut plan = Plan { from, source: &source, target: &target, seen: HashSet::new(), order: Vec::new() };
    plan.commit(tip)?;
    let order = plan.order;
    if order.len() > LOOSE_LIMIT {
        write_pack(from, to, order.into_iter())?;
        target.refresh().git("looking at the objects", to.path())?;
    } else {
        for id in order {
            let object = source.read(id).git(format!("reading object {id}"), from.path())?;
            target.write(object.kind(), object.data()).git(format!("writing object {id}"), to.path())?;
        }
    }
    disk::sync_dir(&to.commondir().join("objects"))
}

/// Which objects are missing, what is named before what names it.
struct Plan<'a> {
    from: &'a Repository,
    source: &'a Odb<'a>,
    target: &'a Odb<'a>,
    seen: HashSet<Oid>,
    order: Vec<Oid>,
}

impl Plan<'_> {
    fn missing(&mut self, id: Oid) -> bool {
        self.seen.insert(id) && !self.target.exists_ext(id, OdbLookupFlags::NO_REFRESH)
    }

    /// The missing commits reachable from `tip`, oldest first, each after its tree.
    fn commit(&mut self, tip: Oid) -> Result<(), Error> {
        let mut found = Vec::new();
        let mut open = vec![tip];
        while let Some(id) = open.pop() {
            if !self.missing(id) {
                continue;
            }
            let commit = self.from.find_commit(id).git(format!("reading commit {id}"), self.from.path())?;
            found.push((id, commit.tree_id()));
            open.extend(commit.parent_ids());
        }
        for (id, tree) in found.into_iter().rev() {
            self.tree(tree)?;
            self.order.push(id);
        }
        Ok(())
    }

    fn tree(&mut self, id: Oid) -> Result<(), Error> {
        if !self.missing(id) {
            return Ok(());
        }
        for (_, leaf) in tree::read(self.source, self.from, id)? {
            match tree::canonical(leaf.mode) {
                TREE => self.tree(leaf.id)?,
                GITLINK => {}
                _ if self.missing(leaf.id) => self.order.push(leaf.id),
                _ => {}
            }
        }
        self.order.push(id);
        Ok(())
    }
}
