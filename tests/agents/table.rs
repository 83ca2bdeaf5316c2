//! The table: every scenario with codex and codex-acp in every check; with all agents on demand.
use crate::{
    agent::{ALL, Agent, CODEX_ACP, CODEX_EXEC, left_out, programs},
    scenarios::{self, Scenario},
};
use std::{any::Any, fmt::Write, panic};

macro_rules! checks {
    ($($name:ident),*) => {
        mod codex {
            $(#[test] fn $name() { super::check(super::CODEX_EXEC, super::scenarios::$name); })*
        }
        mod codex_acp {
            $(#[test] fn $name() { super::check(super::CODEX_ACP, super::scenarios::$name); })*
        }
    };
}

checks!(
    implements,
    outside,
    permission,
    approved,
    unauthorized,
    server_error,
    hang,
    killed_daemon,
    resumed,
    every_role,
    budget
);

fn check(agent: Agent, scenario: fn(Agent) -> String) {
    if !left_out() {
        println!("{}: {}", agent.kind, scenario(agent));
    }
}

/// Both at once: most of it is waiting for a minute to pass.
#[test]
fn a_rate_limit() {
    std::thread::scope(|scope| {
        for agent in [CODEX_EXEC, CODEX_ACP] {
            scope.spawn(move || check(agent, scenarios::rate_limit));
        }
    });
}

/// `P0_TEST_AGENTS_ALL=DIR`: the table of docs/agents.md. `P0_TEST_AGENTS_ONLY=KIND,…` and
/// `P0_TEST_AGENTS_SCENARIOS=NAME,…` narrow it.
#[test]
#[ignore = "needs every agent installed; P0_TEST_AGENTS_ALL=DIR cargo test --test agents all_agents -- --ignored --nocapture"]
fn all_agents() {
    assert!(std::env::var_os("P0_TEST_AGENTS_ALL").is_some(), "P0_TEST_AGENTS_ALL=DIR says where the programs are");
    let wanted = |variable: &str, name: &str| {
        std::env::var(variable).map_or(true, |list| list.split(',').any(|word| word == name))
    };
    let (mut table, mut failed) = (String::new(), Vec::new());
    for agent in ALL.iter().filter(|a| wanted("P0_TEST_AGENTS_ONLY", a.kind)) {
        if !programs().join(agent.program).exists() {
            writeln!(table, "| {} | – | not installed |", agent.kind).unwrap();
            continue;
        }
        for (name, scenario) in scenarios::ALL.iter().filter(|(n, _)| wanted("P0_TEST_AGENTS_SCENARIOS", n)) {
            let seen = seen(*agent, (name, *scenario)).unwrap_or_else(|why| {
                failed.push(format!("{} {name}: {why}", agent.kind));
                "FAILED".to_owned()
            });
            println!("| {} | {name} | {seen} |", agent.kind);
            writeln!(table, "| {} | {name} | {seen} |", agent.kind).unwrap();
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
