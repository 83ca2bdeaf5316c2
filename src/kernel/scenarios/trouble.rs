//! What counts as a failure: given an attempt, a gate or a repository that comes to grief, when p0, a signal, a lost process or
//! the surroundings brought that about, then no round is used up, and what cannot go on pauses.
use super::{ONE, Scenario};
use crate::outstanding;
use p0_model::{
    actor::Actor,
    attempt::{Ending, ExitReport, Outcome},
    command::{Action, GateEnd, GateReport, LandingReport, MergeReport},
    effect::Effect,
    id::{AttemptId, BlobId, TicketId},
    run::{LOST_IN_A_ROW, RunState, SIGNALS_IN_A_ROW},
    ticket::{BlockedOn, Status},
};
use serde_json::json;

const GATED: &str = "[agents.a]\nkind='codex'\n[gates]\ncommands=[['check'], ['test']]\n[limits]\nrounds=1";

fn report(gate: &str, end: Option<GateEnd>) -> GateReport {
    GateReport {
        gate: vec![gate.into()],
        passed: end.is_none(),
        how: end.as_ref().map_or_else(|| "exited with code 0".into(), |end| end.ending.to_string()),
        tail: String::new(),
        output: Some(BlobId { hash: "0".into(), size: 0 }),
        wall_ms: 1,
        end: end.map(Box::new),
    }
}

impl Scenario {
    /// The executor at work is done, and its commit merged; it is at its gates.
    fn reaches_gates(&mut self) -> AttemptId {
        self.spawned();
        self.exit(0, &[]);
        let attempt = self.harvest(Some("c"));
        let merge = MergeReport::Clean { candidate: "m".into() };
        self.submit(Action::Merged { attempt, onto: "base".into(), merge });
        attempt
    }

    /// The first gate passes, the second ends so.
    fn second_gate(&mut self, attempt: AttemptId, end: GateEnd) {
        let gates = vec![report("check", None), report("test", Some(end))];
        self.submit(Action::Gated { attempt, candidate: "m".into(), gates });
    }

    /// The executor at work lands its ticket.
    pub(super) fn lands(&mut self) {
        self.spawned();
        self.exit(0, &[]);
        let attempt = self.harvest(Some("c"));
        let head = self.state.live_run().unwrap().head.clone().unwrap();
        let merge = MergeReport::Clean { candidate: "m".into() };
        self.submit(Action::Merged { attempt, onto: head, merge });
        let landing = LandingReport::Landed;
        self.submit(Action::Landed { attempt, candidate: "m".into(), landing, wall_ms: 1, note: None });
    }

    fn ends(&mut self, ending: Ending) {
        self.spawned();
        self.submit(Action::AttemptExited { attempt: self.attempt().id, report: Box::new(ExitReport::silent(ending)) });
        self.harvest(None);
    }

    fn wants_gate(&self) -> bool {
        outstanding(&self.state).iter().any(|effect| matches!(effect, Effect::Gate { .. }))
    }

    fn paused_for(&self) -> String {
        match &self.state.last_run().unwrap().state {
            RunState::Paused { why, until: None } => why.clone(),
            other => panic!("not paused: {other:?}"),
        }
    }

    fn resumed(&mut self) {
        let run = self.state.live_run().unwrap().id;
        self.try_as(Actor::Person("ann".into()), Action::ResumeRun { run, budget: None }).unwrap();
    }
}

#[test]
fn a_gate_that_was_ended_from_outside_is_run_again_and_costs_no_round() {
    let lost = || Ending::Lost { why: "its supervisor is gone".into() };
    for ending in [
        Ending::Stopped,
        Ending::NeverRan,
        lost(),
        Ending::Signaled { signal: 9 },
        Ending::Signaled { signal: 15 },
        Ending::Exited { code: 137 },
    ] {
        let mut it = Scenario::at_work(GATED);
        let attempt = it.reaches_gates();
        it.second_gate(attempt, GateEnd::plain(ending.clone()));
        assert_eq!((it.kinds.last(), it.rounds_used()), (Some(&"gate.lost"), 0), "{ending:?}");
        assert!(it.wants_gate(), "{ending:?}: it is run again");
        assert!(!it.kinds.contains(&"gate.failed") && !it.kinds.contains(&"gate.passed"), "nothing was judged");
        let gates = vec![report("check", None), report("test", None)];
        it.submit(Action::Gated { attempt, candidate: "m".into(), gates });
        assert!(it.kinds.contains(&"effect.intended"));
    }
    // Under earlier rules it was a failure.
    let mut it = Scenario::at_work_under(GATED, 4);
    let attempt = it.reaches_gates();
    it.second_gate(attempt, GateEnd::plain(lost()));
    assert!(it.kinds.contains(&"gate.failed") && it.kinds.contains(&"ticket.blocked"));
}

#[test]
fn a_gate_that_is_lost_again_and_again_fails_in_the_end() {
    let lost = Ending::Lost { why: "its supervisor is gone".into() };
    for (ending, most) in [(lost, LOST_IN_A_ROW), (Ending::Signaled { signal: 9 }, SIGNALS_IN_A_ROW)] {
        let mut it = Scenario::at_work(GATED);
        let attempt = it.reaches_gates();
        for _ in 0..most {
            it.second_gate(attempt, GateEnd::plain(ending.clone()));
            assert!(it.wants_gate());
        }
        it.second_gate(attempt, GateEnd::plain(ending));
        assert_eq!((it.kinds.contains(&"gate.failed"), it.rounds_used()), (true, 1));
    }
}

#[test]
fn what_a_gate_brought_about_itself_is_a_failure() {
    let on_base = |on_base| GateEnd { ending: Ending::NotStarted { why: "not there".into() }, missing: None, on_base };
    let missing = |on_base| GateEnd { ending: Ending::Exited { code: 127 }, missing: Some("x".into()), on_base };
    for end in [
        GateEnd::plain(Ending::Exited { code: 1 }),
        GateEnd::plain(Ending::Exited { code: 127 }),
        GateEnd::plain(Ending::Signaled { signal: 11 }),
        GateEnd::plain(Ending::Signaled { signal: 6 }),
        GateEnd::plain(Ending::TimedOut { limit_ms: 1 }),
        on_base(Some(Ending::Exited { code: 0 })),
        on_base(Some(Ending::Exited { code: 1 })),
        missing(Some(Ending::Exited { code: 0 })),
        missing(None),
    ] {
        let mut it = Scenario::at_work(GATED);
        let attempt = it.reaches_gates();
        it.second_gate(attempt, end.clone());
        assert_eq!((it.kinds.contains(&"gate.failed"), it.rounds_used()), (true, 1), "{end:?}");
        assert!(it.kinds.contains(&"gate.passed"), "{end:?}");
    }
}

#[test]
fn a_gate_that_cannot_be_started_pauses_the_run_and_goes_on_once_it_can() {
    let not_started = || Ending::NotStarted { why: "the program test was not found".into() };
    let shell = Ending::Exited { code: 127 };
    for end in [
        GateEnd { ending: not_started(), missing: None, on_base: Some(not_started()) },
        GateEnd::plain(not_started()),
        GateEnd { ending: shell.clone(), missing: Some("test".into()), on_base: Some(shell) },
    ] {
        let mut it = Scenario::at_work(GATED);
        let attempt = it.reaches_gates();
        it.second_gate(attempt, end);
        let why = it.paused_for();
        assert!(why.contains("the gate `test`") && why.contains("p0 resume"), "{why}");
        assert_eq!((it.rounds_used(), it.kinds.contains(&"gate.failed")), (0, false));
        assert!(!it.wants_gate(), "nothing is tried before somebody did something");
        it.resumed();
        assert!(it.wants_gate(), "the same commit is looked at again");
        let gates = vec![report("check", None), report("test", None)];
        it.submit(Action::Gated { attempt, candidate: "m".into(), gates });
        assert!(it.kinds.contains(&"effect.intended"));
        assert_eq!(it.state.attempts.len(), 2, "the agent's work was not paid again");
    }
}

#[test]
fn a_run_that_is_held_up_can_be_cancelled_and_parks_its_work() {
    let mut it = Scenario::at_work(GATED);
    let attempt = it.reaches_gates();
    let run = it.state.live_run().unwrap().id;
    it.submit(Action::RunHeldUp { run, why: "merging: the repository is not there; put it back".into() });
    assert!(it.paused_for().contains("put it back; then run the same command again"), "{}", it.paused_for());
    it.submit(Action::RunHeldUp { run, why: "another effect".into() });
    assert_eq!(it.kinds.iter().filter(|kind| **kind == "run.paused").count(), 1, "once is enough");
    it.submit(Action::CancelRun { run, why: "enough".into() });
    assert_eq!(it.state.attempts[&attempt].outcome(), Some(&Outcome::Cancelled));
    assert!(outstanding(&it.state).contains(&Effect::ReleaseAttempt { attempt }));
    // Under earlier rules the run failed.
    let mut it = Scenario::at_work_under(GATED, 4);
    let run = it.state.live_run().unwrap().id;
    it.submit(Action::RunHeldUp { run, why: "w".into() });
    assert_eq!(it.state.last_run().unwrap().state.word(), "failed");
}

#[test]
fn an_agent_that_cannot_be_started_pauses_the_run_and_uses_up_no_round() {
    for rules in [5, 4] {
        let mut it = Scenario::at_work_under(ONE, rules);
        for _ in 0..3 {
            it.submit(Action::AttemptExited {
                attempt: it.attempt().id,
                report: Box::new(ExitReport::silent(Ending::NotStarted { why: "not there".into() })),
            });
        }
        if rules == 4 {
            assert_eq!(it.state.last_run().unwrap().state.word(), "failed");
            continue;
        }
        let why = it.paused_for();
        assert!(why.contains("could not be started 3 times in a row: not there") && why.contains("p0 resume"), "{why}");
        assert_eq!(it.rounds_used(), 0);
        it.resumed();
        it.submit(Action::AttemptExited {
            attempt: it.attempt().id,
            report: Box::new(ExitReport::silent(Ending::NotStarted { why: "not there".into() })),
        });
        assert_eq!(it.state.live_run().unwrap().state, RunState::Running, "it is tried anew");
    }
}

#[test]
fn an_attempt_that_a_signal_from_outside_ended_is_lost_but_not_for_ever() {
    for (signal, rules, used) in [(15, 5, 0), (2, 5, 0), (1, 5, 0), (9, 5, 1), (11, 5, 1), (6, 5, 1), (15, 4, 1)] {
        let mut it = Scenario::at_work_under(ONE, rules);
        it.ends(Ending::Signaled { signal });
        assert_eq!(it.rounds_used(), used, "signal {signal}, rules {rules}");
    }
    let mut it = Scenario::at_work(ONE);
    for _ in 0..SIGNALS_IN_A_ROW {
        it.ends(Ending::Signaled { signal: 15 });
    }
    assert_eq!(it.rounds_used(), 0);
    it.ends(Ending::Signaled { signal: 15 });
    assert_eq!(it.rounds_used(), 1);
}

#[test]
fn an_attempt_lost_after_an_answered_question_does_not_block_its_ticket() {
    for rules in [5, 4] {
        let mut it = Scenario::at_work_under(&format!("{ONE}\n[limits]\nrounds=1"), rules);
        it.spawned();
        it.say(json!({"type":"question","text":"which colour?"}));
        it.exit(0, &[]);
        it.harvest(None);
        let ticket = TicketId::new("BLOG", 1);
        let answer = Action::AnswerQuestion { ticket: ticket.clone(), text: "blue".into() };
        it.try_as(Actor::Person("ann".into()), answer).unwrap();
        it.ends(Ending::Stopped);
        let status = &it.state.tickets[&ticket].status;
        if rules == 4 {
            assert!(matches!(status, Status::Blocked(BlockedOn::Rounds { .. })), "{status:?}");
        } else {
            assert_eq!((status, it.attempt().ticket.as_ref()), (&Status::InProgress, Some(&ticket)));
        }
    }
}

#[test]
fn a_gate_whose_output_is_absent_is_no_evidence() {
    let with_gate = format!("{ONE}\n[gates]\ncommands=[['true']]");
    for (rules, output, lands) in
        [(2, None, false), (2, Some(BlobId { hash: "0".into(), size: 0 }), true), (1, None, true)]
    {
        let mut it = Scenario::at_work_under(&with_gate, rules);
        it.spawned();
        it.exit(0, &[]);
        let attempt = it.harvest(Some("c"));
        let merge = MergeReport::Clean { candidate: "m".into() };
        it.submit(Action::Merged { attempt, onto: "base".into(), merge });
        let (gate, how, tail) = (vec!["true".into()], "exited with code 0".into(), String::new());
        let gates = vec![GateReport { gate, passed: true, how, tail, output, wall_ms: 1, end: None }];
        it.submit(Action::Gated { attempt, candidate: "m".into(), gates });
        assert_eq!(it.kinds.contains(&"gate.passed"), lands, "rules {rules}");
        assert_eq!(it.kinds.contains(&"effect.intended"), lands, "rules {rules}");
    }
}
