//! The HTTP API, served on the main socket. A request is parsed, goes to a use case of `service`, and is answered with its
//! document.
//!
//! What is never in here: a rule, a use case, or a state of its own beside what serving needs.
//!
//! | file | what |
//! | --- | --- |
//! | `app` | what every route holds |
//! | `routes` | which endpoint is answered by which function |
//! | `runs` | runs: starting, list, status, steering, graph |
//! | `records` | the record of a run: replay, differences, export, import, fork; the log's head |
//! | `tickets` | work items: looking; making and changing |
//! | `claims` | leases for workers outside any run |
//! | `approvals` | what waits for a person |
//! | `events` | the log as a stream: server-sent events or lines |
//! | `log` | what an attempt's program prints |
//! | `gc` | archiving and removing |
//! | `openapi` | the description of the API |
//! | `health` | signs of life and metrics |
//! | `peer` | refusing attempts on the main socket |
//! | `reply` | bodies and callers in, documents and problems out |
pub(crate) mod app;
mod approvals;
mod claims;
pub(crate) mod events;
mod gc;
mod health;
mod log;
mod openapi;
mod peer;
mod records;
pub(crate) mod reply;
pub(crate) mod routes;
mod runs;
mod tickets;
