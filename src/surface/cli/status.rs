//! `p0 status`.
use super::{context::Context, outcome::Outcome};
use crate::{
    contract::endpoints::GetRun,
    surface::ui::{self, Colour, To},
    views::{status::RunStatus, timeline::one_line},
};

/// Show how a run stands, and why what waits is waiting
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, or the beginning of its id [default: the newest]
    run: Option<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Shows it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let name = args.run.as_deref().unwrap_or("@last");
    let status = context.ask(|client| async move { client.get(GetRun::at(name)).await }).await?;
    if args.json {
        ui::json(&status)?
    } else {
        print(&status)
    }
    Ok(0)
}

/// The exit code of `p0 run` for a run in this state.
pub(super) fn exit_code(state: &str) -> u8 {
    match state {
        "done" => 0,
        "stuck" => 10,
        "failed" => 11,
        "awaiting_approval" => 12,
        "cancelled" | "paused" => 13,
        _ => 1,
    }
}

/// Prints it for people.
pub(super) fn print(status: &RunStatus) {
    let colour = match status.state.as_str() {
        "done" => Colour::Green,
        "running" => Colour::Yellow,
        _ => Colour::Red,
    };
    let reason = status.reason.as_deref().map(|r| format!(": {}", one_line(r))).unwrap_or_default();
    ui::line(&format!("run {} of {} ({})", status.run, status.milestone, status.title));
    ui::line(&format!("state      {}{reason}", ui::paint(To::Out, colour, &status.state)));
    if let Some(stage) = &status.stage {
        ui::line(&format!("at         iteration {}, stage {stage}", status.iteration));
    }
    let commit = status.commit.as_ref().unwrap_or(&status.base).short().to_owned();
    ui::line(&format!("branch     {} at {commit}", status.branch));
    let tickets = &status.tickets;
    ui::line(&format!(
        "tickets    {} open, {} in progress, {} done, {} blocked",
        tickets.open, tickets.in_progress, tickets.done, tickets.blocked
    ));
    ui::line(&format!(
        "attempts   {} ({} live), {} merge conflicts, {} ownership violations",
        status.attempts, status.attempts_live, status.merge_conflicts, status.ownership_violations
    ));
    let time = &status.time;
    ui::line(&format!(
        "time       {:.1} s, agents {:.1} s, integration {:.1} s, speedup {:.1}",
        time.wall_s, time.agent_s, time.integration_s, time.speedup
    ));
    let usage = &status.usage;
    if usage.input_tokens + usage.output_tokens > 0 || usage.cost_usd > 0.0 {
        ui::line(&format!(
            "usage      {} + {} tokens, ${:.2}",
            usage.input_tokens, usage.output_tokens, usage.cost_usd
        ));
    }
    for waiting in &status.waiting {
        ui::line(&format!("waiting    {}: {}", waiting.ticket, one_line(&waiting.why)));
    }
    for retrying in &status.retrying {
        ui::line(&format!("{}   {}", ui::paint(To::Out, Colour::Red, "retrying"), retrying.line()));
    }
    for asked in &status.approvals {
        let what = format!("{} wants to use {} on {}", asked.attempt, one_line(&asked.tool), one_line(&asked.target));
        ui::line(&format!("asks       {}: {what}; `p0 approve {0}` or `p0 reject {0}`", asked.id));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_their_fixed_exit_codes() {
        let states = ["done", "stuck", "failed", "awaiting_approval", "cancelled", "paused"];
        assert_eq!(states.map(exit_code), [0, 10, 11, 12, 13, 13]);
    }
}
