//! What a tree has at the paths that somebody wants to own.
use super::{
    error::{Error, GitContext},
    tree::{self, GITLINK, TREE},
};
use crate::model::{
    files::Files,
    paths::{Found, PathFact, impossible},
};
use git2::{ErrorCode, Oid, Repository};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    rc::Rc,
};

/// One folder of a tree: names with the mode and the object they stand for.
type Folder = Rc<BTreeMap<Vec<u8>, (u32, Oid)>>;
/// Folders by their object, read once.
type Folders = BTreeMap<Oid, Folder>;

/// The facts about the paths of these lists, without those that are as their list says: a file to modify that is there,
/// a new path that is not. `rules` knows what git ignores; none when there is no working tree.
pub(super) fn look_up(
    objects: &Repository,
    rules: Option<&Repository>,
    tree: Oid,
    lists: &[&Files],
) -> Result<Vec<PathFact>, Error> {
    let mut look = Look { objects, folders: Folders::new() };
    let mut seen = BTreeSet::new();
    let mut out = Vec::new();
    for files in lists {
        for path in files.all() {
            if !seen.insert((path, files.create.iter().any(|c| c == path))) {
                continue;
            }
            let (found, other_case) =
                if impossible(path).is_some() { (Found::Missing, None) } else { look.at(tree, path)? };
            let ignored = found == Found::Missing && rules.is_some_and(|rules| is_ignored(rules, path));
            let fact = PathFact { path: path.to_owned(), found, ignored, other_case };
            if fact.matters(files) {
                out.push(fact);
            }
        }
    }
    out.dedup();
    Ok(out)
}

/// A path that cannot be asked about is not ignored.
fn is_ignored(rules: &Repository, path: &str) -> bool {
    !path.contains('\0') && rules.is_path_ignored(Path::new(path)).unwrap_or(false)
}

struct Look<'r> {
    objects: &'r Repository,
    folders: Folders,
}

impl Look<'_> {
    /// What stands at a path, and the path of the tree that differs from it in case alone.
    fn at(&mut self, root: Oid, path: &str) -> Result<(Found, Option<String>), Error> {
        let bare = path.trim_end_matches('/');
        let parts: Vec<&str> = bare.split('/').collect();
        let mut folder = root;
        for (n, part) in parts.iter().enumerate() {
            let entries = self.read(folder)?;
            let here = || parts[..=n].join("/");
            let Some((mode, id)) = entries.get(part.as_bytes()) else {
                let folded = part.to_lowercase();
                let other = entries.keys().find_map(|name| {
                    let name = std::str::from_utf8(name).ok()?;
                    (name.to_lowercase() == folded).then(|| [&parts[..n], &[name]].concat().join("/"))
                });
                return Ok((Found::Missing, other));
            };
            let last = n + 1 == parts.len();
            match tree::canonical(*mode) {
                TREE if last => return Ok((Found::Folder, None)),
                TREE => folder = *id,
                GITLINK => return Ok((Found::Submodule { submodule: here() }, None)),
                _ if last => return Ok((Found::File, None)),
                _ => return Ok((Found::BelowFile { file: here() }, None)),
            }
        }
        Ok((Found::Missing, None))
    }

    fn read(&mut self, folder: Oid) -> Result<Folder, Error> {
        if let Some(known) = self.folders.get(&folder) {
            return Ok(known.clone());
        }
        let odb = self.objects.odb().git("opening the objects", self.objects.path())?;
        let entries = match tree::read(&odb, self.objects, folder) {
            Ok(entries) => entries,
            // A treeless clone: what cannot be looked at says nothing.
            Err(Error::Git { source, .. }) if source.code() == ErrorCode::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let entries: Folder = Rc::new(entries.into_iter().map(|(name, leaf)| (name, (leaf.mode, leaf.id))).collect());
        self.folders.insert(folder, Rc::clone(&entries));
        Ok(entries)
    }
}
