//! Whether the date of this machine can be right, and fits what is on record.
use super::check::Check;
use crate::{
    contract::{
        endpoints::{GetHead, StreamEvents},
        events::EventQuery,
    },
    engine::steps,
    model::{Time, record::Record},
    service::problem::Problem,
    surface::{cli::context::Context, client::Client},
    system::clock,
};
use chrono::TimeDelta;
use std::path::Path;

const NAME: &str = "clock";
const HINT: &str = "limits and deadlines are durations and not affected; set the date (`date`, NTP)";
/// A log is not believed to be ahead for less.
const LEAST: TimeDelta = TimeDelta::seconds(2);

/// Compares the date with what can be, and with the last entry of the log.
pub(super) async fn check(dir: &Path, context: &Context) -> Check {
    let now = clock::now();
    if let Some(why) = steps::unbelievable(now) {
        return Check::warn(NAME, why, HINT);
    }
    let shown = now.format("%Y-%m-%d %H:%M UTC");
    let last = match dir.join("journal").is_dir() {
        true => context.ask(|client| async move { last_entry(&client).await }).await.ok().flatten(),
        false => None,
    };
    match last {
        Some(last) if last - now >= LEAST => {
            let text = format!(
                "{shown}, which is behind the log: its last entry is of {}, and later ones keep that date until it is reached",
                last.format("%Y-%m-%d %H:%M:%S UTC")
            );
            Check::warn(NAME, text, HINT)
        }
        Some(_) | None => Check::ok(NAME, shown.to_string()),
    }
}

/// When the last entry of the log was made; `None` = it is empty.
async fn last_entry(client: &Client) -> Result<Option<Time>, Problem> {
    let head = client.get(GetHead::at()).await?;
    let Some(before) = head.seq.checked_sub(1) else { return Ok(None) };
    let query = EventQuery { since: Some(before.to_string()), ..EventQuery::default() };
    let mut lines = client.lines(StreamEvents::at().query(&query)).await?;
    let line = lines.next().await?;
    Ok(line.and_then(|line| serde_json::from_slice::<Record>(&line).ok()).map(|record| record.at))
}
