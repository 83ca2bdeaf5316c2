//! Tests of the room on real repositories, made with the git command line.
mod agents;
mod checkouts;
mod conversions;
mod full;
mod killed;
mod landing;
mod paths;
mod persons;
mod places;
mod worktrees;

use super::{Harvest, HarvestOptions, Identity, PersonRepo, ProjectRepository};
use crate::model::files::Files;
use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

/// Runs git with no configuration but the repository's; it must succeed.
pub(super) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(args)
        .current_dir(dir)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_SYSTEM", "/dev/null")
        .env("GIT_AUTHOR_DATE", "1700000000 +0000")
        .env("GIT_COMMITTER_DATE", "1700000000 +0000")
        .output()
        .expect("these tests need git: apt-get install git");
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}

/// Writes files below a folder, making folders as needed.
pub(super) fn put(root: &Path, files: &[(&str, &str)]) {
    for (path, content) in files {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// A person's repository and its project repository.
pub(super) struct Fixture {
    pub(super) dir: tempfile::TempDir,
    pub(super) repo: PathBuf,
    pub(super) shop: ProjectRepository,
    pub(super) head: String,
}

/// Makes a repository with `files` in one commit.
pub(super) fn person_repo(dir: &Path, files: &[(&str, &str)]) -> PathBuf {
    let repo = dir.join("project");
    fs::create_dir(&repo).unwrap();
    git(&repo, &["init", "-q", "-b", "main"]);
    git(&repo, &["config", "user.name", "Ada"]);
    git(&repo, &["config", "user.email", "ada@example.org"]);
    put(&repo, files);
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-q", "--allow-empty", "-m", "first"]);
    repo
}

/// A project repository over a repository with `files`.
pub(super) fn fixture(files: &[(&str, &str)]) -> Fixture {
    let dir = tempfile::tempdir().unwrap();
    let repo = person_repo(dir.path(), files);
    over(dir, repo)
}

/// A project repository over this repository.
pub(super) fn over(dir: tempfile::TempDir, repo: PathBuf) -> Fixture {
    let person = PersonRepo::discover(&repo).unwrap();
    let head = person.head_commit().unwrap();
    let shop = ProjectRepository::open(&dir.path().join("data/repos"), &person).unwrap();
    Fixture { dir, repo, shop, head }
}

impl Fixture {
    /// The same project repository, opened by the next process.
    pub(super) fn reopened(&self) -> ProjectRepository {
        ProjectRepository::open(&self.dir.path().join("data/repos"), &PersonRepo::discover(&self.repo).unwrap())
            .unwrap()
    }

    pub(super) fn harvest(&self, holder: &str) -> Harvest {
        self.harvest_without(holder, &[])
    }

    pub(super) fn harvest_without(&self, holder: &str, generated: &[&str]) -> Harvest {
        self.try_harvest(holder, generated).unwrap()
    }

    pub(super) fn try_harvest(&self, holder: &str, generated: &[&str]) -> Result<Harvest, super::Error> {
        let generated: Vec<String> = generated.iter().map(|pattern| (*pattern).to_owned()).collect();
        let author = Identity { name: "Ada".into(), email: "ada@example.org".into() };
        let options = HarvestOptions {
            generated: &generated,
            conflict_markers: &[],
            owned: &Files::default(),
            message: "work\n",
            author: &author,
            when_s: 1_700_000_000,
        };
        self.shop.harvest(holder, &self.head, &options)
    }

    /// The harvest of a ticket with these files; a folder ends in `/`.
    pub(super) fn harvest_owned(&self, holder: &str, owned: &[&str], generated: &[&str], meant: &[&str]) -> Harvest {
        let list = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<String>>();
        let options = HarvestOptions {
            generated: &list(generated),
            conflict_markers: &list(meant),
            owned: &Files { create: list(owned), modify: vec![] },
            message: "work\n",
            author: &Identity { name: "Ada".into(), email: "ada@example.org".into() },
            when_s: 1_700_000_000,
        };
        self.shop.harvest(holder, &self.head, &options).unwrap()
    }

    /// The attempt `holder`: a checkout, what `work` does in it, the harvest.
    pub(super) fn attempt(&self, holder: &str, work: impl FnOnce(&Path)) -> Harvest {
        let tree = self.shop.checkout(holder, &self.head).unwrap();
        work(&tree);
        self.harvest(holder)
    }

    pub(super) fn land_tree(&self, run: &str, tree: &str, parent: &str) -> (String, super::Landing) {
        let who = Identity::fallback();
        let commit = self.shop.landing_commit(tree, parent, "land\n\nP0-Run: r\n", &who, 1_700_000_001).unwrap();
        let landing = self.shop.land(&format!("p0/{run}/main"), &commit, parent).unwrap();
        (commit, landing)
    }
}

/// `kind path` of each change.
pub(super) fn summary(harvest: &Harvest) -> Vec<String> {
    harvest.changes.iter().map(|change| format!("{:?} {}", change.kind, change.path)).collect()
}

/// Everything below a folder but objects and refs of ours: content, mode, modification time.
pub(super) fn snapshot(root: &Path) -> BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)> {
    let mut out = BTreeMap::new();
    collect(root, root, &mut out);
    out
}

fn collect(root: &Path, dir: &Path, out: &mut BTreeMap<PathBuf, (u32, i64, i64, Vec<u8>)>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let relative = path.strip_prefix(root).unwrap().to_path_buf();
        let shown = relative.to_string_lossy().into_owned();
        let ours = ["objects", "refs/heads/p0", "refs/p0"];
        if ours.iter().any(|part| shown == *part || shown == format!(".git/{part}")) {
            continue;
        }
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            out.insert(relative, (meta.mode(), 0, 0, Vec::new()));
            collect(root, &path, out);
            continue;
        }
        let content = if meta.is_symlink() {
            fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes()
        } else {
            fs::read(&path).unwrap()
        };
        out.insert(relative, (meta.mode(), meta.mtime(), meta.mtime_nsec(), content));
    }
}

/// The files of a worktree, `.git` aside.
pub(super) fn files(root: &Path) -> Vec<String> {
    let all = snapshot(root).into_iter().filter(|(path, (mode, ..))| path != OsStr::new(".git") && mode & 0o40000 == 0);
    all.map(|(path, _)| path.to_string_lossy().into_owned()).collect()
}
