//! Fifty agents at once: no line of theirs is lost or kept twice, a flood is cut at its limit and said so, nobody is left
//! behind, not even as a zombie, and the daemon stays small.
//!
//! The agents are shell scripts that wait at a gate which the test opens when all of them are there: a named pipe that
//! the test holds open, and whose end they read when it lets go.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at the first surprise, start processes and read the environment and the clock"
)]

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const AGENTS: usize = 50;
/// Bytes of output that are kept of each.
const OUTPUT_BYTES: usize = 64 * 1024;
/// Lines that each prints before the gate, and once more after it.
const LINES: usize = 150;
/// The last number that those who flood count to.
const FLOOD: usize = 200_000;
/// What the daemon may need at its peak.
const MOST_KB: u64 = 150 * 1024;
/// Far more than a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(300);

/// Plays every role. Of the executors those of tickets 1 to 4 flood, and those of 5 to 8 leave a process behind, in a
/// session of its own and with their output open.
const AGENT: &str = r#"
speak() {
    n=0
    while [ $n -lt "$1" ]; do
        n=$((n + 1))
        echo "$P0_TICKET says line $n $2 the gate"
    done
}
case $P0_ROLE in
planner)
    read -r input
    case $input in
    *'"iteration":1,'*) cat "$T_DIR/plan"; echo '{"type":"decision","decision":"continue","reason":"work"}' ;;
    *) echo '{"type":"decision","decision":"done","reason":"all landed"}' ;;
    esac ;;
executor)
    exec 3<"$T_DIR/notes/gate"
    speak "$1" before
    case $P0_TICKET in
    *-[1-4]) seq 1 "$2" ;;
    *-[5-8]) setsid sleep 1000 & ;;
    esac
    : >"$T_DIR/notes/$P0_TICKET"
    read -r word <&3
    speak "$1" after
    echo "$P0_TICKET complains" >&2
    echo "$P0_TICKET" >"$P0_TICKET.txt" ;;
verifier) echo '{"type":"verdict","met":true,"rationale":"nothing was asked for"}' ;;
esac
"#;

/// A process, by its id and the moment it started: no other one ever has both.
type Process = (i32, u64);

/// A repository, a data directory and a daemon.
struct Place {
    _temp: tempfile::TempDir,
    dir: PathBuf,
    daemon: Child,
}

impl Place {
    fn new() -> Place {
        // Short: sockets have paths of 107 bytes at the most.
        let temp = tempfile::Builder::new().prefix("p0s-").tempdir_in("/tmp").unwrap();
        let dir = temp.path().canonicalize().unwrap();
        for name in ["home", "repo/.p0", "notes"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        let identity = "[user]\nname = Ada\nemail = ada@example.org\n[init]\ndefaultBranch = main\n[gc]\nauto = 0\n";
        fs::write(dir.join("home/.gitconfig"), identity).unwrap();
        fs::write(dir.join("repo/README.md"), "# A project\n").unwrap();
        fs::write(dir.join("spec.md"), "---\nkey: HIVE\n---\n# Many hands\n\nEach writes a file.\n").unwrap();
        fs::write(dir.join("agent.sh"), AGENT).unwrap();
        let ticket = |n: usize| {
            let files = json!({"create": [format!("HIVE-{n}.txt")], "modify": []});
            json!({"type": "ticket", "key": format!("t{n}"), "title": format!("Ticket {n}"), "files": files})
        };
        fs::write(dir.join("plan"), (1..=AGENTS).map(|n| format!("{}\n", ticket(n))).collect::<String>()).unwrap();
        let at = dir.display();
        let config = format!(
            "[agents.t]\nkind = 'command'\ncommand = ['sh', '{at}/agent.sh', '{LINES}', '{FLOOD}']\n\
             env = {{ T_DIR = '{at}' }}\nsandbox = {{ write = ['{at}/notes'] }}\n\
             [limits]\nmax_parallel = {AGENTS}\noutput_bytes = {OUTPUT_BYTES}\ngrace_ms = 200\n"
        );
        fs::write(dir.join("repo/.p0/config.toml"), config).unwrap();
        for args in [&["init", "-q"][..], &["add", "README.md"], &["commit", "-qm", "first"]] {
            assert!(command(&dir, "git").args(args).status().unwrap().success(), "git {args:?}");
        }
        let log = File::create(dir.join("p0d.log")).unwrap();
        let daemon = command(&dir, env!("CARGO_BIN_EXE_p0d")).stderr(log).spawn().unwrap();
        let place = Place { _temp: temp, dir, daemon };
        place.wait_until("p0d serves", || place.log().contains("serving"));
        place
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("p0d.log")).unwrap()
    }

    fn note(&self, name: &str) -> PathBuf {
        self.dir.join("notes").join(name)
    }

    fn wait_until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < end, "waited in vain: {what}\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn p0(&self, args: &[&str]) -> Vec<u8> {
        let out = command(&self.dir, env!("CARGO_BIN_EXE_p0")).args(args).stdout(Stdio::piped()).output().unwrap();
        assert!(out.status.success(), "p0 {args:?}: {}\n{}", String::from_utf8_lossy(&out.stdout), self.log());
        out.stdout
    }

    fn json(&self, args: &[&str]) -> Vec<Value> {
        let out = String::from_utf8(self.p0(args)).unwrap();
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Everything that descends from the daemon, alive or not.
    fn descendants(&self) -> Vec<Process> {
        let all: BTreeMap<i32, (i32, u64)> =
            processes().into_iter().map(|(pid, up, start)| (pid, (up, start))).collect();
        let daemon = i32::try_from(self.daemon.id()).unwrap();
        let descends = |pid: i32| {
            let parent = |at: &i32| all.get(at).map(|(up, _)| *up);
            std::iter::successors(parent(&pid), parent).take(all.len()).any(|up| up == daemon)
        };
        all.iter().filter(|(pid, _)| descends(**pid)).map(|(pid, (_, start))| (*pid, *start)).collect()
    }

    /// Processes whose environment or command line names this place.
    fn marked(&self) -> Vec<String> {
        let mark = self.dir.as_os_str().as_encoded_bytes();
        let own = i32::try_from(self.daemon.id()).unwrap();
        let has = |pid: i32, name: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
            bytes.windows(mark.len()).any(|at| at == mark)
        };
        let found = processes().into_iter().map(|(pid, _, _)| pid).filter(|pid| *pid != own);
        found.filter(|pid| has(*pid, "environ") || has(*pid, "cmdline")).map(|pid| pid.to_string()).collect()
    }

    /// The daemon's largest memory so far, in KiB.
    fn peak_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Only where the test failed before it ended the daemon itself.
        if let Ok(None) = self.daemon.try_wait() {
            let _ = self.daemon.kill();
            let _ = self.daemon.wait();
        }
        for pid in self.marked() {
            let _ = Command::new("kill").args(["-KILL", "--", &pid]).status();
        }
    }
}

fn command(dir: &Path, program: &str) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap())
        .env("HOME", dir.join("home"))
        .env("LANG", "C.UTF-8")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("P0_DATA_DIR", dir.join("data"))
        .current_dir(dir.join("repo"))
        .stdin(Stdio::null());
    command
}

/// Every process that there is: its id, its parent's, and when it started. Zombies are among them.
fn processes() -> Vec<(i32, i32, u64)> {
    let one = |entry: fs::DirEntry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name in parentheses may hold anything: fields count from the last one.
        let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_ascii_whitespace().collect();
        Some((pid, fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
    };
    fs::read_dir("/proc").unwrap().flatten().filter_map(one).collect()
}

/// What the agent of a ticket prints to its standard output, whole.
fn printed(ticket: &str) -> String {
    let spoken =
        |when: &str| (1..=LINES).map(|n| format!("{ticket} says line {n} {when} the gate\n")).collect::<String>();
    let flood = if floods(ticket) { (1..=FLOOD).map(|n| format!("{n}\n")).collect() } else { String::new() };
    spoken("before") + &flood + &spoken("after")
}

fn floods(ticket: &str) -> bool {
    ["HIVE-1", "HIVE-2", "HIVE-3", "HIVE-4"].contains(&ticket)
}

#[test]
fn fifty_agents_at_once() {
    let place = Place::new();
    mknodat(CWD, place.note("gate"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let gate = File::options().read(true).write(true).open(place.note("gate")).unwrap();
    let spec = place.dir.join("spec.md").display().to_string();
    let mut run = command(&place.dir, env!("CARGO_BIN_EXE_p0"));
    let run = run.args(["run", &spec, "--json"]).stdout(Stdio::null());
    let mut run = run.stderr(File::create(place.dir.join("run.log")).unwrap()).spawn().unwrap();
    let tickets: Vec<String> = (1..=AGENTS).map(|n| format!("HIVE-{n}")).collect();
    place.wait_until("all are at work", || {
        assert!(run.try_wait().unwrap().is_none(), "the run ended early\n{}", place.log());
        tickets.iter().all(|ticket| place.note(ticket).exists())
    });

    let seen = place.descendants();
    assert!(seen.len() >= 2 * AGENTS, "a supervisor and a program each, not {}", seen.len());
    let spools = fs::read_dir(place.dir.join("data/attempts")).unwrap().map(|dir| dir.unwrap().path().join("stdout"));
    let kept: Vec<u64> = spools.map(|spool| fs::metadata(spool).map_or(0, |meta| meta.len())).collect();
    assert!(kept.iter().all(|bytes| *bytes <= OUTPUT_BYTES as u64), "{kept:?}");
    drop(gate);
    assert!(run.wait().unwrap().success(), "{}", place.log());

    check_tickets(&place, &tickets);
    let exits = place.json(&["audit", "log", "--json", "--kind", "attempt.exited"]);
    let reports: BTreeMap<&str, &Value> =
        exits.iter().filter_map(|exit| Some((exit["ticket"].as_str()?, &exit["data"]["report"]))).collect();
    let told = String::from_utf8(place.p0(&["audit", "log", "--kind", "attempt.exited"])).unwrap();
    for ticket in &tickets {
        check_output(&place, ticket, reports[ticket.as_str()], &told);
    }
    let orphans = (5..=8).map(|n| reports[format!("HIVE-{n}").as_str()]["orphans"].as_u64().unwrap());
    assert!(orphans.clone().all(|count| count >= 1), "{:?}", orphans.collect::<Vec<_>>());

    let left = || place.descendants();
    place.wait_until("the daemon has no children", || left().is_empty());
    let alive: Vec<Process> = processes().into_iter().map(|(pid, _, start)| (pid, start)).collect();
    let stay: Vec<&Process> = seen.iter().filter(|it| alive.contains(it)).collect();
    assert!(stay.is_empty(), "left behind, or never reaped: {stay:?}");
    assert_eq!(place.marked(), Vec::<String>::new(), "processes left behind");
    let peak = place.peak_kb();
    assert!(peak < MOST_KB, "the daemon needed {peak} KiB");
    println!("{AGENTS} at once: the daemon's peak was {} MiB", peak / 1024);
    end(place);
}

/// All landed, each with its own file and in a commit of its own.
fn check_tickets(place: &Place, tickets: &[String]) {
    let rows = place.json(&["tickets", "--json"]).remove(0);
    let states: BTreeMap<&str, &str> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["id"].as_str().unwrap(), row["status"].as_str().unwrap()))
        .collect();
    let wanted: BTreeMap<&str, &str> = tickets.iter().map(|ticket| (ticket.as_str(), "done")).collect();
    assert_eq!(states, wanted);
    let status = place.json(&["status", "--json"]).remove(0);
    let branch = format!("{}..{}", status["base"].as_str().unwrap(), status["commit"].as_str().unwrap());
    let out = command(&place.dir, "git").args(["rev-list", "--first-parent", "--count", &branch]).output().unwrap();
    assert_eq!(String::from_utf8(out.stdout).unwrap().trim(), AGENTS.to_string());
}

/// Every line exactly once and in order; of a flood, as much as fits and whole lines only.
fn check_output(place: &Place, ticket: &str, report: &Value, told: &str) {
    let whole = printed(ticket);
    let kept = String::from_utf8(place.p0(&["logs", ticket])).unwrap();
    assert_eq!(report["stdout_bytes"], whole.len(), "{ticket}: {report}");
    assert_eq!(report["truncated"], floods(ticket), "{ticket}: {report}");
    assert_eq!(report["stderr_tail"], format!("{ticket} complains\n"), "{report}");
    if !floods(ticket) {
        assert_eq!(kept, whole, "{ticket}");
        return;
    }
    assert!(whole.starts_with(&kept) && kept.ends_with('\n'), "{ticket}: something else than the beginning was kept");
    let longest = FLOOD.to_string().len() + 1;
    assert!((OUTPUT_BYTES - longest..=OUTPUT_BYTES).contains(&kept.len()), "{ticket}: {} bytes", kept.len());
    let words = format!("of its output {} of {} bytes are kept", kept.len(), whole.len());
    assert!(told.contains(&words), "{ticket}: nobody says \"{words}\":\n{told}");
}

/// Ends the daemon, which must do so cleanly; its log is whole.
fn end(mut place: Place) {
    let pid = place.daemon.id().to_string();
    assert!(Command::new("kill").args(["-TERM", "--", &pid]).status().unwrap().success());
    assert!(place.daemon.wait().unwrap().success(), "{}", place.log());
    let verified = place.json(&["audit", "verify", "--json"]).remove(0);
    assert_eq!(verified["ok"], true, "{verified}");
}
