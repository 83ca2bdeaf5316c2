//! `p0 replay`.
use super::{args::Outcome, context::Context, ui};
use crate::{
    model::record::Record,
    surface::{
        client::{query, quoted},
        error::Kind,
    },
    views::timeline,
};
use serde_json::Value;
use std::io::BufRead;

/// Rebuild a run from the log and take every decision again
///
/// Says whether the engine would decide the same today; exit code 20 when not.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, or the beginning of its id
    #[arg(default_value = "@last")]
    run: String,
    /// Only up to and with this event or moment
    #[arg(long, value_name = "SEQ|TIME")]
    until: Option<String>,
    /// Show the events one by one; on a terminal, Enter shows the next
    #[arg(long)]
    step: bool,
    /// One JSON document, with the state at the end
    #[arg(long)]
    json: bool,
}

/// Replays it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let records = (args.step && !args.json).then_some("true");
    let query = query([("until", args.until.as_deref()), ("records", records)]);
    let path = format!("/api/v1/runs/{}/replay{query}", quoted(&args.run));
    let doc = context.ask(|client| async move { client.get::<Value>(&path).await }).await?;
    let diverged = !doc["divergence"].is_null();
    if args.json {
        ui::json(&doc)?;
    } else {
        if args.step {
            step(&doc);
        }
        let text = |name: &str| doc[name].as_str().map_or_else(|| doc[name].to_string(), str::to_owned);
        ui::line(&format!("run       {}", text("run")));
        ui::line(&format!("events    {} (up to {})", text("events"), text("until")));
        ui::line(&format!("digest    {}", text("digest")));
        ui::line(if diverged { "verified  no" } else { "verified  yes: every decision is the same today" });
    }
    if diverged {
        let divergence = &doc["divergence"];
        ui::note(&format!("error: the rules of today decide otherwise at event {}", divergence["seq"]));
        ui::note(&format!("  recorded: {}", divergence["recorded"]));
        ui::note(&format!("  decided:  {}", divergence["decided"]));
        return Ok(Kind::Diverged.exit_code());
    }
    Ok(0)
}

fn step(doc: &Value) {
    let waits = ui::is_terminal(ui::To::Out) && std::io::IsTerminal::is_terminal(&std::io::stdin());
    let mut input = std::io::stdin().lock();
    for record in doc["records"].as_array().into_iter().flatten() {
        let Ok(record) = serde_json::from_value::<Record>(record.clone()) else { continue };
        ui::line(&timeline::audit_line(&record));
        if ui::gone() || (waits && input.read_line(&mut String::new()).is_err()) {
            return;
        }
    }
}
