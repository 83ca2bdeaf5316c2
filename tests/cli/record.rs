//! The log: replayed to the same state, verified frame by frame, and looked through.
use crate::env::TestEnvironment;
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// A world with one finished run of two tickets.
fn finished() -> (TestEnvironment, Value) {
    let t = TestEnvironment::with("def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'], depends_on=['a'])");
    let status = t.run_json(0);
    (t, status)
}

/// The one segment file of a journal.
fn segment(data: &Path) -> PathBuf {
    let mut files: Vec<PathBuf> = fs::read_dir(data.join("journal")).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "one segment");
    files.remove(0)
}

/// Where every frame of a segment stands: begin, end, and its first event.
fn frames(bytes: &[u8]) -> Vec<(usize, usize, u64)> {
    let mut found = Vec::new();
    let mut at = bytes.windows(4).position(|w| w == b"p0\x1cf").expect("a frame");
    while bytes.len() >= at + 80 && bytes[at..at + 4] == *b"p0\x1cf" {
        let body = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
        let first = u64::from_le_bytes(bytes[at + 80..at + 88].try_into().unwrap());
        found.push((at, at + 80 + body, first));
        at += 80 + body;
    }
    found
}

/// A copy of the journal with this done to its bytes.
fn changed(t: &TestEnvironment, change: impl FnOnce(&mut Vec<u8>, &[(usize, usize, u64)])) -> PathBuf {
    let from = segment(&t.data);
    let copy = tempfile::Builder::new().prefix("copy").tempdir_in(&t.dir).unwrap().keep();
    fs::create_dir(copy.join("journal")).unwrap();
    let mut bytes = fs::read(&from).unwrap();
    let all = frames(&bytes);
    change(&mut bytes, &all);
    fs::write(copy.join("journal").join(from.file_name().unwrap()), bytes).unwrap();
    copy
}

#[track_caller]
fn verify(t: &TestEnvironment, data: &Path, code: i32) -> Value {
    t.p0(&["audit", "verify", data.to_str().unwrap(), "--json"]).expect(code).json()
}

#[test]
fn two_replays_and_the_live_state_agree() {
    let (t, status) = finished();
    let first = t.p0(&["replay", "@last", "--json"]).expect(0).json();
    assert_eq!((&first["verified"], &first["divergence"]), (&true.into(), &Value::Null));
    assert_eq!(first["run"], status["run"]);
    let run = status["run"].as_str().unwrap();
    let second = t.p0(&["replay", run, "--json"]).expect(0).json();
    assert_eq!(first["digest"], second["digest"]);
    assert_eq!(first["digest"], t.status()["digest"]);
    assert_eq!(first["digest"], status["digest"]);
    insta::assert_snapshot!(t.p0(&["replay", &run[..13]]).expect(0).shown(), @"
    exit 0
    run       [id 1]
    events    61 (up to 61)
    digest    [hash]
    verified  yes: every decision is the same today
    --- stderr
    61 events in [n] ms, [n] events/s
    ");
}

#[test]
fn a_replay_needs_no_repository() {
    let (t, status) = finished();
    fs::remove_dir_all(&t.repo).unwrap();
    fs::create_dir(&t.repo).unwrap();
    let replay = t.p0(&["replay", "@last", "--json"]).expect(0).json();
    assert_eq!(replay["digest"], status["digest"]);
    t.p0(&["tickets"]).expect(0);
    t.p0(&["runs"]).expect(0);
    t.p0(&["logs", "BLOG-1"]).expect(0);
}

#[test]
fn until_shows_the_state_as_it_was() {
    let (t, status) = finished();
    let landed = t.events("integration.landed");
    let seq = landed[0]["seq"].as_u64().unwrap();
    let at = |until: &str| t.p0(&["replay", "@last", "--until", until, "--json"]).expect(0).json();
    let then = at(&seq.to_string());
    assert_eq!((&then["until"], &then["verified"]), (&seq.into(), &true.into()));
    assert_ne!(then["digest"], status["digest"]);
    let state = then["state"].to_string();
    assert!(!state.contains("\"done\":2") && state.contains("BLOG-2"), "{state}");
    let early = at("2");
    assert!(!early["state"].to_string().contains("BLOG-2"));
    let by_time = at(landed[0]["at"].as_str().unwrap());
    assert_ne!(by_time["digest"], status["digest"]);
    let whole = at("999999");
    assert_eq!(whole["digest"], status["digest"]);
    t.p0(&["replay", "@last", "--until", "yesterday-ish"]).expect(2);
    let steps = t.p0(&["replay", "@last", "--until", "5", "--step"]).expect(0).out;
    assert!(steps.contains("run.started"), "{steps}");
}

#[test]
fn an_untouched_log_verifies() {
    let (t, _) = finished();
    insta::assert_snapshot!(t.p0(&["audit", "verify"]).expect(0).shown(), @"
    exit 0
    frames  26
    events  61
    blobs   11
    head    [hash]
    ok      everything is as it was written
    ");
    let found = verify(&t, &t.data, 0);
    assert_eq!((&found["ok"], &found["first_bad"]), (&true.into(), &Value::Null));
    let events = t.p0(&["audit", "log", "--json"]).expect(0).lines();
    assert_eq!(found["events"], events.len());
    let seqs: Vec<u64> = events.iter().map(|e| e["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=seqs.len() as u64).collect::<Vec<_>>(), "gapless");
    for place in [t.data.join("journal"), segment(&t.data)] {
        assert_eq!(verify(&t, &place, 0)["head"], found["head"]);
    }
    let anchored = t.p0(&["audit", "verify", "--anchor", found["head"].as_str().unwrap(), "--json"]).expect(0).json();
    assert_eq!(anchored["ok"], true);
    t.p0(&["audit", "verify", "--anchor", "nonsense"]).expect(2);
}

#[test]
fn every_flip_is_named() {
    let (t, _) = finished();
    let count = frames(&fs::read(segment(&t.data)).unwrap()).len();
    for n in [0, 1, count / 2, count - 2, count - 1] {
        for part in ["length", "hash", "body"] {
            let mut expected = 0;
            let copy = changed(&t, |bytes, all| {
                let (begin, end, first) = all[n];
                let at = match part {
                    "length" => begin + 8,
                    "hash" => begin + 50,
                    _ => end - 3,
                };
                bytes[at] ^= 0x20;
                expected = first;
            });
            let found = verify(&t, &copy, 20);
            assert_eq!(
                (&found["ok"], &found["first_bad"]["seq"]),
                (&false.into(), &expected.into()),
                "{n} {part}: {found}"
            );
        }
    }
}

#[test]
fn a_dropped_frame_is_named() {
    let (t, _) = finished();
    let mut expected = 0;
    let copy = changed(&t, |bytes, all| {
        let (begin, end, first) = all[4];
        bytes.drain(begin..end);
        expected = first;
    });
    assert_eq!(verify(&t, &copy, 20)["first_bad"]["seq"], expected);
}

#[test]
fn swapped_frames_are_named() {
    let (t, _) = finished();
    let mut expected = 0;
    let copy = changed(&t, |bytes, all| {
        let ((a, b, first), (_, c, _)) = (all[3], all[4]);
        bytes[a..c].rotate_left(b - a);
        expected = first;
    });
    assert_eq!(verify(&t, &copy, 20)["first_bad"]["seq"], expected);
}

#[test]
fn a_frame_written_again_is_named() {
    let (t, _) = finished();
    let copy = changed(&t, |bytes, all| {
        let (begin, end, _) = *all.last().unwrap();
        let again = bytes[begin..end].to_vec();
        bytes.truncate(end);
        bytes.extend(again);
    });
    verify(&t, &copy, 20);
}

#[test]
fn a_cut_log_shows_by_its_anchor() {
    let (t, _) = finished();
    let head = verify(&t, &t.data, 0)["head"].as_str().unwrap().to_owned();
    let mut last = 0;
    let copy = changed(&t, |bytes, all| {
        let (begin, _, first) = *all.last().unwrap();
        bytes.truncate(begin);
        last = first;
    });
    verify(&t, &copy, 0);
    let path = copy.to_str().unwrap();
    let found = t.p0(&["audit", "verify", path, "--anchor", &head, "--json"]).expect(20).json();
    assert_eq!(found["first_bad"]["seq"], last);
    // In the middle of a frame it shows by itself.
    let copy = changed(&t, |bytes, all| bytes.truncate(all.last().unwrap().1 - 7));
    assert_eq!(verify(&t, &copy, 20)["first_bad"]["seq"], last);
    let copy = changed(&t, |bytes, _| bytes.extend([0, 0, 1]));
    verify(&t, &copy, 20);
}

#[test]
fn damage_below_the_durable_mark_stops_every_command_and_touches_nothing() {
    let (t, _) = finished();
    let file = segment(&t.data);
    let mut bytes = fs::read(&file).unwrap();
    let all = frames(&bytes);
    let (_, end, first) = all[all.len() - 4];
    bytes[end - 3] ^= 1;
    fs::write(&file, &bytes).unwrap();
    for args in [&["runs"][..], &["status"], &["audit", "log"], &["run", &t.spec_path()]] {
        let output = t.p0(args).expect(5);
        assert_eq!(output.out, "");
        assert!(output.err.contains("audit verify"), "{}", output.err);
    }
    assert_eq!(fs::read(&file).unwrap(), bytes, "nothing was repaired");
    assert_eq!(verify(&t, &t.data, 20)["first_bad"]["seq"], first);
}

/// One flipped bit at the beginning of a log whose end is whole.
#[test]
fn damage_at_the_beginning_is_found_by_verify() {
    let (t, _) = finished();
    let file = segment(&t.data);
    let mut bytes = fs::read(&file).unwrap();
    let all = frames(&bytes);
    bytes[all[1].1 - 3] ^= 1;
    fs::write(&file, &bytes).unwrap();
    assert_eq!(verify(&t, &t.data, 20)["first_bad"]["seq"], all[1].2);
    assert_eq!(t.p0(&["replay", "@last"]).code % 15, 5, "5 or 20: damage never replays as if nothing were");
}

#[test]
fn a_log_of_a_newer_version_is_not_touched() {
    let (t, _) = finished();
    let file = segment(&t.data);
    let mut bytes = fs::read(&file).unwrap();
    let (begin, end, _) = *frames(&bytes).last().unwrap();
    bytes[begin + 4] = 4;
    let mut checked = bytes[begin..begin + 12].to_vec();
    checked.extend(&bytes[begin + 16..end]);
    let crc = crc32c::crc32c(&checked).to_le_bytes();
    bytes[begin + 12..begin + 16].copy_from_slice(&crc);
    fs::write(&file, &bytes).unwrap();
    let output = t.p0(&["runs"]).expect(5);
    insta::assert_snapshot!(output.shown(), @"
    exit 5
    --- stderr
    error: [dir]/data/journal/00000000000000000001.p0j has format version [n] this p0 reads up to 3: use the p0 that wrote it, or a newer one
    hint: see what is wrong with `p0 audit verify`; nothing was changed
    ");
    insta::assert_snapshot!(t.p0(&["audit", "verify"]).expect(5).shown(), @"
    exit 5
    --- stderr
    error: [dir]/data/journal/00000000000000000001.p0j has format version [n] this p0 reads up to 3: use the p0 that wrote it, or a newer one
    ");
    assert_eq!(fs::read(&file).unwrap(), bytes);
}

#[test]
fn a_lost_store_is_made_again_from_the_journal() {
    let (t, status) = finished();
    fs::remove_dir_all(t.data.join("store")).unwrap();
    assert_eq!(t.status()["digest"], status["digest"], "read without it");
    assert_eq!(t.p0(&["replay", "@last", "--json"]).expect(0).json()["digest"], status["digest"]);
    assert!(!t.data.join("store").exists());
    t.p0(&["gc"]).expect(0);
    let store = fs::read_dir(t.data.join("store")).unwrap().map(|e| e.unwrap().path()).find(|p| p.is_file()).unwrap();
    fs::write(store, "garbage").unwrap();
    assert_eq!(t.status()["digest"], status["digest"]);
    t.p0(&["gc"]).expect(0);
    assert_eq!(t.status()["digest"], status["digest"]);
    t.log_is_whole();
}

#[test]
fn a_torn_tail_is_cut_and_recorded() {
    let (t, status) = finished();
    let file = segment(&t.data);
    let mut bytes = fs::read(&file).unwrap();
    let last = *frames(&bytes).last().unwrap();
    let torn = bytes[last.0..last.0 + 60].to_vec();
    bytes.extend(torn);
    fs::write(&file, &bytes).unwrap();
    assert_eq!(t.status()["digest"], status["digest"], "read up to it");
    assert_eq!(fs::read(&file).unwrap(), bytes);
    t.p0(&["gc"]).expect(0);
    let repaired = t.events("journal.repaired");
    let what = repaired[0]["data"]["what"].as_str().unwrap();
    assert!(repaired.len() == 1 && what.contains("cut off: 60 bytes, from byte"), "{repaired:?}");
    t.log_is_whole();
    assert_eq!(t.run(&["--json"]).expect(0).json()["run"], status["run"]);
}

#[test]
fn the_audit_log_is_filtered() {
    let (t, status) = finished();
    let log = |args: &[&str]| {
        let mut all = vec!["audit", "log", "--json"];
        all.extend(args);
        t.p0(&all).expect(0).lines()
    };
    let all = log(&[]);
    let text = |e: &Value, key: &str| e[key].as_str().unwrap_or_default().to_owned();
    let count = |keep: &dyn Fn(&Value) -> bool| all.iter().filter(|e| keep(e)).count();
    for event in &all {
        let keys: Vec<&str> = event.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["seq", "at", "run", "ticket", "attempt", "actor", "kind", "v", "data"], "the envelope");
    }
    assert_eq!(log(&["--kind", "ticket."]).len(), count(&|e| text(e, "kind").starts_with("ticket.")));
    assert_eq!(log(&["--ticket", "BLOG-2"]).len(), count(&|e| text(e, "ticket") == "BLOG-2"));
    assert_eq!(log(&["--actor", "planner"]).len(), count(&|e| text(e, "actor").starts_with("planner@")));
    assert!(!log(&["--actor", "person:ada"]).is_empty());
    assert_eq!(log(&["--run", "@last"]).len(), count(&|e| e["run"] == status["run"]));
    let some: Vec<Value> = log(&["--since", "3", "--until", "6"]).iter().map(|e| e["seq"].clone()).collect();
    assert_eq!(some, [4, 5, 6].map(|n| json!(n)));
    // As times: a whole second is written without its milliseconds.
    let time = |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap();
    let middle = text(&all[all.len() / 2], "at");
    assert_eq!(log(&["--since", &middle]).len(), count(&|e| time(&text(e, "at")) >= time(&middle)));
    assert_eq!(log(&["--until", &middle]).len(), count(&|e| time(&text(e, "at")) <= time(&middle)));
    assert_eq!(log(&["--kind", "run.done", "--ticket", "BLOG-1"]).len(), 0);
    t.p0(&["audit", "log", "--since", "gestern"]).expect(2);
    t.p0(&["audit", "log", "--run", "nope"]).expect(4);
    let landed: Vec<String> =
        all.iter().filter(|e| e["kind"] == "ticket.completed").map(|e| text(e, "ticket")).collect();
    assert_eq!(landed, ["BLOG-1", "BLOG-2"]);
}
