//! `p0 demo`.
use super::{
    context::Context,
    outcome::Outcome,
    run::{self, Manner},
};
use crate::{
    contract::{
        endpoints::{GetRun, StreamEvents},
        events::EventQuery,
        runs::RunRequest,
    },
    demo::{
        create,
        report::{self, Story},
    },
    model::{config::Overrides, record::Record},
    service::{
        config::env,
        place,
        problem::{Kind, Problem},
    },
    surface::ui,
};
use std::path::{Path, PathBuf};

/// See a whole run: a repository, a spec, and built-in agents that write real code
///
/// Makes a small repository with a test suite, runs its spec to DONE in a few seconds, and says what to try next. No
/// account and no network. Killed or stopped midway, the same command with the same --dir goes on.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to make the repository [default: a fresh temporary folder]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Shows it.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let data_dir = context.data_dir()?;
    let dir = match &args.dir {
        Some(dir) => std::path::absolute(dir).map_err(|e| Problem::io("looking at", dir, &e))?,
        None => fresh()?,
    };
    let made = create::create(&dir).map_err(|e| Problem::new(Kind::General, e.to_string()))?;
    ui::line(&format!("a repository to work on: {}", made.root.display()));
    let wanted = RunRequest {
        project: made.root.clone(),
        spec: made.spec_text,
        workflow: None,
        overrides: Overrides::default(),
        base: None,
    };
    let manner = Manner { json: false, again: format!("p0 demo --dir {}", made.root.display()) };
    let code = run::carry_through(&data_dir, &wanted, &manner).await?;
    if code == 0 {
        close(context, &made.root).await?;
    }
    Ok(code)
}

/// A folder of its own below the system's temporary one.
fn fresh() -> Result<PathBuf, Problem> {
    let dir = std::env::temp_dir().join(format!("p0-demo-{}", &uuid::Uuid::new_v4().simple().to_string()[..8]));
    std::fs::create_dir(&dir).map_err(|e| Problem::io("making", &dir, &e))?;
    Ok(dir)
}

/// The closing words, from what is on record.
async fn close(context: &Context, root: &Path) -> Result<(), Problem> {
    let (status, story) = context
        .ask(|client| async move {
            let status = client.get(GetRun::at("@last")).await?;
            let query = EventQuery { run: Some(status.run.to_string()), ..EventQuery::default() };
            let mut lines = client.lines(StreamEvents::at().query(&query)).await?;
            let mut story = Story::default();
            while let Some(line) = lines.next().await? {
                let Ok(record) = serde_json::from_slice::<Record>(&line) else { continue };
                match record.kind.as_str() {
                    "plan.refused" => story.plans_refused += 1,
                    "gate.failed" => story.gates_failed += 1,
                    "feedback.filed" => story.findings += 1,
                    _ => {}
                }
            }
            Ok((status, story))
        })
        .await?;
    ui::line("");
    for line in report::closing(&status, root, &called(context)?, story).lines() {
        ui::line(line);
    }
    Ok(())
}

/// How this program and this data directory are named in a shell.
fn called(context: &Context) -> Result<String, Problem> {
    let own = place::sibling("p0")?;
    let on_path = env::find_program("p0", Path::new("/")).ok().and_then(|found| found.canonicalize().ok());
    let mut name = if on_path == own.canonicalize().ok() { "p0".to_owned() } else { own.display().to_string() };
    if let Some(dir) = &context.data_dir {
        name.push_str(&format!(" --data-dir {}", dir.display()));
    }
    Ok(name)
}
