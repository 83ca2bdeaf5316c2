//! Finding the holder of the data directory, or becoming it.
use super::{
    api::app::App,
    attempt_socket::AttemptSockets,
    client::Client,
    routes::routes,
    serve::{self, Serving},
    users::Users,
};
use crate::{
    engine::{
        handle::AttemptSocketHost,
        start::{Engine, Options, PATIENCE, StartError, Stop},
    },
    service::{
        app::IN_THIS_PROCESS,
        config::{env, files::Configs},
        place,
        problem::{Kind, Problem},
    },
    system::clock,
};
use axum::Extension;
use std::{path::Path, sync::Arc, time::Duration};

/// How long to wait for another holder of the data directory.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How long one try for the lock lasts before the socket is tried again.
const LOCK_TRY: Duration = Duration::from_millis(250);

/// What an in-process engine is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To write a command down.
    Write,
    /// To do the work and serve the socket, under this name.
    Work(&'static str),
}

/// An engine that this process holds.
pub(crate) struct Holding {
    /// The engine.
    pub(crate) engine: Engine,
    /// The routes' state.
    pub(crate) app: App,
    /// The socket, where it is served.
    pub(crate) serving: Option<Serving>,
}

impl Holding {
    /// Closes the socket, then stops the engine.
    pub(crate) async fn end(self, how: Stop) {
        if let Some(serving) = self.serving {
            serving.end().await;
        }
        self.engine.stop(how).await;
    }
}

/// A way to an engine that works.
pub(crate) struct Working {
    /// For requests.
    pub(crate) client: Client,
    /// The engine, where this process holds it.
    pub(crate) holding: Option<Holding>,
}

impl Working {
    /// The attempt's socket when this process belongs to one, else the holder, else an engine in this process that does the
    /// work and serves the socket, under this name.
    pub(crate) async fn open(data_dir: &Path, name: &'static str) -> Result<Working, Problem> {
        if let Some(client) = attempt_client()? {
            return Ok(Working { client, holding: None });
        }
        Ok(match wait_to_hold(data_dir, Purpose::Work(name)).await? {
            Holder::Other(client) => Working { client, holding: None },
            Holder::Here(holding) => Working { client: own_client(&holding.app), holding: Some(*holding) },
        })
    }
}

/// Who holds a data directory.
pub(super) enum Holder {
    /// Somebody who serves it.
    Other(Client),
    /// This process.
    Here(Box<Holding>),
}

/// Takes the data directory, or finds whoever serves it.
pub(super) async fn wait_to_hold(data_dir: &Path, purpose: Purpose) -> Result<Holder, Problem> {
    let started = clock::monotonic();
    loop {
        if let Some(client) = find(data_dir).await {
            return Ok(Holder::Other(client));
        }
        match hold(data_dir, purpose, Configs::default(), LOCK_TRY).await {
            Ok(holding) => return Ok(Holder::Here(Box::new(holding))),
            // The lock is taken and nobody serves: a holder that is starting or stopping, or another command.
            Err(StartFailure::Locked(_)) if started.elapsed() < LOCK_WAIT => {}
            Err(failure) => return Err(failure.into()),
        }
    }
}

/// Requests of the user that this process works for, to the engine in this process.
pub(super) fn own_client(app: &App) -> Client {
    Client::Local(routes(app.clone()).layer(Extension(app.users.own())))
}

/// The holder, when there is one that answers.
pub(crate) async fn find(data_dir: &Path) -> Option<Client> {
    let client = Client::Socket(data_dir.to_path_buf());
    client.is_alive().await.then_some(client)
}

/// The socket of the attempt that this process belongs to, if it belongs to one.
pub(crate) fn attempt_client() -> Result<Option<Client>, Problem> {
    match env::attempt_socket() {
        None => Ok(None),
        Some((Some(socket), token)) => Ok(Some(Client::Attempt { socket, token })),
        Some((None, _)) => Err(Problem::new(Kind::Refused, "P0_TOKEN is set without P0_SOCKET")
            .hint("an agent uses the socket it was given; a person unsets P0_TOKEN")),
    }
}

/// Why this process does not hold the data directory.
pub(crate) enum StartFailure {
    /// Somebody else does.
    Locked(Problem),
    /// Anything else.
    Other(Problem),
}

impl From<StartFailure> for Problem {
    fn from(failure: StartFailure) -> Problem {
        match failure {
            StartFailure::Locked(problem) | StartFailure::Other(problem) => problem,
        }
    }
}

/// Takes the data directory and starts an engine on it.
pub(crate) async fn hold(
    data_dir: &Path,
    purpose: Purpose,
    configs: Configs,
    wait: Duration,
) -> Result<Holding, StartFailure> {
    let attempt_sockets = Arc::new(AttemptSockets::new(data_dir));
    let works = matches!(purpose, Purpose::Work(_));
    let attempt_socket: Option<Arc<dyn AttemptSocketHost>> = if works { Some(attempt_sockets.clone()) } else { None };
    let options = Options {
        data_dir: data_dir.to_path_buf(),
        active: works,
        wait,
        attempt_socket,
        supervisor: place::sibling("p0").map_err(StartFailure::Other)?,
        environment: env::environment(),
        agent_env: {
            let configs = configs.clone();
            Arc::new(move |root, agent| Ok(configs.agent_env(root, agent)?))
        },
        patience: env::var("P0_PATIENCE_MS").and_then(|ms| ms.parse().ok()).map_or(PATIENCE, Duration::from_millis),
        die_at: env::var("P0_TEST_DIE_AT").and_then(|seq| seq.parse().ok()),
    };
    let engine = Engine::start(options).await.map_err(|e| match e {
        StartError::Locked(_) => StartFailure::Locked(e.into()),
        StartError::Store(_) | StartError::Other(_) => StartFailure::Other(e.into()),
    })?;
    if works {
        attempt_sockets.attach(engine.handle());
    }
    let name = match purpose {
        Purpose::Write => IN_THIS_PROCESS,
        Purpose::Work(name) => name,
    };
    let app = App::new(engine.handle(), configs, name, Users::of_this_process());
    let mut holding = Holding { engine, app, serving: None };
    if works {
        match serve::start(&holding.app, routes(holding.app.clone()), data_dir) {
            Ok(serving) => holding.serving = Some(serving),
            Err(problem) => {
                holding.end(Stop::Now).await;
                return Err(StartFailure::Other(problem));
            }
        }
    }
    Ok(holding)
}
