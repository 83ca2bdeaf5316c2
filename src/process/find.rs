//! Finding programs as the system does, and the names of those that a shell did not find.

use std::{
    fs::Metadata,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// Where a program without a `/` in its name is: the first folder of `path` that has an executable file of this name.
/// Relative folders are taken from `cwd`.
pub fn on_path(program: &str, path: &str, cwd: &Path) -> Option<PathBuf> {
    if program.is_empty() || program.contains('/') {
        return None;
    }
    std::env::split_paths(path)
        .map(|dir| cwd.join(dir).join(program))
        .find(|file| file.metadata().is_ok_and(|meta| is_executable(&meta)))
}

/// Whether it is a file that somebody may execute.
pub fn is_executable(meta: &Metadata) -> bool {
    meta.is_file() && meta.permissions().mode() & 0o111 != 0
}

/// The program that a shell, or `env`, says it did not find: the last one that these lines name without a `/`. Only names are
/// given that stand alone: one with a `/` is a file, which somebody may have left out of a commit.
pub fn not_found(printed: &str) -> Option<String> {
    let named = |line: &str| {
        let words = [": command not found", ": not found", ": No such file or directory"];
        let rest = words.iter().find_map(|words| Some((line.strip_suffix(words)?, *words)));
        let name = match rest {
            // Files are missing as well in these words; only `env` says them of programs.
            Some((rest, ": No such file or directory")) if !is_env(rest) => return None,
            Some((rest, _)) => rest.rsplit(": ").next()?,
            None => line.rsplit_once("command not found: ").or_else(|| line.rsplit_once("Unknown command: "))?.1,
        };
        Some(name.trim_matches(|c: char| c.is_whitespace() || "'\"`‘’".contains(c)).to_owned())
    };
    let is_name = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._+-".contains(c);
        !name.is_empty() && !name.starts_with('-') && name.chars().all(plain)
    };
    printed.lines().rev().filter_map(|line| named(line.trim_end())).find(|name| is_name(name))
}

fn is_env(line: &str) -> bool {
    line.split(": ").next().is_some_and(|program| program == "env" || program.ends_with("/env"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_say_in_many_words_what_they_did_not_find() {
        let said = [
            ("sh: 1: carog: not found\n", Some("carog")),
            ("ok\nbash: line 1: carog: command not found\n", Some("carog")),
            ("/bin/sh: carog: not found", Some("carog")),
            ("zsh:1: command not found: carog", Some("carog")),
            ("fish: Unknown command: carog", Some("carog")),
            ("/usr/bin/env: ‘node’: No such file or directory", Some("node")),
            ("env: 'node': No such file or directory", Some("node")),
            ("sh: 1: ./check.sh: not found", None),
            ("cat: notes: No such file or directory", None),
            ("error: module not found", None),
            ("test a: not found, 1 failure", None),
            ("", None),
        ];
        for (printed, expected) in said {
            assert_eq!(not_found(printed).as_deref(), expected, "{printed}");
        }
    }

    #[test]
    fn programs_are_looked_up_in_order_and_relative_folders_from_where_they_run() {
        let dir = tempfile::tempdir().unwrap();
        for (place, mode) in [("a/x", 0o644), ("b/x", 0o755), ("bin/y", 0o755)] {
            let file = dir.path().join(place);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        let path = format!("{0}/a:{0}/b:bin", dir.path().display());
        assert_eq!(on_path("x", &path, dir.path()), Some(dir.path().join("b/x")));
        assert_eq!(on_path("y", &path, dir.path()), Some(dir.path().join("bin/y")));
        assert_eq!(on_path("z", &path, dir.path()), None);
        assert_eq!(on_path("b/x", &path, dir.path()), None, "a path is not looked up");
    }
}
