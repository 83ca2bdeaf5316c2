//! What went wrong, as the edge tells it: a kind (with its exit code and HTTP status), a chain of sentences, a hint.
use crate::{
    contract::problem::ProblemDoc,
    engine::{
        handle::{NotRedacted, ReadError, SubmitError},
        start::StartError,
    },
    model::{config::BadConfig, rejection::Rejection, spec::BadSpec, workflow::check::Flaw},
    views::catalog::{Lookup, NotOne, RowError},
};
use std::{fmt, path::Path};

/// The kinds of problem, one per exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Anything without a kind of its own.
    General,
    /// The words of the command or request make no sense.
    Usage,
    /// Configuration, spec, workflow or repository.
    Config,
    /// There is no such thing.
    NotFound,
    /// The store is locked, damaged or full.
    Store,
    /// Rights or rules forbid it.
    Refused,
    /// The log does not say what it should.
    Diverged,
}

impl Kind {
    /// The exit code of `p0`.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::General => 1,
            Kind::Usage => 2,
            Kind::Config => 3,
            Kind::NotFound => 4,
            Kind::Store => 5,
            Kind::Refused => 6,
            Kind::Diverged => 20,
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Kind::General | Kind::Diverged => 500,
            Kind::Usage => 400,
            Kind::Config => 422,
            Kind::NotFound => 404,
            Kind::Store => 503,
            Kind::Refused => 403,
        }
    }

    /// A title for `application/problem+json`.
    pub fn title(self) -> &'static str {
        match self {
            Kind::General => "an error",
            Kind::Usage => "wrong usage",
            Kind::Config => "bad configuration, spec or workflow",
            Kind::NotFound => "not found",
            Kind::Store => "the store is locked, damaged or full",
            Kind::Refused => "refused",
            Kind::Diverged => "replay or verification failed",
        }
    }

    /// The kind of an exit code that came over the wire.
    pub fn of_code(code: u8) -> Kind {
        let all = [Kind::Usage, Kind::Config, Kind::NotFound, Kind::Store, Kind::Refused, Kind::Diverged];
        all.into_iter().find(|k| k.exit_code() == code).unwrap_or(Kind::General)
    }
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its kind.
    pub kind: Kind,
    /// One sentence.
    pub detail: String,
    /// What to do, where `detail` does not say it.
    pub hint: Option<String>,
    /// The rule that refused it, where one did.
    pub rejection: Option<Box<Rejection>>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl std::error::Error for Problem {}

impl Problem {
    /// A problem of a kind.
    pub fn new(kind: Kind, detail: impl fmt::Display) -> Problem {
        Problem { kind, detail: detail.to_string(), hint: None, rejection: None }
    }

    /// With a hint.
    pub fn hint(mut self, hint: impl Into<String>) -> Problem {
        self.hint = Some(hint.into());
        self
    }

    /// An error with a message, and everything it was caused by.
    pub fn general(error: &dyn std::error::Error) -> Problem {
        Problem::new(Kind::General, chain(error))
    }

    /// Input or output on a path.
    pub fn io(doing: &str, path: &Path, error: &std::io::Error) -> Problem {
        let kind = if crate::journal::error::is_full(error) { Kind::Store } else { Kind::General };
        Problem::new(kind, format!("{doing} {}: {error}", path.display()))
    }

    /// As it travels.
    pub(crate) fn wire(&self) -> ProblemDoc {
        ProblemDoc {
            title: self.kind.title().to_owned(),
            status: self.kind.status(),
            detail: self.detail.clone(),
            code: self.kind.exit_code(),
            hint: self.hint.clone(),
            reason: self.rejection.as_deref().cloned(),
        }
    }

    /// As it came.
    pub(crate) fn from_wire(wire: ProblemDoc) -> Problem {
        let rejection = wire.reason.map(Box::new);
        Problem { kind: Kind::of_code(wire.code), detail: wire.detail, hint: wire.hint, rejection }
    }
}

/// An error and its causes in one line; a cause already told by the sentence before is not told again.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

impl From<SubmitError> for Problem {
    fn from(error: SubmitError) -> Problem {
        match error {
            SubmitError::Rejected(rejection) => rejection.into(),
            SubmitError::NoRoom(_) | SubmitError::Unredacted(NotRedacted::Patterns(_)) | SubmitError::Stopped(_) => {
                Problem::new(Kind::Store, error)
            }
            SubmitError::Unredacted(NotRedacted::Value(_)) => Problem::new(Kind::Refused, error),
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Problem {
        let kind = match &rejection {
            Rejection::NotFound { .. } | Rejection::NothingReady { .. } => Kind::NotFound,
            Rejection::Refused { .. }
            | Rejection::Cycle { .. }
            | Rejection::Owned { .. }
            | Rejection::NotHolder { .. }
            | Rejection::Taken { .. }
            | Rejection::RunOver { .. } => Kind::Refused,
            Rejection::Quarantined { .. } => Kind::Store,
        };
        Problem { rejection: Some(Box::new(rejection.clone())), ..Problem::new(kind, rejection) }
    }
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        Problem::new(Kind::Store, error).hint("check the log with `p0 audit verify`")
    }
}

/// A blob cannot be kept.
impl From<crate::journal::Error> for Problem {
    fn from(error: crate::journal::Error) -> Problem {
        Problem::new(Kind::Store, error)
    }
}

impl From<StartError> for Problem {
    fn from(error: StartError) -> Problem {
        match error {
            StartError::Locked(_) => Problem::new(Kind::Store, error)
                .hint("stop the other process, or use another data directory with --data-dir"),
            StartError::Store(_) => {
                Problem::new(Kind::Store, error).hint("see what is wrong with `p0 audit verify`; nothing was changed")
            }
            StartError::Other(_) => Problem::new(Kind::General, error),
        }
    }
}

impl From<NotOne> for Problem {
    fn from(error: NotOne) -> Problem {
        match error {
            NotOne::None { what: "run", .. } => Problem::new(Kind::NotFound, error).hint("list them with `p0 runs`"),
            NotOne::None { what: "ticket", .. } => {
                Problem::new(Kind::NotFound, error).hint("list them with `p0 tickets`")
            }
            NotOne::None { .. } | NotOne::Several { .. } => Problem::new(Kind::NotFound, error),
        }
    }
}

impl From<RowError> for Problem {
    fn from(error: RowError) -> Problem {
        Problem::new(Kind::Store, error)
            .hint("check the log with `p0 audit verify`; the store is made anew at the next start")
    }
}

impl From<Lookup> for Problem {
    fn from(error: Lookup) -> Problem {
        match error {
            Lookup::Name(name) => name.into(),
            Lookup::Rows(rows) => rows.into(),
        }
    }
}

impl From<BadSpec> for Problem {
    fn from(error: BadSpec) -> Problem {
        Problem::new(Kind::Config, error)
    }
}

impl From<BadConfig> for Problem {
    fn from(error: BadConfig) -> Problem {
        Problem::new(Kind::Config, error)
    }
}

impl From<Flaw> for Problem {
    fn from(error: Flaw) -> Problem {
        Problem::new(Kind::Config, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::AppendError;

    #[test]
    fn kinds_come_back_over_the_wire() {
        let kinds =
            [Kind::General, Kind::Usage, Kind::Config, Kind::NotFound, Kind::Store, Kind::Refused, Kind::Diverged];
        for kind in kinds {
            let problem = Problem::new(kind, "x").hint("y");
            let text = serde_json::to_string(&problem.wire()).unwrap();
            assert_eq!(Problem::from_wire(serde_json::from_str(&text).unwrap()), problem);
        }
    }

    #[test]
    fn a_rule_that_refused_stays_data_over_the_wire() {
        let ticket = crate::model::id::TicketId::new("BLOG", 2);
        let problem = Problem::from(Rejection::NotHolder { ticket });
        let mut wire = serde_json::to_value(problem.wire()).unwrap();
        assert_eq!(wire["reason"], serde_json::json!({"rejection": "not_holder", "ticket": "BLOG-2"}));
        assert_eq!(Problem::from_wire(serde_json::from_value(wire.clone()).unwrap()), problem);
        wire["reason"] = serde_json::json!({"rejection": "of_a_later_version"});
        let told = Problem::from_wire(serde_json::from_value(wire).unwrap());
        assert_eq!(told, Problem { rejection: None, ..problem }, "the sentence stays");
    }

    #[test]
    fn rejections_keep_their_exit_codes() {
        let code = |r: Rejection| Problem::from(r).kind.exit_code();
        assert_eq!(code(Rejection::NothingReady { why: None }), 4);
        assert_eq!(code(Rejection::refused("no")), 6);
        assert_eq!(code(Rejection::Quarantined { why: "x".into() }), 5);
        let no_room = AppendError::NoRoom { path: "journal".into(), needed_bytes: 1, what: "full".into() };
        assert_eq!(Problem::from(SubmitError::NoRoom(std::sync::Arc::new(no_room))).kind.exit_code(), 5);
    }
}
