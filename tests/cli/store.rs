//! A data directory that is held, read-only, or full.
use crate::env::{TestEnvironment, p0_path, wait_until};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

/// Set to `1` where mounting is not allowed: the tests that need it are left out then, and only then.
const NO_MOUNTS: &str = "P0_TEST_NO_MOUNTS";

pub fn mounts_allowed() -> bool {
    std::env::var(NO_MOUNTS).is_err()
}

/// A small file system of its own.
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    pub fn at(path: &Path, mib: u32) -> Tmpfs {
        fs::create_dir_all(path).unwrap();
        let options = format!("size={mib}m,mode=0700");
        let out = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(path).output().unwrap();
        assert!(
            out.status.success(),
            "this test mounts a small tmpfs, which needs root ({}); set {NO_MOUNTS}=1 to leave it out",
            String::from_utf8_lossy(&out.stderr).trim()
        );
        Tmpfs(path.to_path_buf())
    }

    fn free_mib(&self) -> u64 {
        let out = Command::new("df").args(["-m", "--output=avail"]).arg(&self.0).output().unwrap();
        String::from_utf8_lossy(&out.stdout).lines().last().unwrap().trim().parse().unwrap()
    }

    /// Takes all but this much of what is free.
    fn fill(&self, leave_mib: u64) {
        let mut filler = fs::File::create(self.0.join("filler")).unwrap();
        while self.free_mib() > leave_mib && filler.write_all(&vec![1u8; 1 << 20]).is_ok() {}
        // The last pages, which count as less than one MiB.
        while leave_mib == 0 && filler.write_all(&[1u8; 4096]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn held_by_a_program_that_does_not_serve() {
    let t = TestEnvironment::new();
    fs::create_dir(&t.data).unwrap();
    let script = format!(
        "import fcntl, os, time\nf = open('{data}/lock', 'w')\nfcntl.flock(f, fcntl.LOCK_EX)\nf.write(str(os.getpid()) + '\\n'); f.flush()\n\
         open('{dir}/notes/held', 'w')\ntime.sleep(1000)\n",
        data = t.data.display(),
        dir = t.dir.display()
    );
    let holder = t.start_program("python3", &["-SEc", &script]);
    t.wait_note("held");
    let pid = holder.pid().to_string();
    for args in [&["gc"][..], &["run", &t.spec_path()]] {
        let begun = Instant::now();
        let output = t.p0(args).expect(5);
        assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
        assert!(output.err.contains(&format!("process {pid}")), "{}", output.err);
        assert!(output.err.contains("--data-dir"), "{}", output.err);
    }
    holder.signal("KILL");
    holder.wait();
    t.run_json(0);
}

#[test]
fn a_stale_socket_and_a_stale_lock_are_ignored() {
    let t = TestEnvironment::new();
    fs::create_dir(&t.data).unwrap();
    drop(std::os::unix::net::UnixListener::bind(t.data.join("p0.sock")).unwrap());
    fs::write(t.data.join("lock"), "1\n").unwrap();
    t.run_json(0);
}

#[test]
fn a_file_in_the_place_of_the_data_directory() {
    let t = TestEnvironment::new();
    fs::write(&t.data, "x").unwrap();
    let output = t.run(&[]).expect(3);
    assert!(output.err.contains("is not a folder") && output.err.contains("--data-dir"), "{output:?}");
    assert_eq!(fs::read_to_string(&t.data).unwrap(), "x");
}

#[test]
fn a_read_only_data_directory() {
    if !mounts_allowed() {
        return;
    }
    let t = TestEnvironment::new();
    fs::create_dir(&t.data).unwrap();
    let script =
        format!("mount -t tmpfs -o ro none '{data}' && exec '{p0}' \"$@\"", data = t.data.display(), p0 = p0_path());
    let spec = t.spec_path();
    for args in [&["run", &spec][..], &["gc"]] {
        let mut all = vec!["-m", "sh", "-c", &script, "sh"];
        all.extend(args);
        let output = t.start_program("unshare", &all).wait();
        assert!(
            !output.err.contains("unshare:"),
            "this test needs root; set {NO_MOUNTS}=1 to leave it out: {output:?}"
        );
        assert!([1, 5].contains(&output.code), "{output:?}");
        assert!(output.err.contains("[dir]") || output.err.contains("data"), "{output:?}");
        assert!(output.err.to_lowercase().contains("read-only"), "{output:?}");
        assert_eq!(output.out, "");
    }
}

#[test]
fn a_full_disk_refuses_the_run_and_goes_on_once_there_is_room() {
    if !mounts_allowed() {
        return;
    }
    let t = TestEnvironment::new();
    let disk = Tmpfs::at(&t.data, 160);
    disk.fill(2);
    let output = t.run(&[]).expect(5);
    assert!(output.err.contains("space") || output.err.contains("room") || output.err.contains("free"), "{output:?}");
    assert_eq!(output.out, "");
    disk.empty();
    t.run_json(0);
    t.log_is_whole();
}

/// The disk fills up while an agent works.
#[test]
fn a_disk_that_fills_up_midway_loses_nothing() {
    if !mounts_allowed() {
        return;
    }
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'], depends_on=['a'])\n\
         def executor(): own_files(); note('at-work-' + tid); wait_for('go-' + tid)\n",
    );
    let disk = Tmpfs::at(&t.data, 160);
    let run = t.start_run(&["--json"]);
    t.wait_note("at-work-BLOG-1");
    disk.fill(0);
    t.go("go-BLOG-1");
    t.go("go-BLOG-2");
    // What is refused is told, and the run goes on by itself once there is room.
    wait_until("it says so", || run.err_so_far().contains("waits for room in the log"));
    let refused = t.p0(&["ticket", "comment", "BLOG-1", "now?"]);
    assert!(refused.code == 5 && refused.err.contains("free some space"), "{refused:?}");
    disk.empty();
    run.wait().expect(0);
    t.nothing_is_alive();
    t.log_is_whole();
    let status = t.run_json(0);
    assert_eq!(status["tickets"]["done"], 2);
    t.log_is_whole();
    let replay = t.p0(&["replay", "@last", "--json"]).expect(0).json();
    assert_eq!(replay["digest"], status["digest"]);
}
