//! Roles that try what is above their rights are refused and recorded, and the run goes on.
use crate::env::TestEnvironment;
use serde_json::Value;

#[track_caller]
fn refusals(t: &TestEnvironment) -> Vec<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
    let role = |v: &Value| text(v).split('@').next().unwrap().to_owned();
    t.events("rights.refused").iter().map(|e| (role(&e["actor"]), text(&e["data"]["what"]))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect()
}

#[test]
fn words_above_a_role() {
    let t = TestEnvironment::with(
        "def verifier():\n  ticket('sneaked', ['x'])\n  say('feedback', title='f')\n  say('verdict', met=True)\n\
         def specialist():\n  say('verdict', met=False)\n  say('decision', decision='stuck')\n\
         def executor():\n  own_files()\n  decide('stuck')\n  say('verdict', met=True)\n",
    );
    t.config("[specialists.security]\nprompt = \"look\"\n");
    let status = t.run_json(0);
    assert_eq!(status["tickets"]["done"], 1);
    let mut found = refusals(&t);
    found.sort();
    assert_eq!(
        found,
        pairs(&[
            ("executor", "decision"),
            ("executor", "verdict"),
            ("security", "decision"),
            ("security", "verdict"),
            ("verifier", "feedback"),
            ("verifier", "ticket"),
        ])
    );
    assert_eq!(t.tickets().len(), 1);
    t.log_is_whole();
}

#[test]
fn a_planner_says_what_is_the_executors() {
    let t = TestEnvironment::with(
        "def planner():\n  if it == 1: say('status', status='done'); say('subtask', title='s'); plan(); decide('continue')\n  else: decide('done')",
    );
    t.run_json(0);
    assert_eq!(refusals(&t), pairs(&[("planner", "status"), ("planner", "subtask")]));
}

#[test]
fn read_only_roles_that_write_files() {
    let t = TestEnvironment::with(
        "def verifier(): put('old.txt', 'verified'); put('v.txt'); say('verdict', met=True)\n\
         def specialist(): put('s.txt'); subprocess.run(['git', 'add', '-A']); subprocess.run(['git', 'commit', '-qm', 'x'])\n\
         def planner():\n  put('p.txt')\n  if it == 1: plan(); decide('continue')\n  else: decide('done')",
    );
    t.config("[specialists.security]\nprompt = \"look\"\n");
    let status = t.run_json(0);
    assert_eq!(t.git(&["diff", "--name-status", "main", status["branch"].as_str().unwrap()]), "A\ta.txt");
    let mut paths: Vec<String> =
        t.events("ownership.violated").iter().map(|e| e["data"]["paths"].to_string()).collect();
    paths.sort();
    assert_eq!(paths, ["[\"old.txt\",\"v.txt\"]", "[\"p.txt\"]", "[\"p.txt\"]", "[\"s.txt\"]"]);
    assert_eq!(status["ownership_violations"], 4);
}

#[test]
fn through_its_socket_with_the_command_line() {
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'])\n\
         def executor():\n  own_files()\n  if tid != 'BLOG-1': return\n  \
         p0('ticket', 'status', 'BLOG-2', 'done')\n  p0('cancel', '@last')\n  p0('claim', '--next', '--worker', 'me')\n  \
         p0('ticket', 'new', '--title', 'sneaked')\n  p0('ticket', 'show', 'BLOG-2')\n  p0('ticket', 'comment', 'BLOG-1', 'hello', 'there')\n",
    );
    t.run_json(0);
    let code = |name: &str| t.note(&format!("p0-{name}-executor-1"))["code"].as_i64().unwrap();
    assert_eq!(code("ticket-status"), 6);
    assert_eq!(code("cancel-@last"), 6);
    assert_eq!(code("claim---next"), 6);
    assert_eq!(code("ticket-show"), 0, "it may look at its milestone");
    assert_eq!(code("ticket-comment"), 0, "and speak for itself");
    let what: Vec<String> = refusals(&t).into_iter().map(|(role, what)| format!("{role} {what}")).collect();
    assert!(what.contains(&"executor status of BLOG-2".to_owned()), "{what:?}");
    assert!(what.iter().any(|w| w.starts_with("executor POST /api/v1/runs/") && w.ends_with("/cancel")), "{what:?}");
    assert!(what.contains(&"executor POST /api/v1/claims".to_owned()), "{what:?}");
    let ticket = &t.tickets()[0];
    assert_eq!(ticket["comments"][0]["text"], "hello there");
    assert!(ticket["comments"][0]["actor"].as_str().unwrap().starts_with("executor@"));
}

#[test]
fn a_wrong_token() {
    let t = TestEnvironment::with("def executor(): own_files(); p0('ticket', 'comment', tid, 'x', P0_TOKEN='guessed')");
    t.run_json(0);
    let said = t.note("p0-ticket-comment-executor-1");
    assert_eq!(said["code"], 6, "{said}");
    assert_eq!(t.tickets()[0]["comments"].as_array().unwrap().len(), 0);
}

#[test]
fn a_token_without_its_socket_or_a_dead_socket() {
    let t = TestEnvironment::with(
        "def executor(): own_files(); p0('ticket', 'comment', tid, P0_SOCKET=''); p0('ticket', 'show', tid, P0_SOCKET='/nonexistent')",
    );
    t.run_json(0);
    assert_eq!(t.note("p0-ticket-comment-executor-1")["code"], 6 - 4, "no text is wrong usage");
    let said = t.note("p0-ticket-show-executor-1");
    assert_ne!(said["code"], 0);
    assert!(!said["err"].as_str().unwrap().is_empty());
}

/// It drops its token and goes to the main socket, also from a process that left its session and its parent.
#[test]
fn the_main_socket() {
    let t = TestEnvironment::with(
        "def executor():\n  own_files()\n  d = DIR + '/data'\n  \
         p0('cancel', '@last', '--data-dir', d, P0_TOKEN='')\n  p0('runs', '--data-dir', d, P0_TOKEN='')\n  \
         subprocess.Popen(['setsid', 'sh', '-c', '(sleep 0.2; P0_TOKEN= \"$T_P0\" --data-dir \"$T_DIR/data\" cancel @last >\"$T_DIR/notes/daemon.tmp\" 2>&1; \
         echo $? >>\"$T_DIR/notes/daemon.tmp\"; mv \"$T_DIR/notes/daemon.tmp\" \"$T_DIR/notes/daemon\") & exit 0']).wait()\n  wait_for('daemon')\n",
    );
    // In its sandbox it does not get there.
    t.config("[sandbox]\nmode = \"off\"\n");
    t.run_json(0);
    let said = t.note("p0-cancel-@last-executor-1");
    assert_eq!(said["code"], 6, "{said}");
    assert_eq!(t.note("p0-runs---data-dir-executor-1")["code"], 6, "not even looking");
    let daemon = std::fs::read_to_string(t.note_path("daemon")).unwrap();
    assert!(daemon.trim_end().ends_with('6'), "{daemon}");
    let what = refusals(&t);
    assert!(what.iter().filter(|(_, what)| what == "the main socket").count() >= 3, "{what:?}");
}

/// A gate has the environment of the person and runs what agents wrote: it is no person all the same.
#[test]
fn a_gate_on_the_main_socket() {
    let t = TestEnvironment::with("");
    let gate = t.dir.join("gate.sh");
    let text = format!(
        "d={}\nsay() {{ echo $? >>$d/notes/gate-codes; }}\n{p0} --data-dir $d/data cancel @last; say\n\
         env -i {p0} --data-dir $d/data ticket status BLOG-1 done; say\nexit 0\n",
        t.dir.display(),
        p0 = crate::env::p0_path(),
    );
    std::fs::write(&gate, text).unwrap();
    t.config(&format!("[gates]\ncommands = [[\"sh\", \"{}\"]]\n", gate.display()));
    t.run_json(0);
    assert_eq!(std::fs::read_to_string(t.note_path("gate-codes")).unwrap(), "6\n6\n");
    assert_eq!(t.events("run.cancelled").len(), 0);
    let what = refusals(&t);
    assert!(what.iter().filter(|(_, what)| what == "the main socket").count() >= 2, "{what:?}");
}

/// An agent ends its supervisor, so that nothing above it tells what it is.
#[test]
fn an_agent_without_its_supervisor() {
    let t = TestEnvironment::with(
        "def executor():\n  own_files()\n  if rnd > 1 or os.path.exists(DIR + '/notes/alone'): return\n  \
         parent = os.getppid(); note('alone')\n  child = os.fork()\n  if child: time.sleep(60); return\n  \
         os.setsid(); os.kill(parent, 9)\n  \
         p0('cancel', '@last', '--data-dir', DIR + '/data', P0_TOKEN='', P0_ATTEMPT_MARK='')\n",
    );
    // In its sandbox it could not.
    t.config("[sandbox]\nmode = \"off\"\n");
    let run = t.start_run(&["--json"]);
    let output = run.wait();
    assert!(t.events("run.cancelled").is_empty(), "{output:?}");
}

#[test]
fn another_attempts_socket() {
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'])\n\
         def executor():\n  own_files()\n  \
         if tid == 'BLOG-2':\n    note('socket', os.environ['P0_SOCKET']); wait_for('tried')\n  \
         else:\n    wait_for('socket'); p0('ticket', 'comment', 'BLOG-2', 'x', P0_SOCKET=open(DIR + '/notes/socket').read()); note('tried')\n",
    );
    t.run_json(0);
    assert_eq!(t.note("p0-ticket-comment-executor-1")["code"], 6);
    assert!(t.tickets().iter().all(|t| t["comments"].as_array().unwrap().is_empty()));
}

#[test]
fn an_executor_that_asks_for_more_through_its_door_like_through_its_lines() {
    let t = TestEnvironment::with(
        "def executor():\n  own_files()\n  p0('ticket', 'files', tid, '--modify', 'old.txt', '--reason', 'needed'); put('old.txt', 'changed')\n  p0('ticket', 'status', tid, 'done')\n",
    );
    let status = t.run_json(0);
    assert_eq!(t.show(status["branch"].as_str().unwrap(), "old.txt").unwrap(), "changed");
    assert_eq!(t.events("ownership.granted").len(), 1);
    assert_eq!(t.note("p0-ticket-status-executor-1")["code"], 0);
}
