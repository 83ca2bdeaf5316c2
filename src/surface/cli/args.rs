//! The words of the command line, and which command they lead to.
use super::{
    approvals, audit, backup, completions, context::Context, demo, doctor, fixture, fork, gc, graph, init, logs, mcp,
    outcome::Outcome, ready, replay, run, runs, schemas, status, steer, ticket, tickets,
};
use crate::{
    service::{
        config::env,
        place,
        problem::{Kind, Problem},
    },
    surface::{signals::survive_file_limit, ui},
};
use clap::{Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// Turns a written spec into landed commits by running many coding agents side by side, and can prove afterwards what
/// happened.
///
/// Exit codes: 0 done; 1 an error; 2 wrong usage; 3 bad configuration, spec or workflow; 4 not found; 5 the store is
/// locked, damaged or full; 6 refused; 10 the run is STUCK; 11 it failed; 12 it waits for a person; 13 cancelled or
/// paused; 20 replay diverged or audit verification failed.
#[derive(Debug, Parser)]
#[command(name = "p0", version, propagate_version = true)]
pub(super) struct Cli {
    /// Where the log and everything else is kept [default: $P0_DATA_DIR, $XDG_STATE_HOME/p0 or ~/.local/state/p0]
    #[arg(long, global = true, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The repository [default: the one around the working directory]
    #[arg(long, global = true, value_name = "DIR")]
    repo: Option<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Init(init::Args),
    Demo(demo::Args),
    Run(run::Args),
    Runs(runs::Args),
    Status(status::Args),
    Tickets(tickets::Args),
    #[command(subcommand)]
    Ticket(ticket::Command),
    Ready(ready::ReadyArgs),
    Claim(ready::ClaimArgs),
    Logs(logs::Args),
    /// Start nothing new in a run; what is at work goes on
    Pause(steer::Args),
    /// Let a paused run go on
    Resume(steer::ResumeArgs),
    /// End a run; unlanded work is kept under refs/p0/parked/
    Cancel(steer::Args),
    Approvals(approvals::ListArgs),
    /// Allow what an attempt asks for
    Approve(approvals::Args),
    /// Deny what an attempt asks for
    Reject(approvals::Args),
    Answer(approvals::AnswerArgs),
    Replay(replay::Args),
    Fork(fork::Args),
    #[command(subcommand)]
    Audit(audit::Command),
    Graph(graph::Args),
    Gc(gc::Args),
    Backup(backup::BackupArgs),
    Restore(backup::RestoreArgs),
    Doctor(doctor::Args),
    Mcp(mcp::Args),
    Completions(completions::Args),
    #[command(name = "__fixture", hide = true)]
    Fixture(fixture::Args),
    #[command(name = "__schemas", hide = true)]
    Schemas(schemas::Args),
}

/// Runs `p0`.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let context = Context { data_dir: cli.data_dir, repo: cli.repo };
    if let Err(problem) = place::check_open_files() {
        ui::error(&problem);
        return ExitCode::from(problem.kind.exit_code());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(dispatch(cli.command, &context));
            // A blocking read of a terminal or a slow peer must not keep the process.
            runtime.shutdown_background();
            outcome
        }
        Err(e) => Err(Problem::general(&e)),
    };
    match outcome {
        // Whoever asked has not got what was asked for, however it went.
        Ok(0) if ui::failed() => ExitCode::from(Kind::General.exit_code()),
        Ok(code) => ExitCode::from(code),
        Err(problem) => {
            ui::error(&problem);
            ExitCode::from(problem.kind.exit_code())
        }
    }
}

async fn dispatch(command: Command, context: &Context) -> Outcome {
    survive_file_limit();
    env::set_clock();
    match command {
        Command::Init(args) => init::run(&args, context),
        Command::Demo(args) => demo::run(&args, context).await,
        Command::Run(args) => run::run(args, context).await,
        Command::Runs(args) => runs::run(&args, context).await,
        Command::Status(args) => status::run(&args, context).await,
        Command::Tickets(args) => tickets::run(&args, context).await,
        Command::Ticket(command) => ticket::run(command, context).await,
        Command::Ready(args) => ready::ready(&args, context).await,
        Command::Claim(args) => ready::claim(&args, context).await,
        Command::Logs(args) => logs::run(&args, context).await,
        Command::Pause(args) => steer::pause(&args, context).await,
        Command::Resume(args) => steer::resume(&args, context).await,
        Command::Cancel(args) => steer::cancel(&args, context).await,
        Command::Approvals(args) => approvals::list(&args, context).await,
        Command::Approve(args) => approvals::approve(&args, context).await,
        Command::Reject(args) => approvals::reject(&args, context).await,
        Command::Answer(args) => approvals::answer(args, context).await,
        Command::Replay(args) => replay::run(&args, context).await,
        Command::Fork(args) => fork::run(&args, context).await,
        Command::Audit(command) => audit::run(command, context).await,
        Command::Graph(args) => graph::run(&args, context).await,
        Command::Gc(args) => gc::run(&args, context).await,
        Command::Backup(args) => backup::backup(&args, context).await,
        Command::Restore(args) => backup::restore(&args, context).await,
        Command::Doctor(args) => doctor::run(&args, context).await,
        Command::Mcp(args) => mcp::run(&args, context).await,
        Command::Completions(args) => completions::run(&args, definition()),
        Command::Fixture(args) => fixture::run(&args, context),
        Command::Schemas(args) => schemas::run(&args),
    }
}

/// The command line as clap sees it, for completions.
fn definition() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound_and_every_command_has_help() {
        definition().debug_assert();
        for command in definition().get_subcommands().filter(|c| !c.is_hide_set()) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
        }
    }

    #[test]
    fn the_fixed_forms_are_understood() {
        let lines = [
            "p0 run SPEC.md --workflow ralph --agent executor=a --agent planner=b --base main --max-parallel 3",
            "p0 demo --dir d",
            "p0 run - --json --detach --budget-usd 1.5 --budget-tokens 1000 --max-iterations 2",
            "p0 ticket new --title T --create a --create b --modify c --depends-on BLOG-1 --parent BLOG-1",
            "p0 ticket status BLOG-1 done --reason r --token t",
            "p0 ticket heartbeat BLOG-1 --token t",
            "p0 claim --next --worker w --json",
            "p0 claim BLOG-1 --worker w --lease-s 60",
            "p0 replay @last --until 7 --step --json",
            "p0 replay RUN.p0run --diff 3..17 --json",
            "p0 fork @last --at 17 --json",
            "p0 audit export @last FILE --force",
            "p0 audit export @last -",
            "p0 audit import FILE --json",
            "p0 audit anchor --file F",
            "p0 audit anchor --git-ref REPO refs/p0/anchors",
            "p0 audit verify --anchors F --no-blobs",
            "p0 gc --dry-run --json",
            "p0 backup FILE --force",
            "p0 restore FILE",
            "p0 audit log --run @last --kind run. --since 3 --follow --json",
            "p0 audit verify DIR --anchor 00",
            "p0 graph ralph --format mermaid",
            "p0 --data-dir d status --json",
            "p0 cancel @last",
            "p0 approvals --run @last --all --json",
            "p0 approve BLOG-A1 --reason r",
            "p0 reject BLOG-A1",
            "p0 answer BLOG-1 some words",
            "p0 mcp --permissions ask",
        ];
        for line in lines {
            Cli::try_parse_from(line.split(' ')).unwrap_or_else(|e| panic!("{line}: {e}"));
        }
        assert!(Cli::try_parse_from(["p0", "claim", "--worker", "w"]).is_err());
        assert!(Cli::try_parse_from(["p0", "claim", "X-1", "--next", "--worker", "w"]).is_err());
    }
}
