//! What people and programs touch: the command line, the HTTP API on Unix sockets, the attempts' doors, configuration.
//!
//! What is never in here: a rule about what may happen (the kernel's), a write to the log (the engine's), or a second
//! way to do the same thing. Every command makes HTTP requests to `/api/v1/…`; whether they travel over the holder's
//! socket or are answered in this process is decided in [`session`] and nowhere else.
//!
//! | file | what |
//! | --- | --- |
//! | `cli` | the commands, one file each; their doc comments are the help; `ui` alone prints |
//! | `daemon` | `p0d` |
//! | `api` | the routes, on the main socket |
//! | `door` | the socket of one attempt, which takes only what its role may do |
//! | `session`, `client`, `socket`, `serve` | finding the holder or becoming it, requests, sockets |
//! | `mcp` | the same as tools of the Model Context Protocol |
//! | `config`, `project`, `place` | the environment, `.p0/`, the repository, whether p0 can work there |
//! | `error` | problems: kind, chain, hint; their exit codes and HTTP statuses |
mod api;
pub mod cli;
mod client;
pub mod config;
pub mod daemon;
mod door;
pub mod error;
mod mcp;
mod place;
mod project;
mod replays;
mod serve;
mod session;
mod socket;
mod token;
mod verify;
mod whole_file;

pub use config::env::environment;
