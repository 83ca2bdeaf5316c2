//! What people and programs touch: the command line, the HTTP API on Unix sockets, the attempts' sockets, MCP, the daemon.
//! They parse, call `service`, and print.
//!
//! What is never in here: a rule about what may happen (the kernel's), a use case (`service`), a write to the log (the
//! engine's), or a second way to do the same thing. Every command makes HTTP requests of the API (`contract`); whether
//! they travel over the holder's socket or are answered in this process is decided in [`session`] and nowhere else.
//!
//! | file | what |
//! | --- | --- |
//! | `cli` | the commands, one file each; their doc comments are the help; `ui` alone prints |
//! | `daemon` | `p0d` |
//! | `api` | the API's routes |
//! | `routes`, `route_table` | every route of the main socket: the API, MCP, signs of life; how routes are made |
//! | `socket` | the socket of one attempt, which takes only what its role may do |
//! | `session`, `client`, `socket`, `serve` | finding the holder or becoming it, requests, sockets |
//! | `users` | who asks, by the user id of the connecting process |
//! | `handover`, `answering` | handing a run to the daemon; answering whatever has an id |
//! | `mcp` | the same as tools of the Model Context Protocol |
//! | `signals`, `ui`, `whole_file` | signals, printing, files that are written whole or not at all |
mod answering;
mod api;
mod attempt_socket;
pub mod cli;
mod client;
pub mod daemon;
mod handover;
mod local;
mod mcp;
mod route_table;
mod routes;
mod serve;
mod session;
mod signals;
mod socket;
mod ui;
mod users;
mod whole_file;
