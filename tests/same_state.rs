//! One history, one state: whether it was folded live, from a snapshot and the events since, from a store made anew, from
//! an exported file, or from an archive.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop at the first surprise")]

use p0::{
    engine::{
        handle::Handle,
        run_files::frames_of_file,
        start::{Engine, Environment, Options, Stop},
    },
    kernel,
    model::{
        Time,
        actor::Actor,
        aggregate::Aggregate,
        command::{Action, StartRun, WantedStatus},
        config::{Config, Overrides},
        event::RULES,
        id::{CommitId, MilestoneId, TicketId},
        protocol::Proposal,
        reply::Reply,
        workflow::builtin,
    },
};
use proptest::prelude::*;
use std::{collections::BTreeMap, fs, path::Path, sync::Arc, time::Duration};
use uuid::Uuid;

/// What somebody does, on the n-th ticket there is.
#[derive(Debug, Clone)]
enum Step {
    Create(u8),
    Part(usize),
    Status(usize, u8),
    All(u8),
    Comment(usize, String),
    Claim(usize),
    Renew(usize),
    Release(usize),
    Depend(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => any::<u8>().prop_map(Step::Create),
        1 => any::<usize>().prop_map(Step::Part),
        3 => (any::<usize>(), any::<u8>()).prop_map(|(n, status)| Step::Status(n, status)),
        1 => any::<u8>().prop_map(Step::All),
        3 => (any::<usize>(), ".{0,60}").prop_map(|(n, text)| Step::Comment(n, text)),
        4 => any::<usize>().prop_map(Step::Claim),
        4 => any::<usize>().prop_map(Step::Renew),
        2 => any::<usize>().prop_map(Step::Release),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(n, on)| Step::Depend(n, on)),
    ]
}

async fn start(dir: &Path) -> Engine {
    let agent_env = Arc::new(|_: &Path, _: &_| Ok(BTreeMap::new()));
    let options = Options {
        data_dir: dir.to_owned(),
        active: false,
        wait: Duration::from_secs(5),
        attempt_socket: None,
        supervisor: "p0".into(),
        environment: Environment::default(),
        agent_env,
        patience: Duration::from_secs(120),
        die_at: None,
    };
    Engine::start(options).await.unwrap()
}

fn status(n: u8) -> WantedStatus {
    [WantedStatus::Open, WantedStatus::InProgress, WantedStatus::Done, WantedStatus::Blocked][usize::from(n % 4)]
}

fn action(step: &Step, tickets: &[TicketId]) -> Option<Action> {
    let pick = |n: usize| (!tickets.is_empty()).then(|| tickets[n % tickets.len()].clone());
    let token_hash = || "token".to_owned();
    Some(match step {
        Step::Create(n) => {
            let proposal = Proposal { title: Some(format!("Ticket {n}")), ..Proposal::default() };
            Action::CreateTicket { proposal, parent: None }
        }
        Step::Part(n) => {
            let proposal = Proposal { title: Some("A part".into()), ..Proposal::default() };
            Action::CreateTicket { proposal, parent: Some(pick(*n)?) }
        }
        Step::Status(n, to) => {
            Action::SetStatus { ticket: pick(*n)?, status: status(*to), reason: "so".into(), token_hash: None }
        }
        Step::All(to) => {
            let few = tickets.iter().take(3).cloned().collect();
            Action::SetStatuses { tickets: few, status: status(*to), reason: "all of them".into() }
        }
        Step::Comment(n, text) => Action::Comment { ticket: pick(*n)?, text: text.clone() },
        Step::Claim(n) => {
            let (ticket, worker) = (Some(pick(*n)?), "somebody".to_owned());
            Action::Claim { ticket, worker, token_hash: token_hash(), lease_s: 3600, timed: false }
        }
        Step::Renew(n) => Action::Heartbeat { ticket: pick(*n)?, token_hash: token_hash() },
        Step::Release(n) => Action::Release { ticket: pick(*n)?, token_hash: token_hash() },
        Step::Depend(n, on) => {
            let proposal = Proposal { depends_on: Some(vec![pick(*on)?.to_string()]), ..Proposal::default() };
            Action::UpdateTicket { ticket: pick(*n)?, proposal }
        }
    })
}

/// Does the steps; rejections are part of life.
async fn live(handle: &Handle, milestone: MilestoneId, steps: &[Step], tickets: &mut Vec<TicketId>) {
    for step in steps {
        let Some(action) = action(step, tickets) else { continue };
        let accepted = handle.submit(milestone, Actor::Person("prop".into()), action).await;
        if let Ok(Reply::Ticket { ticket }) = accepted.map(|a| a.reply)
            && !tickets.contains(&ticket)
        {
            tickets.push(ticket);
        }
    }
}

fn state(handle: &Handle, milestone: MilestoneId) -> Arc<Aggregate> {
    handle.aggregate(milestone).unwrap().unwrap()
}

/// Every event of the milestone from the beginning, as the store has them.
fn folded(handle: &Handle) -> Aggregate {
    let mut state = Aggregate::default();
    let of_engine = |kind: &str| kind == "run.archived" || kind == "store.rebuilt";
    for record in handle.records(0, usize::MAX).unwrap().iter().filter(|record| !of_engine(&record.kind)) {
        kernel::evolve(&mut state, &record.to_draft().unwrap());
    }
    state
}

async fn check(dir: &Path, before: &[Step], after: &[Step]) {
    let milestone = MilestoneId(Uuid::from_u128(7));
    let mut tickets = Vec::new();
    let engine = start(dir).await;
    let handle = engine.handle();
    let spec = handle.put_blob(b"# A property").unwrap();
    let (key, title, project) = ("PROP".to_owned(), "A property".to_owned(), "/".to_owned());
    let open = Action::OpenTracker { milestone, key, title, spec, project };
    handle.submit(milestone, Actor::Engine, open).await.unwrap();
    live(&handle, milestone, before, &mut tickets).await;
    let first = state(&handle, milestone);
    // A clean stop leaves a snapshot of what is live, when enough has happened.
    // Whoever holds a handle holds the store.
    drop(handle);
    engine.stop(Stop::Now).await;

    let engine = start(dir).await;
    let handle = engine.handle();
    assert_eq!(state(&handle, milestone), first, "from a snapshot");
    live(&handle, milestone, after, &mut tickets).await;
    let last = state(&handle, milestone);
    assert_eq!(*last, folded(&handle), "live, and folded from the beginning");
    assert_eq!(Some((*last).clone()), handle.refold(milestone).unwrap(), "and the same on two threads");
    let digest = handle.digest(&last);
    drop(handle);
    engine.stop(Stop::Now).await;

    let engine = start(dir).await;
    assert_eq!(state(&engine.handle(), milestone), last, "from a snapshot and the events since");
    engine.stop(Stop::Now).await;

    fs::remove_dir_all(dir.join("store")).unwrap();
    let engine = start(dir).await;
    let handle = engine.handle();
    assert_eq!(state(&handle, milestone), last, "from a store made anew from the journal");
    assert_eq!(handle.digest(&state(&handle, milestone)), digest);
    check_files(dir, engine, milestone, &tickets).await;
}

/// The same for the files that a run's record can be in.
async fn check_files(dir: &Path, engine: Engine, milestone: MilestoneId, tickets: &[TicketId]) {
    let handle = engine.handle();
    let person = || Actor::Person("prop".into());
    for ticket in tickets {
        let release = Action::Release { ticket: ticket.clone(), token_hash: "token".to_owned() };
        // Most of them nobody holds.
        let _ = handle.submit(milestone, person(), release).await;
    }
    let started = handle.submit(milestone, person(), start_run(&handle, milestone)).await.unwrap();
    let Reply::RunStarted { run } = started.reply else { panic!("a new run") };
    handle.submit(milestone, person(), Action::CancelRun { run, why: "enough".into() }).await.unwrap();
    let last = state(&handle, milestone);

    let path = dir.join("run.p0run");
    handle.export(run, fs::File::create(&path).unwrap()).unwrap();
    let mut from_file = Aggregate::default();
    for frame in frames_of_file(&path).unwrap().1 {
        for record in frame.unwrap().events {
            kernel::evolve(&mut from_file, &record.to_draft().unwrap());
        }
    }
    assert_eq!(from_file, *last, "from an exported file");

    let mut left = Vec::new();
    let archived = handle.archive(|_| Some(Time::MAX_UTC), false, &person(), &mut left).await.unwrap();
    assert_eq!(archived.len(), 1);
    assert!(handle.compact(&mut left).unwrap().frames > 0 && left.is_empty(), "{left:?}");
    assert_eq!(handle.refold(milestone).unwrap().as_ref(), Some(&*last), "from an archive");
    assert_eq!(folded(&handle), *last, "in the order of the log");
    drop(handle);
    engine.stop(Stop::Now).await;
    fs::remove_dir_all(dir.join("store")).unwrap();
    let engine = start(dir).await;
    assert_eq!(state(&engine.handle(), milestone), last, "from an archive, with a store made anew");
    engine.stop(Stop::Now).await;
}

fn start_run(handle: &Handle, milestone: MilestoneId) -> Action {
    let config = Config::parse("[agents.a]\nkind = 'command'\ncommand = ['true']\n", Path::new("config.toml")).unwrap();
    let workflow = builtin::ralph();
    Action::StartRun(Box::new(StartRun {
        milestone,
        key: "PROP".into(),
        title: "A property".into(),
        spec: handle.put_blob(b"# A property").unwrap(),
        project: "/".into(),
        base: CommitId("0".repeat(40)),
        base_is_explicit: true,
        settings: config.resolve(&workflow, Path::new("/"), &Overrides::default()).unwrap(),
        workflow,
        rules: RULES,
        p0: "test".into(),
        backlog: Vec::new(),
    }))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_history_is_one_state(
        before in proptest::collection::vec(step(), 100..300),
        after in proptest::collection::vec(step(), 0..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(check(dir.path(), &before, &after));
    }
}
