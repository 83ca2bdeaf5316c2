//! The vocabulary: ids, nouns, commands, events, effects, rejections and the state they add up to.
//!
//! What is never in here: input or output, a clock, randomness, async, or a rule about what may happen. Everything is
//! plain data that serde can write down; what is stored carries a version (see [`event`]).
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::disallowed_methods,
        reason = "a test may stop at the first surprise and may make its own world"
    )
)]
pub mod actor;
pub mod adapter;
pub mod aggregate;
pub mod approval;
pub mod attempt;
pub mod backoff;
pub mod command;
pub mod config;
pub mod effect;
pub mod event;
pub mod files;
pub mod id;
pub mod kept;
pub mod not_ready;
pub mod paths;
pub mod permission;
pub mod protocol;
pub mod record;
pub mod rejection;
pub mod reply;
pub mod run;
pub mod sandbox;
pub mod schema;
pub mod settings;
pub mod spec;
mod text;
pub mod ticket;
pub mod tolerant;
pub mod workflow;

/// A moment, in UTC, kept to the millisecond. Commands carry it; nothing in `model` or `kernel` reads a clock.
pub type Time = chrono::DateTime<chrono::Utc>;
