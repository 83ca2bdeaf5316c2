//! What a command ends with.
use crate::service::problem::Problem;

/// An exit code, or a problem that has one.
pub(super) type Outcome = Result<u8, Problem>;
