//! `p0 approvals`, `p0 approve`, `p0 reject` and `p0 answer`.
use super::{args::Outcome, context::Context, ui};
use crate::{
    surface::{
        api::approvals::{Reason, Words},
        client::{Client, query, quoted},
        error::{Kind, Problem},
    },
    views::{approvals::ApprovalDoc, retrying::Retrying, tickets::TicketFull, timeline::one_line},
};

/// List what attempts ask a person, the oldest first
#[derive(Debug, clap::Args)]
pub(super) struct ListArgs {
    /// Those of this run
    #[arg(long, value_name = "R")]
    run: Option<String>,
    /// Those that are answered as well
    #[arg(long)]
    all: bool,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Lists them.
pub(super) async fn list(args: &ListArgs, context: &Context) -> Outcome {
    let all = args.all.then_some("true");
    let path = format!("/api/v1/approvals{}", query([("run", args.run.as_deref()), ("all", all)]));
    let asked = context.ask(|client| async move {
        let rows = client.get::<Vec<ApprovalDoc>>(&path).await?;
        Ok((rows, client.get::<Vec<Retrying>>("/api/v1/retrying").await?))
    });
    let (rows, retrying) = asked.await?;
    if !args.json {
        retrying.iter().for_each(|it| ui::note(&format!("retrying: {}", it.line())));
    }
    if args.json {
        ui::json(&rows)?;
    } else if rows.is_empty() {
        ui::note("nothing waits for an answer; a ticket that needs input is in `p0 status`");
    } else {
        let cells: Vec<Vec<String>> = rows
            .iter()
            .map(|row| {
                let ticket = row.ticket.as_ref().map(ToString::to_string).unwrap_or_default();
                vec![row.id.to_string(), row.state.clone(), ticket, one_line(&row.tool), one_line(&row.target)]
            })
            .collect();
        ui::table(&["ID", "STATE", "TICKET", "TOOL", "TARGET"], &cells);
    }
    Ok(0)
}

/// The arguments of both.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The question, as `p0 approvals` lists it
    id: String,
    /// Why, for the agent and the log
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Says yes or no.
pub(super) async fn decide(args: &Args, context: &Context, verb: &str) -> Outcome {
    let path = format!("/api/v1/approvals/{}/{verb}", quoted(&args.id));
    let reason = Reason { why: args.reason.clone() };
    let answered = context.ask(|client| async move { client.post::<ApprovalDoc>(&path, &reason).await }).await?;
    print(&answered, args.json)
}

/// Answer a ticket that needs input, or a question with yes or no
#[derive(Debug, clap::Args)]
pub(super) struct AnswerArgs {
    /// The ticket, or the question
    id: String,
    /// The words; for a question they begin with yes or no
    #[arg(required = true, num_args = 1..)]
    text: Vec<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What an answer came to.
pub(crate) enum Answered {
    /// Of a question of an attempt.
    Approval(ApprovalDoc),
    /// Of a ticket, which is open again.
    Ticket(TicketFull),
}

/// Answers it.
pub(super) async fn answer(args: AnswerArgs, context: &Context) -> Outcome {
    let text = args.text.join(" ");
    let answered = context.ask(|client| async move { give(&client, &args.id, &text).await }).await?;
    match answered {
        Answered::Approval(approval) => print(&approval, args.json),
        Answered::Ticket(ticket) => {
            if args.json {
                ui::json(&ticket)?;
            } else {
                ui::line(&format!("{} is {}; the next round has the answer", ticket.row.id, ticket.row.status));
            }
            Ok(0)
        }
    }
}

/// Gives an answer to whatever has this id.
pub(crate) async fn give(client: &Client, id: &str, text: &str) -> Result<Answered, Problem> {
    if !is_approval(id) {
        let path = format!("/api/v1/tickets/{}/answer", quoted(id));
        return Ok(Answered::Ticket(client.post(&path, &Words { text: text.to_owned() }).await?));
    }
    let (first, rest) = text.trim().split_once(|c: char| !c.is_alphanumeric()).unwrap_or((text.trim(), ""));
    let verb = match first.to_lowercase().as_str() {
        "yes" | "y" | "allow" | "approve" | "ok" => "approve",
        "no" | "n" | "deny" | "reject" => "reject",
        _ => {
            return Err(Problem::new(Kind::Usage, format!("{id} asks for yes or no"))
                .hint("begin the answer with yes or no; the rest is the reason"));
        }
    };
    let reason = Reason { why: Some(rest.trim().to_owned()).filter(|reason| !reason.is_empty()) };
    let path = format!("/api/v1/approvals/{}/{verb}", quoted(id));
    Ok(Answered::Approval(client.post(&path, &reason).await?))
}

/// Whether an id is one of a question (`BLOG-A1`); those of tickets end in numbers.
fn is_approval(id: &str) -> bool {
    id.to_uppercase().rsplit_once("-A").is_some_and(|(key, number)| !key.is_empty() && number.parse::<u64>().is_ok())
}

fn print(answered: &ApprovalDoc, json: bool) -> Outcome {
    if json {
        ui::json(answered)?;
    } else {
        ui::line(&format!("{} is {}", answered.id, answered.state));
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_told_from_tickets() {
        assert!(is_approval("BLOG-A1") && is_approval("blog-a12") && is_approval("A-A1"));
        assert!(!is_approval("BLOG-1") && !is_approval("A-1") && !is_approval("BLOG-2.1") && !is_approval("-A1"));
    }
}
