//! The log as others find it: sled alone has the whole history, and one record that cannot be followed stops nobody else.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at the first surprise and start processes"
)]

mod common;

use p0::model::record::FramePayload;
use serde_json::Value;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};
use uuid::Uuid;

const A: Uuid = Uuid::from_u128(1);
const B: Uuid = Uuid::from_u128(2);

fn p0(dir: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p0"));
    command.args(args).arg("--data-dir").arg(dir).output().unwrap()
}

fn json(dir: &Path, args: &[&str]) -> Value {
    let output = p0(dir, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// No journal, none of our own code: only sled, zstd and JSON.
#[test]
fn the_complete_history_is_in_sled_alone() {
    let dir = tempfile::tempdir().unwrap();
    let written = common::read(&common::recorded("demo"));
    common::write_log(dir.path(), &[(A, written.clone())]);
    fs::remove_dir_all(dir.path().join("journal")).unwrap();

    let db = sled::open(dir.path().join("store")).unwrap();
    let mut events = Vec::new();
    for entry in db.open_tree("blocks").unwrap().iter() {
        let (_, value) = entry.unwrap();
        // A tag, the length, and which tickets are in it: see `journal/block.rs`.
        let (head, packed) = value.split_at(1 + 4 + 64);
        assert_eq!(head[0], 3, "a block in zstd");
        let frames = zstd::decode_all(packed).unwrap();
        // A frame is a header and a body; its payload is the JSON at the end.
        let text = br#"{"v":1,"command""#;
        let starts = (0..frames.len()).filter(|at| frames[*at..].starts_with(text));
        for at in starts {
            let mut payloads = serde_json::Deserializer::from_slice(&frames[at..]).into_iter::<FramePayload>();
            events.extend(payloads.next().unwrap().unwrap().events);
        }
    }
    let wanted: Vec<_> = written.into_iter().flat_map(|p| p.events).collect();
    assert_eq!(events, wanted);
}

#[test]
fn an_event_of_a_newer_version_quarantines_its_milestone_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let mut newer = common::read(&common::recorded("stuck-then-done"));
    let last = newer.last_mut().unwrap();
    let mut event = last.events.last().unwrap().clone();
    event.kind = "ticket.teleported".into();
    last.events.push(event);
    common::write_log(dir.path(), &[(A, newer), (B, common::read(&common::recorded("demo")))]);

    let runs = json(dir.path(), &["runs", "--json"]);
    assert_eq!(runs.as_array().unwrap().len(), 3, "every run is listed");
    let status = json(dir.path(), &["status", "--json"]);
    assert_eq!(status["state"], "done", "the other milestone is read as always");
    assert_eq!(json(dir.path(), &["replay", "--json"])["divergence"], Value::Null);

    let quarantined = runs[0]["run"].as_str().unwrap();
    let replay = p0(dir.path(), &["replay", quarantined]);
    let words = String::from_utf8_lossy(&replay.stderr).into_owned();
    assert!(!replay.status.success() && words.contains("ticket.teleported"), "{words}");
    let log = p0(dir.path(), &["audit", "log", "--json"]);
    assert!(String::from_utf8_lossy(&log.stdout).contains("ticket.teleported"), "the audit log shows it as it is");
    assert!(p0(dir.path(), &["audit", "verify", "--no-blobs"]).status.success());
}
