//! The contract of the HTTP API: the documents of requests and answers, as types, in one place. The server's routes, the
//! client and the command line use these and no others.
//!
//! What is never in here: what a request does (`service`), how it travels (`surface`), or a rule.
//!
//! | file | what |
//! | --- | --- |
//! | `endpoints` | the table: every endpoint with its path, its types and who may call it |
//! | `endpoint` | what an endpoint is, and a call of one |
//! | `openapi`, `schema` | the OpenAPI document and the files in `schemas/`, made from the table |
//! | `runs` | starting, listing and steering runs |
//! | `records` | the record of a run: replay, differences, import, fork; the head of the log |
//! | `tickets`, `claims` | work items; leases for workers outside any run |
//! | `approvals` | what waits for a person |
//! | `events`, `logs` | the log as a stream; what an attempt's program prints |
//! | `attempts` | what an attempt may ask through its own socket |
//! | `gc` | archiving and removing |
//! | `health` | signs of life |
//! | `problem` | what every failure is answered with |
pub mod approvals;
pub mod attempts;
pub mod claims;
pub mod endpoint;
pub mod endpoints;
pub mod events;
pub mod gc;
pub mod health;
pub mod logs;
pub mod openapi;
pub mod problem;
pub mod records;
pub mod runs;
pub mod schema;
pub mod tickets;
