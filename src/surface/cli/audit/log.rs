//! `p0 audit log`.
use crate::{
    model::record::Record,
    surface::{
        cli::{
            args::Outcome,
            context::Context,
            ui::{self, To},
        },
        client::{Client, query},
        error::Problem,
        session::{self, Purpose, Session},
    },
    views::timeline,
};
use std::time::Duration;

/// How often a follower looks whether somebody serves again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// Print the events of the log
#[derive(Debug, clap::Args)]
pub(in crate::surface::cli) struct Args {
    /// Those of this run
    #[arg(long, value_name = "R")]
    run: Option<String>,
    /// Those about this ticket
    #[arg(long, value_name = "T")]
    ticket: Option<String>,
    /// Those caused by an actor that begins so: engine, person:ada, executor@
    #[arg(long, value_name = "A")]
    actor: Option<String>,
    /// Those of a kind that begins so: ticket., run.done
    #[arg(long, value_name = "K")]
    kind: Option<String>,
    /// Those after this event, or not before this time
    #[arg(long, value_name = "S")]
    since: Option<String>,
    /// Those up to and with this event or time
    #[arg(long, value_name = "S")]
    until: Option<String>,
    /// Go on with what happens from now
    #[arg(long, short)]
    follow: bool,
    /// The envelopes, one JSON document per line
    #[arg(long)]
    json: bool,
}

/// Prints them.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let data_dir = context.data_dir()?;
    let mut since = args.since.clone();
    loop {
        let session = Session::open(&data_dir, Purpose::Look).await?;
        // With an engine of its own there is nothing to wait for, and waiting would keep everybody else from the log.
        let follow = args.follow && session.holding.is_none();
        let shown = show(args, &session.client, since.as_deref(), follow).await;
        session.close().await;
        if let Some(seq) = shown? {
            since = Some(seq.to_string());
        }
        if !args.follow || args.until.is_some() || ui::gone() {
            return Ok(0);
        }
        while session::find(&data_dir).await.is_none() {
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = ui::reader_gone() => return Ok(0),
            }
        }
    }
}

/// Prints what there is, and what comes while the engine's holder serves; gives back the last event's number.
async fn show(args: &Args, client: &Client, since: Option<&str>, follow: bool) -> Result<Option<u64>, Problem> {
    let pairs = [
        ("run", args.run.as_deref()),
        ("ticket", args.ticket.as_deref()),
        ("actor", args.actor.as_deref()),
        ("kind", args.kind.as_deref()),
        ("since", since),
        ("until", args.until.as_deref()),
        ("follow", follow.then_some("true")),
    ];
    let mut lines = client.lines(&format!("/api/v1/events{}", query(pairs))).await?;
    let mut last = None;
    loop {
        let line = tokio::select! {
            line = lines.next() => match line {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(last),
                // A holder that ends takes its stream with it; whoever follows looks for the next one.
                Err(_) if follow => return Ok(last),
                Err(problem) => return Err(problem),
            },
            () = ui::reader_gone(), if follow => return Ok(last),
        };
        // An empty line is a sign of life.
        if !line.is_empty() {
            last = print(&line, args.json).or(last);
        }
        if ui::gone() {
            return Ok(last);
        }
    }
}

/// Prints one event; its number, where it can be read.
fn print(line: &[u8], json: bool) -> Option<u64> {
    let record = serde_json::from_slice::<Record>(line).ok();
    match &record {
        Some(record) if !json => ui::line(&timeline::audit_line(record)),
        Some(_) | None => ui::raw(To::Out, &[line, b"\n"].concat()),
    }
    record.map(|record| record.seq)
}
