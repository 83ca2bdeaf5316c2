//! Agents that misbehave as programs.
use crate::env::TestEnvironment;
use serde_json::Value;

/// Why the run stopped, of a STUCK run; what `p0 status` says is the same.
#[track_caller]
fn stuck(t: &TestEnvironment) -> String {
    let status = t.run_json(10);
    assert_eq!(status["state"], "stuck");
    let reason = status["reason"].as_str().unwrap().to_owned();
    let shown = t.p0(&["status"]).expect(0);
    assert!(shown.out.contains(&reason), "{}", shown.out);
    t.log_is_whole();
    reason
}

fn outcomes(ticket: &Value) -> Vec<&str> {
    ticket["attempts"].as_array().unwrap().iter().map(|a| a["outcome"].as_str().unwrap()).collect()
}

#[test]
fn everything_right_lands() {
    let t = TestEnvironment::new();
    let status = t.run_json(0);
    assert_eq!((&status["state"], &status["iteration"]), (&"done".into(), &2.into()));
    let branch = status["branch"].as_str().unwrap();
    assert_eq!(t.git(&["rev-parse", branch]), status["commit"].as_str().unwrap());
    assert!(t.show(branch, "a.txt").is_some());
    assert_eq!(t.git(&["status", "--porcelain"]), "?? .p0/", "the person's checkout is as it was");
    t.log_is_whole();
}

#[test]
fn exits_0_having_done_nothing() {
    let t = TestEnvironment::with("def executor(): say('status', status='done', reason='trust me')");
    let reason = stuck(&t);
    assert!(reason.contains("A-1") || reason.contains("BLOG-1"), "{reason}");
    assert!(reason.contains("it changed nothing"), "{reason}");
    let ticket = &t.tickets()[0];
    assert_eq!((&ticket["status"], outcomes(ticket).len()), (&"blocked".into(), 3));
    assert!(ticket["blocked_reason"].as_str().unwrap().contains("it changed nothing"));
}

#[test]
fn a_planner_that_says_done_over_what_is_blocked_is_stuck_with_the_cause() {
    let own = "def executor(): pass\ndef planner():\n  if it == 1: plan(); decide('continue')\n  else: decide('done')";
    let reason = stuck(&TestEnvironment::with(own));
    assert!(reason.contains("BLOG-1") && reason.contains("it changed nothing"), "{reason}");
}

#[test]
fn exits_with_an_error() {
    let t = TestEnvironment::with("def executor(): own_files(); print('out of cheese', file=sys.stderr); sys.exit(7)");
    let reason = stuck(&t);
    assert!(reason.contains("out of cheese"), "{reason}");
    assert_eq!(t.status()["tickets"]["done"], 0);
}

#[test]
fn a_planner_that_fails_every_time_is_stuck_with_its_reason() {
    let t = TestEnvironment::with("def planner(): sys.exit('no plan today')");
    let reason = stuck(&t);
    assert!(reason.contains("planner failed 3 times") && reason.contains("no plan today"), "{reason}");
}

#[test]
fn never_ends() {
    let t = TestEnvironment::with("def executor():\n  own_files()\n  while True: time.sleep(100)");
    t.config("rounds = 1\n[roles.executor]\ntimeout_s = 1\n");
    let reason = stuck(&t);
    assert!(reason.contains("limit") && reason.contains("1 s"), "{reason}");
    assert_eq!(t.events("attempt.timed_out").len(), 1);
    t.nothing_is_alive();
}

#[test]
fn never_says_a_word() {
    let t = TestEnvironment::with("def executor():\n  own_files()\n  while True: time.sleep(100)");
    t.config("rounds = 1\n[roles.executor]\nidle_s = 1\n");
    let reason = stuck(&t);
    assert!(reason.contains("output"), "{reason}");
}

#[test]
fn ignores_term() {
    let own = "import signal\ndef executor():\n  signal.signal(signal.SIGTERM, signal.SIG_IGN)\n  while True: time.sleep(100)";
    let t = TestEnvironment::with(own);
    t.config("rounds = 1\n[roles.executor]\ntimeout_s = 1\n");
    stuck(&t);
    t.nothing_is_alive();
}

#[test]
fn floods_its_output() {
    let own = "def executor():\n  own_files()\n  for i in range(64): sys.stdout.write('x' * 2**20); sys.stderr.write('y' * 2**20)\n";
    let t = TestEnvironment::with(own);
    t.config("output_bytes = 100000\n");
    t.run_json(0);
    let kept = t.p0(&["logs", "BLOG-1"]).expect(0).out.len();
    assert!(kept < 300_000, "{kept} bytes kept");
    let reserve = std::fs::metadata(t.data.join("reserve")).map_or(0, |meta| meta.len());
    let size = sizes(&t.data) - reserve;
    assert!(size < 40 << 20, "the data directory has {size} bytes");
}

#[test]
fn a_message_beyond_the_limit_counts() {
    let own = "def executor():\n  own_files()\n  for i in range(4000): print('x' * 100)\n  say('status', status='blocked', reason='no access')\n  for i in range(4000): print('x' * 100)\n";
    let t = TestEnvironment::with(own);
    t.config("output_bytes = 100000\n");
    let run = t.run_json(10);
    assert!(run.to_string().contains("no access"), "{run}");
}

#[test]
fn a_judge_may_fill_stderr() {
    let t = TestEnvironment::with(
        "def verifier():\n  for i in range(3): sys.stderr.write('y' * 2**20)\n  say('verdict', met=True, rationale='as asked')\n",
    );
    t.run_json(0);
}

fn sizes(dir: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().flatten();
    entries
        .map(|e| match e.metadata() {
            Ok(meta) if meta.is_dir() => sizes(&e.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}

#[test]
fn floods_lines_and_messages() {
    let own =
        "def executor():\n  own_files()\n  for i in range(20000): print('line', i)\n  say('comment', text='end')\n";
    let t = TestEnvironment::with(own);
    t.run_json(0);
    let comments = t.tickets()[0]["comments"].clone();
    assert_eq!(comments.as_array().unwrap().iter().filter(|c| c["text"] == "end").count(), 1);
}

#[test]
fn half_a_line_is_no_message() {
    let own = "def executor():\n  own_files()\n  print('{\"type\": \"comment\", \"text\": broken')\n  print('{\"type\": \"comm')\n";
    let t = TestEnvironment::with(own);
    t.run_json(0);
    let exited = t.events("attempt.exited");
    let of_ticket = exited.iter().find(|e| e["ticket"] == "BLOG-1").unwrap();
    assert!(of_ticket["data"]["report"]["malformed_lines"].as_u64().unwrap() > 0, "{of_ticket}");
    let told = t.events("attempt.reported");
    assert!(told.iter().any(|e| e["data"]["message"]["type"] == "unreadable"), "{told:?}");
    assert_eq!(t.tickets()[0]["comments"].as_array().unwrap().len(), 0);
}

#[test]
fn half_a_status_is_no_success() {
    let own = "def executor():\n  own_files()\n  \
               sys.stdout.write('{\"type\":\"status\",\"status\":\"blocked\",\"reason\":\"ha')\n";
    let t = TestEnvironment::with(own);
    t.run_json(10);
    let refused = t.events("plan.refused");
    let reason = refused[0]["data"]["reasons"][0].as_str().unwrap();
    assert_eq!(reason, "line 1, column 48: the status cannot be read: the output ends in the middle of it");
}

#[test]
fn a_whole_message_without_its_newline_counts_at_the_end() {
    let own = "def executor():\n  own_files()\n  sys.stdout.write('{\"type\":\"comment\",\"text\":\"no newline\"}')\n";
    let t = TestEnvironment::with(own);
    t.run_json(0);
    assert_eq!(t.tickets()[0]["comments"][0]["text"], "no newline");
}

#[test]
fn strange_messages_do_no_harm() {
    let own = r#"
def executor():
  own_files()
  for line in ['{"type":"telepathy"}', '{"type":"comment"}', '{"type":"usage","input_tokens":-5}', '[]', 'null', '{}',
               '{"type":"usage","cost_usd":1e400}', '{"type":"confidence","value":"high"}', '\x1b[31mred\x1b[0m', '\x00',
               '{"type":"comment","text":"\\u001b[2J\\u0000gone"}', '{"type":["a"]}', '{' * 10000]: print(line)
"#;
    let t = TestEnvironment::with(own);
    t.run_json(0);
    let shown = t.p0(&["ticket", "show", "BLOG-1"]).expect(0).out;
    assert!(!shown.contains('\u{1b}') && !shown.contains('\0'), "control characters of an agent: {shown:?}");
    let logged = t.p0(&["audit", "log"]).expect(0).out;
    assert!(!logged.contains('\u{1b}') && !logged.contains('\0'), "control characters of an agent");
}

#[test]
fn leaves_children_behind() {
    let own = r#"
def executor():
  own_files()
  subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
  subprocess.Popen(["setsid", "sleep", "1001"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
  subprocess.Popen(["sh", "-c", "setsid sh -c 'trap \"\" TERM HUP; sleep 1002 & sleep 1003' & exit 0"])
"#;
    let t = TestEnvironment::with(own);
    t.run_json(0);
    t.nothing_is_alive();
}

#[test]
fn holds_its_output_open_through_a_child() {
    let own = "def executor():\n  own_files()\n  subprocess.Popen(['setsid', 'sleep', '1000'])\n";
    let t = TestEnvironment::with(own);
    t.run_json(0);
    t.nothing_is_alive();
}

#[test]
fn an_agent_that_removes_its_worktree_has_changed_nothing() {
    let own = "def executor():\n  import shutil\n  if rnd == 1: shutil.rmtree(os.getcwd())\n  else: own_files()\n";
    let t = TestEnvironment::with(own);
    // In its sandbox it can empty it, but not remove it.
    t.config("[sandbox]\nmode = \"off\"\n");
    t.run_json(0);
    assert_eq!(outcomes(&t.tickets()[0]), ["refused", "accepted"]);
}

#[test]
fn a_killed_agent_is_a_failed_round() {
    let own = "def executor():\n  own_files()\n  if rnd == 1: os.kill(os.getpid(), 9)\n";
    let t = TestEnvironment::with(own);
    t.run_json(0);
    let ticket = &t.tickets()[0];
    assert_eq!(outcomes(ticket), ["failed", "accepted"]);
    assert!(
        t.note("executor-BLOG-1-1-2")["feedback"].to_string().contains("signal 9"),
        "{}",
        t.note("executor-BLOG-1-1-2")["feedback"]
    );
}
