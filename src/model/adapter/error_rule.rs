//! What error texts and statuses mean.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why a program gave up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// Not logged in, or the key was refused.
    Auth,
    /// Too many requests, or the allowance is used up.
    RateLimited,
    /// The provider is down or overloaded.
    Overloaded,
    /// The conversation no longer fits the model.
    Context,
    /// The request was refused: unknown model, bad request, not allowed.
    Refused,
    /// The program cannot be used as it is configured: a person has to change something.
    Configuration,
    /// The conversation to be resumed is not there: the driver begins a new one.
    ResumeFailed,
    /// Anything else.
    Other,
}

impl ErrorClass {
    /// The word in a `failed` line.
    pub fn word(self) -> &'static str {
        match self {
            ErrorClass::Auth => "auth",
            ErrorClass::RateLimited => "rate_limited",
            ErrorClass::Overloaded => "overloaded",
            ErrorClass::Context => "context",
            ErrorClass::Refused => "refused",
            ErrorClass::Configuration => "configuration",
            ErrorClass::ResumeFailed | ErrorClass::Other => "other",
        }
    }
}

/// One `[[errors]]` entry. It fits when the status is one of `status`, or when `text` matches the error's words (or a
/// line of stderr).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorRule {
    /// What it means.
    pub class: ErrorClass,
    /// HTTP statuses.
    #[serde(default)]
    pub status: Vec<u16>,
    /// A regular expression over the words. Its named groups say when it may be tried again: `d`, `h`, `m`, `s`, `ms`
    /// (from now, added up), `epoch` (seconds since 1970) or `clock` (`3pm`, `15:20`; local time). With
    /// `fatal` and `give_up_after`, the group `words` is what is told of a line of log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Whether the words on stderr (dialect `text`: also on stdout) are a failure even when the program ends with 0.
    #[serde(default)]
    pub fatal: bool,
    /// For programs that try again without end: the program is ended when it has complained so often, without any
    /// progress between. 0 = it is left to itself.
    #[serde(default)]
    pub give_up_after: u32,
    /// Whether it also counts when the agent's last message is nothing but a text that fits: for programs that tell an
    /// error as the model's words and end as usual. Only of a turn that did nothing else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_words: bool,
}
