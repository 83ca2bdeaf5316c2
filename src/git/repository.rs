//! The engine's own repository for one project: its layout, and the runs in it.
use super::{
    convert::Conversion,
    disk,
    error::{Error, GitContext, IoContext},
    facts, handle, land,
    person::PersonRepo,
    slot::Slot,
};
use crate::model::{files::Files, paths::PathFact};
use git2::{ErrorCode, Repository, RepositoryInitOptions};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// The engine's project repository for one repository of a person.
///
/// | in its folder | what |
/// | --- | --- |
/// | `repo.git` | the bare repository of results; borrows the person's objects |
/// | `trees/<n>` | the worktrees |
/// | `gits/<n>` | the repository of worktree `n`; with the worktree, the only folders agents write |
/// | `slots/<n>` | who holds worktree `n`, and its stat cache |
/// | `rules.git` | an empty repository of the engine alone: configuration and ignore rules no agent can change |
/// | `hooks` | empty: where git looks for hooks |
#[derive(Debug)]
pub struct ProjectRepository {
    pub(super) project: PathBuf,
    pub(super) person: PersonRepo,
    /// Held while a slot is chosen: the names of slots that are, and whose record is not written yet.
    pub(super) choosing: Mutex<BTreeSet<PathBuf>>,
    /// Where a holder was found last, so that not all slots are looked at each time; its record has the last word.
    pub(super) found: Mutex<HashMap<String, Slot>>,
    /// The files of `repo.git` that say how it works, as they should be. Agents can write there.
    settings: Mutex<Settings>,
}

/// Files with the content they must have; none must not be there.
type Settings = BTreeMap<PathBuf, Option<Vec<u8>>>;

impl ProjectRepository {
    /// Opens the project repository of `person` below `repos_dir`, making or mending what is missing. One process at a time: the
    /// engine holds the lock of its data directory.
    pub fn open(repos_dir: &Path, person: &PersonRepo) -> Result<ProjectRepository, Error> {
        disk::make_dir(repos_dir)?;
        let repos_dir = repos_dir.canonicalize().io("looking at", repos_dir)?;
        let project = repos_dir.join(folder_name(person));
        for part in ["trees", "slots", "gits", "hooks", "rules.git/objects", "rules.git/refs", "rules.git/info"] {
            disk::make_dir(&project.join(part))?;
        }
        let repository = ProjectRepository {
            project,
            person: person.clone(),
            choosing: Mutex::default(),
            found: Mutex::default(),
            settings: Mutex::default(),
        };
        disk::write_if_changed(&repository.project.join("rules.git/config"), handle::ENGINE_CONFIG.as_bytes())?;
        disk::write_if_changed(&repository.project.join("rules.git/HEAD"), b"ref: refs/heads/none\n")?;
        repository.make_bare()?;
        repository.borrow_from_person()?;
        land::break_stale_locks(&repository.repo_dir())?;
        land::break_stale_locks(person.git_dir())?;
        repository.tidy_agent_refs()?;
        Ok(repository)
    }

    /// The project repository's folder.
    pub fn project_dir(&self) -> &Path {
        &self.project
    }

    /// The bare repository of results, which agents' git reads objects from.
    pub fn repo_dir(&self) -> PathBuf {
        self.project.join("repo.git")
    }

    /// The person's repository this project repository belongs to.
    pub fn person(&self) -> &PersonRepo {
        &self.person
    }

    /// Begins or goes on with a run: pins `base` in the person's repository so that no `git gc` takes it, makes the
    /// run's branch `p0/<run>/main` there when it does not exist, and gives the branch's head.
    pub fn open_run(&self, run: &str, base: &str) -> Result<String, Error> {
        handle::check_name("run", run)?;
        self.borrow_from_person()?;
        self.person.complete(base)?;
        let repo = self.person_repo()?;
        let base = handle::commit_id(base, self.person.git_dir())?;
        handle::tree_of(&repo, base)?;
        land::set_ref(&repo, &format!("refs/p0/base/{run}"), base)?;
        let branch = format!("refs/heads/p0/{run}/main");
        let head = match land::patiently(|| repo.reference(&branch, base, false, "")) {
            Ok(_) => base,
            Err(error) if error.code() == ErrorCode::Exists => {
                let found = land::read_ref(&repo, &branch)?;
                found.ok_or(error).map_err(|error| land::in_the_way(&repo, &branch, error))?
            }
            Err(error) => return Err(land::in_the_way(&repo, &branch, error)),
        };
        land::sync_ref(&repo, &branch)?;
        Ok(head.to_string())
    }

    /// Ends a run: its base is no longer pinned. The branch stays, it is the person's.
    pub fn close_run(&self, run: &str) -> Result<(), Error> {
        handle::check_name("run", run)?;
        let repo = self.person_repo()?;
        self.catch_up(&format!("p0/{run}/main"))?;
        let name = format!("refs/p0/base/{run}");
        match repo.find_reference(&name) {
            Ok(mut pin) => land::patiently(|| pin.delete()).git(format!("deleting {name}"), repo.path()),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(()),
            Err(error) => Err(error).git(format!("reading {name}"), repo.path()),
        }
    }

    /// A handle on the project repository's repository. One per call: handles are not shared between threads. What an agent
    /// changed in its settings is put right first.
    pub(super) fn repo(&self) -> Result<Repository, Error> {
        self.settle()?;
        handle::open(&self.repo_dir(), &self.project.join("rules.git/config"))
    }

    /// A handle on the person's repository that writes nothing but objects and refs.
    pub(super) fn person_repo(&self) -> Result<Repository, Error> {
        handle::open(self.person.git_dir(), &self.project.join("rules.git/config"))
    }

    /// A handle that knows what is ignored in a worktree: by its ignore files and the person's `info/exclude`.
    pub(super) fn rules(&self, tree: &Path) -> Result<Repository, Error> {
        let repo = handle::open(&self.project.join("rules.git"), &self.project.join("rules.git/config"))?;
        repo.set_workdir(tree, false).git("setting a working directory", tree)?;
        Ok(repo)
    }

    /// Makes the bare repository under another name first, so that one half made is never opened.
    fn make_bare(&self) -> Result<(), Error> {
        let repo = self.repo_dir();
        if !repo.join("HEAD").exists() {
            let staged = self.project.join("repo.new");
            disk::remove_any(&staged)?;
            let mut options = RepositoryInitOptions::new();
            options.bare(true).no_reinit(true).external_template(false).initial_head("none");
            Repository::init_opts(&staged, &options).git("making a repository", &staged)?;
            std::fs::rename(&staged, &repo).io("naming", &repo)?;
            disk::sync_dir(&self.project)?;
        }
        // A backup holds files only: of a young repository, or one with packed refs, it gives back no empty folders, and
        // without these git sees no repository.
        for part in ["refs", "info", "objects/info", "objects/pack"] {
            disk::make_dir(&repo.join(part))?;
        }
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        settings.insert(repo.join("config"), Some(self.agent_config()?.into_bytes()));
        settings.insert(repo.join("HEAD"), Some(b"ref: refs/heads/none\n".to_vec()));
        // Files are the blobs, byte for byte, also for the agent's git: no line endings, filters or keywords.
        let attributes = b"* -text -filter -ident !working-tree-encoding\n";
        settings.insert(repo.join("info/attributes"), Some(attributes.to_vec()));
        Ok(())
    }

    /// The files of an agent's repository that say how it works: those of `repo.git`, with its objects beside theirs.
    /// Where conversions apply, line endings, encodings and keywords are converted by the agent's git too; filters are
    /// the person's programs and are not.
    pub(super) fn for_agents(&self, conversion: Option<&Conversion>) -> Result<Vec<(&'static str, Vec<u8>)>, Error> {
        let mut config = self.agent_config()?.replace("\tbare = true\n", "\tbare = false\n");
        for (key, value) in conversion.iter().flat_map(|conversion| &conversion.endings) {
            let name = key.trim_start_matches("core.");
            config.push_str(&format!("[core]\n\t{name} = {}\n", quoted(value)));
        }
        let repo = self.repo_dir();
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = |name: &str| settings.get(&repo.join(name)).cloned().flatten();
        let mut alternates = format!("{}\n", repo.join("objects").display()).into_bytes();
        alternates.extend(kept("objects/info/alternates").unwrap_or_default());
        let mut files = vec![("config", config.into_bytes()), ("objects/info/alternates", alternates)];
        for name in ["info/attributes", "info/exclude", "shallow"] {
            files.extend(kept(name).map(|content| (name, content)));
        }
        if conversion.is_some() {
            let mut attributes = std::fs::read(self.person.git_dir().join("info/attributes")).unwrap_or_default();
            attributes.extend_from_slice(b"\n* -filter\n");
            files.retain(|(name, _)| *name != "info/attributes");
            files.push(("info/attributes", attributes));
        }
        Ok(files)
    }

    /// What the git of `holder` writes beside its worktree, and the object folders it reads.
    pub fn agent_places(&self, holder: &str) -> Result<(PathBuf, Vec<PathBuf>), Error> {
        let (slot, _) = self.find_ready(holder)?;
        let mut objects = vec![self.repo_dir().join("objects"), self.project.join("hooks")];
        objects.extend(handle::object_dirs(&self.person.git_dir().join("objects"))?);
        Ok((slot.admin, objects))
    }

    /// What the tree of a commit has at the paths of `files`, where that is anything but what their list says. What is
    /// ignored is asked in the worktree of `holder`, which has that commit.
    pub fn path_facts(&self, holder: &str, commit: &str, files: &[&Files]) -> Result<Vec<PathFact>, Error> {
        let repo = self.repo()?;
        let tree = handle::tree_of(&repo, handle::commit_id(commit, repo.path())?)?;
        let worktree = self.worktree(holder)?.filter(|tree| tree.is_dir());
        let rules = worktree.map(|tree| self.rules(&tree)).transpose()?;
        facts::look_up(&repo, rules.as_ref(), tree, files)
    }

    fn settle(&self) -> Result<(), Error> {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, content) in &*settings {
            match content {
                Some(content) => disk::write_if_changed(path, content)?,
                None => disk::remove_any(path)?,
            }
        }
        Ok(())
    }

    /// Refers to the person's objects, and takes over what git is told beside them.
    fn borrow_from_person(&self) -> Result<(), Error> {
        let (repo, theirs) = (self.repo_dir(), self.person.git_dir());
        let mut alternates = String::new();
        for dir in handle::object_dirs(&theirs.join("objects"))? {
            alternates.push_str(&format!("{}\n", dir.display()));
        }
        let exclude = std::fs::read(theirs.join("info/exclude")).unwrap_or_default();
        disk::write_if_changed(&self.project.join("rules.git/info/exclude"), &exclude)?;
        let mut settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner);
        settings.insert(repo.join("objects/info/alternates"), Some(alternates.into_bytes()));
        let shallow = std::fs::read(theirs.join("shallow")).ok();
        if shallow.is_none() {
            // History that the person has fetched meanwhile is there for agents at work too. Nothing is written where
            // they can write: a link could lead it elsewhere.
            for slot in Slot::all(&self.project)? {
                disk::remove_any(&slot.admin.join("shallow"))?;
            }
        }
        settings.insert(repo.join("shallow"), shallow);
        settings.insert(repo.join("info/exclude"), Some(exclude));
        drop(settings);
        self.settle()
    }

    /// The configuration of agents' git in their worktrees.
    fn agent_config(&self) -> Result<String, Error> {
        let identity = self.person.identity()?;
        let hooks = self.project.join("hooks");
        let promisor = self.person.promisor_config()?;
        Ok(format!(
            "[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfilemode = true\n\tsymlinks = true\n\
             \tignorecase = false\n\tautocrlf = false\n\teol = lf\n\tsafecrlf = false\n\tlogAllRefUpdates = false\n\
             \tfsmonitor = false\n\tuntrackedCache = false\n\texcludesFile = /dev/null\n\
             \tattributesFile = /dev/null\n\thooksPath = {}\n\
             [user]\n\tname = {}\n\temail = {}\n[commit]\n\tgpgSign = false\n[tag]\n\tgpgSign = false\n\
             [gc]\n\tauto = 0\n\tworktreePruneExpire = never\n[maintenance]\n\tauto = false\n\
             [advice]\n\tdetachedHead = false\n[submodule]\n\trecurse = false\n{promisor}",
            quoted(&hooks.display().to_string()),
            quoted(&identity.name),
            quoted(&identity.email),
        ))
    }

    /// Forgets the branches and tags agents made, when no worktree is held: the next agent should not trip over them.
    /// The commits stay; results are kept by `refs/p0/attempts`.
    pub(super) fn tidy_agent_refs(&self) -> Result<(), Error> {
        let choosing = self.choosing.lock().unwrap_or_else(PoisonError::into_inner);
        if !choosing.is_empty() {
            return Ok(());
        }
        for slot in Slot::all(&self.project)? {
            if slot.record()?.is_some() {
                return Ok(());
            }
        }
        for lock in ["packed-refs.lock", "config.lock", "shallow.lock"] {
            disk::remove_any(&self.repo_dir().join(lock))?;
        }
        let repo = self.repo()?;
        let refs = repo.references().git("listing refs", repo.path())?;
        // What an agent broke by hand is left lying: it is read by nobody.
        for mut found in refs.flatten() {
            if !found.name_bytes().starts_with(b"refs/p0/") {
                let _ = found.delete();
            }
        }
        Ok(())
    }
}

/// `<name>-<hash of the git directory>`: readable, and one per repository.
fn folder_name(person: &PersonRepo) -> String {
    use std::os::unix::ffi::OsStrExt;
    let hash = blake3::hash(person.git_dir().as_os_str().as_bytes()).to_hex();
    let name = person.root().file_name().unwrap_or_default().to_string_lossy();
    let name: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).take(40).collect();
    format!("{name}-{}", &hash[..16])
}

/// A value for a git configuration file.
pub(super) fn quoted(value: &str) -> String {
    let clean: String = value.chars().filter(|c| !c.is_control()).collect();
    format!("\"{}\"", clean.replace('\\', "\\\\").replace('"', "\\\""))
}
