//! The lists of paths as Landlock rules. Landlock knows only what is allowed, so "everything but" is written as a walk
//! from the top: a folder that leads to nothing hidden is one rule, one that does is entered.

use super::spec::Confine;
use crate::model::sandbox::Network;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::fs::FileType;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Folders that are entered have at the most so many entries that get a rule of their own: the data directory may lie
/// in a folder for temporary files, among thousands of others.
const ENTRIES: usize = 1000;
/// Rules for reading, altogether.
const RULES: usize = 8000;

/// Every path below `roots` that leads to nothing in `hidden`, as few as possible. Symbolic links are left out: what
/// they lead to has a path of its own.
pub fn everything_but(roots: &[PathBuf], hidden: &[PathBuf]) -> Vec<PathBuf> {
    let mut found = BTreeSet::new();
    for root in roots {
        // What hides the root itself lies above it: the root is the deeper word.
        let below: Vec<&PathBuf> = hidden.iter().filter(|it| it.starts_with(root) && *it != root).collect();
        walk(root, &below, &mut found);
    }
    found.into_iter().collect()
}

fn walk(path: &Path, hidden: &[&PathBuf], found: &mut BTreeSet<PathBuf>) {
    if found.len() >= RULES || hidden.iter().any(|it| it.as_path() == path) {
        return;
    }
    let below: Vec<&PathBuf> = hidden.iter().filter(|it| it.starts_with(path)).copied().collect();
    if below.is_empty() {
        found.insert(path.to_path_buf());
        return;
    }
    let Ok(entries) = fs::read_dir(path) else { return };
    let mut children: Vec<PathBuf> = Vec::new();
    for entry in entries.flatten().filter(|it| it.file_type().is_ok_and(|kind| !kind.is_symlink())) {
        let child = entry.path();
        // What leads to something hidden is entered however many there are.
        if children.len() < ENTRIES || below.iter().any(|it| it.starts_with(&child)) {
            children.push(child);
        }
    }
    for child in children {
        walk(&child, &below, found);
    }
}

/// Confines this process and all that come from it; answers how many rules there are.
pub(super) fn apply(confine: &Confine, abi: u32) -> Result<u32, String> {
    let said = |what: &'static str| move |error: &dyn std::fmt::Display| format!("Landlock: {what}: {error}");
    let abi = version(abi);
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(abi))
        .map_err(|error| said("files")(&error))?;
    let ports = match &confine.network {
        Network::Allow => None,
        Network::None => Some(&[][..]),
        Network::Ports(ports) => Some(ports.as_slice()),
    };
    if ports.is_some() && abi >= ABI::V4 {
        ruleset = ruleset.handle_access(AccessNet::ConnectTcp).map_err(|error| said("the network")(&error))?;
    }
    if abi >= ABI::V6 {
        ruleset = ruleset.scope(Scope::from_all(abi)).map_err(|error| said("signals")(&error))?;
    }
    let mut created = ruleset.create().map_err(|error| said("no rules")(&error))?;
    let mut count = 0;
    // A folder may have gone between the walk and the rule: what is not there is not allowed either.
    for path in everything_but(&confine.read, &confine.hidden) {
        created = add(created, &path, AccessFs::from_read(abi), abi, &mut count)?;
    }
    let devices = Path::new("/dev");
    for path in everything_but(&confine.write, &confine.hidden) {
        let access = writing(abi, path.starts_with(devices));
        created = add(created, &path, access, abi, &mut count)?;
    }
    for port in ports.unwrap_or_default().iter().filter(|_| abi >= ABI::V4) {
        let rule = NetPort::new(*port, AccessNet::ConnectTcp);
        created = created.add_rule(rule).map_err(|error| said("a port")(&error))?;
    }
    let status = created.restrict_self().map_err(|error| said("it cannot be applied")(&error))?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(count),
        RulesetStatus::PartiallyEnforced => Err("Landlock: not all of the rules were taken".to_owned()),
        RulesetStatus::NotEnforced => Err("Landlock: the rules were not taken".to_owned()),
    }
}

/// Everything but making devices; commands to devices only where the path is one.
fn writing(abi: ABI, device: bool) -> BitFlags<AccessFs> {
    let mut access = AccessFs::from_all(abi);
    access.remove(AccessFs::MakeChar | AccessFs::MakeBlock);
    if !device {
        access.remove(AccessFs::IoctlDev);
    }
    access
}

fn add(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
    abi: ABI,
    count: &mut u32,
) -> Result<RulesetCreated, String> {
    let Ok(opened) = PathFd::new(path) else { return Ok(ruleset) };
    let Ok(stat) = rustix::fs::fstat(&opened) else { return Ok(ruleset) };
    let is_dir = FileType::from_raw_mode(stat.st_mode).is_dir();
    let access = if is_dir { access } else { access & AccessFs::from_file(abi) };
    *count += 1;
    ruleset
        .add_rule(PathBeneath::new(opened, access))
        .map_err(|error| format!("Landlock: a rule for {}: {error}", path.display()))
}

fn version(abi: u32) -> ABI {
    match abi {
        0 => ABI::Unsupported,
        1 => ABI::V1,
        2 => ABI::V2,
        3 => ABI::V3,
        4 => ABI::V4,
        5 => ABI::V5,
        6 => ABI::V6,
        _ => ABI::V7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_what_is_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for path in ["a/x", "a/y/z", "b", "data/w1", "data/w2", "c"] {
            fs::create_dir_all(root.join(path)).unwrap();
        }
        std::os::unix::fs::symlink(root.join("data"), root.join("link")).unwrap();
        let at = |list: &[&str]| list.iter().map(|it| root.join(it)).collect::<Vec<_>>();
        let found = everything_but(&at(&["", "data/w1"]), &at(&["data", "a/y", "nowhere"]));
        assert_eq!(found, at(&["a/x", "b", "c", "data/w1"]));
        assert_eq!(everything_but(&at(&[""]), &[]), at(&[""]));
    }

    #[test]
    fn a_crowded_folder_is_bounded_and_still_entered() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        for n in 0..1500 {
            fs::write(root.join(format!("f{n}")), "").unwrap();
        }
        fs::create_dir_all(root.join("z/hidden")).unwrap();
        fs::create_dir_all(root.join("z/seen")).unwrap();
        let found = everything_but(std::slice::from_ref(&root), &[root.join("z/hidden")]);
        assert!(found.contains(&root.join("z/seen")));
        assert!(found.len() <= ENTRIES + 1, "{}", found.len());
    }
}
