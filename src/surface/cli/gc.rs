//! `p0 gc`.
use super::{context::Context, outcome::Outcome};
use crate::{
    contract::{endpoints::CollectGarbage, gc::GcRequest},
    surface::ui,
};

/// Archive what is long over, and remove what nothing needs any more
///
/// Runs that were over for long enough (`[retention] archive_after_days` of their project) are moved out of the log into
/// one compressed file each, which `p0 replay`, `p0 audit log` and `p0 audit verify` go on reading. Blobs that no event
/// names go a day after they were last put. Nothing that is on record is lost.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Archive runs that were over for this many days, whatever their projects say
    #[arg(long, value_name = "DAYS")]
    older_than: Option<u32>,
    /// Only say what would be done
    #[arg(long)]
    dry_run: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Does it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let wish = GcRequest { dry_run: args.dry_run, older_than_days: args.older_than };
    let done = context.ask(|client| async move { client.post(CollectGarbage::at(), &wish).await }).await?;
    if args.json {
        ui::json(&done)?;
        return Ok(0);
    }
    for why in &done.left {
        ui::note(&format!("left as it was: {why}"));
    }
    let (archives, removes) = if args.dry_run { ("would be archived", "would go") } else { ("archived", "removed") };
    for archived in &done.archived {
        let runs = archived.runs.iter().map(|run| run.run.to_string()).collect::<Vec<_>>().join(", ");
        ui::line(&format!("{}   {archives}: {} events of {runs}", archived.key, archived.file.events));
    }
    let (compacted, swept) = (&done.compacted, &done.swept);
    if compacted.segments > 0 {
        let (files, bytes) = (compacted.segments, compacted.bytes);
        let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
        ui::line(&format!("log     {files} written anew, {bytes} bytes smaller"));
    }
    ui::line(&format!("blobs   {} {removes} ({} bytes), {} stay", swept.blobs, swept.bytes, swept.kept));
    Ok(0)
}
