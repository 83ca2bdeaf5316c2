//! What people read, whole.
use crate::env::TestEnvironment;
use insta::assert_snapshot;
use std::process::Command;

#[test]
fn help() {
    let t = TestEnvironment::new();
    assert_snapshot!(t.p0(&["--help"]).expect(0).shown(), @"
    exit 0
    Turns a written spec into landed commits by running many coding agents side by side, and can prove
    afterwards what happened.

    Exit codes: 0 done; 1 an error; 2 wrong usage; 3 bad configuration, spec or workflow; 4 not found; 5
    the store is locked, damaged or full; 6 refused; 10 the run is STUCK; 11 it failed; 12 it waits for
    a person; 13 cancelled or paused; 20 replay diverged or audit verification failed.

    Usage: p0 [OPTIONS] <COMMAND>

    Commands:
      init         Write a commented .p0/ for this repository: agents found on PATH, gates guessed
      demo         See a whole run: a repository, a spec, and built-in agents that write real code
      run          Run a spec: its agents work side by side until it is done, stuck or stopped
      runs         List the runs, the newest last
      status       Show how a run stands, and why what waits is waiting
      tickets      List the work items of a run's milestone
      ticket       Make, show and change work items
      ready        List the tickets that a worker could claim now, the most urgent first
      claim        Claim a ticket for a worker outside any run
      logs         Show what an agent prints: of an attempt, or of a ticket's newest attempt
      pause        Start nothing new in a run; what is at work goes on
      resume       Let a paused run go on
      cancel       End a run; unlanded work is kept under refs/p0/parked/
      approvals    List what attempts ask a person, the oldest first
      approve      Allow what an attempt asks for
      reject       Deny what an attempt asks for
      answer       Answer a ticket that needs input, or a question with yes or no
      replay       Rebuild a run from its record and take every decision again
      fork         Start a new run from the state another one had at an event
      audit        Read the log, and check that it is as it was written
      graph        Draw the tickets of a run, or the stages of a workflow
      gc           Archive what is long over, and remove what nothing needs any more
      backup       Write the data directory into one file
      restore      Put a backup in the place of the data directory
      doctor       Look whether everything p0 needs is there, and say what to do where it is not
      mcp          Serve the tracker to an agent or assistant, as tools of the Model Context Protocol on
                   standard input and output
      completions  Print the completions of a shell
      help         Print this message or the help of the given subcommand(s)

    Options:
          --data-dir <DIR>
              Where the log and everything else is kept [default: $P0_DATA_DIR, $XDG_STATE_HOME/p0 or
              ~/.local/state/p0]

          --repo <DIR>
              The repository [default: the one around the working directory]

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    ");
    assert_snapshot!(t.p0(&["run", "--help"]).expect(0).shown(), @"
    exit 0
    Run a spec: its agents work side by side until it is done, stuck or stopped

    An unfinished run of the same spec goes on; a finished one is shown. Without p0d this process does
    the work and serves the socket; with it (or with another `p0 run`) the run is handed over and
    followed. Ctrl-C stops cleanly, a second Ctrl-C at once; the same command goes on later.

    Usage: p0 run [OPTIONS] [SPEC]

    Arguments:
      [SPEC]
              The spec: a Markdown file, or - for standard input [default: SPEC.md of the repository]

    Options:
          --data-dir <DIR>
              Where the log and everything else is kept [default: $P0_DATA_DIR, $XDG_STATE_HOME/p0 or
              ~/.local/state/p0]

          --workflow <NAME>
              The workflow

          --agent <ROLE=NAME>
              Who plays a role, beside the configuration

          --repo <DIR>
              The repository [default: the one around the working directory]

          --base <REF>
              The revision to begin at

          --max-parallel <N>
              Attempts at work at the same time

          --max-iterations <N>
              Turns of the planner

          --budget-usd <X>
              What may be spent, in US dollars

          --budget-tokens <N>
              What may be spent, in tokens

          --detach
              Hand the run to p0d (started when it does not run), print its id and return

          --json
              End with the run's status as one line of JSON; progress goes to stderr

      -h, --help
              Print help (see a summary with '-h')

      -V, --version
              Print version
    ");
    assert!(t.p0(&["--version"]).expect(0).out.starts_with("p0 "));
    assert_eq!(t.p0(&[]).expect(2).out, "");
}

#[test]
fn every_command_has_help_that_fits() {
    let t = TestEnvironment::new();
    for command in [
        "init",
        "runs",
        "status",
        "tickets",
        "ticket",
        "ready",
        "claim",
        "logs",
        "pause",
        "resume",
        "cancel",
        "replay",
        "audit",
        "graph",
        "doctor",
        "completions",
    ] {
        let help = t.p0(&[command, "--help"]).expect(0).out;
        assert!(help.lines().all(|l| l.chars().count() <= 100), "{help}");
        assert!(help.contains("Usage: p0"), "{help}");
    }
}

#[test]
fn init() {
    let mut t = TestEnvironment::new();
    std::fs::remove_dir_all(t.repo.join(".p0")).unwrap();
    t.put("Cargo.toml", "");
    t.set("PATH", "/nothing-on-it");
    let output = t.p0(&["init"]).expect(0);
    assert_snapshot!(output.shown(), @"
    exit 0
    [dir]/repo/.p0/config.toml
    --- stderr
    next: name your agent in it, commit your work, then `p0 run SPEC.md`; `p0 doctor` checks all of it
    ");
    let text = std::fs::read_to_string(t.repo.join(".p0/config.toml")).unwrap();
    assert!(text.contains("[gates]\ncommands = [[\"cargo\", \"test\"]]"), "{text}");
    assert_snapshot!(t.p0(&["init"]).expect(0).shown(), @"
    exit 0
    [dir]/repo/.p0/config.toml
    --- stderr
    [dir]/repo/.p0/config.toml is up to date
    next: name your agent in it, commit your work, then `p0 run SPEC.md`; `p0 doctor` checks all of it
    ");
    t.put(".p0/config.toml", "workflow = \"ralph\"\n");
    assert_snapshot!(t.p0(&["init"]).expect(6).shown(), @"
    exit 6
    --- stderr
    error: [dir]/repo/.p0/config.toml is there already; nothing was written
    hint: change it by hand, or move it away and run `p0 init` again
    ");
    let empty = TestEnvironment::empty();
    assert_snapshot!(empty.p0(&["init"]).expect(3).shown(), @"
    exit 3
    --- stderr
    error: [dir]/repo is not inside a git repository
    hint: run `git init` there, or name another folder with --repo
    ");
}

#[test]
fn doctor() {
    let t = TestEnvironment::new();
    // What the kernel gives differs from machine to machine.
    let of_the_machine = |line: &str| {
        ["codex", "claude", "gemini", "qwen", "opencode", "aider", "to log in", "not installed"]
            .iter()
            .any(|it| line.contains(it))
    };
    let of_the_kernel = ["landlock", "seccomp", "namespaces", "bubblewrap", "cgroup"];
    let output = t.p0(&["doctor"]).expect(0);
    let shown: Vec<&str> = output
        .shown()
        .lines()
        .filter(|l| !of_the_machine(l))
        .filter(|l| l.get(5..).is_none_or(|l| !of_the_kernel.iter().any(|it| l.starts_with(it))))
        .collect();
    assert_snapshot!(shown.join("\n"), @"
    exit 0
    ok   data directory [dir]/data (made at the first run)
    ok   disk           [n] MiB free
    ok   holder         nobody; commands open the log themselves
    ok   journal        0 events in 0 frames, all as written
    ok   milestones     none yet
    ok   clock          [day] [time] UTC
    ok   git            git version [n]
    ok   sh             /bin/sh
    ok   supervisor     [p0]
    ok   repository     [dir]/repo at [short]
    warn configuration  3 roles, 0 gates
                        without [gates] nothing but the agents' word says that it works
    ok   agents         t ([python])
    ");
    assert!(!t.data.exists(), "looking makes nothing");
    let checks = t.p0(&["doctor", "--json"]).expect(0).json();
    assert!(checks["checks"].as_array().unwrap().iter().all(|c| c["verdict"] != "fail"), "{checks}");
    t.put(".p0/config.toml", "[agents.t]\nkind = \"command\"\ncommand = [\"no-such-program\"]\n");
    let output = t.p0(&["doctor"]).expect(1);
    assert!(output.out.contains("FAIL") && output.out.contains("no-such-program"), "{}", output.out);
}

#[test]
fn doctor_of_a_used_and_of_a_damaged_directory() {
    let t = TestEnvironment::new();
    t.run_json(0);
    t.p0(&["doctor"]).expect(0);
    let file = std::fs::read_dir(t.data.join("journal")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let output = t.p0(&["doctor"]).expect(1);
    assert!(output.out.contains("FAIL") && output.out.contains("--repair"), "{}", output.out);
    t.p0(&["runs"]).expect(5);
    let output = t.p0(&["doctor", "--repair"]).expect(0);
    assert!(output.out.contains("mended: the frame at event"), "{}", output.out);
    t.p0(&["audit", "verify"]).expect(0);
    t.p0(&["replay", "@last"]).expect(0);
    let noted = t.events("journal.repaired");
    assert!(noted[0]["data"]["what"].as_str().unwrap().contains("from the store"), "{noted:?}");
    assert!(noted[0]["actor"].as_str().unwrap().starts_with("person:"), "{noted:?}");
}

#[test]
fn graph() {
    let t = TestEnvironment::with(
        "def plan(): ticket('first', ['a.txt']); ticket('second \"quoted\" <b>', ['b.txt'], depends_on=['first'])",
    );
    assert_snapshot!(t.p0(&["graph", "ralph"]).expect(0).shown(), @r#"
    exit 0
    digraph p0 {
      rankdir=LR;
      node [shape=box, style="rounded,filled", fillcolor=white];
      "plan" [label="plan"];
      "execute" [label="execute"];
      "judge" [label="judge"];
      "DONE" [label="DONE", fillcolor=palegreen];
      "STUCK" [label="STUCK", fillcolor=lightsalmon];
      "plan" -> "execute" [label="CONTINUE"];
      "plan" -> "judge" [label="DONE, not yet proven"];
      "plan" -> "DONE" [label="DONE"];
      "plan" -> "STUCK" [label="STUCK"];
      "execute" -> "judge" [label="finished"];
      "judge" -> "plan" [label="finished, next iteration"];
    }
    "#);
    assert_snapshot!(t.p0(&["graph", "ralph", "--format", "mermaid"]).expect(0).shown(), @r#"
    exit 0
    flowchart LR
      n_plan["plan"]
      n_execute["execute"]
      n_judge["judge"]
      n_DONE["DONE"]
      n_STUCK["STUCK"]
      n_plan -->|"CONTINUE"| n_execute
      n_plan -->|"DONE, not yet proven"| n_judge
      n_plan -->|"DONE"| n_DONE
      n_plan -->|"STUCK"| n_STUCK
      n_execute -->|"finished"| n_judge
      n_judge -->|"finished, next iteration"| n_plan
      style n_DONE fill:palegreen
      style n_STUCK fill:lightsalmon
    "#);
    t.run_json(0);
    assert_snapshot!(t.p0(&["graph", "@last"]).expect(0).shown(), @r#"
    exit 0
    digraph p0 {
      rankdir=LR;
      node [shape=box, style="rounded,filled", fillcolor=white];
      "BLOG-1" [label="BLOG-1 first", fillcolor=palegreen];
      "BLOG-2" [label="BLOG-2 second \"quoted\" <b>", fillcolor=palegreen];
      "BLOG-1" -> "BLOG-2";
    }
    "#);
    assert_snapshot!(t.p0(&["graph", "@last", "--format", "mermaid"]).expect(0).shown(), @r#"
    exit 0
    flowchart LR
      n_BLOG_1["BLOG-1 first"]
      n_BLOG_2["BLOG-2 second #quot;quoted#quot; <b>"]
      n_BLOG_1 --> n_BLOG_2
      style n_BLOG_1 fill:palegreen
      style n_BLOG_2 fill:palegreen
    "#);
}

#[test]
fn completions() {
    let t = TestEnvironment::empty();
    for shell in ["bash", "zsh", "fish"] {
        let output = t.p0(&["completions", shell]).expect(0);
        assert!(output.out.contains("heartbeat"), "{shell}");
    }
    t.p0(&["completions", "cmd"]).expect(2);
    let script = t.dir.join("completion.bash");
    std::fs::write(&script, t.p0(&["completions", "bash"]).out).unwrap();
    assert!(Command::new("bash").arg("-n").arg(script).status().unwrap().success());
}

/// A whole run as people see it.
#[test]
fn a_run() {
    let t = TestEnvironment::with(
        "def executor():\n  print('thinking')\n  own_files()\n  if rnd == 1: put('old.txt', 'x')",
    );
    // When the first round's work has been put away is up to the disk.
    let shown = t.run(&[]).expect(0).shown().to_owned();
    let shown: Vec<&str> = shown.lines().filter(|l| !l.contains("unlanded work is kept")).collect();
    assert_snapshot!(shown.join("\n"), @"
    exit 0
    [time] run [id 1] of workflow ralph on p0/[id 1]/main from [short]
    [time] iteration 1
    [time] stage plan
    [time] planner starts (t, round 1)
    [time] BLOG-1: new: a
    [time] the planner decides CONTINUE: because
    [time] stage execute
    [time] BLOG-1: executor starts (t, round 1)
    [time] BLOG-1: changed files that are not its own: old.txt
    [time] BLOG-1: refused: 'old.txt' was modified, which this ticket does not own; the ticket owns only: a.txt; the last round's work is kept as commit [short] (refs/p0/parked/[id 2]); `git cherry-pick -n [commit]` brings it back
    [time] BLOG-1: executor starts (t, round 2)
    [time] BLOG-1: landed as [short]
    [time] BLOG-1: done as [short]
    [time] stage judge
    [time] verifier starts (t, round 1)
    [time] verifier: verdict: met: it is there
    [time] iteration 2
    [time] stage plan
    [time] planner starts (t, round 1)
    [time] the planner decides DONE: met
    [time] DONE at [short]
    run [id 1] of BLOG (A blog)
    state      done
    at         iteration 2, stage plan
    branch     p0/[id 1]/main at [short]
    tickets    0 open, 0 in progress, 1 done, 0 blocked
    attempts   5 (0 live), 0 merge conflicts, 1 ownership violations
    time       [n] s, agents [n] s, integration [n] s, speedup [n]
    ");
    assert_snapshot!(t.p0(&["status"]).expect(0).shown(), @"
    exit 0
    run [id 1] of BLOG (A blog)
    state      done
    at         iteration 2, stage plan
    branch     p0/[id 1]/main at [short]
    tickets    0 open, 0 in progress, 1 done, 0 blocked
    attempts   5 (0 live), 0 merge conflicts, 1 ownership violations
    time       [n] s, agents [n] s, integration [n] s, speedup [n]
    ");
    assert_snapshot!(t.p0(&["runs"]).expect(0).shown(), @"
    exit 0
    RUN                                   KEY   STATE  STARTED (UTC)     COMMIT      TITLE OR REASON
    [id 1]  BLOG  done   [day] [time]  [short]  A blog
    ");
    assert_snapshot!(t.p0(&["ticket", "show", "BLOG-1"]).expect(0).shown(), @"
    exit 0
    BLOG-1  a
    kind       task
    status     done
    priority   medium
    create     a.txt
    commit     [commit]
    attempt    [id 1] round 1 t (refused)
    attempt    [id 2] round 2 t (accepted)
    ");
    assert_snapshot!(t.p0(&["logs", "BLOG-1"]).expect(0).shown(), @"
    exit 0
    thinking
    ");
    let log = t.p0(&["audit", "log", "--kind", "ticket."]).expect(0);
    let log: Vec<&str> = log
        .shown()
        .lines()
        .map(|l| l.trim_start_matches([' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']))
        .collect();
    assert_snapshot!(log.join("\n"), @"
    exit 0
    [day] [time]  engine                ticket.created                BLOG-1: new: a
    [day] [time]  engine                ticket.claimed                BLOG-1: claimed by an attempt
    [day] [time]  engine                ticket.released               BLOG-1: released: the round was refused
    [day] [time]  engine                ticket.claimed                BLOG-1: claimed by an attempt
    [day] [time]  engine                ticket.completed              BLOG-1: done as [short]
    ");
}

#[test]
fn the_fixed_keys_are_there() {
    let t = TestEnvironment::new();
    let status = t.run_json(0);
    for key in [
        "run",
        "milestone",
        "workflow",
        "state",
        "reason",
        "iteration",
        "stage",
        "branch",
        "commit",
        "tickets",
        "attempts",
        "merge_conflicts",
        "ownership_violations",
        "usage",
        "time",
        "waiting",
        "digest",
    ] {
        assert!(status.get(key).is_some(), "{key}");
    }
    assert_eq!(t.status(), status, "`p0 run --json` ends with what `p0 status --json` prints");
    let ticket = &t.tickets()[0];
    for key in [
        "id",
        "title",
        "kind",
        "status",
        "priority",
        "category",
        "parent",
        "depends_on",
        "files",
        "run",
        "attempts",
        "commit",
        "comments",
        "blocked_reason",
    ] {
        assert!(ticket.get(key).is_some(), "{key}");
    }
    let input = t.note("executor-BLOG-1-1-1");
    for key in [
        "protocol",
        "role",
        "run",
        "iteration",
        "attempt",
        "round",
        "prompt",
        "milestone",
        "ticket",
        "tickets",
        "verdict",
        "learnings",
        "feedback",
        "files",
    ] {
        assert!(input.get(key).is_some(), "{key}");
    }
    assert_eq!((&input["protocol"], &input["ticket"]["status"]), (&1.into(), &"in_progress".into()));
}

#[test]
fn no_colours_where_nobody_looks() {
    let mut t = TestEnvironment::with("def executor():\n  own_files()\n  if rnd == 1: sys.exit(3)");
    t.set("TERM", "xterm-256color");
    t.set("CLICOLOR_FORCE", "");
    let output = t.run(&[]).expect(0);
    assert!(!output.out.contains('\u{1b}') && !output.err.contains('\u{1b}'), "{output:?}");
}

/// On a terminal there are colours, and none with NO_COLOR. `script` gives the terminal.
#[test]
fn colours_on_a_terminal_unless_they_are_not_wanted() {
    let mut t = TestEnvironment::new();
    t.set("TERM", "xterm-256color");
    t.run_json(0);
    let command = format!("'{}' status", crate::env::p0_path());
    let shown = t.start_program("script", &["-qec", &command, "/dev/null"]).wait().expect(0).out;
    assert!(shown.contains("\u{1b}[32mdone"), "{shown:?}");
    t.set("NO_COLOR", "1");
    let shown = t.start_program("script", &["-qec", &command, "/dev/null"]).wait().expect(0).out;
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let t = TestEnvironment::new();
    t.run_json(0);
    for command in ["audit log", "audit log --json", "runs", "--help", "status", "tickets --json", "completions bash"] {
        let line = format!("set -o pipefail; '{}' {command} | head -c 1 >/dev/null", crate::env::p0_path());
        let output = t.start_program("bash", &["-c", &line]).wait();
        assert_eq!((output.code, output.err.as_str()), (0, ""), "{command}");
    }
}

#[test]
fn following_ends_with_its_reader() {
    let t = TestEnvironment::new();
    t.run_json(0);
    let line = format!("'{}' audit log --follow | head -2", crate::env::p0_path());
    let output = t.start_program("bash", &["-c", &line]).wait();
    assert_eq!(output.out.lines().count(), 2);
}

#[test]
fn a_spec_from_standard_input_and_the_one_of_the_repository() {
    let t = TestEnvironment::new();
    let line = format!("printf '# Piped\\n' | '{}' run - --json", crate::env::p0_path());
    let status = t.start_program("sh", &["-c", &line]).wait().expect(0).json();
    assert_eq!(status["milestone"], "PIPE");
    t.put("SPEC.md", "# Own\n");
    assert_eq!(t.p0(&["run", "--json"]).expect(0).json()["milestone"], "OWN");
}
