//! Budgets that are used up before, while and after an attempt works.
use super::{ONE, Scenario, outstanding};
use p0_model::{
    attempt::{Ending, ExitReport, Outcome},
    command::Action,
    effect::Effect,
    id::AttemptId,
    run::RunState,
    settings::Budget,
};
use serde_json::{Value, json};

/// What the executor says that it used.
fn used(tokens: u64) -> Value {
    json!({"type":"usage","input_tokens":tokens,"output_tokens":0,"total":true})
}

fn stopping(it: &Scenario) -> Vec<AttemptId> {
    let effect = |effect| match effect {
        Effect::StopAttempt { attempt } => Some(attempt),
        _ => None,
    };
    outstanding(&it.state).into_iter().filter_map(effect).collect()
}

const BUDGET: &str = "[agents.a]\nkind='codex'\n[budget]\ntokens=1000";

#[test]
fn a_budget_that_is_used_up_ends_the_attempt_and_its_conversation_goes_on_with_a_larger_one() {
    let mut it = Scenario::at_work(BUDGET);
    it.spawned();
    it.say(json!({"type":"session","session":"s1"}));
    it.say(used(999));
    assert_eq!((stopping(&it), it.kinds.contains(&"budget.exhausted")), (Vec::new(), false));
    it.say(used(1000));
    let (id, run) = (it.attempt().id, it.state.live_run().unwrap().clone());
    let RunState::Paused { why, until: None } = &run.state else { panic!("{:?}", run.state) };
    assert!(why.contains("1000 of 1000 tokens") && why.contains("--budget-tokens"), "{why}");
    assert_eq!(stopping(&it), [id]);
    it.say(used(1100));
    assert_eq!(it.kinds.iter().filter(|kind| **kind == "budget.exhausted").count(), 1, "once");
    it.submit(Action::AttemptExited { attempt: id, report: Box::new(ExitReport::silent(Ending::Stopped)) });
    it.harvest(Some("half"));
    it.submit(Action::AttemptReleased { attempt: id, parked: Some("refs/p0/parked/x".into()) });
    let planner = it.state.attempts.values().next().unwrap().id;
    assert_eq!(outstanding(&it.state), [Effect::ReleaseAttempt { attempt: planner }].into(), "nothing else is wanted");
    assert_eq!(it.rounds_used(), 0);
    let Some(Outcome::Lost { why }) = it.state.attempts[&id].outcome() else { panic!() };
    assert!(why.contains("the budget is used up"), "{why}");
    it.submit(Action::ResumeRun { run: run.id, budget: None });
    assert!(matches!(it.state.live_run().unwrap().state, RunState::Paused { .. }), "there is no more than before");
    let budget = Some(Budget { tokens: Some(5000), usd: None, ..Budget::default() });
    it.submit(Action::ResumeRun { run: run.id, budget });
    let next = it.attempt();
    assert_eq!(
        (next.talk.resumes.as_ref().unwrap().id.as_str(), next.talk.carries.clone()),
        ("s1", Some("half".into()))
    );
    assert_eq!(next.round, 1);
}

#[test]
fn the_last_line_of_an_attempt_ends_nothing() {
    let mut it = Scenario::at_work(BUDGET);
    it.spawned();
    it.say(json!({"type":"usage","input_tokens":2000,"total":true,"last":true}));
    assert_eq!((stopping(&it), it.kinds.contains(&"budget.exhausted")), (Vec::new(), false), "it ends by itself");
    it.exit(0, &[]);
    it.harvest(None);
    assert!(matches!(it.state.live_run().unwrap().state, RunState::Paused { .. }), "nobody else begins");
}

#[test]
fn a_paused_run_has_a_budget_too_and_a_running_one_can_be_given_less() {
    let mut it = Scenario::at_work(BUDGET);
    it.spawned();
    let run = it.state.live_run().unwrap().id;
    it.submit(Action::PauseRun { run, why: "lunch".into() });
    it.say(used(1000));
    assert!(it.state.live_run().unwrap().state.why().unwrap().contains("budget"));
    assert_eq!(stopping(&it), [it.attempt().id]);
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.say(json!({"type":"usage","input_tokens":10,"cost_usd":2.5}));
    assert_eq!(stopping(&it), []);
    let run = it.state.live_run().unwrap().id;
    it.submit(Action::ResumeRun { run, budget: Some(Budget { tokens: None, usd: Some(2.0), ..Budget::default() }) });
    assert!(it.state.live_run().unwrap().state.why().unwrap().contains("--budget-usd"));
    assert_eq!(stopping(&it), [it.attempt().id]);
}

#[test]
fn one_that_is_still_to_be_started_is_ended_as_well_and_a_queued_commit_lands() {
    let mut it = Scenario::at_work(BUDGET);
    it.submit(Action::AttemptSaid {
        attempt: it.attempt().id,
        line: 0,
        part: 0,
        message: serde_json::from_value(used(1000)).unwrap(),
        paths: Vec::new(),
    });
    let id = it.attempt().id;
    it.spawned();
    assert_eq!(stopping(&it), [id], "its program is not let go");
    it.submit(Action::AttemptNeverRan { attempt: id });
    it.harvest(None);
    assert_eq!(it.rounds_used(), 0);
    let mut it = Scenario::at_work(BUDGET);
    it.spawned();
    it.exit(0, &[]);
    let id = it.harvest(Some("whole"));
    let run = it.state.live_run().unwrap().id;
    it.submit(Action::ResumeRun { run, budget: Some(Budget { tokens: Some(0), usd: None, ..Budget::default() }) });
    let merge = Effect::Merge { attempt: id, onto: "base".into() };
    assert!(outstanding(&it.state).contains(&merge), "what is paid for is taken");
}

#[test]
fn a_run_of_the_first_rules_ends_no_attempt_for_its_budget() {
    let mut it = Scenario::at_work_under(BUDGET, 1);
    it.spawned();
    it.say(used(5000));
    assert_eq!((stopping(&it), it.state.live_run().unwrap().state.clone()), (Vec::new(), RunState::Running));
    it.exit(0, &[]);
    it.harvest(None);
    let why = it.state.live_run().unwrap().state.why().unwrap().to_owned();
    assert_eq!(why, "the budget is used up: 5000 of 1000 tokens are used", "in the words of then");
}

#[test]
fn usage_that_cannot_be_read_is_unknown_and_not_zero() {
    let unread = || json!({"type":"unreadable","line":3,"column":9,"what":"usage","why":"expected value"});
    let mut it = Scenario::at_work(BUDGET);
    it.spawned();
    it.say(unread());
    let run = it.state.live_run().unwrap().clone();
    let RunState::Paused { why, until: None } = &run.state else { panic!("{:?}", run.state) };
    assert!(why.contains("is unknown") && why.contains("p0 resume") && why.contains("go_on"), "{why}");
    assert_eq!(stopping(&it), [it.attempt().id], "it spends no more");
    it.submit(Action::ResumeRun { run: run.id, budget: None });
    assert_eq!(it.state.live_run().unwrap().state, RunState::Running, "a user has seen it");

    let mut it = Scenario::at_work(&format!("{BUDGET}\nunknown='go_on'"));
    it.spawned();
    it.say(unread());
    assert_eq!((stopping(&it), it.state.live_run().unwrap().state.clone()), (Vec::new(), RunState::Running));
    it.say(used(1000));
    assert_eq!(stopping(&it), [it.attempt().id], "what can be read counts on");

    let mut it = Scenario::at_work("[agents.a]\nkind='codex'");
    it.spawned();
    it.say(unread());
    assert_eq!(it.state.live_run().unwrap().state, RunState::Running, "no budget needs it");
}

#[test]
fn numbers_that_cannot_be_are_unknown_usage() {
    let mut it = Scenario::at_work(BUDGET);
    it.spawned();
    it.say(json!({"type":"usage","input_tokens":5,"cost_usd":-1.0}));
    assert!(it.state.live_run().unwrap().state.why().unwrap().contains("is unknown"));
    let mut it = Scenario::at_work_under(BUDGET, 4);
    it.spawned();
    it.say(json!({"type":"usage","input_tokens":5,"cost_usd":-1.0}));
    assert_eq!(it.state.live_run().unwrap().state, RunState::Running, "as it was then");
}
