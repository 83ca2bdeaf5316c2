//! Starting after an earlier engine, and stopping.
use super::{RETRY_FIRST, World, blocking, error::Error, gate::gate_holder};
use crate::{
    model::{
        aggregate::Aggregate,
        attempt::Phase,
        id::{AttemptId, MilestoneId},
    },
    process,
    system::clock,
};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError},
    time::Duration,
};

/// How long the last effects may take after every program has ended.
const LAST_EFFECTS: Duration = Duration::from_secs(30);
/// How long nothing must be at work before everything counts as over.
const CALM: Duration = Duration::from_millis(100);

impl World {
    /// Ends processes that the log does not know, and re-opens the attempts' sockets of attempts that live on.
    pub(in crate::engine) async fn sweep(self: &Arc<Self>, live: &HashMap<MilestoneId, Aggregate>) {
        let attempts = || live.values().flat_map(Aggregate::live_attempts);
        let known: BTreeSet<String> = attempts().map(|a| a.id.to_string()).collect();
        match process::sweep_orphans(&self.options.data_dir.join("attempts"), &known).await {
            Ok(ended) if ended.is_empty() => {}
            Ok(ended) => tracing::warn!("ended processes of unknown attempts: {}", ended.join(", ")),
            Err(e) => tracing::warn!("looking for processes of unknown attempts: {e}"),
        }
        for attempt in attempts() {
            if let (Phase::Running { token_hash, .. }, Some(attempt_socket)) =
                (&attempt.phase, &self.options.attempt_socket)
                && let Err(e) = attempt_socket.open(attempt.id, token_hash)
            {
                tracing::warn!("the socket of attempt {} cannot be opened again: {e}", attempt.id);
            }
        }
        let projects: BTreeSet<String> =
            live.values().filter_map(|s| s.milestone.as_ref().map(|m| m.project.clone())).collect();
        let runs = live.values().filter_map(Aggregate::live_run);
        let gates: BTreeSet<String> = runs.map(|r| gate_holder(r.id)).collect();
        for project in projects {
            let (world, known) = (self.clone(), &known | &gates);
            let swept = blocking(move || world.sweep_worktrees(&project, &known));
            if let Err(why) = swept.await {
                tracing::warn!("looking for worktrees without an attempt: {why}");
            }
        }
    }

    /// Worktrees whose holder the log does not know: given back when nothing in them would be lost, kept otherwise.
    fn sweep_worktrees(&self, project: &str, known: &BTreeSet<String>) -> Result<(), Error> {
        let repository = self.repository(project)?;
        for holder in repository.holders()? {
            if known.contains(&holder) {
                continue;
            }
            if let Err(e) = repository.release(&holder, crate::git::Safe::NothingChanged) {
                tracing::warn!("a worktree of '{holder}', which is over, is kept: {e}");
            }
        }
        Ok(())
    }

    /// Starts nothing new, lets programs end until `patience` is over, ends the rest, and waits for what follows from
    /// that: collecting, parking, giving back.
    pub(in crate::engine) async fn drain(&self, patience: Duration) {
        self.stopping.send_replace(true);
        let deadline = clock::monotonic() + patience;
        if tokio::time::timeout_at(deadline.into(), self.quiet()).await.is_ok() {
            return;
        }
        let mut told: BTreeSet<AttemptId> = BTreeSet::new();
        let last = clock::monotonic() + LAST_EFFECTS;
        // Stopping takes as long as the grace of the programs; what each end leads to begins while others still end.
        while clock::monotonic() < last {
            self.stop_gates().await;
            let running: Vec<AttemptId> = self.running().into_iter().filter(|id| told.insert(*id)).collect();
            let stops = running.into_iter().map(|id| self.stop_attempt(id));
            futures_util::future::join_all(stops).await;
            if tokio::time::timeout(RETRY_FIRST, self.quiet()).await.is_ok() {
                return;
            }
        }
        tracing::warn!("not everything came to an end in time; the next start goes on");
    }

    /// Resolves when nothing is at work, and stays so for a moment: between the end of one effect and the beginning of
    /// what follows from it nothing is at work either.
    async fn quiet(&self) {
        let mut at_work = self.at_work.subscribe();
        loop {
            // The sender lives as long as this world.
            let _ = at_work.wait_for(|n| *n == 0).await;
            let calm = tokio::time::timeout(CALM, at_work.changed()).await.is_err();
            if calm && self.running().is_empty() {
                return;
            }
        }
    }

    /// Kills every program at once. What they did is collected at the next start.
    pub(in crate::engine) fn kill_everything(&self) {
        self.stopping.send_replace(true);
        let gates: Vec<_> = self.gates.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let attempts = self.running().into_iter().map(|id| self.attempt_dir(id));
        for dir in attempts.chain(gates) {
            if let Err(e) = process::kill_now(&dir) {
                tracing::warn!("killing {}: {e}", dir.display());
            }
        }
    }

    async fn stop_gates(&self) {
        let gates: Vec<_> = self.gates.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        for dir in gates {
            if let Err(e) = process::stop(&dir).await {
                tracing::debug!("stopping a gate: {e}");
            }
        }
    }

    /// Attempts whose program runs now.
    fn running(&self) -> Vec<AttemptId> {
        let live = self.handle.shared.live();
        live.into_iter()
            .flat_map(|(_, state)| {
                state
                    .live_attempts()
                    .filter(|a| matches!(a.phase, Phase::Running { .. }))
                    .map(|a| a.id)
                    .collect::<Vec<_>>()
            })
            .collect()
    }
}
