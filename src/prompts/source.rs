//! What an attempt's input is made from.
use crate::model::{aggregate::Aggregate, attempt::Attempt, run::Run};

/// Everything that an attempt's input is made from.
pub(crate) struct Source<'a> {
    pub(crate) state: &'a Aggregate,
    pub(crate) run: &'a Run,
    pub(crate) attempt: &'a Attempt,
    pub(crate) spec: String,
    /// `.p0/roles/<role>.md`, where the project has one.
    pub(crate) template: Option<String>,
    /// The project's own words to agents, as they stand at the attempt's base: path and text.
    pub(crate) context: Vec<(String, String)>,
    /// What an earlier attempt left in the worktree: its paths.
    pub(crate) carried: Vec<String>,
}
