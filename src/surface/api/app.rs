//! What every route holds.
use super::peer;
use crate::{
    engine::handle::Handle,
    service::{app::Service, config::files::Configs, problem::Problem},
    surface::users::Users,
    system::clock,
};
use std::{sync::Arc, time::Instant};
use tokio::sync::watch;

/// What every route holds. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    /// The use cases.
    pub(crate) service: Service,
    /// True once no more is served: streams end.
    pub(crate) closing: Arc<watch::Sender<bool>>,
    /// When this process began to serve.
    pub(crate) since: Instant,
    /// The users of this machine, by their ids.
    pub(crate) users: Arc<Users>,
}

impl App {
    /// The state of the routes over an engine.
    pub(crate) fn new(handle: Handle, configs: Configs, holder: &'static str, users: Users) -> App {
        App {
            service: Service::new(handle, configs, holder),
            closing: Arc::new(watch::Sender::new(false)),
            since: clock::monotonic(),
            users: Arc::new(users),
        }
    }

    /// Why the process `pid` may not use the main socket, if it may not: it belongs to an attempt.
    pub(crate) async fn refuse_attempts(&self, pid: i32) -> Option<Problem> {
        peer::refuse(&self.service.handle, pid).await
    }
}
