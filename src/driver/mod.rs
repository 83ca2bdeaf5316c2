//! The driver, `p0 __drive FILE`: runs a command-line agent as its adapter's table says, and translates what it says
//! into the lines that the engine reads. To the engine it is an agent of kind `command`.
//!
//! ```text
//!  supervisor ──▶ p0 __drive FILE ──▶ the agent's program, in a process group of its own ──▶ its tools, `p0 mcp`
//!   AgentInput ──▶ stdin    stdin, arguments, files, variables ──▶
//!   lines      ◀── stdout   stdout: JSON lines, ACP or text    ◀──
//!   log        ◀── stderr   stderr, line by line               ◀──
//! ```
//!
//! It runs inside the attempt's sandbox and is trusted no more than the agent. What the agent's program writes is
//! logged as `{"native": …}`, which no protocol line can be taken for; only what the table names becomes a protocol
//! line. How an attempt ends is in its last lines and in the exit code:
//!
//! | code | meaning |
//! | --- | --- |
//! | 0 | the agent ended its turn |
//! | 1 | it failed: a `failed` or `rate_limited` line says why |
//! | 65 | the drive file or the input is wrong |
//! | 74 | a file of the attempt could not be written |
//! | 127 | the agent's program could not be started |
//! | 143 | somebody ended the driver |
//!
//! What is never in it: a decision about the work, a retry of the agent's work (a conversation that is not there any
//! more is begun anew, once), a limit of time for the agent (the supervisor has those).
//!
//! | file | what it holds |
//! | --- | --- |
//! | `file` | the drive file: [`Drive`] |
//! | `places` | where conversations took place |
//! | `plan` | the table filled in: arguments, variables, files |
//! | `prompt` | the prompt as it is handed over |
//! | `run` | from start to end, the exit code |
//! | `child` | the program: its group, its lines, its end |
//! | `stream` | dialects `lines` and `text`: the program beside its lines |
//! | `rules` | what a line means |
//! | `account` | session, usage and activity of the attempt |
//! | `error` | what an error means |
//! | `moment` | when it may be tried again |
//! | `log` | the program's stderr: errors that nothing else tells of |
//! | `out` | the lines written |
//! | `acp` | dialect `acp`: the client |
//! | `socket` | asking a person, through the attempt's socket |

mod acp;
mod attempt_client;
mod child;
mod file;
mod log;
mod out;
mod places;
mod plan;
mod prompt;
mod provider_error;
mod retry_after;
mod rules;
mod run;
mod stream;
mod usage_log;
mod usage_meter;

pub use file::{Drive, Resume, write_private};
pub use run::drive_main;
