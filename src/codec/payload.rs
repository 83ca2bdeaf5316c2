//! The bytes of a frame's payload: the command and the events it was decided into.
//!
//! Two forms are read; the second is written.
//!
//! | first byte | form |
//! | --- | --- |
//! | `{` | 1: the JSON text of [`FramePayload`] |
//! | `0x02` | 2: MessagePack, below |
//!
//! Form 2 is an array of the moment of the command, the run, the events and the command. Whatever an event shares with
//! its frame is left out (the moment, the run, its number), and the event itself and the command are byte strings in it:
//! so that folding skips the command, and showing decodes only what is shown. Inside them stands what the JSON form has,
//! field names included, so that forms can grow as they do in JSON. A test below compares the two on every recorded frame.

use super::packed::{self, Envelope};
use crate::{
    journal::{EventsView, Frame},
    model::{
        Time,
        actor::Actor,
        event::Event,
        id::{RunId, TicketId},
        record::{Draft, FramePayload, Record, Unreadable},
    },
};
use serde::{Deserialize, Serialize, Serializer, de, ser};
use serde_json::Value;
use std::ops::Range;
use uuid::Uuid;

/// The version of the JSON form.
const JSON: u32 = 1;
/// The first byte of the MessagePack form.
const PACKED: u8 = 2;

/// A frame that this version cannot read.
#[derive(Debug, thiserror::Error)]
#[error("frame {seq} cannot be read: {why}")]
pub struct BadFrame {
    pub(crate) seq: u64,
    pub(crate) why: NoPayload,
}

/// Why bytes are no payload.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoPayload {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error("its form is of version {0}, this p0 knows {JSON} and {PACKED}; use a newer p0")]
    Version(u32),
    #[error(transparent)]
    Packed(#[from] packed::Malformed),
    #[error(transparent)]
    Command(#[from] rmp_serde::decode::Error),
    #[error("it holds {found} events and says {said}")]
    Count { found: usize, said: u32 },
    #[error(transparent)]
    Event(#[from] Unreadable),
}

/// Bytes in their own form: MessagePack has one for them, which serde uses for no other type.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// An id as its sixteen bytes.
struct Id(Uuid);

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_bytes())
    }
}

/// A moment as nanoseconds since 1970: reading a date as text takes longer than reading the rest of an event.
struct Moment(Time);

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let nanoseconds = self.0.timestamp_nanos_opt();
        nanoseconds.ok_or_else(|| ser::Error::custom("a moment outside of 1677 to 2262"))?.serialize(serializer)
    }
}

/// The whole payload, in this order. [`packed::read`] reads it.
#[derive(Serialize)]
struct Packed<'a>(
    /// The moment of the command.
    Moment,
    /// The run of most events.
    Option<Id>,
    Vec<PackedEvent<'a>>,
    /// The command.
    Bytes<'a>,
);

/// One event, in this order.
#[derive(Serialize)]
struct PackedEvent<'a>(
    /// Its moment, where it is not the command's.
    Option<Moment>,
    OfRun,
    Option<TicketId>,
    Option<Id>,
    Actor,
    /// The version of its kind.
    u32,
    /// The event with its kind.
    Bytes<'a>,
);

/// The run of an event.
#[derive(Serialize)]
enum OfRun {
    #[serde(rename = "n")]
    None,
    #[serde(rename = "f")]
    OfFrame,
    #[serde(rename = "o")]
    Other(Id),
}

/// MessagePack with field names, and ids and moments in it as in JSON.
pub(crate) fn pack<T: Serialize>(value: &T) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let mut out = Vec::with_capacity(256);
    let mut serializer = rmp_serde::Serializer::new(&mut out).with_struct_map().with_human_readable();
    value.serialize(&mut serializer)?;
    Ok(out)
}

pub(crate) fn unpack<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, rmp_serde::decode::Error> {
    T::deserialize(&mut rmp_serde::Deserializer::from_read_ref(bytes).with_human_readable())
}

/// The bytes of a payload.
///
/// # Errors
/// A value that has no form; none of ours.
pub(crate) fn encode(
    command: &crate::model::command::Command,
    run: Option<RunId>,
    drafts: &[(u64, Draft)],
) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    let events: Vec<Vec<u8>> = drafts.iter().map(|(_, draft)| pack(&draft.event)).collect::<Result<_, _>>()?;
    let packed = drafts.iter().zip(&events).map(|((_, draft), event)| {
        let of_run = match draft.run {
            None => OfRun::None,
            Some(id) if Some(id) == run => OfRun::OfFrame,
            Some(id) => OfRun::Other(Id(id.0)),
        };
        PackedEvent(
            (draft.at != command.at).then_some(Moment(draft.at)),
            of_run,
            draft.ticket.clone(),
            draft.attempt.map(|id| Id(id.0)),
            draft.actor.clone(),
            draft.event.version(),
            Bytes(event),
        )
    });
    let command_bytes = pack(command)?;
    let whole = Packed(Moment(command.at), run.map(|id| Id(id.0)), packed.collect(), Bytes(&command_bytes));
    let mut out = vec![PACKED];
    let mut serializer = rmp_serde::Serializer::new(&mut out).with_human_readable();
    whole.serialize(&mut serializer)?;
    Ok(out)
}

/// An event of a frame, read as far as its envelope.
pub(crate) enum Stored<'a> {
    /// From the JSON form.
    Record(Box<Record>),
    /// From the packed form: the envelope, and the event's version and bytes.
    Packed(Envelope, u32, &'a [u8]),
}

/// A [`Stored`] apart from the bytes that it stands in.
pub(crate) enum Detached {
    Record(Box<Record>),
    Packed(Envelope, u32, Range<usize>),
}

impl Detached {
    /// Back in its bytes.
    pub(crate) fn attached(self, within: &[u8]) -> Stored<'_> {
        match self {
            Detached::Record(record) => Stored::Record(record),
            Detached::Packed(envelope, v, place) => Stored::Packed(envelope, v, within.get(place).unwrap_or_default()),
        }
    }
}

impl Stored<'_> {
    /// Apart from `within`, which it stands in.
    pub(crate) fn detached(self, within: &[u8]) -> Detached {
        match self {
            Stored::Record(record) => Detached::Record(record),
            Stored::Packed(envelope, v, bytes) => {
                let start = (bytes.as_ptr() as usize).saturating_sub(within.as_ptr() as usize);
                Detached::Packed(envelope, v, start..start + bytes.len())
            }
        }
    }

    /// Its number.
    pub(crate) fn seq(&self) -> u64 {
        match self {
            Stored::Record(record) => record.seq,
            Stored::Packed(envelope, ..) => envelope.seq,
        }
    }

    /// The event itself.
    pub(crate) fn into_draft(self) -> Result<Draft, Unreadable> {
        let (envelope, v, bytes) = match self {
            Stored::Record(record) => return record.to_draft(),
            Stored::Packed(envelope, v, bytes) => (envelope, v, bytes),
        };
        let event = (v == 1).then(|| unpack::<Event>(bytes).ok()).flatten();
        let Some(event) = event else {
            // The long way round says what is wrong with it, or reads it after all.
            return record(envelope, v, bytes)?.to_draft();
        };
        let Envelope { at, run, ticket, attempt, actor, .. } = envelope;
        Ok(Draft { at, run, ticket, attempt, actor, event })
    }

    /// The event in its envelope, as shown.
    pub(crate) fn into_record(self) -> Result<Record, Unreadable> {
        match self {
            Stored::Record(record) => Ok(*record),
            Stored::Packed(envelope, v, bytes) => record(envelope, v, bytes),
        }
    }
}

fn record(envelope: Envelope, v: u32, bytes: &[u8]) -> Result<Record, Unreadable> {
    /// Any event, also one that this version does not know.
    #[derive(Deserialize)]
    struct Any {
        kind: String,
        #[serde(default)]
        data: Value,
    }
    let seq = envelope.seq;
    let any: Any = unpack(bytes).map_err(|e| Unreadable::Form {
        seq,
        kind: "unknown".to_owned(),
        source: de::Error::custom(e),
    })?;
    let Envelope { at, run, ticket, attempt, actor, .. } = envelope;
    Ok(Record { seq, at, run, ticket, attempt, actor, kind: any.kind, v, data: any.data })
}

/// The events of a frame, without reading its command: what showing and folding need.
pub(crate) fn events(frame: EventsView<'_>) -> Result<Vec<Stored<'_>>, BadFrame> {
    let bad = |why: NoPayload| BadFrame { seq: frame.first_seq, why };
    if frame.payload.first() != Some(&PACKED) {
        return json_events(frame.payload).map_err(bad);
    }
    let (packed, _) = packed::read(&frame.payload[1..], frame.first_seq).map_err(|e| bad(e.into()))?;
    if packed.len() as u64 != u64::from(frame.events) {
        return Err(bad(NoPayload::Count { found: packed.len(), said: frame.events }));
    }
    Ok(packed.into_iter().map(|(envelope, v, bytes)| Stored::Packed(envelope, v, bytes)).collect())
}

fn json_events<'a>(payload: &[u8]) -> Result<Vec<Stored<'a>>, NoPayload> {
    #[derive(Deserialize)]
    struct OnlyEvents {
        v: u32,
        events: Vec<Record>,
    }
    let payload: OnlyEvents = serde_json::from_slice(payload)?;
    check_version(payload.v)?;
    Ok(payload.events.into_iter().map(|record| Stored::Record(Box::new(record))).collect())
}

fn check_version(v: u32) -> Result<(), NoPayload> {
    if v == JSON {
        return Ok(());
    }
    Err(NoPayload::Version(v))
}

/// The JSON form of a packed frame, whatever its command and events are; none when even their places are not known.
pub(crate) fn as_shown(frame: &Frame) -> Option<String> {
    let packed = frame.payload.strip_prefix(&[PACKED])?;
    let command: Value = unpack(packed::read(packed, frame.first_seq).ok()?.1).ok()?;
    let records = events(frame.view()).ok()?.into_iter().map(Stored::into_record);
    let events = records.collect::<Result<Vec<Record>, _>>().ok()?;
    serde_json::to_string(&Shown { v: JSON, command, events }).ok()
}

/// [`FramePayload`] with any command.
#[derive(Serialize)]
struct Shown {
    v: u32,
    command: Value,
    events: Vec<Record>,
}

/// The command and events of a frame.
pub(crate) fn decode(frame: &Frame) -> Result<FramePayload, BadFrame> {
    let bad = |why: NoPayload| BadFrame { seq: frame.first_seq, why };
    if frame.payload.first() != Some(&PACKED) {
        let payload: FramePayload = serde_json::from_slice(&frame.payload).map_err(|e| bad(e.into()))?;
        check_version(payload.v).map_err(bad)?;
        return Ok(payload);
    }
    let (_, command) = packed::read(&frame.payload[1..], frame.first_seq).map_err(|e| bad(e.into()))?;
    let command = unpack(command).map_err(|e| bad(e.into()))?;
    let records = events(frame.view())?.into_iter().map(Stored::into_record);
    let events = records.collect::<Result<_, _>>().map_err(|e| bad(NoPayload::Event(e)))?;
    Ok(FramePayload { v: JSON, command, events })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, path::Path};

    /// Every frame of every recorded run, in both forms.
    #[test]
    fn both_forms_say_the_same() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("replay-fixtures");
        let (mut frames, mut json_bytes, mut packed_bytes) = (0, 0, 0);
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "jsonl") {
                continue;
            }
            for line in fs::read_to_string(path).unwrap().lines() {
                let payload: FramePayload = serde_json::from_str(line).unwrap();
                let drafts: Vec<(u64, Draft)> =
                    payload.events.iter().map(|record| (record.seq, record.to_draft().unwrap())).collect();
                let run = payload.events.iter().find_map(|record| record.run);
                let packed = encode(&payload.command, run, &drafts).unwrap();
                (frames, json_bytes, packed_bytes) = (frames + 1, json_bytes + line.len(), packed_bytes + packed.len());
                let (first, count) = (payload.events[0].seq, u32::try_from(payload.events.len()).unwrap());
                for bytes in [packed, line.as_bytes().to_vec()] {
                    let frame = Frame::with_payload(first, count, bytes);
                    // What an older version left out reads back as its default.
                    let again = decode(&frame).unwrap();
                    assert_eq!(again.command, payload.command);
                    let drafts_again = again.events.iter().map(|record| (record.seq, record.to_draft().unwrap()));
                    assert_eq!(drafts_again.collect::<Vec<_>>(), drafts);
                    let folded = events(frame.view()).unwrap().into_iter().map(|event| event.into_draft().unwrap());
                    assert!(folded.eq(drafts.iter().map(|(_, draft)| draft.clone())));
                }
            }
        }
        assert!(frames > 100 && packed_bytes < json_bytes, "{frames} frames, {packed_bytes} of {json_bytes} bytes");
    }

    #[test]
    fn what_a_newer_p0_wrote_is_shown_as_it_is() {
        let hash = "ab".repeat(32);
        let packed_value = |value: Value| pack(&value).unwrap();
        let event = packed_value(serde_json::json!({
            "kind": "ticket.teleported", "data": {"map": {"hash": hash, "size": 7}},
        }));
        let command = packed_value(serde_json::json!({"action": "teleport", "at": "2031-01-01T00:00:00Z"}));
        let at = chrono::DateTime::from_timestamp_nanos(5);
        let event = PackedEvent(None, OfRun::None, None, None, Actor::Engine, 3, Bytes(&event));
        let whole = Packed(Moment(at), None, vec![event], Bytes(&command));
        let mut bytes = vec![PACKED];
        whole.serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_human_readable()).unwrap();
        let frame = Frame::with_payload(7, 1, bytes);
        assert!(decode(&frame).is_err(), "it cannot be decided again");
        let shown: Value = serde_json::from_str(&as_shown(&frame).unwrap()).unwrap();
        assert_eq!(shown["command"]["action"], "teleport");
        assert_eq!(shown["events"][0]["kind"], "ticket.teleported");
        let named: Vec<_> = crate::journal::run_file::blobs_named(&shown.to_string()).collect();
        assert_eq!((named.len(), named[0].hash.to_string()), (1, hash), "and what it names is kept with it");
    }

    #[test]
    fn what_is_no_payload_is_told() {
        for bytes in [&b""[..], b"{}", &[PACKED], &[PACKED, 0x94, 0xff], b"\x03newer"] {
            let frame = Frame::with_payload(7, 1, bytes.to_vec());
            let why = decode(&frame).unwrap_err().to_string();
            assert!(why.starts_with("frame 7 cannot be read"), "{why}");
            assert!(events(frame.view()).is_err());
        }
    }
}
