//! What a program is confined to, with every path resolved: written by the engine into the attempt's specification,
//! applied by the process that becomes the program, and looked up by the supervisor for its record of tries.

use crate::model::sandbox::{Network, Rlimits};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// The limits of one program. Of the lists of paths the one that names the deepest folder above a file decides about
/// it; all of them are real paths, without symbolic links.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confine {
    /// Whether the program must not start unless everything in here is enforced.
    pub required: bool,
    /// What it may write, and read.
    pub write: Vec<PathBuf>,
    /// What it may read.
    pub read: Vec<PathBuf>,
    /// What it may not read, though a folder above is in `read` or `write`.
    pub hidden: Vec<PathBuf>,
    /// The socket of its own, which it may use although its folder is hidden.
    pub attempt_socket: Option<PathBuf>,
    /// Which network there is.
    pub network: Network,
    /// Limits of each process.
    pub limits: Rlimits,
    /// Whether it also gets namespaces of its own by bubblewrap.
    pub bubblewrap: bool,
}

impl Confine {
    /// Whether a file may be read, by its real path.
    pub fn may_read(&self, path: &Path) -> bool {
        self.grant(path, &[&self.write, &self.read])
    }

    /// Whether a file may be written, by its real path.
    pub fn may_write(&self, path: &Path) -> bool {
        self.grant(path, &[&self.write])
    }

    fn grant(&self, path: &Path, allowed: &[&Vec<PathBuf>]) -> bool {
        let depth = |list: &[PathBuf]| {
            list.iter().filter(|it| path.starts_with(it)).map(|it| it.components().count()).max().unwrap_or(0)
        };
        let granted = allowed.iter().map(|list| depth(list)).max().unwrap_or(0);
        granted > 0 && granted >= depth(&self.hidden)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_folder_decides() {
        let paths = |list: &[&str]| list.iter().map(PathBuf::from).collect::<Vec<_>>();
        let confine = Confine {
            required: true,
            write: paths(&["/data/w1", "/home/a/out"]),
            read: paths(&["/", "/home/a/.p0"]),
            hidden: paths(&["/data", "/home/a", "/home/a/.p0/config.toml"]),
            attempt_socket: None,
            network: Network::Allow,
            limits: Rlimits::default(),
            bubblewrap: false,
        };
        let (read, write) = (|p: &str| confine.may_read(Path::new(p)), |p: &str| confine.may_write(Path::new(p)));
        assert!(read("/etc/passwd") && read("/data/w1/a") && read("/home/a/.p0/roles/x.md") && read("/database"));
        assert!(!read("/data/w2") && !read("/data") && !read("/home/a/.ssh/id") && !read("/home/a/.p0/config.toml"));
        assert!(write("/data/w1/x/y") && write("/home/a/out"));
        assert!(!write("/data/w1x") && !write("/etc/passwd") && !write("/home/a/.p0/x"));
    }
}
