//! What a call is answered with.
use crate::service::problem::Problem;
use serde::Serialize;
use serde_json::Value;

/// The answer to a call. A failure is an answer too: the agent reads it and mends its call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// What p0 says.
    pub(crate) text: String,
    /// A JSON object beside it, such as the document that `--json` prints.
    pub(crate) data: Option<Value>,
    /// Whether nothing came of the call.
    pub(crate) failed: bool,
}

impl Answer {
    /// Something came of it.
    pub(crate) fn told(text: impl Into<String>) -> Answer {
        Answer { text: text.into(), data: None, failed: false }
    }

    /// Nothing came of it, and what to do.
    pub(crate) fn failed(text: impl Into<String>) -> Answer {
        Answer { text: text.into(), data: None, failed: true }
    }

    /// A document, for agents that read text only and for programs alike.
    pub(crate) fn document(document: &impl Serialize) -> Answer {
        match serde_json::to_string(document) {
            Ok(text) => Answer::told(text),
            Err(e) => Answer::failed(format!("the answer cannot be written down: {e}")),
        }
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Answer {
        let hint = problem.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        Answer::failed(format!("{}{hint}", problem.detail))
    }
}
