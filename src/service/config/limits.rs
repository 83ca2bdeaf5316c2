//! Whether programs can be started at all under the limits of a run's sandboxes: tried before the run.
use crate::{
    model::{
        sandbox::{Mode, Rlimits},
        settings::{AgentKind, Settings},
    },
    service::{
        place,
        problem::{Kind, Problem},
    },
};

/// What is tried: a shell that starts another program and reads what it says.
const SCRIPT: &str = "x=$(echo ok | cat) && test \"$x\" = ok";

/// Tries every set of limits once.
///
/// # Errors
/// Nothing starts under one of them: which, what happened, and what to do.
pub(crate) fn let_programs_start(settings: &Settings) -> Result<(), Problem> {
    let p0 = place::sibling("p0")?.display().to_string();
    let mut tried: Vec<(Rlimits, bool)> = Vec::new();
    for (role, of_role) in &settings.roles {
        for agent in of_role.agents() {
            let sandbox = settings.sandbox_of(role, agent);
            let by_p0 = settings.agents.get(agent).is_some_and(|agent| agent.kind != AgentKind::Command);
            let attempt = (sandbox.limits, by_p0);
            if sandbox.mode == Mode::Off || !may_matter(&attempt.0) || tried.contains(&attempt) {
                continue;
            }
            let program = if by_p0 { vec![p0.as_str(), "--version"] } else { vec!["sh", "-c", SCRIPT] };
            if let Err(why) = start(&p0, &attempt.0, &program) {
                let text =
                    format!("no program starts under the limits of role '{role}' ({}): {why}", written(&attempt.0));
                return Err(Problem::new(Kind::Config, text).hint(
                    "raise them in [sandbox], [agents.NAME.sandbox] or [roles.NAME.sandbox], or leave them out",
                ));
            }
            tried.push(attempt);
        }
    }
    Ok(())
}

/// Whether there is a limit that a program can meet at its start: the size of files is none.
fn may_matter(limits: &Rlimits) -> bool {
    limits.processes.is_some() || limits.open_files.is_some() || limits.memory_mb.is_some()
}

fn written(limits: &Rlimits) -> String {
    let Rlimits { processes, file_mb: _, open_files, memory_mb } = limits;
    let all = [("processes", processes), ("open_files", open_files), ("memory_mb", memory_mb)];
    let said = all.iter().filter_map(|(name, value)| Some(format!("{name} = {}", value.as_ref()?)));
    said.collect::<Vec<_>>().join(", ")
}

#[expect(clippy::disallowed_methods, reason = "a shell that ends at once; it is no agent and no gate")]
fn start(p0: &str, limits: &Rlimits, program: &[&str]) -> Result<(), String> {
    let limits = serde_json::to_string(limits).map_err(|e| e.to_string())?;
    let out = std::process::Command::new(p0).arg("__limited").arg(limits).args(program).output();
    let out = out.map_err(|e| e.to_string())?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    let ended = out.status.to_string();
    Err(if said.is_empty() { ended } else { format!("{ended}: {said}") })
}
