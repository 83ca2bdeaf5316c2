//! Watching an attempt: "go", its lines as they come, its end.
use super::{World, blocking, error::Error, gate::tail, retry::Retry, said};
use crate::{
    git::PersonRepo,
    kernel::outstanding,
    model::{
        attempt::ExitReport,
        command::Action,
        effect::Effect,
        files::Files,
        id::{AttemptId, BlobId, MilestoneId, RunId},
        paths::PathFact,
        protocol::Message,
        sandbox::Redacted,
    },
    process::{self, AttemptDir, Cursor, ExitRecord, Found, SpoolLine},
    sandbox::{Redactor, read_tries},
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
        let (action, full) = match process::wait(&dir).await {
            Ok(Found::Ended(record)) => {
                let report = self.finish(&dir, &record, heard).await;
                let full = record.for_want_of_space().map(str::to_owned);
                (Action::AttemptExited { attempt: id, report: Box::new(report) }, full)
            }
            Ok(Found::Lost { why }) => (Action::AttemptLost { attempt: id, why }, None),
            Ok(Found::NeverRan) => (Action::AttemptNeverRan { attempt: id }, None),
            unclear @ (Ok(Found::Waiting(_) | Found::Running(_)) | Err(_)) => {
                let error = unclear.err().map(Error::from);
                if !self.kill(attempt.run, id, &dir).await {
                    return;
                }
                let why = error.as_ref().map_or_else(|| "its supervisor does not end".to_owned(), Error::to_string);
                (Action::AttemptLost { attempt: id, why }, error.and_then(|error| error.full()))
            }
        };
        self.report_failure(stream, action, full).await;
    }

    /// Kills what may be alive of an attempt whose end cannot be read: "lost" means that nothing works on. Says whether
    /// it is so; not, when the engine stops first.
    async fn kill(&self, run: RunId, id: AttemptId, dir: &Path) -> bool {
        let help = "look with `ps`: its processes may hang in the kernel, and the data directory must be writable";
        let mut retry = Retry::new(self, Some(run), &format!("killing what is left of attempt {id}"), help.to_owned());
        loop {
            let at = dir.to_owned();
            match blocking(move || process::kill_now(&at)).await {
                Ok(()) => return true,
                Err(error) => {
                    if !self.pause(retry.failed(&error)).await {
                        return false;
                    }
                }
            }
        }
    }

    /// Reports the messages of these lines that are taken at once.
    async fn take(self: &Arc<Self>, from: &Source, known: said::Place, heard: &mut said::Heard, lines: Vec<SpoolLine>) {
        for line in lines {
            let messages = heard.take(&line, &|value| from.redact(value));
            self.say(from, known, messages).await;
        }
    }

    /// Reports messages. Those known before a crash are not sent again.
    async fn say(self: &Arc<Self>, from: &Source, known: said::Place, messages: Vec<(said::Place, Message)>) {
        for ((line, part), message) in messages.into_iter().filter(|(place, _)| *place > known) {
            let paths = self.asked_paths(from, &message).await;
            let action = Action::AttemptSaid { attempt: from.attempt, line, part, message, paths };
            self.report(from.stream, action).await;
        }
    }

    /// What the tree an attempt works on has at the paths that it asks for. What cannot be looked up says nothing; the
    /// harvest looks again at what was made of it.
    async fn asked_paths(&self, from: &Source, message: &Message) -> Vec<PathFact> {
        let Message::RequestFiles { create, modify, .. } = message else { return Vec::new() };
        let files = Files { create: create.clone(), modify: modify.clone() };
        let Some(state) = self.state(from.stream) else { return Vec::new() };
        let Some(base) = state.attempts.get(&from.attempt).map(|a| a.base.clone()) else { return Vec::new() };
        let root = state.milestone.as_ref().map(|m| m.project.clone()).unwrap_or_default();
        let looked = blocking(move || PersonRepo::find(Path::new(&root))?.path_facts(&base.0, &[&files])).await;
        looked.unwrap_or_else(|why| {
            tracing::warn!("looking at the files that attempt {} asks for: {why}", from.attempt);
            Vec::new()
        })
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
    fn keep(&self, dir: &Path) -> Result<said::Kept, Error> {
        let (files, redactor) = (AttemptDir::new(dir), process::redactor(dir));
        let mut counts = process::redacted_elsewhere(dir);
        let stderr = redactor.redact(&std::fs::read(files.stderr()).unwrap_or_default(), &mut counts);
        let mut stdout = files.stdout();
        if !redactor.is_idle() && std::fs::metadata(&stdout).is_ok_and(|m| m.len() > 0) {
            stdout = process::copy_redacted(dir, &redactor, &mut counts)?;
        }
        let transcript = if std::fs::metadata(&stdout).is_ok_and(|m| m.len() > 0) {
            let blob = self.handle.shared.blobs.put_file(&stdout)?;
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

    /// Ends a program until it is ended, or until nobody wants that any more.
    pub(super) async fn stop_for_good(&self, stream: MilestoneId, id: AttemptId) {
        let Some(run) = self.state(stream).and_then(|s| Some(s.attempts.get(&id)?.run)) else { return };
        let help = "look with `ps`: its processes may hang in the kernel".to_owned();
        let mut retry = Retry::new(self, Some(run), &format!("stopping attempt {id}"), help);
        while let Err(e) = process::stop(&self.attempt_dir(id)).await {
            let effect = Effect::StopAttempt { attempt: id };
            let wanted = self.state(stream).is_some_and(|state| outstanding(&state).contains(&effect));
            if !wanted || !self.pause(retry.failed(&Error::from(e))).await {
                return;
            }
        }
    }

    pub(super) async fn stop_attempt(&self, id: AttemptId) {
        if let Err(e) = process::stop(&self.attempt_dir(id)).await {
            tracing::warn!("stopping attempt {id}: {e}");
        }
    }
}
