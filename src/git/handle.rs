//! Opening repositories with the engine's configuration and no other.
use super::error::{Error, GitContext, IoContext};
use git2::{Config, ConfigLevel, ErrorCode, Oid, Repository};
use std::path::{Path, PathBuf};

/// What every handle of the engine runs with, instead of the person's, the system's or the agent's configuration:
/// objects and refs are synced before they are named, no reflog is begun, no filter and no outside ignore file
/// applies, and names that only other file systems find odd pass.
pub(super) const ENGINE_CONFIG: &str = "[core]
\trepositoryformatversion = 0
\tbare = true
\tfilemode = true
\tsymlinks = true
\tignorecase = false
\tfsyncObjectFiles = true
\tlogAllRefUpdates = false
\tautocrlf = false
\texcludesFile = /dev/null
\tattributesFile = /dev/null
\tprotectHFS = false
\tprotectNTFS = false
";

/// Opens the repository in `git_dir` as a bare one, with the configuration in `config` alone.
pub(super) fn open(git_dir: &Path, config: &Path) -> Result<Repository, Error> {
    // Whose repository it is was asked when it was found (`PersonRepo::find`).
    let repo = Repository::open_bare(git_dir).map_err(|source| opening(source, git_dir))?;
    let mut only = Config::new().git("making a configuration", git_dir)?;
    only.add_file(config, ConfigLevel::Local, true).git("reading the engine's configuration", config)?;
    repo.set_config(&only).git("setting the engine's configuration", git_dir)?;
    Ok(repo)
}

/// How libgit2 begins what it says of a repository whose form it does not know.
const UNKNOWN_EXTENSION: &str = "unsupported extension name";

/// What a failure to open says to a person.
pub(super) fn opening(source: git2::Error, path: &Path) -> Error {
    match source.code() {
        ErrorCode::NotFound => Error::NotARepository { path: path.into() },
        ErrorCode::Owner => Error::ForeignOwner { path: path.into() },
        _ if source.message().starts_with(UNKNOWN_EXTENSION) => {
            let name = source.message().trim_start_matches(UNKNOWN_EXTENSION).trim();
            let (extension, mend) = match name.to_ascii_lowercase().as_str() {
                "extensions.refstorage" => (
                    "the reftable format for its refs".to_owned(),
                    "change it with `git refs migrate --ref-format=files`, or clone it with `git clone --ref-format=files`",
                ),
                "extensions.partialclone" => (
                    "an old setting for partial clones".to_owned(),
                    "`git config --unset extensions.partialClone` removes it; remote.<name>.promisor = true says the same",
                ),
                _ => (name.to_owned(), "clone it without that extension"),
            };
            Error::Extension { path: path.into(), extension, mend }
        }
        _ => Error::Git { doing: "opening the repository".into(), path: path.into(), source },
    }
}

/// A commit id as written in events.
pub(super) fn commit_id(hex: &str, path: &Path) -> Result<Oid, Error> {
    let unknown = || Error::UnknownRevision { rev: hex.into(), path: path.into() };
    if hex.len() != 40 {
        return Err(unknown());
    }
    Oid::from_str(hex).map_err(|_| unknown())
}

/// The tree of a commit.
pub(super) fn tree_of(repo: &Repository, commit: Oid) -> Result<Oid, Error> {
    match repo.find_commit(commit) {
        Ok(commit) => Ok(commit.tree_id()),
        Err(error) if error.code() == ErrorCode::NotFound => {
            Err(Error::UnknownRevision { rev: commit.to_string(), path: repo.path().into() })
        }
        Err(error) => Err(error).git(format!("reading commit {commit}"), repo.path()),
    }
}

/// The object folders a repository borrows from, itself included, absolute and flat: git does not follow a relative
/// path in the alternates of an alternate.
pub(super) fn object_dirs(objects: &Path) -> Result<Vec<PathBuf>, Error> {
    let mut found = vec![objects.canonicalize().io("looking at", objects)?];
    let mut next = 0;
    while next < found.len() {
        let dir = found[next].clone();
        next += 1;
        let Ok(list) = std::fs::read_to_string(dir.join("info/alternates")) else { continue };
        for line in list.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            // A missing alternate is git's to complain about, when an object is missed.
            let Ok(path) = dir.join(line).canonicalize() else { continue };
            if !found.contains(&path) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// Whether a name can stand in a ref and in a file name.
pub(super) fn check_name<'n>(what: &'static str, name: &'n str) -> Result<&'n str, Error> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let ends = !name.starts_with(['.', '-']) && !name.ends_with('.') && !name.ends_with(".lock");
    if name.is_empty() || name.len() > 128 || !name.chars().all(plain) || !ends || name.contains("..") {
        return Err(Error::BadName { what, name: name.into() });
    }
    Ok(name)
}
