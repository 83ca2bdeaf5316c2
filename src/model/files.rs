//! The files a ticket owns, as literal paths relative to the repository's root.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a ticket may create and modify. A path that ends in `/` is a folder and all that is below it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// Paths the ticket will add.
    pub create: Vec<String>,
    /// Paths the ticket will change or delete.
    pub modify: Vec<String>,
}

impl Files {
    /// Every path of both lists.
    pub fn all(&self) -> impl Iterator<Item = &str> {
        self.create.iter().chain(&self.modify).map(String::as_str)
    }

    /// Whether no path is listed.
    pub fn is_empty(&self) -> bool {
        self.create.is_empty() && self.modify.is_empty()
    }

    /// Whether `path` (a file) is one of these, or below one of these folders.
    pub fn cover(&self, path: &str) -> bool {
        self.all().any(|owned| covers(owned, path))
    }

    /// The first path that both own, if any; of a folder and a file below it, the file.
    pub fn overlap(&self, other: &Files) -> Option<String> {
        self.all().find_map(|a| {
            other.all().find_map(|b| {
                if covers(a, b) {
                    Some(b.to_owned())
                } else if covers(b, a) {
                    Some(a.to_owned())
                } else {
                    None
                }
            })
        })
    }

    /// The first path that cannot be a file inside a repository, with the reason.
    pub fn first_bad(&self) -> Option<(String, &'static str)> {
        self.all().find_map(|path| bad_path(path).map(|why| (path.to_owned(), why)))
    }
}

fn covers(owned: &str, path: &str) -> bool {
    owned == path || (owned.ends_with('/') && path.starts_with(owned))
}

fn bad_path(path: &str) -> Option<&'static str> {
    if path.trim_end_matches('/').is_empty() {
        return Some("it names the whole repository or nothing; list folders and files");
    }
    if path.starts_with('/') || path.contains('\\') || path.contains('\0') {
        return Some("it must be relative to the repository's root, with forward slashes");
    }
    for part in path.trim_end_matches('/').split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return Some("it must be written without empty, '.' or '..' parts");
        }
        if part.eq_ignore_ascii_case(".git") {
            return Some("git's own data belongs to nobody");
        }
        if part.contains(['*', '?']) {
            return Some("lists are literal: write a folder with a trailing '/' instead of a pattern");
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modify(paths: &[&str]) -> Files {
        Files { create: vec![], modify: paths.iter().map(|p| (*p).to_owned()).collect() }
    }

    #[test]
    fn folders_cover_what_is_below_them_and_nothing_else() {
        let files = modify(&["src/api/", "README.md"]);
        assert!(files.cover("src/api/mod.rs") && files.cover("README.md"));
        assert!(!files.cover("src/api") && !files.cover("src/apis.rs") && !files.cover("README.md/x"));
        assert_eq!(files.overlap(&modify(&["src/api/x.rs"])), Some("src/api/x.rs".into()));
        assert_eq!(modify(&["src/"]).overlap(&files), Some("src/api/".into()));
        assert_eq!(files.overlap(&modify(&["src/apix"])), None);
    }

    #[test]
    fn paths_that_leave_the_repository_are_bad() {
        for bad in
            ["", "/", "/etc/passwd", "../x", "a/../b", "a//b", ".git/config", "a/.GIT/x", "src/*.rs", "a\\b", "./a"]
        {
            assert!(modify(&[bad]).first_bad().is_some(), "{bad}");
        }
        for good in ["a", "a/b.c", "src/", ".github/ci.yml", "a b/c"] {
            assert_eq!(modify(&[good]).first_bad(), None, "{good}");
        }
    }
}
