//! Bad input: each is a sentence that says what to do, with the right exit code, and nothing is begun.
use crate::env::TestEnvironment;
use insta::assert_snapshot;
use std::fs;

/// `p0 run` is refused with this code, and no data directory was made for it.
#[track_caller]
fn refused(t: &TestEnvironment, code: i32, args: &[&str]) -> String {
    let mut all = vec!["run"];
    all.extend(args);
    let output = t.p0(&all).expect(code);
    assert_eq!(output.out, "", "nothing on stdout");
    assert!(!t.data.exists(), "nothing is begun before the input was looked at");
    output.shown().to_owned()
}

#[test]
fn an_empty_spec() {
    let t = TestEnvironment::new();
    t.spec(" \n\n");
    assert_snapshot!(refused(&t, 3, &[&t.spec_path()]), @"
    exit 3
    --- stderr
    error: the spec is empty; write what is to be made, beginning with a line that names it
    ");
}

#[test]
fn a_binary_spec() {
    let t = TestEnvironment::new();
    fs::write(t.dir.join("spec.md"), [0x89, b'P', 0, 0xff, 0xfe, b'\n']).unwrap();
    assert_snapshot!(refused(&t, 3, &[&t.spec_path()]), @"
    exit 3
    --- stderr
    error: the spec is not text (byte 0 is not UTF-8 or is a NUL); a spec is a Markdown file
    ");
    // Text, but with a NUL in it: a binary format that happens to be UTF-8.
    fs::write(t.dir.join("spec.md"), b"# a\0b").unwrap();
    assert_snapshot!(refused(&t, 3, &[&t.spec_path()]), @"
    exit 3
    --- stderr
    error: the spec is not text (byte 3 is not UTF-8 or is a NUL); a spec is a Markdown file
    ");
}

#[test]
fn a_huge_spec() {
    let t = TestEnvironment::new();
    fs::write(t.dir.join("spec.md"), "# a\n".repeat(50 * 1024 * 1024 / 4)).unwrap();
    assert_snapshot!(refused(&t, 3, &[&t.spec_path()]), @"
    exit 3
    --- stderr
    error: the spec has [short] bytes, [short] at the most; put the details into files and name them in the spec
    ");
}

#[test]
fn a_missing_spec() {
    let t = TestEnvironment::new();
    assert_snapshot!(refused(&t, 4, &["nowhere.md"]), @"
    exit 4
    --- stderr
    error: reading the spec nowhere.md: No such file or directory (os error 2)
    hint: name a Markdown file, or - for standard input
    ");
    assert_snapshot!(refused(&t, 3, &["."]), @"
    exit 3
    --- stderr
    error: reading the spec .: it is a folder, not a file: put a file in its place
    hint: name a Markdown file, or - for standard input
    ");
    assert_snapshot!(refused(&t, 2, &[]), @"
    exit 2
    --- stderr
    error: no spec was named, and the repository has no SPEC.md
    hint: name a Markdown file, or - for standard input
    ");
}

#[test]
fn a_spec_with_bad_frontmatter() {
    let t = TestEnvironment::new();
    t.spec("---\nkey: [\n---\n# A blog\n");
    assert_snapshot!(refused(&t, 3, &[&t.spec_path()]), @"
    exit 3
    --- stderr
    error: line 2: the key '[' must be a capital letter and then capitals and digits, 16 at the most
    ");
    t.spec("---\nworkflow: waltz\n---\n# A blog\n");
    assert_snapshot!(refused(&t, 3, &[&t.spec_path()]), @"
    exit 3
    --- stderr
    error: there is no workflow 'waltz'
    hint: this version has: ralph
    ");
}

#[test]
fn no_repository() {
    let t = TestEnvironment::empty();
    t.spec("# A blog\n");
    assert_snapshot!(refused(&t, 3, &[&t.spec_path()]), @"
    exit 3
    --- stderr
    error: [dir]/repo is not inside a git repository
    hint: run `git init` there, or name another folder with --repo
    ");
    assert_snapshot!(refused(&t, 3, &[&t.spec_path(), "--repo", "/nonexistent/there"]), @"
    exit 3
    --- stderr
    error: /nonexistent/there is not inside a git repository
    hint: run `git init` there, or name another folder with --repo
    ");
}

#[test]
fn a_repository_without_commits() {
    let t = TestEnvironment::empty();
    t.git(&["init", "-q"]);
    t.agent("");
    t.spec("# A blog\n");
    assert_snapshot!(refused(&t, 3, &[&t.spec_path()]), @"
    exit 3
    --- stderr
    error: the repository [dir]/repo has no commit yet: make a first commit, p0 needs one to start from
    ");
}

#[test]
fn a_repository_of_sha256() {
    let t = TestEnvironment::empty();
    t.git(&["init", "-q", "--object-format=sha256"]);
    t.agent("");
    t.git(&["add", "."]);
    t.git(&["commit", "-qm", "first"]);
    t.spec("# A blog\n");
    assert_snapshot!(refused(&t, 3, &[&t.spec_path()]), @"
    exit 3
    --- stderr
    error: the repository [dir]/repo/.git/ uses the sha256 object format, which p0 cannot work with: use a repository with sha1 objects
    ");
}

#[test]
fn unknown_names() {
    let t = TestEnvironment::new();
    let spec = t.spec_path();
    assert_snapshot!(refused(&t, 3, &[&spec, "--workflow", "waltz"]), @"
    exit 3
    --- stderr
    error: there is no workflow 'waltz'
    hint: this version has: ralph
    ");
    assert_snapshot!(refused(&t, 3, &[&spec, "--agent", "executor=nobody"]), @"
    exit 3
    --- stderr
    error: role 'executor' uses the agent 'nobody', which is not configured (there are: t)
    ");
    assert_snapshot!(refused(&t, 3, &[&spec, "--agent", "juggler=t"]), @"
    exit 3
    --- stderr
    error: there is no role 'juggler' in workflow 'ralph' (there are: executor, planner, verifier)
    ");
    assert_snapshot!(refused(&t, 3, &[&spec, "--base", "no-such-branch"]), @"
    exit 3
    --- stderr
    error: `no-such-branch` is not a commit in [dir]/repo: name a branch, a tag or a commit id that exists there
    ");
    t.config("[roles.juggler]\nagent = \"t\"\n");
    assert_snapshot!(refused(&t, 3, &[&spec]), @"
    exit 3
    --- stderr
    error: there is no role 'juggler' in workflow 'ralph' (there are: executor, planner, verifier)
    ");
    t.config("[roles.executor]\nagent = \"nobody\"\n");
    assert_snapshot!(refused(&t, 3, &[&spec]), @"
    exit 3
    --- stderr
    error: role 'executor' uses the agent 'nobody', which is not configured (there are: t)
    ");
}

#[test]
fn no_configuration() {
    let t = TestEnvironment::new();
    fs::remove_dir_all(t.repo.join(".p0")).unwrap();
    let output = t.run(&[]).expect(3);
    assert_snapshot!(output.shown(), @r#"
    exit 3
    --- stderr
    error: no agent is configured for this repository
    hint: `p0 init` writes .p0/config.toml; then name your agent under [agents.NAME] with kind = "command"
    "#);
    assert_eq!(t.p0(&["runs"]).expect(0).out, "");
}

#[test]
fn bad_toml() {
    let t = TestEnvironment::new();
    let spec = t.spec_path();
    t.put(".p0/config.toml", "[agents.t]\nkind = \"command\"\ncommand = [\"true\"\n\n[limits]\n");
    assert_snapshot!(refused(&t, 3, &[&spec]), @"
    exit 3
    --- stderr
    error: [dir]/repo/.p0/config.toml: TOML parse error at line 5, column 1
      |
    5 | [limits]
      | ^
    missing comma between array elements, expected `,`
    ");
    t.put(".p0/config.toml", "[limits]\nmax_paralell = 3\n");
    assert_snapshot!(refused(&t, 3, &[&spec]), @"
    exit 3
    --- stderr
    error: [dir]/repo/.p0/config.toml: TOML parse error at line 2, column 1
      |
    2 | max_paralell = 3
      | ^^^^^^^^^^^^
    unknown field `max_paralell`, expected one of `max_parallel`, `max_iterations`, `rounds`, `grace_ms`, `output_bytes`, `approval_s`, `prompt_bytes`, `disk_reserve_mb`
    ");
    t.config("max_parallel = 0\n");
    assert_snapshot!(refused(&t, 3, &[&spec]), @"
    exit 3
    --- stderr
    error: max_parallel must be at least 1
    ");
    t.config("max_parallel = \"many\"\n");
    assert_snapshot!(refused(&t, 3, &[&spec]), @r#"
    exit 3
    --- stderr
    error: [dir]/repo/.p0/config.toml: TOML parse error at line 8, column 16
      |
    8 | max_parallel = "many"
      |                ^^^^^^
    invalid type: string "many", expected u32
    "#);
    fs::write(t.repo.join(".p0/config.toml"), b"\xff\xfe").unwrap();
    assert_snapshot!(refused(&t, 3, &[&spec]), @"
    exit 3
    --- stderr
    error: reading [dir]/repo/.p0/config.toml: it is not UTF-8 text
    ");
}

#[test]
fn an_agent_program_that_is_not_there() {
    let t = TestEnvironment::new();
    let spec = t.spec_path();
    t.put(".p0/config.toml", "[agents.t]\nkind = \"command\"\ncommand = [\"surely-no-such-program\"]\n");
    assert_snapshot!(refused(&t, 3, &[&spec]), @"
    exit 3
    --- stderr
    error: agent 't': 'surely-no-such-program' is not on PATH; install it, or write its full path
    ");
    t.put(".p0/config.toml", "[agents.t]\nkind = \"command\"\ncommand = [\"./agent.sh\"]\n");
    assert_snapshot!(refused(&t, 3, &[&spec]), @"
    exit 3
    --- stderr
    error: agent 't': there is no file [dir]/repo/agent.sh; install it, or correct the path
    ");
    t.put("agent.sh", "#!/bin/sh\n");
    assert_snapshot!(refused(&t, 3, &[&spec]), @"
    exit 3
    --- stderr
    error: agent 't': [dir]/repo/agent.sh is not executable; make it so with `chmod +x [dir]/repo/agent.sh`
    ");
    t.put(".p0/config.toml", "[agents.t]\nkind = \"telepathy\"\n");
    assert_snapshot!(refused(&t, 3, &[&spec]), @"
    exit 3
    --- stderr
    error: agent 't': there is no kind 'telepathy'; there are: command, playbook, acp, aider, claude, claude-acp, codex, codex-acp, gemini, gemini-acp, opencode, opencode-acp, qwen, qwen-acp
    ");
}

#[test]
fn wrong_usage() {
    let t = TestEnvironment::new();
    for args in [&["frobnicate"][..], &["run", "--agent", "executor"], &["run", "a", "--max-parallel", "x"], &["claim"]]
    {
        let output = t.p0(args).expect(2);
        assert_eq!(output.out, "", "{args:?}");
        assert!(output.err.contains("--help"), "{args:?}: {}", output.err);
    }
    assert_snapshot!(t.p0(&["run", "a", "--agent", "executor"]).expect(2).shown(), @"
    exit 2
    --- stderr
    error: invalid value 'executor' for '--agent <ROLE=NAME>': write ROLE=NAME, for example executor=claude

    For more information, try '--help'.
    ");
    assert!(!t.data.exists());
}

#[test]
fn what_is_not_there() {
    let t = TestEnvironment::new();
    assert_snapshot!(t.p0(&["status"]).expect(4).shown(), @"
    exit 4
    --- stderr
    error: there is no run '@last'
    hint: list them with `p0 runs`
    ");
    assert_snapshot!(t.p0(&["status", "abc"]).expect(4).shown(), @"
    exit 4
    --- stderr
    error: there is no run 'abc'
    hint: list them with `p0 runs`
    ");
    assert_snapshot!(t.p0(&["ticket", "show", "BLOG-1"]).expect(4).shown(), @"
    exit 4
    --- stderr
    error: there is no ticket 'BLOG-1'
    hint: list them with `p0 tickets`
    ");
    assert_snapshot!(t.p0(&["logs", "BLOG-1"]).expect(4).shown(), @"
    exit 4
    --- stderr
    error: there is no ticket 'BLOG-1'
    hint: list them with `p0 tickets`
    ");
    assert_snapshot!(t.p0(&["cancel", "@last"]).expect(4).shown(), @"
    exit 4
    --- stderr
    error: there is no run '@last'
    hint: list them with `p0 runs`
    ");
    assert_snapshot!(t.p0(&["replay", "abc"]).expect(4).shown(), @"
    exit 4
    --- stderr
    error: there is no run 'abc'
    hint: list them with `p0 runs`
    ");
    assert_snapshot!(t.p0(&["graph", "abc"]).expect(4).shown(), @"
    exit 4
    --- stderr
    error: there is no run 'abc'
    hint: the workflows are: ralph
    ");
    assert_snapshot!(t.p0(&["audit", "verify", "nowhere"]).expect(4).shown(), @"
    exit 4
    --- stderr
    error: there is no nowhere
    hint: name a data directory, its journal/ folder, one segment file, or a run file
    ");
    for args in [&["status", "--json"][..], &["replay", "abc", "--json"], &["ticket", "show", "X-1", "--json"]] {
        assert_eq!(t.p0(args).expect(4).out, "", "no half a document");
    }
}

#[test]
fn an_empty_directory_is_an_empty_log() {
    let t = TestEnvironment::new();
    assert_snapshot!(t.p0(&["runs"]).expect(0).shown(), @"
    exit 0
    --- stderr
    no runs yet; start one with `p0 run SPEC`
    ");
    assert_eq!(t.p0(&["runs", "--json"]).expect(0).json(), serde_json::json!([]));
    assert_eq!(t.p0(&["tickets", "--json"]).expect(0).json(), serde_json::json!([]));
    assert_eq!(t.p0(&["audit", "log", "--json"]).expect(0).out, "");
    let verified = t.p0(&["audit", "verify", "--json"]).expect(0).json();
    assert_eq!((&verified["ok"], &verified["frames"]), (&true.into(), &0.into()));
}
