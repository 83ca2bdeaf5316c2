//! Making the demo's repository.
use super::assets::{self, Asset, MARK, SPEC};
use git2::{IndexEntry, IndexTime, Oid, Repository, RepositoryInitOptions, Signature, Time};
use std::{
    fs, io,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

/// The branch that is checked out.
const BRANCH: &str = "main";
/// Who signs the first commit. With a fixed time, the same files give the same commit everywhere.
const AUTHOR: (&str, &str) = ("p0 demo", "demo@localhost");
/// Seconds since 1970.
const COMMITTED_AT_S: i64 = 1_750_000_000;

/// A demo, ready to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Demo {
    /// The root of its repository, absolute. `.p0/config.toml` is in it.
    pub root: PathBuf,
    /// The spec to run.
    pub spec_text: String,
}

/// Why a demo could not be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder is in use.
    #[error("{path} is not empty and was not made by `p0 demo`; name an empty folder, or one that is not there yet")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be written or read.
    #[error("{path}: cannot {what} it: {source}; name a folder you may write with --dir")]
    Io {
        /// What was to be done.
        what: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// git refused.
    #[error("{path}: making the repository: {source}; name an empty folder with --dir")]
    Git {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: git2::Error,
    },
}

/// Makes the repository in `dir`, which is made when it is missing. A folder that an earlier demo made is taken again
/// as it is, so that a demo that was killed goes on; one that was killed before its first commit is completed.
///
/// # Errors
/// See [`Error`]; each says what to do.
pub fn create(dir: &Path) -> Result<Demo, Error> {
    fs::create_dir_all(dir).map_err(io_at("make", dir))?;
    let root = dir.canonicalize().map_err(io_at("look at", dir))?;
    let is_earlier = root.join(MARK.path).exists();
    if !is_earlier && fs::read_dir(&root).map_err(io_at("read", &root))?.next().is_some() {
        return Err(Error::NotEmpty { path: root });
    }
    if !(is_earlier && has_commit(&root)) {
        for asset in assets::all() {
            write(&root, asset)?;
        }
        commit(&root).map_err(|source| Error::Git { path: root.clone(), source })?;
    }
    let spec = root.join(SPEC.path);
    let spec_text = fs::read_to_string(&spec).map_err(io_at("read", &spec))?;
    Ok(Demo { root, spec_text })
}

fn io_at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { what, path, source }
}

/// Whether the repository *of this folder* has a commit; one that it lies in does not count.
fn has_commit(root: &Path) -> bool {
    Repository::open(root).is_ok_and(|repo| repo.head().is_ok())
}

fn write(root: &Path, asset: &Asset) -> Result<(), Error> {
    let path = root.join(asset.path);
    let folder = path.parent().unwrap_or(root);
    fs::create_dir_all(folder).map_err(io_at("make", folder))?;
    fs::write(&path, asset.content).map_err(io_at("write", &path))?;
    if asset.is_program {
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).map_err(io_at("write", &path))?;
    }
    Ok(())
}

/// The first commit, from the files as they are in this program: what a person's configuration makes of line endings
/// or of new repositories does not change it.
fn commit(root: &Path) -> Result<(), git2::Error> {
    let mut options = RepositoryInitOptions::new();
    options.initial_head(BRANCH).external_template(false);
    let repo = Repository::init_opts(root, &options)?;
    let mut index = repo.index()?;
    index.clear()?;
    for asset in assets::all() {
        index.add_frombuffer(&entry(asset), asset.content.as_bytes())?;
    }
    index.write()?;
    let tree = repo.find_tree(index.write_tree()?)?;
    let author = Signature::new(AUTHOR.0, AUTHOR.1, &Time::new(COMMITTED_AT_S, 0))?;
    repo.commit(Some("HEAD"), &author, &author, "An empty blog\n", &tree, &[])?;
    Ok(())
}

fn entry(asset: &Asset) -> IndexEntry {
    IndexEntry {
        // Unknown times and sizes: git looks at the file itself the first time.
        ctime: IndexTime::new(0, 0),
        mtime: IndexTime::new(0, 0),
        dev: 0,
        ino: 0,
        mode: if asset.is_program { 0o100_755 } else { 0o100_644 },
        uid: 0,
        gid: 0,
        file_size: 0,
        id: Oid::ZERO_SHA1,
        flags: 0,
        flags_extended: 0,
        path: asset.path.as_bytes().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{
        config::{Config, Overrides},
        spec::Spec,
        workflow::builtin,
    };

    fn head(root: &Path) -> Oid {
        Repository::open(root).unwrap().head().unwrap().target().unwrap()
    }

    #[test]
    fn the_same_commit_wherever_it_is_made_and_a_clean_checkout() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, other) = (create(&a.path().join("new/demo")).unwrap(), create(b.path()).unwrap());
        assert_eq!(head(&one.root), head(&other.root));
        let repo = Repository::open(&one.root).unwrap();
        assert_eq!(repo.head().unwrap().shorthand().unwrap(), BRANCH);
        assert_eq!(repo.statuses(None).unwrap().iter().filter(|s| !s.status().is_ignored()).count(), 0);
    }

    #[test]
    fn an_earlier_demo_is_taken_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = create(dir.path()).unwrap();
        let before = head(&first.root);
        fs::write(first.root.join("mine.txt"), "kept").unwrap();
        fs::write(first.root.join("SPEC.md"), "# Another blog\n").unwrap();
        let again = create(dir.path()).unwrap();
        assert_eq!((head(&again.root), again.spec_text.as_str()), (before, "# Another blog\n"));
        assert_eq!(fs::read_to_string(first.root.join("mine.txt")).unwrap(), "kept");
    }

    #[test]
    fn a_demo_killed_before_its_commit_is_completed() {
        let whole = tempfile::tempdir().unwrap();
        let whole = create(whole.path()).map(|demo| head(&demo.root)).unwrap();
        let dir = tempfile::tempdir().unwrap();
        write(dir.path(), &MARK).unwrap();
        fs::write(dir.path().join("SPEC.md"), "# A bl").unwrap();
        Repository::init(dir.path()).unwrap();
        assert_eq!(head(&create(dir.path()).unwrap().root), whole);
    }

    #[test]
    fn somebody_elses_folder_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("thesis.txt"), "precious").unwrap();
        let refused = create(dir.path()).unwrap_err().to_string();
        assert!(refused.contains("not empty"), "{refused}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn the_settings_and_the_spec_are_good() {
        let dir = tempfile::tempdir().unwrap();
        let demo = create(dir.path()).unwrap();
        let spec = Spec::parse(demo.spec_text.as_bytes()).unwrap();
        assert_eq!(spec.suggested_key(), "BLOG");
        let path = demo.root.join(".p0/config.toml");
        let config = Config::parse(&fs::read_to_string(&path).unwrap(), &path).unwrap();
        let settings = config.resolve(&builtin::ralph(), &demo.root, &Overrides::default()).unwrap();
        assert_eq!((settings.roles.len(), settings.gates.len()), (4, 1));
    }
}
