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
        // With an engine of its own there is nothing to wait for, and waiting would keep everybody else from the log: for
        // more events, and for whoever reads what is printed.
        let own = session.holding.is_some();
        let mut printer = if own { Printer::Kept(Vec::new()) } else { Printer::Now };
        let shown = show(args, &session.client, since.as_deref(), args.follow && !own, &mut printer).await;
        session.close().await;
        let is_part = printer.is_full();
        printer.end();
        if let Some(seq) = shown? {
            since = Some(seq.to_string());
        }
        if is_part && !ui::gone() {
            continue;
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
async fn show(
    args: &Args,
    client: &Client,
    since: Option<&str>,
    follow: bool,
    printer: &mut Printer,
) -> Result<Option<u64>, Problem> {
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
            last = printer.print(&line, args.json).or(last);
        }
        if ui::gone() || printer.is_full() {
            return Ok(last);
        }
    }
}

/// What is kept at the most before the log is let go and it is printed, in bytes.
const KEPT_BYTES: usize = 16 << 20;

/// Where events are printed.
enum Printer {
    /// At once.
    Now,
    /// When the log is let go.
    Kept(Vec<u8>),
}

impl Printer {
    fn is_full(&self) -> bool {
        matches!(self, Printer::Kept(kept) if kept.len() >= KEPT_BYTES)
    }

    /// Prints one event; its number, where it can be read.
    fn print(&mut self, line: &[u8], json: bool) -> Option<u64> {
        let record = serde_json::from_slice::<Record>(line).ok();
        let text = match &record {
            Some(record) if !json => format!("{}\n", timeline::audit_line(record)).into_bytes(),
            Some(_) | None => [line, b"\n"].concat(),
        };
        match self {
            Printer::Now => ui::raw(To::Out, &text),
            Printer::Kept(kept) => kept.extend(text),
        }
        record.map(|record| record.seq)
    }

    fn end(self) {
        if let Printer::Kept(kept) = self {
            ui::raw(To::Out, &kept);
        }
    }
}
