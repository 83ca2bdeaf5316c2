//! p0 turns a written spec into landed commits by running many coding agents side by side, and can prove afterwards
//! what happened. Read `ARCHITECTURE.md` first: it names the rooms below and what each of them never does.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a test may stop at the first surprise and may make its own world"
    )
)]

/// Events are many small values: allocated, moved between threads and freed by the million.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod codec;
pub mod contract;
pub mod demo;
pub mod driver;
pub mod engine;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
pub mod git;
pub use p0_journal as journal;
pub use p0_kernel as kernel;
pub use p0_model as model;
pub use p0_reader as reader;
pub mod process;
mod prompts;
pub mod sandbox;
pub mod service;
pub mod surface;
pub mod system;
pub use p0_views as views;
