//! A data directory in one file, and back.
use crate::env::TestEnvironment;
use std::{fs, path::Path};

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
