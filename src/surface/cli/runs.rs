//! `p0 runs`.
use super::{context::Context, outcome::Outcome};
use crate::{contract::endpoints::ListRuns, surface::ui};

/// List the runs, the newest last
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let rows = context.ask(|client| async move { client.get(ListRuns::at()).await }).await?;
    if args.json {
        ui::json(&rows)?;
    } else if rows.is_empty() {
        ui::note("no runs yet; start one with `p0 run SPEC`");
    } else {
        let cells: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                vec![
                    row.run.to_string(),
                    row.milestone.clone(),
                    row.state.clone(),
                    row.started_at.format("%Y-%m-%d %H:%M").to_string(),
                    row.commit.short().to_owned(),
                    row.reason.clone().unwrap_or_else(|| row.title.clone()),
                ]
            })
            .collect();
        ui::table(&["RUN", "KEY", "STATE", "STARTED (UTC)", "COMMIT", "TITLE OR REASON"], &cells);
    }
    Ok(0)
}
