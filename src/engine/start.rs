//! Starting and stopping an engine.
use super::{
    boot,
    error::BoxError,
    handle::{AttemptSocketHost, Handle},
    steps,
    turn::{Ask, Conduct, Turn},
    world::World,
};
use crate::{
    model::{
        actor::Actor,
        command::Action,
        id::{AgentName, MilestoneId},
    },
    system::clock,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{mpsc, oneshot};

/// Commands that may wait for the writer; more wait at their sender.
const QUEUE: usize = 1024;

/// How long work on a repository may fail, when nothing else is asked for, before its run is held up.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How an engine is to be started.
pub struct Options {
    /// The data directory; made when it is missing.
    pub data_dir: PathBuf,
    /// Whether effects are carried out. A command that only writes something down starts the engine without.
    pub active: bool,
    /// How long to wait for another holder of the data directory.
    pub wait: Duration,
    /// Where attempts get their sockets; `None` = they get none.
    pub attempt_socket: Option<Arc<dyn AttemptSocketHost>>,
    /// The program that supervises attempts (`p0`).
    pub supervisor: PathBuf,
    /// The environment that agents and gates may see, already filtered for agents (`agents`), whole for gates.
    pub environment: Environment,
    /// The values of the variables that a project's configuration gives an agent. They are asked for at every start of
    /// an attempt, and never recorded.
    pub agent_env: Arc<AgentEnv>,
    /// How long work on a repository may fail before its run is held up.
    pub patience: Duration,
    /// For tests of recovery: the process dies (SIGKILL) as soon as the frame with this event is durable, before
    /// anybody hears of it.
    pub die_at: Option<u64>,
}

/// Gives the variables of an agent of the project at this root, or says why not.
pub type AgentEnv = dyn Fn(&Path, &AgentName) -> Result<BTreeMap<String, String>, BoxError> + Send + Sync;

/// What children inherit.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// For agents: the allow-listed variables.
    pub agents: Vec<(String, String)>,
    /// For gates: the person's environment less secrets.
    pub gates: Vec<(String, String)>,
    /// All of it. Adapters name the variables that their program gets of it: keys, addresses.
    pub person: Vec<(String, String)>,
}

/// Why an engine could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process holds the data directory.
    #[error("{0}")]
    Locked(String),
    /// The log is damaged, full or of a newer version.
    #[error("{0}")]
    Store(String),
    /// Anything else, in a sentence.
    #[error("{0}")]
    Other(String),
}

/// How fast to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Start nothing new; let attempts work until the deadline, then end them and park their work.
    Drain(Duration),
    /// Kill the attempts' processes and stop.
    Now,
    /// Stop, and leave what is at work to the next engine, as after a crash.
    Leave,
}

/// Kills what runs; see [`Engine::killer`].
#[derive(Clone)]
pub struct Killer(Arc<World>);

impl Killer {
    /// Kills every program of every attempt and gate. What they did is collected at the next start.
    pub fn kill(&self) {
        self.0.kill_everything();
    }
}

/// A running engine.
pub struct Engine {
    handle: Handle,
    world: Arc<World>,
    turn: std::thread::JoinHandle<()>,
    conductor: tokio::task::JoinHandle<()>,
    disk_watch: tokio::task::JoinHandle<()>,
    active: bool,
}

impl Engine {
    /// Opens the log, brings back what is live, and goes on with what was in flight.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn start(options: Options) -> Result<Engine, StartError> {
        let data_dir = options.data_dir.clone();
        let wait = options.wait;
        let opened = tokio::task::spawn_blocking(move || boot::open(&data_dir, wait));
        let boot = opened.await.map_err(|e| StartError::Other(e.to_string()))??;
        let shared = boot.shared;
        let (asks, asked) = mpsc::channel(QUEUE);
        let (orders, ordered) = mpsc::unbounded_channel();
        let handle = Handle { shared: shared.clone(), asks };
        let (active, die_at) = (options.active, options.die_at);
        let world = Arc::new(World::new(handle.clone(), options));
        if active {
            world.sweep(&boot.live).await;
        }
        let mut notes = boot.notes;
        let clock_note = steps::at_start(clock::now(), boot.last_at);
        notes.extend(clock_note.filter(|_| active));
        let failed = |e: std::io::Error| StartError::Other(e.to_string());
        let views = (shared, boot.snapshots);
        let turn = Turn::new(boot.log, boot.live, boot.last_at, views, orders, Conduct { active, die_at });
        let turn = turn.map_err(failed)?;
        // A thread of its own: deciding is work, and the runtime's threads are for those who wait.
        let thread = std::thread::Builder::new().name("p0-turn".into());
        let own = tokio::runtime::Builder::new_current_thread().build().map_err(failed)?;
        let turn = thread.spawn(move || own.block_on(turn.run(asked))).map_err(failed)?;
        let conductor = tokio::spawn(World::conduct(world.clone(), ordered));
        let disk_watch = tokio::spawn(World::watch_disk(world.clone()));
        let engine = Engine { handle, world, turn, conductor, disk_watch, active };
        engine.note(notes).await;
        Ok(engine)
    }

    /// Puts on record what opening the log found.
    async fn note(&self, notes: Vec<Action>) {
        for action in notes {
            if let Err(e) = self.handle.submit(MilestoneId::ENGINE, Actor::Engine, action).await {
                tracing::warn!("noting what the start found: {e}");
            }
        }
    }

    /// The surface's hold on it.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// A way to kill every program at once while the engine is being stopped.
    pub fn killer(&self) -> Killer {
        Killer(self.world.clone())
    }

    /// Resolves when the engine stopped by itself, with the reason (an error in writing the log).
    pub async fn failed(&self) -> String {
        let mut failed = self.handle.shared.failed.subscribe();
        match failed.wait_for(Option::is_some).await {
            Ok(why) => why.clone().unwrap_or_default(),
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops it; the log is complete and closed when this returns.
    pub async fn stop(self, how: Stop) {
        match how {
            // An engine that carries nothing out leaves alone what an earlier one left running.
            _ if !self.active => {}
            Stop::Drain(patience) => self.world.drain(patience).await,
            Stop::Now => self.world.kill_everything(),
            Stop::Leave => {}
        }
        self.conductor.abort();
        self.disk_watch.abort();
        let (done, closed) = oneshot::channel();
        // The turn has ended by itself if the log failed; there is nothing to close then.
        if self.handle.asks.send(Ask::Close(done)).await.is_ok() {
            let _ = closed.await;
        }
        let turn = self.turn;
        if tokio::task::spawn_blocking(move || turn.join()).await.is_err() {
            tracing::error!("the engine's writer did not end");
        }
    }
}
