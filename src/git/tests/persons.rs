//! The person's repository: found, refused, read, and left as it was.
use super::{
    super::{Error, Identity, Landing, PersonRepo, ProjectRepository, Safe},
    Fixture, fixture, git, over, person_repo, put, snapshot, summary,
};
use std::{fs, os::unix::fs::PermissionsExt};

/// A whole run: attempt, merge, landing, parking, release.
fn whole_run(f: &Fixture) {
    assert_eq!(f.shop.open_run("r1", &f.head).unwrap(), f.head);
    let harvest = f.attempt("a1", |tree| put(tree, &[("new/file.txt", "new\n")]));
    assert_eq!(summary(&harvest), ["Added new/file.txt"]);
    let (commit, landing) = f.land_tree("r1", &harvest.tree, &f.head);
    assert_eq!(landing, Landing::Landed);
    assert_eq!(f.shop.person().branch_head("p0/r1/main").unwrap(), Some(commit.clone()));
    let work = harvest.commit.unwrap();
    f.shop.park("a1", &work).unwrap();
    f.shop.release("a1", Safe::Commit(&work)).unwrap();
    let gate = f.shop.checkout_fresh("gate", &commit, true).unwrap();
    assert_eq!(fs::read_to_string(gate.join("new/file.txt")).unwrap(), "new\n");
    f.shop.release("gate", Safe::NothingChanged).unwrap();
    f.shop.close_run("r1").unwrap();
    f.shop.close_run("r1").unwrap();
    git(&f.repo, &["fsck", "--strict"]);
    assert_eq!(git(&f.repo, &["show", "p0/r1/main:new/file.txt"]), "new");
}

#[test]
fn a_dirty_checkout_is_as_it_was_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), &[("a", "a\n"), ("b", "b\n"), ("c", "c\n"), (".gitignore", "ignored\n")]);
    put(&repo, &[("a", "stashed\n")]);
    git(&repo, &["stash", "-q"]);
    put(&repo, &[("b", "staged\n"), ("c", "unstaged\n"), ("untracked", "u"), ("ignored", "i")]);
    git(&repo, &["add", "b"]);
    put(&repo, &[(".git/hooks/reference-transaction", "#!/bin/sh\ntouch ../HOOK-RAN\n")]);
    let hook = repo.join(".git/hooks/reference-transaction");
    fs::set_permissions(hook, fs::Permissions::from_mode(0o755)).unwrap();
    let before = snapshot(&repo);
    let f = over(dir, repo);
    assert!(f.shop.person().is_dirty().unwrap());
    whole_run(&f);
    let after = snapshot(&f.repo);
    let differing: Vec<_> = before.iter().filter(|(path, state)| after.get(*path) != Some(state)).collect();
    assert!(differing.is_empty(), "{differing:?}");
    assert_eq!(before.len(), after.len(), "a file appeared");
    assert!(!f.dir.path().join("HOOK-RAN").exists());
}

#[test]
fn a_clean_checkout_is_not_dirty() {
    let f = fixture(&[("a", "a\n")]);
    assert!(!f.shop.person().is_dirty().unwrap());
    assert_eq!(f.shop.person().root(), f.repo.canonicalize().unwrap());
}

#[test]
fn works_on_a_detached_head() {
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), &[("a", "a\n")]);
    git(&repo, &["checkout", "-q", "--detach"]);
    whole_run(&over(dir, repo));
}

#[test]
fn works_on_a_bare_repository() {
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), &[("a", "a\n")]);
    let bare = dir.path().join("bare.git");
    git(dir.path(), &["clone", "-q", "--bare", repo.to_str().unwrap(), "bare.git"]);
    let f = over(dir, bare);
    assert!(f.shop.person().is_bare());
    whole_run(&f);
}

#[test]
fn works_on_a_linked_worktree_and_shares_the_workshop() {
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), &[("a", "a\n")]);
    git(&repo, &["worktree", "add", "-q", "-b", "other", "../other"]);
    let other = dir.path().join("other");
    git(&other, &["commit", "-q", "--allow-empty", "-m", "second"]);
    let here = ProjectRepository::open(dir.path(), &PersonRepo::discover(&repo).unwrap()).unwrap();
    let there = PersonRepo::discover(&other).unwrap();
    assert_eq!(there.head_commit().unwrap(), git(&other, &["rev-parse", "HEAD"]));
    assert_eq!(there.git_dir(), here.person().git_dir());
}

#[test]
fn works_on_a_shallow_clone() {
    let dir = tempfile::tempdir().unwrap();
    let origin = person_repo(dir.path(), &[("a", "a\n")]);
    for text in ["b\n", "c\n"] {
        put(&origin, &[("a", text)]);
        git(&origin, &["commit", "-qam", "more"]);
    }
    let url = format!("file://{}", origin.display());
    git(dir.path(), &["clone", "-q", "--depth", "1", &url, "shallow"]);
    let repo = dir.path().join("shallow");
    let f = over(dir, repo);
    whole_run(&f);
    let tree = f.shop.checkout("a2", &f.head).unwrap();
    assert_eq!(git(&tree, &["log", "--oneline"]).lines().count(), 1);
    git(&f.repo, &["fetch", "-q", "--unshallow"]);
    f.reopened();
    assert_eq!(git(&tree, &["log", "--oneline"]).lines().count(), 3);
}

#[test]
fn borrows_through_the_persons_own_alternates() {
    let dir = tempfile::tempdir().unwrap();
    let origin = person_repo(dir.path(), &[("a", "a\n")]);
    git(dir.path(), &["clone", "-q", "--shared", origin.to_str().unwrap(), "borrower"]);
    fs::write(dir.path().join("borrower/.git/objects/info/alternates"), "../../../project/.git/objects\n").unwrap();
    let repo = dir.path().join("borrower");
    let f = over(dir, repo);
    whole_run(&f);
    let tree = f.shop.checkout("a2", &f.head).unwrap();
    assert_eq!(git(&tree, &["status", "--porcelain"]), "");
}

#[test]
fn a_submodule_is_kept_and_its_empty_folder_is_no_deletion() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("lib");
    fs::create_dir(&library).unwrap();
    let library = person_repo(&library, &[("l", "l\n")]);
    let repo = person_repo(dir.path(), &[("a", "a\n")]);
    let add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add"];
    git(&repo, &[&add[..], &[library.to_str().unwrap(), "vendor/lib"]].concat());
    git(&repo, &["commit", "-qm", "submodule"]);
    let f = over(dir, repo);
    whole_run(&f);
    let link = git(&f.repo, &["rev-parse", "HEAD:vendor/lib"]);
    assert_eq!(git(&f.repo, &["rev-parse", "p0/r1/main:vendor/lib"]), link);

    let tree = f.shop.checkout("a2", &f.head).unwrap();
    assert_eq!(git(&tree, &["status", "--porcelain"]), "");
    fs::remove_dir(tree.join("vendor/lib")).unwrap();
    git(&tree, &["clone", "-q", library.to_str().unwrap(), "vendor/lib"]);
    assert_eq!(f.harvest("a2").changes, []);
    git(&tree.join("vendor/lib"), &["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x", "--allow-empty"]);
    let told = |harvest: crate::git::Harvest| {
        assert_eq!((summary(&harvest), &harvest.untracked_repos[..], harvest.commit), (vec![], &[][..], None));
        let [why] = &harvest.refused[..] else { panic!("{:?}", harvest.refused) };
        assert!(why.contains("submodule") && why.ends_with(": vendor/lib"), "{why}");
    };
    told(f.harvest("a2"));
    fs::remove_dir_all(tree.join("vendor/lib/.git")).unwrap();
    told(f.harvest("a2"));
    assert!(f.shop.release("a2", Safe::NothingChanged).is_err());
}

#[test]
fn refuses_what_it_cannot_work_with() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(PersonRepo::discover(dir.path()), Err(Error::NotARepository { .. })));
    let sha = dir.path().join("sha");
    git(dir.path(), &["init", "-q", "--object-format=sha256", "sha"]);
    let error = PersonRepo::discover(&sha).unwrap_err();
    assert!(matches!(error, Error::Sha256 { .. }), "{error}");
    assert!(error.to_string().contains("sha256"));
    git(dir.path(), &["init", "-q", "unborn"]);
    assert!(matches!(PersonRepo::discover(&dir.path().join("unborn")), Err(Error::NoCommits { .. })));
}

#[test]
fn reads_commits_files_branches_and_identity() {
    let f = fixture(&[("a/b", "text\n")]);
    let person = f.shop.person();
    git(&f.repo, &["tag", "-am", "t", "v1"]);
    assert_eq!(person.resolve("v1").unwrap(), f.head);
    assert!(matches!(person.resolve("nope"), Err(Error::UnknownRevision { .. })));
    assert_eq!(person.read_file(&f.head, "a/b").unwrap().unwrap(), b"text\n");
    assert_eq!(person.read_file(&f.head, "a/c").unwrap(), None);
    assert_eq!(person.read_file(&f.head, "a").unwrap(), None);
    assert_eq!(person.branch_head("main").unwrap().as_deref(), Some(f.head.as_str()));
    assert_eq!(person.branch_head("none").unwrap(), None);
    assert_eq!(person.identity().unwrap(), Identity { name: "Ada".into(), email: "ada@example.org".into() });
}

#[test]
fn a_branch_called_p0_is_in_the_way_and_left_alone() {
    let f = fixture(&[("a", "a\n")]);
    git(&f.repo, &["branch", "p0"]);
    let error = f.shop.open_run("r1", &f.head).unwrap_err();
    assert!(matches!(&error, Error::RefInTheWay { in_its_way, .. } if in_its_way == "refs/heads/p0"), "{error}");
    assert_eq!(git(&f.repo, &["rev-parse", "p0"]), f.head);
}
