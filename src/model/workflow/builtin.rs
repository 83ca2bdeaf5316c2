//! The workflows that ship with p0.
use super::{Choice, DoneRules, Exit, Goal, Rights, Stage, When, Work, Workflow};
use std::collections::BTreeMap;

/// The names of the built-in workflows.
pub const NAMES: &[&str] = &["ralph"];

/// The built-in workflow of this name.
pub fn named(name: &str) -> Option<Workflow> {
    match name {
        "ralph" => Some(ralph()),
        _ => None,
    }
}

/// `ralph`: a planner decides CONTINUE, DONE or STUCK; executors work side by side; then a verifier and the
/// specialists judge the head, read-only, and the next iteration's planner reads what they said.
pub fn ralph() -> Workflow {
    let decided = |choice, goal| Exit { when: When::Decided(choice), goal };
    let finished = |goal| Exit { when: When::Finished, goal };
    Workflow {
        name: "ralph".into(),
        version: 1,
        stages: vec![
            Stage {
                name: "plan".into(),
                work: Work::Plan { role: "planner".into() },
                exits: vec![
                    decided(Choice::Continue, Goal::Stage("execute".into())),
                    decided(Choice::Done, Goal::Done { otherwise: "judge".into() }),
                    decided(Choice::Stuck, Goal::Stuck),
                ],
            },
            Stage {
                name: "execute".into(),
                work: Work::EachReadyTicket { role: "executor".into() },
                exits: vec![finished(Goal::Stage("judge".into()))],
            },
            Stage {
                name: "judge".into(),
                work: Work::Panel { roles: vec!["verifier".into()], every_specialist: true },
                exits: vec![finished(Goal::NextIteration("plan".into()))],
            },
        ],
        roles: BTreeMap::from([
            ("planner".into(), Rights::Planner),
            ("executor".into(), Rights::Executor),
            ("verifier".into(), Rights::Verifier),
        ]),
        done: DoneRules { verdict: true, no_open_high: true, medium_deferred: true },
    }
}
