//! Real agents, run by the real `p0`, their model played by a scripted server: every scenario with every adapter.
//!
//! `scripts/agents` installs those that these tests need; `P0_TEST_NO_AGENTS=1` leaves the tests out.
//! `P0_TEST_AGENTS_ALL=DIR` runs the whole table (docs/agents.md) with every agent whose program is in `DIR`, and prints
//! what was seen.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    unreachable_pub,
    missing_docs,
    reason = "a test may stop at the first surprise, start processes, read the environment and the clock"
)]

mod agent;
#[path = "../cli/env.rs"]
#[allow(dead_code, reason = "shared with tests/cli, which uses more of it")]
mod env;
#[path = "../cli/mask.rs"]
mod mask;
mod model;
mod prompts;
mod scenarios;
mod table;
mod world;
