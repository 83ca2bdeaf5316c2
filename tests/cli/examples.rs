//! The files in `examples/`, as they stand: agents carry out their spec, configurations are read without a complaint.
use crate::env::TestEnvironment;
use p0::model::adapter::Adapter;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples")
}

/// A repository with this configuration, and these files of `examples/` in `.p0/`.
fn with(config: &str, files: &[&str]) -> TestEnvironment {
    let t = TestEnvironment::new();
    t.spec(&fs::read_to_string(examples().join("SPEC.md")).unwrap());
    t.put(".p0/config.toml", &fs::read_to_string(examples().join("config").join(config)).unwrap());
    for file in files {
        let path = examples().join(file);
        t.put(&format!(".p0/{}", path.file_name().unwrap().display()), &fs::read_to_string(path).unwrap());
    }
    t
}

/// The run is done, and its branch holds what the spec asks for.
#[track_caller]
fn landed(t: &TestEnvironment, status: &Value) {
    assert_eq!(status["state"], "done");
    let branch = status["branch"].as_str().unwrap();
    assert_eq!(t.show(branch, "greetings/en.txt").unwrap(), "Hello, world!\n");
    assert_eq!(t.show(branch, "greetings/fr.txt").unwrap(), "Bonjour, « tout le monde » !\n");
    assert_eq!(t.show(branch, "greetings/code.txt").unwrap(), "print(\"hello\\n\")\n");
    assert_eq!(t.show(branch, "README.md").unwrap(), "Greetings in three languages\n");
    t.log_is_whole();
}

/// One file has its line without an end, so the specialist's finding is answered by a fix.
#[track_caller]
fn carries_out_the_spec(config: &str, agent: &str) {
    let t = with(config, &[agent]);
    t.put("greetings/en.txt", "Hello, world!");
    t.git(&["add", "greetings"]);
    t.git(&["commit", "-qm", "a greeting"]);
    landed(&t, &t.run_json(0));
    let kinds: Vec<Value> = t.tickets().iter().map(|ticket| ticket["kind"].clone()).collect();
    assert_eq!(kinds, ["task", "task", "task", "feedback", "fix"]);
    assert!(
        t.tickets().iter().all(|ticket| ticket["status"] == "done" && ticket["attempts"].as_array().unwrap().len() < 2)
    );
}

#[test]
fn the_agent_in_python_carries_out_the_spec() {
    carries_out_the_spec("command-python.toml", "agents/agent.py");
}

#[test]
fn the_agent_in_sh_carries_out_the_spec() {
    carries_out_the_spec("command-sh.toml", "agents/agent.sh");
}

#[test]
fn the_recorded_work_carries_out_the_spec() {
    let t = with("playbook.toml", &["playbook.toml"]);
    landed(&t, &t.run_json(0));
}

/// An agent without a spec that it can read says so, instead of planning nothing for ever.
#[test]
fn a_spec_without_items_is_stuck_with_the_reason() {
    for (config, agent) in [("command-python.toml", "agents/agent.py"), ("command-sh.toml", "agents/agent.sh")] {
        let t = with(config, &[agent]);
        t.spec("# Nothing\n\nNo list here.\n");
        let reason = t.run_json(10)["reason"].to_string();
        assert!(reason.contains("the spec has no item of the form"), "{agent}: {reason}");
    }
}

/// Each kind of agent has a configuration, and each configuration is accepted where its programs are installed.
#[test]
fn every_configuration_is_accepted() {
    let mut t = with("playbook.toml", &["agents/agent.py", "agents/agent.sh", "playbook.toml"]);
    let bin = t.dir.join("bin");
    fs::create_dir(&bin).unwrap();
    let adapters = || Adapter::builtin_names().filter_map(Adapter::builtin);
    let programs = adapters().filter_map(|adapter| adapter.program.first().cloned());
    for program in programs.chain(["my-acp-agent".into(), "scribe".into()]) {
        fs::write(bin.join(&program), "#!/bin/sh\n").unwrap();
        fs::set_permissions(bin.join(&program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    t.set("PATH", &format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));

    let mut kinds = BTreeSet::new();
    for entry in fs::read_dir(examples().join("config")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        kinds.extend(
            text.lines().filter_map(|line| Some(line.strip_prefix("kind = \"")?.strip_suffix('"')?.to_owned())),
        );
        t.put(".p0/config.toml", &text);
        let report = t.p0(&["doctor", "--json"]).json();
        let check = |name: &str| {
            let checks = report["checks"].as_array().unwrap();
            checks.iter().find(|check| check["name"] == name).cloned().unwrap_or_default()
        };
        let configuration = check("configuration");
        let accepted = configuration["text"].as_str().unwrap_or_default().contains(" roles, ");
        assert!(accepted, "{}: {configuration}", path.display());
        assert_ne!(check("agents")["verdict"], "warn", "{}: {}", path.display(), check("agents"));
    }
    let needed = ["command", "playbook"].into_iter().chain(Adapter::builtin_names());
    let missing: Vec<&str> = needed.filter(|kind| !kinds.contains(*kind)).collect();
    assert_eq!(missing, Vec::<&str>::new(), "examples/config has no file for these kinds");
}
