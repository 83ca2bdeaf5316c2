//! Carries effects out. Every effect ends with a command that reports what was seen; state is never touched from here.
//!
//! The same effect may be begun again after a crash: each hand looks at the world first, and reports what is already
//! done, adopts what still runs, and does what never happened.
mod attempt;
mod deadline;
mod disk;
mod drive;
mod error;
mod gate;
mod git;
mod logins;
mod retry;
mod said;
mod sandbox_input;
mod spawn;
mod stop;

use self::{error::Error, retry::Retry};
use super::{
    handle::{Handle, SubmitError},
    start::Options,
    turn::{Ask, Order},
};
use crate::{
    git::{PersonRepo, ProjectRepository},
    kernel::outstanding,
    model::{
        actor::Actor,
        aggregate::Aggregate,
        command::Action,
        effect::{Effect, Timer},
        id::{AttemptId, MilestoneId},
    },
    process::{AttemptDir, Go},
    system::{clock, space::Reserve},
};
use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{self, AbortHandle, JoinError, JoinSet},
};

/// How long to wait before something that failed for an outside reason is tried again, at first.
const RETRY_FIRST: Duration = Duration::from_millis(200);

/// How long work on repositories waits for attempts that are being started. An agent works for minutes, what it left can
/// be collected while it does; but no landing waits for long.
const AFTER_STARTS: Duration = Duration::from_millis(50);

/// Starts that are prepared at once beside one for each processor: they wait for the disk and for new processes.
const STARTS_WAITING: usize = 2;

/// The engine's hands.
pub(super) struct World {
    handle: Handle,
    options: Options,
    workshops: Mutex<HashMap<PathBuf, Arc<ProjectRepository>>>,
    /// Supervisors that wait for "go": dropping one means that its program never runs.
    waiting: Mutex<HashMap<AttemptId, Go>>,
    stopping: tokio::sync::watch::Sender<bool>,
    /// Effects at work, apart from timers, to be waited for at the end.
    at_work: Arc<tokio::sync::watch::Sender<usize>>,
    gates: Mutex<HashMap<AttemptId, PathBuf>>,
    /// Places for attempts whose start is being prepared: of many that begin in the same moment the first ones then run
    /// early, where all at once would make each other wait, and the last ones no later.
    starts: Semaphore,
    /// Attempts that are being started.
    starting: Arc<tokio::sync::watch::Sender<usize>>,
    /// Attempts whose program may run.
    programs: Arc<tokio::sync::watch::Sender<usize>>,
    disk: tokio::sync::Mutex<disk::Disk>,
    reserve: Reserve,
}

/// What an effect needs to know of the milestone it belongs to.
type State = Arc<Aggregate>;

impl World {
    pub(super) fn new(handle: Handle, options: Options) -> World {
        World {
            handle,
            reserve: Reserve::of(&options.data_dir),
            options,
            workshops: Mutex::default(),
            waiting: Mutex::default(),
            stopping: tokio::sync::watch::Sender::new(false),
            at_work: Arc::new(tokio::sync::watch::Sender::new(0)),
            gates: Mutex::default(),
            starts: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from) + STARTS_WAITING),
            starting: Arc::new(tokio::sync::watch::Sender::new(0)),
            programs: Arc::new(tokio::sync::watch::Sender::new(0)),
            disk: tokio::sync::Mutex::default(),
        }
    }

    /// Begins and drops effects as ordered, until the engine ends.
    pub(super) async fn conduct(self: Arc<Self>, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut tasks = JoinSet::new();
        let mut timers: HashMap<(MilestoneId, Effect), AbortHandle> = HashMap::new();
        let mut names: HashMap<task::Id, (MilestoneId, Effect)> = HashMap::new();
        let mut panicked: HashMap<(MilestoneId, Effect), Retry> = HashMap::new();
        loop {
            tokio::select! {
                order = orders.recv() => match order {
                    None => return,
                    Some(order @ (Order::Begin(..) | Order::Again(..))) => {
                        let (stream, effect, pause) = match order {
                            Order::Again(stream, effect, pause) => (stream, effect, Some(pause)),
                            Order::Begin(stream, effect) | Order::Drop(stream, effect) => (stream, effect, None),
                        };
                        tracing::debug!(effect = effect.name(), ?effect, ?pause, "begin");
                        // Counted before anything else of the same commit begins.
                        let starts = pause.is_none() && matches!(effect, Effect::SpawnAttempt { .. });
                        let starting = starts.then(|| AtWork::new(self.starting.clone()));
                        let begun = self.clone().begin(stream, effect.clone(), pause);
                        let task = tasks.spawn(async move {
                            begun.await;
                            drop(starting);
                        });
                        names.insert(task.id(), (stream, effect.clone()));
                        if matches!(effect, Effect::Wait { .. }) {
                            timers.insert((stream, effect), task);
                        }
                    }
                    Some(Order::Drop(stream, effect)) => {
                        if let Effect::Wait { timer } = &effect {
                            self.asks(stream, timer, false);
                        }
                        if let Some(timer) = timers.remove(&(stream, effect)) {
                            timer.abort();
                        }
                    }
                },
                Some(ended) = tasks.join_next_with_id(), if !tasks.is_empty() => {
                    let id = ended.as_ref().map_or_else(JoinError::id, |(id, ())| *id);
                    let name = names.remove(&id);
                    match (ended, name) {
                        (Err(e), Some((stream, effect))) if e.is_panic() => {
                            tracing::error!(effect = effect.name(), "an effect panicked: {e}");
                            let retry = panicked.entry((stream, effect.clone())).or_insert_with(|| {
                                let what = format!("the engine's step {}", effect.name());
                                Retry::new(&self, None, &what, "report this as a bug of p0, with its log".to_owned())
                            });
                            // The turn says when it is begun again.
                            let _ = retry.failed(&Error::from(e));
                            let _ = self.handle.asks.send(Ask::EffectOver(stream, effect)).await;
                        }
                        (Ok(_), Some(name)) => drop(panicked.remove(&name)),
                        (Ok(_) | Err(_), _) => {}
                    }
                    timers.retain(|_, timer| !timer.is_finished());
                }
            }
        }
    }

    /// Performs an effect, after a pause if it came to nothing before. An engine that stops begins nothing once more,
    /// except listening to programs, whose ends it waits for.
    async fn begin(self: Arc<Self>, stream: MilestoneId, effect: Effect, pause: Option<Duration>) {
        if let Some(pause) = pause
            && !self.pause(pause).await
        {
            if !matches!(effect, Effect::WatchAttempt { .. }) {
                return;
            }
            tokio::time::sleep(pause).await;
        }
        // What the state stopped asking for during the pause is over.
        if pause.is_some() && !self.state(stream).is_some_and(|state| outstanding(&state).contains(&effect)) {
            let _ = self.handle.asks.send(Ask::EffectOver(stream, effect)).await;
            return;
        }
        self.perform(stream, effect).await;
    }

    async fn perform(self: Arc<Self>, stream: MilestoneId, effect: Effect) {
        let counted = !matches!(effect, Effect::Wait { .. });
        let _at_work = counted.then(|| AtWork::new(self.at_work.clone()));
        let has_program = matches!(effect, Effect::WatchAttempt { .. });
        let _program = has_program.then(|| AtWork::new(self.programs.clone()));
        if matches!(
            effect,
            Effect::HarvestAttempt { .. }
                | Effect::ReleaseAttempt { .. }
                | Effect::Merge { .. }
                | Effect::Gate { .. }
                | Effect::Land { .. }
        ) {
            self.after_starts().await;
        }
        match &effect {
            Effect::OpenRun { run } => self.open_run(stream, *run).await,
            Effect::SpawnAttempt { attempt } => {
                // Begun again at the next start; nothing new begins while the engine stops.
                if self.is_stopping() {
                    return;
                }
                self.spawn(stream, *attempt).await;
            }
            Effect::WatchAttempt { attempt } => self.watch(stream, *attempt).await,
            Effect::StopAttempt { attempt } => self.stop_for_good(stream, *attempt).await,
            Effect::HarvestAttempt { attempt } => self.harvest(stream, *attempt).await,
            Effect::ReleaseAttempt { attempt } => self.release(stream, *attempt).await,
            Effect::Merge { attempt, onto } => self.merge(stream, *attempt, onto).await,
            Effect::Gate { attempt, candidate } => {
                if self.is_stopping() {
                    return;
                }
                self.gate(stream, *attempt, candidate).await;
            }
            Effect::Land { attempt, onto, candidate } => self.land(stream, *attempt, onto, candidate).await,
            Effect::Wait { timer } => {
                self.asks(stream, timer, true);
                deadline::wait(timer, self.state(stream).as_deref()).await;
                self.report(stream, Action::TimerFired { timer: timer.clone() }).await;
            }
        }
        // The engine is gone when this cannot be delivered.
        let _ = self.handle.asks.send(Ask::EffectOver(stream, effect)).await;
    }

    /// Tells the supervisor of an attempt whether its program waits for a person: that is not idleness.
    fn asks(&self, stream: MilestoneId, timer: &Timer, waits: bool) {
        let Timer::Approval { approval, .. } = timer else { return };
        let Some(state) = self.state(stream) else { return };
        let Some(attempt) = state.approvals.get(approval).map(|approval| approval.attempt) else { return };
        let place = AttemptDir::new(&self.attempt_dir(attempt));
        if !waits {
            place.forget_asking(&approval.0);
        } else if place.path().is_dir()
            && let Err(e) = place.note_asking(&approval.0, deadline::granted(timer, Some(&state), clock::now()))
        {
            tracing::warn!("attempt {attempt} waits for {approval}, which its supervisor cannot be told: {e}");
        }
    }

    /// Reports a failure; `full` says why, where that was nothing but a full disk. Then it is no fault of the run: unless
    /// an attempt filled the disk, the engine stops, and the effect, which is still wanted, is begun again once there is
    /// space.
    async fn report_failure(self: &Arc<Self>, stream: MilestoneId, action: Action, full: Option<String>) {
        if let Some(why) = full {
            match self.no_room(&action).await {
                disk::NoRoom::Stop => self.handle.shared.fail(why),
                disk::NoRoom::Again => return,
                disk::NoRoom::Report => {}
            }
        }
        self.report(stream, action).await;
    }

    /// Reports to the engine. While the log has no room the report waits: nothing that was seen is lost.
    async fn report(self: &Arc<Self>, stream: MilestoneId, action: Action) {
        if self.handle.shared.failed.borrow().is_some() {
            return;
        }
        let mut retry = None;
        loop {
            match self.handle.submit(stream, Actor::Engine, action.clone()).await {
                Ok(_) => return,
                Err(SubmitError::NoRoom(why)) => {
                    tracing::error!("what was done waits for room in the log: {why}");
                    let retry = retry.get_or_insert_with(|| {
                        let help = "free some space; nothing that was seen is lost meanwhile".to_owned();
                        Retry::new(self, None, "writing the log", help)
                    });
                    tokio::time::sleep(retry.failed(&Error::from(why))).await;
                }
                Err(SubmitError::Rejected(rejection)) => {
                    tracing::warn!("a report was refused: {rejection}");
                    return;
                }
                // The engine's own reports are not looked at for secrets.
                Err(SubmitError::Unredacted(_) | SubmitError::Stopped(_)) => return,
            }
        }
    }

    /// Lets attempts that are being started have the processors first.
    async fn after_starts(&self) {
        let mut starting = self.starting.subscribe();
        // Whichever comes first.
        let _ = tokio::time::timeout(AFTER_STARTS, starting.wait_for(|starting| *starting == 0)).await;
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Sleeps, or less when the engine begins to stop. Says whether it goes on.
    async fn pause(&self, pause: Duration) -> bool {
        let mut stopping = self.stopping.subscribe();
        tokio::time::timeout(pause, stopping.wait_for(|stopping| *stopping)).await.is_err()
    }

    /// The state an effect works from: durable, since effects come after the commit.
    fn state(&self, stream: MilestoneId) -> Option<State> {
        self.handle.aggregate(stream).ok().flatten()
    }

    fn attempt_dir(&self, attempt: AttemptId) -> PathBuf {
        self.handle.attempt_dir(attempt)
    }

    /// The engine's repository of a project; opened once.
    fn repository(&self, project: &str) -> Result<Arc<ProjectRepository>, crate::git::Error> {
        let mut open = self.workshops.lock().unwrap_or_else(PoisonError::into_inner);
        let root = PathBuf::from(project);
        if let Some(repository) = open.get(&root) {
            return Ok(repository.clone());
        }
        let person = PersonRepo::discover(&root)?;
        if person.root() != root {
            // The folder is there and is no repository any more, but is inside another one.
            return Err(crate::git::Error::NotARepository { path: root });
        }
        let repos = self.options.data_dir.join("repos");
        let repository = Arc::new(ProjectRepository::open(&repos, &person)?);
        open.insert(root, repository.clone());
        Ok(repository)
    }
}

/// Counts an effect as at work while it lives.
struct AtWork(Arc<tokio::sync::watch::Sender<usize>>);

impl AtWork {
    fn new(count: Arc<tokio::sync::watch::Sender<usize>>) -> AtWork {
        count.send_modify(|n| *n += 1);
        AtWork(count)
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

/// Threads that work on repositories and files at once: more would only wait for the disk and the processors, and each
/// takes a megabyte and more for as long as it is there.
static HANDS: Semaphore = Semaphore::const_new(12);

/// Runs blocking work (git, files) on the blocking pool; a panic there is an error like any other.
async fn blocking<T: Send + 'static, E: Into<Error> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Error> {
    let _hand = HANDS.acquire().await.expect("nobody closes this semaphore");
    task::spawn_blocking(work).await?.map_err(Into::into)
}
