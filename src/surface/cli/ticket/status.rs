//! `p0 ticket status`.
use super::{say::say, show};
use crate::{
    contract::{
        endpoints::{SetStatus, SetStatuses},
        tickets::{NewStatus, NewStatuses},
    },
    model::{
        command::WantedStatus,
        protocol::{Message, OwnStatus},
    },
    service::problem::{Kind, Problem},
    surface::{
        cli::{context::Context, outcome::Outcome, tickets},
        client::Client,
        ui,
    },
};

/// Set the status of a work item
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct Args {
    /// The ticket; several of one milestone are set together, all or none
    #[arg(required = true, num_args = 1.., value_name = "TICKET")]
    tickets: Vec<String>,
    /// The status
    #[arg(value_enum)]
    status: Word,
    /// Why
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
    /// The claim's token, of a worker
    #[arg(long, value_name = "T")]
    token: Option<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// A status, on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
#[clap(rename_all = "snake_case")]
enum Word {
    Open,
    #[value(alias = "in-progress")]
    InProgress,
    Done,
    Blocked,
}

/// Sets it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let ticket = args.tickets.first().map_or("", String::as_str);
    let several = args.tickets.len() > 1;
    if several && args.token.is_some() {
        let why = "a claim's token is for one ticket";
        return Err(Problem::new(Kind::Usage, why).hint("set the tickets one by one"));
    }
    let work = |client: Client| async move {
        if client.is_attempt() {
            if several {
                return Err(Problem::new(Kind::Refused, "an attempt sets the status of its own ticket alone"));
            }
            let status = match args.status {
                Word::InProgress => OwnStatus::InProgress,
                Word::Done => OwnStatus::Done,
                Word::Blocked => OwnStatus::Blocked,
                Word::Open => {
                    return Err(Problem::new(Kind::Refused, "an attempt cannot give its ticket back")
                        .hint("say in_progress, done or blocked"));
                }
            };
            let message = Message::Status { status, reason: args.reason.clone() };
            return say(&client, Some(ticket), &message, args.json).await;
        }
        let status = match args.status {
            Word::Open => WantedStatus::Open,
            Word::InProgress => WantedStatus::InProgress,
            Word::Done => WantedStatus::Done,
            Word::Blocked => WantedStatus::Blocked,
        };
        if several {
            let new = NewStatuses { tickets: args.tickets.clone(), status, reason: args.reason.clone() };
            let rows = client.post(SetStatuses::at(), &new).await?;
            return tickets::print(&rows, args.json);
        }
        let new = NewStatus { status, reason: args.reason.clone(), token: args.token.clone() };
        let ticket = client.post(SetStatus::at(ticket), &new).await?;
        if args.json {
            ui::json(&ticket)?
        } else {
            show::print(&ticket)
        }
        Ok(0)
    };
    context.ask(work).await
}
