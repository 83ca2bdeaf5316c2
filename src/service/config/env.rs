//! The only reader of the environment.
use crate::{
    engine::start::Environment,
    process::{is_executable, on_path},
    sandbox::looks_secret,
    service::{
        place,
        problem::{Kind, Problem},
    },
    system::clock,
};
use std::path::{Path, PathBuf};

/// Variables that agents inherit, beside `LC_*` and `SSL_CERT_*`: what programs need to find themselves at home, and
/// where toolchains keep their things. No secret is among them; `[agents.NAME] env` adds what an agent needs.
const FOR_AGENTS: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "TERM",
    "TZ",
    "USER",
    "LOGNAME",
    "SHELL",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOPATH",
    "GOROOT",
    "GOCACHE",
    "GOMODCACHE",
    "JAVA_HOME",
    "GRADLE_USER_HOME",
    "MAVEN_HOME",
    "NVM_DIR",
    "NODE_PATH",
    "NPM_CONFIG_CACHE",
    "PNPM_HOME",
    "VOLTA_HOME",
    "BUN_INSTALL",
    "DENO_DIR",
    "PYENV_ROOT",
    "VIRTUAL_ENV",
    "CONDA_PREFIX",
    "PIPX_HOME",
    "POETRY_HOME",
    "UV_CACHE_DIR",
    "RBENV_ROOT",
    "GEM_HOME",
    "DOTNET_ROOT",
    "ANDROID_HOME",
    "ASDF_DIR",
    "ASDF_DATA_DIR",
    "MISE_DATA_DIR",
    "NIX_PATH",
    "NIX_PROFILES",
];

/// One variable; empty counts as not set.
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
pub(crate) fn var(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Has the dates of this process shifted, as tests of wrong clocks ask for.
pub(crate) fn set_clock() {
    if let Some(file) = var("P0_TEST_CLOCK") {
        clock::shift_by(file.into());
    }
}

/// What children may see of this process's environment.
pub fn environment() -> Environment {
    // Values that are not text cannot be handed on through JSON files; they are left out.
    let all: Vec<(String, String)> =
        std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?))).collect();
    split(&all)
}

fn split(all: &[(String, String)]) -> Environment {
    let pick = |wanted: fn(&str) -> bool| all.iter().filter(|(name, _)| wanted(name)).cloned().collect();
    Environment { agents: pick(is_for_agents), gates: pick(is_for_gates), person: all.to_vec() }
}

fn is_for_agents(name: &str) -> bool {
    FOR_AGENTS.contains(&name) || name.starts_with("LC_") || name.starts_with("SSL_CERT_")
}

/// No secret, nothing of a cloud account, and nothing that leads to p0.
fn is_for_gates(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    !looks_secret(name) && !upper.starts_with("AWS_") && !upper.starts_with("P0_")
}

/// The data directory: the flag, `P0_DATA_DIR`, `$XDG_STATE_HOME/p0`, `~/.local/state/p0`. Absolute.
pub(crate) fn data_dir(flag: Option<&Path>) -> Result<PathBuf, Problem> {
    let chosen = flag
        .map(Path::to_path_buf)
        .or_else(|| var("P0_DATA_DIR").map(PathBuf::from))
        .or_else(|| var("XDG_STATE_HOME").map(|dir| Path::new(&dir).join("p0")))
        .or_else(|| var("HOME").map(|home| Path::new(&home).join(".local/state/p0")));
    let Some(chosen) = chosen else {
        return Err(Problem::new(Kind::Config, "there is no data directory: neither HOME nor P0_DATA_DIR is set")
            .hint("name one with --data-dir"));
    };
    if chosen.as_os_str().is_empty() {
        return Err(Problem::new(Kind::Usage, "--data-dir is empty; name a directory"));
    }
    let chosen = std::path::absolute(&chosen).map_err(|e| Problem::io("looking at the data directory", &chosen, &e))?;
    place::check_data_dir(&chosen)?;
    Ok(chosen)
}

/// The name of the person, for the log.
pub(crate) fn user() -> String {
    let name = var("USER").or_else(|| var("LOGNAME"));
    name.unwrap_or_else(|| format!("uid-{}", rustix::process::getuid().as_raw()))
}

/// The socket of the attempt that this process belongs to: the socket's path and the token.
pub(crate) fn attempt_socket() -> Option<(Option<PathBuf>, String)> {
    var("P0_TOKEN").map(|token| (var("P0_SOCKET").map(PathBuf::from), token))
}

/// Where a program is: a name is looked up in `PATH`, a path is taken from `root`.
pub(crate) fn find_program(program: &str, root: &Path) -> Result<PathBuf, MissingProgram> {
    if program.contains('/') {
        let path = root.join(program.trim_start_matches("./"));
        return match path.metadata() {
            Ok(meta) if is_executable(&meta) => Ok(path),
            Ok(_) => Err(MissingProgram::NotExecutable(path)),
            Err(_) => Err(MissingProgram::NoFile(path)),
        };
    }
    let found = var("PATH").and_then(|path| on_path(program, &path, root));
    found.ok_or_else(|| MissingProgram::NotOnPath(program.to_owned()))
}

/// Why a program cannot be started.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MissingProgram {
    /// A path without a file.
    #[error("there is no file {}; install it, or correct the path", .0.display())]
    NoFile(PathBuf),
    /// A file that cannot be started.
    #[error("{path} is not executable; make it so with `chmod +x {path}`", path = .0.display())]
    NotExecutable(PathBuf),
    /// A name that `PATH` does not have.
    #[error("'{0}' is not on PATH; install it, or write its full path")]
    NotOnPath(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_get_the_allow_list_and_gates_everything_but_secrets() {
        let all: Vec<(String, String)> =
            ["PATH", "LC_ALL", "CARGO_HOME", "GITHUB_TOKEN", "OPENAI_API_KEY", "AWS_REGION", "EDITOR", "P0_TOKEN"]
                .map(|name| (name.to_owned(), "x".to_owned()))
                .to_vec();
        let split = split(&all);
        let names = |list: &[(String, String)]| list.iter().map(|(n, _)| n.clone()).collect::<Vec<_>>();
        assert_eq!(names(&split.agents), ["PATH", "LC_ALL", "CARGO_HOME"]);
        assert_eq!(names(&split.gates), ["PATH", "LC_ALL", "CARGO_HOME", "EDITOR"]);
    }

    #[test]
    fn what_is_redacted_is_not_handed_to_gates() {
        for name in ["APIKEY", "DB_PASS", "SSH_KEY_FILE", "github_token", "MAX_TOKENS", "EDITOR"] {
            assert_ne!(is_for_gates(name), looks_secret(name), "{name}");
        }
        assert!(!is_for_gates("APIKEY") && !is_for_gates("DB_PASS") && is_for_gates("MAX_TOKENS"));
    }

    #[test]
    fn programs_are_found_or_the_mend_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.sh"), "").unwrap();
        let say = |program: &str| find_program(program, dir.path()).unwrap_err().to_string();
        assert!(say("./a.sh").contains("chmod +x"));
        assert!(say("./b.sh").contains("there is no file"));
        assert!(say("surely-no-such-program").contains("PATH"));
        assert!(find_program("sh", dir.path()).is_ok());
    }
}
