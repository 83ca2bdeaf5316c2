//! The pool: taking, adopting, moving, releasing.
use super::{
    super::{Error, Safe},
    files, fixture, git, put,
};
use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
};

#[test]
fn an_agents_git_works_in_a_worktree_and_sees_it_clean() {
    let f = fixture(&[("a", "a\n"), ("crlf.txt", "x\r\n"), (".gitattributes", "* text=auto eol=crlf\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    assert_eq!(fs::read(tree.join("a")).unwrap(), b"a\r\n", "files are what a checkout gives");
    assert_eq!(git(&tree, &["status", "--porcelain", "--branch"]), "## HEAD (no branch)");
    git(&tree, &["checkout", "-q", "HEAD", "--", "."]);
    put(&tree, &[("a", "changed\n")]);
    git(&tree, &["diff", "--exit-code", "--", "crlf.txt"]);
    git(&tree, &["commit", "-qam", "mine"]);
    assert_eq!(git(&tree, &["log", "-1", "--format=%an <%ae>"]), "Ada <ada@example.org>");
    assert_eq!(git(&tree, &["rev-parse", "HEAD~1"]), f.head);
    assert_eq!(git(&f.repo, &["rev-parse", "HEAD"]), f.head);
}

#[test]
fn the_same_holder_gets_the_same_worktree_untouched() {
    let f = fixture(&[("a", "a\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    put(&tree, &[("a", "work\n"), ("n", "work\n")]);
    let again = f.reopened();
    assert_eq!(again.checkout("a1", &f.head).unwrap(), tree);
    assert_eq!(fs::read_to_string(tree.join("a")).unwrap(), "work\n");
    assert_eq!(again.holders().unwrap(), ["a1"]);
    assert_eq!(again.worktree("a1").unwrap(), Some(tree.clone()));
    assert_ne!(again.checkout("a2", &f.head).unwrap(), tree);
    git(&f.repo, &["commit", "-q", "--allow-empty", "-m", "next"]);
    let next = f.shop.person().head_commit().unwrap();
    assert!(matches!(f.shop.checkout("a1", &next), Err(Error::HeldElsewhere { .. })));
}

#[test]
fn a_checkout_that_died_midway_is_finished_by_the_next_call() {
    let f = fixture(&[("a", "a\n"), ("d/b", "b\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    let own = f.shop.project_dir().join("slots/w1/holder");
    let record = fs::read_to_string(&own).unwrap();
    fs::write(&own, record.replace("\"ready\":true", "\"ready\":false")).unwrap();
    fs::remove_file(tree.join("a")).unwrap();
    fs::remove_file(tree.join(".git")).unwrap();
    assert!(matches!(f.shop.worktree("a1"), Ok(None)));
    let next = f.reopened();
    assert_eq!(next.checkout("a1", &f.head).unwrap(), tree);
    assert_eq!(git(&tree, &["status", "--porcelain"]), "");
    // Died before the first file: the record alone is there.
    fs::remove_dir_all(&tree).unwrap();
    fs::write(&own, record.replace("\"ready\":true", "\"ready\":false")).unwrap();
    f.reopened().checkout("a1", &f.head).unwrap();
    assert_eq!(files(&tree), ["a", "d/b"]);
}

#[test]
fn a_worktree_its_holder_removed_holds_nothing_and_is_made_again() {
    let f = fixture(&[("a", "a\n"), ("d/b", "b\n")]);
    for replaced in [false, true] {
        let tree = f.shop.checkout("a1", &f.head).unwrap();
        fs::remove_dir_all(&tree).unwrap();
        if replaced {
            fs::write(&tree, "no folder").unwrap();
        }
        let harvest = f.harvest("a1");
        assert_eq!((harvest.commit, harvest.changes), (None, Vec::new()));
        f.shop.release("a1", Safe::NothingChanged).unwrap();
        assert_eq!(f.shop.checkout("a2", &f.head).unwrap(), tree);
        assert_eq!(files(&tree), ["a", "d/b"]);
        fs::remove_dir_all(&tree).unwrap();
        assert_eq!(f.shop.checkout("a2", &f.head).unwrap(), tree, "also for the same holder");
        assert_eq!(files(&tree), ["a", "d/b"]);
        f.shop.release("a2", Safe::NothingChanged).unwrap();
    }
}

#[test]
fn a_reused_worktree_has_nothing_left_of_the_one_before() {
    let f = fixture(&[("a", "a\n"), ("d/b", "b\n"), (".gitignore", "cache/\n"), ("x", "x\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    git(&tree, &["checkout", "-qb", "mine"]);
    git(&tree, &["config", "core.fsmonitor", "false"]);
    put(&tree, &[("x", "stashed\n")]);
    git(&tree, &["stash", "-q"]);
    put(&tree, &[("cache/deep/c", "c"), ("n/new", "new\n"), ("a", "A\n")]);
    fs::remove_file(tree.join("d/b")).unwrap();
    fs::remove_dir(tree.join("d")).unwrap();
    symlink("/tmp", tree.join("d")).unwrap();
    fs::set_permissions(tree.join("cache/deep"), fs::Permissions::from_mode(0o500)).unwrap();
    fs::set_permissions(tree.join("x"), fs::Permissions::from_mode(0o600)).unwrap();
    let work = f.harvest("a1").commit.unwrap();
    f.shop.release("a1", Safe::Commit(&work)).unwrap();
    f.shop.release("a1", Safe::Commit(&work)).unwrap();
    assert_eq!(f.shop.holders().unwrap(), Vec::<String>::new());

    assert_eq!(f.shop.checkout("a2", &f.head).unwrap(), tree, "the pool is warm");
    assert_eq!(files(&tree), [".gitignore", "a", "d/b", "x"]);
    assert_eq!(git(&tree, &["status", "--porcelain", "--ignored"]), "");
    assert_eq!(git(&tree, &["branch", "--list", "mine"]), "");
    assert_eq!(git(&tree, &["stash", "list"]), "");
    assert_eq!(f.harvest("a2").commit, None);
}

#[test]
fn moving_touches_only_what_differs() {
    let f = fixture(&[("a", "a\n"), ("b", "b\n")]);
    put(&f.repo, &[("b", "B\n"), ("c", "c\n")]);
    git(&f.repo, &["add", "-A"]);
    git(&f.repo, &["commit", "-qm", "next"]);
    let next = f.shop.person().head_commit().unwrap();
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    let inode = fs::metadata(tree.join("a")).unwrap().ino();
    f.shop.release("a1", Safe::NothingChanged).unwrap();
    f.shop.checkout("a2", &next).unwrap();
    assert_eq!(fs::metadata(tree.join("a")).unwrap().ino(), inode);
    assert_eq!(fs::read_to_string(tree.join("b")).unwrap(), "B\n");
    assert_eq!(files(&tree), ["a", "b", "c"]);
    assert_eq!(git(&tree, &["status", "--porcelain"]), "");
}

#[test]
fn a_gate_keeps_its_ignored_files_and_nothing_else() {
    let f = fixture(&[("a", "a\n"), (".gitignore", "target/\n*.o\n")]);
    let tree = f.shop.checkout_fresh("gate", &f.head, true).unwrap();
    put(&tree, &[("target/x", "x"), ("mixed/y.o", "o"), ("mixed/junk", "j"), ("junk", "j"), ("a", "B\n")]);
    f.shop.checkout_fresh("gate", &f.head, true).unwrap();
    assert_eq!(files(&tree), [".gitignore", "a", "mixed/y.o", "target/x"]);
    assert_eq!(fs::read_to_string(tree.join("a")).unwrap(), "a\n");
    f.shop.checkout_fresh("gate", &f.head, false).unwrap();
    assert_eq!(files(&tree), [".gitignore", "a"]);
    put(&tree, &[("junk", "j")]);
    f.shop.release("gate", Safe::NothingChanged).unwrap();
}

#[test]
fn release_refuses_what_is_not_kept() {
    let f = fixture(&[("a", "a\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    put(&tree, &[("work", "work\n")]);
    let error = f.shop.release("a1", Safe::NothingChanged).unwrap_err();
    assert!(matches!(&error, Error::WorkNotSafe { paths, .. } if paths == &["work"]), "{error}");
    assert!(f.shop.release("a1", Safe::Commit(&f.head)).is_err(), "no p0 branch keeps it");
    let work = f.harvest("a1").commit.unwrap();
    put(&tree, &[("work", "more\n")]);
    let error = f.shop.release("a1", Safe::Commit(&work)).unwrap_err();
    assert!(matches!(&error, Error::WorkNotSafe { paths, .. } if paths == &["work"]), "{error}");
    assert!(tree.join("work").exists());
    let work = f.harvest("a1").commit.unwrap();
    f.shop.release("a1", Safe::Commit(&work)).unwrap();
    f.shop.release("never-there", Safe::NothingChanged).unwrap();
}

#[test]
fn a_parked_commit_is_a_proof() {
    let f = fixture(&[("a", "a\n")]);
    let work = f.attempt("a1", |tree| put(tree, &[("a", "b\n")])).commit.unwrap();
    git(&f.shop.repo_dir(), &["update-ref", "-d", "refs/p0/attempts/a1"]);
    assert!(f.shop.release("a1", Safe::Commit(&work)).is_err());
    assert_eq!(f.shop.park("a1", &work).unwrap(), "refs/p0/parked/a1");
    f.shop.release("a1", Safe::Commit(&work)).unwrap();
}

#[test]
fn dropped_files_do_not_hold_a_worktree() {
    let f = fixture(&[("Cargo.lock", "1\n")]);
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    put(&tree, &[("Cargo.lock", "2\n")]);
    assert_eq!(f.harvest_without("a1", &["Cargo.lock"]).commit, None);
    f.shop.release("a1", Safe::NothingChanged).unwrap();
}

#[test]
fn the_pool_is_pruned_of_free_worktrees_only() {
    let f = fixture(&[("a", "a\n")]);
    let trees: Vec<_> = ["a1", "a2", "a3"].iter().map(|holder| f.shop.checkout(holder, &f.head).unwrap()).collect();
    put(&trees[0], &[("work", "w")]);
    f.shop.prune_pool(0).unwrap();
    assert_eq!(f.shop.holders().unwrap().len(), 3);
    f.shop.release("a2", Safe::NothingChanged).unwrap();
    f.shop.release("a3", Safe::NothingChanged).unwrap();
    f.shop.prune_pool(2).unwrap();
    assert!(trees[1].exists() && !trees[2].exists());
    f.shop.prune_pool(1).unwrap();
    assert!(trees[0].join("work").exists() && !trees[1].exists());
}

#[test]
fn many_threads_work_in_worktrees_of_their_own() {
    let f = fixture(&[("a", "a\n")]);
    for round in 0..3 {
        std::thread::scope(|scope| {
            for number in 0..6 {
                let f = &f;
                scope.spawn(move || {
                    let holder = format!("a{round}-{number}");
                    let harvest = f.attempt(&holder, |tree| put(tree, &[("n", &holder)]));
                    let commit = harvest.commit.unwrap();
                    assert_eq!(git(&f.shop.repo_dir(), &["show", &format!("{commit}:n")]), holder);
                    f.shop.park(&holder, &commit).unwrap();
                    f.shop.release(&holder, Safe::Commit(&commit)).unwrap();
                });
            }
        });
    }
    assert!(fs::read_dir(f.shop.project_dir().join("trees")).unwrap().count() <= 6);
    assert_eq!(f.shop.holders().unwrap(), Vec::<String>::new());
}

#[test]
fn names_that_would_leave_the_folder_are_refused() {
    let f = fixture(&[("a", "a\n")]);
    for name in ["", "..", "a/b", "-x", "a.lock", "a b"] {
        assert!(matches!(f.shop.checkout(name, &f.head), Err(Error::BadName { .. })), "{name}");
        assert!(matches!(f.shop.open_run(name, &f.head), Err(Error::BadName { .. })), "{name}");
    }
    assert!(matches!(f.shop.land("main", &f.head, &f.head), Err(Error::BadName { .. })));
    assert!(matches!(f.shop.harvest_missing(&f), Err(Error::NoWorktree { .. })));
}

impl super::ProjectRepository {
    fn harvest_missing(&self, f: &super::Fixture) -> Result<super::Harvest, Error> {
        let author = super::Identity::fallback();
        let options = super::HarvestOptions {
            generated: &[],
            conflict_markers: &[],
            owned: &crate::model::files::Files::default(),
            message: "",
            author: &author,
            when_s: 0,
        };
        self.harvest("nobody", &f.head, &options)
    }
}
