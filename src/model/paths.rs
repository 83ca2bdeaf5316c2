//! What a tree has at the paths that a ticket is to own, and what follows from it.
use super::files::Files;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest name of a file or folder that file systems hold, in bytes.
const LONGEST_NAME: usize = 255;
/// The longest path that a system call takes, in bytes; the worktree's own path comes before it.
const LONGEST_PATH: usize = 3500;

/// What stands at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Found {
    /// Nothing.
    Missing,
    /// A file or a symbolic link.
    File,
    /// A folder.
    Folder,
    /// Nothing, and a part of the path is a file or a symbolic link.
    BelowFile {
        /// That part.
        file: String,
    },
    /// A submodule, or a path inside one.
    Submodule {
        /// The submodule.
        submodule: String,
    },
}

/// One listed path, compared with a tree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PathFact {
    /// As it is listed, with its trailing `/` if it has one.
    pub path: String,
    /// What the tree has there.
    #[serde(flatten)]
    pub found: Found,
    /// git ignores it, and the tree has nothing there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignored: bool,
    /// A path of the tree that differs from it in upper and lower case alone; `None` = there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_case: Option<String>,
}

impl PathFact {
    /// Why no ticket with `files` can land this path, as a sentence without the path's subject; `None` = it can.
    pub fn refusal(&self, files: &Files) -> Option<String> {
        let path = &self.path;
        if let Some(why) = impossible(path) {
            return Some(format!("'{path}' {why}"));
        }
        let bare = path.trim_end_matches('/');
        let folder = path.ends_with('/');
        let replaced = |other: &str| files.all().any(|owned| owned == other);
        match &self.found {
            Found::Submodule { submodule } if submodule == bare => Some(format!(
                "'{path}' is a submodule: its files belong to another repository, and a commit made in it lands nowhere; \
                 leave it to the person"
            )),
            Found::Submodule { submodule } => Some(format!(
                "'{path}' is inside the submodule '{submodule}', whose files belong to another repository; leave it out"
            )),
            Found::Folder if !folder && !replaced(&format!("{path}/")) => {
                Some(format!("'{path}' is a folder: write '{path}/' for all that is in it, or name its files"))
            }
            Found::File if folder && !replaced(bare) => {
                Some(format!("'{path}' is listed as a folder, and '{bare}' is a file: write it without the '/'"))
            }
            Found::BelowFile { file } if !files.cover(file) => Some(format!(
                "'{path}' cannot be: '{file}' is a file, not a folder; list '{file}' too if the ticket replaces it"
            )),
            Found::Missing if folder && self.ignored => Some(format!(
                "git ignores '{path}', so nothing in it lands: name its files one by one if they are meant to land"
            )),
            Found::Missing | Found::File | Found::Folder | Found::BelowFile { .. } => None,
        }
    }

    /// What is odd about it and works all the same: a sentence for those who read the ticket.
    pub fn oddity(&self, files: &Files) -> Option<String> {
        let path = &self.path;
        if let Some(other) = &self.other_case {
            return Some(format!(
                "'{path}' differs from '{other}' in upper and lower case alone; some file systems hold only one of them"
            ));
        }
        let created = files.create.contains(path);
        match self.found {
            Found::File if created => Some(format!("'{path}' is listed under create, and it is there already")),
            Found::Missing if !created && !path.ends_with('/') => {
                Some(format!("'{path}' is listed under modify, and there is no such file"))
            }
            Found::Missing | Found::File | Found::Folder | Found::BelowFile { .. } | Found::Submodule { .. } => None,
        }
    }

    /// Whether the fact changes anything for a ticket with `files`.
    pub fn matters(&self, files: &Files) -> bool {
        self.refusal(files).is_some() || self.oddity(files).is_some()
    }
}

/// Why no tree or no file system can hold this path, after its subject; `None` = it can.
pub fn impossible(path: &str) -> Option<String> {
    if path.len() > LONGEST_PATH {
        return Some(format!("has {} bytes, more than the {LONGEST_PATH} that a path may have", path.len()));
    }
    let parts = path.trim_end_matches('/').split('/');
    parts.into_iter().find_map(|part| {
        if part.len() > LONGEST_NAME {
            let start: String = part.chars().take(20).collect();
            return Some(format!(
                "has the name '{start}…' of {} bytes in it; file systems hold {LONGEST_NAME}",
                part.len()
            ));
        }
        if part.contains('\0') {
            return Some("has a NUL byte in it, which no file name can hold".into());
        }
        is_gits_own(part).then(|| format!("has '{part}' in it, which file systems take for git's own folder"))
    })
}

/// Whether a name is `.git` to some file system: in other case, as a short name, with characters that are not seen, or
/// with an ending that is cut.
pub fn is_gits_own(name: &str) -> bool {
    // What macOS leaves out of names when it compares them.
    let unseen =
        |c: char| matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}');
    let plain: String = name.chars().filter(|c| !unseen(*c)).collect::<String>().to_ascii_lowercase();
    // What Windows cuts: a stream's name, then dots and spaces at the end.
    let plain = plain.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    matches!(plain, ".git" | "git~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(create: &[&str], modify: &[&str]) -> Files {
        let list = |paths: &[&str]| paths.iter().map(|p| (*p).to_owned()).collect();
        Files { create: list(create), modify: list(modify) }
    }

    fn fact(path: &str, found: Found) -> PathFact {
        PathFact { path: path.into(), found, ignored: false, other_case: None }
    }

    #[test]
    fn what_cannot_land_is_refused_with_the_way_out() {
        let refused = |path: &str, found: Found, of: &Files| fact(path, found).refusal(of).unwrap_or_default();
        let own = files(&[], &["src", "a/", "b/x", "lib", "lib/x"]);
        assert!(refused("src", Found::Folder, &own).contains("'src/'"));
        assert!(refused("a/", Found::File, &own).contains("without the '/'"));
        assert!(refused("b/x", Found::BelowFile { file: "b".into() }, &own).contains("'b' is a file"));
        for path in ["lib", "lib/x"] {
            assert!(refused(path, Found::Submodule { submodule: "lib".into() }, &own).contains("submodule"), "{path}");
        }
        let ignored = PathFact { ignored: true, ..fact("out/", Found::Missing) };
        assert!(ignored.refusal(&own).unwrap().contains("ignores 'out/'"));
        let forced = PathFact { ignored: true, ..fact("out/x", Found::Missing) };
        assert_eq!(forced.refusal(&own), None, "a file that is named lands, as `git add -f` would take it");
    }

    #[test]
    fn what_a_ticket_replaces_is_no_error() {
        let replaces = files(&["src", "b/x"], &["src/", "b"]);
        assert_eq!(fact("src", Found::Folder).refusal(&replaces), None);
        assert_eq!(fact("b/x", Found::BelowFile { file: "b".into() }).refusal(&replaces), None);
        assert_eq!(fact("x/", Found::File).refusal(&files(&["x/"], &["x"])), None);
    }

    #[test]
    fn oddities_are_told_and_refuse_nothing() {
        let of = files(&["there"], &["gone", "new/", "Readme.md"]);
        let odd = |fact: PathFact| {
            assert_eq!(fact.refusal(&of), None);
            fact.oddity(&of).unwrap_or_default()
        };
        assert!(odd(fact("there", Found::File)).contains("there already"));
        assert!(odd(fact("gone", Found::Missing)).contains("no such file"));
        assert_eq!(odd(fact("new/", Found::Missing)), "");
        let other = PathFact { other_case: Some("README.md".into()), ..fact("Readme.md", Found::Missing) };
        assert!(odd(other).contains("case alone"));
    }

    #[test]
    fn names_that_nothing_can_hold() {
        let long = "x".repeat(256);
        for bad in [
            long.as_str(),
            &format!("a/{long}/b"),
            &"a/".repeat(2000),
            "a\0b",
            "x/.GIT/y",
            ".git ",
            ".git.",
            ".git::$INDEX_ALLOCATION",
            "GIT~1/x",
            ".g\u{200c}it/config",
        ] {
            assert!(impossible(bad).is_some(), "{bad:?}");
        }
        for good in [&"x".repeat(255), ".github/x", ".gitignore", "git", "a b/c", "git~2", ".git2/"] {
            assert_eq!(impossible(good), None, "{good}");
        }
    }

    #[test]
    fn a_fact_reads_back_as_it_was_written() {
        let fact = PathFact { ignored: true, ..fact("a/b", Found::BelowFile { file: "a".into() }) };
        let text = serde_json::to_string(&fact).unwrap();
        assert_eq!(text, r#"{"path":"a/b","is":"below_file","file":"a","ignored":true}"#);
        assert_eq!(serde_json::from_str::<PathFact>(&text).unwrap(), fact);
    }
}
