//! A workflow as a value: stages, the roles that work in them, where each stage leads, and when a run may end.
//!
//! The kernel interprets this value and knows none by name. The built-in ones are in [`builtin`].
use super::id::{RoleName, StageName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

pub mod builtin;
pub mod check;

/// What a role may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rights {
    /// Work items, priorities, the decision, curated learnings. No file.
    Planner,
    /// Status, comments, sub-tasks and learnings of its ticket, and that ticket's files.
    Executor,
    /// One verdict. No work item, no file.
    Verifier,
    /// Feedback items. No file.
    Specialist,
}

/// Who works in a stage, and how the work is handed out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "hand_out", rename_all = "snake_case")]
pub enum Work {
    /// One attempt that plans: its items and its decision are applied together.
    Plan {
        /// The planning role.
        role: RoleName,
    },
    /// One attempt per ready ticket, as many at once as the limits allow, until none is ready.
    EachReadyTicket {
        /// The role that does a ticket.
        role: RoleName,
    },
    /// One attempt of every named role, side by side, read-only, on the run's head.
    Panel {
        /// The roles that must be heard.
        roles: Vec<RoleName>,
        /// Whether every configured specialist is heard too.
        every_specialist: bool,
    },
}

/// The planner's answer to "what now?".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// There is work to do.
    Continue,
    /// The spec is met.
    Done,
    /// It cannot be met as things are.
    Stuck,
}

/// When a way out of a stage is taken. The first that holds, in the order written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// The planner of this stage decided so.
    Decided(Choice),
    /// As soon as the stage's work is done.
    Finished,
}

/// Where a way out leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// To another stage of the same iteration.
    Stage(StageName),
    /// Back to a stage, as the next iteration.
    NextIteration(StageName),
    /// To DONE, where the exit rules allow it.
    Done {
        /// The stage that gets what DONE still lacks (a verdict on the head).
        otherwise: StageName,
    },
    /// To STUCK, with the planner's reason.
    Stuck,
}

/// One way out of a stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exit {
    /// The condition.
    pub when: When,
    /// Where it leads.
    pub goal: Goal,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Stage {
    /// Its name, unique in the workflow.
    pub name: StageName,
    /// Who works in it.
    pub work: Work,
    /// Its ways out, first match first.
    pub exits: Vec<Exit>,
}

/// What DONE asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoneRules {
    /// A verdict "met" on the head of the run.
    pub verdict: bool,
    /// No open item of high priority.
    pub no_open_high: bool,
    /// Every open item of medium priority is put off with a reason.
    pub medium_deferred: bool,
}

/// A whole workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Workflow {
    /// Its name, for people.
    pub name: String,
    /// The version of this form (1).
    pub version: u32,
    /// The stages; a run begins in the first.
    pub stages: Vec<Stage>,
    /// What each role of the workflow may do.
    pub roles: BTreeMap<RoleName, Rights>,
    /// What DONE asks for.
    pub done: DoneRules,
}

impl Workflow {
    /// The stage of this name.
    pub fn stage(&self, name: &StageName) -> Option<&Stage> {
        self.stages.iter().find(|s| s.name == *name)
    }
}
