//! Killed anywhere: the demo, killed with SIGKILL at many points and started again with the same command, ends like the
//! undisturbed one. Nothing lost, nothing landed twice, no finished work done again, nothing left behind.
//!
//! By default a sample of all points is taken, so that the whole suite stays quick; `P0_KILL_EVERY=1` takes every event
//! of the run, `P0_KILL_RANDOM=N` adds N kills at random times.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at the first surprise, start processes, read the environment and the clock"
)]

use p0::git::{PersonRepo, ProjectRepository};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

const P0: &str = env!("CARGO_BIN_EXE_p0");
/// Far more than a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(240);

/// One disturbed demo.
#[derive(Debug, Clone)]
enum Kills {
    /// After these events, one life each. A number close to the one before kills the recovery.
    At(Vec<u64>),
    /// After so many milliseconds of each life.
    After(Vec<u64>),
}

/// A demo with a data directory of its own.
struct Place {
    _dir: tempfile::TempDir,
    root: PathBuf,
}

impl Place {
    /// Made by the demo itself, which dies at its first event; then its agents are told not to pause, so that the test
    /// is about the engine and not about waiting.
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let place = Place { _dir: dir, root };
        let first = place.demo(Some(1)).output().unwrap();
        assert_eq!(first.status.signal(), Some(9), "{}", String::from_utf8_lossy(&first.stderr));
        let playbook = place.root.join("blog/.p0/playbook.toml");
        let text = fs::read_to_string(&playbook).unwrap();
        let quick: Vec<&str> =
            text.lines().map(|l| if l.starts_with("pause_ms") { "pause_ms = 0" } else { l }).collect();
        fs::write(&playbook, quick.join("\n")).unwrap();
        place
    }

    fn p0(&self) -> Command {
        let mut command = Command::new(P0);
        command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", &self.root);
        command.env("P0_DATA_DIR", self.root.join("data")).stdin(Stdio::null());
        command
    }

    fn demo(&self, die_at: Option<u64>) -> Command {
        let mut command = self.p0();
        command.args(["demo", "--dir"]).arg(self.root.join("blog"));
        if let Some(seq) = die_at {
            command.env("P0_TEST_DIE_AT", seq.to_string());
        }
        command
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.p0().args(args).output().unwrap();
        assert!(output.status.success(), "p0 {args:?}: {}", told(&output));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// What a person would compare.
    fn outcome(&self) -> Outcome {
        let status = self.json(&["status", "--json"]);
        let tickets = self.json(&["tickets", "--json"]);
        let repo = git2::Repository::open(self.root.join("blog")).unwrap();
        let id = |name: &str| git2::Oid::from_str(status[name].as_str().unwrap()).unwrap();
        let mut walk = repo.revwalk().unwrap();
        walk.push(id("commit")).unwrap();
        walk.hide(id("base")).unwrap();
        walk.simplify_first_parent().unwrap();
        let mut landed: Vec<String> =
            walk.map(|c| repo.find_commit(c.unwrap()).unwrap().summary().unwrap().unwrap().to_owned()).collect();
        landed.sort();
        let rows = tickets.as_array().unwrap();
        Outcome {
            state: status["state"].as_str().unwrap().to_owned(),
            tree: repo.find_commit(id("commit")).unwrap().tree_id().to_string(),
            landed,
            tickets: rows.iter().map(|t| (text(t, "id"), (text(t, "title"), text(t, "status")))).collect(),
            accepted: rows.iter().map(|t| (text(t, "id"), accepted(t))).collect(),
        }
    }

    fn check_nothing_left(&self) {
        let left: Vec<_> = fs::read_dir(self.root.join("data/attempts")).unwrap().collect();
        assert!(left.is_empty(), "attempts left behind: {left:?}");
        let person = PersonRepo::discover(&self.root.join("blog")).unwrap();
        let repository = ProjectRepository::open(&self.root.join("data/repos"), &person).unwrap();
        assert_eq!(repository.holders().unwrap(), Vec::<String>::new(), "worktrees left behind");
        let alive = processes_about(&self.root);
        assert!(alive.is_empty(), "processes left behind: {alive:?}");
    }

    fn check_record(&self) {
        let verified = self.json(&["audit", "verify", "--json"]);
        assert_eq!(verified["ok"], true, "{verified}");
        let replayed = self.json(&["replay", "@last", "--json"]);
        assert_eq!(replayed["divergence"], Value::Null);
        assert_eq!(replayed["digest"], self.json(&["status", "--json"])["digest"]);
    }
}

#[derive(Debug, PartialEq)]
struct Outcome {
    state: String,
    tree: String,
    landed: Vec<String>,
    tickets: BTreeMap<String, (String, String)>,
    /// Attempts of each ticket whose work was taken: finished work is never done again.
    accepted: BTreeMap<String, usize>,
}

fn text(value: &Value, name: &str) -> String {
    value[name].as_str().unwrap().to_owned()
}

fn accepted(ticket: &Value) -> usize {
    ticket["attempts"].as_array().unwrap().iter().filter(|a| a["outcome"] == "accepted").count()
}

fn told(output: &Output) -> String {
    format!(
        "{}\n{}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Processes whose working directory or command line is below a folder.
fn processes_about(folder: &Path) -> Vec<String> {
    let needle = folder.display().to_string();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().chars().all(|c| c.is_ascii_digit()) {
            continue;
        }
        let cwd = fs::read_link(path.join("cwd")).unwrap_or_default().display().to_string();
        let line = String::from_utf8_lossy(&fs::read(path.join("cmdline")).unwrap_or_default()).replace('\0', " ");
        if (cwd.starts_with(&needle) || line.contains(&needle)) && !line.is_empty() {
            found.push(format!("{}: {line}", entry.file_name().to_string_lossy()));
        }
    }
    found
}

/// Lives through the kills, then lets the last life end by itself.
fn live(place: &Place, kills: &Kills) {
    match kills {
        Kills::At(events) => {
            for seq in events {
                let output = place.demo(Some(*seq)).output().unwrap();
                let died = output.status.signal() == Some(9);
                // A run that takes fewer events the second time may be done before it gets there.
                assert!(died || output.status.success(), "{kills:?}: {}", told(&output));
            }
        }
        Kills::After(times) => {
            for ms in times {
                let mut child = place.demo(None).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
                let deadline = Instant::now() + Duration::from_millis(*ms);
                while Instant::now() < deadline && child.try_wait().unwrap().is_none() {
                    std::thread::sleep(Duration::from_millis(5));
                }
                let _ = child.kill();
                child.wait().unwrap();
            }
        }
    }
    let begun = Instant::now();
    let output = place.demo(None).output().unwrap();
    assert!(output.status.success(), "{kills:?}: {}", told(&output));
    assert!(begun.elapsed() < PATIENCE, "{kills:?} took {:?}", begun.elapsed());
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(usual)
}

#[test]
fn the_demo_survives_being_killed_anywhere() {
    let calm = Place::new();
    live(&calm, &Kills::At(vec![]));
    calm.check_nothing_left();
    calm.check_record();
    let wanted = calm.outcome();
    assert_eq!(wanted.state, "done");
    let events = calm.p0().args(["audit", "log", "--json"]).output().unwrap().stdout;
    let events = events.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count() as u64;

    let every = usize::try_from(number("P0_KILL_EVERY", 16)).unwrap();
    let mut cases: Vec<Kills> = (2..=events).step_by(every).map(|seq| Kills::At(vec![seq])).collect();
    // Killed twice, and killed again while recovering from the first time.
    cases.extend([0.2, 0.4, 0.6, 0.8].map(|part| {
        let first = (events as f64 * part) as u64;
        Kills::At(vec![first, first + 1, first + 2, first + 30])
    }));
    let mut dice = number("P0_KILL_SEED", 1);
    for _ in 0..number("P0_KILL_RANDOM", 4) {
        let mut roll = || {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            20 + (dice >> 33) % 3000
        };
        cases.push(Kills::After(vec![roll(), roll(), roll()]));
    }
    let total = cases.len();
    let waiting = Mutex::new(cases);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let Some(kills) = waiting.lock().unwrap().pop() else { return };
                    let place = Place::new();
                    live(&place, &kills);
                    assert_eq!(place.outcome(), wanted, "after {kills:?}");
                    place.check_nothing_left();
                    place.check_record();
                }
            });
        }
    });
    println!("{total} disturbed demos ended like the undisturbed one ({events} events)");
}
