//! Why an effect could not be carried out.
use crate::{
    engine::error::{BoxError, ReadError},
    git,
    journal::{self, AppendError},
    model::id::{AgentName, RoleName},
    process,
    system::shortage::Shortage,
};
use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::task::JoinError;

/// Why an effect could not be carried out, by its cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A repository or a worktree.
    #[error(transparent)]
    Git(#[from] git::Error),
    /// A supervisor or its records.
    #[error(transparent)]
    Process(#[from] process::Error),
    /// The log, or what it names, cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A blob cannot be written.
    #[error(transparent)]
    Blob(#[from] journal::Error),
    /// The log takes nothing for now.
    #[error(transparent)]
    Log(#[from] Arc<AppendError>),
    /// A file or a folder.
    #[error("{}{}: {source}", doing.map(|doing| format!("{doing} ")).unwrap_or_default(), path.display())]
    Io {
        /// What was being done, as a verb phrase; `None` where the path says enough.
        doing: Option<&'static str>,
        path: PathBuf,
        source: io::Error,
    },
    /// A value of ours that has no JSON form.
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    /// What the state named is not there.
    #[error("{0}")]
    Gone(Gone),
    /// It must not be done.
    #[error("{0}")]
    Refused(Refusal),
    /// The variables of the agent cannot be had.
    #[error(transparent)]
    AgentEnv(#[from] BoxError),
    /// The work panicked.
    #[error(transparent)]
    Panicked(#[from] JoinError),
}

/// What is not there.
#[derive(Debug)]
pub(super) enum Gone {
    /// The project's repository, at this path.
    Repository(String),
    /// The run of an attempt.
    Run,
    /// The commit of an attempt.
    Commit,
    /// The home of an attempt.
    Home,
    /// The adapter of an agent.
    Adapter,
    /// An agent's table.
    Agent(AgentName),
}

/// What must not be done, and why.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The agent would use tools without a sandbox and without asking.
    Unguarded { adapter: String, role: RoleName },
    /// A login is no plain file, or is longer than `most` bytes.
    NoLogin { path: PathBuf, most: u64 },
}

impl Error {
    /// About a file or a folder, where its path says what was being done.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { doing: None, path: path.to_owned(), source }
    }

    /// What the system has run out of, if this came of that.
    fn shortage(&self) -> Option<Shortage> {
        match self {
            Error::Git(error) => error.shortage(),
            Error::Process(error) => error.shortage(),
            Error::Read(error) => error.is_full().then_some(Shortage::Disk),
            Error::Blob(error) => match error {
                journal::Error::Io { source, .. } => Shortage::of(source),
                error => error.is_full().then_some(Shortage::Disk),
            },
            Error::Io { source, .. } => Shortage::of(source),
            Error::Log(error) => matches!(**error, AppendError::NoRoom { .. }).then_some(Shortage::Disk),
            Error::Json(_) | Error::Gone(_) | Error::Refused(_) | Error::AgentEnv(_) | Error::Panicked(_) => None,
        }
    }

    /// Whether this is about nothing but disk space.
    pub(super) fn is_full(&self) -> bool {
        self.shortage() == Some(Shortage::Disk)
    }

    /// The sentence, with what is to be done where the system's words do not say it: too many open files.
    pub(super) fn told(&self) -> String {
        let help = match self.shortage() {
            Some(Shortage::OpenFiles) => {
                " (the limit of open files, RLIMIT_NOFILE, is reached: raise it with `ulimit -n 4096` or \
                 LimitNOFILE=, or lower [limits] max_parallel)"
            }
            Some(Shortage::Disk) | None => "",
        };
        format!("{self}{help}")
    }

    /// [`Error::told`], if this is about nothing but disk space.
    pub(super) fn full(&self) -> Option<String> {
        self.is_full().then(|| self.told())
    }
}

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Gone::Repository(path) => write!(f, "the repository {path} is not there"),
            Gone::Run => f.write_str("the attempt has no run"),
            Gone::Commit => f.write_str("the attempt has no commit"),
            Gone::Home => f.write_str("the attempt has no home of its own"),
            Gone::Adapter => f.write_str("the agent's adapter is not in the run's configuration"),
            Gone::Agent(name) => write!(f, "agent '{name}' is not in the run's configuration"),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Unguarded { adapter, role } => write!(
                f,
                "'{adapter}' cannot ask before it uses a tool, and role '{role}' has no sandbox that would hold it; give \
                 the role its sandbox, or the agent permissions = \"allow\""
            ),
            Refusal::NoLogin { path, most } => {
                write!(f, "{} is no plain file of at most {most} bytes", path.display())
            }
        }
    }
}

impl From<Gone> for Error {
    fn from(gone: Gone) -> Error {
        Error::Gone(gone)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        Error::Refused(refusal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::views::catalog::RowError;
    use std::{fs, io::Write};

    const WORDS: &str = "No space left on device";

    /// What the system says of a device without space.
    fn full() -> io::Error {
        fs::OpenOptions::new().write(true).open("/dev/full").unwrap().write_all(b"x").unwrap_err()
    }

    fn path() -> PathBuf {
        PathBuf::from("/data/x")
    }

    #[test]
    fn every_source_tells_of_a_full_disk_by_its_kind() {
        let no_room = AppendError::NoRoom { path: path(), needed_bytes: 1, what: String::new() };
        let errors: Vec<Error> = vec![
            Error::at(&path())(full()),
            git::Error::Io { doing: "writing", path: path(), source: full() }.into(),
            process::Error::Io { doing: "write", path: path(), source: full() }.into(),
            process::Error::NotReady { dir: path(), said: String::new(), no_space: true }.into(),
            journal::Error::io("write", &path(), full()).into(),
            ReadError::from(journal::Error::io("write", &path(), full())).into(),
            Arc::new(no_room).into(),
        ];
        for error in errors {
            assert!(error.is_full() && error.full() == Some(error.to_string()), "{error:?}");
        }
    }

    #[test]
    fn words_alone_tell_of_nothing() {
        let words = || io::Error::other(WORDS);
        let failed = AppendError::Failed { path: path(), what: WORDS.into() };
        let errors: Vec<Error> = vec![
            Error::at(&path())(words()),
            Error::at(Path::new(WORDS))(io::ErrorKind::NotFound.into()),
            git::Error::Io { doing: "writing", path: path(), source: words() }.into(),
            process::Error::Lost { dir: path(), why: WORDS.into() }.into(),
            process::Error::NotReady { dir: path(), said: WORDS.into(), no_space: false }.into(),
            journal::Error::Store { path: path(), what: WORDS.into() }.into(),
            ReadError::from(RowError(WORDS.into())).into(),
            Arc::new(failed).into(),
            BoxError::from(WORDS).into(),
            Gone::Repository(WORDS.into()).into(),
            Refusal::NoLogin { path: WORDS.into(), most: 1 }.into(),
        ];
        for error in errors {
            assert!(!error.is_full() && error.full().is_none(), "{error:?}");
        }
    }

    #[test]
    fn too_many_open_files_are_told_with_what_helps() {
        let error = Error::at(&path())(rustix::io::Errno::MFILE.into());
        assert!(error.told().contains("Too many open files") && error.told().contains("ulimit -n"), "{}", error.told());
        assert!(!error.is_full());
        let other = Error::at(&path())(full());
        assert_eq!(other.told(), other.to_string());
    }

    #[test]
    fn what_was_being_done_is_said_where_the_path_does_not() {
        let not_found = || io::Error::from(io::ErrorKind::NotFound);
        assert_eq!(Error::at(&path())(not_found()).to_string(), format!("/data/x: {}", not_found()));
        let reading = Error::Io { doing: Some("reading the prompt"), path: path(), source: not_found() };
        assert_eq!(reading.to_string(), format!("reading the prompt /data/x: {}", not_found()));
    }
}
