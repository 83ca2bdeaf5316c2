//! `p0 run --detach`.
use super::outcome::Outcome;
use crate::{
    contract::{
        endpoints::GetRun,
        runs::{BegunHow, RunRequest},
    },
    surface::{handover::hand_over, ui},
};
use std::path::Path;

/// Hands the run over and says so.
pub(super) async fn run(data_dir: &Path, wanted: &RunRequest, json: bool) -> Outcome {
    let (client, begun) = hand_over(data_dir, wanted).await?;
    match begun.how {
        BegunHow::Started => {
            ui::note(&format!("{} does the work; follow it with `p0 status {}`", begun.holder, begun.run))
        }
        BegunHow::Attached => ui::note("the spec has an unfinished run; it goes on"),
        BegunHow::AlreadyDone => ui::note("the spec is done already, by this run"),
    }
    for text in [begun.of_the_earlier(), begun.left_out(wanted)].into_iter().flatten() {
        ui::note(&text);
    }
    if json {
        let status = client.document(GetRun::at(begun.run)).await?;
        ui::json(&status)?;
    } else {
        ui::line(&begun.run.to_string());
    }
    Ok(0)
}
