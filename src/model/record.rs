//! The envelope of an event, and the payload of a frame.
use super::{
    Time,
    actor::Actor,
    command::Command,
    event::Event,
    id::{AttemptId, RunId, TicketId},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An event with what it belongs to, before it has its place in the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Draft {
    /// When.
    pub at: Time,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// The ticket it is about.
    pub ticket: Option<TicketId>,
    /// The attempt it is about or comes from.
    pub attempt: Option<AttemptId>,
    /// Who caused it.
    pub actor: Actor,
    /// What happened.
    pub event: Event,
}

/// An event in its envelope, as stored and as shown: `{"seq","at","run","ticket","attempt","actor","kind","v","data"}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Record {
    /// Its place in the log: gapless, global, from 1.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// The run it belongs to.
    pub run: Option<RunId>,
    /// The ticket it is about.
    pub ticket: Option<TicketId>,
    /// The attempt it is about or comes from.
    pub attempt: Option<AttemptId>,
    /// Who caused it.
    pub actor: Actor,
    /// What happened: its kind.
    pub kind: String,
    /// The version of the kind.
    pub v: u32,
    /// What happened: its data.
    pub data: Value,
}

/// An event that this version cannot read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// The kind, or its version, is of a newer p0.
    #[error("event {seq} is of kind '{kind}' version {v}, which this version of p0 does not know; use a newer p0")]
    Unknown {
        /// Its place.
        seq: u64,
        /// Its kind.
        kind: String,
        /// Its version.
        v: u32,
    },
    /// The data does not fit the kind.
    #[error("event {seq} of kind '{kind}' does not have the form of its kind: {source}")]
    Form {
        /// Its place.
        seq: u64,
        /// Its kind.
        kind: String,
        /// What does not fit.
        source: serde_json::Error,
    },
}

impl Record {
    /// Puts a draft at its place in the log.
    pub fn new(seq: u64, draft: &Draft) -> Record {
        let data = match serde_json::to_value(&draft.event) {
            Ok(Value::Object(mut whole)) => whole.remove("data").unwrap_or(Value::Null),
            Ok(_) | Err(_) => Value::Null,
        };
        Record {
            seq,
            at: draft.at,
            run: draft.run,
            ticket: draft.ticket.clone(),
            attempt: draft.attempt,
            actor: draft.actor.clone(),
            kind: draft.event.kind().to_owned(),
            v: draft.event.version(),
            data,
        }
    }

    /// Reads the event back.
    ///
    /// # Errors
    /// A kind or version that this p0 does not know, or data that does not fit its kind.
    pub fn to_draft(&self) -> Result<Draft, Unreadable> {
        if self.v != 1 || !Event::KINDS.contains(&self.kind.as_str()) {
            return Err(Unreadable::Unknown { seq: self.seq, kind: self.kind.clone(), v: self.v });
        }
        let whole = serde_json::json!({"kind": self.kind, "data": self.data});
        let event = serde_json::from_value(whole).map_err(|source| Unreadable::Form {
            seq: self.seq,
            kind: self.kind.clone(),
            source,
        })?;
        Ok(Draft {
            at: self.at,
            run: self.run,
            ticket: self.ticket.clone(),
            attempt: self.attempt,
            actor: self.actor.clone(),
            event,
        })
    }
}

/// The payload of one frame: a command and the events it was decided into.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FramePayload {
    /// The version of this form (1).
    pub v: u32,
    /// The command.
    pub command: Command,
    /// Its events, in order.
    pub events: Vec<Record>,
}
