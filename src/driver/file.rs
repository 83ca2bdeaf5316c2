//! The drive file: what the engine tells the driver beside the agent's input.
use crate::model::{adapter::Adapter, permission::Permissions};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// One attempt's drive file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drive {
    /// The table, resolved.
    pub adapter: Adapter,
    /// The program and what always comes first; the table's own when empty.
    #[serde(default)]
    pub program: Vec<String>,
    /// The model; the program's usual one when not given.
    #[serde(default)]
    pub model: Option<String>,
    /// The system prompt.
    #[serde(default)]
    pub system: Option<String>,
    /// The conversation to go on with.
    #[serde(default)]
    pub session: Option<Resume>,
    /// The attempt's worktree.
    pub worktree: PathBuf,
    /// Its home.
    pub home: PathBuf,
    /// Its folder for temporary files.
    pub temp: PathBuf,
    /// The p0 binary.
    pub p0: PathBuf,
    /// What is done about requests for permission that no rule decides.
    #[serde(default)]
    pub permissions: Permissions,
    /// Bytes of the program's own output that go into the log; no limit when absent.
    #[serde(default)]
    pub log_bytes: Option<u64>,
    /// Whether there is a budget: what was used is told at once then.
    #[serde(default)]
    pub budgeted: bool,
    /// The person's own arguments.
    #[serde(default)]
    pub extra_args: Vec<String>,
}

/// A conversation to go on with, and what it had used when it was left, as the program counts it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resume {
    /// Its id.
    pub session: String,
    /// Tokens read.
    pub input_tokens: u64,
    /// Tokens written.
    pub output_tokens: u64,
    /// The cached ones of those read.
    pub cached_tokens: u64,
    /// US dollars.
    pub cost_usd: f64,
}

/// Writes a file of an attempt, and makes its folders. It may hold the token: it is for its owner only.
///
/// # Errors
/// Those of the file system.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    // Written anew: whatever stands there now keeps its own rights, or is a link to somewhere else.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
}
