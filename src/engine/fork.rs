//! A run's state at one event, as the beginning of another run.
use super::{
    handle::{Handle, ReadError},
    replay::replay,
};
use crate::{
    kernel::{NewName, fork_of},
    model::{
        id::{MilestoneId, RunId},
        kept::Fork,
    },
};

impl Handle {
    /// What a fork of `run` at event `seq` takes over, to be put on record as `milestone` under `key`; none when the run
    /// had not begun then. The command that the event belongs to is taken over whole: half of a decision is no state to
    /// go on from. Reads only.
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
        let frames = self.frames(run)?.take_while(move |frame| {
            frame.as_ref().map_or(true, |frame| frame.events.first().is_none_or(|first| first.seq <= seq))
        });
        let then = replay(frames, None)?;
        let p0 = env!("CARGO_PKG_VERSION").to_owned();
        Ok(fork_of(&then.state, run, then.until, NewName { milestone, key, p0 }))
    }
}
