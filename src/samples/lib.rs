//! A small milestone for the tests of all rooms: three tickets, a run and an attempt.
#![allow(clippy::unwrap_used, reason = "only tests use it: they stop at the first surprise")]
use p0_model::{
    Time,
    actor::Actor,
    aggregate::{Aggregate, Milestone},
    attempt::{Attempt, Phase, Usage, Worktree},
    files::Files,
    id::{AttemptId, BlobId, MilestoneId, RunId, TicketId},
    run::{AtStage, Counters, Run, RunState, Spent},
    settings::{Budget, Limits, Settings},
    ticket::{Kind, Priority, Seed, Status, Ticket},
    workflow::{Rights, builtin},
};
use std::collections::BTreeSet;
use uuid::Uuid;

/// The moment so many seconds after the samples' beginning.
#[must_use]
pub fn at(second: i64) -> Time {
    chrono::DateTime::from_timestamp(1_700_000_000 + second, 0).unwrap()
}

/// The run.
#[must_use]
pub fn run_id() -> RunId {
    RunId(Uuid::from_u128(7))
}

/// The attempt, of the second ticket.
#[must_use]
pub fn attempt_id() -> AttemptId {
    AttemptId(Uuid::from_u128(9))
}

/// A ticket `BLOG-number` that waits for `depends_on`.
#[must_use]
pub fn ticket(number: u32, status: Status, depends_on: &[u32]) -> Ticket {
    Ticket {
        seed: Seed {
            id: TicketId::new("BLOG", number),
            title: format!("item \"{number}\""),
            body: String::new(),
            kind: Kind::Task,
            priority: Priority::Medium,
            category: None,
            parent: None,
            depends_on: depends_on.iter().map(|n| TicketId::new("BLOG", *n)).collect(),
            files: Files { create: vec![format!("src/{number}.rs")], modify: vec![] },
            contract: None,
            closes: BTreeSet::new(),
        },
        status,
        run: Some(run_id()),
        by: Actor::Engine,
        comments: imbl::Vector::new(),
        claim: None,
        attempts: vec![],
        commit: None,
        deferred: None,
        rounds: 0,
        rounds_counted: 0,
        lost: 0,
        renewals: 0,
        feedback: vec![],
        children: 0,
    }
}

fn run() -> Run {
    Run {
        id: run_id(),
        workflow: builtin::ralph().into(),
        rules: 1,
        settings: Settings {
            secret_patterns: Vec::new(),
            agents: [].into(),
            roles: [].into(),
            gates: vec![],
            generated: vec![],
            conflict_markers: vec![],
            limits: Limits::default(),
            budget: Budget::default(),
            context: vec![],
            sandbox: None,
        }
        .into(),
        spec_hash: "00".into(),
        branch: "p0/x/main".into(),
        base: "aa".into(),
        head: Some("bb".into()),
        state: RunState::Running,
        iteration: 1,
        stage: Some(AtStage {
            name: "execute".into(),
            head: "aa".into(),
            heard: vec![],
            failures: imbl::OrdMap::new(),
            lost: Default::default(),
            rounds: imbl::OrdMap::new(),
            feedback: imbl::OrdMap::new(),
            decided: None,
        }),
        queue: imbl::Vector::new(),
        verdict: None,
        signature: None,
        limited: imbl::OrdMap::new(),
        unavailable: imbl::OrdMap::new(),
        trouble: imbl::OrdMap::new(),
        backoff: imbl::OrdMap::new(),
        bad_ends: imbl::OrdMap::new(),
        on_trial: imbl::OrdSet::new(),
        held_up: false,
        start_failures: 0,
        usage: Usage { input_tokens: 10, output_tokens: 5, cached_tokens: 0, cost_usd: 0.5 },
        unknown_usage: None,
        counters: Counters { attempts: 3, ..Counters::default() },
        spent: Spent { agents_ms: 30_000, integration_ms: 500 },
        artifacts: imbl::OrdMap::new(),
        backlog: vec![],
        started_at: at(0),
        ended_at: None,
    }
}

fn attempt() -> Attempt {
    Attempt {
        id: attempt_id(),
        run: run_id(),
        role: "executor".into(),
        rights: Rights::Executor,
        agent: "a".into(),
        stage: "execute".into(),
        iteration: 1,
        round: 1,
        ticket: Some(TicketId::new("BLOG", 2)),
        base: "aa".into(),
        feedback: vec![],
        started_at: at(5),
        phase: Phase::Starting,
        stopping: None,
        line: 0,
        part: 0,
        usage: Usage::default(),
        wall_ms: 0,
        commit: None,
        gates_lost: 0,
        worktree: Worktree::Held,
        claimed_status: None,
        status_reason: None,
        question: None,
        staged: vec![],
        open_checklist: vec![],
        rate_limited: false,
        talk: Default::default(),
    }
}

/// Item 1 is done, 2 is at work, 3 waits for 2.
#[must_use]
pub fn aggregate() -> Aggregate {
    let mut state = Aggregate::default();
    let mut second = ticket(2, Status::InProgress, &[1]);
    second.attempts.push(attempt_id());
    for item in [ticket(1, Status::Done, &[]), second, ticket(3, Status::Open, &[2])] {
        state.tickets.insert(item.seed.id.clone(), item.into());
    }
    state.milestone = Some(Milestone {
        id: MilestoneId(Uuid::from_u128(1)),
        key: "BLOG".into(),
        title: "A blog".into(),
        spec: BlobId { hash: "00".into(), size: 1 },
        project: "/p".into(),
        created_at: at(0),
    });
    state.runs.insert(run_id(), run().into());
    state.attempts.insert(attempt_id(), attempt().into());
    state.indexed()
}
