//! From what the configuration says and where an attempt lives to the limits of its program.

use super::spec::Confine;
use crate::model::{
    adapter::Login,
    sandbox::{Mode, Reading, Sandbox},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Devices that every program may use.
const DEVICES: &[&str] = &["null", "zero", "full", "random", "urandom", "tty"];
/// Memory that is shared by names. What all programs of the person share there, bubblewrap replaces by one of the
/// attempt's own.
const SHARED_MEMORY: &str = "shm";
/// Terminals: the person's own are among them. `tty` above is none but the one that a program already has, and an
/// attempt is in a session without one.
const TERMINALS: &[&str] = &["ptmx", "pts"];

/// Where the system and its settings are: what `narrow` leaves to read.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/etc",
    "/opt",
    "/proc",
    "/sys",
    "/nix",
    "/snap",
    "/run/systemd/resolve",
    "/run/current-system",
    "/run/nscd",
    "/var/lib/ca-certificates",
];

/// Toolchains that look for themselves in the home: the variable that leads elsewhere, and the folder. An agent's home
/// is its own, so it is told where the person's are. They can be read there and not written: what one agent leaves in
/// a toolchain, the person and every other agent would run.
const TOOLCHAINS: &[(&str, &str)] = &[
    ("CARGO_HOME", ".cargo"),
    ("RUSTUP_HOME", ".rustup"),
    ("PYENV_ROOT", ".pyenv"),
    ("NVM_DIR", ".nvm"),
    ("VOLTA_HOME", ".volta"),
    ("BUN_INSTALL", ".bun"),
    ("RBENV_ROOT", ".rbenv"),
    ("ASDF_DIR", ".asdf"),
    ("ASDF_DATA_DIR", ".asdf"),
    ("MISE_DATA_DIR", ".local/share/mise"),
    ("PNPM_HOME", ".local/share/pnpm"),
    ("PIPX_HOME", ".local/share/pipx"),
    ("UV_TOOL_DIR", ".local/share/uv/tools"),
    ("UV_PYTHON_INSTALL_DIR", ".local/share/uv/python"),
    ("DOTNET_ROOT", ".dotnet"),
    ("SDKMAN_DIR", ".sdkman"),
    ("GHCUP_INSTALL_BASE_PREFIX", ".ghcup"),
];

/// Caches that a person may have moved: an agent has its own, below its home.
const CACHES: &[&str] = &[
    "XDG_CACHE_HOME",
    "GOCACHE",
    "GOMODCACHE",
    "GOPATH",
    "NPM_CONFIG_CACHE",
    "DENO_DIR",
    "UV_CACHE_DIR",
    "GRADLE_USER_HOME",
];

/// Where an attempt lives.
#[derive(Clone, Debug)]
pub struct Places<'a> {
    /// Its worktree.
    pub worktree: &'a Path,
    /// What its git writes beside the worktree.
    pub git: Vec<PathBuf>,
    /// What its git reads beside that.
    pub objects: Vec<PathBuf>,
    /// Its home.
    pub home: &'a Path,
    /// Its temporary folder.
    pub temp: &'a Path,
    /// Its socket.
    pub attempt_socket: Option<&'a Path>,
    /// p0's data directory.
    pub data: &'a Path,
    /// The person's checkout.
    pub project: &'a Path,
    /// The git directory of it, which may lie elsewhere.
    pub project_git: &'a Path,
    /// The person's home.
    pub person: Option<&'a Path>,
    /// What of the person's it does not read; see [`secrets_of`].
    pub secrets: Vec<PathBuf>,
    /// The program and its arguments.
    pub argv: &'a [String],
    /// The p0 binary.
    pub p0: &'a Path,
    /// The environment that the program gets.
    pub env: &'a BTreeMap<String, String>,
}

/// What a person with this home and these variables keeps from agents, the logins of `logins` among it.
pub fn secrets_of<'a>(
    home: &Path,
    variables: &[(String, String)],
    logins: impl IntoIterator<Item = &'a Login>,
) -> Vec<PathBuf> {
    super::hidden::of_person(home, variables, logins)
}

/// The limits; `None` = the configuration wants none.
pub fn confine(sandbox: &Sandbox, places: &Places<'_>) -> Option<Confine> {
    if sandbox.mode == Mode::Off {
        return None;
    }
    let terminals = if sandbox.terminals { TERMINALS } else { &[] };
    // Only where it is certain that bubblewrap is there.
    let shared = (sandbox.bubblewrap && sandbox.mode == Mode::Enforce).then_some(&SHARED_MEMORY);
    let devices = DEVICES.iter().chain(terminals).chain(shared).map(|name| Path::new("/dev").join(name));
    let mut write = vec![places.worktree.to_path_buf(), places.home.to_path_buf(), places.temp.to_path_buf()];
    write.extend(places.git.iter().cloned().chain(devices));
    write.extend(sandbox.write.iter().map(|path| meant(path, places)));
    let mut read = match sandbox.read {
        Reading::Guarded | Reading::All => vec![PathBuf::from("/")],
        Reading::Narrow => narrow(places),
    };
    read.extend(places.objects.iter().cloned());
    read.extend(sandbox.read_also.iter().map(|path| meant(path, places)));
    read.push(places.p0.to_path_buf());
    let mut hidden = vec![PathBuf::from("/dev")];
    if sandbox.read != Reading::All {
        let house = places.project.join(".p0");
        hidden.extend([places.data.to_path_buf(), places.project.to_path_buf(), places.project_git.to_path_buf()]);
        // It may hold what other agents log in with.
        hidden.push(house.join("config.toml"));
        hidden.extend(places.secrets.iter().cloned());
        read.push(house);
        // A script that is not committed is named by its path; whoever may run it may read it.
        read.extend(places.argv.iter().map(PathBuf::from).filter(|it| it.is_absolute() && it.is_file()));
    }
    Some(Confine {
        required: sandbox.mode == Mode::Enforce,
        write: real(write),
        read: real(read),
        hidden: real(hidden),
        attempt_socket: places.attempt_socket.and_then(one_real),
        network: sandbox.network.clone(),
        limits: sandbox.limits.clone(),
        bubblewrap: sandbox.bubblewrap,
    })
}

/// The system, and what the environment says programs and toolchains are.
fn narrow(places: &Places<'_>) -> Vec<PathBuf> {
    let mut read: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    read.extend(places.env.get("PATH").iter().flat_map(std::env::split_paths));
    let homes = TOOLCHAINS.iter().map(|(name, _)| *name).chain(["GOROOT", "JAVA_HOME", "VIRTUAL_ENV", "CONDA_PREFIX"]);
    read.extend(homes.filter_map(|name| places.env.get(name)).map(PathBuf::from));
    read.extend(places.argv.iter().map(PathBuf::from).filter(|it| it.is_absolute()));
    read
}

/// A path as the configuration writes it: from the person's home, or from the checkout.
fn meant(path: &str, places: &Places<'_>) -> PathBuf {
    match (path.strip_prefix("~/"), places.person) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => places.project.join(path),
    }
}

/// Without symbolic links, which is how the kernel sees them. What is not there can neither be granted nor hidden.
fn real(paths: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut real: Vec<PathBuf> = paths.iter().filter(|it| it.is_absolute()).filter_map(|it| one_real(it)).collect();
    real.sort();
    real.dedup();
    real
}

fn one_real(path: &Path) -> Option<PathBuf> {
    // Asked first, because most of the secrets in the list are nobody's: finding out where a path leads looks at each of
    // its parts.
    rustix::fs::access(path, rustix::fs::Access::EXISTS).ok()?;
    fs::canonicalize(path).ok()
}

/// Gives an environment the attempt's own home and temporary folder. What looks for itself in a home is told where the
/// person's is.
pub fn hermetic(env: &mut BTreeMap<String, String>, home: &Path, temp: &Path) {
    let person = env.get("HOME").map(PathBuf::from);
    env.retain(|name, _| !CACHES.contains(&name.as_str()));
    for (name, folder) in TOOLCHAINS {
        let theirs = person.as_ref().map(|person| person.join(folder)).filter(|it| it.is_dir());
        if let (Some(theirs), false) = (theirs, env.contains_key(*name)) {
            env.insert((*name).to_owned(), theirs.display().to_string());
        }
    }
    env.insert("HOME".to_owned(), home.display().to_string());
    env.insert("TMPDIR".to_owned(), temp.display().to_string());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::sandbox::SandboxConfig;

    struct World {
        _dir: tempfile::TempDir,
        root: PathBuf,
    }

    fn world() -> World {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for path in ["data/w1", "data/w2", "data/git/w1", "data/home", "data/tmp", "me/.ssh", "me/.cargo", "me/out"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in ["repo/.git/objects", "repo/.p0/roles", "repo/src"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        for path in ["repo/agent.py", "repo/.p0/config.toml", "repo/.p0/roles/x.md", "script.py"] {
            fs::write(root.join(path), "").unwrap();
        }
        World { _dir: dir, root }
    }

    impl World {
        fn confine(&self, text: &str) -> Option<Confine> {
            let at = |path: &str| self.root.join(path);
            let argv: Vec<String> = ["/usr/bin/python3", "-u"]
                .map(str::to_owned)
                .into_iter()
                .chain([at("repo/agent.py").display().to_string()])
                .collect();
            let sandbox = toml::from_str::<SandboxConfig>(text).unwrap().resolve();
            confine(
                &sandbox,
                &Places {
                    worktree: &at("data/w1"),
                    git: vec![at("data/git/w1")],
                    objects: vec![at("repo/.git/objects")],
                    home: &at("data/home"),
                    temp: &at("data/tmp"),
                    attempt_socket: None,
                    data: &at("data"),
                    project: &at("repo"),
                    project_git: &at("repo/.git"),
                    person: Some(&at("me")),
                    secrets: secrets_of(&at("me"), &[], []),
                    argv: &argv,
                    p0: Path::new("/bin/sh"),
                    env: &BTreeMap::from([("PATH".to_owned(), "/usr/bin".to_owned())]),
                },
            )
        }
    }

    #[test]
    fn an_attempt_has_its_own_and_nothing_of_the_others() {
        let w = world();
        let confine = w.confine("write=['~/out', 'target']").unwrap();
        let (read, write) =
            (|path: &str| confine.may_read(&w.root.join(path)), |path: &str| confine.may_write(&w.root.join(path)));
        for path in ["data/w1/a", "data/git/w1/HEAD", "data/home/x", "data/tmp/x", "me/out/x"] {
            assert!(read(path) && write(path), "{path}");
        }
        for path in ["data", "data/w2/a", "data/journal/1", "repo/src/a", "repo/.git/config", "me/.ssh/id"] {
            assert!(!read(path) && !write(path), "{path}");
        }
        for path in ["repo/.git/objects/aa", "repo/.p0/roles/x.md", "repo/agent.py", "script.py", "me/.cargo/bin"] {
            assert!(read(path) && !write(path), "{path}");
        }
        assert!(!read("repo/.p0/config.toml"), "other agents' keys");
        assert!(confine.may_write(Path::new("/dev/null")) && !confine.may_read(Path::new("/dev/mem")));
        assert!(confine.required && !confine.may_write(Path::new("/dev/shm/x")), "the person's programs share it");
        for text in ["write=['/dev/shm']", "bubblewrap=true"] {
            assert!(w.confine(text).unwrap().may_write(Path::new("/dev/shm/x")) || !Path::new("/dev/shm").exists());
        }
        let terminals = w.confine("terminals=true").unwrap();
        for path in ["/dev/pts/0", "/dev/pts/ptmx"] {
            assert!(!confine.may_read(Path::new(path)) && !confine.may_write(Path::new(path)), "the person's: {path}");
            assert!(terminals.may_write(Path::new(path)) || !Path::new("/dev/pts").exists(), "{path}");
        }
    }

    #[test]
    fn narrow_all_and_off() {
        let w = world();
        let narrow = w.confine("read='narrow'").unwrap();
        assert!(narrow.may_read(Path::new("/usr/lib/x")) && !narrow.may_read(&w.root.join("script.py")));
        assert!(narrow.may_read(&w.root.join("repo/agent.py")));
        let all = w.confine("read='all'\nmode='best_effort'").unwrap();
        assert!(all.may_read(&w.root.join("me/.ssh/id")) && !all.may_write(&w.root.join("me/.ssh/id")));
        assert!(!all.required);
        assert_eq!(w.confine("mode='off'"), None);
    }

    #[test]
    fn toolchains_are_found_and_caches_are_its_own() {
        let w = world();
        let person = w.root.join("me").display().to_string();
        let mut env: BTreeMap<String, String> = [("HOME", person.as_str()), ("GOCACHE", "/x"), ("RUSTUP_HOME", "/r")]
            .map(|(n, v)| (n.to_owned(), v.to_owned()))
            .into();
        hermetic(&mut env, Path::new("/h"), Path::new("/t"));
        let pairs: Vec<(&str, &str)> = env.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        let cargo = format!("{person}/.cargo");
        assert_eq!(pairs, [("CARGO_HOME", cargo.as_str()), ("HOME", "/h"), ("RUSTUP_HOME", "/r"), ("TMPDIR", "/t")]);
    }
}
