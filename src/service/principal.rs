//! Who asks. Comes with each request; the log names it as the actor of what follows.
use crate::model::{
    actor::Actor,
    id::{AttemptId, RoleName},
};

/// Who a request is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Principal {
    /// A user of this machine, or a program that works for one.
    User(String),
    /// A worker outside any run, known by the token of its claim.
    Worker(String),
    /// An attempt in its role, known by the token of its socket.
    Attempt(AttemptId, RoleName),
    /// The engine itself.
    Engine,
}

impl Principal {
    /// How the log names it.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Principal::User(name) => Actor::Person(name.as_str().into()),
            Principal::Worker(name) => Actor::Worker(name.as_str().into()),
            Principal::Attempt(attempt, role) => Actor::Agent { role: role.clone(), attempt: *attempt },
            Principal::Engine => Actor::Engine,
        }
    }

    /// Its name in a sentence.
    pub(crate) fn name(&self) -> String {
        match self {
            Principal::User(name) | Principal::Worker(name) => name.clone(),
            Principal::Attempt(attempt, role) => format!("{role}@{attempt}"),
            Principal::Engine => "the engine".to_owned(),
        }
    }
}
