//! Runs that are long over leave the log for a file of their own, and nothing of what they did is lost.
use crate::env::{TestEnvironment, p0_path};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};

/// A finished run, and another one after it that stays.
fn two_runs() -> (TestEnvironment, String, String) {
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'], depends_on=['a'])\n\
         def executor(): print('worked on', tid); own_files()",
    );
    let first = t.run_json(0)["run"].as_str().unwrap().to_owned();
    let spec = t.dir.join("other.md");
    fs::write(&spec, "# Another one\n\nIt is to be there.\n").unwrap();
    let second = t.p0(&["run", spec.to_str().unwrap(), "--json"]).expect(0).json()["run"].as_str().unwrap().to_owned();
    (t, first, second)
}

/// What a person can learn of a run.
fn told(t: &TestEnvironment, run: &str) -> Vec<Value> {
    let events = t.p0(&["audit", "log", "--run", run, "--json"]).expect(0).lines();
    let attempt = events.iter().find(|e| e["kind"] == "attempt.started" && e["data"]["role"] == "executor").unwrap();
    let attempt = attempt["attempt"].as_str().unwrap();
    let ticket = events.iter().find_map(|e| e["ticket"].as_str()).unwrap();
    let mut told = vec![
        t.p0(&["replay", run, "--json"]).expect(0).json(),
        t.p0(&["tickets", run, "--json"]).expect(0).json(),
        t.p0(&["status", run, "--json"]).expect(0).json(),
        t.p0(&["logs", attempt]).expect(0).out.into(),
        t.p0(&["audit", "log", "--ticket", ticket, "--json"]).expect(0).lines().into(),
        t.p0(&["audit", "log", "--json"]).expect(0).lines().into_iter().filter(|e| e["run"] == *run).collect(),
    ];
    // How fast a replay was is not what it found.
    told[0].as_object_mut().unwrap().retain(|key, _| key != "wall_us");
    told.push(events.into());
    told
}

fn archives(t: &TestEnvironment) -> Vec<PathBuf> {
    fs::read_dir(t.data.join("archives")).unwrap().map(|e| e.unwrap().path()).collect()
}

#[test]
fn an_archived_run_is_all_there() {
    let (t, first, second) = two_runs();
    let exported = t.dir.join("before.p0run");
    t.p0(&["audit", "export", &first, exported.to_str().unwrap()]).expect(0);
    let before = [told(&t, &first), told(&t, &second)];
    assert!(t.p0(&["gc", "--json"]).expect(0).json()["archived"].as_array().unwrap().is_empty(), "not old enough");
    let dry = t.p0(&["gc", "--older-than", "0", "--dry-run", "--json"]).expect(0).json();
    assert_eq!((dry["archived"].as_array().unwrap().len(), archives(&t).len()), (2, 0));

    let daemon = t.daemon();
    let shown = t.p0(&["gc", "--older-than", "0"]).expect(0);
    let lines: Vec<&str> = shown.out.lines().collect();
    assert_eq!(lines[0], format!("BLOG   archived: 61 events of {first}"));
    assert_eq!(lines[1], format!("ANOT   archived: 61 events of {second}"));
    assert!(lines[2].starts_with("log     1 file written anew, ") && lines[2].ends_with(" bytes smaller"), "{lines:?}");
    assert_eq!(lines[3], "blobs   0 removed (0 bytes), 23 stay");
    assert!([told(&t, &first), told(&t, &second)] == before, "in the same process");
    daemon.signal("TERM");
    daemon.wait();
    assert!([told(&t, &first), told(&t, &second)] == before, "after a start");
    fs::remove_dir_all(t.data.join("store")).unwrap();
    assert!([told(&t, &first), told(&t, &second)] == before, "with a store made anew");

    // The files are exports like any other, and what is exported now is what was exported before.
    let again = t.dir.join("again.p0run");
    t.p0(&["audit", "export", &first, again.to_str().unwrap()]).expect(0);
    assert_eq!(fs::read(&exported).unwrap(), fs::read(&again).unwrap());
    for file in archives(&t) {
        t.p0(&["audit", "verify", file.to_str().unwrap()]).expect(0);
        t.p0(&["replay", file.to_str().unwrap()]).expect(0);
    }
    let verified = t.p0(&["audit", "verify", "--json"]).expect(0).json();
    let count = before.iter().map(|told| told.last().unwrap().as_array().unwrap().len() as u64).sum::<u64>();
    assert!(verified["ok"] == true && verified["events"].as_u64().unwrap() > count, "{verified}");
    let journal: u64 =
        fs::read_dir(t.data.join("journal")).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(journal < 8_000, "{journal} bytes are left of two runs and their archives");

    // Blobs that only archived events named go, a day after they were put.
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for folder in fs::read_dir(t.data.join("blobs")).unwrap().map(|e| e.unwrap().path()) {
        for path in fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()) {
            fs::File::options().write(true).open(path).unwrap().set_modified(long_ago).unwrap();
        }
    }
    let swept = t.p0(&["gc", "--json"]).expect(0).json();
    assert!(swept["blobs"].as_u64().unwrap() > 5 && swept["archived"] == json!([]), "{swept}");
    assert!([told(&t, &first), told(&t, &second)] == before, "without its blobs");
    t.p0(&["audit", "export", &first, again.to_str().unwrap(), "--force"]).expect(0);
    assert_eq!(fs::read(&exported).unwrap(), fs::read(&again).unwrap());
    t.p0(&["audit", "verify"]).expect(0);

    // A backup has the archives; a fork begins from one.
    let backup = t.dir.join("all.p0backup");
    t.p0(&["backup", backup.to_str().unwrap()]).expect(0);
    let other = t.dir.join("restored");
    t.p0(&["--data-dir", other.to_str().unwrap(), "restore", backup.to_str().unwrap()]).expect(0);
    t.p0(&["--data-dir", other.to_str().unwrap(), "audit", "verify"]).expect(0);
    t.p0(&["--data-dir", other.to_str().unwrap(), "replay", &first]).expect(0);
    let at = before[0].last().unwrap().as_array().unwrap().last().unwrap()["seq"].to_string();
    t.p0(&["fork", &first, "--at", &at, "--json"]).expect(0);
}

#[test]
fn the_spec_of_an_archived_run_goes_on() {
    let (t, first, _) = two_runs();
    t.p0(&["gc", "--older-than", "0"]).expect(0);
    t.spec("# A blog\n\nNow with comments.\n");
    // Its agent has nothing more to do; what counts is that the milestone takes another run.
    let next = t.run_json(10);
    assert_ne!(next["run"], first.as_str());
    t.p0(&["replay", next["run"].as_str().unwrap()]).expect(0);
    // Archived again, the milestone's one file holds both runs.
    let again = t.p0(&["gc", "--older-than", "0", "--json"]).expect(0).json();
    assert_eq!(again["archived"][0]["runs"].as_array().unwrap().len(), 2);
    assert_eq!(archives(&t).len(), 2);
    for run in [&first, next["run"].as_str().unwrap()] {
        t.p0(&["replay", run]).expect(0);
    }
    t.p0(&["audit", "verify"]).expect(0);
}

#[test]
fn an_old_run_is_archived_while_a_new_one_of_its_spec_is_at_work() {
    let t = TestEnvironment::with(
        "def planner():\n  titles = [x['title'] for x in I['tickets']]\n  \
         wanted = ['a', 'b'] if os.path.exists(DIR + '/notes/second') else ['a']\n  \
         missing = [name for name in wanted if name not in titles]\n  \
         for name in missing: ticket(name, [name + '.txt'])\n  decide('continue' if missing else 'done')\n\
         def executor():\n  own_files()\n  if 'b.txt' in I['files']['create']: note('at-work'); wait_for('go')",
    );
    let first = t.run_json(0)["run"].as_str().unwrap().to_owned();
    let before = told(&t, &first);
    let spec = fs::read_to_string(t.spec_path()).unwrap();
    t.spec(&format!("{spec}\nAnd more of it.\n"));
    fs::write(t.note_path("second"), "").unwrap();
    let second = t.start_run(&["--json"]);
    t.wait_note("at-work");
    let done = t.p0(&["gc", "--older-than", "0", "--json"]).expect(0).json();
    let archived = done["archived"].as_array().unwrap();
    assert_eq!((archived.len(), archived[0]["runs"].as_array().unwrap().len()), (1, 1), "{done}");
    assert_eq!(archives(&t).len(), 1);
    // Once is enough.
    let again = t.p0(&["gc", "--older-than", "0", "--json"]).expect(0).json();
    assert_eq!(again["archived"], json!([]), "{again}");
    t.go("go");
    let second = second.wait().expect(0).json()["run"].as_str().unwrap().to_owned();
    for store in ["as it is", "made anew"] {
        if store == "made anew" {
            fs::remove_dir_all(t.data.join("store")).unwrap();
        }
        for run in [&first, &second] {
            t.p0(&["replay", run]).expect(0);
        }
        let now = told(&t, &first);
        assert!(now[6] == before[6] && now[3] == before[3], "its events and its output, with the store {store}");
        t.p0(&["audit", "verify"]).expect(0);
    }
    // The rest follows in time, into the same file.
    t.p0(&["gc", "--older-than", "0"]).expect(0);
    assert_eq!(archives(&t).len(), 1);
    // Later somebody is content with less: what was archived stays.
    let less = t.p0(&["gc", "--older-than", "30", "--json"]).expect(0).json();
    assert_eq!((&less["archived"], &less["left"]), (&json!([]), &json!([])), "{less}");
    t.p0(&["audit", "verify"]).expect(0);
    for run in [&first, &second] {
        t.p0(&["replay", run]).expect(0);
    }
}

#[test]
fn without_its_archive_a_run_is_still_known() {
    let (t, first, second) = two_runs();
    let done = t.p0(&["gc", "--older-than", "0", "--json"]).expect(0).json();
    let before = t.p0(&["runs", "--json"]).expect(0).out;
    let milestone = done["archived"][0]["milestone"].as_str().unwrap();
    // What happened to it since stands in the log, and needs what is in the archive.
    t.p0(&["ticket", "comment", "BLOG-1", "it was good"]).expect(0);
    let file = t.data.join("archives").join(format!("{milestone}.p0run"));
    let away = t.dir.join("away");
    fs::rename(&file, &away).unwrap();
    fs::remove_dir_all(t.data.join("store")).unwrap();
    assert_eq!(t.p0(&["runs", "--json"]).expect(0).out, before);
    t.p0(&["tickets", &second]).expect(0);
    let comment = t.p0(&["ticket", "comment", "BLOG-1", "it was very good"]);
    assert!(comment.code != 0 && comment.err.contains("Put the file back"), "{comment:?}");
    let backup = t.p0(&["backup", t.dir.join("x").to_str().unwrap()]);
    assert!(backup.code != 0 && backup.err.contains("archives"), "{backup:?}");
    let replay = t.p0(&["replay", &first]);
    assert!(replay.code != 0 && replay.err.contains("Put the file back"), "{replay:?}");
    t.p0(&["replay", &second]).expect(0);
    let verify = t.p0(&["audit", "verify"]).expect(20);
    assert!(verify.out.contains("archives") || verify.err.contains("archives"), "{verify:?}");
    fs::rename(&away, &file).unwrap();
    t.p0(&["replay", &first]).expect(0);
    t.p0(&["audit", "verify"]).expect(0);
    t.p0(&["ticket", "comment", "BLOG-1", "it was very good"]).expect(0);
}

#[test]
fn a_killed_gc_leaves_everything_and_is_finished_by_the_next() {
    let (t, first, second) = two_runs();
    let before = [told(&t, &first), told(&t, &second)];
    for pause_ms in [5, 20, 40, 60, 80, 120] {
        let mut gc = Command::new(p0_path());
        gc.args(["--data-dir", t.data.to_str().unwrap(), "gc", "--older-than", "0"]).current_dir(&t.repo);
        let mut gc = gc.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(pause_ms));
        gc.kill().unwrap();
        gc.wait().unwrap();
        t.p0(&["audit", "verify"]).expect(0);
    }
    t.p0(&["gc", "--older-than", "0"]).expect(0);
    assert!([told(&t, &first), told(&t, &second)] == before);
    assert_eq!(archives(&t).len(), 2);
}

#[test]
fn an_archive_that_is_lost_or_damaged_before_its_frames_left_the_journal_is_written_again() {
    let (t, first, second) = two_runs();
    let before = [told(&t, &first), told(&t, &second)];
    // As a backup does it: nothing leaves the journal now.
    let journal = fs::File::open(t.data.join("journal")).unwrap();
    journal.lock_shared().unwrap();
    let mut gc = Command::new(p0_path());
    gc.args(["--data-dir", t.data.to_str().unwrap(), "gc", "--older-than", "0"]).current_dir(&t.repo);
    let mut gc = gc.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().unwrap();
    let on_record = || {
        let grep = |file: PathBuf| fs::read(file).unwrap().windows(12).filter(|w| w == b"run.archived").count();
        let segments = fs::read_dir(t.data.join("journal")).unwrap().map(|e| e.unwrap().path());
        segments.map(grep).sum::<usize>()
    };
    while on_record() < 2 {
        assert!(gc.try_wait().unwrap().is_none(), "it waits for the backup");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    gc.kill().unwrap();
    gc.wait().unwrap();
    let [lost, damaged] = archives(&t).try_into().unwrap();
    fs::remove_file(lost).unwrap();
    let mut bytes = fs::read(&damaged).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(damaged, bytes).unwrap();
    t.p0(&["audit", "verify"]).expect(20);
    // Written anew; but nobody waits for long for a backup, holding the data directory.
    let done = t.p0(&["gc", "--older-than", "0", "--json"]).expect(0).json();
    assert_eq!((done["archived"].as_array().unwrap().len(), &done["compacted"]["segments"]), (2, &json!(0)), "{done}");
    assert!(done["left"][0].as_str().unwrap().contains("a backup or a check"), "{done}");
    t.p0(&["audit", "verify"]).expect(0);
    drop(journal);
    t.p0(&["gc", "--older-than", "0"]).expect(0);
    assert_eq!(archives(&t).len(), 2);
    assert!([told(&t, &first), told(&t, &second)] == before);
    t.p0(&["audit", "verify"]).expect(0);
}

#[test]
fn why_nothing_is_archived_is_told() {
    let t = TestEnvironment::with("def plan(): ticket('a', ['a.txt'])");
    t.run_json(0);
    for (config, told) in
        [("nonsense", "config.toml"), ("[retention]\narchive_after_days = 4000000000\n", "4000000000 days")]
    {
        t.put(".p0/config.toml", config);
        let done = t.p0(&["gc", "--json"]).expect(0).json();
        let left = done["left"].as_array().unwrap();
        assert!(left.len() == 1 && left[0].as_str().unwrap().contains(told), "{config}: {done}");
    }
}
