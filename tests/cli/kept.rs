//! Runs outside their log: exported, imported, anchored, forked.
use crate::env::{TestEnvironment, p0_path, wait_until};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn finished() -> (TestEnvironment, String) {
    let t = TestEnvironment::with("def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'], depends_on=['a'])");
    let run = t.run_json(0)["run"].as_str().unwrap().to_owned();
    (t, run)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The data directory of somebody else.
fn elsewhere(t: &TestEnvironment) -> PathBuf {
    t.dir.join("elsewhere")
}

#[test]
fn an_exported_run_lives_elsewhere() {
    let (t, run) = finished();
    let file = t.dir.join("run.p0run");
    t.p0(&["audit", "export", &run[..13], text(&file)]).expect(0);
    let again = t.dir.join("again.p0run");
    let daemon = t.daemon();
    t.p0(&["audit", "export", &run, text(&again)]).expect(0);
    daemon.signal("TERM");
    daemon.wait();
    assert_eq!(fs::read(&file).unwrap(), fs::read(&again).unwrap(), "with and without a daemon");
    let here = t.p0(&["replay", &run, "--json"]).expect(0).json();

    let checked = t.p0(&["audit", "verify", text(&file), "--json"]).expect(0).json();
    assert_eq!((&checked["ok"], &checked["events"]), (&true.into(), &here["events"]));
    assert!(checked["blobs"].as_u64().unwrap() > 3, "{checked}");
    let head = checked["head"].as_str().unwrap();
    t.p0(&["audit", "verify", text(&file), "--anchor", head]).expect(0);
    t.p0(&["audit", "verify", text(&file), "--anchor", &"1".repeat(64)]).expect(20);
    let direct = t.p0(&["replay", text(&file), "--json"]).expect(0).json();
    assert_eq!((&direct["digest"], &direct["verified"]), (&here["digest"], &true.into()));

    let other = elsewhere(&t);
    let data = text(&other);
    insta::assert_snapshot!(t.p0(&["--data-dir", data, "audit", "import", text(&file)]).expect(0).shown(), @"
    exit 0
    run     [id 1] (BLOG: A blog) imported
    events  61 in 26 frames
    head    [hash]
    ");
    let twice = t.p0(&["--data-dir", data, "audit", "import", text(&file), "--json"]).expect(0).json();
    assert_eq!((&twice["outcome"], &twice["run"]), (&"known".into(), &run.as_str().into()));
    let events = t.p0(&["--data-dir", data, "audit", "log", "--json"]).expect(0).lines();
    assert_eq!(events.iter().map(|e| e["kind"].as_str().unwrap()).collect::<Vec<_>>(), ["run.imported"]);

    let there = t.p0(&["--data-dir", data, "replay", &run, "--json"]).expect(0).json();
    assert_eq!(there["digest"], here["digest"]);
    let log = |data: &str, more: &[&str]| {
        t.p0(&[&["--data-dir", data, "audit", "log", "--run", &run, "--json"], more].concat()).expect(0).lines()
    };
    let own = text(&t.data);
    assert_eq!(log(data, &[]), log(own, &[]));
    assert_eq!(log(data, &["--ticket", "BLOG-1"]), log(own, &["--ticket", "BLOG-1"]));
    assert_eq!(log(data, &["--kind", "run.", "--since", "3"]), log(own, &["--kind", "run.", "--since", "3"]));
    let back = t.dir.join("back.p0run");
    t.p0(&["--data-dir", data, "audit", "export", &run, text(&back)]).expect(0);
    assert_eq!(fs::read(&file).unwrap(), fs::read(&back).unwrap());

    assert_eq!(t.p0(&["--data-dir", data, "runs", "--json"]).expect(0).json(), json!([]));
    t.p0(&["--data-dir", data, "status", &run]).expect(4);
    t.p0(&["--data-dir", data, "fork", &run, "--at", "9"]).expect(6);
    let refused = t.p0(&["audit", "import", text(&file)]).expect(6);
    assert!(refused.err.contains("is a run of this data directory"), "{}", refused.err);
    assert_eq!(t.p0(&["--data-dir", data, "audit", "verify", "--json"]).expect(0).json()["ok"], true);
    fs::write(other.join(format!("imports/{run}.p0run")), "x").unwrap();
    let found = t.p0(&["--data-dir", data, "audit", "verify"]).expect(20);
    assert!(found.out.contains("the imported run"), "{}", found.out);
    t.p0(&["--data-dir", data, "replay", &run]).expect(5);
    t.p0(&["--data-dir", data, "audit", "import", text(&file)]).expect(0);
    t.p0(&["--data-dir", data, "replay", &run]).expect(0);
}

#[test]
fn exports_overwrite_nothing_and_go_through_pipes() {
    let (t, run) = finished();
    let file = t.dir.join("run.p0run");
    fs::write(&file, "mine").unwrap();
    let refused = t.p0(&["audit", "export", &run, text(&file)]).expect(6);
    assert!(refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    t.p0(&["audit", "export", &run, text(&file), "--force"]).expect(0);
    let piped = t.dir.join("piped.p0run");
    let out = Command::new(p0_path())
        .args(["--data-dir", text(&t.data), "audit", "export", &run, "-"])
        .env_clear()
        .stdout(fs::File::create(&piped).unwrap())
        .stderr(Stdio::inherit())
        .status();
    assert!(out.unwrap().success());
    assert_eq!(fs::read(&file).unwrap(), fs::read(&piped).unwrap());
    t.p0(&["audit", "export", "no-such", text(&t.dir.join("x"))]).expect(4);
    t.p0(&["audit", "export", &run, text(&t.dir.join("no/such/x"))]).expect(1);
    let left: Vec<_> = fs::read_dir(&t.dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().contains(".part")), "{left:?}");
}

#[test]
fn a_changed_file_is_named_and_not_taken_in() {
    let (t, run) = finished();
    let file = t.dir.join("run.p0run");
    t.p0(&["audit", "export", &run, text(&file)]).expect(0);
    let whole = zstd::decode_all(fs::File::open(&file).unwrap()).unwrap();
    let whole = String::from_utf8(whole).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    let seq = serde_json::from_str::<Value>(lines[9]).unwrap()["frame"]["first_seq"].clone();
    let mut changed = lines.clone();
    let other =
        lines[9].replacen("\"actor\":\"engine\"", "\"actor\":\"person\"", 1).replacen("at_ms\":1", "at_ms\":2", 1);
    changed[9] = &other;
    let bad = t.dir.join("bad.p0run");
    let write = |path: &Path, text: &str| fs::write(path, zstd::encode_all(text.as_bytes(), 1).unwrap()).unwrap();
    write(&bad, &format!("{}\n", changed.join("\n")));
    let found = t.p0(&["audit", "verify", text(&bad), "--json"]).expect(20).json();
    assert_eq!((&found["ok"], &found["first_bad"]["seq"]), (&false.into(), &seq), "{found}");
    let other = elsewhere(&t);
    let data = text(&other);
    t.p0(&["--data-dir", data, "audit", "import", text(&bad)]).expect(20);
    t.p0(&["replay", text(&bad)]).expect(20);
    write(&bad, &lines[..lines.len() - 1].join("\n"));
    t.p0(&["--data-dir", data, "audit", "import", text(&bad)]).expect(20);
    fs::write(&bad, "garbage").unwrap();
    t.p0(&["--data-dir", data, "audit", "import", text(&bad)]).expect(20);
    t.p0(&["audit", "verify", text(&bad)]).expect(20);
    t.p0(&["--data-dir", data, "audit", "import", text(&t.dir.join("none"))]).expect(4);
    assert_eq!(t.p0(&["--data-dir", data, "audit", "log"]).expect(0).out, "");
    let left = fs::read_dir(other.join("imports")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "nothing half taken in is left");
}

#[test]
fn a_damaged_blob_is_a_finding() {
    let (t, run) = finished();
    let mut blobs = Vec::new();
    for folder in fs::read_dir(t.data.join("blobs")).unwrap().map(|e| e.unwrap().path()) {
        blobs.extend(fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()));
    }
    blobs.sort();
    let whole = fs::read(&blobs[0]).unwrap();
    fs::write(&blobs[0], &whole[..whole.len() / 2]).unwrap();
    let found = t.p0(&["audit", "verify", "--json"]).expect(20).json();
    assert!(found["first_bad"]["what"].as_str().unwrap().contains("is damaged"), "{found}");
    t.p0(&["audit", "verify", "--no-blobs"]).expect(0);
    fs::remove_file(&blobs[0]).unwrap();
    let found = t.p0(&["audit", "verify", "--json"]).expect(20).json();
    assert!(found["first_bad"]["what"].as_str().unwrap().contains("there is no blob"), "{found}");
    let failed = t.p0(&["audit", "export", &run, text(&t.dir.join("x.p0run"))]).expect(5);
    assert!(failed.err.contains("audit verify"), "{}", failed.err);
    assert!(!t.dir.join("x.p0run").exists());
}

#[test]
fn anchors_show_a_log_that_was_cut() {
    let (t, _) = finished();
    let notes = t.dir.join("anchors.txt");
    let repo = text(&t.repo);
    let copy = t.dir.join("copy");
    assert!(Command::new("cp").arg("-r").arg(&t.data).arg(&copy).status().unwrap().success());
    t.p0(&["ticket", "comment", "BLOG-1", "later"]).expect(0);
    for _ in 0..2 {
        let line =
            t.p0(&["audit", "anchor", "--file", text(&notes), "--git-ref", repo, "refs/p0/anchors"]).expect(0).out;
        assert_eq!(fs::read_to_string(&notes).unwrap(), line, "the same line once");
    }
    let line = fs::read_to_string(&notes).unwrap();
    assert_eq!(t.git(&["show", "refs/p0/anchors:anchors"]), line.trim());
    let head = t.p0(&["audit", "verify", "--json"]).expect(0).json();
    assert_eq!(line.trim(), format!("{} {}", head["events"], head["head"].as_str().unwrap()));
    t.p0(&["audit", "verify", "--anchors", text(&notes), "--git-ref", repo, "refs/p0/anchors"]).expect(0);
    t.p0(&["audit", "verify", "--anchor", line.trim()]).expect(0);
    for anchored in
        [&["--anchors", text(&notes)][..], &["--git-ref", repo, "refs/p0/anchors"], &["--anchor", line.trim()]]
    {
        t.p0(&["audit", "verify", text(&copy)]).expect(0);
        let found = t.p0(&[&["audit", "verify", text(&copy)][..], anchored].concat()).expect(20);
        assert!(found.out.contains("it was cut or rewritten before it"), "{}", found.out);
    }
    t.p0(&["audit", "anchor", "--file", text(&t.data.join("a"))]).expect(2);
    t.p0(&["audit", "verify", "--git-ref", repo, "refs/p0/none"]).expect(4);
    t.p0(&["audit", "verify", "--anchors", text(&t.dir.join("none"))]).expect(1);
}

#[test]
fn differences_between_two_points_are_shown() {
    let (t, run) = finished();
    let landed = t.events("integration.landed")[0]["seq"].as_u64().unwrap();
    let span = format!("{}..{landed}", landed - 1);
    let found = t.p0(&["replay", &run, "--diff", &span, "--json"]).expect(0).json();
    let places: Vec<&str> = found.as_array().unwrap().iter().map(|d| d["path"].as_str().unwrap()).collect();
    assert!(places.iter().any(|p| p.ends_with(".head")), "{places:?}");
    assert!(!places.iter().any(|p| p.contains("BLOG-2")), "{places:?}");
    let shown = t.p0(&["replay", &run, "--diff", &span]).expect(0).out;
    assert_eq!(shown.lines().count(), places.len());
    let file = t.dir.join("run.p0run");
    t.p0(&["audit", "export", &run, text(&file)]).expect(0);
    assert_eq!(t.p0(&["replay", text(&file), "--diff", &span]).expect(0).out, shown);
    assert!(t.p0(&["replay", &run, "--diff", "9..9"]).expect(0).err.contains("nothing differs"));
    t.p0(&["replay", &run, "--diff", "9"]).expect(2);
    t.p0(&["replay", &run, "--diff", "1..2", "--step"]).expect(2);
    let steps = t.p0(&["replay", text(&file), "--step"]).expect(0).out;
    assert!(steps.contains("attempt spawned") && steps.contains("  ") && steps.contains("run.done"), "{steps}");
}

#[test]
fn a_fork_goes_on_from_where_the_run_was() {
    let (t, run) = finished();
    let before = t.p0(&["replay", &run, "--json"]).expect(0).json();
    let landed: Vec<Value> = t.events("integration.landed");
    let at = landed[0]["seq"].as_u64().unwrap();
    let head = landed[0]["data"]["commit"].as_str().unwrap();
    t.p0(&["fork", &run, "--at", "1000"]).expect(2);
    t.p0(&["fork", "nothing", "--at", "10"]).expect(4);
    let fork = t.p0(&["fork", &run, "--at", &at.to_string(), "--json"]).expect(0).json();
    let new = fork["run"].as_str().unwrap();
    assert_eq!(
        (&fork["from"], &fork["base"], &fork["milestone"]),
        (&run.as_str().into(), &head.into(), &"BLOG2".into())
    );
    let state = |name: &str| t.p0(&["status", name, "--json"]).expect(0).json();
    assert_eq!(state(new)["state"], "running");
    let daemon = t.daemon();
    wait_until("the fork is done", || state(new)["state"] == "done");
    daemon.signal("TERM");
    daemon.wait();
    let tickets = t.p0(&["tickets", new, "--json"]).expect(0).json();
    let done = |id: &str| tickets.as_array().unwrap().iter().find(|t| t["id"] == id).unwrap().clone();
    assert_eq!((&done("BLOG2-1")["status"], &done("BLOG2-1")["commit"]), (&"done".into(), &head.into()));
    assert_eq!(done("BLOG2-1")["attempts"], json!([]), "what had landed is not done again");
    assert_eq!(done("BLOG2-2")["status"], "done");
    assert!(t.show(&format!("p0/{new}/main"), "b.txt").is_some());
    assert_eq!(t.git(&["rev-parse", &format!("p0/{new}/main~1")]), head);
    let origin = t.p0(&["audit", "log", "--run", new, "--kind", "run.started", "--json"]).expect(0).lines();
    assert_eq!(origin[0]["data"]["origin"], json!({"run": run, "seq": fork["at"]}));
    assert!(fork["at"].as_u64().unwrap() > at, "the whole command: landed, and so completed");
    assert_eq!(t.p0(&["replay", &run, "--json"]).expect(0).json()["digest"], before["digest"]);
    assert_eq!(t.p0(&["replay", new, "--json"]).expect(0).json()["verified"], true);
    // The spec still belongs to the original.
    assert_eq!(t.run_json(0)["run"], run.as_str());
}

#[test]
fn a_run_is_forked_up_to_where_the_next_one_of_its_milestone_began() {
    let t = TestEnvironment::with(
        "def planner():\n  titles = [x['title'] for x in I['tickets']]\n  \
         missing = [n for n in (['a', 'c'] if os.path.exists(DIR + '/notes/second') else ['a']) if n not in titles]\n  \
         for name in missing: ticket(name, [name + '.txt'])\n  decide('continue' if missing else 'done')",
    );
    let first = t.run_json(0);
    let head = t.p0(&["audit", "log", "--json"]).expect(0).lines().len();
    t.go("second");
    t.spec("# A blog\n\nMake it. And more of it.\n");
    let second = t.run_json(0);
    assert_eq!(first["milestone"], second["milestone"]);
    let (first_id, second_id) = (first["run"].as_str().unwrap(), second["run"].as_str().unwrap());
    let all = t.p0(&["audit", "log", "--json"]).expect(0).lines();
    let refused = t.p0(&["fork", first_id, "--at", &all.len().to_string()]).expect(2);
    assert!(refused.err.contains(&format!("p0 fork {second_id} --at {}", all.len())), "{}", refused.err);
    // It names the last event that can be taken, and that one can.
    let last = refused.err.split_once(" to ").unwrap().1.split_once(',').unwrap().0;
    assert!((head..all.len()).contains(&last.parse().unwrap()), "{head} {}", refused.err);
    let next = (last.parse::<usize>().unwrap() + 1).to_string();
    t.p0(&["fork", first_id, "--at", &next]).expect(2);
    let fork = t.p0(&["fork", first_id, "--at", last, "--json"]).expect(0).json();
    assert_eq!(fork["base"], first["commit"]);
    let forked = t.events("milestone.forked").into_iter().chain(t.events("ticket.created")).collect::<Vec<_>>();
    assert!(!forked.iter().any(|e| e["run"] == fork["run"] && e.to_string().contains("c.txt")), "{forked:?}");
    let fork = t.p0(&["fork", second_id, "--at", &all.len().to_string(), "--json"]).expect(0).json();
    assert_eq!(fork["base"], second["commit"]);
}

#[test]
fn only_old_blobs_that_no_event_names_go() {
    let (t, run) = finished();
    let orphan = |name: &str| {
        let hash = blake3_of(name);
        let path = t.data.join("blobs").join(&hash[..2]).join(&hash);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, zstd::encode_all(name.as_bytes(), 1).unwrap()).unwrap();
        path
    };
    let (old, fresh) = (orphan("old"), orphan("fresh"));
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for folder in fs::read_dir(t.data.join("blobs")).unwrap().map(|e| e.unwrap().path()) {
        for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).filter(|path| *path != fresh) {
            fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
        }
    }
    let named = t.p0(&["audit", "verify", "--json"]).expect(0).json()["blobs"].as_u64().unwrap();
    let dry = t.p0(&["gc", "--dry-run", "--json"]).expect(0).json();
    assert_eq!((&dry["blobs"], &dry["kept"]), (&1.into(), &(named + 1).into()));
    assert!(old.exists());
    let daemon = t.daemon();
    let done = t.p0(&["gc", "--json"]).expect(0).json();
    daemon.signal("TERM");
    daemon.wait();
    assert_eq!(done, dry);
    assert!(!old.exists() && fresh.exists());
    assert_eq!(t.p0(&["audit", "verify", "--json"]).expect(0).json()["blobs"], named);
    t.p0(&["audit", "export", &run, text(&t.dir.join("x.p0run"))]).expect(0);
    assert_eq!(t.p0(&["gc", "--json"]).expect(0).json()["blobs"], 0);
}

fn blake3_of(text: &str) -> String {
    blake3::hash(text.as_bytes()).to_hex().to_string()
}

#[test]
fn patterns_of_secrets_are_kept_of_nothing() {
    let t = TestEnvironment::with(
        "def executor():\n    print('it is tok-12345 here'); say('comment', text='tok-67890')\n    put('a.txt', 'x = tok-24680\\n')",
    );
    t.config(
        "[gates]\ncommands = [['sh', '-c', 'echo gate tok-$((13570+9))']]\n[secrets]\npatterns = ['tok-[0-9]{5}']\n",
    );
    let done = t.run_json(0);
    assert_eq!(done["state"], "done");
    let run = done["run"].as_str().unwrap();
    assert!(
        t.show(&format!("p0/{run}/main"), "a.txt").unwrap().contains("tok-24680"),
        "the work itself is the agent's"
    );
    let file = t.dir.join("run.p0run");
    t.p0(&["audit", "export", run, text(&file)]).expect(0);
    let everything = String::from_utf8(zstd::decode_all(fs::File::open(&file).unwrap()).unwrap()).unwrap();
    assert!(everything.contains("[redacted pattern 1]"));
    for secret in ["tok-12345", "tok-67890", "tok-13579", "tok-24680"] {
        assert!(!everything.contains(secret), "{secret}");
    }
    assert!(!t.events("secret.redacted").is_empty());
    t.config("[secrets]\npatterns = ['(']\n");
    t.spec("# Another\n\nMake it.\n");
    assert!(t.run(&[]).expect(3).err.contains("[secrets] patterns: the 1. pattern"));
}
