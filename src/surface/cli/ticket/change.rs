//! `p0 ticket comment`, `files` and `depends`.
use super::{say::say, show};
use crate::{
    contract::{
        endpoint::{Call, Endpoint},
        endpoints::{AddComment, AddFiles, ChangeDepends},
        tickets::{NewComment, NewDepends},
    },
    model::{files::Files, protocol::Message},
    surface::{
        cli::{context::Context, outcome::Outcome},
        client::Client,
        ui,
    },
    views::tickets::TicketFull,
};

/// Say something about a work item
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct CommentArgs {
    /// The ticket
    ticket: String,
    /// The words
    #[arg(required = true, num_args = 1..)]
    text: Vec<String>,
    /// The claim's token, of a worker
    #[arg(long, value_name = "T")]
    token: Option<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Says it.
pub(super) async fn comment(args: CommentArgs, context: &Context) -> Outcome {
    let text = args.text.join(" ");
    let message = Message::Comment { text: text.clone() };
    let new = NewComment { text, token: args.token };
    send(context, AddComment::at(&args.ticket), &args.ticket, &new, &message, args.json).await
}

/// Add files to those a work item owns
///
/// An attempt asks for them and finds the answer in `p0 ticket show`.
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct FilesArgs {
    /// The ticket
    ticket: String,
    /// A file it will add (may be repeated; a folder ends in /)
    #[arg(long, value_name = "FILE")]
    create: Vec<String>,
    /// A file it will change (may be repeated; a folder ends in /)
    #[arg(long, value_name = "FILE", required_unless_present = "create")]
    modify: Vec<String>,
    /// Why
    #[arg(long, default_value = "", value_name = "TEXT")]
    reason: String,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Adds them.
pub(super) async fn files(args: FilesArgs, context: &Context) -> Outcome {
    let more = Files { create: args.create.clone(), modify: args.modify.clone() };
    let message = Message::RequestFiles { create: args.create, modify: args.modify, reason: args.reason };
    send(context, AddFiles::at(&args.ticket), &args.ticket, &more, &message, args.json).await
}

/// Change what a work item waits for
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct DependsArgs {
    /// The ticket
    ticket: String,
    /// Tickets to wait for
    #[arg(value_name = "ON", required_unless_present = "remove")]
    on: Vec<String>,
    /// A ticket no longer to wait for (may be repeated)
    #[arg(long, value_name = "ID")]
    remove: Vec<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// Changes it.
pub(super) async fn depends(args: DependsArgs, context: &Context) -> Outcome {
    let call = ChangeDepends::at(&args.ticket);
    let new = NewDepends { on: args.on, remove: args.remove };
    let ticket = context.ask(|client| async move { client.post(call, &new).await }).await?;
    print(&ticket, args.json)
}

async fn send<E>(
    context: &Context,
    call: Call<E>,
    ticket: &str,
    body: &E::Body,
    message: &Message,
    json: bool,
) -> Outcome
where
    E: Endpoint<Answer = TicketFull>,
{
    let work = |client: Client| async move {
        if client.is_attempt() {
            return say(&client, Some(ticket), message, json).await;
        }
        let ticket = client.post(call, body).await?;
        print(&ticket, json)
    };
    context.ask(work).await
}

fn print(ticket: &TicketFull, json: bool) -> Outcome {
    if json {
        ui::json(ticket)?
    } else {
        show::print(ticket)
    }
    Ok(0)
}
