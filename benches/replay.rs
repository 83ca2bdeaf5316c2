//! How fast a log is lived again.
//!
//! The log is one milestone in the hands of workers: 500 tickets, claimed, renewed, commented and given back, and a run
//! that was cancelled; one event per command, which is the dearest form (a frame, a decision and a JSON text for each
//! event). The baseline reads the same journal and only checks that it is what was written: checksum and hash chain.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench may stop at the first surprise, reads clocks and prints"
)]

mod harness;

use harness::{Case, Group, engine, folder, seconds};
use p0::{
    engine::{handle::Handle, start::Stop},
    journal,
    model::{
        command::Action,
        id::{MilestoneId, TicketId},
        reply::Reply,
    },
};
use std::path::Path;
use uuid::Uuid;

const TICKETS: usize = 500;
/// Of each ticket: a claim, so many pairs of a renewal and a comment, and a release.
const PAIRS: usize = 49;

const SCAN: &str = "scan: checksum + hash chain";
const READ: &str = "read: events as records";

async fn work_on(handle: Handle, milestone: MilestoneId, ticket: TicketId) {
    let token_hash = ticket.to_string();
    let claim = Action::Claim {
        ticket: Some(ticket.clone()),
        worker: "bench".into(),
        token_hash: token_hash.clone(),
        lease_s: 3600,
        timed: false,
    };
    engine::submit(&handle, milestone, claim).await;
    for n in 0..PAIRS {
        let beat = Action::Heartbeat { ticket: ticket.clone(), token_hash: token_hash.clone() };
        engine::submit(&handle, milestone, beat).await;
        let text = format!("Step {n} is done; the next one needs what it left in src/api/mod.rs.");
        engine::submit(&handle, milestone, Action::Comment { ticket: ticket.clone(), text }).await;
    }
    engine::submit(&handle, milestone, Action::Release { ticket, token_hash }).await;
}

/// Writes the log.
async fn live(handle: &Handle, milestone: MilestoneId) {
    let tickets = engine::open_tracker(handle, milestone, TICKETS).await;
    let works = tickets.into_iter().map(|ticket| tokio::spawn(work_on(handle.clone(), milestone, ticket)));
    for work in works.collect::<Vec<_>>() {
        work.await.unwrap();
    }
    let agent = ["true".to_owned()];
    let start = engine::start_run(handle, milestone, "BEN", Path::new("/"), "0", (&agent, Path::new("/")), 1);
    let Reply::RunStarted { run } = engine::submit(handle, milestone, start).await else { panic!("a new run") };
    engine::submit(handle, milestone, Action::CancelRun { run, why: "it was only a bench".into() }).await;
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn main() {
    if !harness::is_bench() {
        return;
    }
    let dir = folder();
    let (data, again) = (dir.path().join("data"), dir.path().join("again"));
    let runtime = engine::runtime();
    let milestone = MilestoneId(Uuid::from_u128(1));

    let writing = runtime.block_on(engine::start(&data, false));
    let took = seconds(|| runtime.block_on(live(&writing.handle(), milestone)));
    runtime.block_on(writing.stop(Stop::Now));
    copy(&data, &again);

    let engine = runtime.block_on(engine::start(&data, false));
    let handle = engine.handle();
    let run = engine::last_run(&handle, milestone);
    let events = *handle.head().borrow();
    let per = |work: &dyn Fn()| per_event(events, work);
    println!("\nThe log: {events} events, written through the engine by {TICKETS} callers in {took:.1} s.");

    let cases = vec![
        Case::new(SCAN, &[], || {
            per(&|| {
                let found = journal::verify(&data, None, &mut |_, _| {}).unwrap();
                assert!(found.ok && found.events == events);
            })
        }),
        Case::new(READ, &[SCAN], || per(&|| assert_eq!(handle.records(0, usize::MAX).unwrap().len() as u64, events))),
        Case::new("fold: the milestone's state", &[SCAN, READ], || {
            per(&|| assert!(handle.refold(milestone).unwrap().unwrap().is_settled()))
        }),
        Case::new("replay: every decision again", &[SCAN, READ], || {
            per(&|| {
                let replayed = handle.replay(run, None).unwrap();
                assert!(replayed.divergence.is_none() && replayed.until == events);
            })
        }),
        Case::new("boot: open, check, fold, catalog", &[SCAN], || {
            let mut booted = None;
            let took = per_event(events, || booted = Some(runtime.block_on(engine::start(&again, false))));
            runtime.block_on(booted.take().unwrap().stop(Stop::Now));
            took
        }),
    ];
    Group { title: "A log of 50 000 events, lived again", unit: "event", rounds: 7, cases }.measure();
    runtime.block_on(engine.stop(Stop::Now));
}

fn per_event(events: u64, work: impl FnOnce()) -> Vec<f64> {
    vec![seconds(work) / events as f64]
}
