//! `p0 ticket new`.
use super::say::say;
use crate::{
    contract::{endpoints::CreateTicket, tickets::NewTicket},
    model::{
        files::Files,
        protocol::{Message, Proposal},
        ticket::Priority,
    },
    service::config::env,
    surface::{
        cli::{context::Context, outcome::Outcome},
        client::Client,
        ui,
    },
};

/// Make a work item
///
/// Without --milestone or --parent it belongs to the newest milestone of the repository; a tracker is opened for a
/// repository that has none.
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct Args {
    /// One line
    #[arg(long)]
    title: String,
    /// The rest, Markdown
    #[arg(long)]
    body: Option<String>,
    /// How much it matters
    #[arg(long, value_enum)]
    priority: Option<Urgency>,
    /// A file it will add (may be repeated; a folder ends in /)
    #[arg(long, value_name = "FILE")]
    create: Vec<String>,
    /// A file it will change (may be repeated; a folder ends in /)
    #[arg(long, value_name = "FILE")]
    modify: Vec<String>,
    /// A ticket that must be done before (may be repeated)
    #[arg(long, value_name = "ID")]
    depends_on: Vec<String>,
    /// The ticket it is a part of
    #[arg(long, value_name = "ID")]
    parent: Option<String>,
    /// The key of its milestone
    #[arg(long, value_name = "KEY")]
    milestone: Option<String>,
    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// A priority, on the command line.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Urgency {
    High,
    Medium,
    Low,
}

/// Makes it.
pub(super) async fn run(args: Args, context: &Context) -> Outcome {
    let project = context.project()?;
    let files = Files { create: args.create, modify: args.modify };
    let proposal = Proposal {
        title: Some(args.title),
        body: args.body,
        priority: args.priority.map(|urgency| match urgency {
            Urgency::High => Priority::High,
            Urgency::Medium => Priority::Medium,
            Urgency::Low => Priority::Low,
        }),
        files: (!files.is_empty()).then_some(files),
        depends_on: (!args.depends_on.is_empty()).then_some(args.depends_on),
        ..Proposal::default()
    };
    let work = |client: Client| async move {
        if client.is_attempt() {
            // A planner makes items; everybody else can only make parts of its own. The kernel has the last word.
            let message = match env::var("P0_ROLE").as_deref() {
                Some("executor") => Message::Subtask(proposal),
                _ if args.parent.is_some() => Message::Subtask(proposal),
                Some(_) | None => Message::Ticket(proposal),
            };
            return say(&client, args.parent.as_deref(), &message, args.json).await;
        }
        let new = NewTicket { proposal, parent: args.parent, milestone: args.milestone, project: Some(project) };
        let made = client.post(CreateTicket::at(), &new).await?;
        if args.json {
            ui::json(&made)?
        } else {
            ui::line(&made.row.id.to_string())
        }
        Ok(0)
    };
    context.ask(work).await
}
