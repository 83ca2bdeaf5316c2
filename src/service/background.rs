//! Work that blocks (git, files, folding a long log), off the threads that serve.
use super::problem::{Kind, Problem};

/// Does it on a thread for such work.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(e) => Err(Problem::new(Kind::General, format!("the work on this request broke off: {e}"))),
    }
}
