//! Following a run until nothing of it moves any more.
use super::screen::Screen;
use crate::{
    contract::{
        endpoints::{GetRun, StreamEvents},
        events::{EventQuery, RetryingLine},
        runs::RunBegun,
    },
    model::{id::RunId, record::Record},
    service::problem::{Kind, Problem},
    surface::{
        client::{Client, Lines},
        session::Holding,
        signals::{Signals, Wish},
    },
    views::status::RunStatus,
};
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// How long the attempts of a run that is over may take to be put away.
const PUT_AWAY: Duration = Duration::from_secs(15);

/// How the following ended.
pub(super) enum End {
    /// The run moves no more.
    AtRest(Box<RunStatus>),
    /// Nobody answers any more.
    Lost(Problem),
    /// The engine in this process stopped by itself.
    EngineFailed(String),
    /// A person wants to stop.
    Interrupted,
}

/// Follows a run.
pub(super) async fn run(
    client: &Client,
    holding: Option<&Holding>,
    begun: &RunBegun,
    screen: &mut Screen,
    signals: &mut Signals,
) -> End {
    let query = EventQuery {
        since: Some(begun.first.saturating_sub(1).to_string()),
        run: Some(begun.run.to_string()),
        follow: Some("true".to_owned()),
        live: Some("true".to_owned()),
        ..EventQuery::default()
    };
    let mut lines = match client.lines(StreamEvents::at().query(&query)).await {
        Ok(lines) => lines,
        Err(problem) => return End::Lost(problem),
    };
    let mut tick = interval(Duration::from_secs(1));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = true;
    let mut put_away: Option<Instant> = None;
    loop {
        if look {
            look = false;
            match client.get(GetRun::at(begun.run)).await {
                Ok(status) if status.is_at_rest() => {
                    let since = *put_away.get_or_insert_with(|| Instant::now() + PUT_AWAY);
                    if status.attempts_live == 0 || Instant::now() >= since {
                        drain(&mut lines, screen).await;
                        return End::AtRest(Box::new(status));
                    }
                }
                Ok(_) => put_away = None,
                Err(problem) => return End::Lost(problem),
            }
        }
        tokio::select! {
            line = lines.next() => match line {
                Ok(Some(line)) => look |= take(&line, screen),
                Ok(None) => return End::Lost(Problem::new(Kind::General, "the stream of events ended")),
                Err(_) if lines.is_gone() => {
                    return End::Lost(Problem::new(Kind::General, "the stream of events ended"));
                }
                Err(problem) => return End::Lost(problem),
            },
            wish = signals.wish() => match wish {
                Wish::Stop => return End::Interrupted,
                Wish::GoOn => screen.forget(),
                Wish::Report => report(client, begun.run, screen).await,
                Wish::Reload => {}
            },
            why = failure(holding) => return End::EngineFailed(why),
            _ = tick.tick(), if screen.is_live() => screen.redraw(),
            () = sleep_until(put_away.unwrap_or_else(Instant::now)), if put_away.is_some() => look = true,
        }
    }
}

/// Says how a run stands, to whoever sent a signal for it.
async fn report(client: &Client, run: RunId, screen: &mut Screen) {
    let told = match client.get(GetRun::at(run)).await {
        Ok(status) => {
            let tickets = &status.tickets;
            let at = status.stage.map_or_else(String::new, |stage| format!(", stage {stage}"));
            let (left, done) = (tickets.open + tickets.in_progress + tickets.blocked, tickets.done);
            format!(
                "run {run} is {}, iteration {}{at}: {done} tickets done, {left} to do, {} attempts at work",
                status.state, status.iteration, status.attempts_live
            )
        }
        Err(problem) => format!("run {run} does not say how it stands: {problem}"),
    };
    screen.say(&told);
}

async fn failure(holding: Option<&Holding>) -> String {
    match holding {
        Some(holding) => holding.engine.failed().await,
        None => std::future::pending().await,
    }
}

/// Shows an event; true when the run may have come to rest with it.
fn take(line: &[u8], screen: &mut Screen) -> bool {
    let Ok(record) = serde_json::from_slice::<Record>(line) else {
        if let Ok(line) = serde_json::from_slice::<RetryingLine>(line) {
            screen.retrying(line.retrying);
        }
        return false;
    };
    screen.show(&record);
    record.kind.starts_with("run.") || matches!(record.kind.as_str(), "attempt.finished" | "attempt.released")
}

/// Shows what has come already; the status may have been faster than the events.
async fn drain(lines: &mut Lines, screen: &mut Screen) {
    while let Ok(Ok(Some(line))) = tokio::time::timeout(Duration::from_millis(50), lines.next()).await {
        take(&line, screen);
    }
}

/// Waits until every run that was handed to this process has come to rest; true when a person did not want to wait.
pub(super) async fn others(
    holding: &Holding,
    client: &Client,
    own: RunId,
    screen: &mut Screen,
    signals: &mut Signals,
) -> bool {
    let mut head = holding.app.service.handle.head();
    let mut told = BTreeSet::new();
    loop {
        head.borrow_and_update();
        let mut waits = false;
        for run in holding.app.service.handed().into_iter().filter(|run| *run != own) {
            match client.get(GetRun::at(run)).await {
                Ok(status) if !status.is_at_rest() => {
                    waits = true;
                    if told.insert(run) {
                        screen.say(&format!("run {run} was handed to this process; staying until it has ended"));
                    }
                }
                Ok(_) | Err(_) => {}
            }
        }
        if !waits {
            return false;
        }
        tokio::select! {
            changed = head.changed() => if changed.is_err() { return false },
            () = signals.next() => return true,
            _ = holding.engine.failed() => return false,
        }
    }
}
