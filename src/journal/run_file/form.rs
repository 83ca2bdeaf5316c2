//! The lines of a run file.

use super::{Readable, base64, blobs_named};
use crate::{
    Hash,
    frame::{self, Frame, FrameKeys},
};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, SeqAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, fmt};
use uuid::Uuid;

/// The version of the form.
pub(super) const VERSION: u32 = 1;
/// The longest line, in bytes: what a hostile file can make a reader take.
pub(super) const MAX_LINE_BYTES: usize = 64 << 20;
/// Bytes of a blob in one line, at the most.
pub(super) const PART_BYTES: usize = 512 << 10;

/// What a run file begins with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// The version of the form.
    pub version: u32,
    /// The run.
    pub run: Uuid,
    /// Its milestone: the stream that the frames are of.
    pub stream: Uuid,
    /// The first event of the first frame.
    pub first_seq: u64,
    /// The last event of the last frame.
    pub last_seq: u64,
    /// The hash of the last frame.
    pub head: Hash,
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line<'a> {
    #[serde(rename = "p0run")]
    Header(Header),
    Frame(FrameLine<'a>),
    Blob(BlobLine<'a>),
    End(EndLine),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FrameLine<'a> {
    first_seq: u64,
    events: u32,
    at_ms: i64,
    durable_upto: u64,
    prev_in_log: u64,
    prev_in_stream: u64,
    prev_in_run: u64,
    stream: Uuid,
    run: Option<Uuid>,
    #[serde(deserialize_with = "tickets")]
    tickets: Vec<String>,
    prev_hash: Hash,
    hash: Hash,
    payload: Cow<'a, RawValue>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<Cow<'a, str>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BlobLine<'a> {
    pub(super) hash: Hash,
    pub(super) size: u64,
    pub(super) offset: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<Cow<'a, str>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) base64: Option<Cow<'a, str>>,
}

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndLine {
    pub(super) frames: u64,
    pub(super) events: u64,
    pub(super) blobs: u64,
    pub(super) blake3: Hash,
}

/// As many tickets as a frame can have: a short line can name a great many empty ones.
fn tickets<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Tickets;
    impl<'de> Visitor<'de> for Tickets {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the ids of a frame's tickets")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut ids: A) -> Result<Vec<String>, A::Error> {
            let mut tickets = Vec::new();
            while let Some(id) = ids.next_element::<String>()? {
                if id.is_empty() || tickets.len() == usize::from(u16::MAX) {
                    return Err(de::Error::custom("more tickets than a frame can have, or one without a name"));
                }
                tickets.push(id);
            }
            Ok(tickets)
        }
    }
    deserializer.deserialize_seq(Tickets)
}

/// The payload when it is one line of JSON, which then stands in the file as it is.
pub(super) fn as_json(payload: &[u8]) -> Option<&RawValue> {
    let text = std::str::from_utf8(payload).ok()?;
    if !text.starts_with('{') || text.contains(['\n', '\r']) {
        return None;
    }
    let raw: &RawValue = serde_json::from_str(text).ok()?;
    (raw.get().len() == text.len()).then_some(raw)
}

/// Whether everything in `part` stands in `whole` too, at the same place.
fn covers(whole: &serde_json::Value, part: &serde_json::Value) -> bool {
    use serde_json::Value;
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => {
            part.iter().all(|(name, value)| whole.get(name).is_some_and(|ours| covers(ours, value)))
        }
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len() && whole.iter().zip(part).all(|(ours, value)| covers(ours, value))
        }
        (whole, part) => whole == part,
    }
}

impl<'a> FrameLine<'a> {
    pub(super) fn of(frame: &'a Frame, readable: Readable) -> FrameLine<'a> {
        let (payload, bytes) = match as_json(&frame.payload) {
            Some(raw) => (Cow::Borrowed(raw), None),
            None => {
                let json = readable(frame).and_then(|json| RawValue::from_string(json).ok());
                (
                    json.map_or(Cow::Borrowed(RawValue::NULL), Cow::Owned),
                    Some(Cow::Owned(base64::encode(&frame.payload))),
                )
            }
        };
        FrameLine {
            first_seq: frame.first_seq,
            events: frame.events,
            at_ms: frame.at_ms,
            durable_upto: frame.durable_upto,
            prev_in_log: frame.prev_in_log,
            prev_in_stream: frame.prev_in_stream,
            prev_in_run: frame.prev_in_run,
            stream: frame.keys.stream,
            run: frame.keys.run,
            tickets: frame.keys.tickets.clone(),
            prev_hash: frame.prev_hash,
            hash: frame.hash,
            payload,
            bytes,
        }
    }

    /// The payload's JSON, for people and for finding what it names.
    pub(super) fn json(&self) -> &str {
        self.payload.get()
    }

    /// The frame of this line, its hash computed anew. Its readable payload is compared where there is a reader.
    pub(super) fn to_frame(&self, readable: Option<Readable>) -> Result<Frame, String> {
        let payload = match &self.bytes {
            Some(text) => base64::decode(text).ok_or("its `bytes` are not base64")?,
            None => self.payload.get().as_bytes().to_vec(),
        };
        let frame = Frame {
            first_seq: self.first_seq,
            events: self.events,
            at_ms: self.at_ms,
            keys: FrameKeys { stream: self.stream, run: self.run, tickets: self.tickets.clone() },
            payload,
            prev_hash: self.prev_hash,
            hash: self.hash,
            durable_upto: self.durable_upto,
            prev_in_log: self.prev_in_log,
            prev_in_stream: self.prev_in_stream,
            prev_in_run: self.prev_in_run,
        };
        if frame::recompute_hash(&frame)? != self.hash {
            return Err("its hash does not match its content".to_owned());
        }
        let lies = |readable: Readable| !self.tells_the_truth(readable(&frame).as_deref().unwrap_or("null"));
        if self.bytes.is_some() && readable.is_some_and(lies) {
            return Err("its readable payload is not what its bytes say".to_owned());
        }
        Ok(frame)
    }

    /// Whether the JSON for people is what the bytes say, which is `said`. A newer p0 may say more of old bytes than the
    /// one that wrote the line did, never less, and never another blob.
    fn tells_the_truth(&self, said: &str) -> bool {
        if said == self.payload.get() {
            return true;
        }
        let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
        let (Some(said_value), Some(told)) = (parsed(said), parsed(self.payload.get())) else { return false };
        covers(&said_value, &told) && blobs_named(said).eq(blobs_named(self.payload.get()))
    }
}
