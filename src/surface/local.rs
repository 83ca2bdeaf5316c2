//! The way of one command to a data directory, which nobody may serve. What only reads is answered from the log's files: without the
//! lock, without a store, and without writing anything, so that any number may do so at once. The first request that
//! changes something takes the data directory and starts an engine, or goes to whoever has begun to serve meanwhile.
use super::{
    api::{app::App, reply::Failure},
    client::Client,
    session::{Holder, Holding, Purpose, attempt_client, find, own_client, wait_to_hold},
    users::Users,
};
use crate::{
    engine::{
        reading,
        start::{StartError, Stop},
    },
    service::{app::IN_THIS_PROCESS, config::files::Configs, problem::Problem},
};
use axum::{
    Router,
    body::Body,
    http::{Method, Request, Response},
    response::IntoResponse,
};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::sync::Mutex;
use tower::ServiceExt;

/// A way to the engine.
pub(crate) struct Session {
    /// For requests.
    pub(crate) client: Client,
    local: Option<Local>,
}

impl Session {
    /// The attempt's socket when this process belongs to one, else the holder, else the data directory as it is.
    pub(crate) async fn open(data_dir: &Path) -> Result<Session, Problem> {
        if let Some(client) = attempt_client()? {
            return Ok(Session { client, local: None });
        }
        if let Some(client) = find(data_dir).await {
            return Ok(Session { client, local: None });
        }
        let local = Local::new(data_dir.to_path_buf());
        Ok(Session { client: local.client(), local: Some(local) })
    }

    /// Whether nobody served the data directory when the session was opened.
    pub(crate) fn is_local(&self) -> bool {
        self.local.is_some()
    }

    /// Lets go of the engine, when this process holds one.
    pub(crate) async fn close(self) {
        if let Some(local) = self.local {
            local.close().await;
        }
    }
}

/// The ways to it that were opened so far.
#[derive(Default)]
struct Ways {
    reading: Option<Client>,
    writing: Option<Client>,
    holding: Option<Holding>,
}

/// A data directory that nobody served when it was looked at. Cheap to clone.
#[derive(Clone)]
struct Local {
    data_dir: Arc<PathBuf>,
    ways: Arc<Mutex<Ways>>,
}

impl Local {
    /// Nothing is opened yet.
    fn new(data_dir: PathBuf) -> Local {
        Local { data_dir: Arc::new(data_dir), ways: Arc::default() }
    }

    /// For requests to it.
    fn client(&self) -> Client {
        let local = self.clone();
        let answer = move |request: Request<Body>| {
            let local = local.clone();
            async move { local.answer(request).await.unwrap_or_else(|problem| Failure(problem).into_response()) }
        };
        Client::Local(Router::new().fallback(answer))
    }

    /// Lets go of the engine, where one was started.
    async fn close(&self) {
        let holding = self.ways.lock().await.holding.take();
        if let Some(holding) = holding {
            holding.end(Stop::Now).await;
        }
    }

    async fn answer(&self, request: Request<Body>) -> Result<Response<Body>, Problem> {
        let only_reads = matches!(*request.method(), Method::GET | Method::HEAD);
        match self.way(only_reads).await? {
            Client::Local(router) => match router.oneshot(request).await {
                Ok(response) => Ok(response),
                Err(never) => match never {},
            },
            served => served.carry(request).await,
        }
    }

    /// Where a request goes: what was changed through an engine is read through it, too.
    async fn way(&self, only_reads: bool) -> Result<Client, Problem> {
        let mut ways = self.ways.lock().await;
        if let Some(client) = &ways.writing {
            return Ok(client.clone());
        }
        if only_reads {
            if let Some(client) = &ways.reading {
                return Ok(client.clone());
            }
            let client = self.read().await?;
            ways.reading = Some(client.clone());
            return Ok(client);
        }
        let client = match wait_to_hold(&self.data_dir, Purpose::Write).await? {
            Holder::Other(client) => client,
            Holder::Here(holding) => {
                let client = own_client(&holding.app);
                ways.holding = Some(*holding);
                client
            }
        };
        ways.writing = Some(client.clone());
        Ok(client)
    }

    async fn read(&self) -> Result<Client, Problem> {
        let data_dir = self.data_dir.clone();
        let opened = tokio::task::spawn_blocking(move || reading::open(&data_dir)).await;
        let handle = opened.map_err(|e| Problem::general(&e))?.map_err(|e: StartError| Problem::from(e))?;
        let app = App::new(handle, Configs::default(), IN_THIS_PROCESS, Users::of_this_process());
        // Nothing more happens in what was read: there is nothing to wait for.
        app.closing.send_replace(true);
        Ok(own_client(&app))
    }
}
