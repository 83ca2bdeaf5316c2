//! An engine as the surface starts it, in this process.
use p0::{
    engine::{
        handle::Handle,
        start::{Engine, Environment, Options, Stop},
    },
    model::{
        actor::Actor,
        command::{Action, StartRun},
        config::{Config, Overrides},
        id::{CommitId, MilestoneId, RunId, TicketId},
        protocol::Proposal,
        record::Record,
        reply::Reply,
        workflow::builtin,
    },
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::runtime::Runtime;

/// The threads of the daemon's runtime.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Starts an engine on `data_dir`; `active` = it carries out effects, with the `p0` of this build as supervisor.
pub(crate) async fn start(data_dir: &Path, active: bool) -> Engine {
    let path = std::env::var("PATH").unwrap_or_default();
    let environment = vec![("PATH".to_owned(), path)];
    let options = Options {
        data_dir: data_dir.to_owned(),
        active,
        wait: Duration::ZERO,
        attempt_socket: None,
        supervisor: PathBuf::from(env!("CARGO_BIN_EXE_p0")),
        environment: Environment { agents: environment.clone(), gates: environment, person: Vec::new() },
        agent_env: std::sync::Arc::new(|_, _| Ok(std::collections::BTreeMap::new())),
        patience: Duration::from_secs(120),
        die_at: None,
    };
    Engine::start(options).await.unwrap()
}

/// Who asks for things in a bench.
pub(crate) fn person() -> Actor {
    Actor::Person("bench".into())
}

/// What starts a run of `ralph` with one agent for all roles, in the sandbox that every agent has by default; it may say
/// things into pipes that are in `says_in`.
pub(crate) fn start_run(
    handle: &Handle,
    milestone: MilestoneId,
    key: &str,
    project: &Path,
    base: &str,
    (agent, says_in): (&[String], &Path),
    max_parallel: u32,
) -> Action {
    let command = serde_json::to_string(agent).unwrap();
    let write = format!("sandbox = {{ write = ['{}'] }}", says_in.display());
    let text = format!("[agents.bench]\nkind = 'command'\ncommand = {command}\n{write}\n");
    let config = Config::parse(&text, Path::new("config.toml")).unwrap();
    let workflow = builtin::ralph();
    let mut settings = config.resolve(&workflow, project, &Overrides::default()).unwrap();
    settings.limits.max_parallel = max_parallel;
    Action::StartRun(Box::new(StartRun {
        milestone,
        key: key.to_owned(),
        title: "A bench".to_owned(),
        spec: handle.put_blob(format!("# Bench {key}\n\nDo nothing, often.\n").as_bytes()).unwrap(),
        project: project.display().to_string(),
        base: CommitId(base.to_owned()),
        base_is_explicit: true,
        workflow,
        settings,
        rules: 1,
        p0: "test".into(),
        backlog: Vec::new(),
    }))
}

/// Submits a command that must be taken.
pub(crate) async fn submit(handle: &Handle, milestone: MilestoneId, action: Action) -> Reply {
    handle.submit(milestone, person(), action).await.unwrap().reply
}

/// Starts a run and waits until it is over; its records, in order. Anything but DONE stops the bench.
pub(crate) async fn run_to_done(handle: &Handle, milestone: MilestoneId, action: Action) -> Vec<Record> {
    let mut head = handle.head();
    let since = *head.borrow();
    let Reply::RunStarted { run } = submit(handle, milestone, action).await else { panic!("a new run") };
    let mut seen = since;
    let mut records: Vec<Record> = Vec::new();
    loop {
        let found = handle.records(seen, usize::MAX).unwrap();
        seen = found.last().map_or(seen, |r| r.seq);
        records.extend(found);
        let own = |kind: &str| records.iter().find(|r| r.run == Some(run) && r.kind == kind);
        for end in ["run.stuck", "run.failed", "run.cancelled", "plan.refused"] {
            if let Some(record) = own(end) {
                panic!("the run of the bench ended with {record:?}");
            }
        }
        if own("run.done").is_some() {
            return records;
        }
        head.changed().await.unwrap();
    }
}

/// The hash of the token of every claim.
const TOKEN: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// An engine that carries nothing out, with one milestone that only serves as a tracker.
pub(crate) struct Tracker {
    runtime: Runtime,
    engine: Engine,
    milestone: MilestoneId,
    tickets: Vec<TicketId>,
}

impl Tracker {
    /// Makes it in `data_dir`, with so many tickets, all of them claimed.
    pub(crate) fn new(data_dir: &Path, tickets: usize) -> Tracker {
        let runtime = runtime();
        let engine = runtime.block_on(start(data_dir, false));
        let milestone = MilestoneId(uuid::Uuid::from_u128(1));
        let handle = engine.handle();
        let tickets = runtime.block_on(open_tracker(&handle, milestone, tickets));
        for ticket in &tickets {
            let (ticket, worker) = (Some(ticket.clone()), "bench".to_owned());
            let claim = Action::Claim { ticket, worker, token_hash: TOKEN.into(), lease_s: 3600, timed: false };
            runtime.block_on(submit(&handle, milestone, claim));
        }
        Tracker { runtime, engine, milestone, tickets }
    }

    /// Renews the leases of tickets: `callers` at the same time, each `times` times, each renewal durable before the next.
    pub(crate) fn renew_all(&self, callers: usize, times: usize) {
        self.runtime.block_on(async {
            let tasks: Vec<_> = (0..callers)
                .map(|n| {
                    let (handle, milestone) = (self.engine.handle(), self.milestone);
                    let ticket = self.tickets[n % self.tickets.len()].clone();
                    tokio::spawn(async move {
                        for _ in 0..times {
                            let action = Action::Heartbeat { ticket: ticket.clone(), token_hash: TOKEN.into() };
                            submit(&handle, milestone, action).await;
                        }
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        });
    }

    /// Stops the engine.
    pub(crate) fn stop(self) {
        self.runtime.block_on(self.engine.stop(Stop::Now));
    }
}

/// Makes a milestone with so many tickets.
pub(crate) async fn open_tracker(handle: &Handle, milestone: MilestoneId, tickets: usize) -> Vec<TicketId> {
    let spec = handle.put_blob(b"# A bench\n").unwrap();
    let (key, title, project) = ("BEN".to_owned(), "A bench".to_owned(), "/".to_owned());
    submit(handle, milestone, Action::OpenTracker { milestone, key, title, spec, project }).await;
    let mut made = Vec::new();
    for n in 0..tickets {
        let proposal = Proposal { title: Some(format!("Ticket {n}")), ..Proposal::default() };
        match submit(handle, milestone, Action::CreateTicket { proposal, parent: None }).await {
            Reply::Ticket { ticket } => made.push(ticket),
            other => panic!("a ticket, not {other:?}"),
        }
    }
    made
}

/// The run that a milestone had last.
pub(crate) fn last_run(handle: &Handle, milestone: MilestoneId) -> RunId {
    handle.aggregate(milestone).unwrap().unwrap().last_run().unwrap().id
}
