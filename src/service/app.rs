//! The engine, and what every use case needs beside it.
use super::config::files::Configs;
use crate::{engine::handle::Handle, model::id::RunId};
use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
};

/// The holder's name where one command reads the log, or writes something down.
pub(crate) const IN_THIS_PROCESS: &str = "in this process";

/// The use cases over one engine. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Service {
    /// The engine.
    pub(crate) handle: Handle,
    /// Where configurations come from.
    pub(crate) configs: Arc<Configs>,
    /// The program that holds the data directory: `p0d`, `p0 run`.
    pub(crate) holder: &'static str,
    /// Held while something is archived or removed: one at a time.
    pub(super) collecting: Arc<tokio::sync::Mutex<()>>,
    handed: Arc<Mutex<BTreeSet<RunId>>>,
}

impl Service {
    /// The use cases over this engine.
    pub(crate) fn new(handle: Handle, configs: Configs, holder: &'static str) -> Service {
        Service { handle, configs: Arc::new(configs), holder, collecting: Arc::default(), handed: Arc::default() }
    }

    /// Whether this process carries runs out.
    pub(crate) fn works(&self) -> bool {
        self.holder != IN_THIS_PROCESS
    }

    /// Notes that this process was given a run to carry out.
    pub(super) fn hand(&self, run: RunId) {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).insert(run);
    }

    /// The runs this process was given.
    pub(crate) fn handed(&self) -> Vec<RunId> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}
