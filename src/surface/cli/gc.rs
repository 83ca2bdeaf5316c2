//! `p0 gc`.
use super::{args::Outcome, context::Context, ui};
use crate::{engine::gc::Swept, surface::api::records::GcWish};

/// Remove what nothing needs any more
///
/// Blobs that no event names, a day after they were last put. Nothing that is on record goes.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only say what would go
    #[arg(long)]
    dry_run: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Removes it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let wish = GcWish { dry_run: args.dry_run };
    let swept: Swept = context.ask(|client| async move { client.post("/api/v1/gc", &wish).await }).await?;
    if args.json {
        ui::json(&swept)?;
    } else {
        let did = if args.dry_run { "would go" } else { "removed" };
        ui::line(&format!("blobs   {} {did} ({} bytes), {} stay", swept.blobs, swept.bytes, swept.kept));
    }
    Ok(0)
}
