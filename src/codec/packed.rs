//! Reading the packed form of a payload (see [`super::payload`]) where it stands: what a frame's events belong to is read
//! for every event of every log that is folded, so it is read by hand. The events themselves, and the command, are left
//! as bytes.
use crate::model::{
    Time,
    actor::{Actor, ActorError},
    id::{AttemptId, RunId, TicketId, TicketIdError},
};
use rmp::decode::{self, NumValueReadError, ValueReadError};
use std::{num::TryFromIntError, str::Utf8Error};
use uuid::Uuid;

/// Why bytes are not the packed form of a payload.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error(transparent)]
    Value(#[from] ValueReadError),
    #[error(transparent)]
    Number(#[from] NumValueReadError),
    #[error(transparent)]
    Length(#[from] TryFromIntError),
    #[error(transparent)]
    Id(#[from] uuid::Error),
    #[error(transparent)]
    Text(#[from] Utf8Error),
    #[error(transparent)]
    Ticket(#[from] TicketIdError),
    #[error(transparent)]
    Actor(#[from] ActorError),
    #[error("a list of {found} where there should be {wanted}")]
    List { found: usize, wanted: usize },
    #[error("'{0}' says nothing about a run")]
    Run(String),
    #[error("it ends within a value")]
    CutOff,
}

/// What an event belongs to.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(super) seq: u64,
    pub(super) at: Time,
    pub(super) run: Option<RunId>,
    pub(super) ticket: Option<TicketId>,
    pub(super) attempt: Option<AttemptId>,
    pub(super) actor: Actor,
}

/// An event: what it belongs to, the version of its kind, and its bytes.
pub(super) type PackedEvent<'a> = (Envelope, u32, &'a [u8]);

/// The events of a payload, the first of which is `first_seq`, and the bytes of its command.
pub(super) fn read(payload: &[u8], first_seq: u64) -> Result<(Vec<PackedEvent<'_>>, &[u8]), Malformed> {
    let mut cursor = Cursor(payload);
    cursor.array_of(4)?;
    let at = cursor.moment()?;
    let run = cursor.or_nil(Cursor::id)?.map(RunId);
    let count = cursor.array()?;
    // A number that lies takes no memory.
    let mut events = Vec::with_capacity(count.min(64));
    for seq in (first_seq..).take(count) {
        events.push(cursor.event(seq, at, run)?);
    }
    Ok((events, cursor.bytes()?))
}

/// MessagePack values, one after the other.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    const NIL: u8 = 0xc0;
    /// A map of one entry.
    const ONE: u8 = 0x81;

    fn event(&mut self, seq: u64, at: Time, of_frame: Option<RunId>) -> Result<PackedEvent<'a>, Malformed> {
        self.array_of(7)?;
        let at = self.or_nil(Cursor::moment)?.unwrap_or(at);
        let run = self.run(of_frame)?;
        let ticket: Option<TicketId> = self.or_nil(Cursor::text)?.map(str::parse).transpose()?;
        let attempt = self.or_nil(Cursor::id)?.map(AttemptId);
        let actor = self.text()?.parse()?;
        let version = decode::read_int(&mut self.0)?;
        Ok((Envelope { seq, at, run, ticket, attempt, actor }, version, self.bytes()?))
    }

    /// `"n"` for none, `"f"` for the frame's, `{"o": id}` for another one.
    fn run(&mut self, of_frame: Option<RunId>) -> Result<Option<RunId>, Malformed> {
        let is_other = self.0.first() == Some(&Self::ONE);
        if is_other {
            self.0 = &self.0[1..];
        }
        match (self.text()?, is_other) {
            ("n", false) => Ok(None),
            ("f", false) => Ok(of_frame),
            ("o", true) => self.id().map(|id| Some(RunId(id))),
            (other, _) => Err(Malformed::Run(other.to_owned())),
        }
    }

    fn array(&mut self) -> Result<usize, Malformed> {
        let count = decode::read_array_len(&mut self.0)?;
        Ok(usize::try_from(count)?)
    }

    fn array_of(&mut self, wanted: usize) -> Result<(), Malformed> {
        match self.array()? {
            found if found == wanted => Ok(()),
            found => Err(Malformed::List { found, wanted }),
        }
    }

    fn or_nil<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<Option<T>, Malformed> {
        if self.0.first() == Some(&Self::NIL) {
            self.0 = &self.0[1..];
            return Ok(None);
        }
        read(self).map(Some)
    }

    /// Nanoseconds since 1970.
    fn moment(&mut self) -> Result<Time, Malformed> {
        Ok(chrono::DateTime::from_timestamp_nanos(decode::read_int(&mut self.0)?))
    }

    fn id(&mut self) -> Result<Uuid, Malformed> {
        Ok(Uuid::from_slice(self.bytes()?)?)
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = decode::read_bin_len(&mut self.0)?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = decode::read_str_len(&mut self.0)?;
        Ok(std::str::from_utf8(self.take(length)?)?)
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], Malformed> {
        let split = self.0.split_at_checked(usize::try_from(length)?);
        let (taken, rest) = split.ok_or(Malformed::CutOff)?;
        self.0 = rest;
        Ok(taken)
    }
}
