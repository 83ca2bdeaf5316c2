//! `p0 audit log`.
use crate::{
    contract::{endpoints::StreamEvents, events::EventQuery},
    journal::{self, Extent},
    model::record::Record,
    service::{
        history::ON_THE_WAY,
        names::{self, Point},
        problem::Problem,
    },
    surface::{
        cli::{context::Context, outcome::Outcome},
        client::Client,
        local::Session,
        session,
        ui::{self, To},
    },
    system::clock,
    views::timeline,
};
use std::{path::Path, time::Duration};

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
        // Looked at first: what comes while the files are read is there to be read again.
        let ends = journal::extent(&data_dir);
        let session = Session::open(&data_dir).await?;
        // Where somebody else holds the log, its end is not known: there may be more by now.
        let read_to = ends.filter(|_| session.is_local());
        let shown = show(args, &session.client, since.as_deref()).await;
        session.close().await;
        let shown = shown?;
        since = shown.last.map(|seq| seq.to_string()).or(since);
        if ui::gone() || shown.is_over || !more(args, &data_dir, read_to).await? {
            return Ok(0);
        }
    }
}

/// Waits until somebody serves, the log has another end, or the moment is past up to which events are wanted; false when
/// nobody reads what is printed.
async fn more(args: &Args, data_dir: &Path, read_to: Option<Extent>) -> Result<bool, Problem> {
    let until = args.until.as_deref().map(names::point).transpose()?;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK_AGAIN) => {}
            () = ui::reader_gone() => return Ok(false),
        }
        let is_past = matches!(until, Some(Point::At(at)) if clock::now() - ON_THE_WAY > at);
        let ends = journal::extent(data_dir);
        if is_past || (ends.is_some() && ends != read_to) || session::find(data_dir).await.is_some() {
            return Ok(true);
        }
    }
}

/// How far the printing came.
struct Shown {
    /// The last event.
    last: Option<u64>,
    /// Whether that is all that is wanted.
    is_over: bool,
}

/// Prints what there is, and what comes while the engine's holder serves.
async fn show(args: &Args, client: &Client, since: Option<&str>) -> Result<Shown, Problem> {
    let query = EventQuery {
        since: since.map(str::to_owned),
        until: args.until.clone(),
        run: args.run.clone(),
        ticket: args.ticket.clone(),
        actor: args.actor.clone(),
        kind: args.kind.clone(),
        follow: args.follow.then(|| "true".to_owned()),
        live: None,
    };
    let mut lines = client.lines(StreamEvents::at().query(&query)).await?;
    let mut shown = Shown { last: None, is_over: false };
    loop {
        let line = tokio::select! {
            line = lines.next() => match line {
                Ok(Some(line)) => line,
                Ok(None) => return Ok(Shown { is_over: true, ..shown }),
                // A holder that ends takes its stream with it; whoever follows looks for the next one.
                Err(_) if args.follow && lines.is_gone() => return Ok(shown),
                Err(problem) => return Err(problem),
            },
            () = ui::reader_gone(), if args.follow => return Ok(shown),
        };
        // An empty line is a sign of life.
        if !line.is_empty() {
            shown.last = print(&line, args.json).or(shown.last);
        }
        if ui::gone() {
            return Ok(shown);
        }
    }
}

/// Prints one event; its number, where it can be read.
fn print(line: &[u8], json: bool) -> Option<u64> {
    let record = serde_json::from_slice::<Record>(line).ok();
    let text = match &record {
        Some(record) if !json => format!("{}\n", timeline::audit_line(record)).into_bytes(),
        Some(_) | None => [line, b"\n"].concat(),
    };
    ui::raw(To::Out, &text);
    record.map(|record| record.seq)
}
