//! Landing and parking: the only writes into the person's repository, objects first, then one ref.
use super::{
    checkouts::{self, Checkout},
    disk,
    error::{Error, GitContext},
    handle, objects,
    repository::ProjectRepository,
};
use git2::{ErrorCode, Oid, Repository};
use std::{
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

/// How often a locked ref is tried again, and after how long.
const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(50);

/// What came of a landing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Landing {
    /// The branch moved from the expected parent to the commit.
    Landed,
    /// The commit was in the branch already.
    Already,
    /// The branch is checked out somewhere. The commit landed.
    CheckedOut {
        /// The root of that working tree.
        place: PathBuf,
        /// Why the branch was not moved there, and the ref that has the commit instead; none when the checkout was
        /// fast-forwarded together with the branch.
        aside: Option<(String, String)>,
    },
    /// The branch is elsewhere; nothing was done.
    Moved {
        /// Where it is; none when it is gone.
        found: Option<String>,
    },
}

impl ProjectRepository {
    /// Lands a commit of the project repository: copies what the person's repository is missing, durably, then moves the branch
    /// (`p0/<run>/main`) from `expected_parent` to `new`, if it still is there.
    ///
    /// A branch that is checked out in a working tree of the person's is not moved under it: the checkout is
    /// fast-forwarded with it where nothing is in the way, else the commit is kept under `refs/p0/aside/<run>/main`, which
    /// counts as the branch until that can follow.
    pub fn land(&self, branch: &str, new: &str, expected_parent: &str) -> Result<Landing, Error> {
        let name = branch_ref(branch)?;
        let (repository, person) = (self.repo()?, self.person_repo()?);
        let new = handle::commit_id(new, repository.path())?;
        let expected = handle::commit_id(expected_parent, repository.path())?;
        let (found, aside) = (read_ref(&person, &name)?, Aside::read(&person, branch)?);
        for (head, name) in [(found, &name), (aside.at, &aside.name)] {
            if let Some(head) = head
                && contains(&person, head, new)?
            {
                // The first try may have died between the move and the sync.
                sync_ref(&person, name)?;
                return Ok(Landing::Already);
            }
        }
        let ahead = match (found, aside.at) {
            (Some(found), Some(at)) => !contains(&person, found, at)?,
            _ => false,
        };
        let checkouts = checkouts::of_branch(&self.person, &name);
        // Commits that the person made on the checked-out branch are on top of what landed, and in nobody's way.
        let grown = match found {
            Some(head) if !checkouts.is_empty() && !ahead => contains(&person, head, expected)?,
            _ => false,
        };
        let head = if ahead { aside.at } else { found };
        if head != Some(expected) && !grown {
            return Ok(Landing::Moved { found: head.map(|id| id.to_string()) });
        }
        objects::copy(&repository, &person, new)?;
        if ahead || !checkouts.is_empty() {
            return self.land_beside(&person, &name, &aside, &checkouts, new);
        }
        match patiently(|| person.reference_matching(&name, new, true, expected, "")) {
            Ok(_) => {}
            Err(error) if matches!(error.code(), ErrorCode::Modified | ErrorCode::NotFound) => {
                return Ok(Landing::Moved { found: read_ref(&person, &name)?.map(|id| id.to_string()) });
            }
            Err(error) => return Err(error).git(format!("moving {name}"), person.path()),
        }
        sync_ref(&person, &name)?;
        aside.forget(&person)?;
        Ok(Landing::Landed)
    }

    /// Lands where the branch is checked out, or was and has not followed yet.
    fn land_beside(
        &self,
        person: &Repository,
        name: &str,
        aside: &Aside,
        checkouts: &[Checkout],
        new: Oid,
    ) -> Result<Landing, Error> {
        let found = read_ref(person, name)?;
        let follows = match found {
            Some(found) => contains(person, new, found)?,
            None => false,
        };
        let place = checkouts.first().map_or_else(|| self.person.root().to_path_buf(), |found| found.root.clone());
        let why = match (checkouts, found) {
            (_, Some(_)) if !follows => "it has commits of its own".to_owned(),
            ([], Some(found)) => match patiently(|| person.reference_matching(name, new, true, found, "")) {
                Ok(_) => {
                    sync_ref(person, name)?;
                    aside.forget(person)?;
                    return Ok(Landing::Landed);
                }
                Err(error) => error.message().to_owned(),
            },
            ([one], _) => match checkouts::fast_forward(one, &new.to_string())? {
                None => {
                    sync_ref(person, name)?;
                    aside.forget(person)?;
                    return Ok(Landing::CheckedOut { place, aside: None });
                }
                Some(why) => why,
            },
            ([], None) => "it is gone".to_owned(),
            ([_, _, ..], _) => "several working trees have it".to_owned(),
        };
        set_ref(person, &aside.name, new)?;
        Ok(Landing::CheckedOut { place, aside: Some((why, aside.name.clone())) })
    }

    /// Lets the branch of a run that is over follow what was landed beside it, where it can by now.
    pub(super) fn catch_up(&self, branch: &str) -> Result<(), Error> {
        let name = branch_ref(branch)?;
        let person = self.person_repo()?;
        let aside = Aside::read(&person, branch)?;
        let (Some(at), Some(found)) = (aside.at, read_ref(&person, &name)?) else { return Ok(()) };
        if contains(&person, found, at)? {
            return aside.forget(&person);
        }
        let checkouts = checkouts::of_branch(&self.person, &name);
        self.land_beside(&person, &name, &aside, &checkouts, at).map(drop)
    }

    /// Keeps a commit in the person's repository under `refs/p0/parked/<holder>`, and gives that name.
    pub fn park(&self, holder: &str, commit: &str) -> Result<String, Error> {
        handle::check_name("holder", holder)?;
        let (repository, person) = (self.repo()?, self.person_repo()?);
        let commit = handle::commit_id(commit, repository.path())?;
        objects::copy(&repository, &person, commit)?;
        let name = format!("refs/p0/parked/{holder}");
        set_ref(&person, &name, commit)?;
        Ok(name)
    }
}

/// What landed and is not in the branch, because that was checked out.
struct Aside {
    name: String,
    at: Option<Oid>,
}

impl Aside {
    fn read(person: &Repository, branch: &str) -> Result<Aside, Error> {
        let name = format!("refs/p0/aside/{}", branch.trim_start_matches("p0/"));
        Ok(Aside { at: read_ref(person, &name)?, name })
    }

    /// Removes the ref, once the branch has it all.
    fn forget(&self, person: &Repository) -> Result<(), Error> {
        if self.at.is_none() {
            return Ok(());
        }
        match person.find_reference(&self.name) {
            Ok(mut found) => patiently(|| found.delete()).git(format!("deleting {}", self.name), person.path()),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(()),
            Err(error) => Err(error).git(format!("reading {}", self.name), person.path()),
        }
    }
}

/// The full name of a branch of ours; anything else of the person's is out of bounds.
fn branch_ref(branch: &str) -> Result<String, Error> {
    let mut parts = branch.split('/');
    let bad = || Error::BadName { what: "p0 branch (p0/<run>/<name>)", name: branch.into() };
    if parts.next() != Some("p0") || branch.matches('/').count() < 2 {
        return Err(bad());
    }
    for part in parts {
        handle::check_name("p0 branch", part)?;
    }
    Ok(format!("refs/heads/{branch}"))
}

/// Where a ref points; none when it does not exist.
pub(super) fn read_ref(repo: &Repository, name: &str) -> Result<Option<Oid>, Error> {
    match repo.refname_to_id(name) {
        Ok(id) => Ok(Some(id)),
        Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
        Err(error) => Err(error).git(format!("reading {name}"), repo.path()),
    }
}

/// Points one of our own refs at a commit, durably.
pub(super) fn set_ref(repo: &Repository, name: &str, id: Oid) -> Result<(), Error> {
    if read_ref(repo, name)? != Some(id) {
        patiently(|| repo.reference(name, id, true, "")).map_err(|error| in_the_way(repo, name, error))?;
    }
    sync_ref(repo, name)
}

/// Tries again while the person's git holds the lock of a ref for a moment (`git gc` packs all refs).
pub(super) fn patiently<T>(mut write: impl FnMut() -> Result<T, git2::Error>) -> Result<T, git2::Error> {
    for _ in 0..LOCK_TRIES {
        match write() {
            Err(error) if error.code() == ErrorCode::Locked => std::thread::sleep(LOCK_PAUSE),
            other => return other,
        }
    }
    write()
}

/// Removes the locks a killed process of ours left on refs of ours, seen to stand still first: a living git holds one
/// for moments. Only for the one process that holds the engine's lock, before it begins.
pub(super) fn break_stale_locks(git_dir: &Path) -> Result<(), Error> {
    let mut locks = Vec::new();
    for part in ["refs/heads/p0", "refs/p0"] {
        list_locks(&git_dir.join(part), &mut locks);
    }
    for _ in 0..LOCK_TRIES {
        if locks.is_empty() {
            return Ok(());
        }
        std::thread::sleep(LOCK_PAUSE);
        locks.retain(|(path, inode)| inode_of(path) == Some(*inode));
    }
    for (path, _) in locks {
        disk::remove_any(&path)?;
    }
    Ok(())
}

fn inode_of(path: &Path) -> Option<u64> {
    std::fs::symlink_metadata(path).ok().map(|meta| meta.ino())
}

fn list_locks(dir: &Path, out: &mut Vec<(PathBuf, u64)>) {
    let Ok(list) = std::fs::read_dir(dir) else { return };
    for path in list.flatten().map(|entry| entry.path()) {
        if path.extension().is_some_and(|extension| extension == "lock") {
            out.extend(inode_of(&path).map(|inode| (path, inode)));
        } else if path.is_dir() && !path.is_symlink() {
            list_locks(&path, out);
        }
    }
}

/// Why a ref could not be made: the person may have a branch called `p0`, or git failed.
pub(super) fn in_the_way(repo: &Repository, name: &str, source: git2::Error) -> Error {
    let mut above = name;
    while let Some(at) = above.rfind('/') {
        above = &above[..at];
        if repo.find_reference(above).is_ok() {
            return Error::RefInTheWay { name: name.into(), path: repo.path().into(), in_its_way: above.into() };
        }
    }
    Error::Git { doing: format!("writing {name}"), path: repo.path().into(), source }
}

/// Makes a ref that was just written durable: libgit2 synced the file; the folders up to `refs` may be new.
pub(super) fn sync_ref(repo: &Repository, name: &str) -> Result<(), Error> {
    let mut dir = repo.commondir().join(name);
    while dir.pop() && dir != repo.commondir() {
        disk::sync_dir(&dir)?;
    }
    Ok(())
}

/// Whether `commit` is `head` or an ancestor of it.
pub(super) fn contains(repo: &Repository, head: Oid, commit: Oid) -> Result<bool, Error> {
    if head == commit {
        return Ok(true);
    }
    if repo.find_commit(commit).is_err() {
        return Ok(false);
    }
    repo.graph_descendant_of(head, commit).git(format!("looking for {commit} below {head}"), repo.path())
}
