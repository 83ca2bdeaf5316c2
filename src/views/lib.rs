//! Read models: what people and programs look at. Made from events and from the state they add up to.
//!
//! What is never in here: a command, a rule, input or output.
//!
//! | file | what |
//! | --- | --- |
//! | `catalog` | which milestones and runs there are |
//! | `status` | one run as a document |
//! | `approvals` | questions to people |
//! | `tickets` | work items as documents; which are ready for outside workers |
//! | `timeline` | events in words, one line each |
//! | `progress` | who is at work now |
//! | `diff` | what differs between two states |
//! | `graph` | work items and workflows as graphs, in DOT and Mermaid |
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
pub mod approvals;
pub mod catalog;
pub mod diff;
pub mod graph;
pub mod progress;
pub mod retrying;
pub mod status;
pub mod tickets;
pub mod timeline;
