//! Paths that tickets list, and what of them lands: what is owned, ignored, generated, marked.
use super::{super::Safe, fixture, git, put, summary};
use crate::model::{
    files::Files,
    paths::{Found, PathFact},
};
use std::fs;

#[test]
fn listed_paths_are_compared_with_the_tree() {
    let f = fixture(&[("src/x", "x\n"), ("README.md", "r\n"), ("lib.rs", "l\n"), (".gitignore", "*.log\nout/\n")]);
    git(&f.repo, &["update-index", "--add", "--cacheinfo", &format!("160000,{},vendor/sub", f.head)]);
    git(&f.repo, &["commit", "-qm", "submodule"]);
    let head = git(&f.repo, &["rev-parse", "HEAD"]);
    f.shop.checkout("a1", &head).unwrap();
    let list = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>();
    let files = Files {
        create: list(&["new.rs", "src/x", "Src/y", "deep/new/file", "a.log", "out/", "vendor/sub/in", "lib.rs/below"]),
        modify: list(&["lib.rs", "src", "src/", "readme.MD", "gone", "vendor/sub"]),
    };
    let facts = f.shop.path_facts("a1", &head, &[&files]).unwrap();
    let fact = |path: &str, found| PathFact { path: path.into(), found, ignored: false, other_case: None };
    let submodule = || Found::Submodule { submodule: "vendor/sub".into() };
    let expected = [
        fact("src/x", Found::File),
        PathFact { other_case: Some("src".into()), ..fact("Src/y", Found::Missing) },
        PathFact { ignored: true, ..fact("out/", Found::Missing) },
        fact("vendor/sub/in", submodule()),
        PathFact { other_case: Some("README.md".into()), ..fact("readme.MD", Found::Missing) },
        fact("gone", Found::Missing),
        fact("vendor/sub", submodule()),
    ];
    assert_eq!(facts, expected, "`lib.rs/below` and `src` are what the ticket says it replaces");
    let alone = Files { create: vec![], modify: list(&["src", "lib.rs/below"]) };
    let found: Vec<Found> = f.shop.path_facts("a1", &head, &[&alone]).unwrap().into_iter().map(|f| f.found).collect();
    assert_eq!(found, [Found::Folder, Found::BelowFile { file: "lib.rs".into() }]);
    let persons = f.shop.person().path_facts(&head, &[&files]).unwrap();
    assert_eq!(persons, expected, "the person's repository says the same");
}

#[test]
fn what_is_named_lands_though_git_ignores_it_or_a_pattern_calls_it_generated() {
    let f = fixture(&[
        ("build/rules.mk", "1\n"),
        ("Cargo.lock", "1\n"),
        ("yarn.lock", "1\n"),
        (".gitignore", "*.log\nout/\n"),
    ]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    put(&tree, &[("build/rules.mk", "2\n"), ("build/made", "m\n"), ("Cargo.lock", "2\n"), ("yarn.lock", "2\n")]);
    put(&tree, &[("fixture.log", "f\n"), ("other.log", "o\n"), ("out/deep/kept", "k\n"), ("out/junk", "j\n")]);
    put(&tree, &[("src/a.log", "a\n"), ("src/x", "x\n"), ("src/gen/y", "y\n")]);
    let owned = ["build/rules.mk", "Cargo.lock", "fixture.log", "out/deep/kept", "src/"];
    let harvest = f.harvest_owned("a1", &owned, &["build/", "*.lock", "gen/"], &[]);
    assert_eq!(
        summary(&harvest),
        ["Modified Cargo.lock", "Modified build/rules.mk", "Added fixture.log", "Added out/deep/kept", "Added src/x",]
    );
    assert_eq!(harvest.dropped, ["build/made", "src/gen/y", "yarn.lock"]);
    assert_eq!(
        harvest.left_out,
        [
            "src/a.log (git ignores it)",
            "src/gen/y (generated, as [files] generated says)",
            "yarn.lock (generated, as [files] generated says)",
        ],
        "what is neither owned nor tracked is nobody's loss"
    );
    f.shop.release("a1", Safe::Commit(harvest.commit.as_deref().unwrap())).unwrap();
    let next = f.shop.checkout("a2", harvest.commit.as_deref().unwrap()).unwrap();
    assert_eq!(fs::read_to_string(next.join("out/deep/kept")).unwrap(), "k\n");
}

#[test]
fn an_owned_folder_that_is_generated_as_a_whole_lands() {
    let f = fixture(&[("dist/site.css", "1\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    put(&tree, &[("dist/site.css", "2\n"), ("dist/new.css", "n\n"), ("dist/x.pyc", "p\n")]);
    let harvest = f.harvest_owned("a1", &["dist/"], &["dist/"], &[]);
    assert_eq!(summary(&harvest), ["Added dist/new.css", "Modified dist/site.css", "Added dist/x.pyc"]);
    let harvest = f.harvest_owned("a1", &["dist/"], &["*.pyc"], &[]);
    assert_eq!(summary(&harvest), ["Added dist/new.css", "Modified dist/site.css"], "a kind of file is not the folder");
}

#[test]
fn only_conflicts_that_an_attempt_made_count() {
    let marked = |side: &str| format!("<<<<<<< {side}\na\n=======\nb\n>>>>>>> theirs\n");
    let f = fixture(&[("manual", &marked("HEAD")), ("moved", &marked("moved")), ("plain", "p\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    put(&tree, &[("manual", &format!("more\n{}", marked("ours"))), ("plain", &marked("HEAD"))]);
    fs::remove_file(tree.join("moved")).unwrap();
    put(&tree, &[("elsewhere", &format!("edited\n{}", marked("moved")))]);
    put(&tree, &[("headings.md", "Title\n=======\n\nOther\n=======\n"), ("mail", ">>>>>>> quoted\n<<<<<<< x\n")]);
    put(&tree, &[("docs/merge.rst", &marked("HEAD")), ("two", &format!("{}{}", marked("a"), marked("b")))]);
    put(&tree, &[("half", "<<<<<<< HEAD\na\n>>>>>>> theirs\n"), ("crlf", &marked("HEAD").replace('\n', "\r\n"))]);
    let found = |meant: &[&str]| f.harvest_owned("a1", &[], &[], meant).conflict_markers;
    assert_eq!(found(&[]), ["crlf", "docs/merge.rst", "plain", "two"]);
    assert_eq!(found(&["docs/", "plain", "*.rst"]), ["crlf", "two"]);
    put(&tree, &[("manual", &format!("{}{}", marked("HEAD"), marked("HEAD")))]);
    assert_eq!(found(&["docs/", "plain"]), ["crlf", "manual", "two"], "one more than there was");
}

#[test]
fn attributes_that_would_be_waited_for_are_refused() {
    let f = fixture(&[("a", "a\n"), (".gitattributes", "*.bat text eol=crlf\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    let pipe = tree.join("sub/.gitattributes");
    fs::create_dir(tree.join("sub")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    put(&tree, &[("sub/x.bat", "x\r\n"), ("a", "b\n")]);
    let harvest = f.harvest("a1");
    assert_eq!(summary(&harvest), ["Modified a"]);
    assert!(harvest.refused[0].contains(".gitattributes in it is no plain file"), "{:?}", harvest.refused);
}
