//! Serving a router on the main socket, and ending that within a deadline.
use super::{
    api::{app::App, reply::Failure},
    socket::{self, SocketFile},
};
use crate::service::problem::{Kind, Problem};
use axum::{
    Router,
    extract::{ConnectInfo, Request, connect_info::Connected},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    serve::IncomingStream,
};
use std::{path::Path, time::Duration};
use tokio::{net::UnixListener, task::JoinHandle};

/// How long answers under way may take once the end is announced.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// A socket that is being served.
pub(crate) struct Serving {
    file: SocketFile,
    task: JoinHandle<()>,
    app: App,
}

/// Who is at the other end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer {
    pid: Option<i32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Peer { pid: stream.io().peer_cred().ok().and_then(|cred| cred.pid()) }
    }
}

/// Serves `routes` on the socket of the data directory.
pub(crate) fn start(app: &App, routes: Router, data_dir: &Path) -> Result<Serving, Problem> {
    let (listener, file) = socket::bind(data_dir, socket::MAIN)
        .map_err(|e| Problem::io("opening the socket", &data_dir.join(socket::MAIN), &e))?;
    let keep = app.clone();
    let routes = routes.layer(middleware::from_fn(move |peer: ConnectInfo<Peer>, request: Request, next: Next| {
        let app = keep.clone();
        async move { guard(&app, peer.0, request, next).await }
    }));
    let mut closing = app.closing.subscribe();
    let task = tokio::spawn(async move {
        let end = async move {
            // An error means that the sender is gone, which is an end as well.
            drop(closing.wait_for(|closing| *closing).await);
        };
        let service = routes.into_make_service_with_connect_info::<Peer>();
        if let Err(e) = axum::serve(listener, service).with_graceful_shutdown(end).await {
            tracing::error!("serving the socket ended: {e}");
        }
    });
    Ok(Serving { file, task, app: app.clone() })
}

impl Serving {
    /// Takes no more requests, ends the streams, and removes the socket file.
    pub(crate) async fn end(self) {
        self.file.remove();
        self.app.closing.send_replace(true);
        let abort = self.task.abort_handle();
        if tokio::time::timeout(LAST_ANSWERS, self.task).await.is_err() {
            abort.abort();
        }
    }
}

/// An attempt has a door of its own; on this socket it has no rights, whatever token it shows or drops.
async fn guard(app: &App, peer: Peer, request: Request, next: Next) -> Response {
    // A peer that cannot be told may be one that took care not to be.
    let problem = match peer.pid {
        Some(pid) => app.refuse_attempts(pid).await,
        None => Some(Problem::new(Kind::Refused, "the kernel does not say which process asks")),
    };
    if let Some(problem) = problem {
        return Failure(problem).into_response();
    }
    next.run(request).await
}
