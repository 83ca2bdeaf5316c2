//! What the program of an attempt may touch, and what it tried to.
//!
//! What it is for: to confine a program to its own worktree, git data, home and temporary folder, before its first
//! instruction and for all that comes from it, as any user, without help from outside; and to know of every try.
//!
//! Landlock decides about files, TCP ports, signals and abstract sockets. A filter of system calls reports to the
//! supervisor, which reads what a call is about and writes the forbidden ones down. It never decides what Landlock
//! decides: a process can change its arguments after they were read. What Landlock does not know it carries out itself
//! or refuses: changes of mode and owner, every connection of a socket, and, on kernels before 6.12, signals.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `spec` | the limits of one program, resolved: [`Confine`]; what came of them: [`Applied`] |
//! | `policy` | from the configuration and the attempt's places to the limits |
//! | `hidden` | what of the person's no agent reads |
//! | `kernel` | what this kernel gives: [`Kernel`] |
//! | `rules` | the limits as Landlock rules |
//! | `filter`, `system` | the filter of system calls; the calls themselves (`unsafe`, isolated) |
//! | `enter` | putting limits in force in the own process |
//! | `listener`, `caller`, `tries` | the supervisor's side: hearing of calls, reading them, remembering tries |
//! | `connect` | sockets, connected in the caller's place |
//! | `redact`, `logins` | values that must not be shown; those that stand in logins |

mod caller;
mod connect;
mod enter;
mod filter;
mod hidden;
mod kernel;
mod listener;
mod logins;
mod policy;
mod redact;
mod rules;
mod spec;
mod system;
mod tries;

pub use crate::model::sandbox::Applied;
pub use enter::limited_main;
pub(crate) use enter::{Entered, enter, wrap};
pub use kernel::Kernel;
pub(crate) use listener::Listener;
pub use logins::secrets_in_file;
pub use policy::{Places, confine, hermetic, secrets_of};
pub use redact::{Redacting, Redactor, looks_secret};
pub use rules::everything_but;
pub use spec::Confine;
pub use tries::{Tries, read_tries};
