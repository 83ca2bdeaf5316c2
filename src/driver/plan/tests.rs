use super::*;
use crate::model::adapter::Adapter;
use std::os::unix::fs::PermissionsExt;

fn drive(table: &str, at: &Path) -> Drive {
    Drive {
        adapter: Adapter::builtin(table).unwrap(),
        program: Vec::new(),
        model: Some("m-1".into()),
        system: Some("Be \"brief\".\nAlways.".into()),
        session: None,
        worktree: at.join("tree"),
        home: at.join("home"),
        temp: at.join("temp"),
        p0: "/bin/p0".into(),
        permissions: Permissions::Allow,
        log_bytes: None,
        budgeted: false,
        extra_args: vec!["--more".into(), "x y".into()],
    }
}

fn input() -> AgentInput {
    let text = r#"{"protocol":1,"role":"executor","run":"R","iteration":1,"attempt":"A","round":1,"prompt":"Do it.",
        "milestone":{"id":"M","title":"t","body":"b"},"ticket":null,"tickets":[],"backlog":[],"verdict":null,
        "learnings":[],"feedback":[],"files":{"create":[],"modify":[]}}"#;
    serde_json::from_str(text).unwrap()
}

fn own(socket: &str) -> BTreeMap<String, String> {
    [("P0_SOCKET", socket), ("P0_TOKEN", "secret"), ("P0_ATTEMPT", "A")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

/// What every built-in table starts, new and resumed, in both strictnesses. The snapshot is the place to look when a
/// table is changed.
#[test]
fn every_built_in_table_filled_in() {
    let mut shown = Vec::new();
    for name in Adapter::builtin_names() {
        let mut drive = drive(name, Path::new("/w"));
        if name == "acp" {
            drive.program = vec!["my-agent".into(), "--acp".into()];
        }
        let fresh = Plan::new(&drive, &input(), &own("/w/sock"), None).unwrap();
        let resume = Resume { session: "S-1".into(), ..Resume::default() };
        drive.permissions = Permissions::Deny;
        drive.system = None;
        let resumed = Plan::new(&drive, &input(), &own(""), Some(&resume)).unwrap();
        let files: Vec<String> = fresh
            .files
            .iter()
            .filter(|(path, _)| !path.ends_with("p0-mcp.json"))
            .map(|(path, content)| match content {
                Content::Text(text) => format!("{} = {text:?}", path.display()),
                Content::Json(json, merge) => format!("{} (merge: {merge}) = {json}", path.display()),
            })
            .collect();
        shown.push(format!(
            "# {name}\n{} {:#?}\nstdin {:?}\nenv {:#?}\nfiles {files:#?}\nresumed {:#?}\n",
            fresh.program,
            fresh.args,
            String::from_utf8_lossy(&fresh.stdin),
            fresh.env,
            resumed.args,
        ));
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn no_argument_holds_the_token() {
    for name in Adapter::builtin_names().filter(|name| *name != "acp") {
        let plan = Plan::new(&drive(name, Path::new("/w")), &input(), &own("/w/sock"), None).unwrap();
        assert!(!plan.args.iter().any(|arg| arg.contains("secret")), "{name}: {:?}", plan.args);
    }
}

#[test]
fn a_table_without_a_program_needs_a_command() {
    let why = Plan::new(&drive("acp", Path::new("/w")), &input(), &own(""), None).unwrap_err();
    assert!(why.contains("'acp'") && why.contains("command ="), "{why}");
}

#[test]
fn files_are_private_merged_and_never_written_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("home/.gemini");
    fs::create_dir_all(&home).unwrap();
    let settings = home.join("settings.json");
    fs::write(&settings, r#"{"security":{"auth":{"selectedType":"gemini-api-key"}},"general":{"vimMode":true}}"#)
        .unwrap();
    let elsewhere = dir.path().join("elsewhere");
    fs::write(&elsewhere, "mine").unwrap();
    fs::create_dir_all(dir.path().join("temp")).unwrap();
    std::os::unix::fs::symlink(&elsewhere, dir.path().join("temp/p0-mcp.json")).unwrap();

    let plan = Plan::new(&drive("gemini", dir.path()), &input(), &own("/w/sock"), None).unwrap();
    plan.write_files().unwrap();
    let read = || -> Value { serde_json::from_slice(&fs::read(&settings).unwrap()).unwrap() };
    assert_eq!(read()["security"]["auth"]["selectedType"], "gemini-api-key");
    assert_eq!((&read()["general"]["vimMode"], &read()["general"]["maxAttempts"]), (&json!(true), &json!(3)));
    assert_eq!(read()["mcpServers"]["p0"]["env"]["P0_TOKEN"], "secret");
    assert_eq!(fs::metadata(&settings).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "mine");
}

#[test]
fn a_group_whose_conditions_do_not_hold_is_left_out() {
    let mut drive = drive("codex-acp", Path::new("/w"));
    let args = |drive: &Drive| Plan::new(drive, &input(), &own(""), None).unwrap().args.join(" ");
    assert!(!args(&drive).contains("untrusted"));
    drive.permissions = Permissions::Ask;
    assert!(args(&drive).contains("untrusted"));
    let mut exec = self::drive("codex", Path::new("/w"));
    for permissions in [Permissions::Allow, Permissions::Ask, Permissions::Deny] {
        exec.permissions = permissions;
        assert!(args(&exec).contains("--dangerously-bypass-approvals-and-sandbox"), "its own sandbox cannot start");
    }
    assert!(!args(&exec).contains("mcp_servers"), "without a socket there is no server to hand over");
}

/// gemini and qwen: what each of their ways makes of a prompt, and what none of them keeps.
#[test]
fn a_prompt_goes_the_way_that_keeps_it() {
    for (table, file) in [("gemini", "home/.gemini/commands/p0-A.toml"), ("qwen", "home/.qwen/commands/p0-A.md")] {
        let dir = tempfile::tempdir().unwrap();
        let way = |prompt: &str| {
            let input = AgentInput { prompt: prompt.to_owned(), ..input() };
            let plan = Plan::new(&drive(table, dir.path()), &input, &own(""), None)?;
            plan.write_files().unwrap();
            let written = fs::read_to_string(dir.path().join(file)).unwrap_or_default();
            plan.remove_files();
            assert!(!dir.path().join(file).exists(), "{table}: it is for one attempt alone");
            Ok::<_, String>((String::from_utf8(plan.stdin).unwrap(), written))
        };
        let by_command = |prompt: &str, args: &str, holds: &str| {
            let (stdin, written) = way(prompt).unwrap();
            assert_eq!(stdin, format!("/p0-A{args}"), "{table}: {prompt}");
            assert!(written.contains(holds), "{table}: {written}");
        };
        by_command("Bump left-pad@1.3.0.", "", "Bump left-pad@1.3.0.");
        by_command("See @a and HEAD@{1}.", " @", "See @a and HEAD{{args}}{1}.");
        by_command("See @a and vec!{1}.", " !", "See @a and vec{{args}}{1}.");
        by_command("See @a and {{args}}.", " {", "See @a and {{args}}{args}}.");
        let plain = "See vec!{1} and {{args}}.";
        assert_eq!(way(plain).unwrap(), (plain.to_owned(), String::new()), "{table}");
        for spoilt in ["a\n@a vec!{1} HEAD@{1}", "@a !@{u}", "@a @!{u}", "@a !{x} {{args}}"] {
            let why = way(spoilt).unwrap_err();
            assert!(why.contains(&format!("{table} would change or carry out `")), "{why}");
        }
    }
}

#[test]
fn a_speaker_of_acp_is_given_the_prompt_by_the_protocol_alone() {
    let dir = tempfile::tempdir().unwrap();
    let input = AgentInput { prompt: "See @a.".to_owned(), ..input() };
    for table in ["gemini-acp", "qwen-acp"] {
        let plan = Plan::new(&drive(table, dir.path()), &input, &own(""), None).unwrap();
        assert_eq!((plan.stdin.as_slice(), plan.once.as_slice()), (&b""[..], &[][..]), "{table}");
    }
}
