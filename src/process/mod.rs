//! Child processes under a small supervisor that outlives the engine.
//!
//! What it is for: starting a program (an agent, a gate) so that it never runs unrecorded, cannot outgrow its limits,
//! leaves nothing alive behind, and is found again after the engine has died. Every attempt has a directory; the
//! directory, not the engine's memory, says what happened to it.
//!
//! ```text
//!  engine                       supervisor  (p0 __agent DIR)               program
//!  start ── spawn ────────────▶ own session, subreaper, lock
//!  prepare ── spec, stdin ──▶
//!  launched ── "spec\n" ──────▶ ready.json
//!  (attempt.spawned durable)    room for exit.json, mark = 0 (fsync)
//!  Go::go ── "go\n" ──────────▶ mark = 1 (fdatasync) ── spawn ──────────▶ own process group
//!  wait / look / stop           spool, limits, TERM → grace → KILL
//!                               exit.json (fsync, rename) ◀── the whole tree has ended
//! ```
//!
//! What is never in it: a decision about what to do next, a meaning given to an agent's words beyond "message or log",
//! a write to the log or the store, or a process signalled on the strength of its pid alone.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `spec` | what to run and what came of it: [`AgentSpec`], [`ExitRecord`], [`Ending`] |
//! | `files` | the attempt's directory: names, durable writes |
//! | `linux` | `/proc`: identity of a process, its tree, its mark |
//! | `signals` | signal handlers of the supervisor (`unsafe`, isolated) |
//! | `supervisor`, `watch`, `pump` | the supervisor: before the program, beside it, its output |
//! | `ask` | a short question to an installed program, without a supervisor |
//! | `cgroup` | a control group of the program's own |
//! | `confine` | the program before it is the program |
//! | `launch`, `look`, `stop` | the engine's side: start, find again and wait, end |
//! | `spool`, `follow` | reading the output of a running or ended program |
//! | `find` | programs on `PATH` |
//! | `secrets` | values that an attempt must not show |

mod ask;
mod cgroup;
mod confine;
mod error;
mod files;
mod find;
mod follow;
mod launch;
mod linux;
mod look;
mod pump;
mod secrets;
mod signals;
mod spec;
mod spool;
mod stop;
mod supervisor;
mod watch;

pub use ask::{Answer, Question, Scratch, ask};
pub use cgroup::cgroup_dir;
pub use confine::confine_main;
pub use error::Error;
pub use files::{AttemptDir, remove_tree};
pub use find::{is_executable, not_found, on_path};
pub use follow::{Follow, follow};
pub use launch::{Go, Launched, Started, launch, prepare, run_to_end, start};
pub use look::{Found, Running, look, unnamed_files, wait};
pub use secrets::{copy_redacted, note_redacted, redacted_elsewhere, redactor};
pub use spec::{AgentSpec, Ending, ExitRecord, MARK};
pub use spool::{Cursor, SpoolLine, read_lines};
pub use stop::{kill_now, stop, stop_at_once, sweep_orphans};
pub use supervisor::supervisor_main;
