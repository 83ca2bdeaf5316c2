//! Merges in memory, landing commits, and what differs between commits.
use super::{
    disk,
    error::{Error, GitContext},
    handle,
    person::Identity,
    repository::ProjectRepository,
    tree,
};
use git2::{Diff, DiffOptions, MergeOptions, Oid, Repository, Signature, Time};
use std::collections::BTreeSet;

/// What came of a merge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Merge {
    /// Both sides fit together.
    Clean {
        /// The merged tree.
        tree: String,
    },
    /// They do not; nothing was resolved.
    Conflict {
        /// Where, sorted.
        paths: Vec<String>,
    },
}

/// The size of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiffStat {
    /// Files that differ.
    pub files: usize,
    /// Lines added.
    pub insertions: usize,
    /// Lines removed.
    pub deletions: usize,
}

impl ProjectRepository {
    /// Merges `commit` into `head`, both grown from `base`, without a checkout. Renames are not followed, and the
    /// repository's merge attributes do not apply.
    pub fn merge(&self, head: &str, base: &str, commit: &str) -> Result<Merge, Error> {
        let repo = self.repo()?;
        let tree = |hex: &str| handle::tree_of(&repo, handle::commit_id(hex, repo.path())?);
        let (ours, ancestor, theirs) = (tree(head)?, tree(base)?, tree(commit)?);
        if ours == ancestor || ours == theirs {
            return Ok(Merge::Clean { tree: theirs.to_string() });
        }
        if theirs == ancestor {
            return Ok(Merge::Clean { tree: ours.to_string() });
        }
        let clashes = file_and_folder(&repo, ancestor, ours, theirs)?;
        if !clashes.is_empty() {
            return Ok(Merge::Conflict { paths: clashes });
        }
        let find = |id: Oid| repo.find_tree(id).git(format!("reading tree {id}"), repo.path());
        let mut options = MergeOptions::new();
        options.find_renames(false).fail_on_conflict(false);
        let merged = repo.merge_trees(&find(ancestor)?, &find(ours)?, &find(theirs)?, Some(&options));
        let mut index = merged.git(format!("merging {commit} into {head}"), repo.path())?;
        if index.has_conflicts() {
            let mut paths = BTreeSet::new();
            for conflict in index.conflicts().git("listing conflicts", repo.path())? {
                let conflict = conflict.git("reading a conflict", repo.path())?;
                let sides = [conflict.our, conflict.their, conflict.ancestor];
                paths.extend(sides.into_iter().flatten().map(|entry| disk::shown(&entry.path)));
            }
            return Ok(Merge::Conflict { paths: paths.into_iter().collect() });
        }
        let tree = index.write_tree_to(&repo).git("writing the merged tree", repo.path())?;
        Ok(Merge::Clean { tree: tree.to_string() })
    }

    /// Makes the commit that lands: the same inputs give the same id. Durable in the project repository when this returns.
    pub fn landing_commit(
        &self,
        tree: &str,
        parent: &str,
        message: &str,
        author: &Identity,
        when_s: i64,
    ) -> Result<String, Error> {
        let repo = self.repo()?;
        let tree = handle::commit_id(tree, repo.path())?;
        let parent = handle::commit_id(parent, repo.path())?;
        commit(&repo, tree, parent, message, author, when_s).map(|id| id.to_string())
    }

    /// The paths at which two commits differ, sorted.
    pub fn changed_between(&self, a: &str, b: &str) -> Result<Vec<String>, Error> {
        let repo = self.repo()?;
        let tree = |hex: &str| handle::tree_of(&repo, handle::commit_id(hex, repo.path())?);
        let paths = tree::differing(&repo, tree(a)?, tree(b)?)?;
        Ok(paths.iter().map(|path| disk::shown(path)).collect())
    }

    /// How much two commits differ.
    pub fn diff_stat(&self, a: &str, b: &str) -> Result<DiffStat, Error> {
        let repo = self.repo()?;
        let tree = |hex: &str| handle::tree_of(&repo, handle::commit_id(hex, repo.path())?);
        let diff = tree_diff(&repo, tree(a)?, tree(b)?, &mut DiffOptions::new())?;
        let stats = diff.stats().git("counting a diff", repo.path())?;
        Ok(DiffStat { files: stats.files_changed(), insertions: stats.insertions(), deletions: stats.deletions() })
    }
}

/// Paths where one side has a file and the other, by its own change, a folder: libgit2 would leave both.
fn file_and_folder(repo: &Repository, base: Oid, ours: Oid, theirs: Oid) -> Result<Vec<String>, Error> {
    let changed = |side: Oid| tree::differing(repo, base, side);
    let (mine, yours) = (changed(ours)?, changed(theirs)?);
    let find = |id: Oid| repo.find_tree(id).git(format!("reading tree {id}"), repo.path());
    let (ours, theirs) = (find(ours)?, find(theirs)?);
    let mut out = BTreeSet::new();
    for (paths, here, there) in [(&mine, &ours, &theirs), (&yours, &theirs, &ours)] {
        for path in paths.iter().filter(|path| kind(here, path).is_some()) {
            let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
            let blocked = above.into_iter().any(|parent| kind(there, parent) == Some(false));
            // A side that did not touch the path has there what the base had; its other changes are what clashes.
            let touched = |set: &BTreeSet<Vec<u8>>| {
                let folder = [path.as_slice(), b"/"].concat();
                set.iter()
                    .any(|other| other.starts_with(&folder) || path.starts_with(&[other.as_slice(), b"/"].concat()))
            };
            let other_side = if std::ptr::eq(paths, &mine) { &yours } else { &mine };
            if (blocked || kind(there, path) == Some(true)) && touched(other_side) {
                out.insert(disk::shown(path));
            }
        }
    }
    Ok(out.into_iter().collect())
}

/// Whether a path is a folder in a tree; none when it is not there.
fn kind(tree: &git2::Tree<'_>, path: &[u8]) -> Option<bool> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(path));
    tree.get_path(path).ok().map(|entry| tree::canonical(entry.filemode().cast_unsigned()) == tree::TREE)
}

/// One commit with one parent, the same for the same inputs.
pub(super) fn commit(
    repo: &Repository,
    tree: Oid,
    parent: Oid,
    message: &str,
    author: &Identity,
    when_s: i64,
) -> Result<Oid, Error> {
    let tree = repo.find_tree(tree).git(format!("reading tree {tree}"), repo.path())?;
    let parent = repo.find_commit(parent).git(format!("reading commit {parent}"), repo.path())?;
    let clean = |text: &str, fallback: &str| {
        let text: String = text.chars().filter(|c| !c.is_control() && !matches!(c, '<' | '>')).collect();
        if text.trim().is_empty() { fallback.to_owned() } else { text }
    };
    let (name, email) = (clean(&author.name, "p0"), clean(&author.email, "p0@localhost"));
    let who = Signature::new(&name, &email, &Time::new(when_s, 0)).git("signing a commit", repo.path())?;
    let id = repo.commit(None, &who, &who, message, &tree, &[&parent]).git("writing a commit", repo.path())?;
    disk::sync_dir(&repo.commondir().join("objects"))?;
    Ok(id)
}

/// The diff of two trees, renames not detected.
pub(super) fn tree_diff<'r>(
    repo: &'r Repository,
    old: Oid,
    new: Oid,
    options: &mut DiffOptions,
) -> Result<Diff<'r>, Error> {
    let find = |id: Oid| repo.find_tree(id).git(format!("reading tree {id}"), repo.path());
    repo.diff_tree_to_tree(Some(&find(old)?), Some(&find(new)?), Some(options)).git("comparing trees", repo.path())
}
