//! Plans against the tree they are for: refused before an executor starts, under rules 5 and not before.
use super::{ONE, Scenario};
use crate::scenarios::RULES;
use p0_model::{
    attempt::Harvest,
    command::Action,
    id::TicketId,
    paths::{Found, PathFact},
    reply::Reply,
};
use serde_json::{Value, json};

fn fact(path: &str, found: Found) -> PathFact {
    PathFact { path: path.into(), found, ignored: false, other_case: None }
}

/// A planner that says this, with these facts about the paths; the reasons it is refused for.
fn planned(rules: u32, items: &[Value], facts: &[PathFact]) -> (Scenario, Vec<String>) {
    let mut it = Scenario::planning_under(ONE, rules);
    it.spawned();
    let mut said = items.to_vec();
    said.push(json!({"type":"decision","decision":"continue"}));
    it.exit(0, &said);
    let attempt = it.attempt().id;
    let harvest = Harvest { paths: facts.to_vec(), ..empty() };
    it.submit(Action::AttemptHarvested { attempt, harvest: Box::new(harvest) });
    let reasons = match it.state.attempts[&attempt].outcome() {
        Some(p0_model::attempt::Outcome::Refused { reasons }) => reasons.clone(),
        _ => Vec::new(),
    };
    (it, reasons)
}

fn empty() -> Harvest {
    Harvest {
        commit: None,
        tree: String::new(),
        changes: Vec::new(),
        dropped: Vec::new(),
        conflict_markers: Vec::new(),
        untracked_repos: Vec::new(),
        patch: None,
        paths: Vec::new(),
        left_out: Vec::new(),
    }
}

fn ticket(title: &str, create: &[&str], modify: &[&str]) -> Value {
    json!({"type":"ticket","title":title,"files":{"create":create,"modify":modify}})
}

#[test]
fn what_cannot_land_is_refused_with_a_sentence_for_each_path() {
    let items = [ticket("a", &[], &["src"]), ticket("b", &["lib/x"], &[])];
    let facts = [fact("src", Found::Folder), fact("lib/x", Found::Submodule { submodule: "lib".into() })];
    let (it, reasons) = planned(RULES, &items, &facts);
    assert_eq!(reasons.len(), 2, "{reasons:?}");
    assert!(reasons[0].starts_with("item 'a': 'src' is a folder: write 'src/'"), "{reasons:?}");
    assert!(reasons[1].contains("submodule 'lib'"), "{reasons:?}");
    assert!(it.state.tickets.is_empty(), "refused whole");
    let (it, reasons) = planned(4, &items, &facts);
    assert_eq!((reasons.len(), it.state.tickets.len()), (0, 2), "runs under earlier rules decide as they did");
}

#[test]
fn a_file_and_what_is_below_it_cannot_be_in_two_tickets() {
    for (a, b) in [("src", "src/x"), ("src/x", "src"), ("a/b", "a/b/c/d")] {
        let items = [ticket("a", &[a], &[]), ticket("b", &[b], &[])];
        let (_, reasons) = planned(RULES, &items, &[]);
        assert!(reasons.len() == 1 && reasons[0].contains("would belong to both"), "{a} {b}: {reasons:?}");
        assert_eq!(planned(4, &items, &[]).1, Vec::<String>::new());
    }
    let (_, reasons) = planned(RULES, &[ticket("a", &["src", "src/x"], &[])], &[]);
    assert!(reasons[0].contains("cannot both be"), "{reasons:?}");
    let (_, reasons) = planned(RULES, &[ticket("a", &["src", "srcs/x"], &[]), ticket("b", &["sr"], &[])], &[]);
    assert_eq!(reasons, Vec::<String>::new());
}

#[test]
fn what_is_odd_is_a_comment_and_the_plan_is_taken() {
    let other = PathFact { other_case: Some("README.md".into()), ..fact("Readme.md", Found::Missing) };
    let facts = [fact("gone", Found::Missing), fact("there", Found::File), other];
    let items =
        [ticket("a", &["there", "Readme.md"], &["gone"]), ticket("b", &["x/Y"], &[]), ticket("c", &["X/y"], &[])];
    let (it, reasons) = planned(RULES, &items, &facts);
    assert_eq!((reasons.len(), it.state.tickets.len()), (0, 3));
    let said = |n| {
        let ticket = &it.state.tickets[&TicketId::new("BLOG", n)];
        ticket.comments.iter().map(|c| c.text.clone()).collect::<Vec<_>>().join("\n")
    };
    for words in
        ["'gone' is listed under modify", "'there' is listed under create", "'README.md' in upper and lower case"]
    {
        assert!(said(1).contains(words), "{}", said(1));
    }
    assert_eq!(said(2), "");
    assert!(said(3).contains("'X/y' differs from 'x/Y'"), "{}", said(3));
    let (it, _) = planned(4, &items, &facts);
    assert!(it.state.tickets.values().all(|t| t.comments.is_empty()));
}

#[test]
fn a_request_for_files_is_compared_with_the_tree_as_well() {
    let ask = |rules: u32, path: &str, found: Found| {
        let mut it = Scenario::at_work_under(ONE, rules);
        it.spawned();
        let message = json!({"type":"request_files","create":[path],"modify":[],"reason":"r"});
        let message = serde_json::from_value(message).unwrap();
        let paths = vec![fact(path, found)];
        it.submit(Action::AttemptSaid { attempt: it.attempt().id, line: 0, part: 0, message, paths })
    };
    let refused = ask(RULES, "src", Found::Folder);
    assert!(matches!(&refused, Reply::Refused { why } if why.contains("'src/'")), "{refused:?}");
    assert_eq!(ask(4, "src", Found::Folder), Reply::Ok);
    // The ticket owns the file `f`, so a folder may take its place.
    assert_eq!(ask(RULES, "f/x", Found::BelowFile { file: "f".into() }), Reply::Ok);
}

#[test]
fn what_does_not_land_is_said_on_the_ticket_and_to_the_next_round() {
    let harvested = |rules: u32| {
        let mut it = Scenario::at_work_under(ONE, rules);
        it.spawned();
        it.exit(0, &[]);
        let attempt = it.attempt().id;
        let harvest = Harvest { left_out: vec!["out/x (git ignores it)".into()], ..empty() };
        it.submit(Action::AttemptHarvested { attempt, harvest: Box::new(harvest) });
        let ticket = it.state.tickets.values().next().unwrap();
        let comments: Vec<String> = ticket.comments.iter().map(|c| c.text.clone()).collect();
        (comments.join("\n"), ticket.feedback.join("\n"))
    };
    let (comments, feedback) = harvested(RULES);
    assert_eq!(comments, "changed, and not landing: out/x (git ignores it)");
    assert!(feedback.contains("out/x (git ignores it)"), "{feedback}");
    let (comments, feedback) = harvested(4);
    assert!(comments.is_empty() && !feedback.contains("out/x"), "{comments} {feedback}");
}
