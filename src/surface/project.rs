//! The repository a command is about.
use super::error::{Kind, Problem};
use crate::{
    effects::git::{Error, PersonRepo},
    model::id::CommitId,
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
        self.repo.read_file(&self.base.0, path).is_ok_and(|found| found.is_some())
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

/// The root of the repository around `path`, also of one without a commit.
pub(crate) fn root(path: &Path) -> Result<PathBuf, Problem> {
    let repo = git2::Repository::discover(path).map_err(|_| not_a_repository(path))?;
    let root = repo.workdir().unwrap_or_else(|| repo.path());
    root.canonicalize().map_err(|e| Problem::io("looking at", root, &e))
}

/// The repository around `path`, and the commit that `base` names (HEAD when there is none).
pub(crate) fn look(path: &Path, base: Option<&str>) -> Result<Project, Problem> {
    let repo = PersonRepo::discover(path).map_err(|e| match e {
        Error::NotARepository { .. } => not_a_repository(path),
        other => Problem::new(Kind::Config, other.to_string()),
    })?;
    let bad = |e: Error| Problem::new(Kind::Config, e.to_string());
    let root = repo.root().canonicalize().map_err(|e| Problem::io("looking at", repo.root(), &e))?;
    let head = repo.head_commit().map_err(bad)?;
    let base = base.map_or(Ok(head.clone()), |rev| repo.resolve(rev)).map_err(bad)?;
    Ok(Project { root, head: CommitId(head), base: CommitId(base), repo })
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
