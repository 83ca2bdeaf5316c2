//! Agents that are installed, or are not: `p0 doctor`, `p0 init`, and runs with fallbacks. The programs are small
//! shell scripts with the names of the real ones, alone on PATH.
use crate::env::TestEnvironment;
use insta::assert_snapshot;
use serde_json::{Value, json};
use std::{fs, os::unix::fs::PermissionsExt, time::Instant};

const CODEX: &str = r#"
case "$*" in
  --version) echo "a warning" >&2; echo "codex-cli 0.169.0" ;;
  "login status") echo "Not logged in" >&2; exit 1 ;;
  exec*) echo begun; echo "unexpected status 401 Unauthorized" >&2; exit 1 ;;
  *) exit 9 ;;
esac
"#;
const CLAUDE: &str = r#"
case "$*" in
  --version) printf '\033[1m2.1.9 (Claude Code)\033[0m\n' ;;
  "auth status") echo '{"loggedIn": true}' ;;
  "-p --output-format json "*) pwd > "$T_NOTES/claude"; echo '{"result": "ok"}' ;;
  *) exit 9 ;;
esac
"#;

/// A world where nothing is on PATH but these.
fn with_programs(programs: &[(&str, &str)]) -> TestEnvironment {
    let mut t = TestEnvironment::new();
    let bin = t.dir.join("bin");
    fs::create_dir(&bin).unwrap();
    for (name, script) in programs {
        let script = script.replace("$T_NOTES", &t.dir.join("notes").display().to_string());
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    t.set("PATH", &bin.display().to_string());
    t
}

/// The lines about agents that a person sees.
fn lines_from<'a>(shown: &'a str, first: &str) -> Vec<&'a str> {
    shown.lines().skip_while(|line| !line.contains(first)).collect()
}

#[track_caller]
fn agent(report: &Value, name: &str) -> Value {
    let found = report["agents"].as_array().unwrap().iter().find(|agent| agent["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {report}")).clone()
}

#[test]
fn installed_agents_are_found_with_version_and_login() {
    let t = with_programs(&[("codex", CODEX), ("claude", CLAUDE), ("gemini", "echo 0.61.0")]);
    fs::create_dir(t.dir.join("home/.gemini")).unwrap();
    fs::write(t.dir.join("home/.gemini/settings.json"), "{}").unwrap();
    let output = t.p0(&["doctor"]).expect(0);
    assert_snapshot!(lines_from(output.shown(), "claude").join("\n"), @"
    ok   claude         2.1.9 (Claude Code), logged in (auth status), [dir]/bin/claude
    warn codex          codex-cli 0.169.0, not logged in, [dir]/bin/codex
                        to log in: codex login, or set CODEX_API_KEY (OPENAI_API_KEY alone is not read)
    warn gemini, gemini-acp 0.61.0, not logged in, [dir]/bin/gemini
                        to log in: start gemini once and choose how to log in; or set GEMINI_API_KEY
    ok   not installed  aider, claude-acp, codex-acp, opencode, opencode-acp, qwen, qwen-acp
    ");
    let report = t.p0(&["doctor", "--json"]).expect(0).json();
    let bin = |name: &str| t.dir.join("bin").join(name).display().to_string();
    assert_eq!(
        agent(&report, "codex"),
        json!({
            "name": "codex", "program": "codex", "path": bin("codex"), "version": "codex-cli 0.169.0",
            "logged_in": false, "how": null, "probe": null,
            "help": "codex login, or set CODEX_API_KEY (OPENAI_API_KEY alone is not read)",
        })
    );
    let claude = agent(&report, "claude");
    assert_eq!((&claude["version"], &claude["how"]), (&json!("2.1.9 (Claude Code)"), &json!("auth status")));
    assert_eq!(agent(&report, "gemini")["logged_in"], false, "settings are no login");
    let aider = agent(&report, "aider");
    assert_eq!((&aider["path"], &aider["logged_in"]), (&Value::Null, &Value::Null));
    assert_eq!(agent(&report, "t")["version"], Value::Null, "nothing is known of a program of one's own");
    fs::create_dir(t.dir.join("home/.codex")).unwrap();
    fs::write(t.dir.join("home/.codex/config.toml"), "").unwrap();
    assert_eq!(agent(&t.p0(&["doctor", "--json"]).json(), "codex")["logged_in"], false, "settings are no login");
    fs::write(t.dir.join("home/.codex/auth.json"), "{}").unwrap();
    let codex = agent(&t.p0(&["doctor", "--json"]).json(), "codex");
    assert_eq!((&codex["logged_in"], &codex["how"]), (&json!(true), &json!("~/.codex/auth.json")));
    assert!(t.notes().is_empty(), "no real call without being asked: {:?}", t.notes());
}

#[test]
fn a_program_sees_its_keys_and_no_other_secrets() {
    let mut t = with_programs(&[("codex", "echo \"1 $CODEX_API_KEY-$GITHUB_TOKEN-$OWN\"")]);
    t.set("CODEX_API_KEY", "key");
    t.set("GITHUB_TOKEN", "secret");
    let table = t.agent_table("t", "agent.py");
    t.put(".p0/config.toml", &format!("{table}[agents.mine]\nkind = \"codex\"\nenv = {{ OWN = \"own\" }}\n"));
    let report = t.p0(&["doctor", "--json"]).json();
    let (codex, mine) = (agent(&report, "codex"), agent(&report, "mine"));
    assert_eq!((&codex["version"], &codex["how"]), (&json!("1 key--"), &json!("CODEX_API_KEY")));
    assert_eq!(mine["version"], "1 key--own");
}

#[test]
fn a_program_that_hangs_is_ended_with_all_it_started() {
    let mut t = with_programs(&[("claude", "/bin/sleep 99 &\ntrap '' TERM\n/bin/sleep 99\n/bin/sleep 99")]);
    t.set("P0_DOCTOR_LIMIT_MS", "300");
    let begun = Instant::now();
    let output = t.p0(&["doctor"]).expect(0);
    assert!(begun.elapsed().as_secs() < 30, "{:?}", begun.elapsed());
    assert_snapshot!(lines_from(output.shown(), "claude").join("\n"), @"
    warn claude         version unknown, login unknown, [dir]/bin/claude; `[dir]/bin/claude --version` did not end within 300ms
                        call it yourself to see why
    ok   not installed  aider, claude-acp, codex, codex-acp, gemini, gemini-acp, opencode, opencode-acp, qwen, qwen-acp
    ");
    t.nothing_is_alive();
}

#[test]
fn a_real_call_is_made_when_asked_for() {
    let t = with_programs(&[("codex", CODEX), ("claude", CLAUDE)]);
    let report = t.p0(&["doctor", "--probe", "claude", "--json"]).expect(0).json();
    assert_eq!(agent(&report, "claude")["probe"], json!({ "ok": true, "said": r#"{"result": "ok"}"# }));
    assert_eq!(agent(&report, "codex")["probe"], Value::Null);
    let place = t.note("claude");
    let place = place.as_str().unwrap().trim();
    assert!(!place.is_empty() && !place.contains("/repo"), "{place}");
    assert!(!std::path::Path::new(place).exists(), "{place}");
    let output = t.p0(&["doctor", "--probe"]).expect(1);
    assert_snapshot!(lines_from(output.shown(), "claude").join("\n"), @"
    ok   claude         2.1.9 (Claude Code), logged in (auth status), [dir]/bin/claude; the probe is ok
    FAIL codex          codex-cli 0.169.0, not logged in, [dir]/bin/codex; the probe failed: unexpected status 401 Unauthorized
                        to log in: codex login, or set CODEX_API_KEY (OPENAI_API_KEY alone is not read)
    ok   not installed  aider, claude-acp, codex-acp, gemini, gemini-acp, opencode, opencode-acp, qwen, qwen-acp
    ");
    assert_snapshot!(t.p0(&["doctor", "--probe", "cortex"]).expect(4).err, @"
    error: there is no agent 'cortex'
    hint: there are: aider, claude, claude-acp, codex, codex-acp, gemini, gemini-acp, opencode, opencode-acp, qwen, qwen-acp, t
    ");
    assert_snapshot!(t.p0(&["doctor", "--probe", "aider"]).expect(4).err, @"error: agent 'aider' cannot be probed: 'aider' is not on PATH; install it, or write its full path");
    assert_snapshot!(t.p0(&["doctor", "--probe", "t"]).expect(2).err, @r#"
    error: agent 't' has no smallest call to be tried
    hint: adapters have one as probe = ["ARGUMENT", …] in [adapters.NAME]
    "#);
}

#[test]
fn init_writes_the_agents_that_are_there() {
    let t = with_programs(&[("codex", CODEX), ("claude", CLAUDE)]);
    fs::remove_dir_all(t.repo.join(".p0")).unwrap();
    let output = t.p0(&["init"]).expect(0);
    assert!(output.err.contains("next: commit your work"), "{}", output.err);
    let text = fs::read_to_string(t.repo.join(".p0/config.toml")).unwrap();
    let plain: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_snapshot!(plain.join("\n"), @r#"
    workflow = "ralph"
    [agents.claude]
    kind = "claude"
    [agents.codex]
    kind = "codex"
    [roles.planner]
    agent = "claude"
    fallbacks = ["codex"]
    [roles.executor]
    agent = "claude"
    fallbacks = ["codex"]
    [roles.verifier]
    agent = "claude"
    fallbacks = ["codex"]
    "#);
    assert!(text.contains("# To log in: codex login"), "{text}");
    let report = t.p0(&["doctor", "--json"]).expect(0).json();
    let check = report["checks"].as_array().unwrap().iter().find(|check| check["name"] == "configuration").unwrap();
    assert_eq!(check["text"], "3 roles, 0 gates");
}

#[test]
fn a_run_goes_without_an_agent_that_others_can_stand_in_for() {
    let t = TestEnvironment::new();
    let role = |name: &str, fallbacks: &str| format!("[roles.{name}]\nagent = \"gone\"\nfallbacks = {fallbacks}\n");
    let gone = "[agents.gone]\nkind = \"codex\"\ncommand = [\"no-such-codex\"]\n";
    let rest = format!("{gone}{}{}", role("executor", "[\"t\"]"), role("verifier", "[\"t\"]"));
    t.config(&format!("{rest}{}", role("planner", "[]")));
    assert_snapshot!(t.run(&[]).expect(3).err, @"error: agent 'gone': 'no-such-codex' is not on PATH; install it, or write its full path");
    t.config(&format!("{rest}{}", role("planner", "[\"t\"]")));
    let output = t.p0(&["doctor"]).expect(0);
    assert_snapshot!(lines_from(output.shown(), "configuration")[..4].join("\n"), @"
    warn configuration  3 roles, 0 gates; agent 'gone' is left out of this run: 'no-such-codex' is not on PATH; install it, or write its full path
                        the other agents of its roles take its place
    warn agents         gone ('no-such-codex' is not on PATH; install it, or write its full path), t ([python])
                        a run refuses to start where a role has no agent whose program is there
    ");
    let output = t.run(&[]).expect(0);
    assert_snapshot!(output.err.lines().next().unwrap(), @"warning: agent 'gone' is left out of this run: 'no-such-codex' is not on PATH; install it, or write its full path");
    assert!(t.events("agent.unavailable").is_empty());
}
