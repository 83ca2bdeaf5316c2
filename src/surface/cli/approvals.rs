//! `p0 approvals`, `p0 approve`, `p0 reject` and `p0 answer`.
use super::{context::Context, outcome::Outcome};
use crate::{
    contract::{
        approvals::{ApprovalQuery, ApprovalReason},
        endpoint::{Call, Endpoint},
        endpoints::{Approve, ListApprovals, ListRetrying, Reject},
    },
    surface::{
        answering::{self, Answered},
        ui,
    },
    views::{approvals::ApprovalDoc, timeline::one_line},
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
    let which = ApprovalQuery { run: args.run.clone(), all: args.all.then(|| "true".to_owned()) };
    let asked = context.ask(|client| async move {
        let rows = client.get(ListApprovals::at().query(&which)).await?;
        Ok((rows, client.get(ListRetrying::at()).await?))
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

/// Allows it.
pub(super) async fn approve(args: &Args, context: &Context) -> Outcome {
    decide(args, context, Approve::at(&args.id)).await
}

/// Denies it.
pub(super) async fn reject(args: &Args, context: &Context) -> Outcome {
    decide(args, context, Reject::at(&args.id)).await
}

async fn decide<E>(args: &Args, context: &Context, call: Call<E>) -> Outcome
where
    E: Endpoint<Body = ApprovalReason, Answer = ApprovalDoc>,
{
    let reason = ApprovalReason { why: args.reason.clone() };
    let answered = context.ask(|client| async move { client.post(call, &reason).await }).await?;
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

/// Answers it.
pub(super) async fn answer(args: AnswerArgs, context: &Context) -> Outcome {
    let text = args.text.join(" ");
    let answered = context.ask(|client| async move { answering::give(&client, &args.id, &text).await }).await?;
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

fn print(answered: &ApprovalDoc, json: bool) -> Outcome {
    if json {
        ui::json(answered)?;
    } else {
        ui::line(&format!("{} is {}", answered.id, answered.state));
    }
    Ok(0)
}
