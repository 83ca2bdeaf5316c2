//! Signals mean what users expect of them.
use crate::env::{TestEnvironment, p0_path, wait_until};
use std::fs;

/// Works until it is let go.
const WAITS: &str = "def executor(): note('at-work'); wait_for('go'); own_files()";

#[test]
fn two_signals_that_arrive_together_are_one() {
    for (first, second) in [("TERM", "TERM"), ("INT", "TERM"), ("INT", "INT")] {
        let t = TestEnvironment::with(WAITS);
        let run = t.start_run(&["--json"]);
        t.wait_note("at-work");
        run.signal(first);
        run.signal(second);
        wait_until("it says that it stops", || run.err_so_far().contains("stopping"));
        t.go("go");
        let output = run.wait().expect(13);
        assert!(!output.err.contains("stopped at once"), "{output:?}");
        assert_eq!(t.events("attempt.lost").len(), 0);
        assert_eq!(t.run_json(0)["tickets"]["done"], 1);
    }
}

#[test]
fn a_daemon_takes_two_signals_that_arrive_together_as_one() {
    let t = TestEnvironment::with(WAITS);
    let daemon = t.daemon();
    t.run(&["--detach"]).expect(0);
    t.wait_note("at-work");
    daemon.signal("TERM");
    daemon.signal("TERM");
    wait_until("it says that it stops", || daemon.err_so_far().contains("stopping"));
    t.go("go");
    let output = daemon.wait().expect(0);
    assert!(!output.err.contains("stopped at once"), "{output:?}");
    assert_eq!(t.run_json(0)["tickets"]["done"], 1);
}

#[test]
fn quit_stops_at_once_and_nothing_stays_alive() {
    let t = TestEnvironment::with("def executor(): note('at-work'); time.sleep(1000)");
    let run = t.start_run(&["--json"]);
    t.wait_note("at-work");
    run.signal("QUIT");
    let output = run.wait().expect(13);
    assert!(output.err.contains("stopped at once"), "{output:?}");
    t.nothing_is_alive();
    t.log_is_whole();
}

#[test]
fn the_end_of_the_terminal_ends_a_run_cleanly_unless_nohup_started_it() {
    let t = TestEnvironment::with(WAITS);
    let run = t.start_run(&["--json"]);
    t.wait_note("at-work");
    run.signal("HUP");
    wait_until("it says that it stops", || run.err_so_far().contains("stopping"));
    t.go("go");
    run.wait().expect(13);
    fs::remove_file(t.note_path("at-work")).unwrap();
    fs::remove_file(t.note_path("go")).unwrap();

    t.spec("# Another\n\nMake it.\n");
    let spec = t.spec_path();
    let run = t.start_program("nohup", &[p0_path(), "run", &spec, "--json"]);
    t.wait_note("at-work");
    run.signal("HUP");
    // It answers, and goes on.
    t.p0(&["status"]).expect(0);
    t.go("go");
    let output = run.wait().expect(0);
    assert!(!output.err.contains("stopping"), "{output:?}");
}

#[test]
fn a_daemon_reloads_at_hup_and_says_what_that_means() {
    let t = TestEnvironment::with(WAITS);
    let mut daemon = t.daemon();
    t.run(&["--detach"]).expect(0);
    t.wait_note("at-work");
    daemon.signal("HUP");
    wait_until("it says so", || daemon.err_so_far().contains("1 files looked at"));
    assert!(daemon.err_so_far().contains("it can be read"), "{}", daemon.err_so_far());
    let config = fs::read_to_string(t.repo.join(".p0/config.toml")).unwrap();
    t.put(".p0/config.toml", "nonsense");
    daemon.signal("HUP");
    wait_until("it says so", || daemon.err_so_far().contains("are refused"));
    t.put(".p0/config.toml", &config);
    // The planner's attempt may be about to be put away.
    wait_until("it reports", || {
        daemon.signal("USR1");
        daemon.err_so_far().contains("1 runs and 1 attempts at work")
    });
    assert!(daemon.is_running());
    t.go("go");
    wait_until("done", || t.status()["state"] == "done");
    daemon.signal("TERM");
    daemon.wait().expect(0);
}

#[test]
fn a_run_reports_at_usr1_and_goes_on_after_a_stop() {
    let t = TestEnvironment::with(WAITS);
    let run = t.start_run(&["--json"]);
    t.wait_note("at-work");
    wait_until("it reports", || {
        run.signal("USR1");
        run.err_so_far().contains("1 attempts at work")
    });
    run.signal("TSTP");
    let state = || fs::read_to_string(format!("/proc/{}/stat", run.pid())).unwrap();
    wait_until("it is stopped", || state().contains(") T "));
    // Agents have groups of their own, and go on.
    t.go("go");
    let worktree_of = || t.processes().into_iter().any(|(_, line)| line.contains("__agent"));
    wait_until("the agent has ended meanwhile", || !worktree_of());
    run.signal("CONT");
    let status = run.wait().expect(0).json();
    assert_eq!(status["state"], "done");
}

/// Supervisors answer to the engine alone.
#[test]
fn signals_to_everything_end_no_supervisor() {
    let t = TestEnvironment::with(WAITS);
    let run = t.start_run(&["--json"]);
    t.wait_note("at-work");
    for (pid, line) in t.processes() {
        if line.contains("__agent") {
            for name in ["HUP", "INT", "QUIT", "USR1", "USR2", "ALRM", "XFSZ", "PIPE"] {
                crate::env::signal(pid, name);
            }
        }
    }
    t.go("go");
    run.wait().expect(0);
    assert_eq!(t.events("attempt.lost").len(), 0);
}

/// A limit on the size of files is a disk without room: a message, exit 5, and the same command goes on.
#[test]
fn a_limit_on_the_size_of_files_is_told() {
    let t = TestEnvironment::new();
    let script = format!("ulimit -f 2048; exec '{}' run '{}'", p0_path(), t.spec_path());
    let output = t.start_program("bash", &["-c", &script]).wait().expect(5);
    assert!(output.err.contains("too large"), "{output:?}");
    t.run_json(0);
    t.log_is_whole();
}

/// Agents have the defaults of every signal, whatever p0 was started with.
#[test]
fn programs_have_the_usual_signals() {
    // Python ignores PIPE and XFSZ for itself, and gives its children the defaults: a shell is asked.
    let t = TestEnvironment::new();
    let shell = "#!/bin/sh\ngrep SigIgn /proc/self/status > \"$1\"\n";
    let path = t.dir.join("mask.sh");
    fs::write(&path, shell).unwrap();
    t.agent(&format!(
        "def executor():\n\
         \x20 subprocess.run(['sh', '{}', f'{{DIR}}/notes/mask']); own_files()\n",
        path.display()
    ));
    t.run_json(0);
    let mask = fs::read_to_string(t.note_path("mask")).unwrap();
    let ignored = u64::from_str_radix(mask.split_whitespace().last().unwrap(), 16).unwrap();
    // Those above 31 are for threads and for programs among themselves.
    assert_eq!(ignored & 0x7fff_ffff, 0, "{mask}");
}

/// Who reads what p0 says may go away at any time.
#[test]
fn a_reader_that_goes_away_stops_nothing() {
    let t = TestEnvironment::with(WAITS);
    // The daemon's words go to a program that reads one line and ends.
    let daemon = env!("CARGO_BIN_EXE_p0d");
    let pid_file = t.dir.join("pid");
    let script = format!("{{ echo $BASHPID > '{}'; exec '{daemon}'; }} 2>&1 | head -1", pid_file.display());
    let piped = t.start_program("bash", &["-c", &script]);
    wait_until("it serves", || t.data.join("p0.sock").exists());
    t.run(&["--detach"]).expect(0);
    t.wait_note("at-work");
    let pid = fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    crate::env::signal(pid, "HUP");
    crate::env::signal(pid, "USR1");
    t.go("go");
    wait_until("done", || t.status()["state"] == "done");
    crate::env::signal(pid, "TERM");
    piped.wait().expect(0);
    let script = format!("'{}' audit log | head -1; exit ${{PIPESTATUS[0]}}", p0_path());
    let output = t.start_program("bash", &["-c", &script]).wait().expect(0);
    assert!(!output.err.contains("panicked"), "{output:?}");
}
