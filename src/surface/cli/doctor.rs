//! `p0 doctor`.
mod agents;
mod check;
mod clock;
mod journal;
mod quarantine;
mod repair;

use super::{context::Context, outcome::Outcome};
use crate::{
    contract::{endpoints::Healthz, health::HealthDoc},
    model::{config::Config, sandbox::SandboxConfig, settings::AgentKind},
    process::cgroup_dir,
    sandbox::Kernel,
    service::{
        config::{
            env,
            files::{self, Configs},
            gates,
        },
        place,
        problem::{Kind, Problem},
        project::{self, Project},
    },
    surface::{
        client::Client,
        signals::Signals,
        socket,
        ui::{self, Colour, To},
    },
};
use check::{Check, Verdict};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Free space below this is worth a word, in bytes.
const ROOM_BYTES: u64 = 1024 * 1024 * 1024;

/// Look whether everything p0 needs is there, and say what to do where it is not
///
/// Finds the agents that are installed: every program that p0 knows how to drive, and those of .p0/config.toml; their
/// versions, and whether they are logged in. Exit code 1 when something needed is not well.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Try a smallest real call, which may cost something: of one agent, or of all installed ones
    #[arg(long, value_name = "NAME", num_args = 0..=1, default_missing_value = "")]
    probe: Option<String>,

    /// First write damaged parts and a lost end of the log anew, where the store has them as they were; stop p0d before
    #[arg(long)]
    repair: bool,

    /// One JSON document
    #[arg(long)]
    json: bool,
}

/// What is printed as JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// What --repair mended.
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<&'a [repair::Repaired]>,
    checks: &'a [Check],
    agents: &'a [agents::Agent],
}

/// Looks.
pub(super) async fn run(args: &Args, context: &Context) -> Outcome {
    let data_dir = context.data_dir()?;
    let repaired = if args.repair { Some(repair::run(&data_dir, args.json).await?) } else { None };
    let mut checks = vec![data(&data_dir), room(&data_dir), holder(&data_dir).await, journal::check(&data_dir).await];
    checks.push(quarantine::check(&data_dir, context).await);
    checks.push(clock::check(&data_dir, context).await);
    checks.extend([git(), shell(), supervisor()]);
    checks.extend(sandbox(&Kernel::probe(&env::var("PATH").unwrap_or_default())));
    let (of_repository, config, root) = repository(&context.project()?);
    checks.extend(of_repository);
    let mut signals = Signals::catch()?;
    // The programs that were asked are ended with the wish to know.
    let found = tokio::select! {
        found = agents::look(&config, &root, args.probe.as_deref()) => found?,
        () = signals.next() => return Ok(13),
    };
    let of_agents = agents::checks(&found);
    if args.json {
        ui::json(&Report { repaired: repaired.as_deref(), checks: &checks, agents: &found })?;
    } else {
        checks.iter().chain(&of_agents).for_each(print);
    }
    Ok(u8::from(checks.iter().chain(&of_agents).any(|check| check.verdict == Verdict::Fail)))
}

fn print(check: &Check) {
    let (word, colour) = match check.verdict {
        Verdict::Ok => ("ok  ", Colour::Green),
        Verdict::Warn => ("warn", Colour::Yellow),
        Verdict::Fail => ("FAIL", Colour::Red),
    };
    ui::line(&format!("{} {:<14} {}", ui::paint(To::Out, colour, word), check.name, check.text));
    if let Some(hint) = &check.hint {
        ui::line(&format!("                    {hint}"));
    }
}

fn data(dir: &Path) -> Check {
    let name = "data directory";
    let (mut place, shown) = (dir, dir.display());
    while !place.exists() {
        match place.parent() {
            Some(parent) => place = parent,
            None => break,
        }
    }
    if rustix::fs::access(place, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_err() {
        let problem = Problem::new(Kind::General, format!("{shown}: {} is not writable", place.display()));
        return Check::of(name, Verdict::Fail, problem.hint("mend its rights, or name another with --data-dir"));
    }
    Check::ok(name, if place == dir { shown.to_string() } else { format!("{shown} (made at the first run)") })
}

fn room(dir: &Path) -> Check {
    let place = dir.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/"));
    match rustix::fs::statvfs(place) {
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let text = format!("{} MiB free", free / (1024 * 1024));
            if free < ROOM_BYTES {
                Check::warn("disk", text, "worktrees and logs need room; free some")
            } else {
                Check::ok("disk", text)
            }
        }
        Err(e) => Check::warn("disk", format!("cannot be asked: {e}"), "look with `df`"),
    }
}

async fn holder(dir: &Path) -> Check {
    let client = Client::Socket(dir.to_path_buf());
    match client.get(Healthz::at()).await {
        Ok(HealthDoc { holder, pid, version, .. }) => {
            let holder = holder.as_deref().unwrap_or("?");
            let pid = pid.map_or("?".to_owned(), |pid| pid.to_string());
            let shown = version.as_deref().unwrap_or("?");
            let text = format!("{holder} (pid {pid}, version {shown})");
            if version.as_deref() == Some(env!("CARGO_PKG_VERSION")) {
                Check::ok("holder", text)
            } else {
                Check::warn("holder", text, "it is of another version than this p0; restart it")
            }
        }
        Err(_) if dir.join(socket::MAIN).exists() => {
            Check::ok("holder", "nobody (the socket file is a stale one and is ignored)")
        }
        Err(_) => Check::ok("holder", "nobody; commands open the log themselves"),
    }
}

#[expect(clippy::disallowed_methods, reason = "one question to git, answered at once; it is no agent and no gate")]
fn git() -> Check {
    match std::process::Command::new("git").arg("--version").output() {
        Ok(out) if out.status.success() => Check::ok("git", String::from_utf8_lossy(&out.stdout).trim().to_owned()),
        Ok(_) | Err(_) => Check::warn("git", "not on PATH", "p0 works without it, your agents and gates may not"),
    }
}

fn shell() -> Check {
    match env::find_program("sh", Path::new("/")) {
        Ok(path) => Check::ok("sh", path.display().to_string()),
        Err(e) => Check::warn("sh", e.to_string(), "the demo and many agents need a shell"),
    }
}

fn supervisor() -> Check {
    match place::sibling("p0") {
        Ok(path) if path.is_file() => Check::ok("supervisor", path.display().to_string()),
        Ok(path) => {
            let problem = Problem::new(Kind::General, format!("there is no {}", path.display()));
            Check::of("supervisor", Verdict::Fail, problem.hint("install p0 and p0d into one folder"))
        }
        Err(problem) => Check::of("supervisor", Verdict::Fail, problem),
    }
}

/// What this kernel gives the agents' sandbox.
fn sandbox(kernel: &Kernel) -> Vec<Check> {
    let landlock = if kernel.landlock == 0 {
        let text = "not in this kernel: agents cannot be confined";
        Check::warn("landlock", text, "Linux 6.2 or later with lsm=landlock,…; or [sandbox] mode = \"best_effort\"")
    } else {
        let text = format!("interface {}: {}", kernel.landlock, kernel.landlock_covers());
        match kernel.missing(&SandboxConfig::default().resolve()).as_slice() {
            [] => Check::ok("landlock", text),
            [first, ..] => {
                Check::warn("landlock", format!("{text}; {first}"), "[sandbox] mode = \"best_effort\" accepts it")
            }
        }
    };
    let listener = if kernel.listener && !kernel.tracing {
        Check::warn(
            "seccomp",
            "p0 may not look into the agents' processes: their sockets and rights cannot be held back",
            "sysctl kernel.yama.ptrace_scope=1 lets a process look into those that it started",
        )
    } else if kernel.listener {
        Check::ok("seccomp", "tries of agents are recorded; changes of mode and owner stay inside")
    } else {
        Check::warn(
            "seccomp",
            "no filter may report: tries of agents are refused, but not recorded",
            "Linux 5.5 has it",
        )
    };
    let plain = |name, found: bool, yes: &str, no: &str| Check::ok(name, if found { yes } else { no });
    let cgroup = match cgroup_dir() {
        Ok(dir) => Check::ok("cgroup", format!("programs get groups of their own below {}", dir.display())),
        Err(why) => Check::ok("cgroup", format!("{why}; programs are ended by their tree and mark")),
    };
    vec![
        landlock,
        listener,
        plain("namespaces", kernel.namespaces, "this user may make them", "this user may not make them"),
        plain("bubblewrap", kernel.bubblewrap, "installed", "not installed; needed only where [sandbox] asks for it"),
        cgroup,
    ]
}

/// The checks of the repository, its configuration (none where it cannot be read), and its root.
fn repository(path: &Path) -> (Vec<Check>, Config, PathBuf) {
    let project = match project::look(path, None) {
        Ok(project) => project,
        Err(problem) => {
            return (vec![Check::of("repository", Verdict::Warn, problem)], Config::default(), path.to_path_buf());
        }
    };
    let mut checks = vec![Check::ok("repository", format!("{} at {}", project.root.display(), project.head.short()))];
    let config = match Configs::default().load(&project.root) {
        Ok(config) => config,
        Err(problem) => {
            checks.push(Check::fail("configuration", problem));
            return (checks, Config::default(), project.root);
        }
    };
    let resolved = files::workflow(None, None, &config).and_then(|workflow| {
        files::settings(&config, &workflow, &project, &crate::model::config::Overrides::default())
    });
    checks.push(match resolved {
        Ok((settings, left_out)) => {
            let text = format!("{} roles, {} gates", settings.roles.len(), settings.gates.len());
            if let Some(who) = left_out.first() {
                Check::warn("configuration", format!("{text}; {who}"), "the other agents of its roles take its place")
            } else if settings.gates.is_empty() {
                Check::warn("configuration", text, "without [gates] nothing but the agents' word says that it works")
            } else {
                Check::ok("configuration", text)
            }
        }
        Err(problem) if config.agents.is_empty() => Check::of("configuration", Verdict::Warn, problem),
        Err(problem) => Check::fail("configuration", problem),
    });
    checks.extend(gates(&config, &project));
    checks.push(configured(&config, &project.root));
    (checks, config, project.root)
}

/// Whether the gates can be started; nothing where there are none.
fn gates(config: &Config, project: &Project) -> Option<Check> {
    let commands = &config.gates.commands;
    let missing = gates::missing(commands, project);
    if missing.is_empty() {
        return (!commands.is_empty()).then(|| Check::ok("gates", format!("{} can be started", commands.len())));
    }
    let problem = Problem::new(Kind::Config, missing.join("; ")).hint("a run refuses to start before they can");
    Some(Check::fail("gates", problem))
}

fn configured(config: &Config, root: &Path) -> Check {
    let mut all_found = true;
    let mut said = Vec::new();
    for (name, agent) in &config.agents {
        let settings = config.agent(name, root).and_then(Result::ok);
        let program = settings.filter(|it| it.kind != AgentKind::Playbook).and_then(|it| it.command.first().cloned());
        let where_it_is = match program.map(|program| env::find_program(&program, root)) {
            Some(Ok(path)) => path.display().to_string(),
            Some(Err(e)) => {
                all_found = false;
                e.to_string()
            }
            None => agent.kind.clone(),
        };
        said.push(format!("{name} ({where_it_is})"));
    }
    match (said.is_empty(), all_found) {
        (true, _) => Check::warn("agents", "none configured", "`p0 init` writes those on PATH into .p0/config.toml"),
        (false, true) => Check::ok("agents", said.join(", ")),
        (false, false) => Check::warn(
            "agents",
            said.join(", "),
            "a run refuses to start where a role has no agent whose program is there",
        ),
    }
}
