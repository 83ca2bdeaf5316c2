//! What an attempt must not show: the secrets of its environment, as its specification has them, and what was left out
//! where its directory is the only place to remember it.

use super::{
    error::{Error, io_error},
    files::{AttemptDir, create_private},
};
use crate::sandbox::{Redactor, secrets_in_file};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Knows the secrets of the attempt in `dir`, and those that its program put into its logins since; none where there is
/// no specification, and takes everything for one where the specification cannot be read.
pub fn redactor(dir: &Path) -> Redactor {
    let spec = match AttemptDir::new(dir).read_spec() {
        Ok(spec) => spec,
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => return Redactor::default(),
        Err(why) => {
            tracing::warn!("nothing that this attempt says or prints is kept: {why}");
            return Redactor::of_everything();
        }
    };
    let renewed = spec.logins.iter().flat_map(|(name, path)| secrets_in_file(name, path));
    Redactor::of(&spec.env, &spec.secrets).and(spec.hidden.clone()).and(renewed).with_patterns(&spec.secret_patterns)
}

/// Copies the output of the attempt in `dir` without its secrets; answers where the copy is.
///
/// # Errors
/// Reading or writing failed.
pub fn copy_redacted(dir: &Path, redactor: &Redactor, counts: &mut BTreeMap<String, u64>) -> Result<PathBuf, Error> {
    let (from, to) = (AttemptDir::new(dir).stdout(), dir.join("stdout.kept"));
    let source = File::open(&from).map_err(io_error("open the output", &from))?;
    let copied = redactor.copy(source, create_private(&to)?).map_err(io_error("copy the output", &to))?;
    for (name, times) in copied {
        *counts.entry(name).or_default() += times;
    }
    Ok(to)
}

/// Remembers that a secret was left out of what an attempt said elsewhere than in its output. What cannot be written
/// down is left out all the same.
pub fn note_redacted(dir: &Path, counts: &BTreeMap<String, u64>) {
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(dir.join("redacted.jsonl"));
    if let (Ok(mut file), Ok(mut line)) = (opened, serde_json::to_vec(counts)) {
        line.push(b'\n');
        let _ = file.write_all(&line);
    }
}

/// How often which secret was left out elsewhere.
pub fn redacted_elsewhere(dir: &Path) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in fs::read_to_string(dir.join("redacted.jsonl")).unwrap_or_default().lines() {
        for (name, times) in serde_json::from_str::<BTreeMap<String, u64>>(line).unwrap_or_default() {
            *counts.entry(name).or_default() += times;
        }
    }
    counts
}
