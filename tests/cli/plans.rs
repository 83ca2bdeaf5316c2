//! Plans that cannot be: refused whole, handed back with the reasons, and the mended plan goes on.
use crate::env::TestEnvironment;

/// A planner that says this first, and a plan of one ticket when it is told why not.
fn first_plan(bad: &str) -> TestEnvironment {
    let indented: String = bad.lines().map(|l| format!("    {l}\n")).collect();
    TestEnvironment::with(&format!(
        "def planner():\n  if it == 1 and rnd == 1:\n{indented}  elif it == 1: plan(); decide('continue')\n  else: decide('done')\n"
    ))
}

/// The run is done by the second plan; what the first was refused for is what the planner is told.
#[track_caller]
fn refused(t: &TestEnvironment) -> String {
    let status = t.run_json(0);
    assert_eq!(status["tickets"]["done"], 1, "nothing of the refused plan is there");
    let refused = t.events("plan.refused");
    assert_eq!(refused.len(), 1);
    let reasons = refused[0]["data"]["reasons"].as_array().unwrap();
    assert_eq!(&t.note("planner-1-2")["feedback"], &refused[0]["data"]["reasons"]);
    reasons.iter().map(|r| r.as_str().unwrap().to_owned()).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_cycle() {
    let t = first_plan(
        "ticket('x', ['x'], depends_on=['y']); ticket('y', ['y'], depends_on=['z']); ticket('z', ['z'], depends_on=['x']); decide('continue')",
    );
    insta::assert_snapshot!(refused(&t), @"the dependencies form a cycle: BLOG-1 'x' → BLOG-2 'y' → BLOG-3 'z' → BLOG-1 'x'");
}

#[test]
fn a_ticket_that_waits_for_itself() {
    let t = first_plan("ticket('x', ['x'], depends_on=['x']); decide('continue')");
    insta::assert_snapshot!(refused(&t), @"the dependencies form a cycle: BLOG-1 'x' → BLOG-1 'x'");
}

#[test]
fn the_same_key_twice() {
    let t = first_plan("ticket('x', ['x']); ticket('x', ['y']); decide('continue')");
    insta::assert_snapshot!(refused(&t), @"the key 'x' is used for two items of this plan");
}

#[test]
fn an_id_that_is_not_there() {
    let t =
        first_plan("ticket('x', ['x'], id='BLOG-7'); ticket('y', ['y'], depends_on=['nothing']); decide('continue')");
    insta::assert_snapshot!(refused(&t), @r#"
    there is no item 'BLOG-7' to change; leave "id" out for a new one
    item 'y': 'nothing' is neither a key of this plan nor the id of an existing item
    "#);
}

#[test]
fn two_owners_of_a_path() {
    let t = first_plan(
        "ticket('x', ['one.txt', 'd/deep/file']); ticket('y', ['one.txt']); ticket('z', ['d/']); decide('continue')",
    );
    insta::assert_snapshot!(refused(&t), @"
    'one.txt' would belong to both BLOG-1 'x' and BLOG-2 'y'; a file belongs to at most one live ticket: merge them, or give the file to one
    'd/deep/file' would belong to both BLOG-1 'x' and BLOG-3 'z'; a file belongs to at most one live ticket: merge them, or give the file to one
    ");
}

#[test]
fn paths_that_lead_out() {
    let t = first_plan(
        "ticket('x', ['../out']); ticket('y', ['/abs']); ticket('z', ['.git/config']); ticket('w', ['a//b/./c']); ticket('g', ['*.txt']); ticket('e', ['']); decide('continue')",
    );
    insta::assert_snapshot!(refused(&t), @"
    item 'x': the path '../out' cannot be owned: it must be written without empty, '.' or '..' parts
    item 'y': the path '/abs' cannot be owned: it must be relative to the repository's root, with forward slashes
    item 'z': the path '.git/config' cannot be owned: git's own data belongs to nobody
    item 'w': the path 'a//b/./c' cannot be owned: it must be written without empty, '.' or '..' parts
    item 'g': the path '*.txt' cannot be owned: lists are literal: write a folder with a trailing '/' instead of a pattern
    item 'e': the path '' cannot be owned: it names the whole repository or nothing; list folders and files
    ");
}

#[test]
fn no_title_no_decision_two_decisions() {
    let t = first_plan("say('ticket', key='x', files={'create': ['x'], 'modify': []}); decide('continue')");
    insta::assert_snapshot!(refused(&t), @"the new item 'x' has no title");
    let t = first_plan("pass");
    insta::assert_snapshot!(refused(&t), @"the plan has no decision: say continue, done or stuck");
    let t = first_plan("ticket('x', ['x']); decide('continue'); decide('done')");
    insta::assert_snapshot!(refused(&t), @"the plan has more than one decision; say one");
    let t = first_plan("decide('continue')");
    insta::assert_snapshot!(refused(&t), @"the decision is continue, but no ticket is ready to be worked on: add tickets, or decide done or stuck");
}

#[test]
fn an_id_that_was_used_already() {
    let t = TestEnvironment::with(
        "def planner():\n  if it == 1: plan(); decide('continue')\n  \
         elif rnd == 1: ticket('again', ['z.txt'], id='BLOG-1'); ticket('BLOG-1', ['y.txt']); decide('continue')\n  else: decide('done')\n",
    );
    t.run_json(0);
    let refused = t.events("plan.refused");
    insta::assert_snapshot!(refused[0]["data"]["reasons"], @r#"["BLOG-1 has landed and does not reopen; propose an item of kind \"fix\"","the key 'BLOG-1' is the id of an existing item; use \"id\" to change it"]"#);
    assert_eq!(t.tickets().len(), 1);
}

#[test]
fn malformed_lines_of_a_plan_do_not_make_half_a_plan() {
    let t = first_plan(
        "ticket('x', ['x'])\nprint('{\"type\":\"ticket\",\"key\":\"y\",\"title\":\"y\",\"depends_on\":7}')\ndecide('continue')",
    );
    insta::assert_snapshot!(refused(&t), @"line 2: the ticket cannot be read: `depends_on` must be a list of texts, not 7");
}

#[test]
fn a_planner_killed_midway_leaves_nothing() {
    let t = first_plan("ticket('x', ['x']); decide('continue'); os.kill(os.getpid(), 9)");
    let status = t.run_json(0);
    assert_eq!(status["tickets"]["done"], 1);
    assert_eq!(t.tickets()[0]["title"], "a");
}

#[test]
fn a_bad_plan_again_and_again_is_stuck() {
    let t = TestEnvironment::with("def planner(): ticket('x', ['x'], depends_on=['x']); decide('continue')");
    let status = t.run_json(10);
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("planner failed 3 times") && reason.contains("cycle"), "{reason}");
    assert_eq!(t.tickets().len(), 0);
}

#[test]
fn dependencies_are_kept() {
    let t = TestEnvironment::with(
        "def plan(): ticket('last', ['c'], depends_on=['mid']); ticket('mid', ['b'], depends_on=['first']); ticket('first', ['a'])\n\
         def executor():\n  for need in {'c': ['a', 'b'], 'b': ['a'], 'a': []}[I['files']['create'][0]]: assert os.path.exists(need), need\n  own_files()\n",
    );
    let status = t.run_json(0);
    assert_eq!((&status["tickets"]["done"], &status["attempts"]), (&3.into(), &6.into()));
    let landed: Vec<String> =
        t.events("integration.landed").iter().map(|e| e["ticket"].as_str().unwrap().into()).collect();
    assert_eq!(landed, ["BLOG-3", "BLOG-2", "BLOG-1"]);
}
