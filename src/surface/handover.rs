//! Handing a run to the holder of the data directory: to the daemon, which is started when there is none.
use super::{client::Client, session};
use crate::{
    contract::{
        endpoints::StartRun,
        runs::{RunBegun, RunRequest},
    },
    service::{
        place,
        problem::{Kind, Problem},
    },
    system::clock,
};
use std::{
    fs::{DirBuilder, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    process::{Child, Stdio},
    time::Duration,
};

/// How long the daemon may take to answer: recovery is the normal start, and may have work to look at.
const START_WITHIN: Duration = Duration::from_secs(30);
/// How often it is asked.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Hands a run to the holder, or to a daemon that is started for it.
pub(crate) async fn hand_over(data_dir: &Path, wanted: &RunRequest) -> Result<(Client, RunBegun), Problem> {
    let client = match session::find(data_dir).await {
        Some(client) => client,
        None => start_daemon(data_dir).await?,
    };
    let begun = client.post(StartRun::at(), wanted).await?;
    Ok((client, begun))
}

async fn start_daemon(data_dir: &Path) -> Result<Client, Problem> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .map_err(|e| Problem::io("making the data directory", data_dir, &e))?;
    let log = data_dir.join("p0d.log");
    let mut child = spawn(data_dir, &log)?;
    let started = clock::monotonic();
    loop {
        if let Some(client) = session::find(data_dir).await {
            return Ok(client);
        }
        if let Ok(Some(status)) = child.try_wait() {
            let tail = last_lines(&log);
            return Err(Problem::new(Kind::Store, format!("p0d could not start ({status}): {tail}"))
                .hint(format!("its log is {}", log.display())));
        }
        if started.elapsed() > START_WITHIN {
            return Err(
                Problem::new(Kind::General, "p0d does not answer").hint(format!("its log is {}", log.display()))
            );
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "the daemon is no agent: it is started once, and nobody waits for it")]
fn spawn(data_dir: &Path, log: &Path) -> Result<Child, Problem> {
    let program = place::sibling("p0d")?;
    let out = OpenOptions::new().create(true).append(true).mode(0o600).open(log);
    let out = out.map_err(|e| Problem::io("opening", log, &e))?;
    let both = out.try_clone().map_err(|e| Problem::io("opening", log, &e))?;
    std::process::Command::new(&program)
        // It makes a session of its own, so that the end of this terminal is not its end.
        .arg("--background")
        .arg("--data-dir")
        .arg(data_dir)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(both)
        .spawn()
        .map_err(|e| Problem::io("starting", &program, &e).hint("p0d is installed beside p0; install both"))
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().rev().take(3).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("; ")
}
