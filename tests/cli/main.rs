//! The command line with the real binary: every test has a home, a data directory and a repository of its own, agents
//! are small Python programs, and what people read is compared whole.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    unreachable_pub,
    missing_docs,
    reason = "a test may stop at the first surprise, start processes and read the clock"
)]

mod agents;
mod approvals;
mod archives;
mod backup;
mod broken;
mod bubblewrap;
mod clock;
mod disk;
mod doctor;
mod env;
mod examples;
mod input;
mod kept;
mod mask;
mod mcp;
mod ownership;
mod places;
mod plans;
mod reading;
mod record;
mod rights;
mod rules;
mod sandbox;
mod sharing;
mod signals;
mod store;
mod subscriptions;
mod tracker;
mod trees;
mod trouble;
mod users;
mod words;
