//! Several terminals, the daemon, and the ways to stop.
use crate::env::{TestEnvironment, wait_until};
use serde_json::Value;
use std::time::Duration;

/// An executor that says that it is there and waits until it may go on.
const WAITS: &str = "def executor(): note('at-work'); wait_for('go'); own_files()";

#[test]
fn two_runs_share_one_engine() {
    let t =
        TestEnvironment::with("def executor():\n  note(f'at-{I[\"milestone\"][\"id\"]}'); wait_for('go'); own_files()");
    let first = t.start_run(&["--json"]);
    t.wait_note("at-BLOG");
    std::fs::write(t.dir.join("other.md"), "# Another thing\n\nMake it too.\n").unwrap();
    let other = t.dir.join("other.md").display().to_string();
    let second = t.start(&["run", &other, "--json"]);
    wait_until("the second follows the first", || second.err_so_far().contains("does the work"));
    wait_until("both are at work", || t.notes().iter().filter(|n| n.starts_with("at-")).count() == 2);
    t.go("go");
    let (first, second) = (first.wait().expect(0).json(), second.wait().expect(0).json());
    assert_ne!(first["run"], second["run"]);
    assert_ne!(first["branch"], second["branch"]);
    assert_eq!((&first["state"], &second["state"]), (&"done".into(), &"done".into()));
    t.log_is_whole();
}

/// The first run ends long before the second: its process stays until both have ended.
#[test]
fn the_holder_stays_until_all_have_ended() {
    let t = TestEnvironment::with(
        "def executor():\n  if I['milestone']['title'] == 'Slow': note('slow'); wait_for('go')\n  else: note('quick'); wait_for('slow')\n  own_files()",
    );
    let mut quick = t.start_run(&["--json"]);
    t.wait_note("quick");
    std::fs::write(t.dir.join("slow.md"), "# Slow\n").unwrap();
    let slow = t.start(&["run", &t.dir.join("slow.md").display().to_string(), "--json"]);
    wait_until("the quick run is done", || quick.err_so_far().contains("staying until it has ended"));
    assert!(quick.is_running());
    t.go("go");
    slow.wait().expect(0);
    assert_eq!(quick.wait().expect(0).json()["state"], "done");
}

#[test]
fn the_same_spec_twice_is_one_run() {
    let t = TestEnvironment::with(WAITS);
    let first = t.start_run(&["--json"]);
    t.wait_note("at-work");
    let second = t.start_run(&["--json"]);
    wait_until("attached", || second.err_so_far().contains("unfinished"));
    t.go("go");
    assert_eq!(first.wait().expect(0).json()["run"], second.wait().expect(0).json()["run"]);
    assert_eq!(t.p0(&["runs", "--json"]).json().as_array().unwrap().len(), 1);
}

#[test]
fn what_does_not_apply_to_the_run_that_goes_on_is_named() {
    let t = TestEnvironment::with(WAITS);
    let first = t.start_run(&["--json"]);
    t.wait_note("at-work");
    let second = t.start_run(&["--json", "--max-parallel", "9", "--budget-usd", "5"]);
    let told = "the run goes on as it began; not applied: --max-parallel, --budget-usd\n";
    wait_until("told", || second.err_so_far().contains(told));
    t.go("go");
    first.wait().expect(0);
    second.wait().expect(0);
}

#[test]
fn a_changed_spec_says_which_run_it_ends() {
    let t = TestEnvironment::with(WAITS);
    t.spec("---\nkey: BLOG\n---\n# A blog\n\nOne.\n");
    let first = t.start_run(&["--json"]);
    t.wait_note("at-work");
    let old = t.status()["run"].as_str().unwrap().to_owned();
    t.spec("---\nkey: BLOG\n---\n# A blog\n\nTwo.\n");
    let second = t.start_run(&["--json"]);
    let told = format!("run {old} of the earlier text of this spec was cancelled");
    wait_until("told", || second.err_so_far().contains(&told));
    t.go("go");
    assert_eq!(second.wait().expect(0).json()["state"], "done");
    assert_eq!(first.wait().json()["state"], "cancelled");
}

#[test]
fn resuming_where_nobody_is_at_work_says_so() {
    let t = TestEnvironment::with(WAITS);
    let run = t.start_run(&["--json"]);
    t.wait_note("at-work");
    t.p0(&["pause"]).expect(0);
    run.signal("INT");
    run.wait();
    let output = t.p0(&["resume"]).expect(0);
    assert!(output.err.contains("nobody is at work on it: `p0 run SPEC` or `p0d` goes on"), "{output:?}");
    t.go("go");
    t.run_json(0);
}

/// When the holder is killed, the one that follows takes over and finishes both.
#[test]
fn who_follows_takes_over_from_a_killed_holder() {
    let t = TestEnvironment::with(WAITS);
    let holder = t.start_run(&["--json"]);
    t.wait_note("at-work");
    let follower = t.start_run(&["--json"]);
    wait_until("attached", || follower.err_so_far().contains("unfinished"));
    holder.signal("KILL");
    holder.wait();
    wait_until("taken over", || follower.err_so_far().contains("going on here"));
    t.go("go");
    assert_eq!(follower.wait().expect(0).json()["state"], "done");
    assert_eq!(t.events("attempt.lost").len(), 0, "the agent outlived its engine");
    t.log_is_whole();
}

#[test]
fn a_second_terminal_looks_and_steers() {
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'], depends_on=['a'])\n\
         def executor(): print('thinking', flush=True); note('at-work-' + tid); wait_for('go-' + tid); own_files()",
    );
    let mut run = t.start_run(&["--json"]);
    t.wait_note("at-work-BLOG-1");
    let status = t.status();
    assert_eq!((&status["state"], &status["stage"]), (&"running".into(), &"execute".into()));
    let waiting: Vec<String> = status["waiting"].as_array().unwrap().iter().map(Value::to_string).collect();
    assert!(waiting.iter().any(|w| w.contains("BLOG-2") && w.contains("waits for BLOG-1")), "{waiting:?}");
    insta::assert_snapshot!(t.p0(&["tickets"]).expect(0).shown(), @"
    exit 0
    TICKET  KIND  STATUS       PRIORITY  AFTER   TITLE
    BLOG-1  task  in_progress  medium            a
    BLOG-2  task  open         medium    BLOG-1  b
    ");
    wait_until("its output is shown", || t.p0(&["logs", "BLOG-1"]).expect(0).out == "thinking\n");
    t.p0(&["ticket", "comment", "BLOG-2", "mind", "the", "gap"]).expect(0);
    insta::assert_snapshot!(t.p0(&["pause", "@last", "--reason", "lunch"]).expect(0).shown(), @"
    exit 0
    run [id 1] is paused
    ");
    // A paused run is at rest for who follows it, once its attempts are over.
    t.go("go-BLOG-1");
    wait_until("the first lands", || t.status()["tickets"]["done"] == 1);
    assert_eq!(t.status()["state"], "paused");
    assert!(run.is_running() || !t.note_path("at-work-BLOG-2").exists(), "nothing new starts while it is paused");
    let resumed = t.p0(&["resume", "@last"]);
    if resumed.code != 0 {
        // Whoever followed the run was just leaving.
        assert!(resumed.err.contains("went away") && resumed.err.contains("look again"), "{resumed:?}");
        t.p0(&["resume", "@last"]).expect(0);
    }
    t.go("go-BLOG-2");
    let output = run.wait();
    if output.code == 13 {
        // It had left already: the same command goes on.
        t.run_json(0);
    } else {
        output.expect(0);
    }
    let comments = t.tickets()[1]["comments"].to_string();
    assert!(comments.contains("mind the gap") && comments.contains("person:ada"), "{comments}");
}

#[test]
fn a_paused_run_ends_with_13_and_the_same_command_goes_on() {
    let t = TestEnvironment::with(WAITS);
    let run = t.start_run(&["--json"]);
    t.wait_note("at-work");
    t.p0(&["pause", "@last", "--reason", "lunch"]).expect(0);
    t.go("go");
    let status = run.wait().expect(13).json();
    assert_eq!((&status["state"], &status["reason"]), (&"paused".into(), &"lunch".into()));
    assert_eq!(t.run_json(0)["run"], status["run"]);
}

#[test]
fn a_cancelled_run_ends_with_13_and_its_work_is_kept() {
    let t = TestEnvironment::with(
        "def executor():\n  own_files(); note('at-work')\n  if not os.path.exists(DIR + '/notes/go'): time.sleep(1000)",
    );
    let run = t.start_run(&["--json"]);
    t.wait_note("at-work");
    let cancelled = t.p0(&["cancel", "@last", "--reason", "wrong", "--json"]).expect(0).json();
    assert_eq!(cancelled["state"], "cancelled");
    let status = run.wait().expect(13).json();
    assert_eq!((&status["state"], &status["reason"]), (&"cancelled".into(), &"wrong".into()));
    t.nothing_is_alive();
    let parked = t.git(&["for-each-ref", "--format=%(refname)", "refs/p0/parked/"]);
    assert_eq!(t.show(&parked, "a.txt").unwrap(), "a of BLOG-1\n");
    assert_eq!(t.p0(&["cancel", "@last"]).expect(6).out, "");
    t.go("go");
    let again = t.run_json(0);
    assert_ne!(again["run"], status["run"], "a cancelled run is over");
}

#[test]
fn ctrl_c_says_how_to_go_on() {
    let t = TestEnvironment::with(
        "def executor():\n  if os.path.exists(DIR + '/notes/at-work'): own_files(); return\n  note('at-work'); time.sleep(1000)",
    );
    let run = t.start_run(&[]);
    t.wait_note("at-work");
    run.signal("INT");
    let output = run.wait_within(Duration::from_secs(20)).expect(13);
    assert!(output.err.contains(&format!("go on with: p0 run {}", t.spec_path())), "{}", output.err);
    t.nothing_is_alive();
    t.log_is_whole();
    assert_eq!(t.status()["state"], "running", "it is not over");
    let status = t.run_json(0);
    assert_eq!(t.p0(&["runs", "--json"]).json().as_array().unwrap().len(), 1);
    assert_eq!(status["tickets"]["done"], 1);
}

#[test]
fn an_agent_that_finishes_within_the_patience_is_not_disturbed() {
    let t = TestEnvironment::with("def executor(): note('at-work'); wait_for('go'); own_files()");
    let run = t.start_run(&["--json"]);
    t.wait_note("at-work");
    run.signal("INT");
    wait_until("it says that it stops", || run.err_so_far().contains("stopping"));
    t.go("go");
    let status = run.wait().expect(13).json();
    assert!(["running", "done"].contains(&status["state"].as_str().unwrap()), "{status}");
    assert_eq!(t.run_json(0)["tickets"]["done"], 1);
    assert_eq!(t.events("attempt.lost").len(), 0);
}

#[test]
fn ctrl_c_twice_stops_at_once() {
    let t = TestEnvironment::with(
        "def executor():\n  if os.path.exists(DIR + '/notes/at-work'): own_files(); return\n  note('at-work'); time.sleep(1000)",
    );
    let mut run = t.start_run(&["--json"]);
    t.wait_note("at-work");
    run.signal("INT");
    wait_until("it says that it stops", || run.err_so_far().contains("stopping"));
    // Signals that arrive together are one wish: one of these is a second one.
    wait_until("it stops at once", || {
        run.signal("INT");
        !run.is_running()
    });
    let output = run.wait().expect(13);
    assert!(output.err.contains("stopped at once"), "{output:?}");
    t.nothing_is_alive();
    assert_eq!(t.run_json(0)["state"], "done");
    t.log_is_whole();
}

#[test]
fn a_follower_that_leaves_does_not_stop_the_run() {
    let t = TestEnvironment::with(WAITS);
    let daemon = t.daemon();
    let run = t.start_run(&["--json"]);
    t.wait_note("at-work");
    run.signal("INT");
    let output = run.wait().expect(13);
    assert!(output.err.contains("p0d goes on with the run"), "{}", output.err);
    t.go("go");
    wait_until("done", || t.status()["state"] == "done");
    daemon.signal("TERM");
    daemon.wait().expect(0);
}

#[test]
fn detached() {
    let t = TestEnvironment::with(WAITS);
    let output = t.run(&["--detach"]).expect(0);
    insta::assert_snapshot!(output.shown(), @"
    exit 0
    [id 1]
    --- stderr
    p0d does the work; follow it with `p0 status [id 1]`
    ");
    t.wait_note("at-work");
    t.go("go");
    wait_until("done", || t.status()["state"] == "done");
    let again = t.run(&["--detach", "--json"]).expect(0).json();
    assert_eq!(again["run"], output.out.trim());
    let (pid, _) = t.processes().into_iter().find(|(_, line)| line.contains("p0d")).expect("p0d runs");
    crate::env::signal(pid, "TERM");
    t.nothing_is_alive();
    t.log_is_whole();
}

#[test]
fn detached_with_wrong_input_starts_no_daemon() {
    let t = TestEnvironment::new();
    t.run(&["--detach", "--workflow", "waltz"]).expect(3);
    assert!(t.processes().is_empty() && !t.data.exists());
}

#[test]
fn the_daemon_ends_in_time_and_takes_up_again_what_was_at_work() {
    let t = TestEnvironment::with(
        "def executor():\n  if os.path.exists(DIR + '/notes/at-work'): own_files(); return\n  note('at-work'); time.sleep(1000)",
    );
    let daemon = t.start_program(env!("CARGO_BIN_EXE_p0d"), &["--drain-s", "1"]);
    wait_until("p0d serves", || daemon.err_so_far().contains("serving"));
    t.run(&["--detach"]).expect(0);
    t.wait_note("at-work");
    daemon.signal("TERM");
    daemon.wait_within(Duration::from_secs(8)).expect(0);
    t.nothing_is_alive();
    assert!(!t.data.join("p0.sock").exists());
    let daemon = t.daemon();
    wait_until("done", || t.status()["state"] == "done");
    daemon.signal("TERM");
    daemon.wait().expect(0);
    assert_eq!(t.tickets()[0]["attempts"].as_array().unwrap().len(), 2);
    t.log_is_whole();
}

/// The agent at work goes on under another daemon, and its work lands.
#[track_caller]
fn the_next_daemon_adopts_it(t: &TestEnvironment) {
    let daemon = t.daemon();
    t.go("go");
    wait_until("done", || t.status()["state"] == "done");
    assert_eq!(t.tickets()[0]["attempts"].as_array().unwrap().len(), 1, "adopted, not begun again");
    daemon.signal("TERM");
    daemon.wait().expect(0);
}

#[test]
fn a_killed_daemon_leaves_agents_that_the_next_one_adopts() {
    let t = TestEnvironment::with(WAITS);
    let daemon = t.daemon();
    t.run(&["--detach"]).expect(0);
    t.wait_note("at-work");
    daemon.signal("KILL");
    daemon.wait();
    the_next_daemon_adopts_it(&t);
}

#[test]
fn a_daemon_that_is_replaced_leaves_its_agents_at_work() {
    let t = TestEnvironment::with(WAITS);
    let daemon = t.start_program(env!("CARGO_BIN_EXE_p0d"), &["--keep-agents"]);
    wait_until("p0d serves", || daemon.err_so_far().contains("serving"));
    t.run(&["--detach"]).expect(0);
    t.wait_note("at-work");
    daemon.signal("TERM");
    daemon.wait().expect(0);
    assert!(!t.processes().is_empty(), "its agent is at work");
    the_next_daemon_adopts_it(&t);
    t.log_is_whole();
}

#[test]
fn a_second_daemon_is_told_who_holds_it() {
    let t = TestEnvironment::new();
    let daemon = t.daemon();
    let second = t.start_program(env!("CARGO_BIN_EXE_p0d"), &[]).wait_within(Duration::from_secs(15)).expect(5);
    assert!(second.err.contains(&daemon.pid().to_string()), "{}", second.err);
    daemon.signal("INT");
    daemon.wait().expect(0);
}

/// Who follows the log keeps nobody from it, and goes on with whoever serves next.
#[test]
fn a_follower_of_the_log_is_in_nobodys_way() {
    let t = TestEnvironment::new();
    t.p0(&["ticket", "new", "--title", "first"]).expect(0);
    let follower = t.start(&["audit", "log", "--json", "--follow", "--kind", "run."]);
    wait_until("it follows", || t.p0(&["runs"]).code == 0);
    t.run_json(0);
    t.spec("# Another\n");
    t.agent("def plan(): ticket('b', ['b.txt'])");
    // The runs end quickly: what the follower has not seen while they served, it sees when it looks again.
    t.run_json(0);
    let daemon = t.daemon();
    wait_until("both are seen", || follower.out_so_far().matches("\"run.done\"").count() == 2);
    follower.signal("TERM");
    follower.wait();
    daemon.signal("TERM");
    daemon.wait().expect(0);
}
