//! A list of lines under a ref of any repository: each line added is a commit on the one before, so that the list only
//! grows, and a copy of the repository shows when it was shortened.
use super::error::{Error, GitContext};
use git2::{ErrorCode, Oid, Repository, Signature, Time};
use std::path::Path;

/// The file in the commits' trees.
const FILE: &str = "anchors";
/// How often another writer of the same ref is made way for.
const TRIES: u32 = 20;

/// The lines under `name`; none when there is no such ref.
///
/// # Errors
/// There is no repository at `path`, or the ref holds something else.
pub fn read_lines(path: &Path, name: &str) -> Result<String, Error> {
    let repo = open(path)?;
    Ok(tip(&repo, name)?.map(|(_, text)| text).unwrap_or_default())
}

/// Adds a line, unless it is the last one already; `at_s` is the time of the commit in seconds since 1970.
///
/// # Errors
/// There is no repository at `path`, the name cannot be a ref, the ref holds something else, or it cannot be written.
pub fn append_line(path: &Path, name: &str, line: &str, at_s: i64) -> Result<(), Error> {
    let repo = open(path)?;
    for _ in 0..TRIES {
        let before = tip(&repo, name)?;
        let text = before.as_ref().map_or("", |(_, text)| text.as_str());
        if text.lines().next_back() == Some(line) {
            return Ok(());
        }
        let commit = commit(&repo, before.as_ref().map(|(id, _)| *id), &format!("{text}{line}\n"), line, at_s)?;
        let moved = match &before {
            Some((old, _)) => repo.reference_matching(name, commit, true, *old, "p0 audit anchor"),
            None => repo.reference(name, commit, false, "p0 audit anchor"),
        };
        match moved {
            Ok(_) => return Ok(()),
            Err(e) if matches!(e.code(), ErrorCode::Modified | ErrorCode::Exists | ErrorCode::Locked) => {}
            Err(e) => return Err(e).git(format!("moving {name}"), repo.path()),
        }
    }
    Err(git2::Error::from_str("somebody else keeps writing it")).git(format!("moving {name}"), repo.path())
}

fn open(path: &Path) -> Result<Repository, Error> {
    Repository::discover(path).map_err(|source| super::handle::opening(source, path))
}

fn tip(repo: &Repository, name: &str) -> Result<Option<(Oid, String)>, Error> {
    let reference = match repo.find_reference(name) {
        Ok(reference) => reference,
        Err(e) if e.code() == ErrorCode::NotFound => return Ok(None),
        Err(e) => return Err(e).git(format!("reading {name}"), repo.path()),
    };
    let read = || -> Result<(Oid, String), git2::Error> {
        let commit = reference.peel_to_commit()?;
        let blob = commit.tree()?.get_path(Path::new(FILE))?.to_object(repo)?.peel_to_blob()?;
        Ok((commit.id(), String::from_utf8_lossy(blob.content()).into_owned()))
    };
    read().map(Some).git(format!("reading the file '{FILE}' at {name}, which should hold nothing else"), repo.path())
}

fn commit(repo: &Repository, parent: Option<Oid>, text: &str, line: &str, at_s: i64) -> Result<Oid, Error> {
    let write = || -> Result<Oid, git2::Error> {
        let mut tree = repo.treebuilder(None)?;
        tree.insert(FILE, repo.blob(text.as_bytes())?, 0o100_644)?;
        let tree = repo.find_tree(tree.write()?)?;
        let fallback = super::Identity::fallback();
        let (name, email) = match repo.signature() {
            Ok(own) => (own.name().map(str::to_owned), own.email().map(str::to_owned)),
            Err(_) => (Ok(fallback.name.clone()), Ok(fallback.email.clone())),
        };
        let (name, email) = (name.unwrap_or(fallback.name), email.unwrap_or(fallback.email));
        let who = Signature::new(&name, &email, &Time::new(at_s, 0))?;
        let parent = parent.map(|id| repo.find_commit(id)).transpose()?;
        repo.commit(None, &who, &who, &format!("anchor {line}\n"), &tree, &parent.iter().collect::<Vec<_>>())
    };
    write().git("writing an anchor", repo.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_and_never_changed() {
        let dir = tempfile::tempdir().unwrap();
        Repository::init(dir.path()).unwrap();
        let name = "refs/p0/anchors";
        assert_eq!(read_lines(dir.path(), name).unwrap(), "");
        for line in ["3 aa", "3 aa", "9 bb"] {
            append_line(dir.path(), name, line, 5).unwrap();
        }
        assert_eq!(read_lines(dir.path(), name).unwrap(), "3 aa\n9 bb\n");
        let repo = Repository::open(dir.path()).unwrap();
        let tip = repo.find_reference(name).unwrap().peel_to_commit().unwrap();
        assert_eq!(tip.parent_count(), 1);
        assert_eq!(tip.parent(0).unwrap().parent_count(), 0);
        assert!(append_line(dir.path(), "no ref", "x", 5).is_err());
        assert!(read_lines(&dir.path().join("nowhere"), name).is_err());
    }
}
