//! When a run is done, stuck, or begins again.
use crate::env::{TestEnvironment, wait_until};
use serde_json::Value;

#[track_caller]
fn stuck(t: &TestEnvironment) -> String {
    let status = t.run_json(10);
    let reason = status["reason"].as_str().unwrap().to_owned();
    let shown = t.p0(&["status"]).expect(0).out;
    assert!(shown.contains("stuck") && shown.contains(&reason), "{shown}");
    reason
}

fn reasons(t: &TestEnvironment) -> String {
    t.events("plan.refused").iter().map(|e| e["data"]["reasons"].to_string()).collect()
}

#[test]
fn done_needs_a_verdict_on_the_head() {
    // The planner says done at once, over and over: the judging stage is entered, never skipped.
    let t = TestEnvironment::with(
        "def planner():\n  if it == 1: plan(); decide('continue')\n  else: decide('done')\ndef verifier(): say('verdict', met=it > 1, rationale='second look', gaps=['look again'])",
    );
    t.config("rounds = 1\n");
    let status = t.run_json(10);
    assert!(status["reason"].as_str().unwrap().contains("look again"), "{status}");
    assert!(reasons(&t).contains("DONE needs the verdict 'met' on the head"), "{}", reasons(&t));
}

#[test]
fn done_without_any_work_is_judged_first() {
    let t = TestEnvironment::with("def planner(): decide('done', 'it is all there')");
    let status = t.run_json(0);
    assert_eq!((&status["state"], &status["tickets"]["done"]), (&"done".into(), &0.into()));
    let verdict = &t.events("verdict.issued")[0];
    assert_eq!(verdict["data"]["commit"], status["commit"]);
}

#[test]
fn a_landing_voids_the_verdict() {
    let t = TestEnvironment::with(
        "def planner():\n  if it == 1: plan(); decide('continue')\n  elif it == 2 and rnd == 1: ticket('b', ['b.txt']); decide('continue')\n  else: decide('done')",
    );
    let status = t.run_json(0);
    let verdicts = t.events("verdict.issued");
    assert_eq!(verdicts.len(), 2);
    assert_ne!(verdicts[0]["data"]["commit"], verdicts[1]["data"]["commit"]);
    assert_eq!(verdicts[1]["data"]["commit"], status["commit"]);
}

#[test]
fn open_high_feedback_forbids_done_until_a_fix_lands() {
    let t = TestEnvironment::with(
        "def planner():\n  open_ = [x for x in I['tickets'] if x['kind'] == 'feedback' and x['status'] != 'done']\n  \
         if it == 1: plan(); decide('continue')\n  \
         elif open_ and rnd == 1: decide('done')\n  \
         elif open_: ticket('fix', kind='fix', modify=['a.txt'], closes=[open_[0]['id']]); decide('continue')\n  \
         else: decide('done')\n\
         def executor():\n  put('a.txt', f'iteration {it}')\n\
         def specialist():\n  if it == 1: say('feedback', title='a hole', body='mend it', priority='high', files=['a.txt'])\n",
    );
    t.config("[specialists.security]\nprompt = \"look\"\n");
    let status = t.run_json(0);
    assert!(reasons(&t).contains("an open item of high priority forbids DONE"), "{}", reasons(&t));
    assert_eq!(t.show(status["branch"].as_str().unwrap(), "a.txt").unwrap(), "iteration 2");
    let tickets = t.tickets();
    let feedback = tickets.iter().find(|x| x["kind"] == "feedback").unwrap();
    assert_eq!(
        (&feedback["status"], &feedback["priority"], &feedback["category"]),
        (&"done".into(), &"high".into(), &"security".into())
    );
}

#[test]
fn medium_feedback_is_deferred_with_a_reason() {
    let t = TestEnvironment::with(
        "def planner():\n  f = [x['id'] for x in I['tickets'] if x['kind'] == 'feedback']\n  \
         if it == 1: plan(); decide('continue')\n  \
         elif rnd == 1: decide('done')\n  \
         elif rnd == 2: say('defer', ticket=f[0], reason=' '); decide('done')\n  \
         else: say('defer', ticket=f[0], reason='next year'); decide('done')\n\
         def specialist(): say('feedback', title='could be nicer', priority='medium')\n",
    );
    t.config("[specialists.style]\nprompt = \"look\"\n");
    let status = t.run_json(0);
    let told = reasons(&t);
    assert!(
        told.contains("must be addressed, or put off with a reason") && told.contains("without a reason"),
        "{told}"
    );
    assert_eq!(status["tickets"]["open"], 1);
    assert!(t.p0(&["ticket", "show", "BLOG-2"]).expect(0).out.contains("next year"));
}

#[test]
fn high_feedback_cannot_be_deferred() {
    let t = TestEnvironment::with(
        "def planner():\n  f = [x['id'] for x in I['tickets'] if x['kind'] == 'feedback']\n  \
         if it == 1: plan(); decide('continue')\n  else: say('defer', ticket=f[0], reason='later'); decide('done')\n\
         def specialist(): say('feedback', title='a hole', priority='high')\n",
    );
    t.config("[specialists.security]\nprompt = \"look\"\n");
    let reason = stuck(&t);
    assert!(reason.contains("cannot be put off"), "{reason}");
}

#[test]
fn the_planner_says_stuck_and_the_same_spec_starts_again() {
    let t = TestEnvironment::with(
        "def planner():\n  if not I['tickets']: plan(); decide('continue')\n  elif os.path.exists(DIR + '/notes/helped'): decide('done')\n  else: decide('stuck', 'the API key is missing')",
    );
    let reason = stuck(&t);
    assert!(reason.contains("the API key is missing"), "{reason}");
    let first = t.status();
    t.go("helped");
    let second = t.run_json(0);
    assert_ne!(second["run"], first["run"], "STUCK is over: a new run");
    let base = &t.events("run.started")[1]["data"]["base"];
    assert_eq!(base, &first["commit"], "from what landed");
}

#[test]
fn everything_blocked_is_stuck_and_a_new_run_tries_again() {
    let t = TestEnvironment::with(
        "def planner():\n  if it == 1 and not I['tickets']: plan(); decide('continue')\n  elif (I['verdict'] or {}).get('met') and all(x['status'] == 'done' for x in I['tickets']): decide('done')\n  else: decide('continue')\n\
         def executor():\n  if os.path.exists(DIR + '/notes/helped'): own_files()\n  else: say('status', status='blocked', reason='no database here')",
    );
    let reason = stuck(&t);
    assert!(reason.contains("BLOG-1") && reason.contains("no database here"), "{reason}");
    t.go("helped");
    let status = t.run_json(0);
    assert_eq!(status["tickets"]["done"], 1);
    assert_eq!(t.tickets().len(), 1, "the same ticket, opened again");
}

#[test]
fn the_limit_of_iterations() {
    let t = TestEnvironment::with(
        "def planner(): ticket(f't{it}', [f'f{it}.txt']); decide('continue')\ndef verifier(): say('verdict', met=False, gaps=['more'])",
    );
    let status = t.run(&["--json", "--max-iterations", "2"]).expect(10).json();
    assert!(status["reason"].as_str().unwrap().contains("limit of 2 iterations"), "{status}");
    assert_eq!((&status["iteration"], &status["tickets"]["done"]), (&2.into(), &2.into()));
}

#[test]
fn the_same_end_twice() {
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'], depends_on=['a'])\n\
         def planner():\n  if it == 1: plan()\n  decide('continue')\n\
         def executor(): say('status', status='blocked', reason='cannot')\n",
    );
    let reason = stuck(&t);
    assert!(reason.contains("blocked") || reason.contains("alike"), "{reason}");
}

#[test]
fn a_done_spec_again_shows_its_run() {
    let t = TestEnvironment::new();
    let first = t.run_json(0);
    let before = t.p0(&["audit", "log"]).expect(0).out;
    let again = t.run(&[]).expect(0);
    assert!(again.out.contains("done already"), "{again:?}");
    assert_eq!(t.run_json(0), first, "the same document, times included");
    assert_eq!(t.p0(&["audit", "log"]).expect(0).out, before, "looking writes nothing");
}

#[test]
fn a_changed_spec_is_a_new_run_from_what_landed() {
    let t = TestEnvironment::with(
        "def planner():\n  n = len(I['milestone']['body'])\n  if it == 1: ticket('t', [f'f{n}.txt']); decide('continue')\n  else: decide('done')",
    );
    t.spec("# A blog\n\n1\n");
    let first = t.run_json(0);
    t.spec("# A blog\n\n1 and 22\n");
    let second = t.run_json(0);
    assert_ne!(first["run"], second["run"]);
    assert_eq!(first["milestone"], second["milestone"]);
    assert_eq!(t.events("milestone.created").len(), 1);
    assert_eq!(t.events("milestone.updated").len(), 1);
    assert_eq!(t.events("run.started")[1]["data"]["base"], first["commit"]);
    let branch = second["branch"].as_str().unwrap();
    assert_eq!(t.git(&["diff", "--name-only", "main", branch]).lines().count(), 2, "both are in it");
    assert_eq!(t.git(&["rev-parse", first["branch"].as_str().unwrap()]), first["commit"].as_str().unwrap());
}

#[test]
fn a_budget_that_is_used_up_pauses_and_more_goes_on() {
    let t = TestEnvironment::with(
        "def executor(): own_files(); say('usage', model='m', input_tokens=600, output_tokens=500, cost_usd=0.5)",
    );
    let status = t.run(&["--json", "--budget-tokens", "1000"]).expect(13).json();
    assert_eq!(status["state"], "paused");
    assert!(status["reason"].as_str().unwrap().contains("1100 of 1000 tokens"), "{status}");
    assert_eq!(status["usage"]["cost_usd"], 0.5);
    assert_eq!(t.events("budget.exhausted").len(), 1);
}

/// The budget is used up in the middle of an attempt: its program is ended, its work is kept, and goes on.
#[test]
fn a_budget_ends_an_attempt_at_work_and_a_larger_one_goes_on() {
    let t = TestEnvironment::with(
        "def executor():\n  put('a.txt', f'round {rnd}\\n')\n  note('worked')\n\
         \x20 say('usage', model='m', input_tokens=600, output_tokens=500, total=True)\n\
         \x20 if not os.path.exists(DIR + '/notes/go'): time.sleep(80)",
    );
    let status = t.run(&["--json", "--budget-tokens", "1000"]).expect(13).json();
    let run = status["run"].as_str().unwrap().to_owned();
    let reason = status["reason"].as_str().unwrap();
    assert_eq!(
        reason,
        format!(
            "the budget is used up: 1100 of 1000 tokens are used; `p0 resume {run} --budget-tokens N` goes on with a larger one"
        )
    );
    assert_eq!((t.events("budget.exhausted").len(), t.events("attempt.stopping").len()), (1, 1));
    let attempts = t.tickets()[0]["attempts"].clone();
    assert_eq!((attempts.as_array().unwrap().len(), &attempts[0]["outcome"]), (1, &"lost".into()));
    let parked = format!("refs/p0/parked/{}:a.txt", attempts[0]["id"].as_str().unwrap());
    assert_eq!(t.git(&["show", &parked]), "round 1");
    let again = t.p0(&["resume", &run]).expect(0);
    assert!(again.err.contains("it is paused again: the budget is used up"), "{}", again.err);
    let refused = t.p0(&["resume", &run, "--budget-usd=-1"]).expect(2);
    assert!(refused.err.contains("-1 USD is no budget"), "{}", refused.err);
    t.p0(&["resume", &run, "--budget-tokens", "100000"]).expect(0);
    t.go("go");
    let status = t.run(&["--json"]).expect(0).json();
    assert_eq!((&status["state"], &status["run"]), (&"done".into(), &run.into()));
    assert_eq!(status["usage"]["input_tokens"], 1200, "what was spent before counts");
    assert_eq!(t.show(status["branch"].as_str().unwrap(), "a.txt").unwrap(), "round 1\n", "no round was used up");
    t.log_is_whole();
}

#[test]
fn more_budget_on_the_same_command_goes_on() {
    let t = TestEnvironment::with(
        "def executor(): own_files(); say('usage', model='m', input_tokens=600, output_tokens=500, cost_usd=0.5)",
    );
    t.run(&["--json", "--budget-tokens", "1000"]).expect(13);
    let status = t.run(&["--json", "--budget-tokens", "100000"]).expect(0).json();
    assert_eq!(status["state"], "done");
}

#[test]
fn a_rate_limit_waits_and_goes_on() {
    let t = TestEnvironment::with(
        "def executor():\n  if not os.path.exists(DIR + '/notes/limited'): note('limited'); say('rate_limited', retry_after_s=1); sys.exit(1)\n  own_files()",
    );
    let status = t.run_json(0);
    assert_eq!(t.events("agent.rate_limited").len(), 1);
    assert_eq!(t.events("agent.available").len(), 1);
    assert_eq!(status["tickets"]["done"], 1);
    let rounds: Vec<Value> =
        t.tickets()[0]["attempts"].as_array().unwrap().iter().map(|a| a["round"].clone()).collect();
    assert_eq!(rounds, [1, 1].map(Value::from), "it used up no round");
}

#[test]
fn a_long_rate_limit_is_shown() {
    let t = TestEnvironment::with("def executor(): say('rate_limited', retry_after_s=3600); sys.exit(1)");
    let run = t.start_run(&["--json"]);
    wait_until("it waits", || {
        let status = t.p0(&["status", "--json"]);
        status.code == 0 && status.out.contains("rate limited until")
    });
    run.signal("INT");
    run.wait().expect(13);
}

#[test]
fn a_ticket_split_into_parts_is_done_after_them() {
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt', 'b.txt'])\n\
         def executor():\n  if tid == 'BLOG-1':\n    \
         say('subtask', key='x', title='x', files={'create': ['a.txt'], 'modify': []}); say('subtask', key='y', title='y', files={'create': ['b.txt'], 'modify': []}, depends_on=['x'])\n  \
         else: own_files()\n",
    );
    let status = t.run_json(0);
    let tickets = t.tickets();
    let shown: Vec<(&str, &str, &str)> = tickets
        .iter()
        .map(|x| (x["id"].as_str().unwrap(), x["kind"].as_str().unwrap(), x["status"].as_str().unwrap()))
        .collect();
    assert_eq!(shown, [("BLOG-1", "task", "done"), ("BLOG-1.1", "subtask", "done"), ("BLOG-1.2", "subtask", "done")]);
    let branch = status["branch"].as_str().unwrap();
    assert!(t.show(branch, "a.txt").is_some() && t.show(branch, "b.txt").is_some());
    assert_eq!(tickets[1]["parent"], "BLOG-1");
}

#[test]
fn parts_with_foreign_files_are_refused_and_told() {
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'], depends_on=['a'])\n\
         def executor():\n  if tid == 'BLOG-1' and rnd == 1: say('subtask', title='x', files={'create': ['b.txt'], 'modify': []})\n  else: own_files()\n",
    );
    t.run_json(0);
    assert_eq!(t.events("plan.refused").len(), 1);
    let told = t.note("executor-BLOG-1-1-2")["feedback"].to_string();
    assert!(told.contains("b.txt") && told.contains("BLOG-2"), "{told}");
}

#[test]
fn files_asked_for_are_granted_or_refused_with_the_owner() {
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'])\n\
         def executor():\n  own_files()\n  \
         if tid == 'BLOG-2': note('b-there'); wait_for('asked'); return\n  \
         wait_for('b-there')\n  say('request_files', modify=['old.txt'], reason='needed'); say('request_files', create=['b.txt'], reason='wanted')\n  \
         say('request_files', create=['../x'], reason='tried')\n  \
         while True:\n    shown = p0('ticket', 'show', tid, '--json').stdout\n    if shown.count('request for files refused') >= 2: break\n    time.sleep(0.02)\n  \
         put('old.txt', 'granted'); note('asked')\n",
    );
    let status = t.run_json(0);
    assert_eq!(t.show(status["branch"].as_str().unwrap(), "old.txt").unwrap(), "granted");
    assert_eq!(t.events("ownership.granted").len(), 1);
    let asked = t.events("ownership.extension_requested");
    assert_eq!(asked.len(), 3);
    assert!(asked[1]["data"]["refused"].as_str().unwrap().contains("BLOG-2"), "{}", asked[1]);
    assert!(t.tickets()[0]["files"]["modify"].to_string().contains("old.txt"));
}

#[test]
fn a_question_blocks_its_ticket_with_needs_input() {
    let t = TestEnvironment::with("def executor(): say('question', text='which colour?')");
    let status = t.run_json(12);
    assert_eq!(status["state"], "awaiting_approval");
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("which colour?") && reason.contains("p0 answer BLOG-1"), "{reason}");
    assert_eq!(t.p0(&["runs", "--json"]).expect(0).json()[0]["state"], "awaiting_approval");
    let ticket = &t.tickets()[0];
    assert_eq!(ticket["status"], "blocked");
    let why = ticket["blocked_reason"].as_str().unwrap();
    assert!(why.contains("needs input") && why.contains("which colour?"), "{why}");
}

#[test]
fn gates_judge_the_commit_and_what_they_say_is_told() {
    let t = TestEnvironment::with("def executor(): put('a.txt', 'bad' if rnd == 1 else 'good')");
    t.config("[gates]\ncommands = [[\"sh\", \"-c\", \"cat a.txt; touch left-behind; grep -q good a.txt\"]]\n");
    let status = t.run_json(0);
    assert_eq!((t.events("gate.failed").len(), t.events("gate.passed").len()), (1, 1));
    let told = t.note("executor-BLOG-1-1-2")["feedback"].to_string();
    assert!(told.contains("grep -q good") && told.contains("bad"), "{told}");
    assert_eq!(t.git(&["diff", "--name-only", "main", status["branch"].as_str().unwrap()]), "a.txt");
}

#[test]
fn learnings_are_kept_and_curated() {
    let t = TestEnvironment::with(
        "def executor(): own_files(); say('learning', text='use tabs'); say('learning', text='noise')\n\
         def planner():\n  if it == 1: plan(); decide('continue')\n  elif it == 2: say('curate', keep=[I['learnings'][0]['id']]); ticket('b', ['b.txt']); decide('continue')\n  else: decide('done')",
    );
    t.run_json(0);
    let known: Vec<String> = t.note("executor-BLOG-2-2-1")["learnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| l["text"].as_str().unwrap().into())
        .collect();
    assert_eq!(known, ["use tabs"]);
}

#[test]
fn a_checklist_with_open_entries_is_not_the_end() {
    let t = TestEnvironment::with(
        "def executor(): own_files(); say('checklist', items=[{'text': 'tests', 'done': rnd > 1}])",
    );
    t.run_json(0);
    assert!(t.note("executor-BLOG-1-1-2")["feedback"].to_string().contains("tests"));
}
