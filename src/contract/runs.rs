//! Runs: starting, listing, steering.
use crate::model::{
    Time,
    config::Overrides,
    id::{CommitId, MilestoneId, RunId},
    run::RunWord,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A spec to be run.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunRequest {
    /// An absolute path in the repository.
    pub project: PathBuf,
    /// The spec's text.
    pub spec: String,
    /// The workflow; null = as the spec or the configuration says.
    #[serde(default)]
    pub workflow: Option<String>,
    /// What goes before the configuration.
    #[serde(default)]
    pub overrides: Overrides,
    /// The revision to begin at; null = where the last run landed, or HEAD.
    #[serde(default)]
    pub base: Option<String>,
}

/// How a spec and its run came together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BegunHow {
    /// A new run.
    Started,
    /// Its unfinished run goes on.
    Attached,
    /// It is done already.
    AlreadyDone,
}

/// The run of a spec.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RunBegun {
    /// The run.
    pub run: RunId,
    /// New, or known.
    pub how: BegunHow,
    /// The sequence number of the run's first event.
    pub first: u64,
    /// The sequence number up to which it is history.
    pub seq: u64,
    /// The program that carries it out: `p0d`, `p0 run`.
    pub holder: String,
    /// The unfinished run of an earlier text of the spec that was cancelled for this one; null where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub superseded: Option<RunId>,
    /// The run goes on with another budget than was asked for: only a paused one takes a new budget.
    #[serde(default)]
    pub keeps_budget: bool,
}

impl RunBegun {
    /// What became of the run of an earlier text, if there was one.
    pub fn of_the_earlier(&self) -> Option<String> {
        let old = self.superseded?;
        Some(format!(
            "run {old} of the earlier text of this spec was cancelled; its unlanded work is kept under refs/p0/parked/"
        ))
    }

    /// What was asked for and does not apply, because the run goes on as it began. A budget applies to a run
    /// that was paused.
    pub fn left_out(&self, wanted: &RunRequest) -> Option<String> {
        let Overrides { agents, max_parallel, max_iterations, budget_usd, budget_tokens } = &wanted.overrides;
        let asked = [
            ("--workflow", wanted.workflow.is_some()),
            ("--agent", !agents.is_empty()),
            ("--base", wanted.base.is_some()),
            ("--max-parallel", max_parallel.is_some()),
            ("--max-iterations", max_iterations.is_some()),
            ("--budget-usd", self.keeps_budget && budget_usd.is_some()),
            ("--budget-tokens", self.keeps_budget && budget_tokens.is_some()),
        ];
        let names: Vec<&str> = asked.iter().filter(|(_, asked)| *asked).map(|(name, _)| *name).collect();
        (self.how == BegunHow::Attached && !names.is_empty())
            .then(|| format!("the run goes on as it began; not applied: {}", names.join(", ")))
    }
}

/// A run, in one row.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunRowDoc {
    /// Its id.
    pub run: RunId,
    /// Its milestone's key.
    pub milestone: String,
    /// Its milestone's title.
    pub title: String,
    /// The repository's root.
    pub project: String,
    /// The workflow's name.
    pub workflow: String,
    /// How it stands.
    #[schemars(with = "RunWord")]
    pub state: String,
    /// Why it is in this state; null where the state says it all.
    pub reason: Option<String>,
    /// Its integration branch.
    pub branch: String,
    /// The head of its branch, or its base.
    pub commit: CommitId,
    /// When it began.
    pub started_at: Time,
    /// When it was over; null while it is not.
    pub ended_at: Option<Time>,
}

/// A milestone whose record cannot be followed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct QuarantinedDoc {
    /// Its id.
    pub milestone: MilestoneId,
    /// Its key.
    pub key: String,
    /// Why its record cannot be followed.
    pub why: String,
}

/// Why a run is paused, resumed or cancelled.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct SteerRequest {
    /// The reason, for the log; null = the name of who asks stands for it.
    #[serde(default)]
    pub why: Option<String>,
    /// With `resume`: what may be spent from now on, in US dollars; null = as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_usd: Option<f64>,
    /// With `resume`: what may be spent from now on, in tokens; null = as before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_tokens: Option<u64>,
}

/// In which language a graph is drawn.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct GraphQuery {
    /// `dot` (null means this) or `mermaid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
}

/// The tickets of a run and what they depend on, drawn.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct GraphDoc {
    /// The text in the language that was asked for.
    pub graph: String,
}
