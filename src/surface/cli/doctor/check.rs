//! One check of `p0 doctor`.
use crate::service::problem::Problem;
use serde::Serialize;
use std::borrow::Cow;

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Ok,
    Warn,
    Fail,
}

/// One check.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) name: Cow<'static, str>,
    pub(super) verdict: Verdict,
    pub(super) text: String,
    pub(super) hint: Option<String>,
}

impl Check {
    pub(super) fn ok(name: impl Into<Cow<'static, str>>, text: impl Into<String>) -> Check {
        Check { name: name.into(), verdict: Verdict::Ok, text: text.into(), hint: None }
    }

    pub(super) fn of(name: impl Into<Cow<'static, str>>, verdict: Verdict, problem: Problem) -> Check {
        Check { name: name.into(), verdict, text: problem.detail, hint: problem.hint }
    }

    pub(super) fn fail(name: impl Into<Cow<'static, str>>, problem: Problem) -> Check {
        Check::of(name, Verdict::Fail, problem)
    }

    pub(super) fn warn(name: impl Into<Cow<'static, str>>, text: impl Into<String>, hint: &str) -> Check {
        Check { name: name.into(), verdict: Verdict::Warn, text: text.into(), hint: Some(hint.to_owned()) }
    }
}
