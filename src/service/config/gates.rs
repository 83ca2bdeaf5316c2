//! Whether the gates of a run can be started: looked up before the run, as they will be looked up.
use super::env;
use crate::service::{
    problem::{Kind, Problem},
    project::{InCommit, Project},
};

/// Refuses a run whose gates cannot be started.
///
/// # Errors
/// The first of them, and what to do about it.
pub(crate) fn all_there(gates: &[Vec<String>], project: &Project) -> Result<(), Problem> {
    match missing(gates, project).into_iter().next() {
        Some(why) => Err(Problem::new(Kind::Config, why)
            .hint("correct [gates] in .p0/config.toml; `p0 doctor` looks at the whole configuration")),
        None => Ok(()),
    }
}

/// Why gates cannot be started, a sentence each.
pub(crate) fn missing(gates: &[Vec<String>], project: &Project) -> Vec<String> {
    let said = |(n, gate): (usize, &Vec<String>)| {
        let why = cannot_start(gate, n == 0, project)?;
        Some(format!("the gate `{}` cannot be started: {why}", gate.join(" ")))
    };
    gates.iter().enumerate().filter_map(said).collect()
}

fn cannot_start(gate: &[String], is_first: bool, project: &Project) -> Option<String> {
    let program = gate.first().map_or("", |program| program.trim());
    if program.is_empty() {
        return Some("it names no program".to_owned());
    }
    if program.starts_with('/') || !program.contains('/') {
        let missing = env::find_program(program, &project.root).err().map(|why| why.to_string());
        return missing.or_else(|| left_out(gate, project));
    }
    // Gates run in a checkout of the commit to land: what is not committed is not there.
    let base = project.base.short();
    match project.look_up(program) {
        InCommit::Executable => None,
        InCommit::Plain => Some(format!(
            "{program} is not executable in commit {base}; make it so with `git update-index --chmod=+x {program}`, and commit that"
        )),
        // An earlier gate may make it.
        InCommit::Missing if !is_first => None,
        InCommit::Missing => Some(format!(
            "commit {base} has no file {program}; commit it, or give its full path (if a ticket is to make it: \
             [\"sh\", \"-c\", \"{program}\"])"
        )),
    }
}

/// Programs that are given a script.
const INTERPRETERS: [&str; 11] =
    ["sh", "bash", "dash", "zsh", "ksh", "python", "python3", "node", "ruby", "perl", "php"];

/// A script that stands in the repository's folder and is in no commit. One that is nowhere may be for a ticket to make.
fn left_out(gate: &[String], project: &Project) -> Option<String> {
    let [program, script, ..] = gate else { return None };
    let name = program.rsplit('/').next().unwrap_or(program);
    let is_path = INTERPRETERS.contains(&name) && !script.starts_with(['-', '/']);
    let uncommitted = is_path && project.root.join(script).is_file() && project.look_up(script) == InCommit::Missing;
    uncommitted.then(|| {
        let base = project.base.short();
        format!("its script {script} is not in commit {base}; commit it, or give its full path")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{os::unix::fs::PermissionsExt, path::Path};

    fn commit(root: &Path, files: &[(&str, u32)]) -> Project {
        let repo = git2::Repository::init(root).unwrap();
        let mut index = repo.index().unwrap();
        for (name, mode) in files {
            let file = root.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(*mode)).unwrap();
            index.add_path(Path::new(name)).unwrap();
        }
        let author = git2::Signature::new("a", "a@b", &git2::Time::new(0, 0)).unwrap();
        let tree = repo.find_tree(index.write_tree().unwrap()).unwrap();
        repo.commit(Some("HEAD"), &author, &author, "first", &tree, &[]).unwrap();
        crate::service::project::look(root, None).unwrap()
    }

    #[test]
    fn gates_are_looked_up_where_they_will_run() {
        let dir = tempfile::tempdir().unwrap();
        let project = commit(dir.path(), &[("scripts/check.sh", 0o755), ("plain.sh", 0o644)]);
        std::fs::write(dir.path().join("left.sh"), "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(dir.path().join("left.sh"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let say = |gates: &[&[&str]]| {
            let gates: Vec<Vec<String>> =
                gates.iter().map(|gate| gate.iter().map(|part| (*part).to_owned()).collect()).collect();
            missing(&gates, &project)
        };
        for fine in [
            &["true"][..],
            &["sh", "-c", "x"],
            &["sh", "plain.sh"],
            &["sh", "made-later.sh"],
            &["/bin/sh"],
            &["./scripts/check.sh"],
            &["scripts/check.sh"],
        ] {
            assert_eq!(say(&[fine]), Vec::<String>::new(), "{fine:?}");
        }
        for (bad, words) in [
            (
                &["surely-not-there", "test"][..],
                "`surely-not-there test` cannot be started: 'surely-not-there' is not on PATH",
            ),
            (&["/no/such/program"], "there is no file /no/such/program"),
            (&["./plain.sh"], "is not executable in commit"),
            (&["./left.sh"], "has no file ./left.sh; commit it"),
            (&["sh", "left.sh"], "its script left.sh is not in commit"),
            (&["../x"], "has no file"),
            (&["./scripts"], "has no file"),
            (&[" "], "names no program"),
            (&[], "names no program"),
        ] {
            let said = say(&[bad]);
            assert!(said.len() == 1 && said[0].contains(words), "{bad:?}: {said:?}");
        }
        assert_eq!(say(&[&["true"], &["./target/made"]]), Vec::<String>::new(), "the first one may make it");
        assert_eq!(say(&[&["true"], &["surely-not-there"]]).len(), 1);
        assert_eq!(all_there(&[vec!["surely-not-there".into()]], &project).unwrap_err().kind, Kind::Config);
    }
}
