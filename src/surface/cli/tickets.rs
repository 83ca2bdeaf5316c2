//! `p0 tickets`.
use super::{context::Context, outcome::Outcome};
use crate::{
    contract::{endpoints::ListTickets, tickets::TicketQuery},
    surface::ui,
    views::tickets::TicketDoc,
};

/// List the work items of a run's milestone
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, or the beginning of its id [default: the newest; without any run, every item]
    run: Option<String>,
    /// The items of every milestone, the newest milestones first
    #[arg(long, conflicts_with = "run")]
    all: bool,
    /// Those with this status: open, in_progress, done, blocked
    #[arg(long, value_name = "S", value_parser = ["open", "in_progress", "done", "blocked"])]
    status: Option<String>,
    /// So many at the most
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let which = TicketQuery {
        run: args.run.clone(),
        all: args.all.then(|| "true".to_owned()),
        status: args.status.clone(),
        limit: args.limit,
    };
    let rows = context.ask(|client| async move { client.get(ListTickets::at().query(&which)).await }).await?;
    print(&rows, args.json)
}

/// Prints items.
pub(super) fn print(rows: &[TicketDoc], json: bool) -> Outcome {
    if json {
        ui::json(&rows)?;
    } else if rows.is_empty() {
        ui::note("no tickets");
    } else {
        let cells: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let note = row.blocked_reason.as_deref().or(row.deferred.as_deref());
                let note = note.map(|note| format!(" ({note})")).unwrap_or_default();
                vec![
                    row.id.to_string(),
                    word(&row.kind),
                    row.status.clone(),
                    word(&row.priority),
                    row.depends_on.iter().map(ToString::to_string).collect::<Vec<_>>().join(","),
                    crate::views::timeline::one_line(&format!("{}{note}", row.title)),
                ]
            })
            .collect();
        ui::table(&["TICKET", "KIND", "STATUS", "PRIORITY", "AFTER", "TITLE"], &cells);
    }
    Ok(0)
}

/// A unit variant as its word in JSON.
pub(super) fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}
