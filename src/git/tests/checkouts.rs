//! The run's branch is checked out by the person: it is not moved under that checkout, and nothing that landed is lost.
use super::{super::Landing, Fixture, fixture, git, put};
use std::{fs, path::Path};

/// A run with its branch, and the commits of two attempts one on the other.
fn with_two_commits() -> (Fixture, String, String) {
    let f = fixture(&[("a", "a\n"), ("b", "b\n")]);
    f.shop.open_run("r1", &f.head).unwrap();
    let one = f.attempt("a1", |tree| put(tree, &[("a", "1\n")]));
    let two = f.attempt("a2", |tree| put(tree, &[("a", "1\n"), ("new", "2\n")]));
    let who = super::Identity::fallback();
    let first = f.shop.landing_commit(&one.tree, &f.head, "one\n", &who, 1).unwrap();
    let second = f.shop.landing_commit(&two.tree, &first, "two\n", &who, 2).unwrap();
    (f, first, second)
}

const BRANCH: &str = "p0/r1/main";
const ASIDE: &str = "refs/p0/aside/r1/main";

fn has_aside(repo: &Path) -> bool {
    !git(repo, &["for-each-ref", ASIDE]).is_empty()
}

#[track_caller]
fn aside(landing: Landing) -> String {
    let Landing::CheckedOut { aside: Some((why, name)), .. } = landing else { panic!("{landing:?}") };
    assert_eq!(name, ASIDE);
    why
}

#[test]
fn a_clean_checkout_is_fast_forwarded_and_its_other_files_stay() {
    let (f, first, second) = with_two_commits();
    git(&f.repo, &["checkout", "-q", BRANCH]);
    put(&f.repo, &[("b", "mine\n"), ("untracked", "u\n")]);
    for (new, parent) in [(&first, &f.head), (&second, &first)] {
        let place = f.repo.canonicalize().unwrap();
        assert_eq!(f.shop.land(BRANCH, new, parent).unwrap(), Landing::CheckedOut { place, aside: None });
        assert_eq!(f.shop.land(BRANCH, new, parent).unwrap(), Landing::Already, "as after a crash");
    }
    assert_eq!(git(&f.repo, &["rev-parse", "HEAD"]), second);
    assert_eq!(git(&f.repo, &["status", "--porcelain"]), " M b\n?? untracked");
    assert_eq!(fs::read_to_string(f.repo.join("new")).unwrap(), "2\n");
    assert!(!has_aside(&f.repo));
}

#[test]
fn a_change_in_the_way_keeps_the_branch_where_it_is() {
    let (f, first, second) = with_two_commits();
    git(&f.repo, &["checkout", "-q", BRANCH]);
    put(&f.repo, &[("a", "mine\n")]);
    let why = aside(f.shop.land(BRANCH, &first, &f.head).unwrap());
    assert!(why.contains("overwritten by merge"), "{why}");
    assert_eq!(f.shop.land(BRANCH, &first, &f.head).unwrap(), Landing::Already, "as after a crash");
    aside(f.shop.land(BRANCH, &second, &first).unwrap());
    assert_eq!(git(&f.repo, &["rev-parse", "HEAD"]), f.head);
    assert_eq!(git(&f.repo, &["rev-parse", ASIDE]), second);
    assert_eq!(fs::read_to_string(f.repo.join("a")).unwrap(), "mine\n");
    assert_eq!(f.shop.land(BRANCH, &first, &second).unwrap(), Landing::Already, "what is beside the branch has it");

    git(&f.repo, &["checkout", "-qf", "main"]);
    f.shop.close_run("r1").unwrap();
    assert_eq!(git(&f.repo, &["rev-parse", BRANCH]), second, "the branch follows once it is free");
    assert!(!has_aside(&f.repo));
}

#[test]
fn commits_of_the_person_are_kept_and_so_is_what_lands() {
    let (f, first, second) = with_two_commits();
    git(&f.repo, &["checkout", "-q", BRANCH]);
    git(&f.repo, &["commit", "-q", "--allow-empty", "-m", "mine"]);
    let mine = git(&f.repo, &["rev-parse", "HEAD"]);
    assert_eq!(aside(f.shop.land(BRANCH, &first, &f.head).unwrap()), "it has commits of its own");
    git(&f.repo, &["checkout", "-q", "main"]);
    aside(f.shop.land(BRANCH, &second, &first).unwrap());
    assert_eq!(git(&f.repo, &["rev-parse", BRANCH]), mine);
    assert_eq!(git(&f.repo, &["rev-parse", ASIDE]), second);

    git(&f.repo, &["checkout", "-q", BRANCH]);
    git(&f.repo, &["merge", "-q", "-m", "both", ASIDE]);
    f.shop.close_run("r1").unwrap();
    assert!(!has_aside(&f.repo), "the branch has it now");
}

#[test]
fn a_branch_that_is_free_again_follows_with_the_next_landing() {
    let (f, first, second) = with_two_commits();
    git(&f.repo, &["checkout", "-q", BRANCH]);
    put(&f.repo, &[("a", "mine\n")]);
    aside(f.shop.land(BRANCH, &first, &f.head).unwrap());
    git(&f.repo, &["checkout", "-qf", "main"]);
    assert_eq!(f.shop.land(BRANCH, &second, &first).unwrap(), Landing::Landed);
    assert_eq!(git(&f.repo, &["rev-parse", BRANCH]), second);
    assert!(!has_aside(&f.repo));
}

#[test]
fn linked_worktrees_count_and_those_that_are_gone_do_not() {
    let (f, first, second) = with_two_commits();
    let linked = f.dir.path().join("linked");
    git(&f.repo, &["worktree", "add", "-q", linked.to_str().unwrap(), BRANCH]);
    let landing = f.shop.land(BRANCH, &first, &f.head).unwrap();
    assert!(matches!(&landing, Landing::CheckedOut { place, aside: None } if place.ends_with("linked")), "{landing:?}");
    assert_eq!(git(&linked, &["status", "--porcelain"]), "");
    assert_eq!(fs::read_to_string(linked.join("a")).unwrap(), "1\n");
    fs::remove_dir_all(&linked).unwrap();
    assert_eq!(f.shop.land(BRANCH, &second, &first).unwrap(), Landing::Landed);
}

#[test]
fn a_branch_that_a_rebase_will_move_is_left_alone() {
    let (f, first, _) = with_two_commits();
    put(&f.repo, &[(".git/rebase-merge/head-name", "refs/heads/p0/r1/main\n")]);
    assert!(aside(f.shop.land(BRANCH, &first, &f.head).unwrap()).contains("rebase"));
    assert_eq!(git(&f.repo, &["rev-parse", BRANCH]), f.head);
}
