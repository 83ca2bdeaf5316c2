//! What the tools of a person's assistant are asked for.
use schemars::JsonSchema;
use serde::Deserialize;

/// A run to start.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct RunWish {
    /// The whole spec as Markdown: a title and what is wanted.
    pub(super) spec: Option<String>,
    /// The path of a Markdown file, instead of `spec`; the repository's SPEC.md when both are left out.
    pub(super) path: Option<String>,
    /// The repository; the one around the working directory when left out.
    pub(super) project: Option<String>,
    /// The workflow.
    pub(super) workflow: Option<String>,
    /// Who plays a role, beside the configuration: ROLE=AGENT each, such as executor=codex.
    pub(super) agents: Vec<String>,
    /// The revision to begin at.
    pub(super) base: Option<String>,
    /// Attempts at work at the same time.
    pub(super) max_parallel: Option<u32>,
    /// Turns of the planner.
    pub(super) max_iterations: Option<u32>,
    /// What may be spent, in US dollars.
    pub(super) budget_usd: Option<f64>,
    /// What may be spent, in tokens.
    pub(super) budget_tokens: Option<u64>,
}

/// A run.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct OneRun {
    /// Its id or the beginning of it; the newest run when left out.
    pub(super) run: Option<String>,
}

/// Nothing.
#[derive(Debug, Default, Deserialize, JsonSchema)]
pub(super) struct Naming {}

/// Which work items.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Tickets {
    /// Those of this run's milestone; of the newest run when left out.
    pub(super) run: Option<String>,
    /// Those of every milestone.
    pub(super) all: bool,
}

/// A work item.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct OneTicket {
    /// Its id, such as BLOG-2.
    pub(super) ticket: String,
}

/// Which events.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Audit {
    /// Those of this run; @last is the newest.
    pub(super) run: Option<String>,
    /// Those about this ticket.
    pub(super) ticket: Option<String>,
    /// Those caused by an actor that begins so: engine, person:ada, executor@
    pub(super) actor: Option<String>,
    /// Those of a kind that begins so: ticket., run.done
    pub(super) kind: Option<String>,
    /// Those after this event's number, or not before this time (RFC 3339).
    pub(super) since: Option<String>,
    /// Those up to and with this event's number or time.
    pub(super) until: Option<String>,
    /// How many to show at the most, the newest of them; 50 when left out.
    pub(super) limit: Option<u32>,
}

/// A run that is steered.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Steering {
    /// Its id or the beginning of it; the newest run when left out.
    pub(super) run: Option<String>,
    /// Why, for the log.
    pub(super) reason: Option<String>,
    /// With `resume`: what the whole run may spend from now on, in US dollars.
    pub(super) budget_usd: Option<f64>,
    /// With `resume`: what the whole run may spend from now on, in tokens.
    pub(super) budget_tokens: Option<u64>,
}

/// Which questions.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Approvals {
    /// Those of this run.
    pub(super) run: Option<String>,
    /// Those that are answered as well.
    pub(super) all: bool,
}

/// A question that is decided.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Deciding {
    /// Its id, such as BLOG-A1.
    pub(super) id: String,
    /// Why, for the agent and the log.
    #[serde(default)]
    pub(super) reason: Option<String>,
}

/// An answer in words.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Saying {
    /// The ticket's id, such as BLOG-2, or that of an approval, such as BLOG-A1.
    pub(super) id: String,
    /// The answer.
    pub(super) text: String,
}
