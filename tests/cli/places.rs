//! Odd places: each is refused at once, in words, with what to do; nothing waits.
use crate::env::{TestEnvironment, p0_path};
use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
    path::Path,
};

#[track_caller]
fn told(t: &TestEnvironment, args: &[&str], code: i32, words: &[&str]) {
    let output = t.p0(args).expect(code);
    for word in words {
        assert!(output.err.contains(word), "{word} is not in {output:?}");
    }
    assert_eq!(output.out, "");
}

fn pipe(path: &Path) {
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
}

#[test]
fn a_repository_whose_path_lines_cannot_hold() {
    for name in [&b"re\npo"[..], b"re\xffpo", b"re\tpo"] {
        let t = TestEnvironment::new();
        let odd = t.dir.join(OsStr::from_bytes(name));
        fs::rename(&t.repo, &odd).unwrap();
        symlink(&odd, &t.repo).unwrap();
        told(&t, &["run", &t.spec_path()], 3, &["the path of the repository", "rename that folder"]);
        told(&t, &["ticket", "new", "--title", "t"], 3, &["the path of the repository"]);
        assert!(!t.data.join("journal").exists() || t.events("run.started").is_empty());
    }
}

#[test]
fn a_data_directory_that_cannot_be_one() {
    let t = TestEnvironment::new();
    let at = |name: &str| t.dir.join(name).display().to_string();
    fs::write(at("file"), "").unwrap();
    symlink(at("nowhere"), at("link")).unwrap();
    for (dir, words) in [
        (at("file"), "is not a folder"),
        (at("file/below"), "is not a folder"),
        (at("link"), "which is not there"),
        ("/dev/null".to_owned(), "is not a folder"),
        (at("line\nfeed"), "line break"),
    ] {
        for command in [&["run", &t.spec_path()][..], &["status"], &["audit", "verify"]] {
            told(&t, &[&["--data-dir", &dir], command].concat(), 3, &[words, "--data-dir"]);
        }
    }
    let daemon = t.start_program(env!("CARGO_BIN_EXE_p0d"), &["--data-dir", &at("file")]).wait().expect(3);
    assert!(daemon.err.contains("is not a folder"), "{daemon:?}");
}

#[test]
fn what_is_no_file_is_not_waited_for() {
    let config = |t: &TestEnvironment| t.repo.join(".p0/config.toml");
    type Make = fn(&Path);
    let kinds: [(&str, Make); 4] = [
        ("a named pipe", |path| pipe(path)),
        ("a folder", |path| fs::create_dir(path).unwrap()),
        ("a device", |path| symlink("/dev/zero", path).unwrap()),
        ("No such file", |path| symlink("nowhere", path).unwrap()),
    ];
    for (what, make) in kinds {
        let t = TestEnvironment::new();
        fs::remove_file(config(&t)).unwrap();
        make(&config(&t));
        told(&t, &["run", &t.spec_path()], 3, &["config.toml", what]);

        let t = TestEnvironment::new();
        fs::create_dir_all(t.repo.join(".p0/roles")).unwrap();
        make(&t.repo.join(".p0/roles/executor.md"));
        told(&t, &["run", &t.spec_path()], 3, &["executor.md", what]);

        let t = TestEnvironment::new();
        fs::remove_file(t.spec_path()).unwrap();
        make(Path::new(&t.spec_path()));
        let code = if what == "No such file" { 4 } else { 3 };
        told(&t, &["run", &t.spec_path()], code, &["spec.md", what]);

        let t = TestEnvironment::new();
        let file = t.dir.join("p0d.toml");
        make(&file);
        let daemon = t.start_program(env!("CARGO_BIN_EXE_p0d"), &["--config", file.to_str().unwrap()]).wait().expect(3);
        assert!(daemon.err.contains(what), "{daemon:?}");
    }
    let t = TestEnvironment::new();
    fs::remove_file(config(&t)).unwrap();
    let _socket = UnixListener::bind(config(&t)).unwrap();
    told(&t, &["run", &t.spec_path()], 3, &["config.toml", "a socket"]);
}

#[test]
fn a_spec_that_a_command_hands_over_is_read() {
    let t = TestEnvironment::new();
    let line = format!("{} run --json <(cat {})", p0_path(), t.spec_path());
    let output = t.start_program("bash", &["-c", &line]).wait().expect(0);
    assert_eq!(output.json()["state"], "done");
}

#[test]
fn too_few_open_files_are_told_at_the_start() {
    let t = TestEnvironment::new();
    let run = |limit: &str| {
        let line = format!("ulimit {limit} || exit 99; exec {} run {}", p0_path(), t.spec_path());
        t.start_program("bash", &["-c", &line]).wait()
    };
    let refused = run("-n 40").expect(3);
    for word in ["RLIMIT_NOFILE", "only 40 files", "ulimit -n"] {
        assert!(refused.err.contains(word), "{refused:?}");
    }
    // A soft limit alone is raised.
    run("-Sn 40").expect(0);
}

#[test]
fn as_few_open_files_as_are_asked_for_are_enough() {
    let t = TestEnvironment::new();
    let line = format!("ulimit -n 128; exec {} run {}", p0_path(), t.spec_path());
    t.start_program("bash", &["-c", &line]).wait().expect(0);
}
