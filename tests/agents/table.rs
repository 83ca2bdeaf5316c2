//! The table: every scenario with codex and codex-acp in every check, and with the successor of codex-acp, claude-acp and aider
//! those that differ most; with all agents on demand.
use crate::{
    agent::{AIDER, ALL, Agent, CLAUDE_ACP, CODEX_ACP, CODEX_ACP_2, CODEX_EXEC, left_out},
    scenarios::{self, Scenario},
};
use std::{any::Any, fmt::Write, panic};

/// `$agent` in each of the scenarios.
macro_rules! checks {
    ($module:ident: $agent:ident in $($name:ident),*) => {
        mod $module {
            $(#[test] fn $name() { super::check(super::$agent, super::scenarios::$name); })*
        }
    };
}

checks!(codex: CODEX_EXEC in implements, outside, permission, approved, unauthorized, server_error, hang, killed_daemon,
        resumed, every_role, budget);
checks!(codex_acp: CODEX_ACP in implements, outside, permission, approved, unauthorized, server_error, hang, killed_daemon,
        resumed, every_role, budget);
checks!(codex_acp_2: CODEX_ACP_2 in permission, approved, unauthorized, resumed, every_role);
checks!(claude_acp: CLAUDE_ACP in permission, approved, unauthorized, resumed, every_role);
checks!(aider: AIDER in unauthorized, every_role);

fn check(agent: Agent, scenario: fn(Agent) -> String) {
    if !left_out() {
        println!("{}: {}", agent.name, scenario(agent));
    }
}

/// Each in a thread of its own: most of it is waiting.
fn side_by_side(agents: &[Agent], scenario: fn(Agent) -> String) {
    std::thread::scope(|scope| {
        for agent in agents {
            scope.spawn(move || check(*agent, scenario));
        }
    });
}

#[test]
fn a_rate_limit() {
    side_by_side(&[CODEX_EXEC, CODEX_ACP], scenarios::rate_limit);
}

#[test]
fn server_errors() {
    side_by_side(&[CODEX_ACP_2, CLAUDE_ACP, AIDER], scenarios::server_error);
}

#[test]
fn hangs() {
    side_by_side(&[CODEX_ACP_2, CLAUDE_ACP, AIDER], scenarios::hang);
}

/// `P0_TEST_AGENTS_ALL=DIR`: the table of docs/agents.md. `P0_TEST_AGENTS_ONLY=NAME,…` and
/// `P0_TEST_AGENTS_SCENARIOS=NAME,…` narrow it.
#[test]
#[ignore = "needs every agent installed; P0_TEST_AGENTS_ALL=DIR cargo test --test agents all_agents -- --ignored --nocapture"]
fn all_agents() {
    assert!(std::env::var_os("P0_TEST_AGENTS_ALL").is_some(), "P0_TEST_AGENTS_ALL=DIR says where the programs are");
    let wanted = |variable: &str, name: &str| {
        std::env::var(variable).map_or(true, |list| list.split(',').any(|word| word == name))
    };
    let (mut table, mut failed) = (String::new(), Vec::new());
    for agent in ALL.iter().filter(|a| wanted("P0_TEST_AGENTS_ONLY", a.name)) {
        if !agent.path().exists() {
            writeln!(table, "| {} | – | not installed |", agent.name).unwrap();
            continue;
        }
        for (name, scenario) in scenarios::ALL.iter().filter(|(n, _)| wanted("P0_TEST_AGENTS_SCENARIOS", n)) {
            let seen = seen(*agent, (name, *scenario)).unwrap_or_else(|why| {
                failed.push(format!("{} {name}: {why}", agent.name));
                "FAILED".to_owned()
            });
            println!("| {} | {name} | {seen} |", agent.name);
            writeln!(table, "| {} | {name} | {seen} |", agent.name).unwrap();
        }
    }
    println!("\n{table}");
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn seen(agent: Agent, (_, scenario): Scenario) -> Result<String, String> {
    panic::catch_unwind(move || scenario(agent)).map_err(|panic: Box<dyn Any + Send>| {
        let text = panic.downcast_ref::<String>().cloned();
        text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned())).unwrap_or_default()
    })
}
