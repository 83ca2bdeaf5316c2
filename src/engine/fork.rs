//! A run's state at one event, as the beginning of another run.
use super::handle::{Handle, ReadError, Until};
use crate::{
    kernel::{NewName, fork_of},
    model::{
        id::{MilestoneId, RunId},
        kept::Fork,
    },
};

impl Handle {
    /// What a fork of `run` at event `seq` takes over, to be put on record as `milestone` under `key`; none when the run
    /// had not begun then. Reads only.
    ///
    /// # Errors
    /// The run's record cannot be read.
    pub fn fork_of(
        &self,
        run: RunId,
        seq: u64,
        milestone: MilestoneId,
        key: String,
    ) -> Result<Option<Fork>, ReadError> {
        let then = self.replay(run, Some(Until::Seq(seq)))?;
        let p0 = env!("CARGO_PKG_VERSION").to_owned();
        Ok(fork_of(&then.state, run, seq, NewName { milestone, key, p0 }))
    }
}
