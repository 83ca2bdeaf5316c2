//! The repository a command is about.
use super::{
    place,
    problem::{Kind, Problem},
};
use crate::{
    git::{Error, PersonRepo},
    model::{files::Files, id::CommitId, paths::PathFact},
};
use std::path::{Path, PathBuf};

/// A repository, looked at.
#[derive(Debug, Clone)]
pub(crate) struct Project {
    /// Its root, absolute.
    pub(crate) root: PathBuf,
    /// The commit that is checked out.
    pub(crate) head: CommitId,
    /// The commit to begin at.
    pub(crate) base: CommitId,
    repo: PersonRepo,
}

impl Project {
    /// Whether the base commit has this file.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.repo.has_file(&self.base.0, path).unwrap_or(false)
    }

    /// Makes sure that all files of the base commit are there: those that a partial clone has not got are fetched.
    pub(crate) fn complete(&self) -> Result<(), Problem> {
        self.repo.complete(&self.base.0).map(drop).map_err(bad)
    }

    /// What the base commit has at this path, or else the head of a branch of an earlier run: a run may begin there.
    pub(crate) fn look_up(&self, path: &str) -> InCommit {
        let path = path.trim_start_matches("./");
        let in_commit = |commit: &str| match self.repo.file_mode(commit, path) {
            Ok(Some(0o100_755 | 0o120_000)) => InCommit::Executable,
            Ok(Some(_)) => InCommit::Plain,
            Ok(None) | Err(_) => InCommit::Missing,
        };
        let found = in_commit(&self.base.0);
        if found != InCommit::Missing {
            return found;
        }
        let heads = self.repo.run_heads().unwrap_or_default();
        heads.iter().map(|head| in_commit(head)).find(|found| *found == InCommit::Executable).unwrap_or(found)
    }
}

/// What a commit has at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InCommit {
    /// A file that may be executed, or a link.
    Executable,
    /// Another file.
    Plain,
    /// No file.
    Missing,
}

/// What the tree of a commit (HEAD when there is none) has at the paths of `files`, where that is anything but what their
/// list says. A repository without a commit has nothing.
pub(crate) fn path_facts(root: &Path, commit: Option<&str>, files: &Files) -> Result<Vec<PathFact>, Problem> {
    if files.is_empty() {
        return Ok(Vec::new());
    }
    let repo = match PersonRepo::discover(root) {
        Ok(repo) => repo,
        Err(Error::NoCommits { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(bad(error)),
    };
    let commit = commit.map_or_else(|| repo.head_commit(), |commit| Ok(commit.to_owned())).map_err(bad)?;
    repo.path_facts(&commit, &[files]).map_err(bad)
}

fn bad(error: Error) -> Problem {
    Problem::new(Kind::Config, error)
}

/// The root of the repository around `path`, also of one without a commit.
pub(crate) fn root(path: &Path) -> Result<PathBuf, Problem> {
    let repo = PersonRepo::find(path).map_err(|e| told(path, e))?;
    place::check("the repository", repo.root())?;
    Ok(repo.root().to_path_buf())
}

/// The repository around `path`, and the commit that `base` names (HEAD when there is none).
pub(crate) fn look(path: &Path, base: Option<&str>) -> Result<Project, Problem> {
    let repo = PersonRepo::discover(path).map_err(|e| told(path, e))?;
    place::check("the repository", repo.root())?;
    let root = repo.root().to_path_buf();
    let head = repo.head_commit().map_err(bad)?;
    let base = base.map_or(Ok(head.clone()), |rev| repo.resolve(rev)).map_err(bad)?;
    Ok(Project { root, head: CommitId(head), base: CommitId(base), repo })
}

fn told(path: &Path, error: Error) -> Problem {
    match error {
        Error::NotARepository { .. } => not_a_repository(path),
        other => bad(other),
    }
}

fn not_a_repository(path: &Path) -> Problem {
    Problem::new(Kind::Config, format!("{} is not inside a git repository", path.display()))
        .hint("run `git init` there, or name another folder with --repo")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_repository_and_what_has_no_commit_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let none = look(dir.path(), None).unwrap_err();
        assert!(none.detail.contains("not inside a git repository"));
        git2::Repository::init(dir.path()).unwrap();
        let empty = look(dir.path(), None).unwrap_err();
        assert!(empty.detail.contains("no commit yet"), "{}", empty.detail);
        assert_eq!((none.kind, empty.kind), (Kind::Config, Kind::Config));
        assert_eq!(root(dir.path()).unwrap(), dir.path().canonicalize().unwrap());
    }
}
