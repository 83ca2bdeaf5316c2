//! Work items in the hands of people and of workers outside any run.
use crate::env::{TestEnvironment, wait_until};

fn with_tickets(n: usize) -> TestEnvironment {
    let t = TestEnvironment::new();
    for i in 1..=n {
        let made =
            t.p0(&["ticket", "new", "--title", &format!("item {i}"), "--create", &format!("f{i}.txt")]).expect(0);
        assert!(made.out.trim().ends_with(&format!("-{i}")), "{made:?}");
    }
    t
}

fn ids(t: &TestEnvironment, args: &[&str]) -> Vec<String> {
    let rows = t.p0(args).expect(0).json();
    rows.as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn from_new_to_done() {
    let t = with_tickets(1);
    let id = ids(&t, &["ready", "--json"]).remove(0);
    let made = t
        .p0(&[
            "ticket",
            "new",
            "--title",
            "second",
            "--priority",
            "high",
            "--depends-on",
            &id,
            "--body",
            "the *rest*",
            "--json",
        ])
        .expect(0)
        .json();
    let second = made["id"].as_str().unwrap().to_owned();
    assert_eq!(ids(&t, &["ready", "--json"]), [id.as_str()], "the second waits for the first");
    let claim = t.p0(&["claim", &id, "--worker", "bob", "--json"]).expect(0).json();
    let token = claim["token"].as_str().unwrap();
    assert_eq!(claim["ticket"], id);
    assert!(ids(&t, &["ready", "--json"]).is_empty());
    assert_eq!(t.p0(&["claim", &id, "--worker", "eve"]).code, 6, "it is taken");
    for args in [
        &["ticket", "heartbeat", &id, "--token", "wrong"][..],
        &["ticket", "release", &id, "--token", "wrong"],
        &["ticket", "status", &id, "done", "--token", "wrong"],
        &["ticket", "comment", &id, "x", "--token", "wrong"],
    ] {
        let refused = t.p0(args).expect(6);
        assert!(refused.err.contains(&id) && refused.out.is_empty(), "{args:?}: {refused:?}");
    }
    let renewed = t.p0(&["ticket", "heartbeat", &id, "--token", token, "--json"]).expect(0).json();
    assert!(renewed["expires"].as_str() >= claim["expires"].as_str());
    t.p0(&["ticket", "comment", &id, "half way", "--token", token]).expect(0);
    t.p0(&["ticket", "status", &id, "done", "--token", token]).expect(0);
    assert_eq!(ids(&t, &["ready", "--json"]), [second.as_str()]);
    insta::assert_snapshot!(t.p0(&["ticket", "show", &id]).expect(0).shown(), @"
    exit 0
    REPO-1  item 1
    kind       task
    status     done
    priority   medium
    create     f1.txt
    comment    worker:bob: half way
    ");
    insta::assert_snapshot!(t.p0(&["tickets", "--all"]).expect(0).shown(), @"
    exit 0
    TICKET  KIND  STATUS  PRIORITY  AFTER   TITLE
    REPO-1  task  done    medium            item 1
    REPO-2  task  open    high      REPO-1  second
    ");
    t.p0(&["ticket", "status", &id, "open"]).expect(6);
    assert_eq!(t.p0(&["ticket", "heartbeat", &id, "--token", token]).code, 6, "the claim is over");
    t.log_is_whole();
}

#[test]
fn a_released_ticket_is_ready_again_and_its_old_token_is_worth_nothing() {
    let t = with_tickets(1);
    let claim = t.p0(&["claim", "--next", "--worker", "bob", "--json"]).expect(0).json();
    let (id, token) = (claim["ticket"].as_str().unwrap(), claim["token"].as_str().unwrap());
    t.p0(&["ticket", "release", id, "--token", token]).expect(0);
    let next = t.p0(&["claim", "--next", "--worker", "eve", "--json"]).expect(0).json();
    assert_eq!(next["ticket"], id);
    assert_ne!(next["token"], claim["token"]);
    t.p0(&["ticket", "status", id, "done", "--token", token]).expect(6);
}

#[test]
fn nothing_is_ready() {
    let t = TestEnvironment::new();
    insta::assert_snapshot!(t.p0(&["claim", "--next", "--worker", "bob"]).expect(4).shown(), @"
    exit 4
    --- stderr
    error: no ticket is ready
    ");
    insta::assert_snapshot!(t.p0(&["ready"]).expect(0).shown(), @"
    exit 0
    --- stderr
    no tickets
    ");
    t.p0(&["claim", "BLOG-9", "--worker", "bob"]).expect(4);
    t.p0(&["claim", "--next", "--worker", ""]).expect(2);
}

#[test]
fn workers_at_the_same_time_get_different_tickets() {
    for with_daemon in [false, true] {
        let t = with_tickets(3);
        let daemon = with_daemon.then(|| t.daemon());
        let claims: Vec<_> =
            (0..4).map(|n| t.start(&["claim", "--next", "--worker", &format!("w{n}"), "--json"])).collect();
        let outputs: Vec<_> = claims.into_iter().map(crate::env::Running::wait).collect();
        let mut got: Vec<String> =
            outputs.iter().filter(|o| o.code == 0).map(|o| o.json()["ticket"].as_str().unwrap().to_owned()).collect();
        got.sort();
        got.dedup();
        assert_eq!(got.len(), 3, "{outputs:?}");
        assert_eq!(outputs.iter().filter(|o| o.code == 4).count(), 1, "{outputs:?}");
        if let Some(daemon) = daemon {
            daemon.signal("TERM");
            daemon.wait().expect(0);
        }
        t.log_is_whole();
    }
}

#[test]
fn a_claim_expires_without_a_heartbeat() {
    let t = with_tickets(1);
    let daemon = t.daemon();
    let claim = t.p0(&["claim", "--next", "--worker", "bob", "--lease-s", "1", "--json"]).expect(0).json();
    wait_until("it is ready again", || !ids(&t, &["ready", "--json"]).is_empty());
    assert_eq!(t.events("ticket.lease_expired").len(), 1);
    let id = claim["ticket"].as_str().unwrap();
    t.p0(&["ticket", "status", id, "done", "--token", claim["token"].as_str().unwrap()]).expect(6);
    daemon.signal("TERM");
    daemon.wait().expect(0);
}

#[test]
fn cycles_overlaps_and_unknown_names_are_refused() {
    let t = with_tickets(2);
    let all = ids(&t, &["tickets", "--all", "--json"]);
    let (a, b) = (all[0].as_str(), all[1].as_str());
    t.p0(&["ticket", "depends", b, a]).expect(0);
    let cycle = t.p0(&["ticket", "depends", a, b]).expect(6);
    assert!(cycle.err.contains("cycle") && cycle.err.contains(a) && cycle.err.contains(b), "{cycle:?}");
    let owned = t.p0(&["ticket", "new", "--title", "third", "--modify", "f1.txt"]).expect(6);
    assert!(owned.err.contains("f1.txt") && owned.err.contains(a), "{owned:?}");
    t.p0(&["ticket", "files", b, "--modify", "f1.txt"]).expect(6);
    t.p0(&["ticket", "files", b, "--modify", "../x"]).expect(6);
    t.p0(&["ticket", "new", "--title", "x", "--parent", "NO-1"]).expect(4);
    t.p0(&["ticket", "new", "--title", "x", "--depends-on", "NO-1"]).expect(4);
    t.p0(&["ticket", "new", "--title", "x", "--milestone", "NO"]).expect(4);
    t.p0(&["ticket", "depends", b, "--remove", a]).expect(0);
    t.p0(&["ticket", "status", a, "blocked", "--reason", "no\u{1b}[31m time"]).expect(0);
    assert!(!t.p0(&["ticket", "show", a]).expect(0).out.contains('\u{1b}'));
}

/// Nobody is at work, so no timer ends the lease: the next claim does.
#[test]
fn a_lease_that_is_over_gives_way_without_an_engine_at_work() {
    let t = TestEnvironment::new();
    t.p0(&["ticket", "new", "--title", "A", "--create", "a.txt"]).expect(0);
    t.p0(&["claim", "--next", "--worker", "a", "--lease-s", "1"]).expect(0);
    t.p0(&["claim", "--next", "--worker", "b"]).expect(4);
    wait_until("the lease is over", || t.p0(&["claim", "--next", "--worker", "b"]).code == 0);
    assert_eq!(t.events("ticket.lease_expired").len(), 1);
}
