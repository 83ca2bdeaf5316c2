//! `p0 replay`.
use super::{context::Context, outcome::Outcome};
use crate::{
    contract::{
        endpoints::{DiffRun, ReplayRun},
        records::{DiffQuery, ReplayQuery},
    },
    engine::run_files,
    journal::run_file,
    model::{id::RunId, record::FramePayload},
    service::{
        background::blocking,
        names,
        problem::{Kind, Problem},
        replays::{self, Wanted},
        verify::{self, Verified},
    },
    surface::ui,
    views::{diff::Difference, timeline},
};
use std::{
    io::BufRead,
    path::{Path, PathBuf},
};

/// The longest value that is shown of a difference, in characters.
const SHOWN: usize = 100;

/// Rebuild a run from its record and take every decision again
///
/// Says whether the engine would decide the same today; exit code 20 when not. A run file (`p0 audit export`) replays
/// without an engine.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The run, or the beginning of its id, or a run file
    #[arg(default_value = "@last", value_name = "RUN|FILE")]
    run: String,
    /// Only up to and with this event or moment
    #[arg(long, value_name = "SEQ|TIME")]
    until: Option<String>,
    /// Show the commands one by one, with their events; on a terminal, Enter shows the next
    #[arg(long)]
    step: bool,
    /// Show what differs between the states at two events or moments
    #[arg(long, value_name = "A..B", conflicts_with_all = ["until", "step"])]
    diff: Option<String>,
    /// One JSON document, with the state at the end
    #[arg(long)]
    json: bool,
}

/// Replays it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    if let Some(span) = &args.diff {
        return differences(args, context, span).await;
    }
    let steps = args.step;
    let doc = match file_of(&args.run) {
        Some(path) => {
            let until = args.until.as_deref().map(names::point).transpose()?.map(replays::until);
            blocking(move || {
                let (header, frames) = run_files::frames_of_file(&path).map_err(|e| bad_file(&path, e))?;
                let wanted = Wanted { until, records: false, steps };
                replays::replayed(RunId(header.run), frames, wanted).map_err(|problem| in_file(&path, problem))
            })
            .await?
        }
        None => {
            let steps = steps.then(|| "true".to_owned());
            let query = ReplayQuery { until: args.until.clone(), records: None, steps };
            let call = ReplayRun::at(&args.run).query(&query);
            context.ask(|client| async move { client.get(call).await }).await?
        }
    };
    if args.json {
        ui::json(&doc)?;
    } else {
        if let Some(steps) = &doc.steps {
            step(steps);
        }
        ui::line(&format!("run       {}", doc.run));
        ui::line(&format!("events    {} (up to {})", doc.events, doc.until));
        ui::line(&format!("digest    {}", doc.digest));
        ui::line(if doc.verified { "verified  yes: every decision is the same today" } else { "verified  no" });
        ui::note(&speed(doc.events, doc.wall_us));
    }
    if let Some(divergence) = &doc.divergence {
        ui::note(&format!("error: the rules of today decide otherwise at event {}", divergence.seq));
        ui::note(&format!("  recorded: {}", divergence.recorded));
        ui::note(&format!("  decided:  {}", divergence.decided));
        return Ok(Kind::Diverged.exit_code());
    }
    Ok(0)
}

/// A name that is a file is meant as one; no run is called so.
fn file_of(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    (path.is_file() && run_file::looks_like(path)).then(|| path.to_path_buf())
}

fn bad_file(path: &Path, e: run_file::RunFileError) -> Problem {
    match &e {
        run_file::RunFileError::Bad { .. } => Problem::new(Kind::Diverged, e).hint(check_it(path)),
        run_file::RunFileError::Newer { .. } | run_file::RunFileError::Disk(_) => Problem::new(Kind::Store, e),
    }
}

/// What could not be read of a run file, as a check of the file tells it.
fn in_file(path: &Path, problem: Problem) -> Problem {
    if problem.kind != Kind::Store {
        return problem;
    }
    match verify::check(path, Vec::new(), true, &mut |_| {}) {
        Ok(Verified { first_bad: Some(bad), .. }) => {
            let what = format!("{} is damaged from event {} on: {}", path.display(), bad.seq, bad.what);
            Problem::new(Kind::Diverged, what).hint(check_it(path))
        }
        Ok(_) | Err(_) => problem,
    }
}

fn check_it(path: &Path) -> String {
    format!("check it with `p0 audit verify {}`", path.display())
}

fn speed(events: usize, wall_us: u64) -> String {
    let wall_us = wall_us.max(1);
    let per_s = (events as u64).saturating_mul(1_000_000) / wall_us;
    format!("{events} events in {}.{:03} ms, {per_s} events/s", wall_us / 1000, wall_us % 1000)
}

async fn differences(args: &Args, context: &Context, text: &str) -> Outcome {
    let found: Vec<Difference> = match file_of(&args.run) {
        Some(path) => {
            let span = replays::span(text)?;
            blocking(move || {
                let open = || run_files::frames_of_file(&path).map_err(|e| bad_file(&path, e));
                let found = replays::differences(|| open().map(|(_, frames)| frames), span);
                found.map_err(|problem| in_file(&path, problem))
            })
            .await?
        }
        None => {
            let call = DiffRun::at(&args.run).query(&DiffQuery { span: text.to_owned() });
            context.ask(|client| async move { client.get(call).await }).await?
        }
    };
    if args.json {
        ui::json(&found)?;
        return Ok(0);
    }
    for difference in &found {
        let shown = |value: &serde_json::Value| {
            let text = timeline::one_line(&value.to_string());
            if text.chars().count() > SHOWN { text.chars().take(SHOWN).chain(['…']).collect() } else { text }
        };
        ui::line(&format!("{}: {} -> {}", difference.path, shown(&difference.before), shown(&difference.after)));
    }
    if found.is_empty() {
        ui::note("nothing differs");
    }
    Ok(0)
}

/// Prints a command and its events at a time; on a terminal, waits in between.
fn step(steps: &[FramePayload]) {
    let waits = ui::is_terminal(ui::To::Out) && std::io::IsTerminal::is_terminal(&std::io::stdin());
    if waits {
        ui::note("Enter shows the next step, a number so many, q ends");
    }
    let mut input = std::io::stdin().lock();
    let mut ahead = 1_u64;
    for payload in steps {
        ui::line(&command_line(payload));
        for record in &payload.events {
            ui::line(&format!("  {}", timeline::audit_line(record)));
        }
        ahead -= 1;
        if ui::gone() {
            return;
        }
        if waits && ahead == 0 {
            let mut answer = String::new();
            match input.read_line(&mut answer) {
                Ok(0) | Err(_) => return,
                Ok(_) if answer.trim() == "q" => return,
                Ok(_) => ahead = answer.trim().parse().unwrap_or(1).max(1),
            }
        }
        ahead = ahead.max(1);
    }
}

fn command_line(payload: &FramePayload) -> String {
    let command = &payload.command;
    let action = serde_json::to_value(&command.action).unwrap_or_default();
    let name = action["action"].as_str().unwrap_or("?").replace('_', " ");
    format!("{} {} {name}", command.at.format("%H:%M:%S%.3f"), timeline::one_line(&command.actor.to_string()))
}
