//! Fifty agents at once, carried out by the daemon `p0d` with everything it does by default.
//!
//! **Dispatch** is the moment of `attempt.started`: the engine has decided that this agent begins now. Its time is read
//! before its frame is made durable, and cut to the millisecond: both make the figure larger, never smaller.
//! **Running** is the first word of the agent's program, read from a named pipe. **At once**: all fifty are alive, each
//! waits at a second pipe until the bench lets one go on.
use super::{Case, Group, is_wanted, repo::Repo};
use p0::git::{PersonRepo, ProjectRepository, Safe};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        mpsc::{self, Receiver},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

/// Agents at once.
const AGENTS: usize = 50;
/// Agents that take the place of one that ended, in each round of the steady state.
const REPLACED: usize = 50;
const ROUNDS: usize = 5;
/// How long the next word may take before the bench gives up.
const PATIENCE: Duration = Duration::from_secs(120);

/// What the daemon tells: that it serves, and how long each worktree took.
const LOG: &str = "warn,p0::surface=info,p0::engine::world::spawn=debug";

const SHELL: &str = "sh alone";
const BY_HAND: &str = "git worktree add + sh";
const TREE: &str = "p0's worktree alone";
const P0: &str = "p0: dispatch → agent runs";

/// A word that a program said into the pipe.
pub(crate) struct Word {
    /// The word.
    pub(crate) text: String,
    /// When it was read.
    pub(crate) at: Instant,
    /// The same by the wall clock, in seconds.
    pub(crate) second: f64,
}

/// Makes the pipe and reads it for as long as the bench lasts.
pub(crate) fn listen(path: &Path) -> Receiver<Word> {
    let pipe = pipe(path);
    let (said, heard) = mpsc::channel();
    std::thread::spawn(move || {
        for text in BufReader::new(pipe).lines().map_while(Result::ok) {
            let (at, now) = (Instant::now(), SystemTime::now());
            let word = Word { text, at, second: now.duration_since(UNIX_EPOCH).unwrap().as_secs_f64() };
            if said.send(word).is_err() {
                return;
            }
        }
    });
    heard
}

/// A named pipe, open for reading and writing: so it does not end between two programs.
fn pipe(path: &Path) -> File {
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

/// Plays every role. An executor says its word, waits until one more may go on, and writes its file. Nothing in it
/// starts another process, except the plan's `cat`.
const AGENT: &str = r#"
case $P0_ROLE in
planner)
    read -r input
    case $input in
    *'"iteration":1,'*) cat "$T_PLANS/next"
        echo '{"type":"decision","decision":"continue","reason":"work"}' ;;
    *) echo '{"type":"decision","decision":"done","reason":"all landed"}' ;;
    esac ;;
executor)
    echo "$P0_TICKET" >"$T_PIPES/word"
    read -r word <"$T_PIPES/gate"
    echo "$P0_TICKET" >"$P0_TICKET.txt" ;;
verifier) echo '{"type":"verdict","met":true,"rationale":"nothing was asked for"}' ;;
esac
"#;

/// The daemon, with the repository it works on.
struct Swarm<'a> {
    dir: &'a Path,
    repo: &'a Repo,
    daemon: Child,
    gate: File,
    heard: &'a Receiver<Word>,
    runs: usize,
    /// The largest memory of the supervisors while all agents were alive, in KiB.
    supervisors_kb: u64,
    /// Seconds of each dispatch without the time that its own worktree took.
    without_tree: Vec<f64>,
}

/// From the decision to the first word.
struct Dispatch {
    seconds: f64,
    /// Of them, making the worktree.
    tree: f64,
}

impl<'a> Swarm<'a> {
    fn new(dir: &'a Path, repo: &'a Repo, pipes: &Path, heard: &'a Receiver<Word>) -> Swarm<'a> {
        fs::create_dir(dir.join("plans")).unwrap();
        fs::create_dir_all(repo.root.join(".p0")).unwrap();
        let agent = dir.join("swarm.sh");
        fs::write(&agent, AGENT).unwrap();
        let config = format!(
            "[agents.t]\nkind = 'command'\ncommand = ['sh', '{}']\nenv = {{ T_PLANS = '{}', T_PIPES = '{}' }}\n\
             sandbox = {{ write = ['{}'] }}\n[limits]\nmax_parallel = {AGENTS}\n",
            agent.display(),
            dir.join("plans").display(),
            pipes.display(),
            pipes.display(),
        );
        fs::write(repo.root.join(".p0/config.toml"), config).unwrap();
        let gate = pipe(&pipes.join("gate"));
        let log = File::create(dir.join("p0d.log")).unwrap();
        let daemon = command(dir, repo, env!("CARGO_BIN_EXE_p0d")).env("P0_LOG", LOG).stderr(log).spawn().unwrap();
        let swarm = Swarm { dir, repo, daemon, gate, heard, runs: 0, supervisors_kb: 0, without_tree: Vec::new() };
        let serves = || fs::read_to_string(dir.join("p0d.log")).unwrap().contains("serving");
        while !serves() {
            std::thread::sleep(Duration::from_millis(20));
        }
        swarm
    }

    /// Starts a run of so many tickets, none of which waits for another. Its key, and the process that follows it.
    fn start(&mut self, tickets: usize) -> (String, Child) {
        self.runs += 1;
        let key = format!("S{}", self.runs);
        let ticket = |n: usize| {
            let files = json!({"create": [format!("{key}-{n}.txt")], "modify": []});
            json!({"type": "ticket", "key": format!("t{n}"), "title": format!("Ticket {n}"), "files": files})
        };
        let plan: String = (1..=tickets).map(|n| format!("{}\n", ticket(n))).collect();
        fs::write(self.dir.join("plans/next"), plan).unwrap();
        let spec = self.dir.join(format!("{key}.md"));
        fs::write(&spec, format!("---\nkey: {key}\n---\n# Bench {key}\n\nDo nothing, often.\n")).unwrap();
        let mut run = command(self.dir, self.repo, env!("CARGO_BIN_EXE_p0"));
        let run = run.arg("run").arg(&spec).arg("--json").stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        (key, run)
    }

    /// Hears so many agents begin: ticket and second.
    fn hear(&self, count: usize, words: &mut BTreeMap<String, f64>) {
        for _ in 0..count {
            let word = self.heard.recv_timeout(PATIENCE).expect("an agent that begins");
            words.insert(word.text, word.second);
        }
    }

    /// Lets so many go on: each reads one line, byte by byte.
    fn let_go(&mut self, count: usize) {
        for _ in 0..count {
            self.gate.write_all(b"\n").unwrap();
        }
    }

    /// How long the worktree of each attempt took, in seconds.
    fn trees(&self) -> BTreeMap<String, f64> {
        let log = fs::read_to_string(self.dir.join("p0d.log")).unwrap();
        let tree = |line: &str| {
            let (attempt, rest) = line.split_once("attempt ")?.1.split_once(" has its worktree after ")?;
            Some((attempt.to_owned(), rest.strip_suffix(" us")?.parse::<f64>().ok()? / 1e6))
        };
        log.lines().filter_map(tree).collect()
    }

    /// Waits for the end of a run; each dispatch, by the number of the ticket.
    fn finish(&self, key: &str, mut run: Child, words: &BTreeMap<String, f64>) -> BTreeMap<usize, Dispatch> {
        assert!(run.wait().unwrap().success(), "the run of the bench is not done");
        let mut log = command(self.dir, self.repo, env!("CARGO_BIN_EXE_p0"));
        let out = log.args(["audit", "log", "--json", "--kind", "attempt.started"]).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let trees = self.trees();
        let dispatched = records.filter_map(|record| {
            let ticket = record["ticket"].as_str()?.to_owned();
            let number = ticket.strip_prefix(key)?.strip_prefix('-')?.parse().ok()?;
            let at: chrono::DateTime<chrono::Utc> = record["at"].as_str()?.parse().ok()?;
            let tree = trees[record["attempt"].as_str()?];
            Some((number, Dispatch { seconds: words[&ticket] - at.timestamp_millis() as f64 / 1e3, tree }))
        });
        dispatched.collect()
    }

    /// All begin in the same instant: the frame that applies the plan starts every one of them.
    fn burst(&mut self) -> Vec<f64> {
        let (key, run) = self.start(AGENTS);
        let mut words = BTreeMap::new();
        self.hear(AGENTS, &mut words);
        self.supervisors_kb = self.supervisors_kb.max(self.supervisors());
        self.let_go(AGENTS);
        let took = self.finish(&key, run, &words);
        self.note(took.into_values())
    }

    /// Keeps what a dispatch takes without its worktree; the seconds of each.
    fn note(&mut self, took: impl Iterator<Item = Dispatch>) -> Vec<f64> {
        let took: Vec<Dispatch> = took.collect();
        self.without_tree.extend(took.iter().map(|it| it.seconds - it.tree));
        took.into_iter().map(|it| it.seconds).collect()
    }

    /// All places are taken; one agent ends, and another takes its place.
    fn steady(&mut self) -> Vec<f64> {
        let (key, run) = self.start(AGENTS + REPLACED);
        let mut words = BTreeMap::new();
        self.hear(AGENTS, &mut words);
        let first: Vec<String> = words.keys().cloned().collect();
        for _ in 0..REPLACED {
            self.let_go(1);
            self.hear(1, &mut words);
        }
        self.let_go(AGENTS);
        let took = self.finish(&key, run, &words);
        let is_first = |number: &usize| first.contains(&format!("{key}-{number}"));
        self.note(took.into_iter().filter(|(number, _)| !is_first(number)).map(|(_, took)| took))
    }

    /// The memory of all supervisors that live now, shared pages counted once, in KiB.
    fn supervisors(&self) -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.daemon.id())).unwrap();
        let children = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        let pids: String = threads.map(|thread| children(thread.unwrap())).collect();
        pids.split_whitespace().map(|pid| field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")).sum()
    }

    fn end(mut self) {
        let peak = field(&format!("/proc/{}/status", self.daemon.id()), "VmHWM:");
        println!(
            "\nThe daemon's peak memory: {} MiB; that of {AGENTS} supervisors: {} MiB.",
            peak / 1024,
            self.supervisors_kb / 1024
        );
        Command::new("kill").arg(self.daemon.id().to_string()).status().unwrap();
        self.daemon.wait().unwrap();
    }
}

/// A number of KiB in one of the kernel's files.
fn field(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(name));
    found.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default()
}

fn command(dir: &Path, repo: &Repo, program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var("PATH").unwrap()).env("HOME", dir).env("LANG", "C.UTF-8");
    command.env("P0_DATA_DIR", dir.join("swarm")).current_dir(&repo.root).stdin(Stdio::null());
    command
}

/// Starts the shell that says a word, and lets it end.
fn shell(word: &Path, cwd: &Path) {
    let status = Command::new("sh").args(["-c", "echo word >\"$0\""]).arg(word).current_dir(cwd).status().unwrap();
    assert!(status.success());
}

/// Does something in as many threads as there are agents, at the same moment; the seconds until each of them spoke.
fn at_once(heard: &Receiver<Word>, work: impl Fn(usize) + Sync) -> Vec<f64> {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for n in 0..AGENTS {
            let work = &work;
            scope.spawn(move || work(n));
        }
        (0..AGENTS).map(|_| (heard.recv_timeout(PATIENCE).unwrap().at - start).as_secs_f64()).collect()
    })
}

/// What is done by hand in p0's place.
struct Hand<'a> {
    repo: &'a Repo,
    word: &'a Path,
    trees: PathBuf,
}

impl Hand<'_> {
    fn tree(&self, n: usize) -> String {
        self.trees.join(n.to_string()).display().to_string()
    }

    fn add(&self, n: usize) {
        self.repo.git(&["worktree", "add", "-q", "--detach", &self.tree(n), &self.repo.head]);
    }

    fn remove(&self, n: usize) {
        self.repo.git(&["worktree", "remove", "--force", &self.tree(n)]);
    }

    fn burst(&self, heard: &Receiver<Word>) -> Vec<f64> {
        // One after the other: `git worktree add` trips over another one that runs in the same repository.
        let turn = Mutex::new(());
        let took = at_once(heard, |n| {
            let own = turn.lock();
            self.add(n);
            drop(own);
            shell(self.word, self.tree(n).as_ref());
        });
        (0..AGENTS).for_each(|n| self.remove(n));
        took
    }

    fn one_by_one(&self, heard: &Receiver<Word>) -> Vec<f64> {
        let one = |_| {
            let start = Instant::now();
            self.add(0);
            shell(self.word, self.tree(0).as_ref());
            let took = (heard.recv().unwrap().at - start).as_secs_f64();
            self.remove(0);
            took
        };
        (0..REPLACED).map(one).collect()
    }
}

/// The engine's own worktrees, without an engine: a part of what `dispatch` takes.
struct Trees<'a> {
    repository: ProjectRepository,
    head: &'a str,
}

impl Trees<'_> {
    /// As many at the same moment as agents; the seconds until each is there.
    fn burst(&self) -> Vec<f64> {
        let start = Instant::now();
        let one = |n: usize| {
            self.repository.checkout(&format!("b{n}"), self.head).unwrap();
            start.elapsed().as_secs_f64()
        };
        let took = std::thread::scope(|scope| {
            let all: Vec<_> = (0..AGENTS).map(|n| scope.spawn(move || one(n))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        (0..AGENTS).for_each(|n| self.repository.release(&format!("b{n}"), Safe::NothingChanged).unwrap());
        self.repository.prune_pool(8).unwrap();
        took
    }

    fn one_by_one(&self) -> Vec<f64> {
        let one = |n: usize| {
            let (start, holder) = (Instant::now(), format!("o{n}"));
            self.repository.checkout(&holder, self.head).unwrap();
            let took = start.elapsed().as_secs_f64();
            self.repository.release(&holder, Safe::NothingChanged).unwrap();
            took
        };
        (0..REPLACED).map(one).collect()
    }
}

/// Measures and prints both: the burst, and the steady state.
pub(crate) fn measure(dir: &Path, repo: &Repo, word: &Path, heard: &Receiver<Word>) {
    let mut swarm = Swarm::new(dir, repo, word.parent().unwrap(), heard);
    let hand = Hand { repo, word, trees: dir.join("trees") };
    let person = PersonRepo::discover(&repo.root).unwrap();
    let trees = Trees { repository: ProjectRepository::open(&dir.join("alone"), &person).unwrap(), head: &repo.head };
    if is_wanted("burst") {
        let cases = vec![
            Case::new(SHELL, &[], || at_once(heard, |_| shell(word, &repo.root))),
            Case::new(BY_HAND, &[SHELL], || hand.burst(heard)),
            Case::new(TREE, &[BY_HAND], || trees.burst()),
            Case::new(P0, &[BY_HAND, TREE], || swarm.burst()),
        ];
        let title = "50 agents that begin in the same instant, on a repository of 100 files";
        let medians = Group { title, unit: "dispatch", rounds: ROUNDS, cases }.measure();
        told(&medians, &mut swarm);
    }
    if is_wanted("steady") {
        let cases = vec![
            Case::new(SHELL, &[], || {
                let one = |_| {
                    let start = Instant::now();
                    shell(word, &repo.root);
                    (heard.recv().unwrap().at - start).as_secs_f64()
                };
                (0..REPLACED).map(one).collect()
            }),
            Case::new(BY_HAND, &[SHELL], || hand.one_by_one(heard)),
            Case::new(TREE, &[BY_HAND], || trees.one_by_one()),
            Case::new(P0, &[BY_HAND, TREE], || swarm.steady()),
        ];
        let title = "50 agents alive, and each that ends is replaced, on a repository of 100 files";
        let medians = Group { title, unit: "dispatch", rounds: ROUNDS, cases }.measure();
        told(&medians, &mut swarm);
    }
    swarm.end();
}

/// What is left of a dispatch without its worktree: without its own, under the same load; without one that git makes.
fn told(medians: &BTreeMap<&'static str, f64>, swarm: &mut Swarm<'_>) {
    let mut rest = std::mem::take(&mut swarm.without_tree);
    rest.sort_by(f64::total_cmp);
    println!(
        "\np50 of a dispatch without its worktree: {:.1} ms. The whole dispatch takes {:.1} ms, `{BY_HAND}` {:.1} ms.",
        rest[rest.len() / 2] * 1e3,
        medians[P0] * 1e3,
        medians[BY_HAND] * 1e3
    );
}
