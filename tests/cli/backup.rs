//! A data directory in one file, and back.
use crate::env::{TestEnvironment, wait_until};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_backup_of_a_live_engine_goes_on_where_it_was() {
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'], depends_on=['a'])\n\
         def executor():\n    if title == 'b': wait_for('go')\n    own_files()",
    );
    let running = t.start_run(&["--json"]);
    t.wait_note("executor-BLOG-2-1-1");
    let file = t.dir.join("p0.backup");
    let made = t.p0(&["backup", text(&file), "--json"]).expect(0).json();
    let seq = made["seq"].as_u64().unwrap();
    assert!(made["blobs"].as_u64().unwrap() > 3, "{made}");
    let refused = t.p0(&["backup", text(&file)]).expect(6);
    assert!(refused.err.contains("--force"), "{}", refused.err);
    let held = t.p0(&["restore", text(&file)]).expect(5);
    assert!(held.err.contains("nothing was replaced"), "{}", held.err);
    running.signal("KILL");
    running.wait();
    t.go("go");

    let landed = t.events("integration.landed")[0]["data"]["commit"].clone();
    let restored = t.p0(&["restore", text(&file), "--json"]).expect(0).json();
    assert_eq!(
        (&restored["seq"], &restored["head"], &restored["blobs"]),
        (&made["seq"], &made["head"], &made["blobs"])
    );
    let kept = restored["kept"].as_str().unwrap();
    assert!(Path::new(kept).join("journal").is_dir());
    let line = format!("{seq} {}", made["head"].as_str().unwrap());
    t.p0(&["audit", "verify", "--anchor", &line]).expect(0);
    let done = t.run_json(0);
    assert_eq!(done["state"], "done");
    assert_eq!(t.events("integration.landed")[0]["data"]["commit"], landed, "what had landed is not done again");
    assert!(t.show(done["branch"].as_str().unwrap(), "b.txt").is_some());
    assert_eq!(t.p0(&["replay", "--json"]).expect(0).json()["verified"], true);
    t.log_is_whole();
}

#[test]
fn what_is_no_backup_replaces_nothing() {
    let t = TestEnvironment::new();
    t.p0(&["ticket", "new", "--title", "T"]).expect(0);
    let before = t.p0(&["audit", "log", "--json"]).expect(0).out;
    let file = t.dir.join("p0.backup");
    t.p0(&["backup", text(&file)]).expect(0);
    let whole = fs::read(&file).unwrap();
    let bad = t.dir.join("bad.backup");
    for bytes in [&b"garbage"[..], b"", &whole[..whole.len() - 40]] {
        fs::write(&bad, bytes).unwrap();
        let refused = t.p0(&["restore", text(&bad)]).expect(20);
        assert!(refused.err.contains("nothing was replaced"), "{}", refused.err);
    }
    t.p0(&["restore", text(&t.dir.join("none"))]).expect(4);
    assert_eq!(t.p0(&["audit", "log", "--json"]).expect(0).out, before);
    let other = t.dir.join("other");
    insta::assert_snapshot!(t.p0(&["--data-dir", text(&other), "restore", text(&file)]).expect(0).shown(), @"
    exit 0
    events  2 in 2 frames, 1 blobs, all as written
    head    [hash]
    ");
    let there = t.p0(&["--data-dir", text(&other), "audit", "log", "--json"]).expect(0).out;
    assert!(there.starts_with(&before), "{there}");
}

/// The engine's repository of the only project.
fn engine_repo(t: &TestEnvironment) -> PathBuf {
    fs::read_dir(t.data.join("repos")).unwrap().next().unwrap().unwrap().path().join("repo.git")
}

#[test]
fn a_backup_from_before_the_first_commit_goes_on_and_so_does_one_with_packed_refs() {
    let t = TestEnvironment::with(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'], depends_on=['a'])\n\
         def executor():\n    note('pid-' + title, str(os.getpid())); wait_for('go-' + title); own_files()",
    );
    for ticket in ["a", "b"] {
        let running = t.start_run(&["--json"]);
        t.wait_note(&format!("pid-{ticket}"));
        let pid = fs::read_to_string(t.note_path(&format!("pid-{ticket}"))).unwrap();
        if ticket == "b" {
            t.git(&["--git-dir", text(&engine_repo(&t)), "pack-refs", "--all"]);
        }
        let file = t.dir.join(format!("{ticket}.backup"));
        t.p0(&["backup", text(&file)]).expect(0);
        running.signal("KILL");
        running.wait();
        let restored = t.p0(&["restore", text(&file), "--json"]).expect(0).json();
        // Nobody would ever adopt it: its record is in the directory that was replaced.
        assert_eq!(restored["ended"].as_array().unwrap().len(), 1, "{restored}");
        wait_until("the agent of the directory before is gone", || !Path::new("/proc").join(&pid).exists());
        fs::remove_file(t.note_path(&format!("pid-{ticket}"))).unwrap();
        t.go(&format!("go-{ticket}"));
    }
    assert_eq!(t.run_json(0)["state"], "done");
    t.log_is_whole();
}

/// Changes a byte in the middle of a file.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_could_not_be_restored_is_not_backed_up() {
    let t = TestEnvironment::new();
    let run = t.run_json(0)["run"].as_str().unwrap().to_owned();
    assert_eq!(fs::metadata(&t.data).unwrap().permissions().mode() & 0o777, 0o700);
    let exported = t.dir.join("run.p0run");
    t.p0(&["audit", "export", &run, text(&exported)]).expect(0);
    assert_eq!(fs::metadata(&exported).unwrap().permissions().mode() & 0o777, 0o600);
    let other = t.dir.join("other");
    let there = |args: &[&str]| t.p0(&[&["--data-dir", text(&other)], args].concat());
    there(&["audit", "import", text(&exported)]).expect(0);
    let import = other.join(format!("imports/{run}.p0run"));

    let file = t.dir.join("good.backup");
    t.p0(&["backup", text(&t.data.join("x"))]).expect(2);
    let blob =
        fs::read_dir(t.data.join("blobs")).unwrap().map(|e| e.unwrap().path()).find(|path| !path.ends_with("tmp"));
    let blob = fs::read_dir(blob.unwrap()).unwrap().next().unwrap().unwrap().path();
    for (data, broken) in [(&t.data, &blob), (&other, &import)] {
        let p0 = |args: &[&str]| t.p0(&[&["--data-dir", text(data)], args].concat());
        p0(&["backup", text(&file), "--force"]).expect(0);
        let (good, whole) = (fs::read(&file).unwrap(), fs::read(broken).unwrap());
        for missing in [false, true] {
            if missing {
                fs::remove_file(broken).unwrap();
            } else {
                flip(broken);
            }
            let refused = p0(&["backup", text(&file), "--force"]).expect(5);
            assert!(refused.err.contains(text(broken)), "{}", refused.err);
            assert_eq!(fs::read(&file).unwrap(), good);
            if *data == other {
                let copied = t.dir.join("copied.p0run");
                assert_ne!(p0(&["audit", "export", &run, text(&copied)]).code, 0);
                assert!(!copied.exists());
            }
            fs::write(broken, &whole).unwrap();
        }
    }

    // A backup without a blob, made by a p0 that did not look: what it cannot vouch for is not restored.
    let mut tar = zstd::decode_all(fs::File::open(&file).unwrap()).unwrap();
    let at = tar.windows(8).position(|bytes| bytes == b"imports/").unwrap();
    tar[at + 512 + 100] ^= 0x10;
    let seal = tar.len() - 4 * 512;
    let hash = blake3::hash(&tar[..seal]).to_hex().to_string();
    let told = tar[seal..].windows(10).position(|bytes| bytes == b"\"blake3\":\"").unwrap();
    tar[seal + told + 10..][..64].copy_from_slice(hash.as_bytes());
    let bad = t.dir.join("bad.backup");
    fs::write(&bad, zstd::encode_all(&tar[..], 1).unwrap()).unwrap();
    let refused = there(&["restore", text(&bad)]).expect(20);
    assert!(refused.err.contains("imported run"), "{}", refused.err);
}

#[test]
fn a_link_to_the_data_directory_stays_one() {
    let t = TestEnvironment::new();
    t.p0(&["ticket", "new", "--title", "T"]).expect(0);
    let file = t.dir.join("p0.backup");
    t.p0(&["backup", text(&file)]).expect(0);
    let link = t.dir.join("link");
    std::os::unix::fs::symlink(&t.data, &link).unwrap();
    let restored = t.p0(&["--data-dir", text(&link), "restore", text(&file), "--json"]).expect(0).json();
    assert!(link.is_symlink() && !t.data.is_symlink());
    assert_eq!(restored["kept"], format!("{}.before-restore-1", text(&t.data)));
    let told = t.p0(&["--data-dir", "/proc", "restore", text(&file)]);
    assert_ne!(told.code, 0);
}
