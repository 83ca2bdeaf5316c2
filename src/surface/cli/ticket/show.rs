//! `p0 ticket show`.
use crate::{
    contract::endpoints::GetTicket,
    model::ticket::Criterion,
    surface::{
        cli::{context::Context, outcome::Outcome, tickets::word},
        ui,
    },
    views::{tickets::TicketFull, timeline::one_line},
};

/// Show a work item with everything about it
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct Args {
    /// The ticket
    ticket: String,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Shows it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let ticket = context.ask(|client| async move { client.get(GetTicket::at(&args.ticket)).await }).await?;
    if args.json {
        ui::json(&ticket)?
    } else {
        print(&ticket)
    }
    Ok(0)
}

/// Prints it for people.
pub(super) fn print(ticket: &TicketFull) {
    let row = &ticket.row;
    let say = |name: &str, text: &str| {
        if !text.is_empty() {
            ui::line(&format!("{name:<10} {}", one_line(text)));
        }
    };
    let join = |ids: &[crate::model::id::TicketId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    ui::line(&format!("{}  {}", row.id, one_line(&row.title)));
    say("kind", &word(&row.kind));
    say("status", &row.status);
    say("blocked", row.blocked_reason.as_deref().unwrap_or_default());
    say("put off", row.deferred.as_deref().unwrap_or_default());
    say("waiting", ticket.waiting.as_deref().unwrap_or_default());
    say("priority", &word(&row.priority));
    say("part of", &row.parent.as_ref().map(ToString::to_string).unwrap_or_default());
    say("parts", &join(&ticket.subtasks));
    say("after", &join(&row.depends_on));
    say("closes", &join(&ticket.closes));
    say("create", &row.files.create.join(", "));
    say("modify", &row.files.modify.join(", "));
    if let Some(claim) = &ticket.claim {
        say("claim", &format!("{} {}", claim.holder, claim.name));
    }
    say("commit", row.commit.as_ref().map(|c| c.0.as_str()).unwrap_or_default());
    for attempt in &row.attempts {
        let outcome = attempt.outcome.as_deref().unwrap_or(&attempt.phase);
        say("attempt", &format!("{} round {} {} ({outcome})", attempt.id, attempt.round, attempt.agent));
    }
    for reason in &ticket.feedback {
        say("refused", reason);
    }
    for criterion in ticket.contract.iter().flat_map(|c| &c.acceptance_criteria) {
        match criterion {
            Criterion::Text(text) | Criterion::Checked { text, .. } => say("accept", text),
        }
    }
    for comment in &row.comments {
        say("comment", &format!("{}: {}", comment.actor, comment.text));
    }
    if !row.body.trim().is_empty() {
        ui::line("");
        // A body is Markdown of an agent: its lines are kept, its control characters are not.
        for line in row.body.lines() {
            ui::line(&one_line(line));
        }
    }
}
