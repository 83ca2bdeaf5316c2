//! The person's repository. Read only: landings and parked work enter it through `land`, nothing else does.
use super::{
    error::{Error, GitContext, IoContext},
    facts, handle,
    plumbing::{self, Git},
};
use crate::model::{files::Files, paths::PathFact};
use git2::{Config, ErrorCode, ObjectType, Repository, RepositoryOpenFlags, StatusOptions};
use std::{
    path::{Path, PathBuf},
    process::Output,
};

/// Who signs a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `user.name`.
    pub name: String,
    /// `user.email`.
    pub email: String,
}

impl Identity {
    /// The identity of commits when the person has configured none.
    pub fn fallback() -> Identity {
        Identity { name: "p0".into(), email: "p0@localhost".into() }
    }
}

/// A repository that belongs to a person: where it is, and what can be read from it.
#[derive(Debug, Clone)]
pub struct PersonRepo {
    root: PathBuf,
    /// The git directory of this working tree: of a linked worktree its own.
    own_dir: PathBuf,
    common_dir: PathBuf,
    bare: bool,
}

impl PersonRepo {
    /// Finds the repository `path` is in. Refuses one without a commit and one with sha256 objects.
    pub fn discover(path: &Path) -> Result<PersonRepo, Error> {
        let found = PersonRepo::find(path)?;
        match found.open()?.head() {
            Ok(_) => Ok(found),
            Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => {
                Err(Error::NoCommits { path: found.root })
            }
            Err(error) => Err(error).git("reading HEAD", &found.root),
        }
    }

    /// The same, also of a repository without a commit. Found as git finds it: the working tree is where the `.git` that
    /// leads to the repository stands, wherever that leads (`git init --separate-git-dir`). Another user's repository is
    /// taken when git takes it (`safe.directory`).
    pub fn find(path: &Path) -> Result<PersonRepo, Error> {
        let no_ceilings: [&Path; 0] = [];
        let git_dir = Repository::discover_path(path, no_ceilings).map_err(|source| handle::opening(source, path))?;
        refuse_sha256(&git_dir)?;
        let repo = match Repository::open_ext(path, RepositoryOpenFlags::empty(), no_ceilings) {
            Ok(repo) => repo,
            Err(error) if error.code() == ErrorCode::Owner => return PersonRepo::ask_git(path),
            Err(error) => return Err(handle::opening(error, &git_dir)),
        };
        let root = repo.workdir().unwrap_or_else(|| repo.path());
        PersonRepo::at(root, repo.path(), repo.commondir(), repo.is_bare())
    }

    fn at(root: &Path, own_dir: &Path, common_dir: &Path, bare: bool) -> Result<PersonRepo, Error> {
        let real = |path: &Path| path.canonicalize().io("looking at", path);
        Ok(PersonRepo { root: real(root)?, own_dir: real(own_dir)?, common_dir: real(common_dir)?, bare })
    }

    /// Another user's repository. git is asked, because its rules about whom to trust are its own: `safe.directory` in
    /// the system's, the person's and the environment's configuration, with `*`, folders and prefixes.
    fn ask_git(path: &Path) -> Result<PersonRepo, Error> {
        let output = Git::new(path, &["rev-parse", "--is-bare-repository", "--absolute-git-dir"]).output()?;
        if !output.status.success() {
            return Err(refused_owner(path, &output));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let mut lines = text.lines();
        let bare = lines.next() == Some("true");
        let own_dir = PathBuf::from(lines.next().unwrap_or_default());
        let common_dir = match std::fs::read_to_string(own_dir.join("commondir")) {
            Ok(relative) => own_dir.join(relative.trim_end()),
            Err(_) => own_dir.clone(),
        };
        if bare {
            return PersonRepo::at(&own_dir, &own_dir, &common_dir, true);
        }
        let root = Git::new(path, &["rev-parse", "--show-toplevel"]).run("finding the working tree")?;
        let root = PathBuf::from(String::from_utf8_lossy(&root).trim_end_matches('\n'));
        PersonRepo::at(&root, &own_dir, &common_dir, false)
    }

    /// The root of the working tree, or the bare repository itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The git directory all worktrees of the repository share.
    pub fn git_dir(&self) -> &Path {
        &self.common_dir
    }

    /// The git directory of this working tree alone: of a linked worktree its own.
    pub(super) fn own_dir(&self) -> &Path {
        &self.own_dir
    }

    /// Whether there is no working tree.
    pub fn is_bare(&self) -> bool {
        self.bare
    }

    /// The commit that is checked out, also when HEAD is detached.
    pub fn head_commit(&self) -> Result<String, Error> {
        self.resolve("HEAD")
    }

    /// The commit a branch, tag, id or revision expression names.
    pub fn resolve(&self, rev: &str) -> Result<String, Error> {
        let unknown = |_| Error::UnknownRevision { rev: rev.into(), path: self.root.clone() };
        let repo = self.open()?;
        let commit = repo.revparse_single(rev).map_err(unknown)?.peel_to_commit().map_err(unknown)?;
        Ok(commit.id().to_string())
    }

    /// Who the person is to git, or [`Identity::fallback`].
    pub fn identity(&self) -> Result<Identity, Error> {
        let config = self.open()?.config().git("reading the configuration", &self.root)?;
        let get = |key| config.get_string(key).ok().filter(|value| !value.trim().is_empty());
        Ok(match (get("user.name"), get("user.email")) {
            (Some(name), Some(email)) => Identity { name, email },
            _ => Identity::fallback(),
        })
    }

    /// Whether the working tree or the index differs from HEAD, untracked files included. A bare one never does.
    pub fn is_dirty(&self) -> Result<bool, Error> {
        if self.bare {
            return Ok(false);
        }
        let mut options = StatusOptions::new();
        options.include_untracked(true).include_ignored(false).update_index(false);
        let repo = self.open()?;
        let statuses = repo.statuses(Some(&mut options)).git("reading the status", &self.root)?;
        Ok(!statuses.is_empty())
    }

    /// A file's content in a commit; none when the commit has no such file.
    pub fn read_file(&self, commit: &str, path: &str) -> Result<Option<Vec<u8>>, Error> {
        let repo = self.open()?;
        let tree = handle::tree_of(&repo, handle::commit_id(commit, &self.root)?)?;
        let tree = repo.find_tree(tree).git("reading a tree", &self.root)?;
        match tree.get_path(Path::new(path)) {
            Ok(entry) => Ok(repo.find_blob(entry.id()).ok().map(|blob| blob.content().to_vec())),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error).git(format!("reading {path} of {commit}"), &self.root),
        }
    }

    /// The mode of a file (or link) in a commit; none when the commit has no such file.
    pub fn file_mode(&self, commit: &str, path: &str) -> Result<Option<i32>, Error> {
        let repo = self.open()?;
        let tree = handle::tree_of(&repo, handle::commit_id(commit, &self.root)?)?;
        let tree = repo.find_tree(tree).git("reading a tree", &self.root)?;
        match tree.get_path(Path::new(path)) {
            Ok(entry) => Ok((entry.kind() == Some(ObjectType::Blob)).then(|| entry.filemode())),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error).git(format!("reading {path} of {commit}"), &self.root),
        }
    }

    /// The heads of the branches that runs landed on, the newest first.
    pub fn run_heads(&self) -> Result<Vec<String>, Error> {
        let repo = self.open()?;
        let found = repo.references_glob("refs/heads/p0/*/main").git("listing the runs' branches", &self.root)?;
        let mut heads: Vec<(String, String)> = found
            .filter_map(|reference| {
                let reference = reference.ok()?;
                Some((reference.name().ok()?.to_owned(), reference.peel_to_commit().ok()?.id().to_string()))
            })
            .collect();
        // Ids of runs are ordered by time.
        heads.sort();
        Ok(heads.into_iter().rev().map(|(_, head)| head).collect())
    }

    /// Whether a commit has a file at this path; its content need not be there.
    pub fn has_file(&self, commit: &str, path: &str) -> Result<bool, Error> {
        Ok(self.file_mode(commit, path)?.is_some())
    }

    /// What the tree of a commit has at the paths of `files`, where that is anything but what their list says.
    pub fn path_facts(&self, commit: &str, files: &[&Files]) -> Result<Vec<PathFact>, Error> {
        let repo = self.open()?;
        let tree = handle::tree_of(&repo, handle::commit_id(commit, &self.root)?)?;
        facts::look_up(&repo, (!self.bare).then_some(&repo), tree, files)
    }

    /// The commit a local branch points to; none when there is no such branch.
    pub fn branch_head(&self, branch: &str) -> Result<Option<String>, Error> {
        let repo = self.open()?;
        match repo.find_reference(&format!("refs/heads/{branch}")) {
            Ok(found) => {
                let commit = found.peel_to_commit().git(format!("reading branch {branch}"), &self.root)?;
                Ok(Some(commit.id().to_string()))
            }
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => Ok(None),
            Err(error) => Err(error).git(format!("reading branch {branch}"), &self.root),
        }
    }

    /// A handle with the person's own configuration, for reading. Whose the repository is was asked when it was found.
    pub(super) fn open(&self) -> Result<Repository, Error> {
        let repo = Repository::open_bare(&self.own_dir).map_err(|source| handle::opening(source, &self.root))?;
        if !self.bare {
            repo.set_workdir(&self.root, false).git("setting the working tree", &self.root)?;
        }
        Ok(repo)
    }
}

/// Why git does not take another user's repository, with its own advice.
fn refused_owner(path: &Path, output: &Output) -> Error {
    let text = String::from_utf8_lossy(&output.stderr);
    let named = text.split_once("repository at '").and_then(|(_, rest)| rest.split_once("'\n"));
    match named {
        Some((named, _)) => Error::ForeignOwner { path: named.into() },
        None => {
            Error::GitSaid { doing: "opening the repository".into(), path: path.into(), said: plumbing::said(output) }
        }
    }
}

/// libgit2 would refuse as well, with words that help nobody.
fn refuse_sha256(git_dir: &Path) -> Result<(), Error> {
    let common = match std::fs::read_to_string(git_dir.join("commondir")) {
        Ok(relative) => git_dir.join(relative.trim_end()),
        Err(_) => git_dir.to_path_buf(),
    };
    let config = Config::open(&common.join("config")).git("reading the configuration", git_dir)?;
    match config.get_string("extensions.objectformat") {
        Ok(format) if !format.eq_ignore_ascii_case("sha1") => Err(Error::Sha256 { path: git_dir.into() }),
        _ => Ok(()),
    }
}
