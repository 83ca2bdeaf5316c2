//! `p0 run`.
use super::{
    context::Context,
    detach,
    follow::{self, End},
    outcome::Outcome,
    screen::Screen,
};
use crate::{
    contract::{
        endpoints::{GetRun, StartRun},
        runs::{BegunHow, RunBegun, RunRequest},
    },
    engine::start::Stop,
    model::config::Overrides,
    service::{
        config::env,
        problem::{Kind, Problem},
        spec_file::read_spec,
        start::{self, role_and_agent},
    },
    surface::{
        client::Client,
        session::{self, Holding, Working},
        signals::Signals,
        ui::{self, To},
    },
    views::status::RunStatus,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tracing_subscriber::EnvFilter;

/// How long agents get to finish after the first Ctrl-C.
const DRAIN: Duration = Duration::from_secs(5);
/// The exit code of a run that was stopped by a signal and goes on later.
const INTERRUPTED: u8 = 13;
/// What is told of the engine's own words.
const TROUBLES: &str = "p0::engine::world=error,p0::engine::steps=warn";
/// How often this process tries to go on with a run whose holder went away.
const TAKEOVERS: u32 = 5;

/// Run a spec: its agents work side by side until it is done, stuck or stopped
///
/// An unfinished run of the same spec goes on; a finished one is shown. Without p0d this process does the work and
/// serves the socket; with it (or with another `p0 run`) the run is handed over and followed. Ctrl-C stops cleanly,
/// a second Ctrl-C at once; the same command goes on later.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The spec: a Markdown file, or - for standard input [default: SPEC.md of the repository]
    spec: Option<PathBuf>,
    /// The workflow
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
    /// Who plays a role, beside the configuration
    #[arg(long, value_name = "ROLE=NAME", value_parser = role_and_agent)]
    agent: Vec<(String, String)>,
    /// The revision to begin at
    #[arg(long, value_name = "REF")]
    base: Option<String>,
    /// Attempts at work at the same time
    #[arg(long, value_name = "N")]
    max_parallel: Option<u32>,
    /// Turns of the planner
    #[arg(long, value_name = "N")]
    max_iterations: Option<u32>,
    /// What may be spent, in US dollars
    #[arg(long, value_name = "X")]
    budget_usd: Option<f64>,
    /// What may be spent, in tokens
    #[arg(long, value_name = "N")]
    budget_tokens: Option<u64>,
    /// Hand the run to p0d (started when it does not run), print its id and return
    #[arg(long)]
    detach: bool,
    /// End with the run's status as one line of JSON; progress goes to stderr
    #[arg(long)]
    json: bool,
}

/// Has this process say what keeps its engine from its work, such as a full disk; `P0_LOG` asks for more or other words.
fn tell_troubles() {
    let filter = EnvFilter::try_new(env::var("P0_LOG").unwrap_or_else(|| TROUBLES.to_owned()));
    // One that is there already is as good.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new(TROUBLES)))
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        // A closed standard error is no reason to panic.
        .log_internal_errors(false)
        .try_init();
}

/// Runs it.
pub(super) async fn run(args: Args, context: &Context) -> Outcome {
    tell_troubles();
    let data_dir = context.data_dir()?;
    let project = context.project()?;
    let wanted = RunRequest {
        spec: read_spec(args.spec.as_deref(), &project)?,
        project,
        workflow: args.workflow.clone(),
        overrides: Overrides {
            agents: args.agent.clone(),
            max_parallel: args.max_parallel,
            max_iterations: args.max_iterations,
            budget_usd: args.budget_usd,
            budget_tokens: args.budget_tokens,
        },
        base: args.base.clone(),
    };
    if let Some(attempt_socket) = session::attempt_client()? {
        // An attempt starts no run; its socket says so and puts the try on record.
        return attempt_socket.post(StartRun::at(), &wanted).await.map(|_| 0);
    }
    // What is wrong with the input is said before anything is started for it.
    for who in start::check(&wanted)? {
        ui::warn(&who);
    }
    if args.detach {
        return detach::run(&data_dir, &wanted, args.json).await;
    }
    let spec = args.spec.as_deref().map_or_else(String::new, |spec| format!(" {}", spec.display()));
    let manner = Manner { json: args.json, again: format!("p0 run{spec}") };
    carry_through(&data_dir, &wanted, &manner).await
}

/// How a run is shown.
pub(super) struct Manner {
    /// End with the status as one line of JSON; progress goes to stderr.
    pub(super) json: bool,
    /// The command that goes on with it.
    pub(super) again: String,
}

/// Starts a run, or attaches to it, and stays until it is at rest; the answer is its exit code.
pub(super) async fn carry_through(data_dir: &Path, wanted: &RunRequest, manner: &Manner) -> Outcome {
    let mut signals = Signals::catch()?;
    for _ in 0..TAKEOVERS {
        let session = tokio::select! {
            session = Working::open(data_dir, "p0 run") => session?,
            () = signals.next() => return Ok(13),
        };
        match carry_out(session, wanted, manner, &mut signals).await? {
            Some(code) => return Ok(code),
            None => ui::note("the process that did the work went away; going on here"),
        }
    }
    Err(Problem::new(Kind::General, "whoever holds the data directory keeps going away")
        .hint("start `p0d` and look at its log; the same command goes on with the run"))
}

/// One try with one engine; `None` = its holder went away.
async fn carry_out(
    mut session: Working,
    wanted: &RunRequest,
    manner: &Manner,
    signals: &mut Signals,
) -> Result<Option<u8>, Problem> {
    let client = session.client.clone();
    let begun = match client.post(StartRun::at(), wanted).await {
        Ok(begun) => begun,
        Err(problem) => {
            if let Some(holding) = session.holding.take() {
                holding.end(Stop::Drain(DRAIN)).await;
            }
            return Err(problem);
        }
    };
    let to = if manner.json { To::Err } else { To::Out };
    let told = if begun.how == BegunHow::Started { 0 } else { begun.seq };
    let mut screen = Screen::new(to, told);
    announce(&begun, wanted, session.holding.is_some(), &mut screen);
    let end = loop {
        let end = follow::run(&client, session.holding.as_ref(), &begun, &mut screen, signals).await;
        screen.wipe();
        let (End::AtRest(_), Some(holding)) = (&end, &session.holding) else { break end };
        let stopped_early = follow::others(holding, &client, begun.run, &mut screen, signals).await;
        let status: RunStatus = status_of(&client, &begun).await?;
        // Somebody may have resumed it meanwhile: it is followed again.
        if stopped_early || status.is_at_rest() {
            let Some(holding) = session.holding.take() else { break end };
            return match stop(holding, signals, stopped_early).await {
                Stopped::Cleanly => finish(&status, manner.json),
                Stopped::AtOnce => leave(&status, manner.json),
            };
        }
    };
    match (end, session.holding) {
        (End::AtRest(status), _) => finish(&status, manner.json),
        (End::Lost(_), None) => Ok(None),
        (End::Lost(problem), Some(holding)) => {
            holding.end(Stop::Drain(DRAIN)).await;
            Err(problem)
        }
        (End::EngineFailed(why), holding) => {
            if let Some(holding) = holding {
                holding.end(Stop::Now).await;
            }
            Err(Problem::new(Kind::Store, format!("the engine stopped: {why}"))
                .hint("nothing acknowledged is lost; once the cause is gone, the same command goes on"))
        }
        (End::Interrupted, holding) => interrupted(holding, &client, &begun, manner, signals).await,
    }
}

fn announce(begun: &RunBegun, wanted: &RunRequest, holds: bool, screen: &mut Screen) {
    match begun.how {
        BegunHow::Started => {}
        BegunHow::Attached => screen.say(&format!("run {} of this spec is unfinished; going on with it", begun.run)),
        BegunHow::AlreadyDone => screen.say(&format!("run {} of this spec is done already", begun.run)),
    }
    for text in [begun.of_the_earlier(), begun.left_out(wanted)].into_iter().flatten() {
        screen.say(&text);
    }
    if !holds && begun.how != BegunHow::AlreadyDone {
        screen.say(&format!("{} does the work; this only follows it", begun.holder));
    }
}

async fn status_of(client: &Client, begun: &RunBegun) -> Result<RunStatus, Problem> {
    client.get(GetRun::at(begun.run)).await
}

fn finish(status: &RunStatus, json: bool) -> Result<Option<u8>, Problem> {
    if json {
        ui::json(status)?;
    } else {
        super::status::print(status);
    }
    Ok(Some(super::status::exit_code(&status.state)))
}

/// A person wants to stop. What is told last is what the log says then: a run that has come to its end in the same moment has
/// ended so, and not for the signal.
async fn interrupted(
    holding: Option<Holding>,
    client: &Client,
    begun: &RunBegun,
    manner: &Manner,
    signals: &mut Signals,
) -> Result<Option<u8>, Problem> {
    let before = status_of(client, begun).await;
    let Some(holding) = holding else {
        let status = before?;
        if status.is_at_rest() {
            return finish(&status, manner.json);
        }
        ui::note(&format!(
            "no longer following; {} goes on with the run; look with `p0 status {run}`, end it with `p0 cancel {run}`",
            begun.holder,
            run = begun.run
        ));
        if manner.json {
            ui::json(&status)?;
        }
        return Ok(Some(INTERRUPTED));
    };
    let at_rest = before.as_ref().is_ok_and(RunStatus::is_at_rest);
    if !at_rest {
        ui::note(&format!("stopping: agents get {} s to finish (Ctrl-C again: at once)", DRAIN.as_secs()));
    }
    let stopped = stop(holding, signals, true).await;
    // The engine that has stopped still gives what it knew last.
    let status = match status_of(client, begun).await {
        Ok(status) => status,
        Err(_) => before?,
    };
    if stopped == Stopped::AtOnce {
        leave(&status, manner.json);
    }
    if status.is_at_rest() {
        return finish(&status, manner.json);
    }
    ui::note(&format!("stopped; go on with: {}", manner.again));
    if manner.json {
        ui::json(&status)?;
    }
    Ok(Some(INTERRUPTED))
}

/// How the engine was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stopped {
    /// Everything came to its end.
    Cleanly,
    /// A second signal killed what was at work. What it did until then is collected by the next engine.
    AtOnce,
}

/// Stops the engine; a second signal kills the agents.
async fn stop(holding: Holding, signals: &mut Signals, early: bool) -> Stopped {
    let patience = if early { DRAIN } else { Duration::from_secs(10) };
    let killer = holding.engine.killer();
    tokio::select! {
        () = holding.end(Stop::Drain(patience)) => Stopped::Cleanly,
        () = signals.next() => {
            // It waits for supervisors, which record the ends.
            let _ = tokio::task::spawn_blocking(move || killer.kill()).await;
            Stopped::AtOnce
        }
    }
}

/// Ends this process at once, with the last word: the run as the log has it.
fn leave(status: &RunStatus, json: bool) -> ! {
    let at_rest = status.is_at_rest();
    if !at_rest {
        ui::note("stopped at once; whatever was at work is taken up again by the next `p0 run`");
    }
    let code = match (at_rest, json) {
        (true, _) => finish(status, json).ok().flatten(),
        (false, true) => ui::json(status).ok().map(|()| INTERRUPTED),
        (false, false) => Some(INTERRUPTED),
    };
    std::process::exit(code.map_or(1, i32::from));
}
