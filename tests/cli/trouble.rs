//! What is no ticket's fault: gates and limits that keep programs from starting, a repository that goes away, signals.
use crate::env::{TestEnvironment, wait_until};
use std::{fs, os::unix::fs::PermissionsExt};

/// A folder for programs of the test, first on `PATH`.
fn with_bin(t: &mut TestEnvironment) -> std::path::PathBuf {
    let bin = t.dir.join("bin");
    fs::create_dir(&bin).unwrap();
    t.set("PATH", &format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    bin
}

fn program(path: &std::path::Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn no_round_used(t: &TestEnvironment) {
    assert_eq!(t.events("gate.failed").len(), 0);
    let attempts = t.tickets()[0]["attempts"].as_array().unwrap().len();
    assert_eq!(attempts, 1, "the work of the first attempt is not paid again");
}

#[test]
fn a_gate_that_is_not_there_is_found_before_the_run() {
    let t = TestEnvironment::new();
    t.put("plain.sh", "#!/bin/sh\n");
    t.put("check.sh", "#!/bin/sh\n");
    fs::set_permissions(t.repo.join("check.sh"), fs::Permissions::from_mode(0o755)).unwrap();
    t.git(&["add", "plain.sh", "check.sh"]);
    t.git(&["commit", "-qm", "scripts"]);
    t.put("later.sh", "#!/bin/sh\n");
    for (gate, words) in [
        ("[\"carog\", \"test\"]", "the gate `carog test` cannot be started: 'carog' is not on PATH"),
        ("[\"/no/such/gate\"]", "there is no file /no/such/gate"),
        ("[\"./plain.sh\"]", "./plain.sh is not executable in commit"),
        ("[\"./later.sh\"]", "has no file ./later.sh; commit it"),
        ("[\"true\"], [\"carog\"]", "the gate `carog` cannot be started"),
    ] {
        t.config(&format!("[gates]\ncommands = [{gate}]\n"));
        let refused = t.run(&["--json"]).expect(3);
        assert!(refused.err.contains(words), "{gate}: {}", refused.err);
        let doctor = t.p0(&["doctor"]).expect(1).out;
        assert!(doctor.contains(words), "{gate}: {doctor}");
    }
    assert_eq!(t.events("run.started").len(), 0);
    t.config("[gates]\ncommands = [[\"./check.sh\"], [\"check.sh\"]]\n");
    let refused = t.run(&["--json"]).expect(3);
    assert!(refused.err.contains("'check.sh' is not on PATH"), "as it is looked up: {}", refused.err);
    t.config("[gates]\ncommands = [[\"./check.sh\"]]\n");
    t.run_json(0);
}

#[test]
fn limits_under_which_nothing_starts_are_found_before_the_run() {
    let t = TestEnvironment::new();
    for limit in ["memory_mb = 1", "open_files = 2"] {
        t.config(&format!("[sandbox]\n{limit}\n"));
        let refused = t.run(&["--json"]).expect(3);
        let words = format!("no program starts under the limits of role 'executor' ({limit})");
        assert!(refused.err.contains(&words), "{}", refused.err);
        assert!(t.p0(&["doctor"]).expect(1).out.contains(&words));
    }
    assert_eq!(t.events("run.started").len(), 0);
    t.config("[sandbox]\nmemory_mb = 8000\nopen_files = 512\n");
    t.run_json(0);
}

/// The program of a gate goes away while the run is at work, and comes back.
#[test]
fn a_gate_that_goes_away_pauses_the_run_and_it_goes_on_when_it_is_back() {
    for gate in ["[\"mygate\"]", "[\"sh\", \"-c\", \"mygate\"]", "[\"env\", \"mygate\"]"] {
        let mut t = TestEnvironment::with("def executor(): own_files(); note('works'); wait_for('go')");
        let bin = with_bin(&mut t);
        program(&bin.join("mygate"), "#!/bin/sh\n");
        t.config(&format!("rounds = 1\n[gates]\ncommands = [{gate}]\n"));
        let run = t.start_run(&["--json"]);
        t.wait_note("works");
        fs::remove_file(bin.join("mygate")).unwrap();
        t.go("go");
        let status = run.wait().expect(13).json();
        let reason = status["reason"].as_str().unwrap();
        assert_eq!(status["state"], "paused");
        assert!(reason.contains("mygate") && reason.contains("p0 resume"), "{reason}");
        no_round_used(&t);
        if gate == "[\"mygate\"]" {
            assert!(
                t.run(&["--json"]).expect(3).err.contains("'mygate' is not on PATH"),
                "told before anything goes on"
            );
        } else {
            let again = t.run_json(13);
            assert_eq!((&again["run"], &again["state"]), (&status["run"], &"paused".into()), "tried, and told again");
        }
        program(&bin.join("mygate"), "#!/bin/sh\n");
        let done = t.run_json(0);
        assert_eq!((&done["run"], &done["state"]), (&status["run"], &"done".into()));
        no_round_used(&t);
        t.log_is_whole();
    }
}

/// A ticket that takes its gate away has itself to blame.
#[test]
fn a_gate_that_a_ticket_broke_is_that_tickets_fault() {
    for breaks in ["os.remove('check.sh')", "os.chmod('check.sh', 0o644)", "put('check.sh', '#!/no/such/shell\\n')"] {
        let t = TestEnvironment::with(&format!(
            "def plan(): ticket('a', ['a.txt'], ['check.sh'])\n\
             def executor():\n  put('a.txt')\n  if rnd == 1: {breaks}\n  else: put('a.txt', 'mended')\n"
        ));
        t.put("check.sh", "#!/bin/sh\nexit 0\n");
        fs::set_permissions(t.repo.join("check.sh"), fs::Permissions::from_mode(0o755)).unwrap();
        t.git(&["add", "check.sh"]);
        t.git(&["commit", "-qm", "a gate"]);
        t.config("[gates]\ncommands = [[\"./check.sh\"]]\n");
        t.run_json(0);
        assert_eq!(t.events("gate.failed").len(), 1, "{breaks}");
        let told = t.note("executor-BLOG-1-1-2")["feedback"].to_string();
        assert!(told.contains("could not be started"), "{breaks}: {told}");
    }
}

#[test]
fn an_agent_that_goes_away_pauses_the_run_and_uses_up_no_round() {
    let t = TestEnvironment::new();
    let agent = t.dir.join("agent.sh");
    let python = crate::env::python();
    let script = format!("#!/bin/sh\nexec {python} -SE {}/agent.py\n", t.dir.display());
    program(&agent, &script);
    let table = t.agent_table("t", "agent.py");
    let table = table.replace(
        &format!("\"{python}\", \"-SE\", \"{}/agent.py\"", t.dir.display()),
        &format!("\"{}\"", agent.display()),
    );
    t.put(".p0/config.toml", &format!("{table}[limits]\nrounds = 1\n[roles.verifier]\nagent = \"t\"\n"));
    t.agent_file(
        "agent.py",
        &format!(
            "def planner():\n  plan(); decide('continue')\n  if not os.path.exists('{0}.moved'): note('planned'); wait_for('go')\n",
            agent.display()
        ),
    );
    let run = t.start_run(&["--json"]);
    t.wait_note("planned");
    fs::rename(&agent, t.dir.join("agent.moved")).unwrap();
    t.go("go");
    let status = run.wait().expect(13).json();
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("agent 't' could not be started 3 times in a row"), "{reason}");
    assert_eq!(status["tickets"]["blocked"], 0);
    t.agent_file("agent.py", "");
    fs::rename(t.dir.join("agent.moved"), &agent).unwrap();
    let done = t.run_json(0);
    assert_eq!((&done["run"], &done["state"]), (&status["run"], &"done".into()));
}

/// The repository is moved away while an agent works, and is put back after p0 has said so, or has given up waiting.
#[test]
fn a_repository_that_is_moved_away_is_told_and_the_run_goes_on_when_it_is_back() {
    for gives_up in [false, true] {
        let mut t = TestEnvironment::with("def executor(): own_files(); note('works'); wait_for('go')");
        if gives_up {
            t.set("P0_PATIENCE_MS", "4000");
        }
        t.config("rounds = 1\n");
        let mut run = t.start_run(&["--json"]);
        t.wait_note("works");
        let elsewhere = t.dir.join("elsewhere");
        fs::rename(&t.repo, &elsewhere).unwrap();
        t.go("go");
        let words = format!("the repository {} is not there", t.repo.display());
        wait_until("the follower is told", || run.err_so_far().contains(&words));
        let told = run.err_so_far();
        assert!(told.contains("tries since") && told.contains("put it back where it was"), "{told}");
        if gives_up {
            let status = run.wait().expect(13).json();
            let reason = status["reason"].as_str().unwrap();
            assert!(reason.contains(&words) && reason.contains("p0 resume"), "{reason}");
            assert_eq!(status["state"], "paused");
            fs::rename(&elsewhere, &t.repo).unwrap();
            let done = t.run_json(0);
            assert_eq!(done["run"], status["run"]);
        } else {
            // Somebody else looks, from another folder.
            fs::create_dir(t.dir.join("other")).unwrap();
            let id = fs::read_dir(t.data.join("homes")).unwrap().next().unwrap().unwrap().file_name();
            fs::rename(t.dir.join("other"), &t.repo).unwrap();
            let shown = t.p0(&["status", id.to_str().unwrap(), "--json"]).expect(0).json();
            let retrying = &shown["retrying"][0];
            for field in ["what", "why", "since", "times", "help"] {
                assert!(!retrying[field].is_null(), "{field}: {shown}");
            }
            assert!(t.p0(&["status", id.to_str().unwrap()]).expect(0).out.contains("retrying"));
            assert!(t.p0(&["approvals"]).expect(0).err.contains("retrying: collecting the work"));
            fs::remove_dir(&t.repo).unwrap();
            fs::rename(&elsewhere, &t.repo).unwrap();
            assert!(run.is_running());
            let done = run.wait().expect(0);
            assert!(done.err.contains("no longer retrying: collecting the work"), "{}", done.err);
            assert_eq!(t.status()["retrying"], serde_json::Value::Null);
        }
        assert_eq!(t.tickets()[0]["attempts"].as_array().unwrap().len(), 1, "nothing is done twice");
        t.log_is_whole();
    }
}

/// A second Ctrl-C kills what is at work. That is nobody's failure.
#[test]
fn a_second_signal_fails_nobody_and_ends_with_the_document() {
    let t = TestEnvironment::with(
        "import signal\n\
         def executor():\n  signal.signal(signal.SIGTERM, signal.SIG_IGN)\n  own_files(); note('works')\n  \
         if not os.path.exists(DIR + '/notes/go'): time.sleep(80)",
    );
    t.config("rounds = 1\n");
    let path = t.repo.join(".p0/config.toml");
    let text = fs::read_to_string(&path).unwrap().replace("grace_ms = 200", "grace_ms = 60000");
    fs::write(&path, text).unwrap();
    let run = t.start_run(&["--json"]);
    t.wait_note("works");
    run.signal("INT");
    wait_until("it is stopping", || run.err_so_far().contains("stopping"));
    run.signal("INT");
    let stopped = run.wait().expect(13);
    assert_eq!(stopped.json()["state"], "running", "as the log says");
    t.go("go");
    t.run_json(0);
    let outcomes: Vec<_> =
        t.events("attempt.finished").iter().map(|e| e["data"]["outcome"]["outcome"].clone()).collect();
    assert!(!outcomes.contains(&"failed".into()), "{outcomes:?}");
    assert_eq!(t.events("ticket.blocked").len(), 0);
    t.log_is_whole();
}

/// Signals that come when the run has just ended change neither its exit code nor its last line.
#[test]
fn signals_in_the_moment_after_the_end_change_nothing() {
    for signals in 1..=3 {
        let t = TestEnvironment::new();
        let run = t.start_run(&["--json"]);
        wait_until("it is done", || run.err_so_far().contains("DONE at"));
        for _ in 0..signals {
            // It may have ended meanwhile.
            let _ = std::process::Command::new("kill").args(["-INT", &run.pid().to_string()]).output();
        }
        let ended = run.wait().expect(0);
        assert_eq!(ended.json()["state"], "done");
    }
}

/// The supervisor of a gate is killed, as by the kernel when memory runs out: the gate has judged nothing.
#[test]
fn a_gate_whose_supervisor_is_killed_is_run_again() {
    let t = TestEnvironment::new();
    let notes = t.dir.join("notes");
    let script = format!(
        "echo x >> {0}/gated; test $(wc -l < {0}/gated) -gt 1 && exit 0; while ! test -e {0}/go; do sleep 0.05; done",
        notes.display()
    );
    t.config(&format!("rounds = 1\n[gates]\ncommands = [[\"sh\", \"-c\", \"{script}\"]]\n"));
    let run = t.start_run(&["--json"]);
    t.wait_note("gated");
    let is_supervisor = |line: &str| line.contains("__agent") && line.contains("gate-1");
    let supervisors: Vec<i32> =
        t.processes().into_iter().filter(|(_, line)| is_supervisor(line)).map(|(pid, _)| pid).collect();
    assert_eq!(supervisors.len(), 1);
    crate::env::signal(supervisors[0], "KILL");
    assert_eq!(run.wait().expect(0).json()["state"], "done");
    let lost = t.events("gate.lost");
    assert_eq!(lost.len(), 1);
    assert!(lost[0]["data"]["why"].as_str().unwrap().contains("gone and left no exit record"), "{}", lost[0]);
    no_round_used(&t);
    t.log_is_whole();
}

/// A signal from outside to the gate's own program says nothing about the commit; a crash of its own does.
#[test]
fn a_gate_that_a_signal_from_outside_ended_is_run_again() {
    let t = TestEnvironment::new();
    let notes = t.dir.join("notes");
    let script =
        format!("echo x >> {0}/gated; test $(wc -l < {0}/gated) -gt 1 || kill -KILL $$; exit 0", notes.display());
    t.config(&format!("rounds = 1\n[gates]\ncommands = [[\"sh\", \"-c\", \"{script}\"]]\n"));
    t.run_json(0);
    assert_eq!(t.events("gate.lost").len(), 1);
    no_round_used(&t);
    let t = TestEnvironment::new();
    t.config("rounds = 1\n[gates]\ncommands = [[\"sh\", \"-c\", \"kill -SEGV $$\"]]\n");
    t.run_json(10);
    assert_eq!((t.events("gate.failed").len(), t.events("gate.lost").len()), (1, 0));
}
