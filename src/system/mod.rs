//! What the machine gives: its clocks, its disk, files that a person names. Nothing in here knows of attempts, repositories
//! or the log.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `clock` | the only reader of clocks |
//! | `plain_file` | reading files that a person names |
//! | `shortage` | what the system has run out of |
//! | `space` | disk space: how much there is, what takes it, a reserve of it |
//! | `wake` | waiting on a descriptor (`unsafe`, isolated) |
pub mod clock;
pub mod plain_file;
pub mod shortage;
pub mod space;
pub(crate) mod wake;
