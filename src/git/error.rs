//! What can go wrong with git, each with its object and what to do about it.
use crate::system::shortage::Shortage;
use git2::ErrorClass;
use std::path::{Path, PathBuf};

/// An operation on a repository or a worktree failed. Nothing was left half done that the same call would not mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No repository at this path or above it.
    #[error("{} is not inside a git repository: run `git init` there, or name another folder", path.display())]
    NotARepository {
        /// Where the search began.
        path: PathBuf,
    },
    /// The repository's HEAD has no commit yet.
    #[error("the repository {} has no commit yet: make a first commit, p0 needs one to start from", path.display())]
    NoCommits {
        /// The repository's root.
        path: PathBuf,
    },
    /// The repository names its objects with SHA-256.
    #[error(
        "the repository {} uses the sha256 object format, which p0 cannot work with: use a repository with sha1 objects",
        path.display()
    )]
    Sha256 {
        /// The repository's git directory.
        path: PathBuf,
    },
    /// The repository is kept in a form that libgit2 does not know.
    #[error("the repository {} uses {extension}, which p0 cannot read: {mend}", path.display())]
    Extension {
        /// The repository.
        path: PathBuf,
        /// What it uses.
        extension: String,
        /// What to do.
        mend: &'static str,
    },
    /// git refuses a repository that belongs to another user.
    #[error(
        "the repository {} belongs to another user: run p0 as its owner, or `git config --global --add safe.directory {}`",
        path.display(), path.display()
    )]
    ForeignOwner {
        /// The repository's root.
        path: PathBuf,
    },
    /// git is not installed.
    #[error("git is not installed, or not on PATH: install it, p0 needs it for this repository")]
    NoGit,
    /// The person's git did not do something.
    #[error("{doing} in {}: git says: {said}", path.display())]
    GitSaid {
        /// What was being done.
        doing: String,
        /// Where.
        path: PathBuf,
        /// What git printed.
        said: String,
    },
    /// Objects of a partial clone cannot be had.
    #[error(
        "the repository {} is a partial clone, {count} objects of commit {commit} are missing, and `git fetch` from \
         '{remote}' did not bring them: {said}; make '{remote}' reachable, or fetch them yourself with \
         `git fetch --refetch --no-filter {remote}`",
        path.display()
    )]
    MissingObjects {
        /// The repository's root.
        path: PathBuf,
        /// For which commit.
        commit: String,
        /// How many.
        count: usize,
        /// The promisor remote.
        remote: String,
        /// What git printed.
        said: String,
    },
    /// git cannot make files of a commit as a checkout would give them.
    #[error(
        "the files of commit {commit} cannot be checked out as .gitattributes and the git configuration say: {said}; \
         `git checkout` fails in the same way: put the filter or the setting in order"
    )]
    Conversion {
        /// The commit.
        commit: String,
        /// What git printed.
        said: String,
    },
    /// A revision names no commit here.
    #[error("`{rev}` is not a commit in {}: name a branch, a tag or a commit id that exists there", path.display())]
    UnknownRevision {
        /// What was asked for.
        rev: String,
        /// The repository it was looked up in.
        path: PathBuf,
    },
    /// A run, holder or branch name cannot be used in a ref or a file name.
    #[error(
        "`{name}` cannot be the name of a {what}: use letters, digits, `.`, `_` and `-`, not beginning with `.` or `-`"
    )]
    BadName {
        /// Which kind of name.
        what: &'static str,
        /// The name as given.
        name: String,
    },
    /// A ref cannot be made because the person's own ref stands where its folder should be.
    #[error(
        "cannot create {name} in {}: {in_its_way} is in its way; rename that branch, p0 never touches it",
        path.display()
    )]
    RefInTheWay {
        /// The ref to be written.
        name: String,
        /// The person's git directory.
        path: PathBuf,
        /// The person's ref.
        in_its_way: String,
    },
    /// The holder has no worktree.
    #[error("{holder} has no worktree in {}: check one out first", project.display())]
    NoWorktree {
        /// Whose worktree was asked for.
        holder: String,
        /// The project repository.
        project: PathBuf,
    },
    /// The worktree was being prepared when the process died; nobody has worked in it yet.
    #[error("the worktree of {holder} at {} was never ready: call checkout again to finish it", path.display())]
    NotReady {
        /// Whose worktree it is.
        holder: String,
        /// The worktree.
        path: PathBuf,
    },
    /// The holder already has a worktree made for another commit; moving it could destroy work.
    #[error(
        "{holder} already holds {} for commit {has}, not {wanted}: harvest and release it first, or use checkout_fresh",
        path.display()
    )]
    HeldElsewhere {
        /// Whose worktree it is.
        holder: String,
        /// The worktree.
        path: PathBuf,
        /// The commit it was taken for.
        has: String,
        /// The commit asked for now.
        wanted: String,
    },
    /// A worktree holds content nobody has kept; it is not given back.
    #[error(
        "the worktree of {holder} at {} is kept: {why} ({}); harvest and park it, then release it with that commit",
        path.display(), paths.join(", ")
    )]
    WorkNotSafe {
        /// Whose worktree it is.
        holder: String,
        /// The worktree.
        path: PathBuf,
        /// What is not proven.
        why: String,
        /// The first paths with content that is not kept.
        paths: Vec<String>,
    },
    /// A `generated` pattern cannot be read.
    #[error("`{pattern}` in [files] generated is not a pattern: {detail}; write a path, a folder/ or a glob")]
    BadPattern {
        /// The pattern as given.
        pattern: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The engine's record of a worktree cannot be read.
    #[error("{} is not a worktree record: {detail}; move it aside once the worktree's content is saved", path.display())]
    BadRecord {
        /// The record's file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// git itself failed.
    #[error("{doing} in {}: {}", path.display(), source.message())]
    Git {
        /// What was being done.
        doing: String,
        /// The repository.
        path: PathBuf,
        /// What git said.
        source: git2::Error,
    },
    /// The file system failed.
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl Error {
    /// What the system has run out of, if this came of that.
    pub fn shortage(&self) -> Option<Shortage> {
        match self {
            Error::Io { source, .. } => Shortage::of(source),
            // libgit2 adds the system's words to the errors of this class, and to no others.
            Error::Git { source, .. } if source.class() == ErrorClass::Os => shortage_in_words(source.message()),
            Error::GitSaid { said, .. } | Error::MissingObjects { said, .. } | Error::Conversion { said, .. } => {
                shortage_in_words(said)
            }
            Error::Git { .. }
            | Error::NotARepository { .. }
            | Error::NoCommits { .. }
            | Error::Sha256 { .. }
            | Error::Extension { .. }
            | Error::ForeignOwner { .. }
            | Error::NoGit
            | Error::UnknownRevision { .. }
            | Error::BadName { .. }
            | Error::RefInTheWay { .. }
            | Error::NoWorktree { .. }
            | Error::NotReady { .. }
            | Error::HeldElsewhere { .. }
            | Error::WorkNotSafe { .. }
            | Error::BadPattern { .. }
            | Error::BadRecord { .. } => None,
        }
    }
}

/// What the words of an error say is used up. libgit2 keeps no error number, and the git program is another process: both
/// give only what `strerror` calls the error, which is English there (`LC_ALL=C`, and p0 sets no locale).
fn shortage_in_words(said: &str) -> Option<Shortage> {
    const DISK: [&str; 3] = ["No space left on device", "Disk quota exceeded", "File too large"];
    // Also of the system: its words for that begin so.
    const OPEN_FILES: &str = "Too many open files";
    if DISK.iter().any(|words| said.contains(words)) {
        return Some(Shortage::Disk);
    }
    said.contains(OPEN_FILES).then_some(Shortage::OpenFiles)
}

/// Puts the object and the path beside what libgit2 said.
pub(super) trait GitContext<T> {
    /// Names what was being done and in which repository.
    fn git(self, doing: impl Into<String>, path: &Path) -> Result<T, Error>;
}

impl<T> GitContext<T> for Result<T, git2::Error> {
    fn git(self, doing: impl Into<String>, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Git { doing: doing.into(), path: path.into(), source })
    }
}

/// Puts the file beside what the system said.
pub(super) trait IoContext<T> {
    /// Names what was being done to which file.
    fn io(self, doing: &'static str, path: &Path) -> Result<T, Error>;
}

impl<T> IoContext<T> for Result<T, std::io::Error> {
    fn io(self, doing: &'static str, path: &Path) -> Result<T, Error> {
        self.map_err(|source| Error::Io { doing, path: path.into(), source })
    }
}
