//! What a disk without space makes of the work on repositories.
use super::{super::Error, fixture, put};
use crate::system::shortage::Shortage;
use git2::{ErrorClass, ErrorCode};
use std::process::Command;

/// Nothing by itself: the test below runs it in a process of its own, whose files may not grow.
#[test]
fn cramped() {
    if std::env::var_os("P0_TEST_CRAMPED").is_none() {
        return;
    }
    let f = fixture(&[("a", "a\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    // Long and in no order: compressed, it is still longer than a file may be.
    let mut text = String::new();
    for n in 0..20_000_u32 {
        text.push_str(blake3::hash(&n.to_le_bytes()).to_hex().as_str());
    }
    let limit = rustix::process::Rlimit { current: Some(32 * 1024), maximum: Some(32 * 1024) };
    put(&tree, &[("long", &text)]);
    rustix::process::setrlimit(rustix::process::Resource::Fsize, limit).unwrap();
    let error = f.try_harvest("a1", &[]).unwrap_err();
    assert!(matches!(error, Error::Git { .. }), "libgit2 was to write it: {error}");
    assert_eq!(error.shortage(), Some(Shortage::Disk), "{error}");
}

#[test]
fn what_libgit2_has_no_space_for_is_known_as_that() {
    // The signal that a file is too long would end the process; ignored, it is an error.
    let exe = std::env::current_exe().unwrap();
    let script = "trap '' XFSZ; exec \"$0\" --exact git::tests::full::cramped --nocapture";
    let out = Command::new("sh").args(["-c", script]).arg(exe).env("P0_TEST_CRAMPED", "1").output().unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success() && said.contains("1 passed"), "{said}\n{}", String::from_utf8_lossy(&out.stderr));
}

#[test]
fn the_words_of_libgit2_count_only_where_they_are_the_systems() {
    let error = |class, words: &str| Error::Git {
        doing: "writing".into(),
        path: "/repo".into(),
        source: git2::Error::new(ErrorCode::GenericError, class, words),
    };
    assert_eq!(error(ErrorClass::Os, "write: No space left on device").shortage(), Some(Shortage::Disk));
    assert_eq!(error(ErrorClass::Os, "write: Disk quota exceeded").shortage(), Some(Shortage::Disk));
    assert_eq!(error(ErrorClass::Os, "open: Too many open files in system").shortage(), Some(Shortage::OpenFiles));
    assert_eq!(error(ErrorClass::Os, "write: Permission denied").shortage(), None);
    assert_eq!(error(ErrorClass::Odb, "no object 'No space left on device'").shortage(), None);
    let said = "fatal: write error: No space left on device\n";
    let git_program = Error::GitSaid { doing: "fetching".into(), path: "/repo".into(), said: said.into() };
    assert_eq!(git_program.shortage(), Some(Shortage::Disk));
    let refused = Error::UnknownRevision { rev: "No space left on device".into(), path: "/repo".into() };
    assert_eq!(refused.shortage(), None);
}
