//! A world of its own for one test: home, data directory, repository, agents.
use crate::mask::mask;
use serde_json::Value;
use std::{
    fs::{self, File},
    os::unix::process::{CommandExt, ExitStatusExt},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

/// How long anything may take on a loaded machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// What every agent begins with. A test replaces the functions it wants to be different.
const PRELUDE: &str = r#"
import json, os, subprocess, sys, time
DIR = os.environ["T_DIR"]
I = json.load(sys.stdin)
role, rnd, it, tid = I["role"], I["round"], I["iteration"], (I["ticket"] or {}).get("id")
title = (I["ticket"] or {}).get("title")
def note(name, text=""):
    with open(f"{DIR}/notes/{name}.tmp{os.getpid()}", "w") as f: f.write(text)
    os.rename(f"{DIR}/notes/{name}.tmp{os.getpid()}", f"{DIR}/notes/{name}")
note(f"{role}-{tid}-{it}-{rnd}" if tid else f"{role}-{it}-{rnd}", json.dumps(I))
def say(type_, **more): print(json.dumps({"type": type_, **more}), flush=True)
def put(path, text="text\n"):
    if os.path.dirname(path): os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f: f.write(text)
def wait_for(name):
    end = time.time() + 80
    while not os.path.exists(f"{DIR}/notes/{name}"):
        if time.time() > end: sys.exit(f"nobody wrote {name}")
        time.sleep(0.01)
def ticket(key, create=(), modify=(), **more):
    say("ticket", key=key, title=more.pop("title", key), files={"create": list(create), "modify": list(modify)}, **more)
def decide(decision, reason="because"): say("decision", decision=decision, reason=reason)
def p0(*args, **env):
    done = subprocess.run([os.environ["T_P0"], *args], capture_output=True, text=True, env={**os.environ, **env})
    note(f"p0-{'-'.join(args[:2])}-{role}-{rnd}", json.dumps({"code": done.returncode, "out": done.stdout, "err": done.stderr}))
    return done
def own_files():
    for path in I["files"]["create"] + I["files"]["modify"]: put(path, f"{title} of {tid}\n")
def plan(): ticket("a", ["a.txt"])
def planner():
    if it == 1 and not I["tickets"]: plan(); decide("continue")
    elif (I["verdict"] or {}).get("met") and all(t["status"] == "done" for t in I["tickets"]): decide("done", "met")
    else: decide("continue")
def executor(): own_files()
def verifier(): say("verdict", met=True, rationale="it is there", gaps=[])
def specialist(): pass
"#;

/// The interpreter itself: a shim in front of it would cost more than the agent.
pub fn python() -> &'static str {
    static FOUND: OnceLock<String> = OnceLock::new();
    FOUND.get_or_init(|| {
        let out = Command::new("python3").args(["-c", "import sys; print(sys.executable)"]).output();
        let out = out.expect("these tests need python3; install it");
        String::from_utf8(out.stdout).unwrap().trim().to_owned()
    })
}

pub fn p0_path() -> &'static str {
    env!("CARGO_BIN_EXE_p0")
}

/// How a command ended.
#[derive(Debug)]
pub struct Output {
    pub code: i32,
    pub out: String,
    pub err: String,
    masked: String,
}

impl Output {
    /// Everything a person sees, masked.
    pub fn shown(&self) -> &str {
        &self.masked
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        assert_eq!(self.out.lines().count(), 1, "one document in one line: {self:?}");
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// One JSON document per line.
    #[track_caller]
    pub fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|l| serde_json::from_str(l).unwrap_or_else(|e| panic!("{e}: {l}"))).collect()
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Output {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

/// A command that runs.
pub struct Running {
    child: Child,
    files: [PathBuf; 2],
    dir: PathBuf,
    what: String,
}

impl Running {
    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    pub fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    pub fn err_so_far(&self) -> String {
        fs::read_to_string(&self.files[1]).unwrap()
    }

    pub fn out_so_far(&self) -> String {
        fs::read_to_string(&self.files[0]).unwrap()
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    #[track_caller]
    pub fn wait(self) -> Output {
        self.wait_within(PATIENCE)
    }

    #[track_caller]
    pub fn wait_within(mut self, limit: Duration) -> Output {
        let end = Instant::now() + limit;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                let [out, err] = self.files.each_ref().map(|f| fs::read_to_string(f).unwrap());
                panic!("`{}` did not end within {limit:?}\nstdout:\n{out}\nstderr:\n{err}", self.what);
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let [out, err] = self.files.each_ref().map(|f| String::from_utf8_lossy(&fs::read(f).unwrap()).into_owned());
        let code = status.code().unwrap_or_else(|| -status.signal().unwrap());
        let text = format!("exit {code}\n{out}{}{err}", if err.is_empty() { "" } else { "--- stderr\n" });
        let masked = mask(text.trim_end(), &self.dir);
        Output { code, out, err, masked }
    }
}

/// Sends a signal to a process that a test started.
pub fn signal(pid: i32, name: &str) {
    let done = Command::new("kill").args([&format!("-{name}"), "--", &pid.to_string()]).status().unwrap();
    assert!(done.success(), "kill -{name} {pid}");
}

/// Waits until something holds.
#[track_caller]
pub fn wait_until(what: &str, holds: impl FnMut() -> bool) {
    wait_until_within(PATIENCE, what, holds);
}

/// As [`wait_until`], for what takes its time.
#[track_caller]
pub fn wait_until_within(limit: Duration, what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !holds() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub struct TestEnvironment {
    _temp: tempfile::TempDir,
    pub dir: PathBuf,
    pub repo: PathBuf,
    pub data: PathBuf,
    count: std::cell::Cell<u32>,
    env: Vec<(String, String)>,
}

impl TestEnvironment {
    /// A home and nothing else.
    pub fn empty() -> TestEnvironment {
        // Short: sockets have paths of 107 bytes at the most.
        let temp = tempfile::Builder::new().prefix("p0t-").tempdir_in("/tmp").unwrap();
        let dir = temp.path().canonicalize().unwrap();
        for name in ["home", "repo", "notes", "io"] {
            fs::create_dir(dir.join(name)).unwrap();
        }
        fs::write(
            dir.join("home/.gitconfig"),
            "[user]\nname = Ada\nemail = ada@example.org\n[init]\ndefaultBranch = main\n[gc]\nauto = 0\n",
        )
        .unwrap();
        let (repo, data) = (dir.join("repo"), dir.join("data"));
        TestEnvironment { _temp: temp, dir, repo, data, count: 0.into(), env: Vec::new() }
    }

    /// With a repository of one commit, a spec, and an agent that does everything right.
    pub fn new() -> TestEnvironment {
        let t = TestEnvironment::empty();
        t.git(&["init", "-q"]);
        t.put("README.md", "# A project\n");
        t.put("old.txt", "old\n");
        t.git(&["add", "."]);
        t.git(&["commit", "-qm", "first"]);
        t.agent("");
        t.spec("# A blog\n\nMake it.\n");
        t
    }

    /// [`TestEnvironment::new`], with an agent of this kind.
    pub fn with(agent: &str) -> TestEnvironment {
        let t = TestEnvironment::new();
        t.agent(agent);
        t
    }

    /// A variable for every later command.
    pub fn set(&mut self, name: &str, value: &str) {
        self.env.push((name.into(), value.into()));
    }

    /// A file of the repository, not committed.
    pub fn put(&self, path: &str, text: &str) {
        let path = self.repo.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn spec(&self, text: &str) {
        fs::write(self.dir.join("spec.md"), text).unwrap();
    }

    /// Writes the agent, and the configuration that uses it for every role.
    pub fn agent(&self, own: &str) {
        self.agent_file("agent.py", own);
        self.config("");
    }

    pub fn agent_file(&self, name: &str, own: &str) -> PathBuf {
        let path = self.dir.join(name);
        fs::write(&path, format!("{PRELUDE}\n{own}\nglobals().get(role, specialist)()\n")).unwrap();
        path
    }

    /// The configuration, with more of it.
    pub fn config(&self, more: &str) {
        let text = format!("{}[limits]\ngrace_ms = 200\n{more}", self.agent_table("t", "agent.py"));
        self.put(".p0/config.toml", &text);
    }

    /// `[agents.NAME]` for an agent's file. It writes down what it saw in a folder beside the repository.
    pub fn agent_table(&self, name: &str, file: &str) -> String {
        format!(
            "[agents.{name}]\nkind = \"command\"\ncommand = [\"{}\", \"-SE\", \"{dir}/{file}\"]\n\
             env = {{ T_DIR = \"{dir}\", T_P0 = \"{}\" }}\nsandbox = {{ write = [\"{dir}/notes\"] }}\n",
            python(),
            p0_path(),
            dir = self.dir.display()
        )
    }

    pub fn git(&self, args: &[&str]) -> String {
        let mut command = Command::new("git");
        self.clean(&mut command);
        let out = command.arg("-C").arg(&self.repo).args(args).output().unwrap();
        assert!(out.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).trim().to_owned()
    }

    fn clean(&self, command: &mut Command) {
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("HOME", self.dir.join("home"))
            .env("USER", "ada")
            .env("LANG", "C.UTF-8")
            .env("COLUMNS", "100")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("P0_DATA_DIR", &self.data);
        command.envs(self.env.iter().map(|(n, v)| (n, v)));
    }

    /// Starts a program in the repository.
    pub fn start_program(&self, program: &str, args: &[&str]) -> Running {
        let n = self.count.get();
        self.count.set(n + 1);
        let files = ["out", "err"].map(|end| self.dir.join(format!("io/{n}.{end}")));
        let mut command = Command::new(program);
        self.clean(&mut command);
        let child = command
            .args(args)
            .current_dir(&self.repo)
            .stdin(Stdio::null())
            .stdout(File::create(&files[0]).unwrap())
            .stderr(File::create(&files[1]).unwrap())
            .process_group(0)
            .spawn()
            .unwrap();
        Running { child, files, dir: self.dir.clone(), what: format!("{program} {}", args.join(" ")) }
    }

    pub fn start(&self, args: &[&str]) -> Running {
        self.start_program(p0_path(), args)
    }

    /// Starts the daemon and waits until it serves.
    pub fn daemon(&self) -> Running {
        let mut daemon = self.start_program(env!("CARGO_BIN_EXE_p0d"), &[]);
        wait_until("p0d serves", || {
            assert!(daemon.is_running(), "p0d ended: {}", daemon.err_so_far());
            daemon.err_so_far().contains("serving")
        });
        daemon
    }

    /// Runs `p0` to its end.
    #[track_caller]
    pub fn p0(&self, args: &[&str]) -> Output {
        self.start(args).wait()
    }

    pub fn spec_path(&self) -> String {
        self.dir.join("spec.md").display().to_string()
    }

    /// `p0 run` of the spec.
    #[track_caller]
    pub fn run(&self, more: &[&str]) -> Output {
        self.start_run(more).wait()
    }

    pub fn start_run(&self, more: &[&str]) -> Running {
        let spec = self.spec_path();
        let mut args = vec!["run", &spec];
        args.extend(more);
        self.start(&args)
    }

    /// `p0 run --json` with this end, and its document.
    #[track_caller]
    pub fn run_json(&self, code: i32) -> Value {
        self.run(&["--json"]).expect(code).json()
    }

    /// The events of a kind.
    #[track_caller]
    pub fn events(&self, kind: &str) -> Vec<Value> {
        self.p0(&["audit", "log", "--json", "--kind", kind]).expect(0).lines()
    }

    #[track_caller]
    pub fn tickets(&self) -> Vec<Value> {
        self.p0(&["tickets", "--json"]).expect(0).json().as_array().unwrap().clone()
    }

    #[track_caller]
    pub fn status(&self) -> Value {
        self.p0(&["status", "--json"]).expect(0).json()
    }

    pub fn note_path(&self, name: &str) -> PathBuf {
        self.dir.join("notes").join(name)
    }

    /// What an agent wrote down; its input is under `ROLE[-TICKET]-ITERATION-ROUND`.
    #[track_caller]
    pub fn note(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.note_path(name));
        let text = text.unwrap_or_else(|_| panic!("no note {name}; there are: {:?}", self.notes()));
        serde_json::from_str(&text).unwrap_or(Value::String(text))
    }

    pub fn notes(&self) -> Vec<String> {
        let names = fs::read_dir(self.dir.join("notes")).unwrap();
        let mut names: Vec<String> = names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Waits until an agent wrote this down.
    #[track_caller]
    pub fn wait_note(&self, name: &str) {
        wait_until(name, || self.note_path(name).exists());
    }

    /// Lets agents go on that wait for this.
    pub fn go(&self, name: &str) {
        fs::write(self.note_path(name), "").unwrap();
    }

    /// A file at a revision of the person's repository.
    pub fn show(&self, revision: &str, path: &str) -> Option<String> {
        let mut command = Command::new("git");
        self.clean(&mut command);
        let out = command.arg("-C").arg(&self.repo).arg("show").arg(format!("{revision}:{path}")).output().unwrap();
        out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
    }

    /// The processes of this world, with their command lines.
    pub fn processes(&self) -> Vec<(i32, String)> {
        let mark = self.dir.as_os_str().as_encoded_bytes().to_vec();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Ok(pid) = entry.file_name().to_string_lossy().parse::<i32>() else { continue };
            let has = |name: &str| {
                fs::read(entry.path().join(name)).is_ok_and(|bytes| bytes.windows(mark.len()).any(|w| w == mark))
            };
            if has("environ") || has("cmdline") {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push((pid, String::from_utf8_lossy(&line).replace('\0', " ")));
            }
        }
        found
    }

    #[track_caller]
    pub fn nothing_is_alive(&self) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let alive = self.processes();
            if alive.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "still alive: {alive:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The log is whole, and the newest run (if there is one) replays to what it is.
    #[track_caller]
    pub fn log_is_whole(&self) {
        let verified = self.p0(&["audit", "verify", "--json"]).expect(0).json();
        assert_eq!(verified["ok"], true);
    }
}

impl Drop for TestEnvironment {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.nothing_is_alive();
        }
        for (pid, _) in self.processes() {
            let _ = Command::new("kill").args(["-KILL", "--", &pid.to_string()]).status();
        }
    }
}
