//! Giving room back: archiving what is long over, removing what nothing needs any more.
use super::{
    app::App,
    reply::{Answer, Failure, Input, blocking},
};
use crate::{
    effects::clock,
    engine::gc::Swept,
    journal::Compacted,
    model::{config::ARCHIVE_AFTER_DAYS, kept::Archived},
    surface::{config::files::Configs, error::Problem},
};
use axum::{Json, extract::State};
use chrono::Days;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeSet,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

/// How to clean up.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct GcWish {
    /// Only say what would go.
    #[serde(default)]
    pub(crate) dry_run: bool,
    /// Archive runs that were over for so many days, whatever their projects say.
    #[serde(default)]
    pub(crate) older_than_days: Option<u32>,
}

/// What was done, or would be.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GcDoc {
    /// What was archived.
    pub(crate) archived: Vec<Archived>,
    /// What left the journal for it.
    pub(crate) compacted: Compacted,
    /// What was removed.
    #[serde(flatten)]
    pub(crate) swept: Swept,
    /// What could not be archived or taken out of the journal, a sentence each.
    pub(crate) left: Vec<String>,
}

/// Archives what is long over, and removes what nothing needs any more. A caller that goes away does not stop it.
pub(crate) async fn gc(State(app): State<App>, Input(wish): Input<GcWish>) -> Answer<GcDoc> {
    let alone = app.collecting.clone().lock_owned().await;
    let job = tokio::spawn(async move {
        let done = collect(&app, wish).await;
        drop(alone);
        done
    });
    job.await.map_err(|e| Failure(Problem::general(&e)))?
}

async fn collect(app: &App, wish: GcWish) -> Answer<GcDoc> {
    let (configs, now) = (app.configs.clone(), clock::now());
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
    let archived = app.handle.archive(before, wish.dry_run, &app.person(), &mut left).await?;
    left.extend(std::mem::take(&mut *unarchived.lock().unwrap_or_else(PoisonError::into_inner)));
    let handle = app.handle.clone();
    let removed = blocking(move || {
        let compacted = if wish.dry_run { Compacted::default() } else { handle.compact(&mut left)? };
        Ok((compacted, handle.sweep(wish.dry_run)?, left))
    });
    let (compacted, swept, left) = removed.await?;
    Ok(Json(GcDoc { archived, compacted, swept, left }))
}

/// After how many days the runs of a project are archived; or why its configuration does not say it.
fn archive_after(configs: &Configs, project: &str) -> Result<u32, String> {
    let config = configs.load(Path::new(project)).map_err(|problem| problem.to_string())?;
    Ok(config.retention.archive_after_days.unwrap_or(ARCHIVE_AFTER_DAYS))
}
