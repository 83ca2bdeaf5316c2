//! The house's rules that no compiler checks: which room may import which, how long a file and a function may be, and
//! that what is generated is up to date.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// What each room may import (section "Rooms" of ARCHITECTURE.md).
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("kernel", &["model"]),
    ("simulation", &["model", "kernel"]),
    ("samples", &["model"]),
    ("reader", &["model"]),
    ("journal", &["model"]),
    ("views", &["model"]),
    ("codec", &["model", "journal"]),
    ("prompts", &["model", "views"]),
    ("system", &["model"]),
    ("git", &["model", "system"]),
    ("sandbox", &["model"]),
    ("process", &["model", "reader", "sandbox", "system"]),
    // It runs inside the sandbox and is trusted with nothing: it must not reach the log, a repository or a supervisor.
    ("driver", &["contract", "model", "reader", "system"]),
    (
        "engine",
        &[
            "model", "reader", "kernel", "journal", "views", "codec", "prompts", "system", "git", "sandbox", "process",
            "driver",
        ],
    ),
    ("contract", &["model", "views"]),
    ("demo", &["model", "views"]),
    ("service", &["contract", "model", "views", "engine", "system", "git", "sandbox", "process", "journal"]),
    (
        "surface",
        &[
            "contract", "service", "model", "reader", "views", "engine", "system", "git", "sandbox", "process",
            "journal", "demo",
        ],
    ),
];

/// Lines before its tests that a file may have, and the older offenders with what they have now: they may shrink, never
/// grow, and nobody may join them.
const FILE_LINES: usize = 450;
const LONGER_FILES: &[(&str, usize)] = &[("src/model/event/mod.rs", 540)];

/// Lines that a function may have.
const FUNCTION_LINES: usize = 70;
/// This is one exhaustive match: splitting it would hide a forgotten arm.
const LONGER_FUNCTIONS: &[(&str, &str, usize)] = &[("src/kernel/decide/mod.rs", "apply", 82)];

/// The repository's root.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn sources() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
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
    path.strip_prefix(root()).unwrap().display().to_string()
}

/// The file without its inline tests.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let end = text.find("\n#[cfg(test)]\nmod ").map_or(text.len(), |at| at + 1);
    text[..end].to_owned()
}

/// `crate::room` wherever it is written, also inside `use crate::{room::…, other::…}`, and `p0_room::` of a room that is
/// a crate. Within such a crate `crate::` names its own modules.
fn imported_rooms(code: &str, within_crate: bool) -> Vec<String> {
    let crates = code.match_indices("p0_").filter_map(|(at, _)| code[at + "p0_".len()..].split_once("::"));
    let mut rooms: Vec<String> =
        crates.map(|(room, _)| room.to_owned()).filter(|room| room.chars().all(|c| c.is_ascii_lowercase())).collect();
    if within_crate {
        return rooms;
    }
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
        for other in imported_rooms(&code(&path), is_crate(&room)) {
            let for_tests = ["simulation", "samples"].contains(&other.as_str());
            if for_tests && path.file_name().is_some_and(|file| file == "tests.rs") {
                continue;
            }
            if other != room && rules.contains_key(other.as_str()) && !allowed.contains(&other.as_str()) {
                broken.push(format!("{name} imports {other}"));
            }
        }
    }
    assert_eq!(broken, Vec::<String>::new());
}

/// Files of each room that import each other in a circle. They may become fewer, never more, and a room that is not
/// listed has none.
const IN_CIRCLES: &[(&str, usize)] = &[
    ("driver", 7),
    ("engine", 10),
    ("git", 8),
    ("journal", 11),
    ("kernel", 2),
    ("model", 9),
    ("process", 6),
    // A text within an object is read as lines are.
    ("reader", 2),
];

/// Whether a room is a crate of its own: its paths begin with `crate::`, those of other rooms with `crate::room::`.
fn is_crate(room: &str) -> bool {
    root().join("src").join(room).join("lib.rs").exists()
}

/// The file of a module, by its path from the crate's root: `engine::turn`.
fn modules() -> BTreeMap<String, PathBuf> {
    let named = |path: PathBuf| {
        let name = short(&path);
        let name = name
            .trim_start_matches("src/")
            .trim_end_matches(".rs")
            .trim_end_matches("/mod")
            .trim_end_matches("/lib")
            .replace('/', "::");
        (name, path)
    };
    sources().into_iter().map(named).filter(|(name, _)| name != "lib" && !name.starts_with("bin::")).collect()
}

/// The paths of a `use` tree, flat: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn flat(tree: &str) -> Vec<String> {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let path = tree.split(" as ").next().unwrap_or_default().trim();
        return vec![path.trim_end_matches("::self").to_owned()];
    };
    let (head, body) = (&tree[..open], &tree[open + 1..tree.rfind('}').unwrap_or(tree.len())]);
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, c) in body.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&body[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&body[start..]);
    let parts = parts.into_iter().map(str::trim).filter(|part| !part.is_empty());
    parts.flat_map(flat).map(|path| format!("{head}{path}").trim_end_matches("::self").to_owned()).collect()
}

/// The paths that a file names, whether in a `use` or in the middle of its code.
fn named_paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let bare: String =
        code.lines().filter(|line| !line.trim_start().starts_with("//")).map(|l| format!("{l}\n")).collect();
    // The path of a visibility is no import.
    let bare = bare.replace("(in crate::", "(in ");
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in bare.match_indices(root) {
            let before = bare[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &bare[at..];
            let is_use = bare[..at].trim_end().ends_with("use");
            let end = if is_use {
                rest.find(';')
            } else {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':'))
            };
            found.extend(flat(&rest[..end.unwrap_or(rest.len())]));
        }
    }
    // `use child::Item` of a module's own children.
    for (at, _) in bare.match_indices("use ") {
        if bare[..at].ends_with('\n') || bare[..at].ends_with("pub(crate) ") || bare[..at].ends_with("pub ") {
            let rest = &bare[at + 4..];
            found.extend(flat(&rest[..rest.find(';').unwrap_or(rest.len())]).into_iter().map(|p| format!("self::{p}")));
        }
    }
    found
}

/// The module that a path written in `from` leads to: the longest beginning of it that is one.
fn target(from: &str, path: &str, modules: &BTreeMap<String, PathBuf>) -> Option<String> {
    let mut parts: Vec<&str> = path.split("::").collect();
    let mut base: Vec<&str> = from.split("::").collect();
    match parts.first().copied() {
        Some("crate") if is_crate(base[0]) => base.truncate(1),
        Some("crate") => base.clear(),
        Some("self") => {}
        Some("super") => drop(base.pop()),
        _ => return None,
    }
    parts.remove(0);
    while parts.first() == Some(&"super") {
        base.pop();
        parts.remove(0);
    }
    let whole: Vec<&str> = base.into_iter().chain(parts).collect();
    (1..=whole.len())
        .rev()
        .map(|n| whole[..n].join("::"))
        .find(|name| modules.contains_key(name))
        .filter(|to| to != from)
}

/// Who reaches whom, in one room.
fn reached(room: &str, modules: &BTreeMap<String, PathBuf>) -> BTreeMap<String, BTreeSet<String>> {
    let own = |name: &String| name.split("::").next() == Some(room);
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, path) in modules.iter().filter(|(name, _)| own(name)) {
        let code = code(path);
        let to =
            named_paths(&code).iter().filter_map(|path| target(name, path, modules)).filter(|to| own(to)).collect();
        edges.insert(name.clone(), to);
    }
    loop {
        let before: usize = edges.values().map(BTreeSet::len).sum();
        for name in edges.keys().cloned().collect::<Vec<_>>() {
            let more: BTreeSet<String> =
                edges[&name].iter().flat_map(|next| edges.get(next).into_iter().flatten()).cloned().collect();
            edges.get_mut(&name).unwrap().extend(more);
        }
        if before == edges.values().map(BTreeSet::len).sum::<usize>() {
            return edges;
        }
    }
}

/// A circle inside a room: none of its files can be understood, moved or tested without all the others. The usual cause
/// is one small type in the wrong file.
#[test]
fn circles_of_files_inside_a_room_only_become_fewer() {
    let modules = modules();
    let rooms: BTreeSet<&str> = modules.keys().filter_map(|name| name.split("::").next()).collect();
    let mut wrong = Vec::new();
    for room in rooms {
        let reached = reached(room, &modules);
        let circle: Vec<&String> =
            reached.iter().filter(|(name, to)| to.contains(*name)).map(|(name, _)| name).collect();
        let allowed = IN_CIRCLES.iter().find(|(name, _)| *name == room).map_or(0, |(_, files)| *files);
        if circle.len() > allowed {
            wrong.push(format!("{room}: {} files in circles, {allowed} in the list: {circle:?}", circle.len()));
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "open the circle again");
}

/// Modules in a folder `name/` whose own file is `name.rs` beside it. They may become fewer, never more.
const BESIDE_THEIR_FOLDER: &[&str] = &["src/surface/cli/doctor.rs"];

/// The file of a module with modules in it is `name/mod.rs`. A file that has nothing but its tests elsewhere stays
/// `name.rs`, with `name/tests.rs`.
#[test]
fn the_file_of_a_module_stands_in_its_folder() {
    let sources = sources();
    let modules_below = |folder: &Path| sources.iter().any(|p| p.parent() == Some(folder) && !p.ends_with("tests.rs"));
    let beside: Vec<String> =
        sources.iter().filter(|p| modules_below(&p.with_extension(""))).map(|p| short(p)).collect();
    assert_eq!(beside, BESIDE_THEIR_FOLDER, "move it to mod.rs of its folder");
}

/// Files of each room that have several `use` of one crate. They may become fewer, never more, and a room that is not
/// listed has none.
const SCATTERED_IMPORTS: &[(&str, usize)] = &[];

/// Imports are one tree per crate (rustfmt's `imports_granularity = "Crate"`, which its stable form cannot enforce), and
/// what is exported again stands apart.
#[test]
fn imports_are_one_use_per_crate() {
    let mut scattered: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in sources() {
        let (mut seen, mut attribute) = (BTreeSet::new(), false);
        let text = fs::read_to_string(&path).unwrap();
        let again = text.lines().any(|line| {
            let root = line.strip_prefix("use ").and_then(|tree| tree.split([':', ' ', ';']).next());
            let again = root.is_some_and(|root| !attribute && !seen.insert(root.to_owned()));
            attribute = line.starts_with("#[");
            again
        });
        if again {
            let name = short(&path);
            let room = name.trim_start_matches("src/").split(['/', '.']).next().unwrap().to_owned();
            scattered.entry(room).or_default().push(name);
        }
    }
    for (room, files) in scattered {
        let allowed = SCATTERED_IMPORTS.iter().find(|(name, _)| *name == room).map_or(0, |(_, files)| *files);
        assert!(files.len() <= allowed, "{room}: {} files, {allowed} in the list: {files:?}", files.len());
    }
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
        if name.ends_with("/tests.rs") || name.contains("/tests/") {
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

/// A path of the API stands in the contract's table and nowhere else, and a route is made of a row of that table: what is
/// served without a row would be in no documentation, and no client would have a type for it.
#[test]
fn paths_of_the_api_stand_in_the_contract_alone() {
    const MAKE_ROUTES: &[&str] = &[".route(", ".route_service(", ".nest(", ".nest_service(", ".fallback_service("];
    let mut wrong = Vec::new();
    for path in sources() {
        let name = short(&path);
        let code = code(&path);
        let bare: Vec<&str> = code.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        if name != "src/contract/endpoints.rs" && bare.iter().any(|line| line.contains("/api/v1")) {
            wrong.push(format!("{name} writes a path of the API; take it from src/contract/endpoints.rs"));
        }
        let makes_routes = bare.iter().any(|line| MAKE_ROUTES.iter().any(|call| line.contains(call)));
        if makes_routes && name != "src/surface/route_table.rs" {
            wrong.push(format!("{name} makes a route of a path; make it of an endpoint (src/surface/route_table.rs)"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Who asks comes with each request. The user of this process is one of those who ask, and one file names it.
#[test]
fn one_file_asks_the_environment_for_the_user() {
    let asks: Vec<String> =
        sources().iter().filter(|path| code(path).contains("env::user()")).map(|path| short(path)).collect();
    assert_eq!(asks, ["src/surface/users.rs"]);
}

/// Every file of the one CLI test binary is listed in its main file.
#[test]
fn every_cli_test_is_run() {
    let folder = root().join("tests/cli");
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
    let folder = root().join("schemas");
    let mut wanted: BTreeMap<String, String> =
        p0_model::schema::all().into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(text) = wanted.remove(&name) else { continue };
        let mend = "write them again with `cargo run -- __schemas schemas` and look at the difference";
        assert!(fs::read_to_string(&path).unwrap() == text, "schemas/{name} is not what the types say; {mend}");
    }
    assert!(wanted.is_empty(), "schemas/ lacks {:?}; `cargo run -- __schemas schemas` writes them", wanted.keys());
}
