//! What a program itself writes down of a conversation's use, where the protocol does not tell.
use super::super::{account::Account, rules::count};
use crate::model::adapter::{UsageLog, at};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders below each other that are looked through: `YEAR/MONTH/DAY` is usual.
const DEPTH: usize = 5;
/// The largest record that is read.
const MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Counts what the record of the account's conversation says. No record, no numbers: the attempt does not fail for it.
pub(super) fn count_in(log: &UsageLog, home: &Path, account: &mut Account) {
    let Some(session) = account.session().map(str::to_owned) else { return };
    let Some(path) = find(&home.join(&log.folder), &session, DEPTH) else { return };
    if fs::metadata(&path).map_or(true, |meta| meta.len() > MAX_BYTES) {
        return;
    }
    let text = String::from_utf8_lossy(&fs::read(&path).unwrap_or_default()).into_owned();
    let has_numbers = |line: &Value| log.usage.input.iter().any(|path| at(line, path).is_some_and(Value::is_u64));
    let lines = text.lines().rev().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    if let Some(last) = lines.into_iter().find(has_numbers) {
        count(&log.usage, &last, account);
    }
}

fn find(folder: &Path, session: &str, depth: usize) -> Option<PathBuf> {
    let mut below = Vec::new();
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let kind = entry.file_type().ok()?;
        if kind.is_dir() {
            below.push(entry.path());
        } else if kind.is_file() && entry.file_name().to_string_lossy().contains(session) {
            return Some(entry.path());
        }
    }
    if depth == 0 {
        return None;
    }
    below.iter().find_map(|folder| find(folder, session, depth - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::adapter::Adapter;

    #[test]
    fn the_last_numbers_of_the_right_conversation_count() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".codex/sessions/2026/01/02");
        fs::create_dir_all(&folder).unwrap();
        let line = |input: u64, output: u64| {
            format!(
                "{{\"payload\":{{\"info\":{{\"total_token_usage\":{{\"input_tokens\":{input},\"output_tokens\":{output}}}}}}}}}\n"
            )
        };
        let own = format!("{}{}{{\"payload\":{{\"info\":null}}}}\n{{half", line(10, 1), line(30, 3));
        fs::write(folder.join("rollout-x-mine.jsonl"), own).unwrap();
        fs::write(folder.join("rollout-x-other.jsonl"), line(99, 9)).unwrap();
        let log = Adapter::builtin("codex-acp").unwrap().acp.usage_log.unwrap();
        let mut account = Account::new(None, None);
        count_in(&log, home.path(), &mut account);
        assert_eq!(account.usage_line(), None, "no conversation yet");
        account.set_session("mine");
        count_in(&log, home.path(), &mut account);
        let told = account.usage_line().unwrap();
        assert_eq!((told["input_tokens"].as_u64(), told["output_tokens"].as_u64()), (Some(30), Some(3)));
    }
}
