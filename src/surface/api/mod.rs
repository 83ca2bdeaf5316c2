//! The HTTP API under `/api/v1`, served on the main socket. A request is resolved (names, configuration, repository),
//! becomes one command or one read of what is durable, and its answer is a document of `views`.
//!
//! What is never in here: a rule, a state of its own beside what serving needs, or a way past the engine's handle.
//!
//! | file | what |
//! | --- | --- |
//! | `app` | what every route holds, and the table of routes |
//! | `names` | prefixes and `@last` to ids |
//! | `start` | `POST /runs`: from a spec to the command that starts its run |
//! | `runs` | runs: list, status, steering, graph |
//! | `records` | the record of a run: replay, differences, export, import, fork; the log's head |
//! | `tickets`, `edit` | work items: looking; making and changing |
//! | `claims` | leases for workers outside any run |
//! | `approvals` | what waits for a person |
//! | `events` | the log as a stream: server-sent events or lines |
//! | `log` | what an attempt's program prints |
//! | `gc` | archiving and removing |
//! | `health` | signs of life and metrics |
//! | `peer` | refusing attempts on the main socket |
//! | `reply` | bodies in, documents and problems out |
pub(crate) mod app;
pub(crate) mod approvals;
pub(crate) mod claims;
pub(crate) mod edit;
pub(crate) mod events;
pub(crate) mod gc;
mod health;
mod log;
pub(crate) mod names;
mod peer;
pub(crate) mod records;
pub(crate) mod reply;
pub(crate) mod runs;
pub(crate) mod start;
pub(crate) mod tickets;
