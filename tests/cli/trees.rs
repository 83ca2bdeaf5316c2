//! What a plan and a person may ask for in the tree as it is, and what of an attempt's work lands in it.
use crate::env::TestEnvironment;
use std::fs;

/// A planner that says this first, and a plan of one ticket when it is told why not.
fn first_plan(bad: &str) -> TestEnvironment {
    let t = TestEnvironment::with(&format!(
        "def planner():\n  if it == 1 and rnd == 1: {bad}; decide('continue')\n  elif it == 1: plan(); decide('continue')\n  \
         else: decide('done')\n"
    ));
    t.put("src/x", "x\n");
    t.put(".gitignore", "*.log\nout/\n");
    t.git(&["add", "src", ".gitignore"]);
    let head = t.git(&["rev-parse", "HEAD"]);
    t.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{head},vendor/sub")]);
    t.git(&["commit", "-qm", "second"]);
    t
}

/// The planner was told this before any executor began, and its second plan landed.
#[track_caller]
fn refused_for(plan: &str, words: &[&str]) {
    let t = first_plan(plan);
    let status = t.run_json(0);
    assert_eq!(status["tickets"]["done"], 1, "nothing of the refused plan is there");
    let refused = t.events("plan.refused");
    assert_eq!(refused.len(), 1);
    let told = t.note("planner-1-2")["feedback"].to_string();
    for word in words {
        assert!(told.contains(word), "{word} is not in {told}");
    }
    let first = |kind: &str| t.events(kind).into_iter().map(|e| e["seq"].as_u64().unwrap()).min().unwrap();
    assert!(first("plan.refused") < first("ticket.claimed"));
    t.log_is_whole();
}

#[test]
fn a_folder_without_its_slash_beside_a_file_in_it() {
    refused_for("ticket('a', modify=['src']); ticket('b', modify=['src/x'])", &["'src' is a folder", "'src/'"]);
}

#[test]
fn a_path_below_a_file() {
    refused_for("ticket('a', ['old.txt/x'])", &["'old.txt' is a file"]);
}

#[test]
fn a_path_in_a_submodule() {
    refused_for("ticket('a', ['vendor/sub/new'])", &["submodule 'vendor/sub'"]);
}

#[test]
fn an_ignored_folder() {
    refused_for("ticket('a', ['out/'])", &["git ignores 'out/'"]);
}

#[test]
fn names_that_no_file_system_holds() {
    refused_for("ticket('a', ['x' * 300]); ticket('b', ['.git./config'])", &["of 300 bytes", "git's own folder"]);
}

#[test]
fn a_sub_task_is_compared_too() {
    let t = first_plan("plan()");
    t.agent(
        "def executor():\n  own_files()\n  if rnd == 1: say('subtask', title='s', files={'create': ['src'], 'modify': []})\n",
    );
    t.run_json(0);
    let told = t.note("executor-BLOG-1-1-2")["feedback"].to_string();
    assert!(told.contains("'src' is a folder"), "{told}");
}

#[test]
fn what_is_odd_is_told_on_the_ticket() {
    let t = first_plan("ticket('a', ['Readme.md'], modify=['gone.txt'])");
    t.run_json(0);
    let shown = t.p0(&["ticket", "show", "BLOG-1"]).expect(0).out;
    for words in ["'README.md' in upper and lower case", "'gone.txt' is listed under modify"] {
        assert!(shown.contains(words), "{shown}");
    }
}

#[test]
fn a_person_is_told_at_once() {
    let t = first_plan("plan()");
    for (list, path, words) in [
        ("--modify", "src", "'src/'"),
        ("--create", "old.txt/x", "'old.txt' is a file"),
        ("--create", "vendor/sub/x", "submodule"),
        ("--create", "out/", "git ignores"),
        ("--create", "a/.git /x", "git's own folder"),
    ] {
        let refused = t.p0(&["ticket", "new", "--title", "t", list, path]).expect(6);
        assert!(refused.err.contains(words), "{refused:?}");
    }
    t.p0(&["ticket", "new", "--title", "t", "--create", "new.txt"]).expect(0);
    let id = t.tickets()[0]["id"].as_str().unwrap().to_owned();
    let refused = t.p0(&["ticket", "files", &id, "--modify", "src"]).expect(6);
    assert!(refused.err.contains("'src/'"), "{refused:?}");
    t.p0(&["ticket", "files", &id, "--modify", "src/"]).expect(0);
}

#[test]
fn owned_files_land_and_what_does_not_land_is_named() {
    let t = first_plan("ticket('a', ['kept.log', 'src/'], modify=['yarn.lock'])");
    t.put("yarn.lock", "1\n");
    t.put("Cargo.lock", "1\n");
    t.git(&["add", "yarn.lock", "Cargo.lock"]);
    t.git(&["commit", "-qm", "locks"]);
    t.agent(
        "def executor():\n  for path in ['kept.log', 'src/lost.log', 'src/y', 'yarn.lock', 'Cargo.lock']: put(path, '2\\n')\n\
         def planner():\n  if it == 1: ticket('a', ['kept.log', 'src/'], modify=['yarn.lock']); decide('continue')\n  \
         else: decide('done')\n",
    );
    let output = t.run(&[]).expect(0);
    let branch = t.status()["branch"].as_str().unwrap().to_owned();
    assert_eq!(t.git(&["diff", "--name-only", "main", &branch]), "kept.log\nsrc/y\nyarn.lock");
    let shown = t.p0(&["ticket", "show", "BLOG-1"]).expect(0).out;
    for told in [output.out, shown] {
        assert!(told.contains("src/lost.log (git ignores it); Cargo.lock (generated"), "{told}");
    }
}

#[test]
fn markers_that_are_meant_land_where_a_setting_says_so() {
    let agent = "def executor(): put('a.txt', '<<<<<<< x\\na\\n=======\\nb\\n>>>>>>> y\\n')\n";
    let t = TestEnvironment::with(agent);
    t.config("rounds = 1\n");
    t.run_json(10);
    let shown = t.p0(&["ticket", "show", "BLOG-1"]).expect(0).out;
    assert!(shown.contains("conflict markers") && shown.contains("[files] conflict_markers"), "{shown}");
    let t = TestEnvironment::with(agent);
    t.config("rounds = 1\n[files]\nconflict_markers = [\"*.txt\"]\n");
    t.run_json(0);
}

#[test]
fn a_branch_that_is_checked_out_keeps_what_landed_and_says_so() {
    let t = TestEnvironment::with("def executor():\n  wait_for('go')\n  own_files()\n");
    let running = t.start_run(&[]);
    t.wait_note("executor-BLOG-1-1-1");
    let branch = t.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/p0"]);
    t.git(&["checkout", "-q", &branch]);
    t.go("go");
    let output = running.wait().expect(0);
    assert!(output.out.contains(&format!("{branch} is checked out in")), "{}", output.out);
    assert_eq!(t.git(&["status", "--porcelain"]), "?? .p0/");
    assert!(t.repo.join("a.txt").exists());

    // The same with a change in the way.
    let t = TestEnvironment::with("def executor():\n  wait_for('go')\n  own_files()\n");
    let running = t.start_run(&[]);
    t.wait_note("executor-BLOG-1-1-1");
    let branch = t.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/p0"]);
    t.git(&["checkout", "-q", &branch]);
    t.put("a.txt", "mine\n");
    t.go("go");
    let output = running.wait().expect(0);
    let kept = format!("refs/p0/aside/{}", branch.trim_start_matches("p0/"));
    assert!(output.out.contains("was not moved under it") && output.out.contains(&kept), "{}", output.out);
    assert_eq!(fs::read_to_string(t.repo.join("a.txt")).unwrap(), "mine\n");
    assert!(t.show(&kept, "a.txt").is_some());
    t.log_is_whole();
}

#[test]
fn a_filter_that_fails_stops_the_run_in_words() {
    let mut t = TestEnvironment::new();
    t.set("P0_PATIENCE_MS", "500");
    t.put(".gitattributes", "*.key filter=secret\n");
    t.put("a.key", "k\n");
    t.git(&["add", ".gitattributes", "a.key"]);
    t.git(&["commit", "-qm", "key"]);
    t.git(&["config", "filter.secret.smudge", "surely-no-such-program"]);
    t.git(&["config", "filter.secret.required", "true"]);
    let status = t.run_json(13);
    let reason = status["reason"].as_str().unwrap();
    assert!(reason.contains("filter") && reason.contains("a.key"), "{reason}");
}
