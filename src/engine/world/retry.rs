//! Trying again what failed for a reason outside: told where a person looks once it lasts, and bounded.
use super::{
    RETRY_FIRST, World, blocking,
    error::{Error, Gone},
};
use crate::{
    engine::retries::Entry,
    model::{
        Time,
        aggregate::Aggregate,
        backoff::Backoff,
        command::Action,
        id::{MilestoneId, RunId},
        run::Run,
    },
    system::clock,
    views::retrying::Retrying,
};
use std::{path::Path, sync::Arc, time::Duration};

/// How long something may fail before it is told.
const TELL_AFTER: Duration = Duration::from_secs(2);
/// How long to wait before the next try: whoever has put a repository back does not wait long.
const PAUSES: Backoff = Backoff::new(RETRY_FIRST, Duration::from_secs(5));
/// How long a disk may be full before the engine stops.
const ROOM_PATIENCE: Duration = Duration::from_secs(2);

/// What happens to the run when something does not work for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Then {
    /// It is held up: it is paused, and its effects rest until it goes on. Under rules before 5 it fails.
    HoldUp,
    /// It is held up; under rules before 5 the work is tried for ever, because giving it up would lose something.
    HoldUpOrGoOn,
    /// Nothing: the work is tried for ever.
    GoOn,
}

/// Work that is tried again.
pub(super) struct Retry {
    run: Option<RunId>,
    what: String,
    help: String,
    began: std::time::Instant,
    since: Time,
    times: u32,
    entry: Entry,
}

impl Retry {
    /// `what`: a noun phrase. `help`: what a person can do about a failure.
    pub(super) fn new(world: &World, run: Option<RunId>, what: &str, help: String) -> Retry {
        Retry {
            run,
            what: what.to_owned(),
            help,
            began: clock::monotonic(),
            since: clock::now(),
            times: 0,
            entry: world.handle.shared.retries.entry(),
        }
    }

    /// A try failed: notes that, tells it once it has lasted, and gives the time to wait before the next try.
    pub(super) fn failed(&mut self, error: &Error) -> Duration {
        self.times += 1;
        let why = error.told();
        tracing::warn!("{}: {why}; trying again; {}", self.what, self.help);
        if self.lasted() >= TELL_AFTER {
            self.entry.tell(Retrying {
                run: self.run,
                what: self.what.clone(),
                why,
                since: self.since,
                times: self.times,
                help: self.help.clone(),
            });
        }
        PAUSES.after(self.times - 1)
    }

    fn lasted(&self) -> Duration {
        self.began.elapsed()
    }
}

impl World {
    /// Tries work on repositories again and again. `None` = it was given up: the run is held up or failed, or the engine
    /// stops, and whatever is still wanted is begun again later.
    pub(super) async fn persevere<T: Send + 'static>(
        self: &Arc<Self>,
        stream: MilestoneId,
        run: RunId,
        what: &str,
        then: Then,
        work: impl Fn(&World) -> Result<T, Error> + Send + Sync + Clone + 'static,
    ) -> Option<T> {
        let mut retry = Retry::new(self, Some(run), what, String::new());
        loop {
            let (world, work) = (self.clone(), work.clone());
            let error = match blocking(move || work(&world)).await {
                Ok(done) => return Some(done),
                Err(error) => error,
            };
            if error.is_full() && retry.lasted() >= ROOM_PATIENCE && !self.make_room().await {
                self.handle.shared.fail(format!("{what}: {}", error.told()));
                return None;
            }
            if !self.goes_on(stream, run, &mut retry, then, error).await {
                return None;
            }
        }
    }

    /// After a failed try: waits for the next one. False = there is none.
    pub(super) async fn goes_on(
        self: &Arc<Self>,
        stream: MilestoneId,
        run: RunId,
        retry: &mut Retry,
        then: Then,
        error: Error,
    ) -> bool {
        let state = self.state(stream);
        let found = state.as_ref().and_then(|state| state.runs.get(&run));
        if found.is_some_and(|run| run.is_held_up()) {
            // Another effect has found out already; this one is begun again when the run goes on.
            return false;
        }
        let (error, help) = explained(state.as_deref(), error);
        retry.help = help;
        if retry.lasted() >= self.options.patience
            && let Some(run) = found.filter(|run| gives_up(run, then))
        {
            let why = format!("{}: {}; {}", retry.what, error.told(), retry.help);
            tracing::error!("{why}");
            let full = error.is_full().then(|| why.clone());
            self.report_failure(stream, Action::RunHeldUp { run: run.id, why }, full).await;
            return false;
        }
        self.pause(retry.failed(&error)).await
    }
}

fn gives_up(run: &Run, then: Then) -> bool {
    let pauses = run.tells_trouble_from_fault();
    match then {
        Then::HoldUp => !run.state.is_over() || !pauses,
        Then::HoldUpOrGoOn => !run.state.is_over() && pauses,
        Then::GoOn => false,
    }
}

/// The reason, and what would help: a repository that is not there is the reason of all that fails in it.
fn explained(state: Option<&Aggregate>, error: Error) -> (Error, String) {
    let project = state.and_then(|state| state.milestone.as_ref()).map(|m| m.project.as_str()).unwrap_or_default();
    if !project.is_empty() && !Path::new(project).exists() {
        return (Gone::Repository(project.to_owned()).into(), "put it back where it was".to_owned());
    }
    (error, format!("put the repository {project} back in order; nothing is lost meanwhile"))
}
