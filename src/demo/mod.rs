//! The demo: a small real repository, a spec for it, and agents that play what is written in a file.
//!
//! - [`create`]: the repository, in a folder that is empty or was made by an earlier demo;
//! - [`report`]: what `p0 demo` prints at the end of its run;
//! - `assets`: the files themselves; the playbook is `assets/p0/playbook.toml`.
//!
//! What is never in here: the run itself. It goes through the same door as every other run.
pub mod create;
pub mod report;

mod assets;
