//! A worktree against a tree, as git would compare them: what git would ignore, convert and add.
use super::{
    convert::Conversion,
    error::{Error, GitContext},
    globs,
    objects::Sink,
    repository::ProjectRepository,
    scan::{Conversions, LARGEST, Refused, Scan, Scanner},
    slot::Slot,
    tree::{EXECUTABLE, Entry, FILE, Leaf},
};
use crate::model::files::Files;
use git2::Repository;
use globset::GlobSet;
use std::collections::BTreeSet;

/// The paths that a ticket owns: what is named lands, also when git ignores it or a pattern calls it generated.
#[derive(Debug, Default)]
pub(super) struct Owned {
    files: BTreeSet<Vec<u8>>,
    folders: Vec<Vec<u8>>,
}

impl Owned {
    /// Those of these lists.
    pub(super) fn new(files: &Files) -> Owned {
        let (folders, files) = files.all().partition::<Vec<&str>, _>(|path| path.ends_with('/'));
        let bytes = |paths: Vec<&str>| paths.into_iter().map(|path| path.as_bytes().to_vec()).collect::<Vec<_>>();
        Owned { files: bytes(files).into_iter().collect(), folders: bytes(folders) }
    }

    /// Whether a file is listed by its name.
    pub(super) fn names(&self, path: &[u8]) -> bool {
        self.files.contains(path)
    }

    /// Whether a file below this folder (which ends in `/`) is listed by its name.
    pub(super) fn names_below(&self, folder: &[u8]) -> bool {
        self.files.range(folder.to_vec()..).next().is_some_and(|path| path.starts_with(folder))
    }

    /// Whether a file is one of them, or below one of their folders.
    pub(super) fn cover(&self, path: &[u8]) -> bool {
        self.names(path) || self.folders.iter().any(|folder| path.starts_with(folder))
    }

    /// Whether a file that a pattern calls generated is meant all the same: it is listed, or in a listed folder that is
    /// generated as a whole.
    pub(super) fn wants_generated(&self, generated: &GlobSet, path: &[u8]) -> bool {
        let whole = |folder: &&Vec<u8>| globs::matches(generated, &[folder.as_slice(), b"x"].concat());
        self.names(path) || self.folders.iter().filter(|folder| path.starts_with(folder)).any(|folder| whole(&folder))
    }
}

impl ProjectRepository {
    /// Compares the worktree of a slot with the sorted entries of a tree. New content goes into `sink`, or is only
    /// hashed.
    pub(super) fn compare(
        &self,
        repo: &Repository,
        slot: &Slot,
        base: &[Entry],
        owned: &Owned,
        sink: Option<&mut Sink<'_>>,
    ) -> Result<Scan, Error> {
        let rules = self.rules(&slot.tree)?;
        let mut conversion = self.conversion(repo, base, false)?;
        let cache = slot.cache(conversion.as_ref().map(Conversion::print));
        // Also where none apply to this tree: files may stand as those of an earlier one made them.
        let converted = slot.converted();
        let conversions = Conversions { by_git: conversion.is_some(), made: &converted };
        let scanner = Scanner::new(&slot.tree, base, &cache, &rules, owned, conversions, sink);
        let mut scan = scanner.run()?;
        if conversion.is_none() && scan.asks_for_conversion {
            conversion = self.conversion(repo, base, true)?;
        }
        if let Some(conversion) = conversion {
            add(&conversion, repo, slot, base, &mut scan)?;
        }
        Ok(scan)
    }
}

/// Puts what `git add` makes of the changed files in the place of their raw content.
fn add(conversion: &Conversion, repo: &Repository, slot: &Slot, base: &[Entry], scan: &mut Scan) -> Result<(), Error> {
    let regular = |leaf: &Option<Leaf>| leaf.filter(|leaf| matches!(leaf.mode, FILE | EXECUTABLE));
    let changed: Vec<(Vec<u8>, u32)> =
        scan.edits.iter().filter_map(|(path, leaf)| Some((path.clone(), regular(leaf)?.mode))).collect();
    let made = conversion.add(slot, base, &changed)?;
    let odb = repo.odb().git("opening the objects", repo.path())?;
    odb.refresh().git("looking at the objects", repo.path())?;
    for (path, leaf) in made {
        let was = base.binary_search_by(|entry| entry.path.as_slice().cmp(&path)).ok().map(|at| base[at].leaf);
        let why = match leaf {
            Ok(leaf) if was == Some(leaf) => {
                scan.edits.remove(&path);
                continue;
            }
            Ok(leaf) => {
                let (size, _) = odb.read_header(leaf.id).git(format!("reading object {}", leaf.id), repo.path())?;
                if size as u64 <= LARGEST {
                    scan.edits.insert(path, Some(leaf));
                    continue;
                }
                format!("its {} MiB are more than the {} MiB a file may have", size >> 20, LARGEST >> 20)
            }
            Err(said) => format!("git cannot store it as `git add` would ({said})"),
        };
        scan.edits.remove(&path);
        scan.refused.push(Refused { path, why });
    }
    Ok(())
}
