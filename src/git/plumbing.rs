//! The person's own git, for what libgit2 does not do: conversions, fetching from a promisor, fast-forwarding a
//! checkout, saying whose repository it trusts. It runs with the person's environment and configuration, less what
//! would point it at another repository.
use super::{
    disk,
    error::{Error, IoContext},
};
use std::{
    ffi::OsStr,
    io::Write,
    path::Path,
    process::{Command, Output, Stdio},
};

/// What points git at a repository (`git rev-parse --local-env-vars`, less what only configures).
const OTHER_REPOSITORIES: &[&str] = &[
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_CEILING_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_IMPLICIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_INTERNAL_SUPER_PREFIX",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_QUARANTINE_PATH",
    "GIT_REPLACE_REF_BASE",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
];

/// Bytes of what git printed that an error shows.
const SHOWN: usize = 600;

/// One call of git.
pub(super) struct Git {
    command: Command,
    input: Vec<u8>,
}

impl Git {
    /// `git` with these arguments, in `dir`.
    #[expect(clippy::disallowed_methods, reason = "git ends before the call returns, and is no attempt's program")]
    pub(super) fn new(dir: &Path, args: &[&str]) -> Git {
        let mut command = Command::new("git");
        command.current_dir(dir).args(args);
        for name in OTHER_REPOSITORIES {
            command.env_remove(name);
        }
        // Its words are read here, and nobody is there to answer it.
        command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").env("GIT_OPTIONAL_LOCKS", "0");
        Git { command, input: Vec::new() }
    }

    /// With a variable of its environment.
    pub(super) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Git {
        self.command.env(name, value);
        self
    }

    /// With this on its standard input.
    pub(super) fn input(mut self, input: Vec<u8>) -> Git {
        self.input = input;
        self
    }

    /// Runs it; whether it succeeded is in the answer.
    ///
    /// # Errors
    /// git is not installed, or cannot be started.
    pub(super) fn output(mut self) -> Result<Output, Error> {
        let dir = self.command.get_current_dir().unwrap_or(Path::new(".")).to_path_buf();
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match self.command.spawn() {
            Ok(child) => child,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && dir.is_dir() => return Err(Error::NoGit),
            Err(error) => return Err(error).io("starting git in", &dir),
        };
        let stdin = child.stdin.take();
        let input = self.input;
        std::thread::scope(|scope| {
            // A git that ends early does not read all of it; what it says of that is in its answer.
            scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
            child.wait_with_output().io("waiting for git in", &dir)
        })
    }

    /// Runs it; it must succeed. `doing` is what for.
    ///
    /// # Errors
    /// It is not installed, or did not succeed.
    pub(super) fn run(self, doing: &str) -> Result<Vec<u8>, Error> {
        let dir = self.command.get_current_dir().unwrap_or(Path::new(".")).to_path_buf();
        let output = self.output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Error::GitSaid { doing: doing.into(), path: dir, said: said(&output) })
    }
}

/// What git printed about its failure: its last lines, in one.
pub(super) fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let told = lines.join("; ");
    if told.is_empty() {
        return format!("git ended with {}", output.status);
    }
    let mut from = told.len().saturating_sub(SHOWN);
    while !told.is_char_boundary(from) {
        from += 1;
    }
    told[from..].to_owned()
}

/// A path for `GIT_ALTERNATE_OBJECT_DIRECTORIES`, quoted: a colon would end it.
pub(super) fn quoted(path: &Path) -> String {
    format!(
        "\"{}\"",
        disk::shown(std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()))
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
    )
}
