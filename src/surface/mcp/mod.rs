//! The tracker as tools of the Model Context Protocol: for the agent of an attempt through its socket, and for a
//! person's own assistant.
//!
//! What is never in here: a rule. A tool's arguments become the same messages and requests that lines on stdout and
//! the command line make; what comes of them is the kernel's business, and its words are handed back.
//!
//! | file | what |
//! | --- | --- |
//! | `attempt`, `tools` | what an attempt may use: the table, and what a call does |
//! | `own_attempt` | requests through an attempt's socket, which may be away for a while |
//! | `memory` | the search in what the milestone has learned and written down |
//! | `permission` | the answer to a client that asks before it uses a tool of its own |
//! | `person`, `words`, `wishes` | what a person's assistant may use, in the words of the command line |
//! | `added` | arguments that clients add to every call |
//! | `server` | the protocol, over any transport; `stdio` (with `lines`) and `http` are the two there are |
mod added;
mod answer;
mod attempt;
mod http;
mod lines;
mod memory;
mod own_attempt;
mod permission;
mod person;
mod server;
mod stdio;
mod tools;
mod wishes;
mod words;

pub(crate) use attempt::AttemptTools;
pub(crate) use http::service;
pub(crate) use permission::Policy;
pub(crate) use person::{Reach, UserTools};
pub(crate) use server::ToolService;
pub(crate) use stdio::serve;
