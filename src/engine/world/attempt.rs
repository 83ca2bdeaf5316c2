//! Watching an attempt: "go", its lines as they come, its end.
use super::{RETRY_FIRST, RETRY_MOST, World, blocking, gate::tail, said};
use crate::{
    effects::{
        process::{self, AttemptDir, Cursor, ExitRecord, Found, SpoolLine},
        sandbox::{Redactor, read_tries},
    },
    model::{
        attempt::ExitReport,
        command::Action,
        id::{AttemptId, BlobId, MilestoneId},
        protocol::Message,
        sandbox::Redacted,
    },
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, PoisonError},
};

/// Bytes of stderr that go into the log, from its end.
const STDERR_TAIL: usize = 1000;

/// Whose lines are read.
struct Source {
    stream: MilestoneId,
    attempt: AttemptId,
    redactor: Redactor,
}

impl Source {
    /// Takes secrets out: one can be written in many ways in JSON, and a number that looks like one is none.
    fn redact(&self, value: &mut Value) {
        self.redactor.redact_json(value, &|_| true, &mut BTreeMap::new());
    }
}

impl World {
    pub(super) async fn watch(self: &Arc<Self>, stream: MilestoneId, id: AttemptId) {
        let Some(attempt) = self.state(stream).and_then(|s| s.attempts.get(&id).cloned()) else { return };
        let dir = self.attempt_dir(id);
        let go = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
        match go {
            Some(go) if attempt.stopping.is_none() && !self.is_stopping() => {
                if let Err(e) = go.go() {
                    tracing::warn!("attempt {id} could not be let go: {e}");
                }
            }
            // Dropped: the program never runs.
            Some(_) => {}
            // Adopted: it was let go by an earlier engine, or never will be.
            None => tracing::info!("adopting attempt {id}"),
        }
        let files = AttemptDir::new(&dir);
        let mut heard = said::Heard::new();
        let from = Source { stream, attempt: id, redactor: process::redactor(&dir) };
        let known = (attempt.line, attempt.part);
        let mut lines = process::follow(&files.stdout(), Cursor::default());
        loop {
            match lines.next().await {
                Ok(Some(batch)) => self.take(&from, known, &mut heard, batch).await,
                Ok(None) => break,
                Err(e) => {
                    tracing::warn!("reading the output of attempt {id}: {e}");
                    heard.broke_off(&e.to_string());
                    break;
                }
            }
        }
        let rest = heard.end(&|value| from.redact(value));
        self.say(&from, known, rest).await;
        let action = match process::wait(&dir).await {
            Ok(Found::Ended(record)) => {
                let report = self.finish(&dir, &record, heard).await;
                Action::AttemptExited { attempt: id, report: Box::new(report) }
            }
            Ok(Found::Lost { why }) => Action::AttemptLost { attempt: id, why },
            Ok(Found::NeverRan) => Action::AttemptNeverRan { attempt: id },
            unclear @ (Ok(Found::Waiting(_) | Found::Running(_)) | Err(_)) => {
                let why = unclear.map_or_else(|e| e.to_string(), |_| "its supervisor does not end".into());
                if !self.kill(id, &dir).await {
                    return;
                }
                Action::AttemptLost { attempt: id, why }
            }
        };
        self.report(stream, action).await;
    }

    /// Kills what may be alive of an attempt whose end cannot be read: "lost" means that nothing works on. Says whether
    /// it is so; not, when the engine stops first.
    async fn kill(&self, id: AttemptId, dir: &Path) -> bool {
        let mut pause = RETRY_FIRST;
        loop {
            let at = dir.to_owned();
            match blocking(move || process::kill_now(&at)).await {
                Ok(()) => return true,
                Err(why) => tracing::warn!("killing what is left of attempt {id}: {why}; trying again"),
            }
            if !self.pause(pause).await {
                return false;
            }
            pause = (pause * 2).min(RETRY_MOST);
        }
    }

    /// Reports the messages of these lines that are taken at once.
    async fn take(&self, from: &Source, known: said::Place, heard: &mut said::Heard, lines: Vec<SpoolLine>) {
        for line in lines {
            let messages = heard.take(&line, &|value| from.redact(value));
            self.say(from, known, messages).await;
        }
    }

    /// Reports messages. Those known before a crash are not sent again.
    async fn say(&self, from: &Source, known: said::Place, messages: Vec<(said::Place, Message)>) {
        for ((line, part), message) in messages.into_iter().filter(|(place, _)| *place > known) {
            let action = Action::AttemptSaid { attempt: from.attempt, line, part, message };
            self.report(from.stream, action).await;
        }
    }

    async fn finish(self: &Arc<Self>, dir: &Path, record: &ExitRecord, heard: said::Heard) -> ExitReport {
        let (world, at) = (self.clone(), dir.to_owned());
        let kept = blocking(move || world.keep(&at)).await.unwrap_or_else(|why| {
            tracing::warn!("keeping the output of an attempt: {why}");
            said::Kept::default()
        });
        said::report(record, heard, kept)
    }

    /// Keeps what a program printed, without secrets, and what it tried.
    fn keep(&self, dir: &Path) -> Result<said::Kept, String> {
        let (files, redactor) = (AttemptDir::new(dir), process::redactor(dir));
        let mut counts = process::redacted_elsewhere(dir);
        let stderr = redactor.redact(&std::fs::read(files.stderr()).unwrap_or_default(), &mut counts);
        let mut stdout = files.stdout();
        if !redactor.is_idle() && std::fs::metadata(&stdout).is_ok_and(|m| m.len() > 0) {
            stdout = process::copy_redacted(dir, &redactor, &mut counts).map_err(|e| e.to_string())?;
        }
        let transcript = if std::fs::metadata(&stdout).is_ok_and(|m| m.len() > 0) {
            let blob = self.handle.shared.blobs.put_file(&stdout).map_err(|e| e.to_string())?;
            Some(BlobId { hash: blob.hash.to_string(), size: blob.size })
        } else {
            None
        };
        Ok(said::Kept {
            transcript,
            stderr_tail: tail(&stderr, STDERR_TAIL),
            denied: read_tries(&files.denied()),
            redacted: counts.into_iter().map(|(name, times)| Redacted { name, times }).collect(),
        })
    }

    pub(super) async fn stop_attempt(&self, id: AttemptId) {
        if let Err(e) = process::stop(&self.attempt_dir(id)).await {
            tracing::warn!("stopping attempt {id}: {e}");
        }
    }
}
