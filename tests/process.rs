//! The process room with the real binary: every way in which a program, its supervisor or the engine can misbehave.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at the first surprise, start processes and read the clock"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use p0::model::sandbox::{Network, Rlimits};
use p0::process::{
    AgentSpec, AttemptDir, Cursor, Ending, Error, ExitRecord, Found, follow, kill_now, launch, look, prepare,
    read_lines, run_to_end, start, stop, sweep_orphans, wait,
};
use p0::sandbox::Confine;
use p0::system::shortage::Shortage;

/// How long anything in here may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn p0() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_p0"))
}

/// A folder of attempts; every path in it is gone with it.
struct Bench {
    root: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    fn attempts(&self) -> PathBuf {
        self.root.path().join("attempts")
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.attempts().join(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn spec(&self, argv: &[&str]) -> AgentSpec {
        let path = "/usr/local/bin:/usr/bin:/bin".to_owned();
        AgentSpec {
            argv: argv.iter().map(|it| (*it).to_owned()).collect(),
            cwd: self.root.path().to_path_buf(),
            env: BTreeMap::from([("PATH".to_owned(), path)]),
            wall_limit_ms: 60_000,
            idle_limit_ms: None,
            grace_ms: 5_000,
            stdout_limit: 1 << 20,
            stderr_limit: 1 << 20,
            keeps_messages: false,
            nonce: uuid::Uuid::now_v7().to_string(),
            confine: None,
            secrets: Vec::new(),
            secret_patterns: Vec::new(),
            hidden: BTreeMap::new(),
            logins: BTreeMap::new(),
        }
    }

    fn sh(&self, script: &str) -> AgentSpec {
        self.spec(&["sh", "-c", script])
    }

    async fn run(&self, spec: &AgentSpec) -> (ExitRecord, String, String) {
        let dir = self.dir(&spec.nonce);
        let record = within(run_to_end(p0(), &dir, spec, b"")).await.unwrap();
        let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
        (record, read(AttemptDir::new(&dir).stdout()), read(AttemptDir::new(&dir).stderr()))
    }

    async fn started(&self, name: &str, spec: &AgentSpec) -> PathBuf {
        let dir = self.dir(name);
        prepare(&dir, spec, b"").unwrap();
        within(launch(p0(), &dir)).await.unwrap().go.go().unwrap();
        dir
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("took longer than any loaded machine needs")
}

/// Waits for a condition on the world, which has no other way to tell.
fn until(what: &str, condition: impl Fn() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn pid_in(file: &Path) -> i32 {
    let read = || fs::read_to_string(file).ok().filter(|it| it.ends_with('\n'));
    until("a pid is written", || read().is_some());
    read().unwrap().trim().parse().unwrap()
}

fn state_of(pid: i32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

fn is_alive(pid: i32) -> bool {
    state_of(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

fn signal(pid: i32, signal: rustix::process::Signal) {
    rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
}

fn ended(found: Found) -> ExitRecord {
    match found {
        Found::Ended(record) => record,
        other => panic!("expected an end, found {other:?}"),
    }
}

fn supervisor(dir: &Path) -> i32 {
    match look(dir).unwrap() {
        Found::Running(running) => running.pid,
        other => panic!("expected a running program, found {other:?}"),
    }
}

#[tokio::test]
async fn a_program_gets_its_input_its_environment_and_nothing_else() {
    let bench = Bench::new();
    let mut spec =
        bench.sh("cat; echo; env | grep -v -e ^PWD= -e ^SHLVL= -e ^_= -e ^OLDPWD= | sort; pwd; echo no >&2; exit 7");
    spec.env.insert("KEY".into(), "value with spaces".into());
    let dir = bench.dir("a");
    let record = within(run_to_end(p0(), &dir, &spec, b"hello")).await.unwrap();
    assert_eq!(record.ending, Ending::Exited { code: 7 });
    let place = AttemptDir::new(&dir);
    let cwd = fs::canonicalize(bench.root.path()).unwrap();
    let expected = format!(
        "hello\nKEY=value with spaces\nP0_ATTEMPT_MARK={}\nPATH=/usr/local/bin:/usr/bin:/bin\n{}\n",
        spec.nonce,
        cwd.display()
    );
    assert_eq!(fs::read_to_string(place.stdout()).unwrap(), expected);
    assert_eq!(fs::read_to_string(place.stderr()).unwrap(), "no\n");
    assert_eq!(
        (record.stdout_bytes, record.stdout_kept, record.stderr_bytes),
        (expected.len() as u64, expected.len() as u64, 3)
    );
    assert_eq!((record.truncated, record.orphans, record.survivors), (false, 0, 0));
    assert!(record.started_at_ms.is_some());
    assert_eq!(fs::read_to_string(place.supervisor_log()).unwrap(), "");
    assert_eq!(fs::metadata(place.spec()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_program_runs_in_a_group_and_session_apart_from_the_engine() {
    let bench = Bench::new();
    let (record, out, _) = bench.run(&bench.sh("cut -d' ' -f1,5,6 /proc/$$/stat")).await;
    assert_eq!(record.ending, Ending::Exited { code: 0 });
    let ids: Vec<i32> = out.split_whitespace().map(|it| it.parse().unwrap()).collect();
    assert_eq!(ids[0], ids[1], "its own process group");
    // Read, not asked with getsid(2): where the session's leader is outside our pid namespace it is 0, which is no pid.
    let ours = fs::read_to_string("/proc/self/stat").unwrap();
    let session = ours.rsplit(')').next().unwrap().split_whitespace().nth(3).unwrap();
    assert_ne!(ids[2].to_string(), session, "not the engine's session");
}

#[tokio::test]
async fn a_program_that_cannot_start_is_a_sentence() {
    let bench = Bench::new();
    let plain = bench.file("plain.txt");
    fs::write(&plain, "x").unwrap();
    let garbage = bench.file("garbage");
    fs::write(&garbage, [0x7f, b'E', 0, 1, 2]).unwrap();
    fs::set_permissions(&garbage, fs::Permissions::from_mode(0o755)).unwrap();
    let mut nowhere = bench.sh("true");
    nowhere.cwd = bench.file("nowhere");
    for (spec, word) in [
        (bench.spec(&["no-such-program-anywhere"]), "not found"),
        (bench.spec(&["/no/such/program"]), "not found"),
        (bench.spec(&[plain.to_str().unwrap()]), "executable"),
        (bench.spec(&[garbage.to_str().unwrap()]), "cannot be started"),
        (bench.spec(&[]), "empty"),
        (nowhere, "working directory"),
    ] {
        let (record, ..) = bench.run(&spec).await;
        let Ending::NotStarted { why } = record.ending else { panic!("{:?} started: {record:?}", spec.argv) };
        assert!(why.contains(word), "{why}");
    }
}

#[tokio::test]
async fn a_program_that_does_nothing_ends_well() {
    let bench = Bench::new();
    let (record, out, err) = bench.run(&bench.spec(&["true"])).await;
    assert_eq!((record.ending, out.as_str(), err.as_str()), (Ending::Exited { code: 0 }, "", ""));
}

#[tokio::test]
async fn a_program_that_dies_of_a_signal_says_which() {
    let bench = Bench::new();
    let (record, ..) = bench.run(&bench.sh("kill -SEGV $$")).await;
    assert_eq!(record.ending, Ending::Signaled { signal: 11 });
}

#[tokio::test]
async fn the_wall_limit_ends_what_never_ends() {
    let bench = Bench::new();
    let mut spec = bench.sh("while :; do echo alive; sleep 0.01; done");
    spec.wall_limit_ms = 300;
    spec.idle_limit_ms = Some(20_000);
    let (record, out, _) = bench.run(&spec).await;
    assert_eq!(record.ending, Ending::TimedOut { limit_ms: 300 });
    assert!(record.wall_ms >= 300 && record.wall_ms < 20_000, "{record:?}");
    assert!(out.starts_with("alive\n"));
}

#[tokio::test]
async fn silence_is_ended_at_the_idle_limit_and_output_puts_it_off() {
    let bench = Bench::new();
    let mut spec = bench.sh("for i in 1 2 3 4; do sleep 0.2; echo $i >&2; done; sleep 1000");
    spec.idle_limit_ms = Some(700);
    let (record, _, err) = bench.run(&spec).await;
    assert_eq!(record.ending, Ending::Idle { limit_ms: 700 });
    assert_eq!(err, "1\n2\n3\n4\n");
}

/// A question that nobody takes back lasts until its time is over, not for ever.
#[tokio::test]
async fn waiting_for_a_person_is_not_silence() {
    let bench = Bench::new();
    let mut spec = bench.sh("sleep 2; echo answered");
    spec.idle_limit_ms = Some(400);
    let place = AttemptDir::new(&bench.dir(&spec.nonce));
    place.note_asking("A-1", Duration::MAX).unwrap();
    place.note_asking("A-2", Duration::ZERO).unwrap();
    let (record, out, _) = bench.run(&spec).await;
    assert_eq!((record.ending, out.as_str()), (Ending::Exited { code: 0 }, "answered\n"));
    let mut spec = bench.sh("sleep 1000");
    spec.idle_limit_ms = Some(400);
    let place = AttemptDir::new(&bench.dir(&spec.nonce));
    place.note_asking("A-1", Duration::MAX).unwrap();
    place.forget_asking("A-1");
    let (record, _, _) = bench.run(&spec).await;
    assert_eq!(record.ending, Ending::Idle { limit_ms: 400 });
}

#[tokio::test]
async fn a_flood_is_bounded_on_disk_and_never_blocks() {
    let bench = Bench::new();
    let mut spec = bench.sh("yes 0123456789 | head -c 200000000; echo done >&2");
    spec.stdout_limit = 100_000;
    let (record, out, err) = bench.run(&spec).await;
    assert_eq!((record.ending.clone(), err.as_str()), (Ending::Exited { code: 0 }, "done\n"));
    assert_eq!((record.stdout_bytes, record.truncated), (200_000_000, true));
    assert_eq!(record.stdout_kept, out.len() as u64);
    assert_eq!(out.len(), 100_000 / 11 * 11, "the last line kept is whole");
}

#[tokio::test]
async fn half_a_line_is_kept_and_handed_on_at_the_end() {
    let bench = Bench::new();
    let spec = bench.sh("printf 'whole\\nhal'");
    let (record, out, _) = bench.run(&spec).await;
    assert_eq!((record.ending, out.as_str()), (Ending::Exited { code: 0 }, "whole\nhal"));
    let path = AttemptDir::new(&bench.dir(&spec.nonce)).stdout();
    let (lines, at) = read_lines(&path, Cursor::default(), 1000, false).unwrap();
    assert_eq!(lines.len(), 1);
    let (lines, _) = read_lines(&path, at, 1000, true).unwrap();
    assert!(lines[0].half && lines[0].bytes == b"hal");
}

#[tokio::test]
async fn children_that_outlive_the_program_are_ended_and_counted() {
    let bench = Bench::new();
    let (plain, escaped) = (bench.file("plain"), bench.file("escaped"));
    // The second leaves the session, the group and its parent, cleans its environment, and keeps stdout open.
    let script = format!(
        "sleep 1000 & echo $! > {plain}; (setsid env -i sh -c 'echo $$ > {escaped}; exec /bin/sleep 1000' &) ; \
         while ! [ -s {escaped} ]; do sleep 0.01; done; exit 3",
        plain = plain.display(),
        escaped = escaped.display()
    );
    let (record, ..) = bench.run(&bench.sh(&script)).await;
    assert_eq!((record.ending, record.orphans, record.survivors), (Ending::Exited { code: 3 }, 2, 0));
    assert!(!is_alive(pid_in(&plain)) && !is_alive(pid_in(&escaped)));
}

#[tokio::test]
async fn a_child_that_ignores_term_is_killed_after_the_grace() {
    let bench = Bench::new();
    let pid = bench.file("pid");
    let script = format!(
        "(trap '' TERM; sh -c 'echo $PPID' > {0}; while :; do sleep 1; done) & \
                          while ! [ -s {0} ]; do sleep 0.01; done",
        pid.display()
    );
    let mut spec = bench.sh(&script);
    spec.grace_ms = 200;
    let (record, ..) = bench.run(&spec).await;
    assert_eq!(record.ending, Ending::Exited { code: 0 });
    assert!(record.orphans >= 1, "{record:?}");
    assert!(!is_alive(pid_in(&pid)));
}

#[tokio::test]
async fn stop_is_polite_first() {
    let bench = Bench::new();
    let spec = bench.sh("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    let dir = bench.started("a", &spec).await;
    let out = AttemptDir::new(&dir).stdout();
    until("the trap is set", || fs::read(&out).is_ok_and(|it| it == b"ready\n"));
    within(stop(&dir)).await.unwrap();
    let record = ended(look(&dir).unwrap());
    assert_eq!((record.ending, record.orphans), (Ending::Stopped, 0));
    assert_eq!(fs::read_to_string(out).unwrap(), "ready\nbye\n");
    within(stop(&dir)).await.unwrap();
}

#[tokio::test]
async fn stop_is_forceful_in_the_end() {
    let bench = Bench::new();
    let mut spec = bench.sh("trap '' TERM; echo ready; while :; do sleep 0.05; done");
    spec.grace_ms = 200;
    let dir = bench.started("a", &spec).await;
    let out = AttemptDir::new(&dir).stdout();
    until("the trap is set", || fs::read(&out).is_ok_and(|it| it == b"ready\n"));
    within(stop(&dir)).await.unwrap();
    assert_eq!(ended(look(&dir).unwrap()).ending, Ending::Stopped);
}

#[tokio::test]
async fn stop_gets_past_a_supervisor_that_does_not_answer() {
    let bench = Bench::new();
    let pid = bench.file("pid");
    let mut spec = bench.sh(&format!("echo $$ > {}; exec sleep 1000", pid.display()));
    spec.grace_ms = 100;
    let dir = bench.started("a", &spec).await;
    let program = pid_in(&pid);
    signal(supervisor(&dir), rustix::process::Signal::STOP);
    within(stop(&dir)).await.unwrap();
    assert!(!is_alive(program));
    assert!(matches!(look(&dir).unwrap(), Found::Lost { .. }));
}

#[tokio::test]
async fn without_go_nothing_runs_and_the_directory_can_be_used_again() {
    let bench = Bench::new();
    let (dir, proof) = (bench.dir("a"), bench.file("proof"));
    let spec = bench.sh(&format!("echo ran > {}", proof.display()));
    assert_eq!(look(&dir).unwrap(), Found::NeverRan);
    prepare(&dir, &spec, b"").unwrap();
    prepare(&dir, &spec, b"").unwrap();
    let launched = within(launch(p0(), &dir)).await.unwrap();
    assert!(matches!(look(&dir).unwrap(), Found::Waiting(running) if running.pid == launched.pid));
    assert!(matches!(prepare(&dir, &spec, b""), Err(Error::Occupied { .. })));
    let pid = launched.pid;
    drop(launched);
    assert_eq!(look(&dir).unwrap(), Found::NeverRan);
    assert_eq!(within(wait(&dir)).await.unwrap(), Found::NeverRan);
    assert_eq!(state_of(pid), None, "no zombie is left");
    assert!(!proof.exists() && !AttemptDir::new(&dir).stdout().exists());

    assert_eq!(within(run_to_end(p0(), &dir, &spec, b"")).await.unwrap().ending, Ending::Exited { code: 0 });
    assert!(proof.exists());
    assert!(matches!(prepare(&dir, &spec, b""), Err(Error::AlreadyBegan { .. })));
}

#[tokio::test]
async fn stop_ends_a_supervisor_that_still_waits() {
    let bench = Bench::new();
    let dir = bench.dir("a");
    prepare(&dir, &bench.spec(&["true"]), b"").unwrap();
    let launched = within(launch(p0(), &dir)).await.unwrap();
    within(stop(&dir)).await.unwrap();
    assert_eq!(look(&dir).unwrap(), Found::NeverRan);
    assert!(matches!(launched.go.go(), Err(Error::GoneBeforeGo { .. })));
}

#[tokio::test]
async fn a_supervisor_whose_attempt_is_never_prepared_leaves_nothing() {
    let bench = Bench::new();
    let dir = bench.dir("a");
    let started = start(p0(), &dir).unwrap();
    until("it has its directory", || dir.join("lock").exists());
    assert_eq!(look(&dir).unwrap(), Found::NeverRan, "nobody has reported himself");
    drop(started);
    assert_eq!(
        within(run_to_end(p0(), &dir, &bench.spec(&["true"]), b"")).await.unwrap().ending,
        Ending::Exited { code: 0 }
    );
    // Prepared afterwards, as the engine does it.
    let (dir, proof) = (bench.dir("b"), bench.file("proof"));
    let started = start(p0(), &dir).unwrap();
    prepare(&dir, &bench.sh(&format!("echo ran > {}", proof.display())), b"").unwrap();
    within(started.launched()).await.unwrap().go.go().unwrap();
    assert_eq!(ended(within(wait(&dir)).await.unwrap()).ending, Ending::Exited { code: 0 });
    assert!(proof.exists());
}

/// Another engine, in a process group of its own: launches the prepared attempt, says what it is told to, and lives on.
fn other_engine(dir: &Path, says: &str) -> std::process::Child {
    Command::new("sh")
        .args(["-c", &format!("(printf 'spec\\n{says}'; exec sleep 1000) | \"$0\" __agent \"$1\" > /dev/null")])
        .arg(p0())
        .arg(dir)
        .process_group(0)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn kill_engine(mut engine: std::process::Child) {
    let group = rustix::process::Pid::from_child(&engine);
    rustix::process::kill_process_group(group, rustix::process::Signal::KILL).unwrap();
    engine.wait().unwrap();
}

#[tokio::test]
async fn an_engine_that_dies_before_go_leaves_nothing() {
    let bench = Bench::new();
    let dir = bench.dir("a");
    let proof = bench.file("proof");
    prepare(&dir, &bench.sh(&format!("echo ran > {}", proof.display())), b"").unwrap();
    let engine = other_engine(&dir, "");
    until("it waits", || matches!(look(&dir).unwrap(), Found::Waiting(_)));
    kill_engine(engine);
    assert_eq!(look(&dir).unwrap(), Found::NeverRan);
    assert!(!proof.exists());
}

#[tokio::test]
async fn half_a_go_is_none() {
    let bench = Bench::new();
    let dir = bench.dir("a");
    prepare(&dir, &bench.spec(&["true"]), b"").unwrap();
    let engine = other_engine(&dir, "go");
    until("it waits", || matches!(look(&dir).unwrap(), Found::Waiting(_)));
    kill_engine(engine);
    assert_eq!(look(&dir).unwrap(), Found::NeverRan);
}

#[tokio::test]
async fn a_program_outlives_its_engine_and_is_adopted() {
    let bench = Bench::new();
    let (dir, permit) = (bench.dir("a"), bench.file("permit"));
    let spec = bench.sh(&format!("while ! [ -e {} ]; do sleep 0.01; done; echo end; exit 4", permit.display()));
    prepare(&dir, &spec, b"").unwrap();
    let engine = other_engine(&dir, "go\\n");
    until("it runs", || matches!(look(&dir).unwrap(), Found::Running(_)));
    kill_engine(engine);
    assert!(matches!(look(&dir).unwrap(), Found::Running(_)));
    assert!(matches!(prepare(&dir, &spec, b""), Err(Error::AlreadyBegan { .. })));
    // Two wait at once, and neither is the parent.
    let waiting = [
        tokio::spawn({
            let dir = dir.clone();
            async move { wait(&dir).await }
        }),
        tokio::spawn({
            let dir = dir.clone();
            async move { wait(&dir).await }
        }),
    ];
    fs::write(&permit, "").unwrap();
    for one in waiting {
        assert_eq!(ended(within(one).await.unwrap().unwrap()).ending, Ending::Exited { code: 4 });
    }
    assert_eq!(fs::read_to_string(AttemptDir::new(&dir).stdout()).unwrap(), "end\n");
}

#[tokio::test]
async fn an_adopted_program_can_be_stopped() {
    let bench = Bench::new();
    let dir = bench.dir("a");
    prepare(&dir, &bench.spec(&["sleep", "1000"]), b"").unwrap();
    let engine = other_engine(&dir, "go\\n");
    until("it runs", || matches!(look(&dir).unwrap(), Found::Running(_)));
    kill_engine(engine);
    within(stop(&dir)).await.unwrap();
    assert_eq!(ended(look(&dir).unwrap()).ending, Ending::Stopped);
}

#[tokio::test]
async fn a_killed_supervisor_is_lost_and_what_it_left_is_ended() {
    let bench = Bench::new();
    let pid = bench.file("pid");
    let spec = bench.sh(&format!("setsid sh -c 'echo $$ > {}; exec sleep 1000' & wait", pid.display()));
    let dir = bench.started("a", &spec).await;
    let program = pid_in(&pid);
    signal(supervisor(&dir), rustix::process::Signal::KILL);
    until("the supervisor is gone", || !matches!(look(&dir).unwrap(), Found::Running(_)));
    assert!(matches!(look(&dir).unwrap(), Found::Lost { .. }));
    assert!(is_alive(program), "looking ends nobody");
    let Found::Lost { why } = within(wait(&dir)).await.unwrap() else { panic!("not lost") };
    assert!(why.contains("no exit record"), "{why}");
    assert!(!is_alive(program));
}

#[tokio::test]
async fn records_torn_by_a_power_cut_are_a_lost_attempt_and_no_error() {
    let bench = Bench::new();
    for torn in ["spec.json", "ready.json"] {
        let dir = bench.dir(torn);
        within(run_to_end(p0(), &dir, &bench.spec(&["true"]), b"")).await.unwrap();
        // The exit record had not been written yet.
        fs::remove_file(dir.join("exit.json")).unwrap();
        fs::write(dir.join(torn), "").unwrap();
        assert!(matches!(look(&dir).unwrap(), Found::Lost { .. }), "{torn}");
        assert!(matches!(within(wait(&dir)).await.unwrap(), Found::Lost { .. }), "{torn}");
        // Either mark is enough: the file is an older p0's, and only the byte is made durable.
        fs::remove_file(dir.join("began")).unwrap();
        assert!(matches!(look(&dir).unwrap(), Found::Lost { .. }), "{torn}");
        fs::rename(dir.join("mark"), dir.join("began")).unwrap();
        assert!(matches!(look(&dir).unwrap(), Found::Lost { .. }), "{torn}");
        fs::remove_file(dir.join("began")).unwrap();
        assert_eq!(look(&dir).unwrap(), Found::NeverRan, "{torn}");
        let spec = bench.spec(&["true"]);
        assert_eq!(within(run_to_end(p0(), &dir, &spec, b"")).await.unwrap().ending, Ending::Exited { code: 0 });
    }
}

#[tokio::test]
async fn kill_now_kills_everything() {
    let bench = Bench::new();
    let pid = bench.file("pid");
    let spec = bench.sh(&format!("trap '' TERM; setsid sh -c 'echo $$ > {}; exec sleep 1000' & wait", pid.display()));
    let dir = bench.started("a", &spec).await;
    let program = pid_in(&pid);
    kill_now(&dir).unwrap();
    assert!(!is_alive(program));
    // Its supervisor was told first: whoever reads the record later does not take the kill for the program's own end.
    match look(&dir).unwrap() {
        Found::Ended(record) => assert_eq!(record.ending, Ending::Stopped),
        Found::Lost { .. } => {}
        other => panic!("{other:?}"),
    }
}

/// Changes one field of the supervisor's identity on disk.
fn forge(dir: &Path, field: &str, value: serde_json::Value) {
    let path = dir.join("ready.json");
    let mut ready: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    ready[field] = value;
    fs::write(path, ready.to_string()).unwrap();
}

#[tokio::test]
async fn a_pid_that_was_given_out_again_is_somebody_else() {
    let bench = Bench::new();
    for (field, value) in [
        ("start_ticks", serde_json::json!(1)),
        ("boot_id", serde_json::json!("another-boot")),
        ("nonce", serde_json::json!("another-attempt")),
    ] {
        let pid = bench.file(&format!("{field}.pid"));
        let dir = bench.started(field, &bench.sh(&format!("echo $$ > {}; exec sleep 1000", pid.display()))).await;
        let program = pid_in(&pid);
        let innocent = supervisor(&dir);
        signal(innocent, rustix::process::Signal::STOP);
        let truth = fs::read(dir.join("ready.json")).unwrap();
        forge(&dir, field, value);
        assert!(matches!(look(&dir).unwrap(), Found::Lost { .. }), "{field}");
        // The marked program is ended; the process that now has the pid is not touched.
        within(stop(&dir)).await.unwrap();
        assert!(!is_alive(program) && state_of(innocent) == Some('T'), "{field}");
        fs::write(dir.join("ready.json"), truth).unwrap();
        signal(innocent, rustix::process::Signal::CONT);
        assert_eq!(ended(within(wait(&dir)).await.unwrap()).ending, Ending::Signaled { signal: 9 }, "{field}");
    }
}

/// Confined to the bench's folder, as an attempt is to its worktree.
fn confined(bench: &Bench, mut spec: AgentSpec) -> AgentSpec {
    let root = fs::canonicalize(bench.root.path()).unwrap();
    let kernel = p0::sandbox::Kernel::probe("");
    assert!(kernel.landlock >= 3, "this kernel has Landlock {}; this test needs 3 or later", kernel.landlock);
    spec.confine = Some(Confine {
        required: true,
        write: vec![root.clone(), "/dev/null".into()],
        read: vec!["/".into()],
        hidden: vec!["/dev".into()],
        attempt_socket: None,
        network: Network::Allow,
        limits: Rlimits::default(),
        bubblewrap: false,
    });
    spec
}

#[tokio::test]
async fn a_confined_program_is_one_with_limits() {
    let bench = Bench::new();
    let script = "cat; echo made >made; echo x >/etc/p0-escape; setsid sleep 1000 & exit 3";
    let dir = bench.dir("a");
    let record = within(run_to_end(p0(), &dir, &confined(&bench, bench.sh(script)), b"hello")).await.unwrap();
    assert_eq!((record.ending, record.orphans), (Ending::Exited { code: 3 }, 1));
    assert_eq!(fs::read_to_string(AttemptDir::new(&dir).stdout()).unwrap(), "hello");
    assert_eq!(fs::read_to_string(bench.file("made")).unwrap(), "made\n");
    let applied = record.confined.unwrap();
    assert!(applied.landlock >= 3 && applied.listener && applied.missing.is_empty(), "{applied:?}");
    let tried = p0::sandbox::read_tries(&AttemptDir::new(&dir).denied());
    assert!(tried.iter().any(|it| it.operation == "write" && it.path == "/etc/p0-escape"), "{tried:?}");
}

#[tokio::test]
async fn a_program_that_cannot_be_confined_or_found_does_not_start() {
    let bench = Bench::new();
    let (record, _, _) = bench.run(&confined(&bench, bench.spec(&["surely-no-such-program"]))).await;
    let Ending::NotStarted { why } = record.ending else { panic!("{record:?}") };
    assert!(why.contains("surely-no-such-program was not found"), "{why}");
    let mut spec = confined(&bench, bench.sh("true"));
    if let Some(confine) = &mut spec.confine {
        confine.bubblewrap = true;
    }
    spec.env.insert("PATH".to_owned(), "/nonexistent".to_owned());
    let (record, _, _) = bench.run(&spec).await;
    let Ending::NotStarted { why } = record.ending else { panic!("{record:?}") };
    assert!(why.contains("cannot be enforced") && why.contains("bwrap"), "{why}");
}

#[tokio::test]
async fn what_is_shared_is_its_own_with_bubblewrap_and_closed_without() {
    let bench = Bench::new();
    let path = std::env::var("PATH").unwrap_or_default();
    let kernel = p0::sandbox::Kernel::probe(&path);
    let name = format!("/dev/shm/p0-{}", std::process::id());
    let script =
        format!("echo x >{name}; test -e {name} && echo named >made; ipcmk -M 100 && echo numbered >>made; true");
    for (bubblewrap, made) in [(true, "named\nnumbered\n"), (false, "")] {
        if bubblewrap && !(kernel.bubblewrap && kernel.namespaces) {
            // In many containers no process may make namespaces: `p0 doctor` says so.
            continue;
        }
        let mut spec = confined(&bench, bench.sh(&script));
        spec.env.insert("PATH".to_owned(), path.clone());
        if let Some(confine) = &mut spec.confine {
            confine.bubblewrap = bubblewrap;
            confine.write.extend(bubblewrap.then(|| "/dev/shm".into()));
        }
        let _ = fs::remove_file(bench.file("made"));
        let dir = bench.dir(if bubblewrap { "own" } else { "closed" });
        let record = within(run_to_end(p0(), &dir, &spec, b"")).await.unwrap();
        assert_eq!(record.ending, Ending::Exited { code: 0 });
        assert_eq!(fs::read_to_string(bench.file("made")).unwrap_or_default(), made);
        assert!(!Path::new(&name).exists());
        let tried = p0::sandbox::read_tries(&AttemptDir::new(&dir).denied());
        assert_eq!(tried.iter().any(|it| it.operation == "share" && it.path == "shmget"), !bubblewrap, "{tried:?}");
    }
}

#[tokio::test]
async fn fifty_at_once_all_end_and_leave_no_zombies() {
    let bench = Bench::new();
    let mut tasks = Vec::new();
    for index in 0..50 {
        let (dir, spec) = (bench.dir(&format!("{index:02}")), bench.sh(&format!("echo {index}; exit {index}")));
        let spec = if index % 2 == 0 { spec } else { confined(&bench, spec) };
        tasks.push(tokio::spawn(async move {
            prepare(&dir, &spec, b"").unwrap();
            let launched = launch(p0(), &dir).await.unwrap();
            let pid = launched.pid;
            launched.go.go().unwrap();
            (dir.clone(), pid, wait(&dir).await.unwrap())
        }));
    }
    for (index, task) in tasks.into_iter().enumerate() {
        let (dir, pid, found) = within(task).await.unwrap();
        assert_eq!(ended(found).ending, Ending::Exited { code: i32::try_from(index).unwrap() });
        assert_eq!(fs::read_to_string(AttemptDir::new(&dir).stdout()).unwrap(), format!("{index}\n"));
        assert_eq!(state_of(pid), None, "no zombie is left");
    }
}

#[tokio::test]
async fn the_sweep_ends_whom_nobody_knows() {
    let bench = Bench::new();
    assert!(sweep_orphans(&bench.attempts(), &BTreeSet::new()).await.unwrap().is_empty());
    let known = bench.started("known", &bench.spec(&["sleep", "1000"])).await;
    let unknown = bench.started("unknown", &bench.spec(&["sleep", "1000"])).await;
    bench.run(&bench.spec(&["true"])).await;
    for dir in [&known, &unknown] {
        until("it runs", || matches!(look(dir).unwrap(), Found::Running(_)));
    }
    let swept = within(sweep_orphans(&bench.attempts(), &BTreeSet::from(["known".to_owned()]))).await.unwrap();
    assert_eq!(swept, ["unknown"]);
    assert_eq!(ended(look(&unknown).unwrap()).ending, Ending::Stopped);
    assert!(matches!(look(&known).unwrap(), Found::Running(_)));
    within(stop(&known)).await.unwrap();
}

#[tokio::test]
async fn lines_are_followed_as_they_come() {
    let bench = Bench::new();
    let permit = bench.file("permit");
    let script = format!("echo one; while ! [ -e {} ]; do sleep 0.01; done; echo two; printf three", permit.display());
    let dir = bench.started("a", &bench.sh(&script)).await;
    let mut lines = follow(&AttemptDir::new(&dir).stdout(), Cursor::default());
    let first = within(lines.next()).await.unwrap().unwrap();
    assert_eq!((first.len(), first[0].bytes.as_slice()), (1, b"one".as_slice()));
    fs::write(&permit, "").unwrap();
    let mut rest = Vec::new();
    while let Some(more) = within(lines.next()).await.unwrap() {
        rest.extend(more.into_iter().map(|line| (line.number, String::from_utf8(line.bytes).unwrap(), line.half)));
    }
    assert_eq!(rest, [(2, "two".to_owned(), false), (3, "three".to_owned(), true)]);
}

/// A `p0` whose files may not grow beyond 32 KiB: what a full disk looks like from inside.
fn cramped(bench: &Bench) -> PathBuf {
    limited(bench, "ulimit -f 64")
}

/// A `p0` under a limit.
fn limited(bench: &Bench, limit: &str) -> PathBuf {
    let path = bench.file("limited");
    fs::write(&path, format!("#!/bin/sh\n{limit}\nexec {} \"$@\"\n", p0().display())).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[tokio::test]
async fn output_that_cannot_be_written_ends_the_program_and_is_recorded() {
    let bench = Bench::new();
    let spec = bench.sh("while :; do echo 0123456789; done");
    let record = within(run_to_end(&cramped(&bench), &bench.dir("a"), &spec, b"")).await.unwrap();
    let Ending::Unrecordable { why } = &record.ending else { panic!("{record:?}") };
    assert!(why.contains("could not be written"), "{why}");
    assert_eq!(record.for_want_of_space(), Some(why.as_str()), "the record says of its own accord what was missing");
    let (other, ..) = bench.run(&bench.spec(&["/no/such/program"])).await;
    assert!(matches!(other.ending, Ending::NotStarted { .. }), "{other:?}");
    assert_eq!(other.for_want_of_space(), None);
}

#[tokio::test]
async fn a_supervisor_without_disk_space_says_so_even_where_its_log_has_none() {
    let bench = Bench::new();
    let no_byte = limited(&bench, "ulimit -f 0");
    let error = within(run_to_end(&no_byte, &bench.dir("a"), &bench.sh("true"), b"")).await.unwrap_err();
    assert!(matches!(error, Error::NotReady { no_space: true, .. }), "{error}");
    assert_eq!(error.shortage(), Some(Shortage::Disk));
    let other = within(run_to_end(Path::new("/bin/false"), &bench.dir("b"), &bench.sh("true"), b"")).await.unwrap_err();
    assert!(matches!(other, Error::NotReady { no_space: false, .. }), "{other}");
}

#[test]
fn a_record_of_an_older_p0_says_nothing_of_disk_space() {
    let record = r#"{"ending":{"how":"not_started","why":"No space left on device"},"started_at_ms":null,"wall_ms":0,
        "cpu_ms":0,"stdout_bytes":0,"stderr_bytes":0,"stdout_kept":0,"stderr_kept":0,"truncated":false,"orphans":0,
        "survivors":0}"#;
    let record: ExitRecord = serde_json::from_str(record).unwrap();
    assert_eq!(record.for_want_of_space(), None, "its words are not searched");
}

#[tokio::test]
async fn a_supervisor_that_cannot_be_is_an_error_with_a_sentence() {
    let bench = Bench::new();
    let dir = bench.dir("a");
    prepare(&dir, &bench.spec(&["true"]), b"").unwrap();
    let error = within(launch(Path::new("/no/such/p0"), &dir)).await.unwrap_err();
    assert!(matches!(error, Error::Spawn { .. }) && error.to_string().contains("/no/such/p0"), "{error}");
    fs::write(dir.join("spec.json"), "{").unwrap();
    assert!(matches!(launch(p0(), &dir).await, Err(Error::Unreadable { .. })));
}

#[tokio::test]
async fn a_playbook_plays_its_scene() {
    let bench = Bench::new();
    let file = bench.file("play.toml");
    fs::write(
        &file,
        r#"
        [[scene]]
        role = "executor"
        ticket_title = "API"
        write = { "src/api.txt" = "made for ${ticket.id}\n" }
        append = { "log.txt" = "+" }
        delete = ["absent.txt"]
        run = [["sh", "-c", "echo noise; cp src/api.txt copy.txt"]]
        stderr = "fine\n"
        say = [{ type = "comment", text = "done with ${id:API}" }, { type = "confidence", value = 90 }]
        [[scene]]
        role = "tester"
        run = [["sh", "-c", "exit 9"]]
        say = [{ type = "comment", text = "never said" }]
        [[scene]]
        role = "verifier"
        run = [["sh", "-c", "exit 9"], ["sh", "-c", "touch never-run"]]
        say = [{ type = "verdict", met = true }]
        otherwise = [{ type = "verdict", met = false, rationale = "seen by ${role}" }]
        "#,
    )
    .unwrap();
    let spec = |bench: &Bench| bench.spec(&[p0().to_str().unwrap(), "__playbook", file.to_str().unwrap()]);
    let input = br#"{"role":"executor","ticket":{"id":"B-1","title":"API"},"tickets":[{"id":"B-1","title":"API","kind":"task"}]}"#;
    let dir = bench.dir("executor");
    let record = within(run_to_end(p0(), &dir, &spec(&bench), input)).await.unwrap();
    let place = AttemptDir::new(&dir);
    assert_eq!(record.ending, Ending::Exited { code: 0 }, "{}", fs::read_to_string(place.stderr()).unwrap());
    assert_eq!(
        fs::read_to_string(place.stdout()).unwrap(),
        "{\"text\":\"done with B-1\",\"type\":\"comment\"}\n{\"type\":\"confidence\",\"value\":90}\n"
    );
    assert_eq!(fs::read_to_string(place.stderr()).unwrap(), "noise\nfine\n");
    assert_eq!(fs::read_to_string(bench.file("copy.txt")).unwrap(), "made for B-1\n");
    for (role, code) in [("tester", 9), ("planner", 64)] {
        let input = format!("{{\"role\":\"{role}\"}}");
        let record = within(run_to_end(p0(), &bench.dir(role), &spec(&bench), input.as_bytes())).await.unwrap();
        assert_eq!((record.ending, record.stdout_bytes), (Ending::Exited { code }, 0));
    }
    let judged = bench.dir("verifier");
    let record = within(run_to_end(p0(), &judged, &spec(&bench), br#"{"role":"verifier"}"#)).await.unwrap();
    assert_eq!(record.ending, Ending::Exited { code: 0 });
    let said = fs::read_to_string(AttemptDir::new(&judged).stdout()).unwrap();
    assert_eq!(said, "{\"met\":false,\"rationale\":\"seen by verifier\",\"type\":\"verdict\"}\n");
    assert!(!bench.file("never-run").exists());
}
