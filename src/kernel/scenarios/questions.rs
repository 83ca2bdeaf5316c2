//! Questions of tickets: a run waits for the answers, and goes on with what it can.
use super::{ONE, Scenario};
use p0_model::{actor::Actor, command::Action, id::TicketId, reply::Reply};
use serde_json::json;

/// The state of the run, and the word for what stands first in the way.
fn stands(it: &Scenario) -> (&'static str, String) {
    let run = it.state.last_run().unwrap();
    (run.state.word(), run.state.why().unwrap_or_default().to_owned())
}

#[test]
fn a_run_waits_for_the_answer_that_its_ticket_needs_and_goes_on_with_it() {
    let ticket = TicketId::new("BLOG", 1);
    let person = Actor::Person("ann".into());
    // Also one that has begun: its work is kept, and does not land.
    for commit in [None, Some("half")] {
        let mut it = Scenario::at_work(ONE);
        it.spawned();
        it.say(json!({"type":"question","text":"which colour?"}));
        it.exit(0, &[]);
        it.harvest(commit);
        assert_eq!(stands(&it), ("awaiting_approval", "BLOG-1 asks: which colour? (`p0 answer BLOG-1 TEXT`)".into()));
        assert!(it.state.attempts.values().all(|a| a.outcome().is_some()), "nothing is at work meanwhile");
        let answer = Action::AnswerQuestion { ticket: ticket.clone(), text: "blue".into() };
        it.try_as(person.clone(), answer).unwrap();
        assert_eq!((stands(&it).0, it.attempt().ticket.as_ref()), ("running", Some(&ticket)));
    }
    // Something else to do does not wait for it.
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.say(json!({"type":"question","text":"which colour?"}));
    it.exit(0, &[]);
    it.harvest(None);
    let proposal = serde_json::from_value(json!({"title":"another","files":{"create":["g"]}})).unwrap();
    it.try_as(person.clone(), Action::CreateTicket { proposal, parent: None }).unwrap();
    assert_eq!((stands(&it).0, it.attempt().ticket.clone()), ("running", Some(TicketId::new("BLOG", 2))));
    // Whoever says that it is done has found an answer.
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.say(json!({"type":"question","text":"which colour?"}));
    it.say(json!({"type":"status","status":"done"}));
    it.exit(0, &[]);
    it.harvest(Some("whole"));
    assert!(it.kinds.contains(&"integration.queued"), "{:?}", it.kinds);
    // Until rules 3 the work of such an attempt landed, and a run went on without an answer.
    let mut it = Scenario::at_work_under(ONE, 2);
    it.spawned();
    it.say(json!({"type":"question","text":"which colour?"}));
    it.exit(0, &[]);
    it.harvest(None);
    assert_eq!(stands(&it).0, "running");
}

#[test]
fn only_a_ticket_can_wait_for_an_answer() {
    for (rules, heard) in [(3, false), (2, true)] {
        let mut it = Scenario::planning_under(ONE, rules);
        it.spawned();
        let reply = it.say(json!({"type":"question","text":"which colour?"}));
        assert_eq!(matches!(reply, Reply::Ok), heard, "{reply:?}");
        if let Reply::Refused { why } = reply {
            assert!(why.contains("decide 'stuck'"), "{why}");
        }
    }
}
