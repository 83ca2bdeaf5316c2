//! What agents do to a worktree, and what is harvested of it.
use super::{super::Safe, files, fixture, git, put, summary};
use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{PermissionsExt, symlink},
    },
};

#[test]
fn committed_staged_and_unstaged_work_counts_once() {
    let f = fixture(&[("a", "a\n"), ("b", "b\n"), ("c", "c\n"), ("keep/me", "k\n")]);
    let harvest = f.attempt("a1", |tree| {
        put(tree, &[("a", "A\n")]);
        git(tree, &["commit", "-qam", "own commit"]);
        git(tree, &["checkout", "-qb", "feature"]);
        put(tree, &[("b", "B\n")]);
        git(tree, &["add", "b"]);
        git(tree, &["update-index", "--assume-unchanged", "c"]);
        git(tree, &["update-index", "--skip-worktree", "keep/me"]);
        put(tree, &[("c", "C\n"), ("d", "d\n")]);
        fs::remove_file(tree.join("keep/me")).unwrap();
    });
    assert_eq!(summary(&harvest), ["Modified a", "Modified b", "Modified c", "Added d", "Deleted keep/me"]);
    let repo = f.shop.repo_dir();
    let commit = harvest.commit.clone().unwrap();
    assert_eq!(git(&repo, &["rev-parse", "refs/p0/attempts/a1"]), commit);
    assert_eq!(
        git(&repo, &["log", "--format=%P %an %at %s", "-1", &commit]),
        format!("{} Ada 1700000000 work", f.head)
    );
    assert_eq!(git(&repo, &["ls-tree", "-r", "--name-only", &commit]), "a\nb\nc\nd");
    git(&repo, &["fsck", "--strict", "--no-dangling", &commit]);
    assert!(String::from_utf8_lossy(&harvest.patch).contains("-a\n+A\n"));
    assert_eq!(f.reopened().holders().unwrap(), ["a1"]);
    assert_eq!(f.harvest("a1"), harvest, "again gives the same");
}

#[test]
fn a_change_of_the_same_size_in_the_same_clock_tick_is_seen() {
    let f = fixture(&[("a", "1\n"), ("b", "1\n")]);
    for round in 0..20 {
        let holder = format!("a{round}");
        let tree = f.shop.checkout(&holder, &f.head).unwrap();
        put(&tree, &[("a", "2\n")]);
        let harvest = f.harvest(&holder);
        assert_eq!(summary(&harvest), ["Modified a"], "round {round}");
        f.shop.release(&holder, Safe::Commit(&harvest.commit.unwrap())).unwrap();
    }
}

#[test]
fn ignored_files_never_count_unless_the_base_has_them() {
    let f = fixture(&[("a", "a\n")]);
    put(&f.repo, &[(".gitignore", "*.log\nbuild/\n"), ("kept.log", "1\n"), ("build/kept", "1\n")]);
    git(&f.repo, &["add", "-fA"]);
    git(&f.repo, &["add", "-f", "kept.log", "build/kept"]);
    git(&f.repo, &["commit", "-qm", "ignored but tracked"]);
    put(&f.repo, &[(".git/info/exclude", "local/\n")]);
    let f = super::over(tempfile::tempdir().unwrap(), f.repo.clone());
    let harvest = f.attempt("a1", |tree| {
        put(
            tree,
            &[("kept.log", "2\n"), ("build/kept", "2\n"), ("new.log", "n"), ("build/new", "n"), ("local/x", "n")],
        );
        git(tree, &["add", "-f", "new.log", "build/new"]);
        git(tree, &["commit", "-qm", "forced"]);
        put(tree, &[("sub/.gitignore", "*\n!yes\n"), ("sub/yes", "y"), ("sub/no", "n")]);
    });
    assert_eq!(summary(&harvest), ["Modified build/kept", "Modified kept.log", "Added sub/yes"]);
}

#[test]
fn an_agent_cannot_hide_files_through_the_shared_repository() {
    let f = fixture(&[("a", "a\n")]);
    let harvest = f.attempt("a1", |tree| {
        put(&f.shop.repo_dir(), &[("info/exclude", "*\n")]);
        git(tree, &["config", "core.excludesFile", "/etc/passwd"]);
        git(tree, &["config", "core.worktree", "/tmp"]);
        git(&f.shop.repo_dir(), &["update-ref", "refs/p0/attempts/a1", &f.head]);
        put(&f.shop.repo_dir(), &[("config", "[broken"), ("HEAD", ""), ("objects/info/alternates", "")]);
        put(tree, &[("b", "b\n")]);
    });
    assert_eq!(summary(&harvest), ["Added b"]);
}

#[test]
fn deletes_renames_modes_links_and_type_changes() {
    let files = [("del", "d\n"), ("old", "same\n"), ("run", "r\n"), ("file", "f\n"), ("dir/in", "i\n"), ("z", "z\n")];
    let f = fixture(&files);
    let harvest = f.attempt("a1", |tree| {
        fs::remove_file(tree.join("del")).unwrap();
        git(tree, &["mv", "old", "new"]);
        fs::set_permissions(tree.join("run"), fs::Permissions::from_mode(0o755)).unwrap();
        fs::remove_file(tree.join("file")).unwrap();
        symlink("dir/in", tree.join("file")).unwrap();
        fs::remove_dir_all(tree.join("dir")).unwrap();
        put(tree, &[("dir", "now a file\n")]);
        fs::remove_file(tree.join("z")).unwrap();
        put(tree, &[("z/deep/er", "now a folder\n")]);
        fs::create_dir(tree.join("empty")).unwrap();
    });
    let expected = [
        "Deleted del",
        "Added dir",
        "Deleted dir/in",
        "TypeChanged file",
        "Added new",
        "Deleted old",
        "Modified run",
        "Deleted z",
        "Added z/deep/er",
    ];
    assert_eq!(summary(&harvest), expected);
    let tree = git(&f.shop.repo_dir(), &["ls-tree", "-r", &harvest.tree]);
    let modes: Vec<_> =
        tree.lines().map(|line| format!("{} {}", &line[..6], line.rsplit('\t').next().unwrap())).collect();
    assert_eq!(modes, ["100644 dir", "120000 file", "100644 new", "100755 run", "100644 z/deep/er"]);
    git(&f.shop.repo_dir(), &["fsck", "--strict", "--no-dangling"]);
    assert!(harvest.changes.iter().all(|change| !change.symlink_escapes));
}

#[test]
fn links_that_lead_out_are_marked() {
    let f = fixture(&[("d/x", "x\n")]);
    let links = [
        ("abs", "/etc/passwd", true),
        ("up", "../x", true),
        ("d/up", "../d/x", false),
        ("d/out", "../../x", true),
        ("in", "d/x", false),
        ("git", ".git/HEAD", true),
        ("d/git", "../.git", true),
        ("through", "d/../../x", true),
    ];
    let harvest = f.attempt("a1", |tree| {
        for (link, target, _) in links {
            symlink(target, tree.join(link)).unwrap();
        }
    });
    for (link, _, escapes) in links {
        let change = harvest.changes.iter().find(|change| change.path == link).unwrap();
        assert_eq!(change.symlink_escapes, escapes, "{link}");
    }
}

#[test]
fn a_nested_repository_is_reported_and_its_files_are_files() {
    let f = fixture(&[("a", "a\n"), (".gitignore", "vendor/\n")]);
    let harvest = f.attempt("a1", |tree| {
        for dir in ["nested", "vendor/dep"] {
            fs::create_dir_all(tree.join(dir)).unwrap();
            git(&tree.join(dir), &["init", "-q"]);
        }
        put(tree, &[("nested/f", "f\n"), ("vendor/dep/f", "f\n")]);
        let who = ["-c", "user.name=x", "-c", "user.email=x"];
        git(&tree.join("nested"), &["add", "f"]);
        git(&tree.join("nested"), &[&who[..], &["commit", "-qm", "x"]].concat());
        git(tree, &["add", "-A"]);
    });
    assert_eq!(summary(&harvest), ["Added nested/f"]);
    assert_eq!(harvest.untracked_repos, ["nested"]);
    let harvest = f.attempt("a2", |tree| {
        fs::remove_file(tree.join(".git")).unwrap();
        git(tree, &["init", "-q"]);
        put(tree, &[("b", "b\n")]);
    });
    assert_eq!(summary(&harvest), ["Added b"], "a new repository in the root changes nothing");
}

#[test]
fn generated_files_are_dropped_and_stand_as_in_the_base() {
    let f = fixture(&[("Cargo.lock", "1\n"), ("gen/a.rs", "1\n"), ("src/x", "x\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    put(&tree, &[("Cargo.lock", "2\n"), ("sub/Cargo.lock", "n\n"), ("gen/b.rs", "n\n"), ("src/x", "y\n")]);
    put(&tree, &[("web/out.min.js", "n\n"), ("pkg/dist/o", "n\n"), ("src/gen/real.rs", "n\n")]);
    fs::remove_file(tree.join("gen/a.rs")).unwrap();
    let harvest = f.harvest_without("a1", &["Cargo.lock", "/gen/", "*.min.js", "pkg/*/"]);
    assert_eq!(summary(&harvest), ["Added src/gen/real.rs", "Modified src/x"]);
    let dropped = ["Cargo.lock", "gen/a.rs", "gen/b.rs", "pkg/dist/o", "sub/Cargo.lock", "web/out.min.js"];
    assert_eq!(harvest.dropped, dropped);
    let listed = git(&f.shop.repo_dir(), &["ls-tree", "-r", "--name-only", &harvest.tree]);
    assert_eq!(listed, "Cargo.lock\ngen/a.rs\nsrc/gen/real.rs\nsrc/x");
    let commit = harvest.commit.unwrap();
    f.shop.release("a1", Safe::Commit(&commit)).unwrap();
}

#[test]
fn a_file_in_place_of_a_generated_folder_does_not_break_the_tree() {
    let f = fixture(&[("gen/a", "1\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    fs::remove_dir_all(tree.join("gen")).unwrap();
    put(&tree, &[("gen", "a file\n"), ("n", "n\n")]);
    let harvest = f.harvest_without("a1", &["gen/"]);
    assert_eq!(summary(&harvest), ["Added n"]);
    assert_eq!(harvest.dropped, ["gen/a", "gen"]);
}

#[test]
fn conflict_markers_are_found_in_changed_texts() {
    let marked = "<<<<<<< ours\na\n=======\nb\n>>>>>>> theirs\n";
    let f = fixture(&[("doc", marked), ("a", "a\n")]);
    let harvest = f.attempt("a1", |tree| {
        put(
            tree,
            &[("a", marked), ("doc", &format!("{marked}more\n")), ("bin", &format!("\0{marked}")), ("ok", "<<<<<<<\n")],
        );
    });
    assert_eq!(harvest.conflict_markers, ["a"]);
}

#[test]
fn odd_names_do_not_stop_a_harvest() {
    let f = fixture(&[("a", "a\n")]);
    let harvest = f.attempt("a1", |tree| {
        fs::write(tree.join(OsStr::from_bytes(b"bad\xff")), "x").unwrap();
        put(tree, &[("GIT~1", "x"), ("sub/.GIT/config", "x"), ("with space\nand line", "x"), ("-dash", "x")]);
        rustix::fs::mknodat(rustix::fs::CWD, tree.join("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    });
    assert_eq!(summary(&harvest), ["Added -dash", "Added bad\u{fffd}", "Added with space\nand line"]);
    let why = "named like git's own folder, give it another name";
    assert_eq!(harvest.refused, [format!("{why}: GIT~1"), format!("{why}: sub/.GIT")]);
    f.shop.release("a1", Safe::Commit(harvest.commit.as_deref().unwrap())).unwrap();
    assert_eq!(files(&f.shop.checkout("a2", &f.head).unwrap()), ["a"]);
}

#[test]
fn a_file_that_claims_to_be_huge_is_refused_and_not_read() {
    let f = fixture(&[("a", "a\n"), ("gen/x", "x\n")]);
    let huge = |path: &std::path::Path| fs::File::create(path).unwrap().set_len(1 << 42).unwrap();
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    huge(&tree.join("a"));
    huge(&tree.join("new"));
    huge(&tree.join("gen/x"));
    put(&tree, &[("small", "s\n")]);
    let harvest = f.harvest_without("a1", &["gen/"]);
    assert_eq!(summary(&harvest), ["Added small"]);
    let told: Vec<&str> = harvest.refused.iter().map(|it| it.rsplit(": ").next().unwrap()).collect();
    assert_eq!((told, harvest.dropped), (vec!["a", "new"], vec!["gen/x".to_owned()]));
    assert!(harvest.refused[0].starts_with("its 4194304 MiB are more than the 100 MiB"), "{:?}", harvest.refused);
    f.shop.release("a1", Safe::Commit(harvest.commit.as_deref().unwrap())).unwrap();
    let tree = f.shop.checkout("a2", &f.head).unwrap();
    assert_eq!(fs::read(tree.join("a")).unwrap(), b"a\n");
}

#[test]
fn a_large_file_of_the_persons_counts_as_long_as_it_is_the_same() {
    let f = fixture(&[("a", "a\n")]);
    let file = fs::File::create(f.repo.join("large")).unwrap();
    file.set_len(super::super::scan::LARGEST + 1).unwrap();
    git(&f.repo, &["add", "-A"]);
    git(&f.repo, &["commit", "-qm", "large"]);
    let f = super::over(tempfile::tempdir().unwrap(), f.repo.clone());
    let harvest = f.attempt("a1", |tree| {
        let file = fs::File::options().write(true).open(tree.join("large")).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        put(tree, &[("b", "b\n")]);
    });
    assert_eq!((summary(&harvest), harvest.refused), (vec!["Added b".to_owned()], Vec::new()));
}

#[test]
fn folders_deeper_than_trees_and_paths_go_are_refused() {
    let f = fixture(&[("a", "a\n")]);
    let harvest = f.attempt("a1", |tree| {
        put(tree, &[("b", "b\n")]);
        let mut at = rustix::fs::open(tree, rustix::fs::OFlags::DIRECTORY, 0o700.into()).unwrap();
        for _ in 0..400 {
            rustix::fs::mkdirat(&at, "d", 0o700.into()).unwrap();
            at = rustix::fs::openat(&at, "d", rustix::fs::OFlags::DIRECTORY, 0o700.into()).unwrap();
        }
        fs::create_dir(tree.join("long")).unwrap();
        let mut at = rustix::fs::open(tree.join("long"), rustix::fs::OFlags::DIRECTORY, 0o700.into()).unwrap();
        for _ in 0..20 {
            let name = "n".repeat(250);
            rustix::fs::mkdirat(&at, &name, 0o700.into()).unwrap();
            at = rustix::fs::openat(&at, &name, rustix::fs::OFlags::DIRECTORY, 0o700.into()).unwrap();
        }
    });
    assert_eq!(summary(&harvest), ["Added b"]);
    assert_eq!(harvest.refused.len(), 2, "{:?}", harvest.refused);
    assert!(harvest.refused[0].starts_with("so many folders"), "{:?}", harvest.refused);
    assert!(harvest.refused[1].starts_with("its path is longer"), "{:?}", harvest.refused);
    f.shop.release("a1", Safe::Commit(harvest.commit.as_deref().unwrap())).unwrap();
    assert_eq!(files(&f.shop.checkout("a2", &f.head).unwrap()), ["a"]);
}

#[test]
fn nobody_waits_at_ignore_rules_that_are_a_pipe() {
    let f = fixture(&[("a", "a\n"), ("sub/x", "x\n")]);
    let harvest = f.attempt("a1", |tree| {
        let pipe = tree.join("sub/.gitignore");
        rustix::fs::mknodat(rustix::fs::CWD, pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        put(tree, &[("b", "b\n"), ("sub/y", "y\n")]);
    });
    assert_eq!(summary(&harvest), ["Added b"]);
    assert!(
        harvest.refused[0].contains(".gitignore") && harvest.refused[0].ends_with(": sub"),
        "{:?}",
        harvest.refused
    );
}

#[test]
fn many_files_and_a_large_patch() {
    let f = fixture(&[("a", "a\n")]);
    let harvest = f.attempt("a1", |tree| {
        for number in 0..300 {
            put(tree, &[(&format!("d{}/f{number}", number % 7), &format!("{number}\n"))]);
        }
        put(tree, &[("large", &"0123456789abcde\n".repeat(1 << 20))]);
    });
    assert_eq!(harvest.changes.len(), 301);
    assert!(harvest.patch_truncated && harvest.patch.len() <= 8 << 20);
    let commit = harvest.commit.unwrap();
    f.shop.park("a1", &commit).unwrap();
    git(&f.repo, &["fsck", "--strict"]);
    assert_eq!(git(&f.repo, &["ls-tree", "-r", "--name-only", "refs/p0/parked/a1"]).lines().count(), 302);
    f.shop.release("a1", Safe::Commit(&commit)).unwrap();
    let tree = f.shop.checkout("a2", &f.head).unwrap();
    assert_eq!(files(&tree), ["a"]);
}
