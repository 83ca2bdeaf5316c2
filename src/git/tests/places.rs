//! Where repositories are and what is missing of them: found as git finds them, completed as git completes them.
use super::{
    super::{Error, PersonRepo},
    git, over, person_repo, put,
};
use std::{
    fs,
    os::unix::fs::{chown, symlink},
    path::Path,
};

/// What git says is the root of the working tree.
fn toplevel(dir: &Path) -> String {
    git(dir, &["rev-parse", "--show-toplevel"])
}

#[test]
fn the_working_tree_is_where_git_finds_it() {
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), &[("sub/a", "a\n")]);
    let elsewhere = dir.path().join("store");
    // A repository around the git directory must not be taken for the project.
    git(dir.path(), &["init", "-q", "store"]);
    git(&elsewhere, &["-c", "user.name=x", "-c", "user.email=x", "commit", "-qm", "x", "--allow-empty"]);
    git(&repo, &["init", "-q", "--separate-git-dir", elsewhere.join("one.git").to_str().unwrap()]);
    let linked = dir.path().join("linked");
    git(&repo, &["worktree", "add", "-q", "-b", "other", linked.to_str().unwrap()]);
    let by_link = dir.path().join("by-link");
    fs::create_dir(&by_link).unwrap();
    symlink(elsewhere.join(".git"), by_link.join(".git")).unwrap();
    for place in [&repo, &repo.join("sub"), &linked, &linked.join("sub"), &by_link] {
        let found = PersonRepo::discover(place).unwrap();
        assert_eq!(found.root().display().to_string(), toplevel(place), "{}", place.display());
        assert_eq!(found.head_commit().unwrap(), git(place, &["rev-parse", "HEAD"]));
        let common = git(place, &["rev-parse", "--path-format=absolute", "--git-common-dir"]);
        assert_eq!(
            found.git_dir().display().to_string(),
            Path::new(&common).canonicalize().unwrap().display().to_string()
        );
    }
}

#[test]
fn a_repository_of_another_user_is_taken_when_git_takes_it() {
    if !rustix::process::geteuid().is_root() {
        // Nobody else can give a repository away.
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), &[("a", "a\n")]);
    for path in [repo.clone(), repo.join(".git")] {
        chown(path, Some(12_345), None).unwrap();
    }
    let error = PersonRepo::discover(&repo).unwrap_err();
    let advice = format!("`git config --global --add safe.directory {}`", toplevel_of_another(&repo));
    assert!(matches!(error, Error::ForeignOwner { .. }) && error.to_string().ends_with(&advice), "{error}");
}

/// What git advises.
fn toplevel_of_another(repo: &Path) -> String {
    repo.canonicalize().unwrap().display().to_string()
}

#[test]
fn what_a_partial_clone_has_not_got_is_fetched_or_named() {
    let dir = tempfile::tempdir().unwrap();
    let origin = person_repo(dir.path(), &[("a", "a\n"), ("deep/er/b", "b\n"), ("c", "c\n")]);
    put(&origin, &[("a", "a2\n")]);
    git(&origin, &["commit", "-qam", "second"]);
    git(&origin, &["config", "uploadpack.allowFilter", "true"]);
    git(&origin, &["config", "uploadpack.allowAnySHA1InWant", "true"]);
    let url = format!("file://{}", origin.display());
    for filter in ["blob:none", "tree:0"] {
        let name = filter.replace(':', "");
        git(dir.path(), &["clone", "-q", "--no-checkout", &format!("--filter={filter}"), &url, &name]);
        let clone = dir.path().join(&name);
        git(&clone, &["config", "user.name", "Ada"]);
        git(&clone, &["config", "user.email", "ada@example.org"]);
        let person = PersonRepo::discover(&clone).unwrap();
        let head = person.head_commit().unwrap();
        assert_eq!(person.promisor().unwrap().as_deref(), Some("origin"));
        assert!(person.complete(&head).unwrap() >= 3, "{filter}");
        assert_eq!(person.complete(&head).unwrap(), 0, "once");
    }
    let person = PersonRepo::discover(&origin).unwrap();
    assert_eq!((person.promisor().unwrap(), person.complete(&person.head_commit().unwrap()).unwrap()), (None, 0));

    git(dir.path(), &["clone", "-q", "--no-checkout", "--filter=blob:none", &url, "cut"]);
    let cut = dir.path().join("cut");
    git(&cut, &["config", "user.name", "Ada"]);
    git(&cut, &["config", "user.email", "ada@example.org"]);
    fs::rename(&origin, dir.path().join("away")).unwrap();
    let f = over(dir, cut);
    let error = f.shop.open_run("r1", &f.head).unwrap_err();
    assert!(matches!(error, Error::MissingObjects { count: 3, .. }), "{error}");
    for word in ["partial clone", "origin", "git fetch"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    fs::rename(f.dir.path().join("away"), &origin).unwrap();
    f.shop.open_run("r1", &f.head).unwrap();
    let tree = f.shop.checkout("a1", &f.head).unwrap();
    assert_eq!(fs::read_to_string(tree.join("a")).unwrap(), "a2\n");
}

#[test]
fn a_form_that_cannot_be_read_is_named_with_its_mend() {
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), &[("a", "a\n")]);
    git(&repo, &["config", "core.repositoryformatversion", "1"]);
    git(&repo, &["config", "extensions.refStorage", "reftable"]);
    let error = PersonRepo::discover(&repo).unwrap_err().to_string();
    assert!(error.contains("reftable") && error.contains("git refs migrate"), "{error}");
}
