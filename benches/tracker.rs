//! The tracker under load: asking what is ready and claiming it, and closing many tickets at once, in a milestone of ten
//! and of a hundred thousand open tickets. Each is a whole command: decided, committed, projected, answered.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench may stop at the first surprise, reads clocks and prints"
)]

mod harness;

use harness::{Case, Group, engine, folder, seconds};
use p0::{
    engine::{
        handle::Handle,
        start::{Engine, Stop},
    },
    model::{
        command::{Action, WantedStatus},
        id::{MilestoneId, TicketId},
        reply::Reply,
    },
};
use std::{cell::RefCell, io::Write};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Tickets that one command closes.
const TOGETHER: usize = 100;
const RAW: &str = "raw: append 500 bytes + fdatasync";

/// A milestone of so many open tickets.
struct Milestone<'a> {
    runtime: &'a Runtime,
    engine: Engine,
    id: MilestoneId,
    /// Tickets that nobody claims: the last of them, claimed come from the front.
    to_close: RefCell<Vec<TicketId>>,
}

impl<'a> Milestone<'a> {
    fn new(runtime: &'a Runtime, dir: &std::path::Path, tickets: usize) -> Self {
        let engine = runtime.block_on(engine::start(&dir.join(tickets.to_string()), false));
        let id = MilestoneId(Uuid::from_u128(1));
        let made = runtime.block_on(engine::open_tracker(&engine.handle(), id, tickets));
        let to_close = RefCell::new(made[tickets / 2..].to_vec());
        Milestone { runtime, engine, id, to_close }
    }

    fn handle(&self) -> Handle {
        self.engine.handle()
    }

    fn ready(&self) -> Vec<f64> {
        let handle = self.handle();
        let state = handle.aggregate(self.id).unwrap().unwrap();
        let mut found = Vec::new();
        let took = seconds(|| found = handle.ready(&state));
        assert!(!found.is_empty());
        vec![took]
    }

    fn ready_and_claim(&self) -> Vec<f64> {
        let handle = self.handle();
        let mut claimed = None;
        let took = seconds(|| {
            let state = handle.aggregate(self.id).unwrap().unwrap();
            assert!(handle.has_ready(&state));
            let claim = Action::Claim {
                ticket: None,
                worker: "bench".into(),
                token_hash: "token".into(),
                lease_s: 3600,
                timed: false,
            };
            claimed = Some(self.runtime.block_on(engine::submit(&handle, self.id, claim)));
        });
        let Some(Reply::Claimed { ticket, .. }) = claimed else { panic!("a ticket") };
        let release = Action::Release { ticket, token_hash: "token".into() };
        self.runtime.block_on(engine::submit(&handle, self.id, release));
        vec![took]
    }

    fn close(&self) -> Vec<f64> {
        let at = self.to_close.borrow().len() - TOGETHER;
        let tickets = self.to_close.borrow_mut().split_off(at);
        let close = Action::SetStatuses { tickets, status: WantedStatus::Done, reason: "the bench is over".into() };
        vec![seconds(|| {
            self.runtime.block_on(engine::submit(&self.handle(), self.id, close));
        })]
    }
}

fn main() {
    if !harness::is_bench() {
        return;
    }
    let dir = folder();
    let runtime = engine::runtime();
    let few = Milestone::new(&runtime, dir.path(), 10_000);
    let many = Milestone::new(&runtime, dir.path(), 100_000);
    let mut raw = std::fs::OpenOptions::new().create(true).append(true).open(dir.path().join("raw")).unwrap();
    let cases = vec![
        Case::new(RAW, &[], move || {
            vec![seconds(|| {
                raw.write_all(&[b'x'; 500]).unwrap();
                raw.sync_data().unwrap();
            })]
        }),
        Case::new("10 000 open: all that is ready", &[RAW], || few.ready()),
        Case::new("10 000 open: ready + claim", &[RAW], || few.ready_and_claim()),
        Case::new("10 000 open: close 100 in one command", &[RAW], || few.close()),
        Case::new("100 000 open: all that is ready", &[RAW], || many.ready()),
        Case::new("100 000 open: ready + claim", &[RAW], || many.ready_and_claim()),
        Case::new("100 000 open: close 100 in one command", &[RAW], || many.close()),
    ];
    Group { title: "The tracker", unit: "command", rounds: 40, cases }.measure();
    for milestone in [few, many] {
        runtime.block_on(milestone.engine.stop(Stop::Now));
    }
}
