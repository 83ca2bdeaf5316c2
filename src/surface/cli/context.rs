//! Where the engine and the repository of a command are.
use crate::{
    service::{config::env, place, problem::Problem},
    surface::{client::Client, local::Session},
};
use std::path::{Path, PathBuf};

/// The global options.
pub(super) struct Context {
    /// `--data-dir`.
    pub(super) data_dir: Option<PathBuf>,
    /// `--repo`.
    pub(super) repo: Option<PathBuf>,
}

impl Context {
    /// The data directory, absolute.
    pub(super) fn data_dir(&self) -> Result<PathBuf, Problem> {
        env::data_dir(self.data_dir.as_deref())
    }

    /// A path in the repository, absolute.
    pub(super) fn project(&self) -> Result<PathBuf, Problem> {
        let path = self.repo.as_deref().unwrap_or(Path::new("."));
        let path = std::path::absolute(path).map_err(|e| Problem::io("looking at", path, &e))?;
        if path.to_str().is_none() {
            // No request can hold it.
            place::check("the repository", &path)?;
        }
        Ok(path)
    }

    /// Makes requests with an engine, whoever holds it, and lets go of it afterwards.
    pub(super) async fn ask<T, F>(&self, work: impl FnOnce(Client) -> F) -> Result<T, Problem>
    where
        F: Future<Output = Result<T, Problem>>,
    {
        let session = Session::open(&self.data_dir()?).await?;
        let result = work(session.client.clone()).await;
        session.close().await;
        result
    }
}
