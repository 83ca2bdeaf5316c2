//! Gates: the configured commands, run by the engine on the exact commit that would land.
use super::{World, error::Error, retry::Then};
use crate::{
    model::{
        attempt::{Ending, Phase, Step},
        command::{Action, GateEnd, GateReport},
        id::{AttemptId, CommitId, MilestoneId, RunId},
        run::Run,
        settings::Settings,
    },
    process::{self, AgentSpec, AttemptDir, ExitRecord},
    system::shortage::Shortage,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError},
};

/// Bytes of a gate's output that go into the log, from its end.
const TAIL: usize = 2000;

impl World {
    pub(super) async fn gate(self: &Arc<Self>, stream: MilestoneId, id: AttemptId, candidate: &CommitId) {
        let Some(state) = self.state(stream) else { return };
        let Some(attempt) = state.attempts.get(&id) else { return };
        let Some(run) = state.runs.get(&attempt.run).cloned() else { return };
        let onto = match &attempt.phase {
            Phase::Integrating { step: Step::Gating { onto, .. }, .. } => onto.clone(),
            _ => return,
        };
        let project = state.milestone.as_ref().map(|m| m.project.clone()).unwrap_or_default();
        let Some(path) = self.gate_checkout(stream, &run, &project, candidate).await else { return };
        let (mut gates, mut full) = (Vec::new(), None);
        for (n, command) in run.settings.gates.iter().enumerate() {
            let dir = self.attempt_dir(id).join(format!("gate-{}", n + 1));
            let Some((mut report, for_want_of_space)) = self.one_gate(id, &dir, &path, command, &run.settings).await
            else {
                return;
            };
            full = for_want_of_space;
            if !report.passed && run.tells_trouble_from_fault() && self.may_be_trouble(&mut report, &path) {
                // Whose fault it is shows on the commit before: what it cannot start either is not this commit's.
                let Some(path) = self.gate_checkout(stream, &run, &project, &onto).await else { return };
                let dir = self.attempt_dir(id).join(format!("gate-{}-before", n + 1));
                let Some((before, _)) = self.one_gate(id, &dir, &path, command, &run.settings).await else {
                    return;
                };
                let ended = before.end.map_or(Ending::Exited { code: 0 }, |end| end.ending);
                report.end.iter_mut().for_each(|end| end.on_base = Some(ended.clone()));
            }
            let passed = report.passed;
            gates.push(report);
            if !passed {
                break;
            }
        }
        let action = Action::Gated { attempt: id, candidate: candidate.clone(), gates };
        self.report_failure(stream, action, full).await;
    }

    async fn gate_checkout(
        self: &Arc<Self>,
        stream: MilestoneId,
        run: &Run,
        project: &str,
        commit: &CommitId,
    ) -> Option<PathBuf> {
        let (project, holder, commit) = (project.to_owned(), gate_holder(run.id), commit.0.clone());
        let work = move |world: &World| {
            let repository = world.repository(&project)?;
            Ok(repository.checkout_fresh(&holder, &commit, true)?)
        };
        self.persevere(stream, run.id, "making the gates' checkout", Then::HoldUp, work).await
    }

    /// Whether a gate that did not pass may not have judged anything: its program could not be started, or a shell did not
    /// find one that it names. Notes which one is missing.
    fn may_be_trouble(&self, report: &mut GateReport, checkout: &Path) -> bool {
        let Some(end) = report.end.as_deref_mut() else { return false };
        match &end.ending {
            Ending::NotStarted { .. } => true,
            Ending::Exited { code: 126 | 127 } => {
                let path = self.options.environment.gates.iter().find(|(name, _)| name == "PATH");
                let path = path.map_or("", |(_, path)| path.as_str());
                let missing = process::not_found(&report.tail);
                end.missing = missing.filter(|name| process::on_path(name, path, checkout).is_none());
                end.missing.is_some()
            }
            Ending::Exited { .. }
            | Ending::Signaled { .. }
            | Ending::TimedOut { .. }
            | Ending::Idle { .. }
            | Ending::Stopped
            | Ending::NeverRan
            | Ending::Lost { .. } => false,
        }
    }

    /// One gate command, with the reason where it could not run for want of disk space; `None` when the engine is
    /// stopping and the outcome would be its own doing.
    async fn one_gate(
        &self,
        id: AttemptId,
        dir: &Path,
        cwd: &Path,
        command: &[String],
        settings: &Settings,
    ) -> Option<(GateReport, Option<String>)> {
        let limits = &settings.limits;
        // What an earlier engine left running is ended first; its outcome was never reported.
        if let Err(e) = process::stop(dir).await {
            tracing::debug!("no earlier gate to end: {e}");
        }
        if let Err(e) = std::fs::remove_dir_all(dir)
            && e.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!("{}: {e}", dir.display());
        }
        self.note_gate(id, Some(dir.to_owned()));
        let spec = AgentSpec {
            argv: command.to_vec(),
            cwd: cwd.to_owned(),
            env: self.options.environment.gates.iter().cloned().collect(),
            wall_limit_ms: limits.gate_timeout_s.saturating_mul(1000),
            idle_limit_ms: None,
            grace_ms: limits.grace_ms.min(1000),
            stdout_limit: limits.output_bytes,
            stderr_limit: limits.output_bytes,
            keeps_messages: false,
            nonce: uuid::Uuid::new_v4().simple().to_string(),
            // Gates are the person's own commands, and run in the person's environment.
            confine: None,
            secrets: Vec::new(),
            secret_patterns: settings.secret_patterns.clone(),
            hidden: BTreeMap::new(),
            logins: BTreeMap::new(),
        };
        let ended = process::run_to_end(&self.options.supervisor, dir, &spec, b"").await;
        self.note_gate(id, None);
        let exited = matches!(&ended, Ok(ExitRecord { ending: process::Ending::Exited { .. }, .. }));
        if self.is_stopping() && !exited {
            return None;
        }
        let mut report = self.report_of(dir, command, &ended);
        let full = match &ended {
            Ok(record) => record.for_want_of_space().map(str::to_owned),
            Err(error) => (error.shortage() == Some(Shortage::Disk)).then(|| error.to_string()),
        };
        if let Some(end) = report.end.as_deref_mut()
            && matches!(end.ending, Ending::NotStarted { .. })
            && !cwd.is_dir()
        {
            end.ending = Ending::Lost { why: format!("its checkout {} went away", cwd.display()) };
            return Some((report, None));
        }
        Some((report, full))
    }

    fn report_of(&self, dir: &Path, command: &[String], ended: &Result<ExitRecord, process::Error>) -> GateReport {
        let files = AttemptDir::new(dir);
        let read = |path: PathBuf| std::fs::read(&path).map_err(Error::at(&path));
        let printed = read(files.stdout()).and_then(|out| Ok([out, read(files.stderr())?].concat()));
        let printed = printed.map(|text| process::redactor(dir).redact(&text, &mut BTreeMap::new()));
        let (how, wall_ms) = match ended {
            Ok(record) => (super::said::ending(&record.ending).to_string(), record.wall_ms),
            Err(e) => (format!("could not be run: {e}"), 0),
        };
        let ending = ending(ended);
        let passed = ending.is_clean();
        // Also when it printed nothing: that its output is there, and empty, is known then.
        let tail = tail(printed.as_deref().unwrap_or_default(), TAIL);
        let kept = printed.and_then(|text| Ok(self.handle.put_blob(&text)?));
        if let Err(why) = &kept
            && ended.is_ok()
        {
            tracing::warn!("the output of the gate `{}` is not kept: {why}", command.join(" "));
        }
        let end = (!passed).then(|| Box::new(GateEnd::plain(ending)));
        GateReport { gate: command.to_vec(), passed, how, tail, output: kept.ok(), wall_ms, end }
    }

    fn note_gate(&self, id: AttemptId, dir: Option<PathBuf>) {
        let mut gates = self.gates.lock().unwrap_or_else(PoisonError::into_inner);
        match dir {
            Some(dir) => gates.insert(id, dir),
            None => gates.remove(&id),
        };
    }
}

/// How a gate ended, in the model's words. A supervisor that could not do its work at all is no lost process: it would be the
/// same again.
fn ending(ended: &Result<ExitRecord, process::Error>) -> Ending {
    use process::Error;
    match ended {
        Ok(record) => super::said::ending(&record.ending),
        Err(e @ (Error::Spawn { .. } | Error::Io { .. } | Error::BadSpec { .. } | Error::Unreadable { .. })) => {
            Ending::NotStarted { why: e.to_string() }
        }
        Err(Error::Lost { why, .. }) => Ending::Lost { why: why.clone() },
        Err(
            e @ (Error::AlreadyBegan { .. }
            | Error::Occupied { .. }
            | Error::NotReady { .. }
            | Error::GoneBeforeGo { .. }
            | Error::NeverRan { .. }
            | Error::StillAlive { .. }),
        ) => Ending::Lost { why: e.to_string() },
    }
}

/// The gates of a run keep one worktree as long as the run is at work, so that what git ignores there (build caches)
/// serves the next commit; tracked and untracked files are put back before every gate.
pub(super) fn gate_holder(run: RunId) -> String {
    format!("gate-{run}")
}

/// The last bytes of an output, as text, from a line's beginning where that is near.
pub(super) fn tail(bytes: &[u8], most: usize) -> String {
    let from = bytes.len().saturating_sub(most);
    let text = String::from_utf8_lossy(&bytes[from..]).into_owned();
    match text.split_once('\n') {
        Some((_, rest)) if from > 0 && !rest.is_empty() => rest.to_owned(),
        Some(_) | None => text,
    }
}
