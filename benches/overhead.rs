//! What the whole orchestration costs per ticket: no-op agents on a repository of 100 files, 30 tickets that do not
//! wait for each other.
//!
//! The baseline, `by_hand.sh`, takes the same git steps for each ticket – a worktree, the same agent in it, a commit,
//! the commit onto the branch, the worktree gone – one ticket after the other, syncs nothing, and keeps no record. p0
//! makes every decision durable, runs each agent under a supervisor, checks what it did, and merges by content.
//!
//! "Tickets" is from the first executor's start to the last landing. "Whole run" adds what the script has no
//! counterpart of: two turns of the planner, the verifier, and the run's own opening and end.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench may stop at the first surprise, reads clocks, starts processes and prints"
)]

mod harness;

use harness::{
    Case, Group, engine, folder,
    repo::{self, Repo},
    seconds,
};
use p0::{
    engine::{handle::Handle, start::Stop},
    model::id::MilestoneId,
};
use std::{
    cell::Cell,
    path::{Path, PathBuf},
};
use tokio::runtime::Runtime;
use uuid::Uuid;

const TICKETS: usize = 30;
const ROUNDS: usize = 5;

/// What is measured of a run.
#[derive(Clone, Copy)]
enum Part {
    Tickets,
    Whole,
}

struct Bench<'a> {
    runtime: &'a Runtime,
    handle: Handle,
    repo: &'a Repo,
    dir: &'a Path,
    /// Gives every run its own names.
    runs: Cell<u32>,
}

impl Bench<'_> {
    fn next(&self) -> u32 {
        self.runs.set(self.runs.get() + 1);
        self.runs.get()
    }

    /// One run: seconds per ticket.
    fn p0(&self, max_parallel: u32, part: Part) -> Vec<f64> {
        let n = self.next();
        let key = format!("R{n}");
        let agent = repo::agent(self.dir, &key, TICKETS, false, "/dev/null");
        let milestone = MilestoneId(Uuid::from_u128(u128::from(n)));
        let project = &self.repo.root;
        let start = engine::start_run(
            &self.handle,
            milestone,
            &key,
            project,
            &self.repo.head,
            (&agent, self.dir),
            max_parallel,
        );
        let mut records = Vec::new();
        let whole = seconds(|| {
            records = self.runtime.block_on(engine::run_to_done(&self.handle, milestone, start));
        });
        let branch = format!("p0/{}/main", engine::last_run(&self.handle, milestone));
        assert!(self.repo.commits_on(&branch) >= TICKETS, "every ticket is on the branch");
        let took = match part {
            Part::Whole => whole,
            Part::Tickets => {
                let of_tickets = || records.iter().filter(|record| record.ticket.is_some());
                let begin = repo::second_of(of_tickets(), "attempt.started");
                repo::second_of(of_tickets().rev(), "integration.landed") - begin
            }
        };
        vec![took / TICKETS as f64]
    }

    /// The script: seconds per ticket.
    fn by_hand(&self, agent: &str) -> Vec<f64> {
        let n = self.next();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/by_hand.sh");
        let (branch, scratch) = (format!("hand{n}"), self.dir.join(format!("hand{n}")));
        let text = |path: &Path| path.display().to_string();
        let (root, scratch, count) = (text(&self.repo.root), text(&scratch), TICKETS.to_string());
        let args = [root.as_str(), &self.repo.head, &branch, &scratch, agent, &count];
        let took = seconds(|| repo::sh(&script, &args));
        assert_eq!(self.repo.commits_on(&branch), TICKETS);
        vec![took / TICKETS as f64]
    }
}

fn main() {
    if !harness::is_bench() {
        return;
    }
    let dir = folder();
    let repo = Repo::new(&dir.path().join("repo"));
    let runtime = engine::runtime();
    let engine = runtime.block_on(engine::start(&dir.path().join("data"), true));
    let handle = engine.handle();
    let bench = Bench { runtime: &runtime, handle, repo: &repo, dir: dir.path(), runs: Cell::new(0) };
    let agent: PathBuf = repo::agent(dir.path(), "HAND", 1, false, "/dev/null")[1].clone().into();
    let agent = agent.display().to_string();

    const BY_HAND: &str = "by_hand.sh: the same git steps";
    let cases = vec![
        Case::new(BY_HAND, &[], || bench.by_hand(&agent)),
        Case::new("p0: tickets, 1 at a time", &[BY_HAND], || bench.p0(1, Part::Tickets)),
        Case::new("p0: tickets, 4 at a time", &[BY_HAND], || bench.p0(4, Part::Tickets)),
        Case::new("p0: whole run, 1 at a time", &[BY_HAND], || bench.p0(1, Part::Whole)),
        Case::new("p0: whole run, 4 at a time", &[BY_HAND], || bench.p0(4, Part::Whole)),
    ];
    Group { title: "Orchestration of 30 no-op tickets, 100 files", unit: "ticket", rounds: ROUNDS, cases }.measure();
    runtime.block_on(engine.stop(Stop::Now));
}
