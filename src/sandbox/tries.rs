//! What a program tried and was not let: remembered once each, with a count, and bounded.

use crate::model::sandbox::Denied;
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::Path,
};

/// Different tries that are remembered.
const MOST: usize = 200;
/// Bytes of a path that are remembered.
const PATH_BYTES: usize = 1024;
/// What the tries above [`MOST`] are counted as.
const OTHER: &str = "other";

/// All of them, in the order of the first time.
#[derive(Clone, Debug, Default)]
pub struct Tries {
    list: Vec<Denied>,
    index: HashMap<(String, String), usize>,
    others: u64,
}

impl Tries {
    /// Remembers one.
    pub fn note(&mut self, operation: &str, path: &str) {
        let end = (0..=PATH_BYTES.min(path.len())).rev().find(|at| path.is_char_boundary(*at)).unwrap_or(0);
        let path = one_of_all(path.get(..end).unwrap_or_default());
        let key = (operation.to_owned(), path.clone());
        if let Some(known) = self.index.get(&key).and_then(|at| self.list.get_mut(*at)) {
            known.times += 1;
        } else if self.list.len() < MOST {
            self.index.insert(key, self.list.len());
            self.list.push(Denied { operation: operation.to_owned(), path, times: 1 });
        } else {
            self.others += 1;
        }
    }

    /// The list; what is over its limit is counted in one last entry.
    pub fn all(&self) -> Vec<Denied> {
        let mut all = self.list.clone();
        if self.others > 0 {
            let path = format!("more than {MOST} different tries");
            all.push(Denied { operation: OTHER.to_owned(), path, times: self.others });
        }
        all
    }

    /// The list as JSON lines.
    pub(crate) fn write(&self, mut to: impl Write) -> std::io::Result<()> {
        for tried in self.all() {
            serde_json::to_writer(&mut to, &tried)?;
            to.write_all(b"\n")?;
        }
        to.flush()
    }
}

/// Programs walk through all processes of a machine: what they look for there is one try, whatever the numbers.
fn one_of_all(path: &str) -> String {
    let Some((number, rest)) = path.strip_prefix("/proc/").and_then(|rest| rest.split_once('/')) else {
        return path.to_owned();
    };
    let is_process = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    if is_process { format!("/proc/PID/{rest}") } else { path.to_owned() }
}

/// Reads what a supervisor wrote down. What is not there or not readable is no try.
pub fn read_tries(path: &Path) -> Vec<Denied> {
    let Ok(file) = std::fs::File::open(path) else { return Vec::new() };
    BufReader::new(file).lines().map_while(Result::ok).filter_map(|line| serde_json::from_str(&line).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_through_all_processes_is_one_try() {
        let mut tries = Tries::default();
        for n in 1..300 {
            tries.note("read", &format!("/proc/{n}/environ"));
        }
        tries.note("read", "/proc/self/x");
        tries.note("write", "/home/me/outside.txt");
        let all: Vec<(String, u64)> = tries.all().into_iter().map(|it| (it.path, it.times)).collect();
        let expected = [("/proc/PID/environ", 299), ("/proc/self/x", 1), ("/home/me/outside.txt", 1)];
        assert_eq!(all, expected.map(|(path, times)| (path.to_owned(), times)));
    }

    #[test]
    fn the_same_try_is_counted_and_a_flood_is_bounded() {
        let mut tries = Tries::default();
        for n in 0..1000 {
            tries.note("write", "/etc/passwd");
            tries.note("read", &format!("/data/{n}"));
        }
        tries.note("read", &"ü".repeat(5000));
        let all = tries.all();
        assert_eq!(all.len(), MOST + 1);
        assert_eq!((all[0].path.as_str(), all[0].times), ("/etc/passwd", 1000));
        assert_eq!(all[MOST].times, 1000 - (MOST as u64 - 1) + 1);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("denied.jsonl");
        tries.write(std::fs::File::create(&path).unwrap()).unwrap();
        assert_eq!(read_tries(&path), all);
        assert!(read_tries(&dir.path().join("none")).is_empty());
    }
}
