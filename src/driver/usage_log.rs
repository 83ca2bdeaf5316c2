//! What a program itself writes down of a conversation's use, where its lines do not tell, or tell it late.
use super::{file::Drive, rules::count, usage_meter::UsageMeter};
use crate::model::adapter::{Scope, UsageLog, at};
use serde_json::Value;
use std::{
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// Folders below each other that are looked through: `YEAR/MONTH/DAY` is usual.
const DEPTH: usize = 5;
/// The most that is read at once; what is before it in a longer record is passed over.
const MAX_BYTES: u64 = 64 * 1024 * 1024;

/// Reads the record of one conversation as it grows. No record, no numbers: the attempt does not fail for it.
#[derive(Debug, Default)]
pub(super) struct UsageLogReader {
    log: Option<UsageLog>,
    folder: PathBuf,
    found: Option<(String, PathBuf)>,
    /// Up to where it was read.
    at: u64,
}

impl UsageLogReader {
    /// For this attempt; idle where the table names no record.
    pub(super) fn of(drive: &Drive) -> Self {
        let log = drive.adapter.own_usage_log().cloned();
        let folder = log.as_ref().map(|log| drive.home.join(&log.folder)).unwrap_or_default();
        Self { log, folder, ..Self::default() }
    }

    /// What stands there belongs to earlier attempts. Totals are of use all the same.
    pub(super) fn skip_earlier(&mut self, usage_meter: &UsageMeter) {
        if self.log.as_ref().is_some_and(|log| log.usage.scope == Scope::Message)
            && let Some(path) = self.path(usage_meter)
        {
            self.at = fs::metadata(path).map_or(0, |meta| meta.len());
        }
    }

    /// Counts what the record of the account's conversation says since the last time; answers whether there was anything.
    pub(super) fn read(&mut self, usage_meter: &mut UsageMeter) -> bool {
        let (Some(path), Some(log)) = (self.path(usage_meter), self.log.clone()) else { return false };
        let Some(text) = self.new_lines(&path) else { return false };
        let has_numbers = |line: &Value| log.usage.input.iter().any(|path| at(line, path).is_some_and(Value::is_u64));
        let mut lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).filter(has_numbers);
        let mut counted = false;
        if log.usage.scope == Scope::Message {
            for line in lines {
                // Each has numbers: what is none beside them is the program's own affair.
                let _ = count(&log.usage, &line, usage_meter);
                counted = true;
            }
        } else if let Some(last) = lines.next_back() {
            let _ = count(&log.usage, &last, usage_meter);
            counted = true;
        }
        counted
    }

    fn path(&mut self, usage_meter: &UsageMeter) -> Option<PathBuf> {
        self.log.as_ref()?;
        let session = usage_meter.session()?;
        if self.found.as_ref().is_none_or(|(of, _)| of != session) {
            let path = find(&self.folder, session, DEPTH)?;
            (self.found, self.at) = (Some((session.to_owned(), path)), 0);
        }
        self.found.as_ref().map(|(_, path)| path.clone())
    }

    /// The whole lines that were added.
    fn new_lines(&mut self, path: &Path) -> Option<String> {
        let length = fs::metadata(path).ok().filter(fs::Metadata::is_file)?.len();
        if length <= self.at {
            return None;
        }
        let from = self.at.max(length.saturating_sub(MAX_BYTES));
        let mut file = File::open(path).ok()?;
        file.seek(SeekFrom::Start(from)).ok()?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut bytes).ok()?;
        let end = bytes.iter().rposition(|byte| *byte == b'\n')? + 1;
        bytes.truncate(end);
        self.at = from + u64::try_from(end).unwrap_or(u64::MAX);
        Some(String::from_utf8_lossy(&bytes).into_owned())
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
    use std::io::Write;

    fn reader(log: UsageLog, home: &Path) -> UsageLogReader {
        UsageLogReader { folder: home.join(&log.folder), log: Some(log), ..UsageLogReader::default() }
    }

    fn line(input: u64, output: u64) -> String {
        let used = serde_json::json!({"input_tokens": input, "output_tokens": output});
        format!("{}\n", serde_json::json!({"payload": {"info": {"total_token_usage": used}}}))
    }

    #[test]
    fn the_last_numbers_of_the_right_conversation_count_as_it_grows() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".codex/sessions/2026/01/02");
        fs::create_dir_all(&folder).unwrap();
        let own = format!("{}{}{{\"payload\":{{\"info\":null}}}}\n{{half", line(10, 1), line(30, 3));
        fs::write(folder.join("rollout-x-mine.jsonl"), own).unwrap();
        fs::write(folder.join("rollout-x-other.jsonl"), line(99, 9)).unwrap();
        for name in ["codex", "codex-acp"] {
            let log = Adapter::builtin(name).unwrap().own_usage_log().unwrap().clone();
            let mut reader = reader(log, home.path());
            let mut usage_meter = UsageMeter::new(None, None);
            assert!(!reader.read(&mut usage_meter), "no conversation yet");
            usage_meter.set_session("mine");
            assert!(reader.read(&mut usage_meter));
            let told = usage_meter.usage_line(false).unwrap();
            assert_eq!((told["input_tokens"].as_u64(), told["output_tokens"].as_u64()), (Some(30), Some(3)));
            assert!(!reader.read(&mut usage_meter), "nothing new");
        }
        let log = Adapter::builtin("codex").unwrap().own_usage_log().unwrap().clone();
        let mut reader = reader(log, home.path());
        let mut usage_meter = UsageMeter::new(None, None);
        usage_meter.set_session("mine");
        reader.read(&mut usage_meter);
        let mut file = fs::OpenOptions::new().append(true).open(folder.join("rollout-x-mine.jsonl")).unwrap();
        write!(file, "}}\n{}", line(70, 7)).unwrap();
        assert!(reader.read(&mut usage_meter));
        assert_eq!(usage_meter.usage_line(false).unwrap()["input_tokens"], 70);
    }

    #[test]
    fn messages_of_earlier_attempts_are_passed_over() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("log/s1.jsonl");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let line = |id: &str, tokens: u64| format!("{{\"id\":\"{id}\",\"in\":{tokens}}}\n");
        fs::write(&path, line("a", 5)).unwrap();
        let usage = crate::model::adapter::UsageAt {
            scope: Scope::Message,
            input: vec!["in".into()],
            id: Some("id".into()),
            ..crate::model::adapter::UsageAt::default()
        };
        let mut reader = reader(UsageLog { folder: "log".into(), usage }, home.path());
        let mut usage_meter = UsageMeter::new(None, None);
        usage_meter.set_session("s1");
        reader.skip_earlier(&usage_meter);
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "{}{}{}", line("b", 7), line("b", 8), line("c", 1)).unwrap();
        assert!(reader.read(&mut usage_meter));
        assert_eq!(usage_meter.usage_line(false).unwrap()["input_tokens"], 9);
    }
}
