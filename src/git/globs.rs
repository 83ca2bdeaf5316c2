//! Which paths are generated.
use super::error::Error;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::{ffi::OsStr, os::unix::ffi::OsStrExt, path::Path};

/// Compiles `[files] generated`. As in an ignore file: a pattern with a `/` before its end is anchored at the root, one
/// without is a name at any depth, and a trailing `/` means all that is in such a folder.
pub(super) fn compile(patterns: &[String]) -> Result<GlobSet, Error> {
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        let bad = |error: globset::Error| Error::BadPattern { pattern: pattern.clone(), detail: error.to_string() };
        let (stem, tail) = match pattern.strip_suffix('/') {
            Some(stem) => (stem, "/**"),
            None => (pattern.as_str(), ""),
        };
        let glob = match stem.strip_prefix('/') {
            Some(anchored) => format!("{anchored}{tail}"),
            None if stem.contains('/') => format!("{stem}{tail}"),
            None => format!("**/{stem}{tail}"),
        };
        set.add(GlobBuilder::new(&glob).literal_separator(true).build().map_err(bad)?);
    }
    set.build().map_err(|error| Error::BadPattern { pattern: patterns.join(", "), detail: error.to_string() })
}

/// Whether a path is one of them.
pub(super) fn matches(set: &GlobSet, path: &[u8]) -> bool {
    !set.is_empty() && set.is_match(Path::new(OsStr::from_bytes(path)))
}
