//! The house's rules that no compiler checks: which room may import which, how long a file and a function may be, and
//! that what is generated is up to date.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What each room may import (section "Rooms" of ARCHITECTURE.md).
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("kernel", &["model"]),
    ("reader", &["model"]),
    ("journal", &["model"]),
    ("views", &["model"]),
    ("effects", &["model", "reader"]),
    ("engine", &["model", "reader", "kernel", "journal", "views", "effects"]),
    ("contract", &["model", "views"]),
    ("demo", &["model", "views"]),
    ("service", &["contract", "model", "views", "engine", "effects", "journal"]),
    ("surface", &["contract", "service", "model", "reader", "views", "engine", "effects", "journal", "demo"]),
];

/// Lines before its tests that a file may have, and the older offenders with what they have now: they may shrink, never
/// grow, and nobody may join them.
const FILE_LINES: usize = 450;
const LONGER_FILES: &[(&str, usize)] = &[("src/model/event.rs", 540)];

/// Lines that a function may have.
const FUNCTION_LINES: usize = 70;
/// These two are one exhaustive match each: splitting them would hide a forgotten arm.
const LONGER_FUNCTIONS: &[(&str, &str, usize)] =
    &[("src/kernel/evolve/mod.rs", "evolve", 104), ("src/kernel/decide/mod.rs", "apply", 82)];

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn short(path: &Path) -> String {
    path.strip_prefix(env!("CARGO_MANIFEST_DIR")).unwrap().display().to_string()
}

/// The file without its inline tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let end = text.find("\n#[cfg(test)]\nmod ").map_or(text.len(), |at| at + 1);
    text[..end].to_owned()
}

/// `crate::room` wherever it is written, also inside `use crate::{room::…, other::…}`.
fn imported_rooms(code: &str) -> Vec<String> {
    let mut rooms = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
        if let Some(group) = rest.strip_prefix('{') {
            let (mut depth, mut start, mut parts) = (1, 0, Vec::new());
            for (i, c) in group.char_indices() {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    ',' if depth == 1 => {
                        parts.push(&group[start..i]);
                        start = i + 1;
                    }
                    _ => {}
                }
                if depth == 0 {
                    parts.push(&group[start..i]);
                    break;
                }
            }
            rooms.extend(parts.iter().map(|p| word(p.trim())));
        } else {
            rooms.push(word(rest));
        }
    }
    rooms
}

#[test]
fn rooms_import_only_what_they_may() {
    let rules: BTreeMap<&str, &[&str]> = MAY_IMPORT.iter().copied().collect();
    let mut broken = Vec::new();
    for path in sources() {
        let name = short(&path);
        let room = name.trim_start_matches("src/").split(['/', '.']).next().unwrap().to_owned();
        let Some(allowed) = rules.get(room.as_str()) else { continue };
        for other in imported_rooms(&code(&path)) {
            if other != room && rules.contains_key(other.as_str()) && !allowed.contains(&other.as_str()) {
                broken.push(format!("{name} imports {other}"));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

#[test]
fn only_the_journal_knows_sled() {
    let knows: Vec<String> = sources()
        .iter()
        .filter(|p| code(p).contains("sled::"))
        .map(|p| short(p))
        .filter(|p| !p.starts_with("src/journal/"))
        .collect();
    assert_eq!(knows, Vec::<String>::new());
}

#[test]
fn the_kernel_reads_no_clock_and_has_no_async() {
    for path in sources().iter().filter(|p| short(p).starts_with("src/kernel/") || short(p).starts_with("src/model/")) {
        // The name of a kind of event may begin as the keyword does.
        let code = code(path).replace(".awaiting", "");
        for word in ["now()", "async fn", ".await", "std::fs", "std::net", "tokio::", "thread_rng", "new_v4"] {
            assert!(!code.contains(word), "{} contains {word}", short(path));
        }
    }
}

#[test]
fn files_are_short() {
    let listed: BTreeMap<&str, usize> = LONGER_FILES.iter().copied().collect();
    for path in sources() {
        let name = short(&path);
        if name.ends_with("/tests.rs") || name.ends_with("/simulation.rs") || name.contains("/tests/") {
            continue;
        }
        let lines = code(&path).lines().count();
        let limit = listed.get(name.as_str()).copied().unwrap_or(FILE_LINES);
        assert!(lines <= limit, "{name} has {lines} lines, {limit} at the most: it probably holds two rooms");
    }
}

#[test]
fn functions_are_short() {
    for path in sources() {
        let name = short(&path);
        let mut open: Option<(usize, usize, String)> = None;
        for (n, line) in code(&path).lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            let trimmed = line.trim_start();
            let starts = ["fn ", "pub fn ", "pub(crate) fn ", "pub(super) fn ", "async fn ", "pub async fn "]
                .iter()
                .any(|s| trimmed.starts_with(s))
                || trimmed.starts_with("pub(super) async fn ")
                || trimmed.starts_with("pub(crate) async fn ");
            if starts {
                let function = trimmed.split("fn ").nth(1).unwrap_or_default();
                open = Some((n, indent, function.split(['(', '<']).next().unwrap_or_default().to_owned()));
            } else if let Some((start, at, function)) = &open
                && trimmed == "}"
                && indent == *at
            {
                let lines = n - start;
                let limit = LONGER_FUNCTIONS
                    .iter()
                    .find(|(f, g, _)| *f == name && g == function)
                    .map_or(FUNCTION_LINES, |(_, _, lines)| *lines);
                assert!(lines <= limit, "{name}: {function} has {lines} lines, {limit} at the most");
                open = None;
            }
        }
    }
}

/// Rule 16 of the style: every file of the one CLI test binary is listed in its main file.
#[test]
fn every_cli_test_is_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli");
    if !folder.exists() {
        return;
    }
    let main = fs::read_to_string(folder.join("main.rs")).unwrap();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(name == "main" || main.contains(&format!("mod {name};")), "tests/cli/{name}.rs is in no test binary");
    }
}

#[test]
fn schemas_are_those_of_the_types() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let mut wanted: BTreeMap<String, String> =
        p0::model::schema::all().into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(text) = wanted.remove(&name) else { continue };
        let mend = "write them again with `cargo run -- __schemas schemas` and look at the difference";
        assert!(fs::read_to_string(&path).unwrap() == text, "schemas/{name} is not what the types say; {mend}");
    }
    assert!(wanted.is_empty(), "schemas/ lacks {:?}; `cargo run -- __schemas schemas` writes them", wanted.keys());
}
