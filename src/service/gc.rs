//! Giving room back: archiving what is long over, removing what nothing needs any more.
use super::{app::Service, background::blocking, config::files::Configs, principal::Principal, problem::Problem};
use crate::{
    contract::gc::{CompactedDoc, GcDoc, GcRequest, SweptDoc},
    engine::gc::Swept,
    journal::Compacted,
    model::config::ARCHIVE_AFTER_DAYS,
    system::clock,
};
use chrono::Days;
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

impl Service {
    /// Archives what is long over, and removes what nothing needs any more. A caller that goes away does not stop it.
    pub(crate) async fn gc(&self, who: Principal, wish: GcRequest) -> Result<GcDoc, Problem> {
        let service = self.clone();
        let alone = self.collecting.clone().lock_owned().await;
        let job = tokio::spawn(async move {
            let done = service.collect(&who, wish).await;
            drop(alone);
            done
        });
        job.await.map_err(|e| Problem::general(&e))?
    }

    async fn collect(&self, who: &Principal, wish: GcRequest) -> Result<GcDoc, Problem> {
        let (configs, now) = (self.configs.clone(), clock::now());
        // What is said of a project once is enough, however many milestones it has.
        let unarchived: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let told = unarchived.clone();
        let before = move |project: &str| {
            let days = wish.older_than_days.map_or_else(|| archive_after(&configs, project), Ok);
            let before = days.and_then(|days| {
                let before = now.checked_sub_days(Days::new(days.into()));
                before.ok_or_else(|| format!("{days} days are more than a calendar has; archive after fewer"))
            });
            let tell = |why| told.lock().unwrap_or_else(PoisonError::into_inner).insert(why);
            before.map_err(|why| tell(format!("nothing of {project} is archived: {why}"))).ok()
        };
        let mut left = Vec::new();
        let archived = self.handle.archive(before, wish.dry_run, &who.actor(), &mut left).await?;
        left.extend(std::mem::take(&mut *unarchived.lock().unwrap_or_else(PoisonError::into_inner)));
        let handle = self.handle.clone();
        let removed = blocking(move || {
            let compacted = if wish.dry_run { Compacted::default() } else { handle.compact(&mut left)? };
            Ok((compacted, handle.sweep(wish.dry_run)?, left))
        });
        let (compacted, swept, left) = removed.await?;
        let Compacted { segments, blocks, frames, bytes } = compacted;
        let compacted = CompactedDoc { segments, blocks, frames, bytes };
        let Swept { blobs, bytes, kept } = swept;
        Ok(GcDoc { archived, compacted, swept: SweptDoc { blobs, bytes, kept }, left })
    }
}

/// After how many days the runs of a project are archived; or why its configuration does not say it.
fn archive_after(configs: &Configs, project: &str) -> Result<u32, String> {
    let config = configs.load(Path::new(project)).map_err(|problem| problem.to_string())?;
    Ok(config.retention.archive_after_days.unwrap_or(ARCHIVE_AFTER_DAYS))
}
