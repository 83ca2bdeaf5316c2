//! The use cases: what a person, a worker or a program wants of p0, from names and documents to one command or one read
//! of what is durable. The command line, the HTTP API, MCP and the daemon are adapters over this room: they parse, call
//! and print.
//!
//! What is never in here: a way in (`surface`), a rule about what may happen to one milestone (`kernel`), a rule that
//! spans milestones (`engine::unique`), or a state of its own beside what serving needs.
//!
//! | file | what |
//! | --- | --- |
//! | `app` | `Service`: the engine, and what every use case needs |
//! | `principal` | who asks |
//! | `start` | from a spec to its run |
//! | `runs`, `steer` | runs: lists and status; pausing, resuming, cancelling |
//! | `records`, `replays`, `verify` | the record of a run: replay, import, fork; checking files |
//! | `tickets`, `edit` | work items: looking; making and changing |
//! | `claims` | leases for workers outside any run |
//! | `approvals` | what waits for a person |
//! | `history` | which events are meant |
//! | `gc`, `repair` | archiving and removing; damaged frames of the log |
//! | `names` | prefixes and `@last` to ids |
//! | `config`, `project`, `place` | the environment, `.p0/`, the repository, whether p0 can work there |
//! | `spec_file` | reading a spec |
//! | `token`, `background` | tokens; work that blocks |
//! | `problem` | what went wrong: kind, sentence, hint; exit codes and HTTP statuses |
pub(crate) mod app;
pub(crate) mod approvals;
pub(crate) mod background;
pub(crate) mod claims;
pub mod config;
pub(crate) mod edit;
pub(crate) mod gc;
pub(crate) mod history;
pub(crate) mod names;
pub(crate) mod place;
pub(crate) mod principal;
pub mod problem;
pub(crate) mod project;
pub(crate) mod records;
pub(crate) mod repair;
pub(crate) mod replays;
pub(crate) mod runs;
pub(crate) mod spec_file;
pub(crate) mod start;
pub(crate) mod steer;
pub(crate) mod tickets;
pub(crate) mod token;
pub(crate) mod verify;
