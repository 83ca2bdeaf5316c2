//! What waits for a person, and the answers.
use crate::{env::wait_until, mcp::world};

/// Asks for one command, and does its work when it may.
const ASKS: &str = "def executor():\n  m = Mcp(args=['--permissions', 'ask'])\n  \
    answer = json.loads(m.call('permission_prompt', tool_name='Bash', input={'command': 'make all'}))\n  \
    note('answer', json.dumps(answer)); own_files(); m.end()";

#[test]
fn an_agent_waits_for_a_persons_yes() {
    let t = world(ASKS);
    let run = t.start_run(&["--json"]);
    let open = || t.p0(&["approvals", "--json"]).expect(0).json();
    wait_until("it asks", || open().as_array().is_some_and(|rows| !rows.is_empty()));
    let asked = open()[0].clone();
    assert_eq!((&asked["id"], &asked["tool"]), (&"BLOG-A1".into(), &"Bash".into()));
    assert_eq!((&asked["target"], &asked["state"]), (&"make all".into(), &"open".into()));
    assert_eq!(t.status()["approvals"][0]["id"], "BLOG-A1");
    let shown = t.p0(&["status"]).expect(0).out;
    assert!(shown.contains("wants to use Bash on make all; `p0 approve BLOG-A1`"), "{shown}");
    assert_eq!(t.p0(&["approve", "blog-a1", "--reason", "go on"]).expect(0).out, "BLOG-A1 is allowed\n");
    run.wait().expect(0);
    assert_eq!(t.note("answer")["behavior"], "allow");
    assert_eq!(t.note("answer")["updatedInput"]["command"], "make all");
    assert!(open().as_array().unwrap().is_empty());
    let all = t.p0(&["approvals", "--all", "--json"]).expect(0).json();
    assert_eq!((&all[0]["by"], &all[0]["reason"]), (&"person:ada".into(), &"go on".into()));
    let permission = t.events("attempt.reported").into_iter().map(|e| e["data"]["message"].clone());
    let recorded: Vec<_> = permission.filter(|m| m["type"] == "permission").collect();
    assert_eq!(recorded.len(), 1, "{recorded:?}");
    assert_eq!(recorded[0]["allowed"], true);
    t.p0(&["reject", "BLOG-A1"]).expect(6);
    t.p0(&["approve", "BLOG-A9"]).expect(4);
    t.log_is_whole();
}

#[test]
fn a_no_is_told_with_its_reason() {
    let t = world(ASKS);
    let run = t.start_run(&["--json"]);
    wait_until("it asks", || t.p0(&["approvals"]).expect(0).out.contains("BLOG-A1"));
    t.p0(&["answer", "BLOG-A1", "perhaps"]).expect(2);
    assert_eq!(t.p0(&["answer", "BLOG-A1", "no,", "never"]).expect(0).out, "BLOG-A1 is denied\n");
    run.wait().expect(0);
    assert_eq!(t.note("answer")["behavior"], "deny");
    assert!(t.note("answer")["message"].as_str().unwrap().contains("never"), "{}", t.note("answer"));
}

#[test]
fn an_attempt_cannot_answer_itself() {
    let t = world(
        "def executor():\n  import threading; own_files(); m = Mcp(args=['--permissions', 'ask'])\n  \
         ask = threading.Thread(target=lambda: note('answer', m.call('permission_prompt', tool_name='Bash', input={'command': 'x'})))\n  \
         ask.start(); time.sleep(0.5); p0('approve', 'BLOG-A1'); note('tried'); ask.join(); m.end()",
    );
    let run = t.start_run(&["--json"]);
    t.wait_note("tried");
    assert_eq!(t.note("p0-approve-BLOG-A1-executor-1")["code"], 6);
    t.p0(&["reject", "BLOG-A1"]).expect(0);
    run.wait().expect(0);
}

#[test]
fn a_ticket_that_needs_input_gets_its_answer() {
    let t = world(
        "def executor():\n  said = [c['text'] for c in I['ticket']['comments']]\n  \
         if 'blue' in said: own_files()\n  else: m = Mcp(); m.call('question', text='which colour?'); m.end()",
    );
    t.run_json(12);
    assert_eq!(t.tickets()[0]["status"], "blocked");
    // Nothing has changed, and nothing is tried once more.
    t.run_json(12);
    t.p0(&["answer", "BLOG-1", ""]).expect(6);
    assert_eq!(
        t.p0(&["answer", "BLOG-1", "blue"]).expect(0).out,
        "BLOG-1 is in_progress; the next round has the answer\n"
    );
    t.p0(&["answer", "BLOG-1", "red"]).expect(6);
    t.run_json(0);
    assert_eq!(t.tickets()[0]["status"], "done");
}
