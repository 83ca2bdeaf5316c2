//! Whether p0 can work where it was put: paths, the data directory, the limit of open files.
use super::problem::{Kind, Problem};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::path::{Path, PathBuf};

/// Open files that an engine with one attempt needs.
const FEWEST_FILES: u64 = 128;
/// Open files that are asked for where the limit can be raised.
const USUAL_FILES: u64 = 1024;

/// Refuses paths that cannot stand in the files and messages that name them: git keeps them in lines, and the log in
/// UTF-8. `what` is whose path it is.
pub(crate) fn check(what: &str, path: &Path) -> Result<(), Problem> {
    let why = match path.to_str() {
        None => "is not UTF-8",
        Some(text) if text.contains(char::is_control) => "has a line break or another control character in it",
        Some(_) => return Ok(()),
    };
    let text = format!("the path of {what} {why}: {:?}", path.to_string_lossy());
    Err(Problem::new(Kind::Config, text).hint("rename that folder, or use another one"))
}

/// Refuses a data directory that cannot be one.
pub(crate) fn check_data_dir(path: &Path) -> Result<(), Problem> {
    let other = "rename that folder, or name another one with --data-dir or P0_DATA_DIR";
    check("the data directory", path).map_err(|problem| problem.hint(other))?;
    let refused = |text: String| {
        Err(Problem::new(Kind::Config, text).hint("name a folder with --data-dir or P0_DATA_DIR; p0 makes it"))
    };
    for place in path.ancestors() {
        let Ok(meta) = std::fs::symlink_metadata(place) else { continue };
        return match place.metadata() {
            Ok(found) if found.is_dir() => Ok(()),
            Ok(_) if place == path => refused(format!("the data directory {} is not a folder", path.display())),
            Ok(_) => {
                refused(format!("the data directory {} cannot be: {} is not a folder", path.display(), place.display()))
            }
            Err(_) if meta.is_symlink() => refused(format!(
                "the data directory {} cannot be: {} is a link to {}, which is not there",
                path.display(),
                place.display(),
                std::fs::read_link(place).unwrap_or_default().display()
            )),
            // Whoever may not look there will be told by the system.
            Err(_) => Ok(()),
        };
    }
    Ok(())
}

/// Asks for as many open files as are usual, where fewer are allowed and more can be had, and refuses to begin with too
/// few.
pub(crate) fn check_open_files() -> Result<(), Problem> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let wanted = maximum.unwrap_or(u64::MAX).min(USUAL_FILES);
    let has = match current {
        Some(current) if current < wanted => {
            let raised = Rlimit { current: Some(wanted), maximum };
            if setrlimit(Resource::Nofile, raised).is_ok() { wanted } else { current }
        }
        Some(current) => current,
        None => u64::MAX,
    };
    if has >= FEWEST_FILES {
        return Ok(());
    }
    let text = format!("only {has} files may be open at the same time (RLIMIT_NOFILE), and p0 needs {FEWEST_FILES}");
    Err(Problem::new(Kind::Config, text).hint(MORE_FILES))
}

/// A program of this installation: beside the one that runs now.
pub(crate) fn sibling(name: &str) -> Result<PathBuf, Problem> {
    let own = std::env::current_exe()
        .map_err(|e| Problem::new(Kind::General, format!("finding this program's own file: {e}")))?;
    // Whatever this file is called, it is `p0` unless it is `p0d`.
    let is_daemon = own.file_stem().is_some_and(|stem| stem == "p0d");
    if name == "p0" && !is_daemon { Ok(own) } else { Ok(own.with_file_name(name)) }
}

/// What to do when there are too few.
pub(crate) const MORE_FILES: &str =
    "raise the limit of open files: `ulimit -n 4096`, LimitNOFILE= of a systemd service, or /etc/security/limits.conf";

/// What to do about a problem whose words come from the system: too many open files.
pub(crate) fn hint_for(detail: &str) -> Option<&'static str> {
    let too_many = ["os error 24", "os error 23", "Too many open files"];
    too_many.iter().any(|words| detail.contains(words)).then_some(MORE_FILES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

    #[test]
    fn paths_that_lines_and_text_cannot_hold_are_refused() {
        for bad in ["/a\nb".as_bytes(), b"/a\tb", b"/a\x7f", b"/a\xffb"] {
            let problem = check("the repository", Path::new(OsStr::from_bytes(bad))).unwrap_err();
            assert_eq!(problem.kind, Kind::Config);
            assert!(!problem.detail.contains('\n') && problem.hint.is_some(), "{problem}");
        }
        for good in ["/a b", "/ä\"'", "/a:b"] {
            assert_eq!(check("it", Path::new(good)), Ok(()));
        }
    }

    #[test]
    fn what_is_no_folder_is_no_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink(at("nowhere"), at("link")).unwrap();
        std::os::unix::fs::symlink(dir.path(), at("good")).unwrap();
        for (bad, why) in [
            (at("file"), "is not a folder"),
            (at("file/below"), "is not a folder"),
            (at("link"), "which is not there"),
            (at("link/below"), "which is not there"),
            ("/dev/null".into(), "is not a folder"),
        ] {
            let problem = check_data_dir(&bad).unwrap_err();
            assert!(problem.detail.contains(why), "{problem}");
        }
        for good in [at("new"), at("new/below"), at("good"), dir.path().into()] {
            assert_eq!(check_data_dir(&good), Ok(()), "{}", good.display());
        }
    }

    #[test]
    fn too_many_open_files_has_a_hint() {
        assert!(hint_for("opening /x: Too many open files (os error 24)").unwrap().contains("ulimit -n"));
        assert_eq!(hint_for("opening /x: No such file or directory (os error 2)"), None);
    }
}
