//! Who did something.
use super::{
    id::{AttemptId, RoleName},
    text,
};
use compact_str::CompactString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Who caused a command or an event. Written as one word, so that the audit log can be filtered by its beginning:
/// `engine`, `person:ada`, `worker:ci-3`, `executor@<attempt>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// The engine itself, by its rules.
    Engine,
    /// A person at the command line, or a program acting for one.
    Person(CompactString),
    /// A worker outside any run that claims tickets.
    Worker(CompactString),
    /// An attempt, in its role.
    Agent {
        /// The role it acts in.
        role: RoleName,
        /// The attempt.
        attempt: AttemptId,
    },
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Actor::Engine => f.write_str("engine"),
            Actor::Person(name) => write!(f, "person:{name}"),
            Actor::Worker(name) => write!(f, "worker:{name}"),
            Actor::Agent { role, attempt } => write!(f, "{role}@{attempt}"),
        }
    }
}

/// A text that names no actor.
#[derive(Debug, thiserror::Error)]
#[error("'{0}' is not an actor (engine, person:NAME, worker:NAME or ROLE@ATTEMPT)")]
pub struct ActorError(String);

impl FromStr for Actor {
    type Err = ActorError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "engine" {
            return Ok(Actor::Engine);
        }
        if let Some(name) = text.strip_prefix("person:") {
            return Ok(Actor::Person(name.into()));
        }
        if let Some(name) = text.strip_prefix("worker:") {
            return Ok(Actor::Worker(name.into()));
        }
        text.rsplit_once('@')
            .and_then(|(role, attempt)| Some(Actor::Agent { role: role.into(), attempt: attempt.parse().ok()? }))
            .ok_or_else(|| ActorError(text.to_owned()))
    }
}

impl Serialize for Actor {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Actor {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        text::deserialize(d, "an actor")
    }
}

impl JsonSchema for Actor {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Actor".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "engine | person:NAME | worker:NAME | ROLE@ATTEMPT"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_read_back() {
        let attempt = AttemptId(uuid::Uuid::nil());
        for actor in [
            Actor::Engine,
            Actor::Person("ada@home".into()),
            Actor::Worker("ci".into()),
            Actor::Agent { role: "executor".into(), attempt },
        ] {
            assert_eq!(actor.to_string().parse::<Actor>().unwrap(), actor);
        }
        assert!("nobody".parse::<Actor>().is_err());
    }
}
