//! Giving room back: archiving what is long over, removing what nothing needs any more.
use super::{
    app::App,
    reply::{Answer, Input, blocking},
};
use crate::{
    effects::clock,
    engine::gc::Swept,
    journal::Compacted,
    model::{config::ARCHIVE_AFTER_DAYS, kept::Archived},
    surface::config::files::Configs,
};
use axum::{Json, extract::State};
use serde::{Deserialize, Serialize};
use std::{path::Path, time::Duration};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
}

/// Archives what is long over, and removes what nothing needs any more.
pub(crate) async fn gc(State(app): State<App>, Input(wish): Input<GcWish>) -> Answer<GcDoc> {
    let one_at_a_time = app.collecting.lock().await;
    let (configs, now) = (app.configs.clone(), clock::now());
    let before = move |project: &str| {
        let days = wish.older_than_days.or_else(|| archive_after(&configs, project))?;
        Some(now - DAY * days)
    };
    let archived = app.handle.archive(before, wish.dry_run, &app.person()).await?;
    let handle = app.handle.clone();
    let removed = blocking(move || {
        let compacted = if wish.dry_run { Compacted::default() } else { handle.compact()? };
        Ok((compacted, handle.sweep(wish.dry_run)?))
    });
    let (compacted, swept) = removed.await?;
    drop(one_at_a_time);
    Ok(Json(GcDoc { archived, compacted, swept }))
}

/// After how many days the runs of a project are archived; none where its configuration cannot be read.
fn archive_after(configs: &Configs, project: &str) -> Option<u32> {
    match configs.load(Path::new(project)) {
        Ok(config) => Some(config.retention.archive_after_days.unwrap_or(ARCHIVE_AFTER_DAYS)),
        Err(problem) => {
            tracing::warn!("nothing of {project} is archived: {problem}");
            None
        }
    }
}
