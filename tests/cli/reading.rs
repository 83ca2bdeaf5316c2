//! Commands that only read: without the lock, without writing anything, any number at once, and with the answers that a
//! holder gives.
use crate::{
    env::{Output, TestEnvironment, p0_path},
    store::mounts_allowed,
};
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Every command that reads. What is told of now (`--follow`, `p0 logs` of what is at work) is not among them.
const READING: &[&[&str]] = &[
    &["runs", "--json"],
    &["status", "--json"],
    &["status"],
    &["tickets", "--json"],
    &["ticket", "show", "BLOG-1", "--json"],
    &["ready", "--json"],
    &["approvals", "--json"],
    &["graph", "@last"],
    &["logs", "BLOG-1"],
    &["replay", "@last", "--json"],
    &["audit", "log", "--json"],
    &["audit", "log", "--ticket", "BLOG-1"],
    &["audit", "verify"],
];

/// Every file of a folder: its size, its inode, when it was written, and what is in it.
fn files(dir: &Path) -> BTreeMap<PathBuf, (u64, u64, i64, Vec<u8>)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let meta = fs::symlink_metadata(&path).unwrap();
        if meta.is_dir() {
            found.extend(files(&path));
        }
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        found.insert(path, (meta.len(), meta.ino(), meta.mtime_nsec() + meta.mtime() * 1_000_000_000, content));
    }
    found
}

/// What a command printed, but how fast a replay was.
fn printed(output: Output) -> String {
    let Output { out, .. } = output.expect(0);
    match serde_json::from_str::<serde_json::Value>(&out) {
        Ok(mut value) if value.get("wall_us").is_some() => {
            value["wall_us"] = 0.into();
            value.to_string()
        }
        Ok(_) | Err(_) => out,
    }
}

/// A project with a finished run, and what each command said of it while a daemon served.
fn finished() -> (TestEnvironment, Vec<String>) {
    let t = TestEnvironment::new();
    t.run_json(0);
    let daemon = t.daemon();
    let served = READING.iter().map(|args| printed(t.p0(args))).collect();
    daemon.signal("TERM");
    daemon.wait();
    (t, served)
}

#[test]
fn reading_takes_no_lock_and_writes_nothing() {
    let (t, served) = finished();
    let before = files(&t.data);
    let script = format!(
        "import fcntl, time\nf = open('{data}/lock')\nfcntl.flock(f, fcntl.LOCK_EX)\nopen('{dir}/notes/held', 'w')\ntime.sleep(1000)\n",
        data = t.data.display(),
        dir = t.dir.display()
    );
    let holder = t.start_program("python3", &["-SEc", &script]);
    t.wait_note("held");
    for (args, served) in READING.iter().zip(&served) {
        assert_eq!(printed(t.p0(args)), *served, "{args:?}");
    }
    let running: Vec<_> = READING.iter().zip(&served).map(|(args, served)| (t.start(args), served)).collect();
    for (running, served) in running {
        assert_eq!(printed(running.wait()), *served, "at the same time");
    }
    let after = files(&t.data);
    let changed: Vec<&PathBuf> =
        after.iter().filter(|(path, file)| before.get(*path) != Some(file)).map(|(p, _)| p).collect();
    assert_eq!((changed, after.len()), (Vec::new(), before.len()));
    // What writes waits for the lock, and is refused.
    let refused = t.p0(&["ticket", "new", "--title", "another"]).expect(5);
    assert!(refused.err.contains("process"), "{refused:?}");
    holder.signal("KILL");
    holder.wait();
}

#[test]
fn a_read_only_file_system_is_read() {
    if !mounts_allowed() {
        return;
    }
    let (t, served) = finished();
    let script = format!(
        "mount --bind '{data}' '{data}' && mount -o remount,bind,ro '{data}' && exec '{p0}' \"$@\"",
        data = t.data.display(),
        p0 = p0_path()
    );
    for (args, served) in READING.iter().zip(&served) {
        let mut all = vec!["-m", "sh", "-c", &script, "sh"];
        all.extend(*args);
        let output = t.start_program("unshare", &all).wait();
        assert_eq!(printed(output), *served, "{args:?}");
    }
}

#[test]
fn nothing_is_made_where_there_is_no_data_directory() {
    let t = TestEnvironment::new();
    for args in [&["runs"][..], &["tickets"], &["approvals"], &["audit", "log"]] {
        let output = t.p0(args).expect(0);
        assert_eq!(output.out, "", "{args:?}");
    }
    t.p0(&["status"]).expect(4);
    assert!(!t.data.exists());
}

/// A command that changes something reads what it changed.
#[test]
fn what_was_changed_is_read_by_the_same_command() {
    let t = TestEnvironment::new();
    t.run_json(0);
    let made = t.p0(&["ticket", "new", "--title", "another", "--json"]).expect(0).json();
    let id = made["id"].as_str().unwrap().to_owned();
    t.p0(&["ticket", "status", &id, "blocked", "--reason", "not now"]).expect(0);
    assert_eq!(t.p0(&["ticket", "show", &id, "--json"]).expect(0).json()["status"], "blocked");
}
