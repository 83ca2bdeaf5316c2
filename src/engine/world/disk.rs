//! Room on the disk: one attempt must not take it from the others.
//!
//! While programs run, the room on the data directory's file system is looked at. When less than the reserve is left,
//! the attempt that wrote most since it began is ended, if what attempts wrote explains where the room went; the log says
//! so, and its next round is told. So that the engine can go on until then, it keeps room in a file (`reserve`) and gives
//! it back at that moment. A disk that others filled stops the engine, as before.
use super::{RETRY_FIRST, World, error::Error};
use crate::{
    engine::handle::SubmitError,
    git::ProjectRepository,
    model::{
        actor::Actor,
        aggregate::Aggregate,
        attempt::{Attempt, DiskUse, Ending, Phase, Worktree},
        command::Action,
        id::{AttemptId, MilestoneId},
    },
    process::{self, AttemptDir, remove_tree},
    system::{
        clock,
        space::{Free, remove_larger, written_since},
    },
};
use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

/// Bytes in a MiB.
const MIB: u64 = 1024 * 1024;
/// Fewer files and folders left than this is no room either.
const FEW_FILES: u64 = 1000;
/// Bytes that are written in a millisecond at the most: it decides when the disk is looked at again.
const FASTEST_PER_MS: u64 = 4 * MIB;
/// How long until then at least, and at the most.
const LOOK_LEAST: Duration = Duration::from_millis(50);
const LOOK_MOST: Duration = Duration::from_secs(2);
/// How long the end of an attempt, and clearing what it left, may take before another one is looked for.
const CLEARING: Duration = Duration::from_secs(60);
/// How often the end of an attempt is put on record anew while there is no room for that.
const TRIES: u32 = 50;
/// A file that such an attempt wrote and that is larger is not kept, in bytes.
const LARGE_BYTES: u64 = 32 * MIB;
/// What such an attempt wrote in its worktree is kept up to so much.
const KEPT: DiskUse = DiskUse { bytes: 64 * MIB, files: 20_000 };

/// What is known of the disk since programs run.
#[derive(Debug, Default)]
pub(super) struct Disk {
    /// The most room there was.
    most: Option<Free>,
    /// The attempt that was ended last, and when.
    ended: Option<(AttemptId, Instant)>,
    /// That others took the room was said.
    told: bool,
}

/// What becomes of a report about a disk without room.
pub(super) enum NoRoom {
    /// The engine stops.
    Stop,
    /// What was tried is tried again: there will be room.
    Again,
    /// It is reported as it is: it is over, and through no fault of its own.
    Report,
}

/// An attempt, and what it wrote.
struct Writer {
    stream: MilestoneId,
    attempt: Arc<Attempt>,
    written: DiskUse,
}

impl World {
    /// Looks at the disk as long as programs run.
    pub(in crate::engine) async fn watch_disk(self: Arc<Self>) {
        let mut programs = self.programs.subscribe();
        loop {
            if programs.wait_for(|running| *running > 0).await.is_err() {
                return;
            }
            let pause = self.look_at_disk().await;
            tokio::time::sleep(pause).await;
            if *programs.borrow() == 0 {
                *self.disk.lock().await = Disk::default();
            }
        }
    }

    /// Looks once; the answer is when to look again.
    async fn look_at_disk(self: &Arc<Self>) -> Duration {
        let reserve = self.reserve_bytes();
        if reserve == 0 {
            return LOOK_MOST;
        }
        let mut disk = self.disk.lock().await;
        let Some(free) = self.free().await else { return LOOK_MOST };
        disk.see(free);
        if is_low(free, reserve) {
            self.relieve(&mut disk, free, reserve).await;
            return LOOK_LEAST * 4;
        }
        disk.told = false;
        if free.bytes / 2 > reserve
            && let Err(error) = self.reserve.keep(reserve)
        {
            tracing::debug!("no reserve of {} MiB is kept: {error}", reserve / MIB);
        }
        look_again(free, reserve)
    }

    /// What becomes of a report that says that there is no room.
    pub(super) async fn no_room(self: &Arc<Self>, action: &Action) -> NoRoom {
        if !self.make_room().await {
            return NoRoom::Stop;
        }
        match action {
            Action::AttemptLost { .. } => NoRoom::Report,
            Action::AttemptExited { report, .. } if matches!(report.ending, Ending::Lost { .. }) => NoRoom::Report,
            _ => NoRoom::Again,
        }
    }

    /// Whether there will be room again soon: an attempt took it, and is ended for that.
    pub(super) async fn make_room(self: &Arc<Self>) -> bool {
        let reserve = self.reserve_bytes();
        if reserve == 0 {
            return false;
        }
        let mut disk = self.disk.lock().await;
        match self.free().await {
            Some(free) if is_low(free, reserve) => self.relieve(&mut disk, free, reserve).await,
            // There was none a moment ago.
            Some(_) | None => disk.ended.is_some_and(|(_, at)| at.elapsed() < CLEARING),
        }
    }

    /// What is kept free, in bytes: what the runs ask for.
    fn reserve_bytes(&self) -> u64 {
        let live = self.handle.shared.live();
        let runs = live.iter().filter_map(|(_, state)| state.live_run());
        runs.map(|run| run.settings.limits.disk_reserve_mb).max().unwrap_or_default().saturating_mul(MIB)
    }

    async fn free(&self) -> Option<Free> {
        let dir = self.options.data_dir.clone();
        match tokio::task::spawn_blocking(move || Free::at(&dir)).await {
            Ok(Ok(free)) => Some(free),
            Ok(Err(error)) => {
                tracing::debug!("the disk does not say how much room it has: {error}");
                None
            }
            Err(_) => None,
        }
    }

    /// Ends the attempt that took the room; says whether there is one, or was a moment ago.
    async fn relieve(self: &Arc<Self>, disk: &mut Disk, free: Free, reserve: u64) -> bool {
        if disk.ended.is_some_and(|(id, at)| at.elapsed() < CLEARING && self.has_files(id)) {
            return true;
        }
        let world = self.clone();
        let Ok(writers) = tokio::task::spawn_blocking(move || world.writers()).await else { return false };
        let lost = disk.lost(free);
        let by_files = free.bytes >= reserve;
        let Some(writer) = filler(&writers, lost, by_files, reserve) else {
            if !std::mem::replace(&mut disk.told, true) {
                tracing::error!(
                    "the disk of {} has {} MiB left, and it is not an attempt that took the rest: free some space",
                    self.options.data_dir.display(),
                    free.bytes / MIB
                );
            }
            return false;
        };
        let id = writer.attempt.id;
        if !self.record_filler(writer).await {
            return false;
        }
        disk.ended = Some((id, clock::monotonic()));
        tracing::error!(
            "attempt {id} filled the disk: {} written, {} MiB are left; it is ended, the others go on",
            writer.written,
            free.bytes / MIB
        );
        if let Err(error) = process::stop_at_once(&self.attempt_dir(id)).await {
            tracing::warn!("ending attempt {id}: {error}");
        }
        self.reserve.release();
        true
    }

    /// Puts on record that an attempt filled the disk, with the reserve as room for that when there is no other.
    async fn record_filler(&self, writer: &Writer) -> bool {
        let action = Action::DiskFilled { attempt: writer.attempt.id, written: writer.written };
        for _ in 0..TRIES {
            match self.handle.submit(writer.stream, Actor::Engine, action.clone()).await {
                Ok(_) => return true,
                Err(SubmitError::NoRoom(why)) => {
                    if !self.reserve.release() {
                        tracing::warn!("the end of an attempt waits for room in the log: {why}");
                        tokio::time::sleep(RETRY_FIRST).await;
                    }
                }
                Err(SubmitError::Rejected(_) | SubmitError::Unredacted(_) | SubmitError::Stopped(_)) => return false,
            }
        }
        false
    }

    /// The attempts that have files, with what they wrote since they began.
    fn writers(&self) -> Vec<Writer> {
        let mut writers = Vec::new();
        for (stream, state) in self.handle.shared.live() {
            for attempt in state.live_attempts().filter(|a| a.worktree == Worktree::Held) {
                if let Some(attempt) = state.attempts.get(&attempt.id) {
                    let written = self.written(&state, attempt);
                    writers.push(Writer { stream, attempt: attempt.clone(), written });
                }
            }
        }
        writers
    }

    /// Whether what an attempt left is still to be cleared.
    fn has_files(&self, id: AttemptId) -> bool {
        let live = self.handle.shared.live();
        live.iter().any(|(_, state)| state.attempts.get(&id).is_some_and(|a| a.worktree == Worktree::Held))
    }

    fn written(&self, state: &Aggregate, attempt: &Attempt) -> DiskUse {
        let dir = self.attempt_dir(attempt.id);
        let Some(since) = AttemptDir::new(&dir).began_at() else { return DiskUse::default() };
        let mut places = vec![dir.clone()];
        places.extend(self.home_of(attempt).ok());
        places.extend(self.worktree_places(state, attempt));
        let named = places.iter().map(|place| written_since(place, since)).fold(DiskUse::default(), DiskUse::plus);
        named.plus(process::unnamed_files(&dir, &self.options.data_dir))
    }

    /// The worktree of an attempt, and what its git writes.
    fn worktree_places(&self, state: &Aggregate, attempt: &Attempt) -> Vec<PathBuf> {
        let project = state.milestone.as_ref().map(|m| m.project.clone()).unwrap_or_default();
        let holder = attempt.id.to_string();
        let Ok(repository) = self.repository(&project) else { return Vec::new() };
        let tree = repository.worktree(&holder).ok().flatten();
        let git = repository.agent_places(&holder).ok().map(|(git, _)| git);
        tree.into_iter().chain(git).collect()
    }

    /// Gives back what an attempt took that was ended for it. What it wrote in its worktree stays, to be collected, if it
    /// is not much; the answer says whether it does.
    pub(super) fn clear_filler(
        &self,
        state: &Aggregate,
        attempt: &Attempt,
        repository: &ProjectRepository,
    ) -> Result<bool, Error> {
        let dir = self.attempt_dir(attempt.id);
        let Some(since) = AttemptDir::new(&dir).began_at() else { return Ok(true) };
        if let Some(run) = state.runs.get(&attempt.run) {
            // They may have been renewed.
            self.take_back_logins(run, attempt);
        }
        let temp = dir.join("tmp");
        remove_tree(&temp).map_err(Error::at(&temp))?;
        let home = self.home_of(attempt)?;
        if exceeds(written_since(&home, since), KEPT) {
            remove_tree(&home).map_err(Error::at(&home))?;
        }
        let places = self.worktree_places(state, attempt);
        places.first().into_iter().for_each(|tree| remove_larger(tree, since, LARGE_BYTES));
        let left = places.iter().map(|place| written_since(place, since)).fold(DiskUse::default(), DiskUse::plus);
        let free = Free::at(&self.options.data_dir).map_err(Error::at(&self.options.data_dir))?;
        if !exceeds(left, KEPT) && left.bytes < free.bytes / 2 {
            return Ok(true);
        }
        tracing::error!("what attempt {} left is too much to be kept: {left} are removed", attempt.id);
        repository.checkout_fresh(&attempt.id.to_string(), &attempt.base.0, false)?;
        Ok(false)
    }
}

impl Disk {
    fn see(&mut self, free: Free) {
        let larger = |a: Option<u64>, b: Option<u64>| a.zip(b).map(|(a, b)| a.max(b)).or(b);
        self.most = Some(match self.most {
            Some(most) => Free { bytes: most.bytes.max(free.bytes), files: larger(most.files, free.files) },
            None => free,
        });
    }

    /// What went since there was most.
    fn lost(&self, free: Free) -> DiskUse {
        let most = self.most.unwrap_or(free);
        let files = most.files.zip(free.files).map_or(0, |(most, free)| most.saturating_sub(free));
        DiskUse { bytes: most.bytes.saturating_sub(free.bytes), files }
    }
}

fn exceeds(used: DiskUse, limit: DiskUse) -> bool {
    used.bytes > limit.bytes || used.files > limit.files
}

fn is_low(free: Free, reserve: u64) -> bool {
    free.bytes < reserve || free.files.is_some_and(|files| files < FEW_FILES)
}

/// When the disk could have no room at the earliest.
fn look_again(free: Free, reserve: u64) -> Duration {
    let until_low = Duration::from_millis(free.bytes.saturating_sub(reserve) / FASTEST_PER_MS);
    until_low.clamp(LOOK_LEAST, LOOK_MOST)
}

/// The attempt that took the room: the one that wrote most of those that can be ended, where attempts wrote at least half
/// of what was lost.
fn filler(writers: &[Writer], lost: DiskUse, by_files: bool, reserve: u64) -> Option<&Writer> {
    let count = |used: &DiskUse| if by_files { used.files } else { used.bytes };
    let least = if by_files { FEW_FILES } else { reserve } / 4;
    let total = writers.iter().map(|writer| count(&writer.written)).fold(0, u64::saturating_add);
    let most = writers.iter().filter(|writer| can_end(&writer.attempt)).max_by_key(|writer| count(&writer.written))?;
    (count(&most.written) >= least && total >= count(&lost) / 2).then_some(most)
}

/// Whether it can be ended for that: it runs, or ended by itself and not well.
fn can_end(attempt: &Attempt) -> bool {
    let is_due = match &attempt.phase {
        Phase::Running { .. } => true,
        Phase::Exited { report } => !report.ending.is_clean(),
        Phase::Starting | Phase::Integrating { .. } | Phase::Finished { .. } => false,
    };
    is_due && attempt.talk.filled_disk.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_samples::aggregate;

    const RESERVE: u64 = 64 * MIB;

    fn writer(mib: u64, files: u64, phase: Phase) -> Writer {
        let state = aggregate();
        let attempt = state.attempts.values().next().unwrap();
        let attempt = Arc::new(Attempt { phase, ..(**attempt).clone() });
        Writer { stream: MilestoneId::ENGINE, attempt, written: DiskUse { bytes: mib * MIB, files } }
    }

    fn runs() -> Phase {
        Phase::Running { pid: 1, start_ticks: 1, nonce: String::new(), token_hash: String::new() }
    }

    fn ended(code: i32) -> Phase {
        Phase::Exited { report: crate::model::attempt::ExitReport::silent(Ending::Exited { code }) }
    }

    fn chosen(writers: &[Writer], lost_mib: u64) -> Option<u64> {
        let lost = DiskUse { bytes: lost_mib * MIB, files: 0 };
        filler(writers, lost, false, RESERVE).map(|writer| writer.written.bytes / MIB)
    }

    #[test]
    fn the_one_that_wrote_most_is_ended_if_attempts_took_the_room() {
        let writers = [writer(10, 1, runs()), writer(500, 1, runs()), writer(90, 1, runs())];
        assert_eq!(chosen(&writers, 700), Some(500));
        assert_eq!(chosen(&writers, 0), Some(500), "after a start nobody knows how much there was");
        assert_eq!(chosen(&writers, 5_000), None, "somebody else took it");
        assert_eq!(chosen(&writers[..1], 10), None, "that is not what filled it");
        assert_eq!(chosen(&[], 0), None);
    }

    #[test]
    fn only_those_are_ended_that_are_at_work_or_failed() {
        assert_eq!(chosen(&[writer(500, 1, ended(0)), writer(90, 1, runs())], 600), Some(90));
        assert_eq!(chosen(&[writer(500, 1, ended(1)), writer(90, 1, runs())], 600), Some(500));
        let again = writer(500, 1, runs());
        let mut attempt = (*again.attempt).clone();
        attempt.talk.filled_disk = Some(again.written);
        let again = Writer { attempt: Arc::new(attempt), ..again };
        assert_eq!(chosen(&[again], 500), None);
    }

    #[test]
    fn files_can_run_out_too() {
        let free = Free { bytes: 10 * RESERVE, files: Some(3) };
        assert!(is_low(free, RESERVE) && !is_low(Free { files: None, ..free }, RESERVE));
        let writers = [writer(500, 10, runs()), writer(1, 100_000, runs())];
        let lost = DiskUse { bytes: 0, files: 100_500 };
        assert_eq!(filler(&writers, lost, true, RESERVE).map(|w| w.written.files), Some(100_000));
    }

    #[test]
    fn a_disk_is_looked_at_before_it_can_be_full() {
        let look = |mib: u64| look_again(Free { bytes: mib * MIB, files: None }, RESERVE);
        assert_eq!(look(64), LOOK_LEAST);
        assert_eq!(look(64 + 4000), Duration::from_secs(1));
        assert_eq!(look(1_000_000), LOOK_MOST);
    }

    #[test]
    fn what_was_lost_is_counted_from_the_most_there_was() {
        let mut disk = Disk::default();
        let free = |bytes, files| Free { bytes, files: Some(files) };
        assert_eq!(disk.lost(free(5, 5)), DiskUse::default());
        for seen in [free(100, 10), free(300, 5), free(200, 20)] {
            disk.see(seen);
        }
        assert_eq!(disk.lost(free(50, 2)), DiskUse { bytes: 250, files: 18 });
    }
}
