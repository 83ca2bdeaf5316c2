//! What a person said ends by a person: given a block, a priority or an open item, when planners, new runs and forks come, then
//! it stays. And what a planner's change of a blocked item brings with it.
use super::{ONE, Scenario};
use crate::fork::{NewName, fork_of};
use p0_model::{
    actor::Actor,
    command::{Action, WantedStatus},
    id::{MilestoneId, TicketId},
    run::MOST_RENEWALS,
    ticket::{BlockedOn, Status},
};
use serde_json::{Value, json};

fn id(n: u32) -> TicketId {
    TicketId::new("BLOG", n)
}

fn person() -> Actor {
    Actor::Person("ann".into())
}

impl Scenario {
    /// A run whose planner has made tickets 1 and 2, the second waiting for the first, with the first at work.
    fn with_two(rules: u32) -> Scenario {
        Scenario::with_two_and(rules, 1)
    }

    fn with_two_and(rules: u32, rounds: u32) -> Scenario {
        let mut it = Scenario::planning_under(&format!("{ONE}\n[limits]\nrounds={rounds}"), rules);
        it.plans(&[
            json!({"type":"ticket","key":"a","title":"first","files":{"create":["f"]}}),
            json!({"type":"ticket","title":"second","depends_on":["a"],"files":{"create":["g"]}}),
        ]);
        it
    }

    /// The planner at work says this, and that the run continues.
    fn plans(&mut self, said: &[Value]) {
        self.decides("continue", said);
    }

    fn decides(&mut self, decision: &str, said: &[Value]) {
        assert_eq!(self.attempt().role.0, "planner");
        self.spawned();
        let decision = json!({"type":"decision","decision":decision,"reason":"so"});
        self.exit(0, &[said, &[decision]].concat());
        self.harvest(None);
    }

    /// The executor at work fails its round; what judges then finds nothing, until a planner is at work.
    fn fails_until_planning(&mut self) {
        loop {
            match self.attempt().role.0.as_str() {
                "planner" => return,
                "verifier" => {
                    self.spawned();
                    self.exit(0, &[json!({"type":"verdict","met":false,"rationale":"no"})]);
                    self.harvest(None);
                }
                _ => {
                    self.spawned();
                    // No two iterations end alike.
                    self.exit(1 + i32::try_from(self.clock).unwrap(), &[]);
                    self.harvest(None);
                }
            }
        }
    }

    fn says(&mut self, ticket: u32, status: WantedStatus) {
        let reason = "do not touch".to_owned();
        let action = Action::SetStatus { ticket: id(ticket), status, reason, token_hash: None };
        self.try_as(person(), action).unwrap();
    }

    fn status(&self, ticket: u32) -> &Status {
        &self.state.tickets[&id(ticket)].status
    }

    fn is_blocked(&self, ticket: u32) -> bool {
        matches!(self.status(ticket), Status::Blocked(_))
    }

    fn count(&self, kind: &str) -> usize {
        self.kinds.iter().filter(|k| **k == kind).count()
    }
}

#[test]
fn a_planner_does_not_open_what_a_person_blocked() {
    let changes = [
        json!({"priority":"low"}),
        json!({"body":"new"}),
        json!({"title":"new"}),
        json!({"depends_on":[]}),
        json!({"files":{"create":["other"]}}),
    ];
    for change in changes {
        for rules in [5, 4] {
            let mut it = Scenario::with_two(rules);
            it.says(2, WantedStatus::Blocked);
            it.fails_until_planning();
            let mut line = json!({"type":"ticket","id":"BLOG-2"});
            line.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
            it.plans(&[line, json!({"type":"ticket","title":"c","files":{"create":["h"]}})]);
            let stays = matches!(it.status(2), Status::Blocked(BlockedOn::Person { .. }));
            assert_eq!(stays, rules == 5, "{change}: {:?}", it.status(2));
            if rules == 5 {
                let comment = &it.state.tickets[&id(2)].comments.last().unwrap().text;
                assert!(comment.contains("a person blocked it") && comment.contains("p0 ticket status BLOG-2 open"));
                assert_eq!(it.attempt().ticket, Some(id(3)), "the rest of the plan is applied");
                it.says(2, WantedStatus::Open);
                assert!(!it.is_blocked(2), "a person opens it");
            }
        }
    }
}

/// Planners have put the first ticket back to work as often as they may, and once more; another ticket is at work.
fn renewed_too_often() -> Scenario {
    let mut it = Scenario::with_two(5);
    for time in 1..=MOST_RENEWALS {
        it.fails_until_planning();
        assert!(matches!(it.status(1), Status::Blocked(BlockedOn::Rounds { .. })));
        it.plans(&[json!({"type":"ticket","id":"BLOG-1","body":format!("try {time}")})]);
        assert_eq!(it.count("ticket.reopened"), usize::try_from(time).unwrap());
        assert_eq!(it.attempt().ticket, Some(id(1)));
    }
    it.fails_until_planning();
    it.plans(&[
        json!({"type":"ticket","id":"BLOG-1","body":"once more"}),
        json!({"type":"ticket","title":"c","files":{"create":["h"]}}),
    ]);
    it
}

#[test]
fn a_planners_change_of_a_blocked_ticket_is_an_event_and_bounded() {
    let it = renewed_too_often();
    let ticket = &it.state.tickets[&id(1)];
    assert!(matches!(ticket.status, Status::Blocked(BlockedOn::Rounds { .. })), "{:?}", ticket.status);
    assert_eq!((ticket.seed.body.as_str(), ticket.renewals), ("once more", MOST_RENEWALS));
    assert!(ticket.comments.last().unwrap().text.contains("2 times in this run already"));
    // Before rules 5 a change opened it without end, and without an event.
    let mut it = Scenario::with_two(4);
    for _ in 0..MOST_RENEWALS + 2 {
        it.fails_until_planning();
        it.plans(&[json!({"type":"ticket","id":"BLOG-1","body":"again"})]);
    }
    assert_eq!((it.count("ticket.reopened"), it.attempt().ticket.clone()), (0, Some(id(1))));
}

#[test]
fn a_persons_word_opens_a_ticket_with_all_its_rounds() {
    let change = |it: &mut Scenario| {
        let proposal = serde_json::from_value(json!({"body":"with help"})).unwrap();
        it.try_as(person(), Action::UpdateTicket { ticket: id(1), proposal }).unwrap();
    };
    let words: [&dyn Fn(&mut Scenario); 2] = [&change, &|it| it.says(1, WantedStatus::Open)];
    for word in words {
        let mut it = renewed_too_often();
        word(&mut it);
        assert!(!it.is_blocked(1));
        assert_eq!(it.state.tickets[&id(1)].rounds_counted, 0);
    }
    let mut it = renewed_too_often();
    it.says(1, WantedStatus::Blocked);
    change(&mut it);
    assert!(it.state.tickets[&id(1)].is_blocked_by_person(), "a change is not the word that it may be worked on");
}

#[test]
fn a_new_run_opens_what_it_may_and_leaves_a_persons_block() {
    for rules in [5, 4] {
        let mut it = Scenario::with_two(rules);
        it.says(2, WantedStatus::Blocked);
        it.fails_until_planning();
        it.decides("stuck", &[]);
        it.starts(rules, "another spec");
        assert_eq!(*it.status(1), Status::Open, "rules {rules}");
        assert_eq!(it.state.tickets[&id(2)].is_blocked_by_person(), rules == 5);
    }
}

#[test]
fn a_fork_keeps_a_persons_block_and_who_made_what() {
    let mut it = Scenario::with_two(5);
    let proposal = serde_json::from_value(json!({"title":"mine","files":{"create":["m"]}})).unwrap();
    it.try_as(person(), Action::CreateTicket { proposal, parent: None }).unwrap();
    it.says(2, WantedStatus::Blocked);
    let run = it.state.live_run().unwrap().id;
    let name = NewName { milestone: MilestoneId(uuid::Uuid::from_u128(2)), key: "FORK".into(), p0: "test".into() };
    let fork = fork_of(&it.state, run, 9, name).unwrap();
    let mut forked = Scenario { state: Default::default(), clock: it.clock, kinds: Vec::new() };
    forked.try_as(person(), Action::ForkRun(Box::new(fork))).unwrap();
    let ticket = |n| &forked.state.tickets[&TicketId::new("FORK", n)];
    assert!(ticket(2).is_blocked_by_person());
    assert_eq!((ticket(1).by.clone(), ticket(3).by.clone()), (Actor::Engine, person()));
}

#[test]
fn a_plan_cannot_lower_the_priority_that_a_person_gave() {
    let mut it = Scenario::with_two_and(5, 2);
    let proposal = serde_json::from_value(json!({"title":"mine","priority":"high","files":{"create":["m"]}})).unwrap();
    it.try_as(person(), Action::CreateTicket { proposal, parent: None }).unwrap();
    it.fails_until_planning();
    it.plans(&[json!({"type":"ticket","id":"BLOG-3","priority":"low"})]);
    assert_eq!(it.count("plan.refused"), 1);
    assert!(it.attempt().feedback[0].contains("BLOG-3 was made by a person with high priority"));
    it.plans(&[
        json!({"type":"ticket","id":"BLOG-3","body":"more"}),
        json!({"type":"ticket","id":"BLOG-2","priority":"low"}),
    ]);
    assert_eq!(it.count("plan.refused"), 1, "everything else may change, and every other ticket");
}

#[test]
fn a_plan_leaves_alone_what_a_person_works_on_by_hand() {
    for line in [
        json!({"type":"defer","ticket":"BLOG-2","reason":"later"}),
        json!({"type":"ticket","id":"BLOG-2","files":{"create":["other"]}}),
    ] {
        for rules in [5, 4] {
            let mut it = Scenario::with_two_and(rules, 2);
            it.says(2, WantedStatus::InProgress);
            it.fails_until_planning();
            it.plans(&[line.clone(), json!({"type":"ticket","title":"c","files":{"create":["h"]}})]);
            assert_eq!(it.count("plan.refused"), usize::from(rules == 5), "{line}");
            if rules == 5 {
                assert!(it.attempt().feedback[0].contains("BLOG-2 is being worked on by hand"));
            }
        }
    }
}

#[test]
fn a_person_takes_up_what_a_planner_put_off() {
    let mut it = Scenario::with_two_and(5, 2);
    it.fails_until_planning();
    it.plans(&[
        json!({"type":"defer","ticket":"BLOG-2","reason":"later"}),
        json!({"type":"ticket","title":"c","files":{"create":["g"]}}),
    ]);
    assert!(it.state.tickets[&id(2)].deferred.is_none(), "its files would belong to two");
    it.plans(&[
        json!({"type":"defer","ticket":"BLOG-2","reason":"later"}),
        json!({"type":"ticket","title":"c","files":{"create":["h"]}}),
    ]);
    assert!(it.state.tickets[&id(2)].deferred.is_some());
    it.says(2, WantedStatus::Open);
    assert_eq!((it.status(2), &it.state.tickets[&id(2)].deferred), (&Status::Open, &None));
}

#[test]
fn what_has_not_begun_waits_for_a_new_fix_blocked_put_off_or_open() {
    for (rules, waits) in [(5, [true, true, true, true]), (4, [true, false, false, false])] {
        let mut it = Scenario::planning_under(&format!("{ONE}\n[limits]\nrounds=1\nmax_parallel=1"), rules);
        it.plans(&[
            json!({"type":"ticket","key":"a","title":"a","files":{"create":["f"]}}),
            json!({"type":"ticket","key":"w","title":"wall","files":{"create":["w"]}}),
            json!({"type":"ticket","title":"open","depends_on":["a","w"],"files":{"create":["g"]}}),
            json!({"type":"ticket","title":"blocked","depends_on":["a","w"],"files":{"create":["h"]}}),
            json!({"type":"ticket","title":"put off","depends_on":["a","w"],"files":{"create":["i"]}}),
        ]);
        it.lands();
        it.says(4, WantedStatus::Blocked);
        it.fails_until_planning();
        it.plans(&[
            json!({"type":"defer","ticket":"BLOG-5","reason":"later"}),
            json!({"type":"ticket","title":"fix","kind":"fix","files":{"modify":["f"]}}),
            json!({"type":"ticket","title":"new","depends_on":["BLOG-1"],"files":{"create":["j"]}}),
        ]);
        assert_eq!(it.count("plan.refused"), 0);
        let fix = id(6);
        let found = [3, 4, 5, 7].map(|n| it.state.tickets[&id(n)].seed.depends_on.contains(&fix));
        // Items are put off after the others were made, so before rules 5 the third waited as well.
        let waits = if rules == 5 { waits } else { [true, false, true, false] };
        assert_eq!(found, waits, "rules {rules}");
        if rules == 5 {
            assert!(it.state.tickets[&id(4)].is_blocked_by_person(), "the engine's own change opens nothing");
            assert!(it.state.tickets[&id(5)].deferred.is_some());
            // A later fix by a person is waited for as well, and nothing that was put off comes back for it.
            let proposal = json!({"title":"fix 2","kind":"fix","files":{"modify":["f"]}});
            let proposal = serde_json::from_value(proposal).unwrap();
            it.try_as(person(), Action::CreateTicket { proposal, parent: None }).unwrap();
            let found = [3, 4, 5, 7].map(|n| it.state.tickets[&id(n)].seed.depends_on.contains(&id(8)));
            assert_eq!(found, waits);
            assert!(it.state.tickets[&id(5)].deferred.is_some());
        }
    }
}
