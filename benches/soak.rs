//! A simulated year of a busy team on one data directory: thousands of runs, two million events. Every month the engine is
//! started anew, and everything but the last three months is archived, as `p0 gc` does it by default. A line says what is
//! on the disk and in memory, and how long a start, a command and the archiving took: what must not grow does not.
//!
//! `scripts/soak` runs it; `cargo bench` leaves it out. `P0_SOAK_RUNS` sets the runs of a month.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench may stop at the first surprise, starts processes, reads clocks and prints"
)]

mod harness;

use harness::{engine, folder, seconds};
use p0::{
    engine::{
        handle::Handle,
        start::{Engine, Stop},
    },
    model::{
        Time,
        command::{Action, WantedStatus},
        id::{MilestoneId, TicketId},
        reply::Reply,
    },
};
use std::{
    path::Path,
    process::{Command, Stdio},
};
use tokio::runtime::Runtime;
use uuid::Uuid;

const MONTHS: u64 = 12;
/// Months that stay in the log itself.
const KEPT: usize = 3;
const RUNS: u64 = 240;
/// Of each run: tickets, and of each ticket renewals of its lease and comments.
const TICKETS: usize = 20;
const RENEWALS: usize = 30;
const COMMENTS: usize = 4;
/// Milestones that are worked on at the same time.
const TEAMS: u64 = 8;

/// One ticket in the hands of a worker; the seconds of each renewal.
async fn work(handle: &Handle, milestone: MilestoneId, ticket: &TicketId) -> Vec<f64> {
    let token_hash = ticket.to_string();
    let (named, worker) = (Some(ticket.clone()), "soak".to_owned());
    let claim = Action::Claim { ticket: named, worker, token_hash: token_hash.clone(), lease_s: 3600, timed: false };
    engine::submit(handle, milestone, claim).await;
    let mut took = Vec::new();
    for n in 0..RENEWALS {
        let renewal = Action::Heartbeat { ticket: ticket.clone(), token_hash: token_hash.clone() };
        let began = std::time::Instant::now();
        engine::submit(handle, milestone, renewal).await;
        took.push(began.elapsed().as_secs_f64());
        if n < COMMENTS {
            let text = format!("Step {n}: the parser takes nested lists now; src/parse/list.rs has the cases.");
            engine::submit(handle, milestone, Action::Comment { ticket: ticket.clone(), text }).await;
        }
    }
    let token_hash = Some(token_hash);
    let (status, reason) = (WantedStatus::Done, "it works".to_owned());
    engine::submit(handle, milestone, Action::SetStatus { ticket: ticket.clone(), status, reason, token_hash }).await;
    took
}

/// A milestone with its run, from start to end.
async fn run(handle: Handle, number: u64) -> Vec<f64> {
    let milestone = MilestoneId(Uuid::from_u64_pair(0x0190_0000_0000_7000 + number, 1 << 63));
    let tickets = engine::open_tracker(&handle, milestone, TICKETS).await;
    let mut took = Vec::new();
    for ticket in &tickets {
        took.extend(work(&handle, milestone, ticket).await);
    }
    let agent = ["true".to_owned()];
    let start = engine::start_run(&handle, milestone, "BEN", Path::new("/"), "0", (&agent, Path::new("/")), 1);
    let Reply::RunStarted { run } = engine::submit(&handle, milestone, start).await else { panic!("a new run") };
    engine::submit(&handle, milestone, Action::CancelRun { run, why: "the soak goes on".into() }).await;
    took
}

fn month(runtime: &Runtime, engine: &Engine, first: u64, runs: u64) -> Vec<f64> {
    let handle = engine.handle();
    runtime.block_on(async {
        let teams = (0..TEAMS).map(|team| {
            let handle = handle.clone();
            tokio::spawn(async move {
                let mut took = Vec::new();
                for number in (first + team..first + runs).step_by(TEAMS as usize) {
                    took.extend(run(handle.clone(), number).await);
                }
                took
            })
        });
        let mut took = Vec::new();
        for team in teams.collect::<Vec<_>>() {
            took.extend(team.await.unwrap());
        }
        took
    })
}

fn megabytes(dir: &Path) -> f64 {
    fn bytes(dir: &Path) -> u64 {
        let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
        let one = |entry: std::io::Result<std::fs::DirEntry>| {
            let entry = entry.unwrap();
            if entry.path().is_dir() { bytes(&entry.path()) } else { entry.metadata().map_or(0, |m| m.len()) }
        };
        entries.map(one).sum()
    }
    bytes(dir) as f64 / 1e6
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let text = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    text.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1e3
}

/// What a start of p0 itself takes and holds, in a process of its own: `p0 runs` with nobody serving.
fn look(data: &Path) -> f64 {
    seconds(|| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_p0"));
        let status = command.args(["ready", "--data-dir"]).arg(data).stdout(Stdio::null()).status().unwrap();
        assert!(status.success());
    })
}

/// What `p0 gc` does about runs that were over before `old`.
fn archive(runtime: &Runtime, engine: &Engine, old: Option<Time>) {
    let handle = engine.handle();
    let mut left = Vec::new();
    runtime.block_on(handle.archive(move |_| old, false, &engine::person(), &mut left)).unwrap();
    handle.compact(&mut left).unwrap();
    assert!(left.is_empty(), "{left:?}");
    handle.sweep(false).unwrap();
}

fn main() {
    if !std::env::args().any(|a| a == "--soak") {
        return;
    }
    let runs = std::env::var("P0_SOAK_RUNS").ok().map_or(RUNS, |n| n.parse().unwrap());
    let dir = folder();
    let data = dir.path().join("data");
    let runtime = engine::runtime();
    println!(
        "| month | events | start | journal | store | archives | in memory | renewal p50 | p99 | archiving | p0 ready |"
    );
    println!(
        "| -----:| ------:| -----:| -------:| -----:| --------:| ---------:| -----------:| ---:| ---------:| --------:|"
    );
    let mut began = Vec::new();
    for n in 0..MONTHS {
        began.push(Time::from(std::time::SystemTime::now()));
        let mut engine = None;
        let starting = seconds(|| engine = Some(runtime.block_on(engine::start(&data, false))));
        let engine = engine.unwrap();
        let mut took = month(&runtime, &engine, n * runs, runs);
        took.sort_by(f64::total_cmp);
        let (events, held) = (*engine.handle().head().borrow(), resident());
        let old = began.iter().rev().nth(KEPT - 1).copied();
        let archiving = seconds(|| archive(&runtime, &engine, old));
        runtime.block_on(engine.stop(Stop::Now));
        let looking = look(&data);
        let [journal, store, archives] = ["journal", "store", "archives"].map(|part| megabytes(&data.join(part)));
        let at = |share: f64| took[(share * (took.len() - 1) as f64) as usize] * 1e6;
        println!(
            "| {} | {events} | {:.0} ms | {journal:.0} MB | {store:.0} MB | {archives:.0} MB | {held:.0} MB | {:.0} µs | \
             {:.0} µs | {archiving:.1} s | {:.0} ms |",
            n + 1,
            starting * 1e3,
            at(0.5),
            at(0.99),
            looking * 1e3,
        );
    }
    let mut verify = Command::new(env!("CARGO_BIN_EXE_p0"));
    let status = verify.args(["audit", "verify", "--data-dir"]).arg(&data).status().unwrap();
    assert!(status.success(), "the year is whole");
}
