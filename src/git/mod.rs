//! Git: the engine's own repository, its worktrees, and landings.
//!
//! What it is for: everything p0 does with git. [`PersonRepo`] is the repository of the person, read but for objects,
//! `refs/heads/p0/…` and `refs/p0/…`; [`ProjectRepository`] is the engine's own bare repository beside it, with the pool of
//! worktrees agents and gates work in.
//!
//! What is never in it: decisions. Who owns a file, whether a conflict goes back to its agent, when a worktree may go:
//! the kernel rules, this room reports what it saw. It reads no clock and no environment, starts no process but the
//! person's git (`plumbing`), runs no hook, and removes no content without a proof that it is kept elsewhere. Every call
//! may be made again after a `kill -9` at any instruction and then gives the same answer.
//!
//! | file | what |
//! | --- | --- |
//! | `person` | finding and reading the person's repository |
//! | `project repository` | the layout of the engine's repository, making and opening it, runs |
//! | `pool` | worktrees: taking, adopting, releasing, pruning |
//! | `slot` | what is on disk for one worktree of the pool |
//! | `populate` | moving a worktree to a commit, touching only what differs |
//! | `scan` | the content of a working directory against a tree |
//! | `compare` | a working directory against a tree as git would: ignored, converted, owned |
//! | `convert` | conversions between blobs and files, made by the person's git |
//! | `cache` | the engine's stat cache of a worktree (a git index the agent cannot reach) |
//! | `harvest` | an attempt's result as one commit and a report |
//! | `globs` | which paths are generated |
//! | `markers` | conflict markers that an attempt left behind |
//! | `facts` | what a tree has at the paths that a ticket is to own |
//! | `partial` | fetching what a partial clone has not got |
//! | `merge` | in-memory merge, landing commits, diffs between commits |
//! | `land` | landing and parking in the person's repository |
//! | `checkouts` | where a branch is checked out, and moving such a checkout with it |
//! | `anchors` | a list of lines under a ref, which only grows |
//! | `objects` | writing and copying objects durably |
//! | `tree` | trees as flat lists and back |
//! | `plumbing` | running the person's git |
//! | `handle`, `disk` | opening repositories with the engine's configuration; durable files |
mod anchors;
mod cache;
mod checkouts;
mod compare;
mod convert;
mod disk;
mod error;
mod facts;
mod globs;
mod handle;
mod harvest;
mod land;
mod markers;
mod merge;
mod objects;
mod partial;
mod person;
mod plumbing;
mod pool;
mod populate;
mod repository;
mod scan;
mod slot;
mod tree;

#[cfg(test)]
mod tests;

pub use anchors::{append_line, read_lines};
pub use error::Error;
pub use harvest::{Change, ChangeKind, Harvest, HarvestOptions};
pub use land::Landing;
pub use merge::{DiffStat, Merge};
pub use person::{Identity, PersonRepo};
pub use pool::Safe;
pub use repository::ProjectRepository;
