//! What can be wrong with a configuration, each with its mend.
use crate::adapter::BadAdapter;

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadConfig {
    /// Not TOML, or not of the form.
    #[error("{path}: {why}")]
    Syntax {
        /// The file.
        path: String,
        /// The parser's words, with line and column.
        why: String,
    },
    /// An agent of no known kind.
    #[error("agent '{agent}': there is no kind '{kind}'; there are: {known}")]
    UnknownKind {
        /// The agent.
        agent: String,
        /// Its kind.
        kind: String,
        /// Those that are.
        known: String,
    },
    /// A table of `[adapters]` makes no sense.
    #[error(transparent)]
    Adapter(#[from] BadAdapter),
    /// An agent without a program or file.
    #[error("agent '{agent}': {what}")]
    Incomplete {
        /// The agent.
        agent: String,
        /// What to add.
        what: String,
    },
    /// A role names an agent that is not there.
    #[error("role '{role}' uses the agent '{agent}', which is not configured (there are: {known})")]
    UnknownAgent {
        /// The role.
        role: String,
        /// The agent.
        agent: String,
        /// Those that are.
        known: String,
    },
    /// A role that the workflow does not have.
    #[error("there is no role '{role}' in workflow '{workflow}' (there are: {known})")]
    UnknownRole {
        /// The role.
        role: String,
        /// The workflow.
        workflow: String,
        /// Those that are.
        known: String,
    },
    /// Nobody plays a role that the workflow needs.
    #[error(
        "no agent plays the role '{role}' of workflow '{workflow}'; \
         add [roles.{role}] with agent = \"NAME\" to .p0/config.toml, or --agent {role}=NAME"
    )]
    NoAgent {
        /// The role.
        role: String,
        /// The workflow.
        workflow: String,
    },
    /// A number that cannot be.
    #[error("{name} must be at least 1")]
    Zero {
        /// The setting.
        name: String,
    },
    /// A pattern of `[secrets]` that cannot be used.
    #[error("[secrets] patterns: the {nth}. pattern {why}")]
    Pattern {
        /// Which, from 1.
        nth: usize,
        /// Why not.
        why: String,
    },
    /// An empty gate command.
    #[error("[gates] commands: the {nth}. command is empty; name a program")]
    EmptyGate {
        /// Which, from 1.
        nth: usize,
    },
    /// A pattern of `[files] generated`.
    #[error("[files] generated: '{pattern}' is no pattern of paths: {why}")]
    Glob {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// A budget that is none.
    #[error("[budget]: {why}")]
    Budget {
        /// What is wrong with it.
        why: String,
    },
    /// A specialist with the name of a role, whose rights it would take.
    #[error(
        "[specialists.{name}]: '{name}' is a role of workflow '{workflow}'; write [roles.{name}], or choose another name"
    )]
    NoSpecialist {
        /// The name.
        name: String,
        /// The workflow.
        workflow: String,
    },
}
