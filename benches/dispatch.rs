//! How long it takes from "what I waited for has landed" until the agent of the next ticket runs.
//!
//! An engine carries out chains of tickets, each of which waits for the one before. The beginning is the moment of
//! `integration.landed` (taken before its frame is made durable, and cut to the millisecond: both make the figure
//! larger, never smaller); the end is the first word of the next agent, read from a named pipe. In between: two durable
//! frames, a worktree, the agent's input, a supervisor, and the agent's shell.
//!
//! The baselines start the same shell, which says the same word into the same pipe: by itself, and after a
//! `git worktree add` of the same commit.
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
    swarm::{self, Word, listen},
};
use p0::{
    engine::{handle::Handle, start::Stop},
    model::{id::MilestoneId, record::Record},
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::Receiver,
    time::Instant,
};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Tickets of a chain.
const CHAIN: usize = 10;
const ROUNDS: usize = 7;

/// What the engine's chains are made of.
struct Chains<'a> {
    runtime: &'a Runtime,
    handle: Handle,
    repo: &'a Repo,
    dir: &'a Path,
    pipe: &'a Path,
    heard: &'a Receiver<Word>,
    done: u32,
}

impl Chains<'_> {
    /// One chain: the seconds from each landing to the next agent's first word.
    fn run(&mut self) -> Vec<f64> {
        self.done += 1;
        let key = format!("C{}", self.done);
        let agent = repo::agent(self.dir, &key, CHAIN, true, &self.pipe.display().to_string());
        let milestone = MilestoneId(Uuid::from_u128(u128::from(self.done)));
        let says_in = self.pipe.parent().unwrap();
        let start =
            engine::start_run(&self.handle, milestone, &key, &self.repo.root, &self.repo.head, (&agent, says_in), 4);
        let records = self.runtime.block_on(engine::run_to_done(&self.handle, milestone, start));
        let words: BTreeMap<String, f64> = self.heard.try_iter().map(|word| (word.text, word.second)).collect();
        let landed = |ticket: &str| {
            let is_it = |r: &&Record| r.ticket.as_ref().is_some_and(|t| t.to_string() == ticket);
            repo::second_of(records.iter().filter(is_it), "integration.landed")
        };
        (2..=CHAIN).map(|n| words[&format!("{key}-{n}")] - landed(&format!("{key}-{}", n - 1))).collect()
    }
}

/// Starts the shell that says a word, in `cwd`; waits for the word.
fn shell(pipe: &Path, cwd: &Path, heard: &Receiver<Word>) -> Instant {
    let mut child = Command::new("sh").args(["-c", "echo word >\"$0\""]).arg(pipe).current_dir(cwd).spawn().unwrap();
    let at = heard.recv().unwrap().at;
    child.wait().unwrap();
    at
}

/// `git worktree add`, then the shell in it: the seconds until its word.
fn worktree_and_shell(repo: &Repo, tree: &Path, pipe: &Path, heard: &Receiver<Word>) -> f64 {
    let text = tree.display().to_string();
    let start = Instant::now();
    repo.git(&["worktree", "add", "-q", "--detach", &text, &repo.head]);
    let took = (shell(pipe, tree, heard) - start).as_secs_f64();
    repo.git(&["worktree", "remove", "--force", &text]);
    took
}

fn main() {
    if !harness::is_bench() {
        return;
    }
    let dir = folder();
    let repo = Repo::new(&dir.path().join("repo"));
    std::fs::create_dir(dir.path().join("pipes")).unwrap();
    let pipe: PathBuf = dir.path().join("pipes/word");
    let heard = listen(&pipe);
    if harness::is_wanted("one") {
        one_by_one(dir.path(), &repo, &pipe, &heard);
    }
    if harness::is_wanted("burst") || harness::is_wanted("steady") {
        swarm::measure(dir.path(), &repo, &pipe, &heard);
    }
}

/// Chains of tickets, each of which waits for the one before.
fn one_by_one(dir: &Path, repo: &Repo, pipe: &Path, heard: &Receiver<Word>) {
    let runtime = engine::runtime();
    let engine = runtime.block_on(engine::start(&dir.join("data"), true));
    let mut chains = Chains { runtime: &runtime, handle: engine.handle(), repo, dir, pipe, heard, done: 0 };

    const SHELL: &str = "sh alone";
    const BY_HAND: &str = "git worktree add + sh";
    let tree = dir.join("tree");
    let cases = vec![
        Case::new(SHELL, &[], || {
            let one = |_| {
                let start = Instant::now();
                (shell(pipe, &repo.root, heard) - start).as_secs_f64()
            };
            (1..CHAIN).map(one).collect()
        }),
        Case::new(BY_HAND, &[SHELL], || (1..CHAIN).map(|_| worktree_and_shell(repo, &tree, pipe, heard)).collect()),
        Case::new("p0: landed → next agent runs", &[BY_HAND, SHELL], || chains.run()),
    ];
    Group { title: "Dispatch, on a repository of 100 files", unit: "dispatch", rounds: ROUNDS, cases }.measure();
    runtime.block_on(engine.stop(Stop::Now));
}
