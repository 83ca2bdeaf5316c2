//! Merging, landing and parking.
use super::{
    super::{DiffStat, Identity, Landing, Merge},
    fixture, git, put,
};
use std::fs;

#[test]
fn two_attempts_merge_and_land_one_after_the_other() {
    let f = fixture(&[("a", "1\n2\n3\n4\n5\n"), ("b", "b\n")]);
    f.shop.open_run("r1", &f.head).unwrap();
    let one = f.attempt("a1", |tree| put(tree, &[("a", "one\n2\n3\n4\n5\n")]));
    let two = f.attempt("a2", |tree| put(tree, &[("a", "1\n2\n3\n4\nfive\n"), ("c", "c\n")]));
    let (first, landing) = f.land_tree("r1", &one.tree, &f.head);
    assert_eq!(landing, Landing::Landed);
    let Merge::Clean { tree } = f.shop.merge(&first, &f.head, two.commit.as_ref().unwrap()).unwrap() else {
        panic!("they do not overlap")
    };
    let (second, landing) = f.land_tree("r1", &tree, &first);
    assert_eq!(landing, Landing::Landed);
    assert_eq!(git(&f.repo, &["show", "p0/r1/main:a"]), "one\n2\n3\n4\nfive");
    assert_eq!(git(&f.repo, &["log", "-1", "--format=%(trailers)", "p0/r1/main"]), "P0-Run: r");
    assert_eq!(f.shop.changed_between(&f.head, &second).unwrap(), ["a", "c"]);
    let stat = f.shop.diff_stat(&f.head, &second).unwrap();
    assert_eq!(stat, DiffStat { files: 2, insertions: 3, deletions: 2 });
    assert_eq!(f.reopened().open_run("r1", &f.head).unwrap(), second, "opening again gives the head");
    assert!(!f.repo.join(".git/logs/refs/heads/p0").exists());
    assert_eq!(git(&f.repo, &["rev-parse", "refs/p0/base/r1"]), f.head);
}

#[test]
fn conflicts_name_their_paths_and_resolve_nothing() {
    let f = fixture(&[("a", "a\n"), ("gone", "g\n"), ("b", "b\n"), (".gitattributes", "* merge=union\n")]);
    let one = f.attempt("a1", |tree| {
        put(tree, &[("a", "one\n"), ("new", "one\n"), ("gone", "kept\n"), ("x", "file\n"), ("b", "same\n")]);
    });
    let two = f.attempt("a2", |tree| {
        put(tree, &[("a", "two\n"), ("new", "two\n"), ("b", "same\n")]);
        fs::remove_file(tree.join("gone")).unwrap();
    });
    let (one, two) = (one.commit.unwrap(), two.commit.unwrap());
    let conflict = f.shop.merge(&one, &f.head, &two).unwrap();
    assert_eq!(conflict, Merge::Conflict { paths: vec!["a".into(), "gone".into(), "new".into()] });
    let three = f.attempt("a3", |tree| put(tree, &[("x/y", "folder\n")])).commit.unwrap();
    for (ours, theirs) in [(&one, &three), (&three, &one)] {
        match f.shop.merge(ours, &f.head, theirs).unwrap() {
            Merge::Conflict { paths } => assert!(paths.iter().all(|path| path.starts_with('x')), "{paths:?}"),
            Merge::Clean { tree } => panic!("file and folder at one path: {tree}"),
        }
    }
}

#[test]
fn a_file_and_a_folder_deleted_on_one_side_still_merge() {
    let f = fixture(&[("dir/a", "a\n"), ("b", "b\n")]);
    let one = f.attempt("a1", |tree| {
        fs::remove_dir_all(tree.join("dir")).unwrap();
        put(tree, &[("dir", "now a file\n")]);
    });
    let two = f.attempt("a2", |tree| put(tree, &[("b", "c\n")]));
    let merged = f.shop.merge(&one.commit.unwrap(), &f.head, &two.commit.unwrap()).unwrap();
    let Merge::Clean { tree } = merged else { panic!("{merged:?}") };
    assert_eq!(git(&f.shop.repo_dir(), &["ls-tree", "-r", "--name-only", &tree]), "b\ndir");
}

#[test]
fn landing_twice_is_already_and_elsewhere_is_moved() {
    let f = fixture(&[("a", "a\n")]);
    f.shop.open_run("r1", &f.head).unwrap();
    let one = f.attempt("a1", |tree| put(tree, &[("a", "1\n")]));
    let two = f.attempt("a2", |tree| put(tree, &[("a", "2\n")]));
    let (first, landing) = f.land_tree("r1", &one.tree, &f.head);
    assert_eq!(landing, Landing::Landed);
    assert_eq!(f.land_tree("r1", &one.tree, &f.head), (first.clone(), Landing::Already), "the commit is the same");
    let (late, landing) = f.land_tree("r1", &two.tree, &f.head);
    assert_eq!(landing, Landing::Moved { found: Some(first.clone()) });
    assert_eq!(git(&f.repo, &["rev-parse", "p0/r1/main"]), first);
    let (_, landing) = f.land_tree("r1", &two.tree, &first);
    assert_eq!(landing, Landing::Landed);
    assert_eq!(f.shop.land("p0/r1/main", &first, &f.head).unwrap(), Landing::Already, "it is an ancestor");
    git(&f.repo, &["pack-refs", "--all"]);
    assert_eq!(f.shop.land("p0/r1/main", &first, &f.head).unwrap(), Landing::Already, "also in packed refs");
    git(&f.repo, &["branch", "-D", "p0/r1/main"]);
    assert_eq!(f.shop.land("p0/r1/main", &late, &f.head).unwrap(), Landing::Moved { found: None });
}

#[test]
fn a_landing_that_died_after_its_objects_goes_on() {
    let f = fixture(&[("a", "a\n")]);
    f.shop.open_run("r1", &f.head).unwrap();
    let one = f.attempt("a1", |tree| put(tree, &[("a", "1\n"), ("d/b", "b\n")]));
    let who = Identity::fallback();
    let commit = f.shop.landing_commit(&one.tree, &f.head, "m\n", &who, 5).unwrap();
    // Parking copies the same objects and moves no branch: as if killed before the compare-and-swap.
    f.shop.park("a1", &commit).unwrap();
    let shop = f.reopened();
    assert_eq!(shop.landing_commit(&one.tree, &f.head, "m\n", &who, 5).unwrap(), commit);
    assert_eq!(shop.land("p0/r1/main", &commit, &f.head).unwrap(), Landing::Landed);
    assert_eq!(shop.park("a1", &commit).unwrap(), "refs/p0/parked/a1");
    git(&f.repo, &["fsck", "--strict"]);
}

#[test]
fn landed_and_pinned_commits_survive_the_persons_gc() {
    let f = fixture(&[("a", "a\n")]);
    f.shop.open_run("r1", &f.head).unwrap();
    put(&f.repo, &[("a", "rewritten\n")]);
    git(&f.repo, &["commit", "-q", "--amend", "-am", "rewritten"]);
    git(&f.repo, &["update-ref", "-d", "refs/heads/p0/r1/main"]);
    git(&f.repo, &["reflog", "expire", "--expire=now", "--all"]);
    git(&f.repo, &["gc", "-q", "--prune=now"]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    assert_eq!(fs::read_to_string(tree.join("a")).unwrap(), "a\n");
}

#[test]
fn locks_a_killed_process_left_do_not_stop_the_next() {
    let f = fixture(&[("a", "a\n")]);
    f.shop.open_run("r1", &f.head).unwrap();
    let one = f.attempt("a1", |tree| put(tree, &[("a", "1\n")]));
    let boot = fs::read_dir(f.shop.project_dir().join("slots/w1")).unwrap().map(|entry| entry.unwrap().path());
    let cache = boot.into_iter().find(|path| path.to_string_lossy().contains("cache-")).unwrap();
    fs::write(cache.with_extension("next.lock"), "half").unwrap();
    put(&f.repo, &[(".git/refs/heads/p0/r1/main.lock", ""), (".git/refs/p0/parked/a1.lock", "")]);
    put(&f.shop.repo_dir(), &[("refs/p0/attempts/a1.lock", ""), ("packed-refs.lock", "")]);
    let f = super::Fixture { shop: f.reopened(), ..f };
    assert_eq!(f.harvest("a1").commit, one.commit);
    let (_, landing) = f.land_tree("r1", &one.tree, &f.head);
    assert_eq!(landing, Landing::Landed);
    f.shop.park("a1", &one.commit.unwrap()).unwrap();
    f.shop.checkout_fresh("a1", &f.head, false).unwrap();
}

#[test]
fn a_lock_held_for_a_moment_is_waited_for() {
    let f = fixture(&[("a", "a\n")]);
    f.shop.open_run("r1", &f.head).unwrap();
    let one = f.attempt("a1", |tree| put(tree, &[("a", "1\n")]));
    put(&f.repo, &[(".git/refs/heads/p0/r1/main.lock", "")]);
    let lock = f.repo.join(".git/refs/heads/p0/r1/main.lock");
    let other = std::thread::spawn(move || {
        std::thread::sleep(std::time::Duration::from_millis(120));
        fs::remove_file(lock).unwrap();
    });
    assert_eq!(f.land_tree("r1", &one.tree, &f.head).1, Landing::Landed);
    other.join().unwrap();
}
