//! What p0 is told from outside: environment variables, and the files of a project's `.p0/` folder.
pub mod env;
pub mod files;
pub(crate) mod gates;
pub(crate) mod limits;
