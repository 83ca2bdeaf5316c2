//! A frame where it stands: its body read without a copy of its parts.

use crate::{
    Hash,
    frame::{EventsView, Frame, FrameKeys, take},
};
use uuid::Uuid;

/// A frame of which nothing was copied from where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Raw<'a> {
    pub(crate) first_seq: u64,
    pub(crate) events: u32,
    at_ms: i64,
    pub(crate) durable_upto: u64,
    pub(crate) prev_in_log: u64,
    pub(crate) prev_in_stream: u64,
    prev_in_run: u64,
    pub(crate) stream: Uuid,
    run: Option<Uuid>,
    tickets: Tickets<'a>,
    payload: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Its events.
    pub(crate) fn view(&self) -> EventsView<'a> {
        EventsView { first_seq: self.first_seq, events: self.events, payload: self.payload }
    }

    pub(crate) fn to_frame(self, prev_hash: Hash, hash: Hash) -> Frame {
        let Raw { first_seq, events, at_ms, durable_upto, prev_in_log, prev_in_stream, prev_in_run, .. } = self;
        let tickets = self.tickets.map(|ticket| ticket.unwrap_or_default().to_owned()).collect();
        Frame {
            first_seq,
            events,
            at_ms,
            keys: FrameKeys { stream: self.stream, run: self.run, tickets },
            payload: self.payload.to_vec(),
            prev_hash,
            hash,
            durable_upto,
            prev_in_log,
            prev_in_stream,
            prev_in_run,
        }
    }
}

/// The tickets of a frame as they stand in it; `None` for what is no ticket.
#[derive(Debug, Clone, Copy)]
struct Tickets<'a> {
    count: u16,
    rest: &'a [u8],
}

impl<'a> Tickets<'a> {
    fn read(&mut self) -> Option<&'a str> {
        let bytes = usize::from(u16::from_le_bytes(take(&mut self.rest)?));
        let (ticket, after) = self.rest.split_at_checked(bytes)?;
        self.rest = after;
        std::str::from_utf8(ticket).ok()
    }
}

impl<'a> Iterator for Tickets<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Option<&'a str>> {
        self.count = self.count.checked_sub(1)?;
        Some(self.read())
    }
}

pub(crate) fn decode_body(body: &[u8]) -> Option<Raw<'_>> {
    let mut rest = body;
    let first_seq = u64::from_le_bytes(take(&mut rest)?);
    let events = u32::from_le_bytes(take(&mut rest)?);
    let at_ms = i64::from_le_bytes(take(&mut rest)?);
    let durable_upto = u64::from_le_bytes(take(&mut rest)?);
    let prev_in_log = u64::from_le_bytes(take(&mut rest)?);
    let prev_in_stream = u64::from_le_bytes(take(&mut rest)?);
    let prev_in_run = u64::from_le_bytes(take(&mut rest)?);
    let stream = Uuid::from_bytes(take(&mut rest)?);
    let run = match take::<1>(&mut rest)? {
        [0] => None,
        [1] => Some(Uuid::from_bytes(take(&mut rest)?)),
        _ => return None,
    };
    let count = u16::from_le_bytes(take(&mut rest)?);
    let tickets = Tickets { count, rest };
    let mut looked_at = tickets;
    if !looked_at.by_ref().all(|ticket| ticket.is_some()) {
        return None;
    }
    let payload = looked_at.rest;
    Some(Raw {
        first_seq,
        events,
        at_ms,
        durable_upto,
        prev_in_log,
        prev_in_stream,
        prev_in_run,
        stream,
        run,
        tickets,
        payload,
    })
}
