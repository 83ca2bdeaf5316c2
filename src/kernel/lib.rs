//! The rules. Synchronous, total, deterministic.
//!
//! - [`decide()`]: a state and a command give events, or a rejection;
//! - [`evolve()`]: a state and an event give the next state;
//! - [`outstanding`]: the effects that a state wants to be in flight;
//! - [`advance`]: what follows by itself from a state (stages, attempts), as part of the same decision;
//! - [`fork_of`]: what a new run takes over from the state of another;
//! - [`schedule`]: what is ready, and why the rest is not;
//! - [`rights`]: which role may say what;
//! - [`legal`]: events that no log can hold, for whoever folds one;
//! - [`invariants`]: what holds in every state: for tests, and in part for states that come from the disk.
//!
//! What is never in here: input or output, a clock, randomness, async, or the name of a workflow.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a test may stop at the first surprise and may make its own world"
    )
)]
#![cfg_attr(
    not(test),
    deny(
        clippy::wildcard_enum_match_arm,
        clippy::match_wildcard_for_single_variants,
        reason = "a new event or state stops the build until every match here says what it does with it"
    )
)]
pub mod decide;
pub mod evolve;
pub mod invariants;
pub mod legal;
pub mod rights;
pub mod schedule;

mod advance;
mod budget;
mod digest;
mod effects;
mod fork;
mod graph;

pub use decide::{Decision, decide};
pub use digest::digest;
pub use effects::outstanding;
pub use evolve::evolve;
pub use fork::{NewName, fork_of};

#[cfg(test)]
mod scenarios;
