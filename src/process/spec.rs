//! What to run, and what came of it: the records that the engine and the supervisor exchange through files.

use crate::sandbox::{Applied, Confine};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, path::PathBuf};

/// Environment variable that every process of an attempt carries, with the attempt's nonce as its value. It is the
/// second net under the process tree: whoever left the tree is still known by it.
pub const MARK: &str = "P0_ATTEMPT_MARK";

/// One program to supervise. Stored as `spec.json` in the attempt's directory (mode 0600: the environment may hold a
/// token).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSpec {
    /// Program and arguments; the program is looked up in the `PATH` of `env`.
    pub argv: Vec<String>,
    /// Working directory of the program; must exist when it starts.
    pub cwd: PathBuf,
    /// The complete environment: nothing is inherited. [`MARK`] is added.
    pub env: BTreeMap<String, String>,
    /// The program is ended after so long, in milliseconds from its start.
    pub wall_limit_ms: u64,
    /// The program is ended after so long without a byte on stdout or stderr, in milliseconds.
    pub idle_limit_ms: Option<u64>,
    /// From TERM to KILL, in milliseconds.
    pub grace_ms: u64,
    /// Bytes of stdout kept; more is read and counted, so that the program never blocks on it.
    pub stdout_limit: u64,
    /// Bytes of stderr kept; more is read and counted.
    pub stderr_limit: u64,
    /// Whether lines of stdout that may be an agent's messages are kept beyond the limit, 1 MiB of them.
    #[serde(default)]
    pub keeps_messages: bool,
    /// Random, not empty, different for every attempt: ties files and processes to it.
    pub nonce: String,
    /// What it is confined to; `None` = to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confine: Option<Confine>,
    /// Regular expressions of what must not be kept either.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secret_patterns: Vec<String>,
    /// Variables whose values are secret beside those whose names say so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// Further values that are secret, each under a name: those in the logins that were handed over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub hidden: BTreeMap<String, String>,
    /// The files that hold them, as the program sees them: it may renew them. Each under its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub logins: BTreeMap<String, PathBuf>,
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "how", rename_all = "snake_case")]
pub enum Ending {
    /// By itself, with this code.
    Exited {
        /// Exit code, 0 to 255.
        code: i32,
    },
    /// By a signal that the supervisor did not send.
    Signaled {
        /// Number of the signal.
        signal: i32,
    },
    /// Ended by the supervisor at the wall limit.
    TimedOut {
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// Ended by the supervisor after so long without output.
    Idle {
        /// The limit, in milliseconds.
        limit_ms: u64,
    },
    /// Ended by the supervisor on request (SIGTERM to the supervisor).
    Stopped,
    /// The program could not be started.
    NotStarted {
        /// Why, as a sentence for a person.
        why: String,
    },
    /// Ended by the supervisor because it could not go on recording (a full disk, for example).
    Unrecordable {
        /// Why, as a sentence for a person.
        why: String,
    },
}

/// What the supervisor writes when the program and everything it started have ended; stored as `exit.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitRecord {
    /// How the program ended.
    pub ending: Ending,
    /// Whether it could not be started, or was ended, because there was no disk space for what it printed. A record of
    /// before December 2026 does not say it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_space: bool,
    /// Start of the program by the wall clock, milliseconds since 1970; absent when it did not start.
    pub started_at_ms: Option<u64>,
    /// From start to end of the program itself by the monotonic clock, in milliseconds.
    pub wall_ms: u64,
    /// Processor time of the whole tree, user and system, in milliseconds (the kernel's resolution is 10).
    pub cpu_ms: u64,
    /// Bytes written to stdout, kept or not.
    pub stdout_bytes: u64,
    /// Bytes written to stderr, kept or not.
    pub stderr_bytes: u64,
    /// Bytes in the spool file of stdout.
    pub stdout_kept: u64,
    /// Bytes in the spool file of stderr.
    pub stderr_kept: u64,
    /// Whether anything on either was not kept.
    pub truncated: bool,
    /// Whether a line of stdout that may be a message was not kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dropped_messages: bool,
    /// Processes that outlived the program and were ended by the supervisor: all that were alive when it ended by
    /// itself; only those that outlived the grace as well when it was ended on purpose.
    pub orphans: u32,
    /// Processes that were alive even after KILL (they hang in the kernel); anything but 0 deserves a look.
    pub survivors: u32,
    /// How the program was confined; `None` = it was not to be, or did not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confined: Option<Applied>,
}

impl ExitRecord {
    /// Why the program did not start or did not go on, if that was for want of disk space.
    pub fn for_want_of_space(&self) -> Option<&str> {
        match &self.ending {
            Ending::NotStarted { why } | Ending::Unrecordable { why } if self.no_space => Some(why),
            Ending::NotStarted { .. }
            | Ending::Unrecordable { .. }
            | Ending::Exited { .. }
            | Ending::Signaled { .. }
            | Ending::TimedOut { .. }
            | Ending::Idle { .. }
            | Ending::Stopped => None,
        }
    }

    /// The record of a program that could not be started.
    pub(super) fn not_started(why: String, no_space: bool) -> Self {
        Self {
            ending: Ending::NotStarted { why },
            no_space,
            started_at_ms: None,
            wall_ms: 0,
            cpu_ms: 0,
            stdout_bytes: 0,
            stderr_bytes: 0,
            stdout_kept: 0,
            stderr_kept: 0,
            truncated: false,
            dropped_messages: false,
            orphans: 0,
            survivors: 0,
            confined: None,
        }
    }
}

/// Identity of a supervisor, stored as `ready.json`. A pid alone names nobody: pids are given out again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ready {
    /// Process id of the supervisor.
    pub(super) pid: i32,
    /// Its start in clock ticks since boot (`/proc/<pid>/stat`, field 22).
    pub(super) start_ticks: u64,
    /// The boot it belongs to (`/proc/sys/kernel/random/boot_id`).
    pub(super) boot_id: String,
    /// The nonce of the specification it read.
    pub(super) nonce: String,
}
