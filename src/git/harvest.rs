//! An attempt's result: the content of its working directory as one commit on its base, and a report.
use super::{
    compare::Owned,
    disk,
    error::{Error, GitContext},
    globs, handle, land, markers, merge,
    objects::Sink,
    person::Identity,
    repository::ProjectRepository,
    scan::{Refused, Scan},
    tree::{self, Edits, Entry, GITLINK, Leaf},
};
use crate::model::files::Files;
use git2::{DiffFormat, DiffOptions, Oid, Repository};
use std::collections::BTreeMap;

/// How a result is made.
#[derive(Debug, Clone, Copy)]
pub struct HarvestOptions<'a> {
    /// Patterns of generated files, dropped from the result: a path, a `folder/`, a glob; without an inner `/` at any
    /// depth.
    pub generated: &'a [String],
    /// Patterns of files in which conflict markers are meant, in the same form.
    pub conflict_markers: &'a [String],
    /// The files of the ticket: what is named in it counts also when git ignores it or a pattern calls it generated.
    pub owned: &'a Files,
    /// The message of the commit.
    pub message: &'a str,
    /// Its author and committer.
    pub author: &'a Identity,
    /// Its time, in seconds since 1970.
    pub when_s: i64,
}

/// What an attempt left in its worktree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Harvest {
    /// The result as one commit on the base, kept by `refs/p0/attempts/<holder>`; none when nothing changed.
    pub commit: Option<String>,
    /// The tree of the result.
    pub tree: String,
    /// What differs from the base, sorted by path. A rename is a deletion and an addition.
    pub changes: Vec<Change>,
    /// Generated paths that differed and were dropped.
    pub dropped: Vec<String>,
    /// What changed of the ticket's own files, or of tracked ones, and is not in the result: each path with the reason.
    pub left_out: Vec<String>,
    /// Changed text files with conflict markers their base did not have.
    pub conflict_markers: Vec<String>,
    /// The unified diff, at most 8 MiB.
    pub patch: Vec<u8>,
    /// Whether the diff was cut.
    pub patch_truncated: bool,
    /// Folders that are repositories of their own (their files count as ordinary files), and submodule folders with
    /// files but no repository (their files cannot count).
    pub untracked_repos: Vec<String>,
    /// Paths whose content could not be taken (unreadable, too large, named like git's own folder), each after the
    /// reason and a colon; they stand as in the base.
    pub refused: Vec<String>,
}

/// One changed path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Relative to the repository's root, with `/`; bytes that are no UTF-8 are shown replaced.
    pub path: String,
    /// How it changed.
    pub kind: ChangeKind,
    /// A new or changed symbolic link whose target is absolute, leaves the worktree, or enters `.git`.
    pub symlink_escapes: bool,
}

/// How a path changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    /// The base did not have it.
    Added,
    /// Other content, or the executable bit.
    Modified,
    /// It is gone.
    Deleted,
    /// A file became a link, a submodule became a file, and the like.
    TypeChanged,
}

/// Bytes of a refused path that are shown from each of its ends.
const SHOWN: usize = 150;
/// Paths that are named of those that do not land.
const MOST_LEFT_OUT: usize = 20;
/// The most bytes of a diff.
const PATCH_LIMIT: usize = 8 << 20;

impl ProjectRepository {
    /// Takes the result of `holder`: whatever the agent did with git, the content of its working directory against
    /// `base` counts. Files git ignores count only when `base` has them. The worktree is not touched. The same content
    /// gives the same commit. A working directory that its holder removed holds no result: nothing changed.
    pub fn harvest(&self, holder: &str, base: &str, options: &HarvestOptions<'_>) -> Result<Harvest, Error> {
        let generated = globs::compile(options.generated)?;
        let (slot, mut record) = self.find_ready(holder)?;
        let repo = self.repo()?;
        let base_id = handle::commit_id(base, repo.path())?;
        let base_tree = handle::tree_of(&repo, base_id)?;
        if !slot.has_tree() {
            return Ok(nothing(base_tree));
        }
        let entries = tree::flatten(&repo, base_tree)?;
        let meant = globs::compile(options.conflict_markers)?;
        let owned = Owned::new(options.owned);
        let mut sink = Sink::new(&repo)?;
        let Scan { mut edits, links, mut repositories, mut refused, ignored, .. } =
            self.compare(&repo, &slot, &entries, &owned, Some(&mut sink))?;
        submodules(&entries, &mut edits, &mut repositories, &mut refused);
        let mut dropped = Vec::new();
        let mut left_out: Vec<String> =
            ignored.iter().map(|path| format!("{} (git ignores it)", shortened(path))).collect();
        edits.retain(|path, _| {
            let keep = !globs::matches(&generated, path) || owned.wants_generated(&generated, path);
            if !keep {
                dropped.push(disk::shown(path));
                if owned.cover(path) || find(&entries, path).is_some() {
                    left_out.push(format!("{} (generated, as [files] generated says)", shortened(path)));
                }
            }
            keep
        });
        if left_out.len() > MOST_LEFT_OUT {
            let more = left_out.len() - MOST_LEFT_OUT;
            left_out.truncate(MOST_LEFT_OUT);
            left_out.push(format!("{more} more"));
        }
        refused.retain(|it| {
            let keep = !globs::matches(&generated, &it.path);
            if !keep {
                dropped.push(disk::shown(&it.path));
            }
            keep
        });
        restore_under_files(&mut edits, &entries, &mut dropped);
        let result = tree::edit(&repo, &mut sink, base_tree, &edits)?;
        sink.finish()?;
        let commit = if result == base_tree {
            None
        } else {
            let id = merge::commit(&repo, result, base_id, options.message, options.author, options.when_s)?;
            land::set_ref(&repo, &format!("refs/p0/attempts/{holder}"), id)?;
            Some(id.to_string())
        };
        if record.generated != options.generated {
            record.generated = options.generated.to_vec();
            slot.write(&record)?;
        }
        let (patch, patch_truncated) = diff(&repo, base_tree, result)?;
        Ok(Harvest {
            commit,
            tree: result.to_string(),
            left_out,
            conflict_markers: markers::introduced(&repo, &edits, &entries, &meant)?,
            changes: changes(&edits, &links, &entries),
            dropped,
            patch,
            patch_truncated,
            untracked_repos: sorted(repositories),
            refused: told(refused),
        })
    }
}

fn nothing(tree: Oid) -> Harvest {
    Harvest {
        commit: None,
        tree: tree.to_string(),
        changes: Vec::new(),
        dropped: Vec::new(),
        left_out: Vec::new(),
        conflict_markers: Vec::new(),
        patch: Vec::new(),
        patch_truncated: false,
        untracked_repos: Vec::new(),
        refused: Vec::new(),
    }
}

/// Work in a submodule is in no commit of this repository, and the commits made there are in none that the person has.
fn submodules(base: &[Entry], edits: &mut Edits, repositories: &mut Vec<Vec<u8>>, refused: &mut Vec<Refused>) {
    let is_submodule = |path: &[u8]| find(base, path).is_some_and(|leaf| leaf.mode == GITLINK);
    let mut inside: Vec<Vec<u8>> = repositories.extract_if(.., |path| is_submodule(path)).collect();
    let moved = edits.iter().filter(|(path, leaf)| leaf.is_some_and(|leaf| leaf.mode == GITLINK) && is_submodule(path));
    inside.extend(moved.map(|(path, _)| path.clone()).collect::<Vec<_>>());
    for path in inside {
        edits.remove(&path);
        refused.push(Refused { path, why: IN_A_SUBMODULE.into() });
    }
}

const IN_A_SUBMODULE: &str = "files or commits were made in a submodule, which belongs to another repository, so they \
                              cannot land here; leave it as it was";

fn sorted(mut paths: Vec<Vec<u8>>) -> Vec<String> {
    paths.sort();
    paths.iter().map(|path| disk::shown(path)).collect()
}

/// The reason comes first: a path that begins so is in nobody's folder, so it is handed back to the agent as one that
/// the ticket does not own.
fn told(mut refused: Vec<Refused>) -> Vec<String> {
    refused.sort_by(|a, b| a.path.cmp(&b.path));
    refused.iter().map(|it| format!("{}: {}", it.why, shortened(&it.path))).collect()
}

/// A path may be as long as the system takes; its two ends say which one it is.
fn shortened(path: &[u8]) -> String {
    if path.len() <= 2 * SHOWN {
        return disk::shown(path);
    }
    format!("{}…{}", disk::shown(&path[..SHOWN]), disk::shown(&path[path.len() - SHOWN..]))
}

/// A generated path whose base version comes back may collide with an addition (`dist` was a folder of generated
/// files and now is a file): the base wins, and the addition is reported as dropped.
fn restore_under_files(edits: &mut Edits, base: &[Entry], dropped: &mut Vec<String>) {
    let collides = |path: &[u8], edits: &Edits| {
        let folder = [path, b"/"].concat();
        let first = base.partition_point(|entry| entry.path < folder);
        let below = base[first..].iter().take_while(|entry| entry.path.starts_with(&folder));
        let inside = below.into_iter().any(|entry| !edits.contains_key(&entry.path));
        let above = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').any(|(at, _)| {
            let parent = &path[..at];
            find(base, parent).is_some() && !edits.contains_key(parent)
        });
        inside || above
    };
    let added = edits.iter().filter(|(path, leaf)| leaf.is_some() && find(base, path).is_none());
    let lost: Vec<Vec<u8>> = added.map(|(path, _)| path.clone()).filter(|path| collides(path, edits)).collect();
    for path in lost {
        edits.remove(&path);
        dropped.push(disk::shown(&path));
    }
}

fn find(base: &[Entry], path: &[u8]) -> Option<Leaf> {
    base.binary_search_by(|entry| entry.path.as_slice().cmp(path)).ok().map(|at| base[at].leaf)
}

fn changes(edits: &Edits, links: &BTreeMap<Vec<u8>, Vec<u8>>, base: &[Entry]) -> Vec<Change> {
    let kind = |path: &[u8], now: Option<Leaf>| match (find(base, path), now) {
        (None, _) => ChangeKind::Added,
        (Some(_), None) => ChangeKind::Deleted,
        (Some(was), Some(now)) if (was.mode ^ now.mode) & 0o170000 != 0 => ChangeKind::TypeChanged,
        (Some(_), Some(_)) => ChangeKind::Modified,
    };
    let change = |(path, now): (&Vec<u8>, &Option<Leaf>)| Change {
        path: disk::shown(path),
        kind: kind(path, *now),
        symlink_escapes: links.get(path).is_some_and(|target| escapes(path, target)),
    };
    edits.iter().map(change).collect()
}

/// Whether a link leads out of the worktree or into `.git`. Links on the way are not followed, so `..` after a name
/// counts as leaving: with a link before it, it may.
fn escapes(link: &[u8], target: &[u8]) -> bool {
    if target.is_empty() || target.starts_with(b"/") {
        return true;
    }
    let depth = link.iter().filter(|byte| **byte == b'/').count();
    let mut up = 0;
    let mut names: Vec<&[u8]> = Vec::new();
    for part in target.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if !names.is_empty() => return true,
            b".." => up += 1,
            name => names.push(name),
        }
    }
    up > depth || (up == depth && names.first().is_some_and(|name| name.eq_ignore_ascii_case(b".git")))
}

/// The unified diff of two trees, and whether it was cut.
fn diff(repo: &Repository, old: Oid, new: Oid) -> Result<(Vec<u8>, bool), Error> {
    let mut out = Vec::new();
    if old == new {
        return Ok((out, false));
    }
    let diff = merge::tree_diff(repo, old, new, &mut DiffOptions::new())?;
    let mut cut = false;
    let printed = diff.print(DiffFormat::Patch, |_, _, line| {
        let origin = line.origin();
        let marked = matches!(origin, '+' | '-' | ' ');
        let length = line.content().len() + usize::from(marked);
        if out.len() + length > PATCH_LIMIT {
            cut = true;
            return false;
        }
        if marked {
            out.push(origin as u8);
        }
        out.extend_from_slice(line.content());
        true
    });
    match printed {
        Err(_) if cut => Ok((out, true)),
        other => other.git("printing a diff", repo.path()).map(|()| (out, false)),
    }
}
