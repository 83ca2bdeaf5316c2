//! Milestones whose record this p0 cannot follow.
use super::check::{Check, Verdict};
use crate::{
    contract::endpoints::ListQuarantined,
    service::problem::{Kind, Problem},
    surface::cli::context::Context,
};
use std::path::Path;

/// Asks the holder, or opens the log where nobody holds it.
pub(super) async fn check(dir: &Path, context: &Context) -> Check {
    if !dir.join("journal").is_dir() {
        return Check::ok("milestones", "none yet");
    }
    let asked = context.ask(|client| async move { client.get(ListQuarantined::at()).await }).await;
    match asked {
        Ok(found) => match found.as_slice() {
            [] => Check::ok("milestones", "the record of each can be followed"),
            [first, rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
                let text = format!("{} is quarantined: {}{more}", first.key, first.why);
                let hint = "all others work; a newer p0 may be able to read it, `p0 audit log` shows it as it is";
                Check::of("milestones", Verdict::Fail, Problem::new(Kind::Store, text).hint(hint))
            }
        },
        Err(problem) => Check::of("milestones", Verdict::Warn, problem),
    }
}
