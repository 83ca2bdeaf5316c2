//! Whether a workflow value makes sense, found with its graph.
use super::{Goal, StageName, Work, Workflow};
use petgraph::{algo::toposort, graphmap::DiGraphMap, visit::Dfs};
use std::collections::BTreeSet;

/// What is wrong with a workflow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// No stage at all.
    #[error("workflow '{workflow}' has no stage; give it one")]
    Empty {
        /// The workflow.
        workflow: String,
    },
    /// Two stages of one name.
    #[error("workflow '{workflow}' names the stage '{stage}' twice; rename one")]
    Twice {
        /// The workflow.
        workflow: String,
        /// The name.
        stage: StageName,
    },
    /// An exit leads nowhere.
    #[error("stage '{stage}' of workflow '{workflow}' leads to '{goal}', which is no stage of it")]
    UnknownStage {
        /// The workflow.
        workflow: String,
        /// Where the exit stands.
        stage: StageName,
        /// What it names.
        goal: StageName,
    },
    /// A stage names a role that has no rights.
    #[error("stage '{stage}' of workflow '{workflow}' uses the role '{role}', which the workflow does not define")]
    UnknownRole {
        /// The workflow.
        workflow: String,
        /// The stage.
        stage: StageName,
        /// The role.
        role: String,
    },
    /// A stage without a way out.
    #[error("stage '{stage}' of workflow '{workflow}' has no exit; a run would stay in it for ever")]
    NoExit {
        /// The workflow.
        workflow: String,
        /// The stage.
        stage: StageName,
    },
    /// A cycle inside one iteration.
    #[error("the stages of workflow '{workflow}' form a cycle through '{stage}'; only `next_iteration` may lead back")]
    Cycle {
        /// The workflow.
        workflow: String,
        /// A stage of the cycle.
        stage: StageName,
    },
    /// A stage nothing leads to.
    #[error("nothing leads to stage '{stage}' of workflow '{workflow}'; remove it or lead to it")]
    Unreachable {
        /// The workflow.
        workflow: String,
        /// The stage.
        stage: StageName,
    },
}

/// The first flaw of a workflow, if it has one.
pub fn check(workflow: &Workflow) -> Result<(), Flaw> {
    let name = || workflow.name.clone();
    let Some(first) = workflow.stages.first() else { return Err(Flaw::Empty { workflow: name() }) };
    let mut seen = BTreeSet::new();
    for stage in &workflow.stages {
        if !seen.insert(&stage.name) {
            return Err(Flaw::Twice { workflow: name(), stage: stage.name.clone() });
        }
    }
    let mut within = DiGraphMap::<&str, ()>::new();
    let mut all = DiGraphMap::<&str, ()>::new();
    for stage in &workflow.stages {
        check_roles(workflow, stage)?;
        if stage.exits.is_empty() {
            return Err(Flaw::NoExit { workflow: name(), stage: stage.name.clone() });
        }
        within.add_node(&stage.name.0);
        for exit in &stage.exits {
            let (goal, same_iteration) = match &exit.goal {
                Goal::Stage(goal) | Goal::Done { otherwise: goal } => (goal, true),
                Goal::NextIteration(goal) => (goal, false),
                Goal::Stuck => continue,
            };
            if workflow.stage(goal).is_none() {
                return Err(Flaw::UnknownStage { workflow: name(), stage: stage.name.clone(), goal: goal.clone() });
            }
            all.add_edge(&stage.name.0, &goal.0, ());
            if same_iteration {
                within.add_edge(&stage.name.0, &goal.0, ());
            }
        }
    }
    if let Err(cycle) = toposort(&within, None) {
        return Err(Flaw::Cycle { workflow: name(), stage: cycle.node_id().into() });
    }
    all.add_node(&first.name.0);
    let mut reached = BTreeSet::new();
    let mut walk = Dfs::new(&all, first.name.0.as_str());
    while let Some(node) = walk.next(&all) {
        reached.insert(node);
    }
    match workflow.stages.iter().find(|s| !reached.contains(s.name.0.as_str())) {
        Some(stage) => Err(Flaw::Unreachable { workflow: name(), stage: stage.name.clone() }),
        None => Ok(()),
    }
}

fn check_roles(workflow: &Workflow, stage: &super::Stage) -> Result<(), Flaw> {
    let roles: Vec<_> = match &stage.work {
        Work::Plan { role } | Work::EachReadyTicket { role } => vec![role],
        Work::Panel { roles, .. } => roles.iter().collect(),
    };
    match roles.into_iter().find(|r| !workflow.roles.contains_key(r)) {
        Some(role) => {
            Err(Flaw::UnknownRole { workflow: workflow.name.clone(), stage: stage.name.clone(), role: role.0.clone() })
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workflow::builtin;

    #[test]
    fn every_built_in_workflow_is_sound() {
        for name in builtin::NAMES {
            let workflow = builtin::named(name).unwrap();
            assert_eq!(check(&workflow), Ok(()));
        }
    }

    #[test]
    fn flaws_are_named() {
        let mut cyclic = builtin::ralph();
        cyclic.stages[2].exits[0].goal = Goal::Stage("plan".into());
        assert!(matches!(check(&cyclic), Err(Flaw::Cycle { .. })));
        let mut lost = builtin::ralph();
        lost.stages[1].exits[0].goal = Goal::Stage("nowhere".into());
        assert!(matches!(check(&lost), Err(Flaw::UnknownStage { goal, .. }) if goal.0 == "nowhere"));
        let mut island = builtin::ralph();
        let mut stage = island.stages[2].clone();
        stage.name = "island".into();
        island.stages.push(stage);
        assert!(matches!(check(&island), Err(Flaw::Unreachable { stage, .. }) if stage.0 == "island"));
        let mut nobody = builtin::ralph();
        nobody.roles.clear();
        assert!(matches!(check(&nobody), Err(Flaw::UnknownRole { .. })));
    }
}
