//! How long a provider in trouble is waited for, and agents that a person has to configure.
use super::{ONE, Scenario, TWO};
use p0_model::{command::Action, effect::Timer, event::RULES, run::RunState};
use serde_json::json;

const ROUNDS: &str = "[agents.a]\nkind='codex'\n[limits]\nrounds=9";

/// One attempt that makes a good call before its provider has trouble; how long its agent then waits, in seconds.
fn wait_after_a_good_call(it: &mut Scenario) -> i64 {
    it.spawned();
    it.say(json!({"type":"activity","tool_calls":1}));
    it.say(json!({"type":"failed","class":"overloaded","text":"high demand"}));
    let [timer @ Timer::AgentLimit { until, .. }] = &it.timers()[..] else { panic!("{:?}", it.timers()) };
    let wait = (*until - it.state.at.unwrap()).num_seconds();
    it.exit(1, &[]);
    let attempt = it.harvest(None);
    it.submit(Action::AttemptReleased { attempt, parked: None });
    it.submit(Action::TimerFired { timer: timer.clone() });
    wait
}

#[test]
fn a_good_call_before_each_trouble_does_not_make_the_waits_short_again() {
    let waits = |rules| {
        let mut it = Scenario::at_work_under(ROUNDS, rules);
        let waits: Vec<i64> = (0..9).map(|_| wait_after_a_good_call(&mut it)).collect();
        assert_eq!(it.rounds_used(), 0);
        waits
    };
    assert_eq!(waits(RULES), [15, 30, 60, 120, 240, 480, 960, 1800, 1800]);
    assert_eq!(waits(4), [15; 9], "as runs that began under earlier rules were decided");
}

#[test]
fn a_clean_end_halves_what_was_counted_and_hours_without_trouble_too() {
    let mut it = Scenario::at_work(ROUNDS);
    let waits: Vec<i64> = (0..4).map(|_| wait_after_a_good_call(&mut it)).collect();
    assert_eq!(waits, [15, 30, 60, 120]);
    it.spawned();
    it.exit(0, &[]);
    let attempt = it.harvest(None);
    it.submit(Action::AttemptReleased { attempt, parked: None });
    assert_eq!(wait_after_a_good_call(&mut it), 60, "four count as two, and this is the third");
    it.clock += 3600 + 60;
    assert_eq!(wait_after_a_good_call(&mut it), 30, "three count as one, and this is the second");
    it.clock += 2 * 3600 + 30;
    assert_eq!(wait_after_a_good_call(&mut it), 15, "all is forgotten");
}

#[test]
fn resuming_a_run_forgets_its_troubles() {
    let mut it = Scenario::at_work(ROUNDS);
    for _ in 0..4 {
        wait_after_a_good_call(&mut it);
    }
    let run = it.state.live_run().unwrap().id;
    it.submit(Action::PauseRun { run, why: "by hand".into() });
    it.submit(Action::ResumeRun { run, budget: None });
    assert_eq!(wait_after_a_good_call(&mut it), 15);
}

#[test]
fn a_limit_and_trouble_of_one_provider_are_counted_together() {
    let mut it = Scenario::at_work(ROUNDS);
    wait_after_a_good_call(&mut it);
    it.spawned();
    it.say(json!({"type":"activity","tool_calls":1}));
    it.say(json!({"type":"rate_limited"}));
    let [Timer::AgentLimit { until, .. }] = &it.timers()[..] else { panic!("{:?}", it.timers()) };
    assert_eq!((*until - it.state.at.unwrap()).num_seconds(), 120, "the second one, counted from a minute");
}

#[test]
fn an_agent_that_has_to_be_configured_uses_up_no_round_and_waits_for_a_person() {
    let mut it = Scenario::at_work(TWO);
    it.fails(json!({"type":"failed","class":"configuration","text":"it asks nobody in its mode 'auto'"}));
    assert_eq!((it.attempt().agent.0.as_str(), it.rounds_used()), ("b", 0), "another one plays the role");

    let mut it = Scenario::at_work(ONE);
    it.fails(json!({"type":"failed","class":"configuration","text":"it asks nobody in its mode 'auto'"}));
    let RunState::Paused { why, until: None } = &it.state.live_run().unwrap().state else { panic!() };
    assert!(why.contains("its mode 'auto'") && why.contains("change its configuration"), "{why}");
    assert!(!why.contains("codex login"), "{why}");
    assert_eq!(it.rounds_used(), 0);
}
