//! An attempt has its own socket; the main socket refuses every process that p0 started for one, whatever token it drops:
//! programs of attempts and of gates alike. The kernel tells the peer's pid, `/proc` its ancestors. Supervisors are
//! subreapers, so nobody leaves the tree by forking twice; who outlives a supervisor still carries the mark.
use crate::{
    engine::handle::Handle,
    model::{
        attempt::Phase,
        command::Action,
        id::{AttemptId, MilestoneId},
    },
    process::MARK,
    service::{
        principal::Principal,
        problem::{Kind, Problem},
    },
};
use std::{
    collections::BTreeSet,
    path::{Component, Path},
};

/// A process tree is not deeper than this; ends a walk through a tree that changes under it.
const MAX_DEPTH: usize = 256;

/// Why `pid` may not use the main socket, if it may not. The try is put on record where the attempt is known.
pub(crate) async fn refuse(handle: &Handle, pid: i32) -> Option<Problem> {
    let own = i64::from(std::process::id());
    let line = ancestors(pid);
    if line.is_empty() {
        // It connected, and is gone: whoever holds its end of the socket may be anybody, an attempt among them.
        let text = "the process that opened this connection is gone, so it cannot be told who asks";
        return Some(Problem::new(Kind::Refused, text).hint("open a connection and use it in the same process"));
    }
    let marks = foreign_marks(&line, own);
    let started_here = line.iter().skip(1).any(|(pid, _)| *pid == own);
    let known = attempt_of(handle, &line, &marks).or_else(|| gated_attempt(handle, &line, own));
    if known.is_none() && marks.is_empty() && !started_here {
        return None;
    }
    if let Some((milestone, attempt)) = known {
        let action = Action::NoteRefusedRequest {
            attempt,
            what: "the main socket".into(),
            why: "an attempt uses the socket it was given".into(),
        };
        if let Err(e) = handle.submit(milestone, Principal::Engine.actor(), action).await {
            tracing::warn!("the refused request of {attempt} could not be put on record: {e}");
        }
    } else {
        tracing::warn!("process {pid} was started by p0 and may not use the main socket");
    }
    Some(
        Problem::new(Kind::Refused, "a process of an attempt may not use the main socket")
            .hint("use the socket and the token in P0_SOCKET and P0_TOKEN"),
    )
}

/// The attempt by its supervisor or its mark. It may be alive although its run is over; its milestone is not at rest
/// then.
fn attempt_of(handle: &Handle, line: &[(i64, u64)], marks: &BTreeSet<String>) -> Option<(MilestoneId, AttemptId)> {
    // A milestone with a live attempt is not at rest, whatever became of its run.
    handle.live().into_iter().find_map(|(milestone, state)| {
        let found = state.live_attempts().find(|attempt| match &attempt.phase {
            Phase::Running { pid, start_ticks, nonce, .. } => {
                marks.contains(nonce) || line.contains(&(i64::from(*pid), *start_ticks))
            }
            Phase::Starting | Phase::Exited { .. } | Phase::Integrating { .. } | Phase::Finished { .. } => false,
        })?;
        Some((milestone, found.id))
    })
}

/// The attempt whose commit a gate judges: its supervisor is a child of this process, and its folder names the attempt.
fn gated_attempt(handle: &Handle, line: &[(i64, u64)], own: i64) -> Option<(MilestoneId, AttemptId)> {
    let at = line.iter().position(|(pid, _)| *pid == own)?;
    let (supervisor, _) = line.get(at.checked_sub(1)?)?;
    let dir = supervised_dir(*supervisor)?;
    let catalog = handle.catalog();
    Path::new(&dir).components().rev().find_map(|part| {
        let Component::Normal(name) = part else { return None };
        let attempt = AttemptId(uuid::Uuid::parse_str(name.to_str()?).ok()?);
        Some((catalog.attempt(attempt).ok()??, attempt))
    })
}

/// The folder that `pid` works in when it is, or says that it is, a supervisor.
fn supervised_dir(pid: i64) -> Option<String> {
    let said = String::from_utf8(std::fs::read(format!("/proc/{pid}/cmdline")).ok()?).ok()?;
    said.split('\0').skip_while(|word| *word != "__agent").nth(1).map(str::to_owned)
}

/// The marks in the environments of these processes, but for those that this engine and those above it carry: it may
/// itself be at work below an attempt of another engine.
fn foreign_marks(line: &[(i64, u64)], own: i64) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = line.iter().filter_map(|(pid, _)| mark(*pid)).collect();
    if !found.is_empty() {
        for (pid, _) in i32::try_from(own).map(ancestors).unwrap_or_default() {
            if let Some(ours) = mark(pid) {
                found.remove(&ours);
            }
        }
    }
    found
}

/// What `pid` was marked with when it was started. Another user's environment cannot be read, and is none of ours.
fn mark(pid: i64) -> Option<String> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value =
        environ.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(MARK.as_bytes())?.strip_prefix(b"="))?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// The process and those above it, each with its start in clock ticks since boot.
fn ancestors(pid: i32) -> Vec<(i64, u64)> {
    let mut found = Vec::new();
    let mut next = i64::from(pid);
    while next > 1 && found.len() < MAX_DEPTH {
        let Some((parent, start_ticks)) = stat(next) else { break };
        found.push((next, start_ticks));
        next = parent;
    }
    found
}

fn stat(pid: i64) -> Option<(i64, u64)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, so the fields are counted from its end.
    let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let start_ticks = fields.nth(17)?.parse().ok()?;
    Some((parent, start_ticks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_descends_from_this_process() {
        let own = std::process::id();
        #[expect(clippy::disallowed_methods, reason = "a process whose parent is known, whatever started the tests")]
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let found = ancestors(i32::try_from(child.id()).unwrap());
        drop(child.stdin.take());
        child.wait().unwrap();
        assert_eq!(found[0].0, i64::from(child.id()));
        assert_eq!(found[1].0, i64::from(own));
        assert!(found.iter().all(|(_, start)| *start > 0));
    }
}
