//! Where a branch of the person's repository is checked out, and moving such a checkout along with it.
use super::{
    error::Error,
    person::PersonRepo,
    plumbing::{self, Git},
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A working tree that has a branch checked out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Checkout {
    /// Its root.
    pub(super) root: PathBuf,
    /// A rebase or a bisection has the branch, and will move it.
    pub(super) busy: bool,
}

/// The working trees of the person's repository that have this branch (`refs/heads/…`) checked out. One whose folder is
/// gone has nothing.
pub(super) fn of_branch(person: &PersonRepo, name: &str) -> Vec<Checkout> {
    let common = person.git_dir();
    let mut found = Vec::new();
    if let Some(root) = main_tree(person)
        && let Some(busy) = has(common, name)
    {
        found.push(Checkout { root, busy });
    }
    let linked = fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten();
    for admin in linked.map(|entry| entry.path()) {
        let Ok(link) = fs::read_to_string(admin.join("gitdir")) else { continue };
        // Relative ones are taken from the administration's own folder.
        let root = admin.join(link.trim_end()).parent().map(Path::to_path_buf).unwrap_or_default();
        if let (true, Some(busy)) = (root.is_dir(), has(&admin, name)) {
            found.push(Checkout { root, busy });
        }
    }
    found
}

/// The root of the main working tree; none when the repository has only linked ones, or none.
fn main_tree(person: &PersonRepo) -> Option<PathBuf> {
    if person.own_dir() == person.git_dir() {
        return (!person.is_bare()).then(|| person.root().to_path_buf());
    }
    let config = git2::Config::open(&person.git_dir().join("config")).ok()?;
    if config.get_bool("core.bare").unwrap_or(false) {
        return None;
    }
    let configured = config.get_path("core.worktree").ok().map(|path| person.git_dir().join(path));
    configured.or_else(|| person.git_dir().parent().map(Path::to_path_buf))
}

/// Whether this git directory has the branch checked out: none when it has not, else whether something in progress has
/// it.
fn has(git_dir: &Path, name: &str) -> Option<bool> {
    let says = |file: &str, text: &str| fs::read_to_string(git_dir.join(file)).is_ok_and(|found| found.trim() == text);
    if says("HEAD", &format!("ref: {name}")) {
        return Some(false);
    }
    let short = name.trim_start_matches("refs/heads/");
    let busy =
        says("rebase-merge/head-name", name) || says("rebase-apply/head-name", name) || says("BISECT_START", short);
    busy.then_some(true)
}

/// Moves a checkout and its branch to a commit as `git merge --ff-only` does: local changes stay, and where they are in
/// its way nothing is moved. Why it was not; none when it was.
pub(super) fn fast_forward(checkout: &Checkout, commit: &str) -> Result<Option<String>, Error> {
    if checkout.busy {
        return Ok(Some("a rebase or a bisection is in progress there".into()));
    }
    let arguments =
        ["-c", "core.hooksPath=/dev/null", "merge", "--quiet", "--no-stat", "--ff-only", "--no-autostash", commit];
    let output = Git::new(&checkout.root, &arguments).env("GIT_REFLOG_ACTION", "p0").output()?;
    Ok((!output.status.success()).then(|| plumbing::said(&output)))
}
