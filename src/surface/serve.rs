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

/// The process at the other end, as the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    pid: Option<i32>,
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        match stream.io().peer_cred() {
            Ok(cred) => Peer { pid: cred.pid(), uid: Some(cred.uid()) },
            Err(_) => Peer { pid: None, uid: None },
        }
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

/// An attempt has a socket of its own; on this socket it has no rights, whatever token it shows or drops. Whoever else asks
/// is the user of the connecting process.
async fn guard(app: &App, peer: Peer, mut request: Request, next: Next) -> Response {
    // A peer that cannot be told may be one that took care not to be.
    let Peer { pid: Some(pid), uid: Some(uid) } = peer else {
        return Failure(Problem::new(Kind::Refused, "the kernel does not say which process asks")).into_response();
    };
    if let Some(problem) = app.refuse_attempts(pid).await {
        return Failure(problem).into_response();
    }
    request.extensions_mut().insert(app.users.with_id(uid));
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{contract::endpoints::GetHead, surface::client::Client, surface::route_table::Routes};

    #[tokio::test]
    async fn the_kernel_tells_which_process_and_which_user_connects() {
        let dir = tempfile::tempdir().unwrap();
        let (listener, _file) = socket::bind(dir.path(), socket::MAIN).unwrap();
        let tell = |peer: ConnectInfo<Peer>| async move {
            let (pid, uid) = (peer.0.pid.unwrap(), peer.0.uid.unwrap());
            format!(r#"{{"seq":{pid},"hash":"{uid}"}}"#)
        };
        let routes: Router = Routes::new().on(GetHead, tell).into_router();
        let service = routes.into_make_service_with_connect_info::<Peer>();
        tokio::spawn(async move { axum::serve(listener, service).await });
        let told = Client::Socket(dir.path().to_path_buf()).get(GetHead::at()).await.unwrap();
        assert_eq!(told.seq, u64::from(std::process::id()));
        assert_eq!(told.hash, rustix::process::getuid().as_raw().to_string());
    }
}
