//! The order of things on the disk, seen from outside: a frame is written, then synced, and only then is anybody answered.
//! Left out where strace is missing or may not trace.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at the first surprise and start processes"
)]

use std::{
    fs,
    os::unix::net::UnixStream,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn can_trace() -> bool {
    let traced = Command::new("strace").args(["-o", "/dev/null", "true"]).stderr(Stdio::null()).status();
    traced.is_ok_and(|status| status.success())
}

/// The place of the first line from `from` on that holds all of these.
fn find(lines: &[&str], from: usize, parts: &[&str]) -> Option<usize> {
    lines.iter().enumerate().skip(from).find(|(_, line)| parts.iter().all(|part| line.contains(part))).map(|(n, _)| n)
}

/// Where a system call that began at `at` has returned 0: on its line, or where its thread goes on with it.
fn returned(lines: &[&str], at: usize, call: &str) -> Option<usize> {
    if lines[at].trim_end().ends_with("= 0") {
        return Some(at);
    }
    let thread = lines[at].split(' ').next()?;
    let resumed = format!("<... {call} resumed>");
    (at + 1..lines.len()).find(|n| {
        lines[*n].split(' ').next() == Some(thread)
            && lines[*n].contains(&resumed)
            && lines[*n].trim_end().ends_with("= 0")
    })
}

fn serve(dir: &Path, trace: &Path) -> std::process::Child {
    let mut command = Command::new("strace");
    command
        .args(["-f", "-y", "-s", "64", "-e", "trace=pwrite64,fdatasync,write,writev,sendto,sendmsg", "-o"])
        .arg(trace);
    command.arg(env!("CARGO_BIN_EXE_p0d")).arg("--data-dir").arg(dir).stderr(Stdio::null());
    let child = command.spawn().unwrap();
    let began = Instant::now();
    while UnixStream::connect(dir.join("p0.sock")).is_err() {
        assert!(began.elapsed() < Duration::from_secs(120), "the daemon does not serve");
        std::thread::sleep(Duration::from_millis(20));
    }
    child
}

#[test]
fn nobody_is_answered_before_the_frame_is_synced() {
    if !can_trace() {
        eprintln!("left out: strace is missing or may not trace");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (data, repo, trace) = (dir.path().join("data"), dir.path().join("repo"), dir.path().join("trace"));
    assert!(Command::new("git").args(["init", "-q"]).arg(&repo).status().unwrap().success());
    let mut daemon = serve(&data, &trace);
    let mut new = Command::new(env!("CARGO_BIN_EXE_p0"));
    let made =
        new.args(["ticket", "new", "a traced one", "--data-dir"]).arg(&data).current_dir(&repo).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let id = daemon.id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    let traced = rustix::process::Pid::from_raw(children.trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(traced, rustix::process::Signal::TERM).unwrap();
    daemon.wait().unwrap();

    let text = fs::read_to_string(&trace).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let written = find(&lines, 0, &["pwrite64(", ".p0j>"]).expect("a frame is written to a segment");
    let synced = find(&lines, written, &["fdatasync(", ".p0j>"]).expect("the segment is synced");
    let durable = returned(&lines, synced, "fdatasync").expect("the sync succeeds");
    let answered = find(&lines, written, &["HTTP/1.1 200"]).expect("the caller is answered");
    assert!(durable < answered, "written {written}, durable {durable}, answered {answered}:\n{text}");
    // Nothing of sled's is synced on the way to the answer: the journal alone is the commit point.
    assert_eq!(find(&lines[written..answered], 0, &["fdatasync(", "/store/"]), None);
}
