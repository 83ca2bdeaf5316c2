//! A long history: ten million events (or `P0_BENCH_EVENTS`) in ten thousand milestones with a million tickets, all of
//! them finished but the last ones. What a start costs then, what is in memory after it, what listing a page of tickets
//! costs, and what is on the disk.
//!
//! Starts are measured in a process of their own, which prints what it saw of itself.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench may stop at the first surprise, starts processes, reads clocks and prints"
)]

mod harness;

use harness::{Case, Group, engine, folder, seconds};
use p0::{
    engine::{handle::Handle, start::Stop},
    model::{
        command::{Action, WantedStatus},
        id::{MilestoneId, TicketId},
    },
};
use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use uuid::Uuid;

const EVENTS: u64 = 10_000_000;
/// Events of a milestone: it is opened, gets its tickets, and all of them change their status again and again.
const OF_ONE: u64 = 1000;
const TICKETS: usize = 100;
/// The last milestones are left with claimed tickets.
const LIVE: u64 = 10;
/// Milestones that are written at the same time.
const WRITERS: u64 = 16;

const SYNC: &str = "raw: append 500 bytes + fdatasync";

/// The life of one milestone.
async fn live(handle: Handle, number: u64, is_live: bool) {
    let milestone = MilestoneId(Uuid::from_u64_pair(0x0190_0000_0000_7000 + number, 1 << 63));
    let tickets = engine::open_tracker(&handle, milestone, TICKETS).await;
    let set = |status| Action::SetStatuses { tickets: tickets.clone(), status, reason: "it moves".into() };
    for n in 0..(OF_ONE / TICKETS as u64 - 2) {
        let status = if n.is_multiple_of(2) { WantedStatus::InProgress } else { WantedStatus::Open };
        engine::submit(&handle, milestone, set(status)).await;
    }
    if is_live {
        let claim = |ticket: &TicketId| Action::Claim {
            ticket: Some(ticket.clone()),
            worker: "bench".into(),
            token_hash: "token".into(),
            lease_s: 86_400,
            timed: false,
        };
        engine::submit(&handle, milestone, set(WantedStatus::Open)).await;
        engine::submit(&handle, milestone, claim(&tickets[0])).await;
    } else {
        engine::submit(&handle, milestone, set(WantedStatus::Done)).await;
    }
}

fn write(data: &Path, milestones: u64) {
    let runtime = engine::runtime();
    let engine = runtime.block_on(engine::start(data, false));
    let handle = engine.handle();
    let took = seconds(|| {
        runtime.block_on(async {
            let writers = (0..WRITERS).map(|writer| {
                let handle = handle.clone();
                tokio::spawn(async move {
                    for number in (writer..milestones).step_by(WRITERS as usize) {
                        live(handle.clone(), number, number + LIVE >= milestones).await;
                    }
                })
            });
            for writer in writers.collect::<Vec<_>>() {
                writer.await.unwrap();
            }
        });
    });
    let events = *handle.head().borrow();
    println!("\nThe log: {events} events through the engine in {took:.0} s, {:.0} events/s.", events as f64 / took);
    let closing = seconds(|| runtime.block_on(engine.stop(Stop::Now)));
    let [journal, store] = ["journal", "store"].map(|part| bytes(&data.join(part)));
    let per = |bytes: u64| bytes as f64 / events as f64;
    println!(
        "On disk: {:.0} bytes per event (journal {:.0}, store {:.0}); closed in {closing:.1} s.",
        per(journal + store),
        per(journal),
        per(store)
    );
}

fn bytes(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap());
    entries.map(|e| if e.path().is_dir() { bytes(&e.path()) } else { e.metadata().unwrap().len() }).sum()
}

/// In a process of its own: starts an engine, and says how long that took and what it holds.
fn start_once(data: &Path) {
    let runtime = engine::runtime();
    let mut engine = None;
    let took = seconds(|| engine = Some(runtime.block_on(engine::start(data, false))));
    let engine = engine.unwrap();
    assert_eq!(engine.handle().live().len() as u64, LIVE);
    std::thread::sleep(Duration::from_millis(200));
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap().trim().to_owned();
    println!("{took} {resident}");
    runtime.block_on(engine.stop(Stop::Now));
}

fn start_in_child(data: &Path) -> (f64, String) {
    let output = Command::new(std::env::current_exe().unwrap()).args(["--start-once"]).arg(data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let (took, resident) = text.trim().split_once(' ').unwrap();
    (took.parse().unwrap(), resident.to_owned())
}

/// A daemon on the data directory.
struct Daemon(Child);

impl Daemon {
    fn start(data: &Path) -> Daemon {
        let mut command = Command::new(env!("CARGO_BIN_EXE_p0d"));
        let child = command.arg("--data-dir").arg(data).stderr(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while UnixStream::connect(data.join("p0.sock")).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "the daemon does not serve");
            std::thread::sleep(Duration::from_millis(20));
        }
        Daemon(child)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), rustix::process::Signal::TERM)
            .unwrap();
        self.0.wait().unwrap();
    }
}

/// One request, and what its body says.
fn get(data: &Path, path: &str) -> String {
    let mut stream = UnixStream::connect(data.join("p0.sock")).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: p0\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    answer
}

fn list(data: &Path, path: &str) -> Vec<f64> {
    let mut answer = String::new();
    let took = seconds(|| answer = get(data, path));
    assert_eq!(answer.matches("\"kind\":\"task\"").count(), 50, "{answer}");
    vec![took]
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|a| a == "--start-once") {
        return start_once(Path::new(&args[at + 1]));
    }
    if !harness::is_bench() {
        return;
    }
    let events = std::env::var("P0_BENCH_EVENTS").ok().map_or(EVENTS, |n| n.parse().unwrap());
    let dir = folder();
    let data = dir.path().join("data");
    write(&data, events / OF_ONE);

    let mut raw = std::fs::OpenOptions::new().create(true).append(true).open(dir.path().join("raw")).unwrap();
    let mut sync = move || {
        vec![seconds(|| {
            raw.write_all(&[b'x'; 500]).unwrap();
            raw.sync_data().unwrap();
        })]
    };
    let mut resident = Vec::new();
    let starts = vec![
        Case::new(SYNC, &[], &mut sync),
        Case::new("start: open, check the end, fold what is live", &[SYNC], || {
            let (took, held) = start_in_child(&data);
            resident.push(held);
            vec![took]
        }),
    ];
    Group { title: "A start on a long history", unit: "start", rounds: 5, cases: starts }.measure();
    println!("\nIn memory at rest after it: {}.", resident.join(", "));

    let daemon = Daemon::start(&data);
    let lists = vec![
        Case::new(SYNC, &[], &mut sync),
        Case::new("50 of all tickets", &[SYNC], || list(&data, "/api/v1/tickets?all=true&limit=50")),
        Case::new("50 open ones", &[SYNC], || list(&data, "/api/v1/tickets?all=true&limit=50&status=open")),
    ];
    Group { title: "Lists, through the socket", unit: "list", rounds: 50, cases: lists }.measure();
    drop(daemon);
}
