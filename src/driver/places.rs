//! Where conversations took place. Programs tie a conversation to the folder it began in: some do not find it from
//! another one, some go on in the old folder, one hangs. So a conversation is resumed only where it was.
use super::file::{Drive, Resume};
use serde_json::{Map, Value, json};
use std::{fs, path::PathBuf};

/// Conversations that are remembered.
const REMEMBERED: usize = 100;

fn file(drive: &Drive) -> PathBuf {
    drive.home.join(".p0-sessions.json")
}

fn known(drive: &Drive) -> Map<String, Value> {
    let text = fs::read(file(drive)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Whether the conversation may be resumed in the attempt's worktree; one that nothing is known of may.
pub(super) fn is_here(drive: &Drive, resume: &Resume) -> bool {
    known(drive).get(&resume.session).is_none_or(|place| *place == json!(drive.worktree))
}

/// Remembers where the conversation `session` takes place. Only a convenience: a home that cannot be written is told
/// of by the program itself.
pub(super) fn remember(drive: &Drive, session: &str) {
    let mut places = known(drive);
    let place = json!(drive.worktree);
    if places.get(session) == Some(&place) {
        return;
    }
    places.insert(session.to_owned(), place);
    while places.len() > REMEMBERED {
        let Some(first) = places.keys().next().cloned() else { break };
        places.remove(&first);
    }
    let _ = fs::write(file(drive), Value::Object(places).to_string());
}
