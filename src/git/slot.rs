//! What is on disk for one worktree of the pool: the agent's folder, git's administration of it, and, out of the
//! agent's reach, who holds it and the stat cache.
use super::{
    cache::{Cache, Stat},
    convert::Converted,
    disk,
    error::{Error, IoContext},
    tree::Entry,
};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Who holds a worktree, written before it is prepared and removed last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) holder: String,
    /// The commit it was moved to.
    pub(super) commit: String,
    /// Whether the move was finished. Before that nobody has worked in it.
    pub(super) ready: bool,
    /// Whether what is left in it is by contract worth nothing (a gate's checkout).
    pub(super) scratch: bool,
    /// The `generated` patterns of the last harvest: their content is nobody's.
    pub(super) generated: Vec<String>,
}

/// One worktree of the pool.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// The working directory.
    pub(super) tree: PathBuf,
    /// `gits/<name>`: a repository for this worktree alone, which is all that the agent's git writes. It borrows the
    /// project repository's objects and shares nothing else with any other: neither branches nor settings nor objects to break.
    pub(super) admin: PathBuf,
    /// The engine's own folder.
    pub(super) own: PathBuf,
}

impl Slot {
    pub(super) fn new(project: &Path, name: &str) -> Slot {
        Slot {
            tree: project.join("trees").join(name),
            admin: project.join("gits").join(name),
            own: project.join("slots").join(name),
        }
    }

    /// Whether its working directory is there. What runs in it may remove it, or put something else in its place.
    pub(super) fn has_tree(&self) -> bool {
        std::fs::symlink_metadata(&self.tree).is_ok_and(|found| found.is_dir())
    }

    /// All slots of a project repository, by name.
    pub(super) fn all(project: &Path) -> Result<Vec<Slot>, Error> {
        let dir = project.join("slots");
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&dir).io("reading", &dir)? {
            if let Ok(name) = entry.io("reading", &dir)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_by_key(|name| (name.len(), name.clone()));
        Ok(names.iter().map(|name| Slot::new(project, name)).collect())
    }

    /// Who holds it; none when it is free.
    pub(super) fn record(&self) -> Result<Option<Record>, Error> {
        let path = self.own.join("holder");
        let data = match std::fs::read(&path) {
            Ok(data) => data,
            Err(error) if disk::is_gone(&error) => return Ok(None),
            Err(error) => return Err(error).io("reading", &path),
        };
        let bad = |error: serde_json::Error| Error::BadRecord { path, detail: error.to_string() };
        serde_json::from_slice(&data).map(Some).map_err(bad)
    }

    /// Writes down who holds it.
    pub(super) fn write(&self, record: &Record) -> Result<(), Error> {
        let data = serde_json::to_vec(record).expect("a record is strings and flags");
        disk::write_durably(&self.own.join("holder"), &data)
    }

    /// Makes it free. Who held it last stays known.
    pub(super) fn clear(&self) -> Result<(), Error> {
        let (holder, last) = (self.own.join("holder"), self.own.join("last"));
        match std::fs::rename(&holder, &last) {
            Err(error) if !disk::is_gone(&error) => return Err(error).io("freeing", &holder),
            Ok(()) | Err(_) => {}
        }
        disk::sync_dir(&self.own)
    }

    /// Whether it was held last by `holder`. Only a preference hangs on it, so what cannot be read is a no.
    pub(super) fn was_held_by(&self, holder: &str) -> bool {
        let data = std::fs::read(self.own.join("last")).unwrap_or_default();
        serde_json::from_slice::<Record>(&data).is_ok_and(|record| record.holder == holder)
    }

    /// The stat cache. After a power cut a file may look written and not be, so a cache of an earlier boot is not
    /// used; nor is one of other conversions, under which a blob is another file.
    pub(super) fn cache(&self, print: Option<&str>) -> Cache {
        Cache::load(&self.cache_path(print))
    }

    /// Whether the worktree was last moved under these conversions, in this boot.
    pub(super) fn has_cache(&self, print: Option<&str>) -> bool {
        self.cache_path(print).exists()
    }

    /// What conversions made in this worktree, under whatever settings they were.
    pub(super) fn converted(&self) -> Converted {
        Converted::load(&self.own.join("converted"))
    }

    /// Writes the stat cache and what conversions made; caches of earlier boots and other conversions go.
    pub(super) fn save_cache(
        &self,
        print: Option<&str>,
        entries: &[(Entry, Option<Stat>)],
        converted: Option<&Converted>,
    ) -> Result<(), Error> {
        let path = self.cache_path(print);
        for entry in std::fs::read_dir(&self.own).io("reading", &self.own)? {
            let entry = entry.io("reading", &self.own)?;
            let name = entry.file_name();
            if name.to_string_lossy().starts_with("cache-") && entry.path() != path {
                disk::remove_any(&entry.path())?;
            }
        }
        match converted {
            Some(converted) => converted.save(&self.own.join("converted"))?,
            None => disk::remove_any(&self.own.join("converted"))?,
        }
        Cache::save(&path, entries)
    }

    fn cache_path(&self, print: Option<&str>) -> PathBuf {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot: String = boot.chars().filter(char::is_ascii_hexdigit).take(12).collect();
        match print {
            Some(print) => self.own.join(format!("cache-{boot}-{print}")),
            None => self.own.join(format!("cache-{boot}")),
        }
    }

    /// Gives git a fresh administration of the worktree: HEAD detached at `commit`, its index, nothing of an earlier
    /// holder.
    pub(super) fn attach(&self, commit: &str, print: Option<&str>, common: &[(&str, Vec<u8>)]) -> Result<(), Error> {
        disk::remove_any(&self.admin)?;
        disk::make_dir(&self.admin)?;
        for part in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "info"] {
            disk::make_dir(&self.admin.join(part))?;
        }
        let head = format!("{commit}\n").into_bytes();
        for (name, content) in common.iter().chain([&("HEAD", head)]) {
            let path = self.admin.join(name);
            std::fs::write(&path, content).io("writing", &path)?;
        }
        let index = self.admin.join("index");
        std::fs::copy(self.cache_path(print), &index).io("copying the index to", &index)?;
        let link = self.tree.join(".git");
        disk::remove_any(&link)?;
        std::fs::write(&link, format!("gitdir: {}\n", self.admin.display())).io("writing", &link)
    }

    /// Removes a free slot: its record of being a slot goes last.
    pub(super) fn remove(&self) -> Result<(), Error> {
        disk::remove_any(&self.tree)?;
        disk::remove_any(&self.admin)?;
        disk::remove_any(&self.own)
    }
}
