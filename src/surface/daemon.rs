//! `p0d`: the same engine without a terminal, for several runs at once, day and night.
use super::{
    api::app::App,
    session::{self, Purpose},
    signals::{Signals, Wish, survive_file_limit},
    ui,
};
use crate::{
    engine::start::Stop,
    model::config::Config,
    service::{
        config::{
            env,
            files::{self, CONFIG_FILE, Configs},
        },
        place,
        problem::{Kind, Problem},
    },
};
use clap::Parser;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};
use tracing_subscriber::EnvFilter;

/// How long to wait for another holder of the data directory.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// The engine without a terminal: takes up everything in flight, serves the socket, and works on several runs at once
/// until it gets SIGTERM.
#[derive(Debug, Parser)]
#[command(name = "p0d", version)]
struct Args {
    /// A TCP address to serve as well (not in this version)
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where the log and everything else is kept [default: $P0_DATA_DIR, $XDG_STATE_HOME/p0 or ~/.local/state/p0]
    #[arg(long, value_name = "D")]
    data_dir: Option<PathBuf>,
    /// The configuration of repositories without a .p0/config.toml
    #[arg(long, value_name = "F")]
    config: Option<PathBuf>,
    /// Seconds that agents get to finish after SIGTERM; what is not finished then is parked
    #[arg(long, value_name = "N", default_value_t = 10)]
    drain_s: u64,
    /// Leave agents at work when SIGTERM comes: the next p0d on this directory takes them up again
    #[arg(long)]
    keep_agents: bool,
    /// Leave the session of the terminal that started it
    #[arg(long, hide = true)]
    background: bool,
}

/// Runs `p0d`.
pub fn main() -> ExitCode {
    let args = Args::parse();
    let filter = EnvFilter::try_new(env::var("P0_LOG").unwrap_or_else(|| "info".to_owned()));
    tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|_| EnvFilter::new("info")))
        .with_writer(std::io::stderr)
        .with_ansi(ui::can_redraw(ui::To::Err) && env::var("NO_COLOR").is_none())
        // A closed standard error is no reason to panic.
        .log_internal_errors(false)
        .init();
    env::set_clock();
    if args.background
        && let Err(e) = rustix::process::setsid()
    {
        tracing::warn!("no session of its own: {e}");
    }
    if let Err(problem) = place::check_open_files() {
        ui::error(&problem);
        return ExitCode::from(problem.kind.exit_code());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let ended = match runtime {
        Ok(runtime) => {
            let ended = runtime.block_on(serve(args));
            runtime.shutdown_background();
            ended
        }
        Err(e) => Err(Problem::general(&e)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            ui::error(&problem);
            ExitCode::from(problem.kind.exit_code())
        }
    }
}

async fn serve(args: Args) -> Result<(), Problem> {
    if let Some(address) = args.listen {
        return Err(Problem::new(Kind::Usage, format!("serving on {address} is not in this version"))
            .hint("use the Unix socket in the data directory, over SSH when it is on another machine"));
    }
    let data_dir = env::data_dir(args.data_dir.as_deref())?;
    let configs = configs(args.config)?;
    // Caught before the lock is taken: from then on an end without a clean stop would have to be repaired.
    let mut signals = Signals::catch_as_daemon()?;
    survive_file_limit();
    let holding = tokio::select! {
        held = session::hold(&data_dir, Purpose::Work("p0d"), configs.clone(), LOCK_WAIT) => held?,
        () = signals.next() => return Ok(()),
    };
    tracing::info!("serving {}", data_dir.join(super::socket::MAIN).display());
    let failed = loop {
        tokio::select! {
            why = holding.engine.failed() => break Some(why),
            wish = signals.wish() => match wish {
                Wish::Stop => break None,
                Wish::Reload => reload(&configs, &holding.app),
                Wish::Report => report(&holding.app),
                Wish::GoOn => {}
            },
        }
    };
    if let Some(why) = failed {
        holding.end(Stop::Now).await;
        return Err(Problem::new(Kind::Store, format!("the engine stopped: {why}"))
            .hint("nothing acknowledged is lost; start p0d again once the cause is gone"));
    }
    if args.keep_agents {
        tracing::info!("stopping; agents go on, and the next p0d takes them up");
        holding.end(Stop::Leave).await;
        return Ok(());
    }
    tracing::info!("stopping; agents get {} s", args.drain_s);
    let killer = holding.engine.killer();
    tokio::select! {
        () = holding.end(Stop::Drain(Duration::from_secs(args.drain_s))) => {}
        () = signals.next() => {
            killer.kill();
            tracing::warn!("stopped at once; whatever was at work is taken up again at the next start");
        }
    }
    tracing::info!("stopped");
    Ok(())
}

/// Says what SIGHUP asks for. Configurations are not kept in memory: each is read when a run begins, and an agent's
/// variables when an attempt does, so a changed one holds from the next start on. What is said is whether it can be read.
fn reload(configs: &Configs, app: &App) {
    let mut files: BTreeSet<PathBuf> = configs.fallback.iter().cloned().collect();
    for (_, state) in app.service.handle.live() {
        let project = state.milestone.as_ref().map(|milestone| PathBuf::from(&milestone.project));
        files.extend(project.map(|root| root.join(CONFIG_FILE)).filter(|file| file.exists()));
    }
    for file in &files {
        match read(file) {
            Ok(_) => tracing::info!("{} is read from here on as it is now; it can be read", file.display()),
            Err(problem) => tracing::error!("runs that would begin with {} are refused: {problem}", file.display()),
        }
    }
    tracing::info!(
        "configuration: {} files looked at; runs at work keep the settings they began with; P0_LOG and the options of \
         p0d change with a new start of it",
        files.len()
    );
}

/// Says what SIGUSR1 asks for.
fn report(app: &App) {
    let live = app.service.handle.live();
    let runs = live.iter().filter(|(_, state)| state.live_run().is_some()).count();
    let attempts: usize = live.iter().map(|(_, state)| state.live_attempts().count()).sum();
    tracing::info!(
        "{runs} runs and {attempts} attempts at work, the log ends at event {}, serving for {} s",
        *app.service.handle.head().borrow(),
        app.since.elapsed().as_secs()
    );
}

/// A file that is named must be there and be right: found out at the start, not at the first run.
fn configs(fallback: Option<PathBuf>) -> Result<Configs, Problem> {
    let Some(path) = fallback else { return Ok(Configs::default()) };
    let path = std::path::absolute(&path).map_err(|e| Problem::io("looking at", &path, &e))?;
    read(&path)?;
    Ok(Configs { fallback: Some(path) })
}

fn read(path: &Path) -> Result<Config, Problem> {
    let text =
        files::read_config(path).map_err(|e| Problem::new(Kind::Config, format!("reading {}: {e}", path.display())))?;
    Ok(Config::parse(&text, path)?)
}
