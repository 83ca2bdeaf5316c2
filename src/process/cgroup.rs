//! A control group for each program, where the supervisor's own one is version 2 and may be divided: then everything
//! in it dies in one stroke, whatever it forks. Elsewhere the process tree and the mark do.
//!
//! Nothing but a folder of our own, below the group that the supervisor is in already, is ever made or removed; the
//! root of a machine's groups is left alone, it belongs to whoever started the machine.

use super::files::{AttemptDir, write_private};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Folders of ours begin so.
const PREFIX: &str = "p0-";

/// The group of one program.
#[derive(Debug)]
pub(super) struct Cgroup {
    dir: PathBuf,
    parent: PathBuf,
}

/// Where this process's own group of version 2 is, when a group can be made below it. In words why not.
pub fn cgroup_dir() -> Result<PathBuf, String> {
    let text = fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("no control groups: {error}"))?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::")).ok_or("no control groups of version 2")?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let (root, point) = mounts
        .lines()
        .filter(|line| line.contains(" - cgroup2 "))
        .find_map(|line| {
            let mut fields = line.split(' ').skip(3);
            Some((fields.next()?, fields.next()?))
        })
        .ok_or("control groups of version 2 are not mounted")?;
    let below = Path::new(path).strip_prefix(root).map_err(|_| "its control group lies outside of what is mounted")?;
    let dir = Path::new(point).join(below);
    if !dir.join("cgroup.events").exists() {
        return Err("p0 runs in the machine's root control group, which is left alone".to_owned());
    }
    if !dir.join("cgroup.kill").exists() {
        return Err("control groups cannot be killed here (Linux 5.14 can)".to_owned());
    }
    let writable = |path: &Path| rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_ok();
    if !writable(&dir) || !writable(&dir.join("cgroup.procs")) {
        return Err(format!("the control group {} may not be divided by this user", dir.display()));
    }
    Ok(dir)
}

impl Cgroup {
    /// Makes the group and enters it: whoever is started now is in it from its first moment. `None` = not here.
    pub(super) fn enter(place: &AttemptDir, nonce: &str) -> Option<Cgroup> {
        let parent = cgroup_dir().ok()?;
        let name: String = nonce.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
        let dir = parent.join(format!("{PREFIX}{name}"));
        // The name is on disk before the folder is: whoever finds this directory later knows what to remove.
        write_private(&place.cgroup(), dir.display().to_string().as_bytes()).ok()?;
        fs::create_dir(&dir).ok()?;
        let group = Cgroup { dir, parent };
        if fs::write(group.dir.join("cgroup.procs"), "0").is_err() {
            group.remove();
            return None;
        }
        Some(group)
    }

    /// Goes back to where the supervisor was. False = it could not, and must not kill the group.
    pub(super) fn leave(&self) -> bool {
        fs::write(self.parent.join("cgroup.procs"), "0").is_ok()
    }

    /// Kills everyone in it.
    pub(super) fn kill(&self) {
        let _ = fs::write(self.dir.join("cgroup.kill"), "1");
    }

    /// Removes it; refused by the kernel while anybody is in it.
    pub(super) fn remove(&self) {
        let _ = fs::remove_dir(&self.dir);
    }
}

/// Kills and removes what a supervisor that is gone left. Only a folder with a name of ours is touched.
pub(super) fn clear(place: &AttemptDir) {
    let Ok(text) = fs::read_to_string(place.cgroup()) else { return };
    let dir = PathBuf::from(text);
    let is_ours = dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    if is_ours && dir.join("cgroup.procs").exists() {
        let group = Cgroup { parent: dir.parent().unwrap_or(&dir).to_path_buf(), dir };
        group.kill();
        group.remove();
    }
}
