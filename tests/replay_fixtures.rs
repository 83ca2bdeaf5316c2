//! Runs that older versions recorded are decided the same by this one, and a log that the rules of today would have
//! decided otherwise is named.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may stop at the first surprise and start processes"
)]

mod common;

use p0::{engine::replay::replay, model::record::FramePayload};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("replay-fixtures")
}

/// The recorded runs: name, frames as written, digest.
fn recorded() -> Vec<(String, Vec<String>, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|e| e == "jsonl") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let frames = common::recorded(&name);
            let digest = fs::read_to_string(path.with_extension("digest")).unwrap().trim().to_owned();
            found.push((name, frames, digest));
        }
    }
    found.sort();
    assert!(found.len() >= 3, "recorded runs are missing: {}", found.len());
    found
}

#[test]
fn every_recorded_run_is_decided_the_same() {
    for (name, frames, digest) in recorded() {
        let replayed = replay(common::read(&frames).into_iter().map(Ok), None).unwrap();
        assert_eq!(replayed.divergence, None, "{name}");
        assert_eq!(replayed.digest, digest, "{name}: the events add up to another state");
        assert!(replayed.events > 50, "{name} records something");
    }
}

#[test]
fn what_was_written_is_written_the_same_today() {
    for (name, frames, _) in recorded() {
        for (line, payload) in frames.iter().zip(common::read(&frames)) {
            let then: Value = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_value(payload).unwrap(), then, "{name}");
        }
    }
}

/// The first frame with an event of this kind, changed as if another rule had decided it.
fn as_another_rule_would(frames: &[String], kind: &str, change: impl Fn(&mut Value)) -> (Vec<FramePayload>, u64) {
    let mut payloads = common::read(frames);
    let event = payloads.iter_mut().flat_map(|p| &mut p.events).find(|e| e.kind == kind).unwrap();
    change(&mut event.data);
    let seq = event.seq;
    (payloads, seq)
}

#[test]
fn a_changed_rule_is_named_with_its_event() {
    let (_, frames, _) = recorded().swap_remove(0);
    let later_round = |data: &mut Value| data["round"] = Value::from(9);
    let (payloads, seq) = as_another_rule_would(&frames, "attempt.started", later_round);
    let divergence = replay(payloads.into_iter().map(Ok), None).unwrap().divergence.unwrap();
    assert_eq!(divergence.seq, seq);
    assert_eq!(divergence.recorded["data"]["round"], 9);
    assert_eq!(divergence.decided["data"]["round"], 1);
}

/// The whole way: a data directory whose log another rule has decided, looked at with the command line.
#[test]
fn p0_replay_exits_with_20_and_names_the_event() {
    let (_, frames, _) = recorded().swap_remove(0);
    let same = |_: &mut Value| {};
    let later_round = |data: &mut Value| data["round"] = Value::from(9);
    for (payloads, wanted) in [(as_another_rule_would(&frames, "attempt.started", same).0, None), {
        let (payloads, seq) = as_another_rule_would(&frames, "attempt.started", later_round);
        (payloads, Some(seq))
    }] {
        let dir = tempfile::tempdir().unwrap();
        common::write_log(dir.path(), &[(uuid::Uuid::from_u128(1), payloads)]);
        let p0 = Command::new(env!("CARGO_BIN_EXE_p0"));
        let output = { p0 }.args(["replay", "@last", "--json", "--data-dir"]).arg(dir.path()).output().unwrap();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(if wanted.is_some() { 20 } else { 0 }));
        assert_eq!(document["divergence"]["seq"].as_u64(), wanted);
        assert_eq!(document["verified"], wanted.is_none());
    }
}
