//! `p0 run`.
use super::{
    args::Outcome,
    context::Context,
    detach,
    follow::{self, End},
    screen::Screen,
    signals::Signals,
    ui::{self, To},
};
use crate::{
    effects::plain_file,
    engine::start::Stop,
    model::{
        config::Overrides,
        spec::{BadSpec, MAX_BYTES, Spec},
    },
    surface::{
        api::start::{Begun, How, Wanted},
        client::Client,
        config::{
            env,
            files::{self, Configs},
            gates,
        },
        error::{Kind, Problem},
        project,
        session::{self, Holding, Purpose, Session},
    },
    views::status::RunStatus,
};
use std::{
    io::Read,
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

/// A role and its agent, written `ROLE=NAME`.
///
/// # Errors
/// It is written otherwise.
pub(crate) fn role_and_agent(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((role, agent)) if !role.is_empty() && !agent.is_empty() => Ok((role.to_owned(), agent.to_owned())),
        Some(_) | None => Err("write ROLE=NAME, for example executor=claude".to_owned()),
    }
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
    let wanted = Wanted {
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
    if let Some(door) = session::door_client()? {
        // An attempt starts no run; its door says so and puts the try on record.
        return door.post::<Begun>("/api/v1/runs", &wanted).await.map(|_| 0);
    }
    // What is wrong with the input is said before anything is started for it.
    check(&wanted)?;
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
pub(super) async fn carry_through(data_dir: &Path, wanted: &Wanted, manner: &Manner) -> Outcome {
    let mut signals = Signals::catch()?;
    for _ in 0..TAKEOVERS {
        let session = tokio::select! {
            session = Session::open(data_dir, Purpose::Work("p0 run")) => session?,
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

/// Finds out what is wrong with the input, before anything is started for it.
pub(crate) fn check(wanted: &Wanted) -> Result<(), Problem> {
    let spec = Spec::parse(wanted.spec.as_bytes())?;
    let project = project::look(&wanted.project, wanted.base.as_deref())?;
    let configs = Configs::default();
    let config = configs.load(&project.root)?;
    if config.agents.is_empty() {
        // The daemon may have a configuration for repositories without one; it will say.
        return Ok(());
    }
    let workflow = files::workflow(wanted.workflow.as_deref(), spec.workflow.as_deref(), &config)?;
    let (settings, left_out) = files::settings(&config, &workflow, &project, &wanted.overrides)?;
    gates::all_there(&settings.gates, &project)?;
    for who in left_out {
        ui::note(&format!("{} {who}", ui::paint(To::Err, ui::Colour::Yellow, "warning:")));
    }
    Ok(())
}

/// Reads a spec: a file, `-`, or the repository's own.
pub(crate) fn read_spec(path: Option<&Path>, project: &Path) -> Result<String, Problem> {
    let unreadable = |path: &Path, e: &std::io::Error| {
        let kind = if e.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Config };
        Problem::new(kind, format!("reading the spec {}: {e}", path.display()))
            .hint("name a Markdown file, or - for standard input")
    };
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    let size = match path {
        Some(path) if path == Path::new("-") => {
            std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
            bytes.len() as u64
        }
        path => {
            let own = path.is_none().then(|| project::root(project)).transpose()?.map(|root| root.join("SPEC.md"));
            let path = path.or(own.as_deref()).unwrap_or(Path::new("SPEC.md"));
            if own.as_ref().is_some_and(|own| !own.exists()) {
                return Err(Problem::new(Kind::Usage, "no spec was named, and the repository has no SPEC.md")
                    .hint("name a Markdown file, or - for standard input"));
            }
            // `p0 run <(command)` hands over a pipe that somebody writes to.
            let handed = path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd");
            let opened = if handed { std::fs::File::open(path) } else { plain_file::open(path) };
            let file = opened.map_err(|e| unreadable(path, &e))?;
            let meta = file.metadata().map_err(|e| unreadable(path, &e))?;
            file.take(limit).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
            meta.len().max(bytes.len() as u64)
        }
    };
    if bytes.len() > MAX_BYTES {
        return Err(BadSpec::TooLarge { bytes: size }.into());
    }
    Ok(Spec::parse(&bytes)?.text)
}

/// One try with one engine; `None` = its holder went away.
async fn carry_out(
    mut session: Session,
    wanted: &Wanted,
    manner: &Manner,
    signals: &mut Signals,
) -> Result<Option<u8>, Problem> {
    let client = session.client.clone();
    let begun: Begun = match client.post("/api/v1/runs", wanted).await {
        Ok(begun) => begun,
        Err(problem) => {
            if let Some(holding) = session.holding.take() {
                holding.end(Stop::Drain(DRAIN)).await;
            }
            return Err(problem);
        }
    };
    let to = if manner.json { To::Err } else { To::Out };
    let told = if begun.how == How::Started { 0 } else { begun.seq };
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

fn announce(begun: &Begun, wanted: &Wanted, holds: bool, screen: &mut Screen) {
    match begun.how {
        How::Started => {}
        How::Attached => screen.say(&format!("run {} of this spec is unfinished; going on with it", begun.run)),
        How::AlreadyDone => screen.say(&format!("run {} of this spec is done already", begun.run)),
    }
    for text in [begun.of_the_earlier(), begun.left_out(wanted)].into_iter().flatten() {
        screen.say(&text);
    }
    if !holds && begun.how != How::AlreadyDone {
        screen.say(&format!("{} does the work; this only follows it", begun.holder));
    }
}

async fn status_of(client: &Client, begun: &Begun) -> Result<RunStatus, Problem> {
    client.get(&format!("/api/v1/runs/{}", begun.run)).await
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
    begun: &Begun,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_spec_is_refused_before_it_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("spec");
        let say = |path: &Path| read_spec(Some(path), dir.path()).unwrap_err();
        assert_eq!(say(&file).kind, Kind::NotFound);
        assert_eq!(say(dir.path()).kind, Kind::Config);
        std::fs::write(&file, b"a\xff").unwrap();
        assert!(say(&file).detail.contains("not text"));
        let huge = std::fs::File::create(&file).unwrap();
        huge.set_len(50 * 1024 * 1024).unwrap();
        let problem = say(&file);
        assert!(problem.detail.contains("52428800 bytes"), "{problem}");
        std::fs::write(&file, "# A blog").unwrap();
        assert_eq!(read_spec(Some(&file), dir.path()).unwrap(), "# A blog");
    }
}
