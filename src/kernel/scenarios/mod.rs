//! What becomes of attempts whose provider refuses, of questions to people, of conversations that go on: given a run at
//! work, when this is reported, then these events. Every step is folded again and held against the invariants.
mod budget;
mod disk;
mod plan_paths;
mod provider;
mod questions;
mod rights;
mod trouble;
mod words;

use super::{decide, evolve, invariants, outstanding};
use p0_model::{
    actor::Actor,
    aggregate::Aggregate,
    attempt::{Attempt, ChangeKind, Ending, ExitReport, Harvest, PathChange, Said, Usage},
    command::{Action, Command, StartRun},
    config::{Config, Overrides},
    effect::{Effect, Timer},
    event::RULES,
    id::{AgentName, ApprovalId, AttemptId, BlobId, CommitId, MilestoneId, TicketId},
    reply::Reply,
    run::RunState,
    workflow::builtin,
};
use serde_json::{Value, json};
use std::path::Path;

/// Two agents of known kinds; `b` steps in for `a`.
const TWO: &str = "[agents.a]\nkind='codex'\n[agents.b]\nkind='claude'\n[roles.planner]\nagent='b'\n\
                   [roles.verifier]\nagent='b'\n[roles.executor]\nagent='a'\nfallbacks=['b']";
const ONE: &str = "[agents.a]\nkind='codex'";

struct Scenario {
    state: Aggregate,
    clock: i64,
    kinds: Vec<&'static str>,
}

impl Scenario {
    /// A run whose planner has made the one ticket of `BLOG`, with its executor about to start.
    fn at_work(config: &str) -> Scenario {
        Scenario::at_work_under(config, RULES)
    }

    fn at_work_under(config: &str, rules: u32) -> Scenario {
        let mut it = Scenario::planning_under(config, rules);
        let plan = [
            json!({"type":"ticket","title":"t","files":{"create":["f"]}}),
            json!({"type":"decision","decision":"continue"}),
        ];
        it.spawned();
        it.exit(0, &plan);
        it.harvest(None);
        it
    }

    /// A run whose planner is about to start.
    fn planning_under(config: &str, rules: u32) -> Scenario {
        let mut it = Scenario { state: Aggregate::default(), clock: 0, kinds: Vec::new() };
        it.starts_with(config, rules, "00");
        it
    }

    /// A run of another text of the spec begins, with the same agents.
    fn starts(&mut self, rules: u32, spec: &str) {
        self.starts_with(ONE, rules, spec);
    }

    fn starts_with(&mut self, config: &str, rules: u32, spec: &str) {
        let workflow = builtin::ralph();
        let config = Config::parse(config, Path::new("c")).unwrap();
        let settings = config.resolve(&workflow, Path::new("/r"), &Overrides::default()).unwrap();
        let start = StartRun {
            milestone: MilestoneId(uuid::Uuid::from_u128(1)),
            key: "BLOG".into(),
            title: "Blog".into(),
            spec: BlobId { hash: spec.into(), size: 0 },
            project: "/r".into(),
            base: "base".into(),
            base_is_explicit: false,
            workflow,
            settings,
            rules,
            p0: "test".into(),
            backlog: Vec::new(),
        };
        self.submit(Action::StartRun(Box::new(start)));
        let run = self.state.live_run().unwrap().id;
        self.submit(Action::RunOpened { run, head: "base".into() });
    }

    fn submit(&mut self, action: Action) -> Reply {
        self.try_as(Actor::Engine, action).unwrap()
    }

    fn try_as(&mut self, actor: Actor, action: Action) -> Result<Reply, String> {
        self.clock += 1;
        let at = chrono::DateTime::from_timestamp(1_700_000_000 + self.clock, 0).unwrap();
        let seed = uuid::Uuid::from_u128(u128::try_from(self.clock).unwrap() << 64);
        let decision = decide(&self.state, &Command { at, seed, actor, action }).map_err(|e| e.to_string())?;
        for draft in &decision.events {
            evolve(&mut self.state, draft);
            self.kinds.push(draft.event.kind());
        }
        assert_eq!(self.state, decision.state, "folding the events gives the decided state");
        assert_eq!(invariants::broken(&self.state), Vec::<String>::new());
        Ok(decision.reply)
    }

    /// The attempt at work.
    fn attempt(&self) -> &Attempt {
        self.state.attempts.values().rev().find(|a| a.outcome().is_none()).expect("an attempt is at work")
    }

    fn spawned(&mut self) {
        let attempt = self.attempt().id;
        let (nonce, token_hash) = (String::new(), String::new());
        self.submit(Action::AttemptSpawned { attempt, pid: 1, start_ticks: 1, nonce, token_hash, input: None });
    }

    fn say(&mut self, message: Value) -> Reply {
        let (attempt, message) = (self.attempt().id, serde_json::from_value(message).unwrap());
        self.submit(Action::AttemptSaid { attempt, line: 0, part: 0, message, paths: Vec::new() })
    }

    fn exit(&mut self, code: i32, staged: &[Value]) {
        let said =
            |(line, value): (u64, &Value)| Said { line, message: serde_json::from_value(value.clone()).unwrap() };
        let mut report = ExitReport::silent(Ending::Exited { code });
        report.staged = (1..).zip(staged).map(said).collect();
        self.submit(Action::AttemptExited { attempt: self.attempt().id, report: Box::new(report) });
    }

    /// What stood in the worktree: nothing, or the ticket's file as this commit.
    fn harvest(&mut self, commit: Option<&str>) -> AttemptId {
        let attempt = self.attempt().id;
        let change = PathChange { path: "f".into(), kind: ChangeKind::Added, symlink_escapes: false };
        let harvest = Harvest {
            commit: commit.map(CommitId::from),
            tree: String::new(),
            changes: commit.map(|_| change).into_iter().collect(),
            dropped: Vec::new(),
            conflict_markers: Vec::new(),
            untracked_repos: Vec::new(),
            patch: None,
            paths: Vec::new(),
            left_out: Vec::new(),
        };
        self.submit(Action::AttemptHarvested { attempt, harvest: Box::new(harvest) });
        attempt
    }

    /// One whole attempt that ends badly after saying this.
    fn fails(&mut self, message: Value) {
        self.spawned();
        self.say(message);
        self.exit(1, &[]);
        self.harvest(None);
    }

    fn timers(&self) -> Vec<Timer> {
        let timer = |effect| match effect {
            Effect::Wait { timer } => Some(timer),
            _ => None,
        };
        outstanding(&self.state).into_iter().filter_map(timer).collect()
    }

    fn rounds_used(&self) -> u32 {
        self.state.tickets.values().next().unwrap().rounds_counted
    }
}

#[test]
fn a_refused_key_stops_the_agent_and_its_fallback_goes_on() {
    let mut it = Scenario::at_work(TWO);
    assert_eq!(it.attempt().agent.0, "a");
    it.fails(json!({"type":"failed","class":"auth","text":"401","status":401}));
    assert!(it.kinds.contains(&"agent.unavailable"));
    assert_eq!((it.attempt().agent.0.as_str(), it.rounds_used()), ("b", 0), "no round is used up");
}

#[test]
fn a_refused_key_without_a_fallback_pauses_the_run_until_somebody_resumes_it() {
    let mut it = Scenario::at_work(ONE);
    it.fails(json!({"type":"failed","class":"auth","text":"401 Unauthorized"}));
    let run = it.state.live_run().unwrap();
    let RunState::Paused { why, until: None } = &run.state else { panic!("{:?}", run.state) };
    assert!(why.contains("401 Unauthorized") && why.contains("codex login"), "{why}");
    assert_eq!(it.timers(), []);
    it.submit(Action::ResumeRun { run: it.state.live_run().unwrap().id, budget: None });
    assert_eq!(it.attempt().agent.0, "a", "it is tried again");
}

#[test]
fn a_rate_limit_pauses_the_agent_and_one_attempt_tries_it_out() {
    let two_tickets = "[agents.a]\nkind='codex'\n[limits]\nmax_parallel=4";
    let mut it = Scenario::at_work(two_tickets);
    it.fails(json!({"type":"rate_limited","retry_after_s":30}));
    let [Timer::AgentLimit { until, .. }] = &it.timers()[..] else { panic!("{:?}", it.timers()) };
    assert_eq!((*until - it.state.at.unwrap()).num_seconds(), 28, "30 s from when it was said");
    assert_eq!(it.rounds_used(), 0);
    it.submit(Action::TimerFired { timer: it.timers()[0].clone() });
    assert!(it.state.live_run().unwrap().on_trial.contains(&AgentName::from("a")));
    it.spawned();
    it.say(json!({"type":"activity","tool_calls":1}));
    assert!(it.state.live_run().unwrap().on_trial.is_empty(), "it works");
}

#[test]
fn a_provider_in_trouble_is_waited_for_longer_and_longer() {
    let mut it = Scenario::at_work(ONE);
    let mut waits = Vec::new();
    for _ in 0..3 {
        it.spawned();
        it.say(json!({"type":"failed","class":"overloaded","text":"high demand"}));
        let [Timer::AgentLimit { until, .. }] = &it.timers()[..] else { panic!("{:?}", it.timers()) };
        waits.push((*until - it.state.at.unwrap()).num_seconds());
        it.exit(1, &[]);
        it.harvest(None);
        it.submit(Action::TimerFired { timer: it.timers()[0].clone() });
    }
    assert_eq!(waits, [15, 30, 60]);
    assert_eq!(it.rounds_used(), 0);
}

#[test]
fn a_provider_that_does_not_come_back_is_waited_for_at_growing_intervals_and_costs_no_round() {
    let mut it = Scenario::at_work(ONE);
    let mut last = 0;
    for _ in 0..40 {
        it.spawned();
        it.say(json!({"type":"rate_limited"}));
        let [Timer::AgentLimit { until, .. }] = &it.timers()[..] else { panic!("{:?}", it.timers()) };
        last = (*until - it.state.at.unwrap()).num_seconds();
        it.exit(1, &[]);
        let attempt = it.harvest(None);
        it.submit(Action::AttemptReleased { attempt, parked: None });
        it.submit(Action::TimerFired { timer: it.timers()[0].clone() });
    }
    assert_eq!((last, it.rounds_used()), (1800, 0));
    assert!(!it.kinds.contains(&"ticket.blocked"));
}

#[test]
fn what_several_attempts_hear_of_one_trouble_counts_once() {
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    for _ in 0..5 {
        it.say(json!({"type":"failed","class":"overloaded"}));
    }
    assert_eq!(it.state.live_run().unwrap().trouble[&AgentName::from("a")], 1);
    assert_eq!(it.kinds.iter().filter(|kind| **kind == "agent.rate_limited").count(), 1);
}

#[test]
fn a_limited_agent_is_waited_for_rather_than_one_that_only_fails() {
    let mut it = Scenario::at_work(&format!("{TWO}\n[limits]\nrounds=9"));
    for _ in 0..3 {
        it.fails(json!({"type":"failed","class":"refused","text":"unknown model"}));
    }
    it.fails(json!({"type":"rate_limited","retry_after_s":60}));
    assert!(it.state.attempts.values().all(|a| a.outcome().is_some()), "nobody starts");
    it.submit(Action::TimerFired { timer: it.timers()[0].clone() });
    assert_eq!(it.attempt().agent.0, "b");
}

#[test]
fn a_ticket_that_only_fills_conversations_uses_up_its_rounds() {
    let mut it = Scenario::at_work(ONE);
    it.fails(json!({"type":"failed","class":"context","text":"too long"}));
    assert_eq!(it.rounds_used(), 1);
}

#[test]
fn an_agent_that_keeps_failing_is_passed_over() {
    let config = format!("{TWO}\n[limits]\nrounds=9");
    for (rules, times) in [(RULES, 2), (3, 3)] {
        let mut it = Scenario::at_work_under(&config, rules);
        for _ in 0..times {
            assert_eq!(it.attempt().agent.0, "a");
            it.fails(json!({"type":"failed","class":"refused","text":"unknown model"}));
        }
        assert_eq!(it.attempt().agent.0, "b");
        assert_eq!(it.rounds_used(), times, "an unknown model is the configuration's fault, and costs rounds");
    }
}

#[test]
fn totals_replace_and_differences_add() {
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.say(json!({"type":"usage","input_tokens":100,"output_tokens":10,"cost_usd":0.5,"total":true}));
    it.say(
        json!({"type":"usage","input_tokens":150,"output_tokens":20,"cached_tokens":40,"cost_usd":0.75,"total":true}),
    );
    it.say(json!({"type":"usage","input_tokens":1,"output_tokens":1}));
    let expected = Usage { input_tokens: 151, output_tokens: 21, cached_tokens: 40, cost_usd: 0.75 };
    assert_eq!(it.attempt().usage, expected);
    assert_eq!(it.state.live_run().unwrap().usage, expected);
}

#[test]
fn a_refused_round_goes_on_in_its_conversation() {
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.say(json!({"type":"session","session":"s1","input_tokens":7}));
    it.exit(0, &[]);
    it.harvest(None);
    let next = it.attempt().clone();
    let resumes = next.talk.resumes.clone().unwrap();
    assert_eq!((resumes.id.as_str(), resumes.used.input_tokens, next.round), ("s1", 7, 2));
}

#[test]
fn a_conversation_that_is_too_long_begins_anew_on_what_stands_there() {
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.say(json!({"type":"session","session":"s1"}));
    it.say(json!({"type":"failed","class":"context","text":"context window exceeded"}));
    it.exit(1, &[]);
    it.harvest(Some("half"));
    let next = it.attempt();
    assert_eq!((next.talk.resumes.clone(), next.talk.carries.clone()), (None, Some("half".into())));
    assert_eq!(it.rounds_used(), 0);
}

#[test]
fn an_agent_that_keeps_ending_badly_makes_room_for_its_fallback() {
    let plays = |rules| {
        let mut it = Scenario::at_work_under(TWO, rules);
        let mut played = Vec::new();
        for _ in 0..3 {
            played.push(it.attempt().agent.0.clone());
            it.spawned();
            // It is at work, and gets nowhere.
            it.say(json!({"type":"activity","tool_calls":1}));
            it.exit(1, &[]);
            it.harvest(None);
        }
        played
    };
    assert_eq!(plays(RULES), ["a", "a", "b"], "the last round is another one's");
    assert_eq!(plays(3), ["a", "a", "a"]);
}

#[test]
fn a_provider_that_names_too_short_a_time_is_waited_for_all_the_same() {
    let waits = |rules| {
        let mut it = Scenario::at_work_under(ONE, rules);
        let mut waits = Vec::new();
        for _ in 0..4 {
            it.spawned();
            it.say(json!({"type":"rate_limited","retry_after_s":0}));
            let [Timer::AgentLimit { until, .. }] = &it.timers()[..] else { panic!("{:?}", it.timers()) };
            waits.push((*until - it.state.at.unwrap()).num_seconds());
            it.exit(1, &[]);
            it.harvest(None);
            it.submit(Action::TimerFired { timer: it.timers()[0].clone() });
        }
        waits
    };
    assert_eq!(waits(RULES), [1, 60, 120, 240]);
    assert_eq!(waits(3), [1, 1, 1, 1]);
}

#[test]
fn who_changed_something_has_done_something_whatever_it_calls_it() {
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.say(json!({"type":"activity","tool_calls":0,"turns":1}));
    it.exit(0, &[]);
    it.harvest(Some("c1"));
    assert!(it.state.live_run().unwrap().queue.len() == 1, "it is on its way to the branch");
}

#[test]
fn who_called_no_tool_has_done_nothing() {
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.say(json!({"type":"activity","tool_calls":0,"turns":1}));
    it.exit(0, &[]);
    it.harvest(None);
    let ticket = it.state.tickets.values().next().unwrap();
    assert!(ticket.feedback[0].contains("called no tool"), "{:?}", ticket.feedback);
}

#[test]
fn a_question_waits_for_its_answer_and_an_agent_cannot_give_it_twice() {
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    let asked = it.say(json!({"type":"ask","tool":"shell","target":"rm -rf /"}));
    let id = ApprovalId("BLOG-A1".into());
    assert_eq!(asked, Reply::Asked { approval: id.clone() });
    let [Timer::Approval { until, .. }] = &it.timers()[..] else { panic!("{:?}", it.timers()) };
    assert_eq!((*until - it.state.at.unwrap()).num_seconds(), 300);
    let person = Actor::Person("ann".into());
    let answer = |allowed| Action::AnswerApproval { approval: id.clone(), allowed, reason: String::new() };
    it.try_as(person.clone(), answer(false)).unwrap();
    assert!(it.try_as(person, answer(true)).unwrap_err().contains("denied already"));
    assert_eq!(it.timers(), []);
    assert!(!it.state.approvals[&id].answer.as_ref().unwrap().allowed);
}

#[test]
fn a_question_that_nobody_answers_is_denied_in_time_and_at_the_end() {
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.say(json!({"type":"ask","tool":"shell"}));
    it.say(json!({"type":"ask","tool":"fetch"}));
    it.submit(Action::TimerFired { timer: it.timers()[0].clone() });
    let answer = |it: &Scenario, id: &str| it.state.approvals[&ApprovalId(id.into())].answer.clone();
    assert!(answer(&it, "BLOG-A1").unwrap().reason.contains("nobody answered"));
    assert!(answer(&it, "BLOG-A2").is_none());
    it.exit(0, &[]);
    assert!(answer(&it, "BLOG-A2").unwrap().reason.contains("over"));
}

#[test]
fn a_question_of_a_ticket_is_answered_and_the_ticket_goes_on() {
    let mut it = Scenario::at_work(ONE);
    let ticket = TicketId::new("BLOG", 1);
    let answer = |text: &str| Action::AnswerQuestion { ticket: ticket.clone(), text: text.into() };
    let person = Actor::Person("ann".into());
    assert!(it.try_as(person.clone(), answer("blue")).unwrap_err().contains("asks nothing"));
    it.spawned();
    it.say(json!({"type":"question","text":"which colour?"}));
    it.exit(0, &[]);
    it.harvest(None);
    assert!(it.try_as(person.clone(), answer(" ")).is_err());
    it.try_as(person, answer("blue")).unwrap();
    assert_eq!(it.state.tickets[&ticket].comments.last().unwrap().text, "blue");
}

#[test]
fn a_question_with_endless_patience_is_not_denied_at_once() {
    let mut it = Scenario::at_work(&format!("{ONE}\n[limits]\napproval_s={}", i64::MAX));
    it.spawned();
    it.say(json!({"type":"ask","tool":"shell"}));
    let [Timer::Approval { until, .. }] = &it.timers()[..] else { panic!("{:?}", it.timers()) };
    assert!((*until - it.state.at.unwrap()).num_days() >= 36_500);
}
