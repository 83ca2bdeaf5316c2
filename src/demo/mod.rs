//! The demo: a small real repository, a spec for it, and agents that play what is written in a file.
//!
//! - [`create`]: the repository, in a folder that is empty or was made by an earlier demo;
//! - [`report`]: what `p0 demo` prints at the end of its run;
//! - `assets`: the files themselves; the playbook is `assets/p0/playbook.toml`;
//! - [`playbook`], `scene`, `fill`: the built-in agent that plays recorded work (`p0 __playbook FILE`).
//!
//! What is never in here: the run itself. It goes through the same socket as every other run.
pub mod create;
pub mod playbook;
pub mod report;

mod assets;
mod fill;
mod scene;
