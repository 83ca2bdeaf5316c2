//! The command line. One file per command; the doc comment of its arguments is its help.
//!
//! A command resolves what it was given, makes requests through `surface::client`, and prints documents. It knows no
//! rule and holds no state. `surface::ui` alone prints; `context` knows where the engine and the repository are.
mod approvals;
mod args;
mod audit;
mod backup;
mod completions;
mod context;
mod demo;
mod detach;
mod doctor;
mod fixture;
mod follow;
mod fork;
mod gc;
mod graph;
mod init;
mod logs;
mod mcp;
mod outcome;
mod ready;
mod replay;
mod run;
mod runs;
mod schemas;
mod screen;
mod status;
mod steer;
mod ticket;
mod tickets;

pub use args::main;
