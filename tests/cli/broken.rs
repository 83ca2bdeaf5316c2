//! What is lost or damaged is told with its reason and its exit code, whoever reads; and followers end when they should.
use crate::env::{Output, Running, TestEnvironment, p0_path, wait_until};
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    process::{Command, Stdio},
    time::Duration,
};

/// Longer than any of these takes, shorter than a sign of life of a quiet stream.
const SOON: Duration = Duration::from_secs(12);

fn finished() -> (TestEnvironment, String) {
    let t = TestEnvironment::new();
    let run = t.run_json(0)["run"].as_str().unwrap().to_owned();
    (t, run)
}

fn export(t: &TestEnvironment, run: &str) -> PathBuf {
    let file = t.dir.join("run.p0run");
    t.p0(&["audit", "export", run, file.to_str().unwrap()]).expect(0);
    file
}

fn segment(t: &TestEnvironment) -> PathBuf {
    fs::read_dir(t.data.join("journal")).unwrap().next().unwrap().unwrap().path()
}

#[track_caller]
fn ended(running: Running) -> Output {
    running.wait_within(SOON).expect(0)
}

#[test]
fn output_that_cannot_be_written_is_no_success() {
    let (t, run) = finished();
    let full = |args: &[&str]| {
        let out = Command::new(p0_path())
            .args(["--data-dir", t.data.to_str().unwrap()])
            .args(args)
            .env_clear()
            .stdout(fs::OpenOptions::new().write(true).open("/dev/full").unwrap())
            .stderr(Stdio::piped())
            .output()
            .unwrap();
        (out.status.code(), String::from_utf8(out.stderr).unwrap())
    };
    let commands: [&[&str]; 5] = [
        &["audit", "export", &run, "-"],
        &["audit", "log", "--json"],
        &["replay", &run, "--json"],
        &["audit", "verify"],
        &["runs", "--json"],
    ];
    for command in commands {
        let (code, err) = full(command);
        assert_eq!(code, Some(1), "{command:?}: {err}");
        assert_eq!(
            err.matches("the output cannot be written: No space left on device").count(),
            1,
            "{command:?}: {err}"
        );
    }
}

#[test]
fn a_lost_archive_is_told_alike_with_and_without_a_daemon() {
    let (t, run) = finished();
    t.p0(&["gc", "--older-than", "0"]).expect(0);
    std::thread::sleep(Duration::from_millis(5));
    let id = t.tickets()[0]["id"].as_str().unwrap().to_owned();
    t.p0(&["ticket", "comment", &id, "later"]).expect(0);
    let all = t.p0(&["audit", "log", "--json"]).expect(0).lines();
    let (last, before) = (all.last().unwrap(), &all[all.len() - 2]);
    let archive = fs::read_dir(t.data.join("archives")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&archive).unwrap();
    // The store keeps frames of a block that is not full.
    fs::remove_dir_all(t.data.join("store")).unwrap();
    let doctor = t.p0(&["doctor"]).expect(1);
    assert!(doctor.out.contains("put the archive back") && !doctor.out.contains("--repair"), "{}", doctor.out);
    let file = t.dir.join("x.p0run");
    let commands: [&[&str]; 5] = [
        &["audit", "log"],
        &["audit", "log", "--follow"],
        &["audit", "log", "--run", &run],
        &["audit", "export", &run, file.to_str().unwrap()],
        &["replay", &run],
    ];
    let since = |point: &str| t.p0(&["audit", "log", "--json", "--since", point]).expect(0).lines();
    for with_daemon in [false, true] {
        let daemon = with_daemon.then(|| t.daemon());
        for command in commands {
            let output = t.start(command).wait_within(SOON).expect(5);
            assert!(output.err.contains("Put the file back"), "{command:?}: {}", output.err);
            assert!(output.out.is_empty() && !file.exists(), "{command:?}");
        }
        // What the archive does not hold can be read.
        assert_eq!(since(last["at"].as_str().unwrap()).first(), Some(last));
        assert_eq!(since(&before["seq"].to_string()).first(), Some(last));
        if let Some(daemon) = daemon {
            assert!(daemon.err_so_far().contains("exporting run"), "{}", daemon.err_so_far());
            daemon.signal("TERM");
            daemon.wait();
        }
    }
}

#[test]
fn a_follower_of_what_is_over_ends() {
    let (t, run) = finished();
    let file = export(&t, &run);
    let other = t.dir.join("elsewhere");
    t.p0(&["--data-dir", other.to_str().unwrap(), "audit", "import", file.to_str().unwrap()]).expect(0);
    let all = t.p0(&["audit", "log", "--json"]).expect(0).lines();
    let other = other.to_str().unwrap();
    let run_there = t.p0(&["--data-dir", other, "audit", "log", "--run", &run, "--json"]).expect(0).lines();
    let imported = ["--data-dir", other, "audit", "log", "--run", &run, "--follow", "--json"];
    let (end, at) = (all.len().to_string(), all.last().unwrap()["at"].as_str().unwrap());
    std::thread::sleep(Duration::from_millis(1100));
    for with_daemon in [false, true] {
        let daemon = with_daemon.then(|| t.daemon());
        for until in [end.as_str(), at] {
            let shown = ended(t.start(&["audit", "log", "--follow", "--json", "--until", until]));
            assert_eq!(shown.lines(), all, "until {until}");
        }
        if let Some(daemon) = daemon {
            daemon.signal("TERM");
            daemon.wait();
        }
        assert_eq!(ended(t.start(&imported)).lines(), run_there);
    }
    let daemon = t.start_program(env!("CARGO_BIN_EXE_p0d"), &["--data-dir", other]);
    wait_until("p0d serves", || daemon.err_so_far().contains("serving"));
    assert_eq!(ended(t.start(&imported)).lines(), run_there);
    daemon.signal("TERM");
    daemon.wait();
}

#[test]
fn a_follower_reads_on_whoever_writes() {
    let (t, _) = finished();
    let id = t.tickets()[0]["id"].as_str().unwrap().to_owned();
    let begins = t.p0(&["audit", "log", "--json"]).expect(0).lines().len();
    let until = (begins + 3).to_string();
    let follower = t.start(&["audit", "log", "--follow", "--json", "--until", &until]);
    let shows = |n: usize| wait_until("it is shown", || follower.out_so_far().lines().count() >= n);
    shows(begins);
    t.p0(&["ticket", "comment", &id, "without a daemon"]).expect(0);
    shows(begins + 1);
    let daemon = t.daemon();
    t.p0(&["ticket", "comment", &id, "with one"]).expect(0);
    shows(begins + 2);
    daemon.signal("TERM");
    daemon.wait();
    t.p0(&["ticket", "comment", &id, "without one again"]).expect(0);
    let seqs: Vec<Value> = ended(follower).lines().iter().map(|e| e["seq"].clone()).collect();
    assert_eq!(seqs, (1..=begins + 3).map(Value::from).collect::<Vec<_>>(), "each once, in order");
}

#[test]
fn a_damaged_run_file_is_told_as_its_check_tells_it() {
    let (t, run) = finished();
    let file = export(&t, &run);
    let whole = fs::read(&file).unwrap();
    for at in [whole.len() / 3, whole.len() / 2, whole.len() - 20] {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&file, bytes).unwrap();
        t.p0(&["audit", "verify", file.to_str().unwrap()]).expect(20);
        for more in [&["--json"][..], &["--diff", "3..9"]] {
            let output = t.p0(&[&["replay", file.to_str().unwrap()], more].concat());
            // A difference may be found before the damage.
            assert!(output.code == 20 || (output.code == 0 && more[0] == "--diff"), "byte {at}: {output:?}");
            assert!(output.code == 0 || output.err.contains("p0 audit verify /"), "{}", output.err);
        }
    }
}

#[test]
fn steps_are_in_the_document_when_they_are_asked_for() {
    let (t, run) = finished();
    let doc = t.p0(&["replay", &run, "--step", "--json"]).expect(0).json();
    let steps = doc["steps"].as_array().unwrap();
    let events: usize = steps.iter().map(|step| step["events"].as_array().unwrap().len()).sum();
    assert_eq!(doc["events"], events);
    assert!(t.p0(&["replay", &run, "--json"]).expect(0).json().get("steps").is_none());
}

#[test]
fn doctor_sees_and_mends_an_end_that_is_missing() {
    let (t, run) = finished();
    let digest = t.p0(&["replay", &run, "--json"]).expect(0).json()["digest"].clone();
    let file = segment(&t);
    let bytes = fs::read(&file).unwrap();
    for cut in [Some(bytes.len() * 3 / 4), Some(0), None] {
        match cut {
            Some(cut) => fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(cut as u64).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        t.p0(&["runs"]).expect(5);
        let seen = t.p0(&["doctor", "--json"]).expect(1).json();
        let check = seen["checks"].as_array().unwrap().iter().find(|check| check["name"] == "journal").unwrap().clone();
        assert_eq!(check["verdict"], "fail", "{cut:?}: {check}");
        assert!(check["hint"].as_str().unwrap().contains("--repair"), "{check}");
        assert_eq!(seen.get("repaired"), None);
        let mended = t.p0(&["doctor", "--repair", "--json"]).expect(0).json();
        assert!(mended["repaired"][0]["what"].as_str().unwrap().contains("written again"), "{mended}");
        t.log_is_whole();
        assert_eq!(t.p0(&["replay", &run, "--json"]).expect(0).json()["digest"], digest);
    }
    assert_eq!(t.events("journal.repaired").len(), 3);
}

#[test]
fn what_cannot_be_mended_is_not_promised() {
    let (t, _) = finished();
    fs::remove_dir_all(t.data.join("store")).unwrap();
    let file = segment(&t);
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, &bytes).unwrap();
    let told = t.p0(&["doctor", "--repair"]).expect(5);
    assert!(told.err.contains("restore a backup") && !told.err.contains("--repair"), "{}", told.err);
    assert_eq!(fs::read(&file).unwrap(), bytes);
}
