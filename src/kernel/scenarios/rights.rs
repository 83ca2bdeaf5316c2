//! What a role may not say: who prints it was not heard, and is told so.
use super::{ONE, Scenario};
use p0_model::{attempt::Outcome, command::Action, event::RULES};
use serde_json::{Value, json};

impl Scenario {
    /// A line of its output that is taken at once.
    fn print(&mut self, line: u64, message: Value) {
        let (attempt, message) = (self.attempt().id, serde_json::from_value(message).unwrap());
        self.submit(Action::AttemptSaid { attempt, line, part: 0, message, paths: Vec::new() });
    }
}

/// What becomes of a planner that prints this beside its decision.
fn planner(rules: u32, printed: Option<Value>, said: Option<Value>, staged: &[Value]) -> Outcome {
    let mut it = Scenario::planning_under(ONE, rules);
    it.spawned();
    if let Some(message) = printed {
        it.print(1, message);
    }
    if let Some(message) = said {
        it.say(message);
    }
    let decision = json!({"type": "decision", "decision": "stuck", "reason": "nothing to do"});
    it.exit(0, &[staged, &[decision]].concat());
    let id = it.harvest(None);
    it.state.attempts[&id].outcome().unwrap().clone()
}

#[test]
fn whoever_prints_trouble_that_its_role_may_not_say_is_refused_and_told_so() {
    let blocked = || json!({"type": "status", "status": "blocked", "reason": "no key"});
    let finding = json!({"type": "feedback", "title": "login can be bypassed", "priority": "high"});
    let refused = |reason: &str| Outcome::Refused { reasons: vec![reason.to_owned()] };
    let of_status = "line 1: the status cannot be read: 'status' is for executors; a planner may not say it";
    assert_eq!(planner(RULES, Some(blocked()), None, &[]), refused(of_status));
    let of_finding = "line 1: 'feedback' is for specialists; a planner may not say it";
    assert_eq!(planner(RULES, None, None, std::slice::from_ref(&finding)), refused(of_finding));
    // Through its socket it was answered, and could say it otherwise.
    assert_eq!(planner(RULES, None, Some(blocked()), &[]), Outcome::Accepted);
    for rules in 1..6 {
        assert_eq!(planner(rules, Some(blocked()), None, std::slice::from_ref(&finding)), Outcome::Accepted, "{rules}");
    }
}

#[test]
fn other_words_above_a_role_are_left_out() {
    let done = json!({"type": "status", "status": "done"});
    let verdict = json!({"type": "verdict", "met": true});
    assert_eq!(planner(RULES, Some(done), None, std::slice::from_ref(&verdict)), Outcome::Accepted);
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.exit(0, &[verdict]);
    it.harvest(Some("whole"));
    assert!(it.kinds.contains(&"integration.queued"), "{:?}", it.kinds);
    let mut it = Scenario::at_work(ONE);
    it.spawned();
    it.exit(0, &[json!({"type": "feedback", "title": "login can be bypassed", "priority": "high"})]);
    it.harvest(Some("whole"));
    assert!(!it.kinds.contains(&"integration.queued"), "what it found is not passed over: {:?}", it.kinds);
}
