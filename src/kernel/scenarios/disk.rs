//! Attempts that fill the disk, and those that have no room meanwhile.
use super::{ONE, Scenario};
use p0_model::{
    attempt::{DiskUse, Ending, ExitReport, Outcome},
    command::Action,
    id::AttemptId,
    reply::Reply,
};
use serde_json::json;

const WRITTEN: DiskUse = DiskUse { bytes: 5 << 29, files: 3 };

fn fills(it: &mut Scenario) -> (AttemptId, Reply) {
    let attempt = it.attempt().id;
    (attempt, it.submit(Action::DiskFilled { attempt, written: WRITTEN }))
}

/// Ends so, with these last words.
fn ends(it: &mut Scenario, ending: Ending, stderr: &str) {
    let report = ExitReport { stderr_tail: stderr.into(), ..ExitReport::silent(ending) };
    it.submit(Action::AttemptExited { attempt: it.attempt().id, report: Box::new(report) });
}

fn outcome(it: &Scenario, id: AttemptId) -> Outcome {
    it.state.attempts[&id].outcome().cloned().unwrap()
}

#[test]
fn an_attempt_that_filled_the_disk_has_failed_and_the_next_round_is_told() {
    for ending in [Ending::Stopped, Ending::Signaled { signal: 9 }, Ending::Lost { why: "no room".into() }] {
        let mut it = Scenario::at_work(ONE);
        it.spawned();
        let (id, _) = fills(&mut it);
        assert_eq!(it.state.attempts[&id].stopping.as_deref(), Some("it filled the disk: 2.5 GiB in 3 files written"));
        ends(&mut it, ending.clone(), "");
        it.harvest(None);
        let Outcome::Failed { why } = outcome(&it, id) else { panic!("{ending:?}: {:?}", outcome(&it, id)) };
        assert!(why.contains("it filled the disk (2.5 GiB in 3 files written)"), "{why}");
        assert_eq!(it.rounds_used(), 1, "{ending:?}");
        assert_ne!(it.attempt().id, id, "the next round is to start");
        assert_eq!(it.attempt().feedback, [why]);
    }
}

#[test]
fn it_does_not_go_on_for_ever() {
    let mut it = Scenario::at_work(ONE);
    let rounds = it.state.live_run().unwrap().settings.limits.rounds;
    for _ in 0..rounds {
        it.spawned();
        fills(&mut it);
        ends(&mut it, Ending::Stopped, "");
        it.harvest(None);
    }
    assert_eq!(it.rounds_used(), rounds);
    let ticket = it.state.tickets.values().next().unwrap();
    assert_eq!(ticket.status.word(), "blocked");
}

#[test]
fn one_that_ended_for_want_of_room_meanwhile_is_the_one_that_filled_it() {
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    ends(&mut it, Ending::Exited { code: 1 }, "dd: No space left on device");
    let (id, reply) = fills(&mut it);
    assert_eq!(reply, Reply::Ok);
    it.harvest(None);
    let Outcome::Failed { why } = outcome(&it, id) else { panic!("{:?}", outcome(&it, id)) };
    assert!(why.contains("it filled the disk"), "{why}");
}

#[test]
fn one_that_did_its_work_is_not_ended_for_it() {
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.exit(0, &[]);
    assert_eq!(fills(&mut it).1, Reply::Ignored);
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    let (id, _) = fills(&mut it);
    assert_eq!(fills(&mut it).1, Reply::Ignored, "it is being ended already");
    // It was faster than its end.
    it.exit(0, &[]);
    it.harvest(Some("whole"));
    assert!(it.kinds.contains(&"integration.queued"), "{:?}", it.state.attempts[&id].phase);
}

#[test]
fn one_that_had_no_room_while_another_filled_the_disk_uses_up_no_round() {
    for (rules, spared) in [(5, true), (4, false)] {
        let mut it = Scenario::at_work_under(ONE, rules);
        let proposal = serde_json::from_value(json!({"title":"another","files":{"create":["g"]}})).unwrap();
        it.submit(Action::CreateTicket { proposal, parent: None });
        let [victim, filler] = [1, 2].map(|_| {
            let id = it.state.attempts.values().find(|a| a.phase == p0_model::attempt::Phase::Starting).unwrap().id;
            let (nonce, token_hash) = (String::new(), String::new());
            let spawned =
                Action::AttemptSpawned { attempt: id, pid: 1, start_ticks: 1, nonce, token_hash, input: None };
            it.submit(spawned);
            id
        });
        it.submit(Action::DiskFilled { attempt: filler, written: WRITTEN });
        let mut report = ExitReport::silent(Ending::Exited { code: 1 });
        report.stderr_tail = "cc: error: out.o: No space left on device".into();
        it.submit(Action::AttemptExited { attempt: victim, report: Box::new(report) });
        let harvest = p0_model::attempt::Harvest {
            commit: None,
            tree: String::new(),
            changes: Vec::new(),
            dropped: Vec::new(),
            conflict_markers: Vec::new(),
            untracked_repos: Vec::new(),
            left_out: Vec::new(),
            paths: Vec::new(),
            patch: None,
        };
        it.submit(Action::AttemptHarvested { attempt: victim, harvest: Box::new(harvest) });
        assert_eq!(matches!(outcome(&it, victim), Outcome::Lost { .. }), spared, "{:?}", outcome(&it, victim));
    }
}
