//! What an agent may not write never lands; the next round is told the paths, and a corrected round lands.
use crate::env::TestEnvironment;
use serde_json::Value;

/// An executor that does this in its first round and nothing but its own files in the second.
fn first_round(wrong: &str) -> TestEnvironment {
    let indented: String = wrong.lines().map(|l| format!("    {l}\n")).collect();
    let t = TestEnvironment::with(&format!(
        "def git(*args): subprocess.run(['git', *args], check=True, stdout=subprocess.DEVNULL)\n\
         def executor():\n  if rnd == 1:\n{indented}  else:\n    own_files()\n"
    ));
    t.put(".gitignore", "*.log\n");
    t.put("lib/deep.txt", "deep\n");
    t.git(&["add", ".gitignore", "lib"]);
    t.git(&["commit", "-qm", "second"]);
    t
}

fn paths(event: &Value) -> Vec<&str> {
    event["data"]["paths"].as_array().unwrap().iter().map(|p| p.as_str().unwrap()).collect()
}

/// The first round is refused for these paths, the second lands, and what landed is `a.txt` alone.
#[track_caller]
fn refused_for(t: &TestEnvironment, expected: &[&str]) {
    let status = t.run_json(0);
    let branch = status["branch"].as_str().unwrap();
    let changed = t.git(&["diff", "--name-status", "main", branch]);
    assert_eq!(changed, "A\ta.txt", "what landed");
    assert_eq!(t.show(branch, "a.txt").unwrap(), "a of BLOG-1\n");
    let violated = t.events("ownership.violated");
    assert_eq!(violated.len(), 1);
    assert_eq!(paths(&violated[0]), expected);
    assert_eq!(status["ownership_violations"], 1);
    let told = t.note("executor-BLOG-1-1-2")["feedback"].to_string();
    for path in expected {
        assert!(told.contains(path), "{path} is not in {told}");
    }
    assert_eq!(t.tickets()[0]["attempts"].as_array().unwrap().len(), 2);
    assert_eq!(t.git(&["status", "--porcelain"]), "?? .p0/", "the person's checkout");
    t.log_is_whole();
}

#[test]
fn files_outside_its_list() {
    let t = first_round("own_files(); put('old.txt', 'mine now'); put('new/file.txt'); put('README.md', '')");
    refused_for(&t, &["README.md", "new/file.txt", "old.txt"]);
}

#[test]
fn through_a_link_to_a_foreign_file() {
    let t = first_round("os.symlink('old.txt', 'a.txt'); put('a.txt', 'through the link')");
    refused_for(&t, &["old.txt"]);
}

#[test]
fn through_a_link_to_a_folder() {
    let t = first_round("own_files(); os.symlink('lib', 'link'); put('link/deep.txt', 'through the link')");
    refused_for(&t, &["lib/deep.txt", "link"]);
}

#[test]
fn a_link_that_escapes() {
    let t = first_round("os.symlink('/etc/passwd', 'a.txt')");
    refused_for(&t, &["a.txt"]);
}

#[test]
fn a_relative_link_that_escapes() {
    let t = first_round("os.symlink('lib/../../outside', 'a.txt')");
    refused_for(&t, &["a.txt"]);
}

#[test]
fn by_a_rename() {
    let t = first_round("os.rename('old.txt', 'a.txt')");
    refused_for(&t, &["old.txt"]);
}

#[test]
fn by_git_mv() {
    let t = first_round("git('mv', 'old.txt', 'a.txt'); git('commit', '-qm', 'moved')");
    refused_for(&t, &["old.txt"]);
}

#[test]
fn by_deleting() {
    let t = first_round("own_files(); os.remove('old.txt'); os.remove('lib/deep.txt'); os.rmdir('lib')");
    refused_for(&t, &["lib/deep.txt", "old.txt"]);
}

#[test]
fn by_a_mode() {
    let t = first_round("own_files(); os.chmod('old.txt', 0o755)");
    refused_for(&t, &["old.txt"]);
}

#[test]
fn by_a_change_of_type() {
    let t = first_round("own_files(); os.remove('old.txt'); put('old.txt/in_it', 'x')");
    refused_for(&t, &["old.txt", "old.txt/in_it"]);
}

#[test]
fn by_committing_itself() {
    let t = first_round("own_files(); put('old.txt', 'mine'); git('add', '-A'); git('commit', '-qm', 'all of it')");
    refused_for(&t, &["old.txt"]);
}

#[test]
fn by_committing_on_another_branch() {
    let t =
        first_round("git('checkout', '-qb', 'mine'); own_files(); put('old.txt', 'x'); git('commit', '-qam', 'all')");
    refused_for(&t, &["old.txt"]);
}

#[test]
fn hidden_from_git_status() {
    let t = first_round("own_files(); git('update-index', '--assume-unchanged', 'old.txt'); put('old.txt', 'hidden')");
    refused_for(&t, &["old.txt"]);
}

#[test]
fn hidden_by_an_ignore_of_its_own() {
    let t = first_round("own_files(); put('.gitignore', '*.log\\nsecret.txt\\n'); put('secret.txt')");
    let status = t.run_json(0);
    let branch = status["branch"].as_str().unwrap();
    assert_eq!(t.git(&["diff", "--name-status", "main", branch]), "A\ta.txt");
    assert!(paths(&t.events("ownership.violated")[0]).contains(&".gitignore"));
}

#[test]
fn a_repository_inside() {
    let t = first_round(
        "own_files(); os.mkdir('sub'); git('init', '-q', 'sub'); put('sub/x'); git('-C', 'sub', 'add', 'x'); git('-C', 'sub', '-c', 'user.name=x', '-c', 'user.email=x', 'commit', '-qm', 'x')",
    );
    let status = t.run_json(0);
    assert_eq!(t.git(&["diff", "--name-status", "main", status["branch"].as_str().unwrap()]), "A\ta.txt");
    let told = t.note("executor-BLOG-1-1-2")["feedback"].to_string();
    assert!(told.contains("sub"), "{told}");
}

#[test]
fn conflict_markers() {
    let t = first_round("put('a.txt', '<<<<<<< HEAD\\nx\\n=======\\ny\\n>>>>>>> other\\n')");
    t.run_json(0);
    assert!(t.note("executor-BLOG-1-1-2")["feedback"][0].as_str().unwrap().contains("conflict markers"));
}

#[test]
fn what_git_ignores_does_not_count_even_when_it_is_forced() {
    let t = TestEnvironment::with(
        "def executor():\n  own_files(); put('x.log'); put('target/out', 'x'); put('Cargo.lock', 'x')\n  \
         subprocess.run(['git', 'add', '-f', 'x.log', 'a.txt'], check=True)\n  subprocess.run(['git', 'commit', '-qm', 'x'], check=True)\n",
    );
    t.put(".gitignore", "*.log\n");
    t.git(&["add", ".gitignore"]);
    t.git(&["commit", "-qm", "second"]);
    let status = t.run_json(0);
    assert_eq!(t.git(&["diff", "--name-status", "main", status["branch"].as_str().unwrap()]), "A\ta.txt");
}

#[test]
fn its_own_commits_land_as_one() {
    let own = "def executor():\n  for n in range(3):\n    put('a.txt', str(n)); subprocess.run(['git', 'add', '-A']); subprocess.run(['git', 'commit', '-qm', f'part {n}'])\n";
    let t = TestEnvironment::with(own);
    let status = t.run_json(0);
    let branch = status["branch"].as_str().unwrap();
    assert_eq!(t.git(&["rev-list", "--count", &format!("main..{branch}")]), "1", "one landing commit");
    let body = t.git(&["log", "-1", "--format=%an%n%B", branch]);
    let run = status["run"].as_str().unwrap();
    for line in ["Ada", &format!("P0-Run: {run}"), "P0-Ticket: BLOG-1", "P0-Attempt: "] {
        assert!(body.contains(line), "{line} is not in {body}");
    }
}

#[test]
fn a_round_that_never_learns_blocks_the_ticket_and_its_work_is_kept() {
    let t = TestEnvironment::with("def executor(): own_files(); put('old.txt', f'round {rnd}')");
    let status = t.run_json(10);
    assert!(status["reason"].as_str().unwrap().contains("old.txt"), "{status}");
    assert_eq!(status["ownership_violations"], 3);
    let parked = t.git(&["for-each-ref", "--format=%(refname)", "refs/p0/parked/"]);
    assert_eq!(parked.lines().count(), 3, "{parked}");
    let first = parked.lines().next().unwrap();
    assert!(t.show(first, "old.txt").unwrap().starts_with("round"), "the work is kept");
}

#[test]
fn two_tickets_side_by_side_keep_to_their_own() {
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'])\n\
         def executor():\n  own_files()\n  if tid == 'BLOG-2' and rnd == 1: put('a.txt', 'stolen')\n",
    );
    let status = t.run_json(0);
    let branch = status["branch"].as_str().unwrap();
    assert_eq!(t.show(branch, "a.txt").unwrap(), "a of BLOG-1\n");
    assert_eq!(t.show(branch, "b.txt").unwrap(), "b of BLOG-2\n");
    let violated = t.events("ownership.violated");
    assert_eq!((violated.len(), &violated[0]["ticket"], paths(&violated[0])), (1, &"BLOG-2".into(), vec!["a.txt"]));
}
