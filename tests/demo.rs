//! The demo as a whole run: a real repository, real processes, real commits; nothing but git and sh.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at the first surprise, start processes and read the clock"
)]

use git2::{Oid, Repository, TreeWalkMode, TreeWalkResult};
use p0::{
    demo::create::{Demo, create},
    engine::{
        handle::Handle,
        start::{Engine, Environment, Options, Stop},
    },
    git::{PersonRepo, ProjectRepository},
    model::{
        actor::Actor,
        aggregate::Aggregate,
        command::{Action, StartRun},
        config::{Config, Overrides},
        id::{MilestoneId, RunId},
        record::Record,
        reply::Reply,
        run::RunState,
        spec::Spec,
        ticket::{Kind, Status},
        workflow::builtin,
    },
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

/// How long the demo may take on a loaded machine. Alone it takes about ten seconds.
const PATIENCE: Duration = Duration::from_secs(120);
const PATH: &str = "/usr/local/bin:/usr/bin:/bin";
const MILESTONE: MilestoneId = MilestoneId(uuid::Uuid::from_u128(7));
/// Tells the re-executed test binary where to work, and after which event to die.
const CHILD: &str = "P0_DEMO_TEST_CHILD";

/// The demo's repository and a data directory, gone at the end.
struct Bench {
    _dir: tempfile::TempDir,
    root: PathBuf,
    demo: Demo,
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let demo = create(&root.join("blog")).unwrap();
        Bench { _dir: dir, root, demo }
    }

    fn data(&self) -> PathBuf {
        self.root.join("data")
    }
}

fn options(data_dir: &Path, die_at: Option<u64>) -> Options {
    let path = vec![("PATH".to_owned(), PATH.to_owned())];
    Options {
        data_dir: data_dir.to_owned(),
        active: true,
        wait: Duration::from_secs(20),
        attempt_socket: None,
        supervisor: env!("CARGO_BIN_EXE_p0").into(),
        environment: Environment { agents: path.clone(), gates: path, person: Vec::new() },
        agent_env: Arc::new(|_, _| Ok(BTreeMap::new())),
        patience: Duration::from_secs(120),
        die_at,
    }
}

/// Starts the demo's run, or goes on with it, as the surface does.
async fn begin(handle: &Handle, demo: &Demo) -> RunId {
    let spec = Spec::parse(demo.spec_text.as_bytes()).unwrap();
    let path = demo.root.join(".p0/config.toml");
    let config = Config::parse(&fs::read_to_string(&path).unwrap(), &path).unwrap();
    let workflow = builtin::ralph();
    let start = StartRun {
        milestone: MILESTONE,
        key: spec.suggested_key(),
        title: spec.title.clone(),
        spec: handle.put_blob(spec.text.as_bytes()).unwrap(),
        project: demo.root.display().to_string(),
        base: PersonRepo::discover(&demo.root).unwrap().head_commit().unwrap().as_str().into(),
        base_is_explicit: false,
        settings: config.resolve(&workflow, &demo.root, &Overrides::default()).unwrap(),
        workflow,
        rules: 1,
        p0: "test".into(),
        backlog: Vec::new(),
    };
    let action = Action::StartRun(Box::new(start));
    match handle.submit(MILESTONE, Actor::Person("ada".into()), action).await.unwrap().reply {
        Reply::RunStarted { run } | Reply::RunAttached { run } | Reply::RunAlreadyDone { run } => run,
        other => panic!("{other:?}"),
    }
}

/// Waits until nothing is at work any more; the state then.
async fn settled(handle: &Handle) -> Arc<Aggregate> {
    let mut head = handle.head();
    let waiting = async {
        loop {
            let state = handle.aggregate(MILESTONE).unwrap().unwrap();
            if state.is_settled() {
                return state;
            }
            head.changed().await.unwrap();
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(state) => state,
        Err(_) => panic!("the demo does not end; its log:\n{}", told(&handle.records(0, usize::MAX).unwrap())),
    }
}

fn told(records: &[Record]) -> String {
    records.iter().map(|r| p0::views::timeline::audit_line(r) + "\n").collect()
}

fn of_kind<'a>(records: &'a [Record], kind: &str) -> Vec<&'a Record> {
    records.iter().filter(|r| r.kind == kind).collect()
}

/// Everything in the person's repository that is not p0's own: path, mode, content.
fn everything(root: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let own = [".git/objects", ".git/refs/heads/p0", ".git/refs/p0"];
    let mut found = BTreeMap::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let short = path.strip_prefix(root).unwrap().to_owned();
            if own.iter().any(|own| short == Path::new(own)) {
                continue;
            }
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = if meta.is_dir() { Vec::new() } else { fs::read(&path).unwrap() };
            found.insert(short, (meta.permissions().mode(), content));
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

fn files_of(repo: &Repository, commit: &str) -> BTreeMap<String, Vec<u8>> {
    let tree = repo.find_commit(commit.parse::<Oid>().unwrap()).unwrap().tree().unwrap();
    let mut files = BTreeMap::new();
    tree.walk(TreeWalkMode::PreOrder, |folder, entry| {
        if let Some(blob) = entry.to_object(repo).unwrap().as_blob() {
            files.insert(format!("{folder}{}", entry.name().unwrap()), blob.content().to_vec());
        }
        TreeWalkResult::Ok
    })
    .unwrap();
    files
}

/// What the playbook's executors write, the last word on each file counting, on top of what the demo begins with.
fn wanted_files(demo: &Demo) -> BTreeMap<String, Vec<u8>> {
    let repo = Repository::open(&demo.root).unwrap();
    let mut files = files_of(&repo, &repo.head().unwrap().target().unwrap().to_string());
    let book: toml::Table = fs::read_to_string(demo.root.join(".p0/playbook.toml")).unwrap().parse().unwrap();
    for scene in book["scene"].as_array().unwrap() {
        for (path, content) in scene.get("write").and_then(toml::Value::as_table).into_iter().flatten() {
            files.insert(path.clone(), content.as_str().unwrap().replace("$${", "${").into_bytes());
        }
    }
    files
}

/// Processes that have this path in their command line or environment.
fn processes_about(path: &Path) -> Vec<String> {
    let needle = path.as_os_str().as_encoded_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let pid = entry.file_name().to_string_lossy().into_owned();
        if pid == std::process::id().to_string() || !pid.bytes().all(|b| b.is_ascii_digit()) {
            continue;
        }
        let said = ["cmdline", "environ"].map(|name| fs::read(entry.path().join(name)).unwrap_or_default());
        if said.iter().any(|text| text.windows(needle.len()).any(|part| part == needle)) {
            found.push(format!("{pid}: {}", String::from_utf8_lossy(&said[0])));
        }
    }
    found
}

/// What holds at the end of every demo, however it went.
fn check_end(bench: &Bench, state: &Aggregate, run: RunId, records: &[Record]) {
    let log = told(records);
    let found = &state.runs[&run];
    assert_eq!(found.state, RunState::Done, "{log}");
    let work: Vec<_> = state.tickets.values().filter(|t| t.seed.kind != Kind::Feedback).collect();
    assert_eq!(work.len(), 8, "{log}");
    assert!(work.iter().all(|t| t.status == Status::Done && t.commit.is_some()), "{log}");

    let repo = Repository::open(&bench.demo.root).unwrap();
    let head = repo.find_reference(&format!("refs/heads/{}", found.branch)).unwrap().target().unwrap();
    assert_eq!(found.head.as_ref().unwrap().0, head.to_string());
    let mut walk = repo.revwalk().unwrap();
    walk.push(head).unwrap();
    walk.hide(repo.head().unwrap().target().unwrap()).unwrap();
    walk.simplify_first_parent().unwrap();
    let mut landed = BTreeSet::new();
    for commit in walk {
        let commit = repo.find_commit(commit.unwrap()).unwrap();
        let message = commit.message().unwrap();
        let trailer = |name: &str| {
            let lines: Vec<&str> = message.lines().filter_map(|l| l.strip_prefix(&format!("{name}: "))).collect();
            assert_eq!(lines.len(), 1, "{name} in:\n{message}");
            lines[0].to_owned()
        };
        assert_eq!(trailer("P0-Run"), run.to_string());
        trailer("P0-Attempt");
        assert!(landed.insert((trailer("P0-Ticket"), commit.id().to_string())));
    }
    let wanted: BTreeSet<_> =
        work.iter().map(|t| (t.seed.id.to_string(), t.commit.as_ref().unwrap().0.clone())).collect();
    assert_eq!(landed, wanted);

    let files = files_of(&repo, &head.to_string());
    let wanted = wanted_files(&bench.demo);
    assert_eq!(files.keys().collect::<Vec<_>>(), wanted.keys().collect::<Vec<_>>());
    for (path, content) in &files {
        assert_eq!(String::from_utf8_lossy(content), String::from_utf8_lossy(&wanted[path]), "{path}");
    }
    let result = bench.root.join("result");
    for (path, content) in &files {
        let path = result.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let tests = Command::new("sh").arg("tests/run.sh").current_dir(&result).env_clear().env("PATH", PATH).output();
    let tests = tests.unwrap();
    assert!(tests.status.success(), "{}", String::from_utf8_lossy(&tests.stdout));
}

/// Nothing is left behind: no process, no worktree in use, no spool.
fn check_nothing_left(bench: &Bench) {
    let until = Instant::now() + Duration::from_secs(10);
    let mut left = processes_about(&bench.root);
    while !left.is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(50));
        left = processes_about(&bench.root);
    }
    assert_eq!(left, Vec::<String>::new());
    let person = PersonRepo::discover(&bench.demo.root).unwrap();
    let repository = ProjectRepository::open(&bench.data().join("repos"), &person).unwrap();
    assert_eq!(repository.holders().unwrap(), Vec::<String>::new());
    let spools = fs::read_dir(bench.data().join("attempts")).map_or(0, Iterator::count);
    assert_eq!(spools, 0);
}

fn check_replay(handle: &Handle, state: &Aggregate, run: RunId) {
    let replayed = handle.replay(run, None).unwrap();
    assert_eq!(replayed.divergence, None);
    assert_eq!(replayed.digest, handle.digest(state));
}

/// The story that the demo tells, in the events of an undisturbed run.
fn check_story(state: &Aggregate, records: &[Record]) {
    let log = told(records);
    let refused = of_kind(records, "plan.refused");
    let reasons: Vec<&str> =
        refused.iter().flat_map(|r| r.data["reasons"].as_array().unwrap()).map(|r| r.as_str().unwrap()).collect();
    assert_eq!((refused.len(), reasons.len()), (1, 1), "{log}");
    for word in ["'lib/list.sh'", "BLOG-3", "BLOG-4"] {
        assert!(reasons[0].contains(word), "{}", reasons[0]);
    }
    let failed = of_kind(records, "gate.failed");
    assert_eq!(failed.len(), 1, "{log}");
    assert!(failed[0].data["tail"].as_str().unwrap().contains("not ok"), "{}", failed[0].data);
    let words = failed[0].ticket.as_ref().unwrap();
    assert_eq!(state.tickets[words].attempts.len(), 2);
    let filed = of_kind(records, "feedback.filed");
    assert_eq!(filed.len(), 1, "{log}");
    assert_eq!(filed[0].data["ticket"]["priority"], Value::from("high"));
    let finding = &state.tickets[filed[0].ticket.as_ref().unwrap()];
    assert_eq!(finding.status, Status::Done);
    let fix = state.tickets.values().find(|t| t.seed.kind == Kind::Fix).unwrap();
    assert!(fix.seed.closes.contains(&finding.seed.id) && fix.seed.files.cover("lib/new.sh"));
    let verdicts: Vec<bool> =
        of_kind(records, "verdict.issued").iter().map(|r| r.data["met"].as_bool().unwrap()).collect();
    assert_eq!(verdicts, [true, true], "{log}");
    assert_eq!(of_kind(records, "run.iteration_started").len(), 3, "{log}");
    assert_eq!(of_kind(records, "learning.recorded").len(), 2, "{log}");
    for kind in ["integration.conflicted", "ownership.violated", "rights.refused", "attempt.lost", "result.ignored"] {
        assert_eq!(of_kind(records, kind).len(), 0, "{kind} in\n{log}");
    }
    let sound = |r: &&Record| r.data["report"]["malformed_lines"] == 0 && r.data["report"]["ending"]["code"] == 0;
    assert!(of_kind(records, "attempt.exited").iter().all(sound), "{log}");
    assert!(executors_side_by_side(records) >= 2, "{log}");
}

/// The most executors that were at work at one moment.
fn executors_side_by_side(records: &[Record]) -> usize {
    let executors: BTreeSet<_> = of_kind(records, "attempt.started")
        .into_iter()
        .filter(|r| r.data["role"] == "executor")
        .map(|r| r.attempt)
        .collect();
    let (mut now, mut most) = (0, 0);
    for record in records.iter().filter(|r| executors.contains(&r.attempt)) {
        match record.kind.as_str() {
            "attempt.spawned" => now += 1,
            "attempt.exited" => now -= 1,
            _ => {}
        }
        most = most.max(now);
    }
    most
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_whole_demo() {
    let bench = Bench::new();
    let before = everything(&bench.demo.root);
    let started = Instant::now();
    let engine = Engine::start(options(&bench.data(), None)).await.unwrap();
    let handle = engine.handle();
    let run = begin(&handle, &bench.demo).await;
    let state = settled(&handle).await;
    let took = started.elapsed();
    let records = handle.records(0, usize::MAX).unwrap();
    check_end(&bench, &state, run, &records);
    check_story(&state, &records);
    check_replay(&handle, &state, run);
    engine.stop(Stop::Drain(Duration::from_secs(5))).await;
    check_nothing_left(&bench);
    let after = everything(&bench.demo.root);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    assert!(before == after, "the person's repository was changed");
    assert!(took < Duration::from_secs(30), "the demo took {took:?}");
}

/// No test of its own: the process that `killed_again_and_again` kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_that_dies() {
    let Ok(orders) = std::env::var(CHILD) else { return };
    let (die_at, root) = orders.split_once(' ').unwrap();
    let root = Path::new(root);
    let demo = create(&root.join("blog")).unwrap();
    let engine = Engine::start(options(&root.join("data"), die_at.parse().ok())).await.unwrap();
    begin(&engine.handle(), &demo).await;
    settled(&engine.handle()).await;
}

/// The engine dies (SIGKILL, at an event's commit, agents left at work), starts again, dies again; in the end the same
/// files have landed, each once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_again_and_again() {
    let bench = Bench::new();
    let before = everything(&bench.demo.root);
    for die_at in [12, 45, 75, 110, 150, 200] {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child_that_dies", "--nocapture"])
            .env(CHILD, format!("{die_at} {}", bench.root.display()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(child.signal(), Some(9), "it was to die at event {die_at}, and: {child}");
    }
    let engine = Engine::start(options(&bench.data(), None)).await.unwrap();
    let handle = engine.handle();
    let run = begin(&handle, &bench.demo).await;
    let state = settled(&handle).await;
    let records = handle.records(0, usize::MAX).unwrap();
    check_end(&bench, &state, run, &records);
    check_replay(&handle, &state, run);
    engine.stop(Stop::Drain(Duration::from_secs(5))).await;
    check_nothing_left(&bench);
    assert!(before == everything(&bench.demo.root), "the person's repository was changed");
}
