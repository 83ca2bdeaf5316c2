//! One frame: a command and its events as the log keeps them, in memory and as bytes.
//!
//! ```text
//!  0  magic "p0\x1cf"      4    a control character, so that JSON text in a payload can never look like a frame
//!  4  format version       1
//!  5  what the body is     1    0 = a frame as it was written, 1 = what stands for archived frames (see `span`)
//!  6  zero                 2
//!  8  length of the body   4    little endian, like every number here
//! 12  CRC32C               4    over bytes 0..12 and everything from 16 to the end
//! 16  hash before          32
//! 48  hash of this frame   32   BLAKE3(hash before ‖ body)
//! 80  body                      see `encode_body`
//! ```
//! The first 16 bytes and the rule of the checksum stay the same in every version, so that a newer frame can be told
//! from a damaged one.

use crate::{
    Hash,
    raw::{self, Raw},
    span::Span,
};
use uuid::Uuid;

/// The first bytes of every frame.
pub(crate) const MAGIC: [u8; 4] = *b"p0\x1cf";
/// The format version of the frames that this program writes. 1 is the same, but its payloads are JSON: a program that
/// knows only that must not take others for damage.
const VERSION: u8 = 2;
/// The format version of what stands for archived frames, and the highest that this program reads.
pub(crate) const NEWEST: u8 = 3;
/// Bytes before the body.
pub(crate) const HEADER_BYTES: usize = 80;
/// The largest body: far above any sane command, far below what a length field can ask for.
pub(crate) const MAX_BODY_BYTES: usize = 256 << 20;
/// The longest ticket id, and the most tickets of one frame.
const MAX_TICKET_BYTES: usize = 512;
const AS_IS: u8 = 0;
const ARCHIVED: u8 = 1;

/// What a frame can be found by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FrameKeys {
    /// The aggregate that the command belongs to; nil for the engine's own.
    pub stream: Uuid,
    /// The run, if it belongs to one.
    pub run: Option<Uuid>,
    /// The ids of the tickets that its events name, without repeats.
    pub tickets: Vec<String>,
}

/// A frame to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFrame {
    /// The sequence number of its first event; events count from 1 without gaps.
    pub first_seq: u64,
    /// How many events it holds, at least 1.
    pub events: u32,
    /// When its command was taken, in milliseconds since 1970.
    pub at_ms: i64,
    /// What it can be found by.
    pub keys: FrameKeys,
    /// The command and its events; opaque to this room.
    pub payload: Vec<u8>,
}

/// A frame of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The sequence number of its first event.
    pub first_seq: u64,
    /// How many events it holds.
    pub events: u32,
    /// When its command was taken, in milliseconds since 1970.
    pub at_ms: i64,
    /// What it can be found by.
    pub keys: FrameKeys,
    /// The command and its events; opaque to this room.
    pub payload: Vec<u8>,
    /// The hash of the frame before it; [`Hash::ZERO`] for the first.
    pub prev_hash: Hash,
    /// Its own hash.
    pub hash: Hash,
    /// The highest sequence number known to be durable when it was written.
    pub durable_upto: u64,
    /// `first_seq` of the frame before it in the log; 0 for none.
    pub prev_in_log: u64,
    /// `first_seq` of the frame before it in the same stream; 0 for none.
    pub prev_in_stream: u64,
    /// `first_seq` of the frame before it in the same run; 0 for none or when it has no run.
    pub prev_in_run: u64,
}

impl Frame {
    /// A frame of which only the payload matters, and the numbers of its events: for tests and the fuzzer.
    #[must_use]
    pub fn with_payload(first_seq: u64, events: u32, payload: Vec<u8>) -> Frame {
        Frame {
            first_seq,
            events,
            at_ms: 0,
            keys: FrameKeys::default(),
            payload,
            prev_hash: Hash::ZERO,
            hash: Hash::ZERO,
            durable_upto: 0,
            prev_in_log: 0,
            prev_in_stream: 0,
            prev_in_run: 0,
        }
    }

    /// Its events.
    #[must_use]
    pub fn view(&self) -> EventsView<'_> {
        EventsView { first_seq: self.first_seq, events: self.events, payload: &self.payload }
    }

    /// The sequence number after its last event.
    #[must_use]
    pub fn end_seq(&self) -> u64 {
        self.first_seq.saturating_add(u64::from(self.events))
    }

    /// The sequence number of its last event.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        self.end_seq().saturating_sub(1)
    }
}

/// The events of a frame, wherever it stands.
#[derive(Debug, Clone, Copy)]
pub struct EventsView<'a> {
    /// The sequence number of the first event.
    pub first_seq: u64,
    /// How many events there are.
    pub events: u32,
    /// The command and the events; opaque to this room.
    pub payload: &'a [u8],
}

/// Why bytes are not a frame that can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Not a frame, or not what was written.
    Broken(String),
    /// A whole frame of a format that this program does not know.
    Newer(u8),
}

impl Flaw {
    fn broken(what: impl Into<String>) -> Flaw {
        Flaw::Broken(what.into())
    }
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Flaw::Broken(what) => f.write_str(what),
            Flaw::Newer(version) => write!(f, "a frame of the newer format version {version}"),
        }
    }
}

/// Appends the bytes of `frame` to `out`, and sets its hash.
pub(crate) fn encode(frame: &mut Frame, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    encode_body(frame, out);
    let record = &mut out[start..];
    frame.hash = Hash::chained(&frame.prev_hash, &record[HEADER_BYTES..]);
    seal(record, [VERSION, AS_IS], &frame.prev_hash, &frame.hash);
}

/// Appends the bytes of what stands for archived frames.
pub(crate) fn encode_span(span: &Span, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER_BYTES]);
    span.encode_body(out);
    seal(&mut out[start..], [NEWEST, ARCHIVED], &span.prev_hash, &span.hash);
}

/// Fills in the header of a record whose body is there.
fn seal(record: &mut [u8], [version, body]: [u8; 2], prev_hash: &Hash, hash: &Hash) {
    let body_bytes = u32::try_from(record.len() - HEADER_BYTES).expect("bodies are refused above MAX_BODY_BYTES");
    record[0..4].copy_from_slice(&MAGIC);
    record[4] = version;
    record[5] = body;
    record[8..12].copy_from_slice(&body_bytes.to_le_bytes());
    record[16..48].copy_from_slice(prev_hash.as_bytes());
    record[48..80].copy_from_slice(hash.as_bytes());
    let crc = checksum(record);
    record[12..16].copy_from_slice(&crc.to_le_bytes());
}

/// The bytes as a record whose length, hash and checksum are right: so a fuzzer reaches what is behind those checks.
#[cfg(any(fuzzing, test))]
pub(crate) fn resealed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut record = bytes.to_vec();
    let body = record.get(HEADER_BYTES..).filter(|body| body.len() <= MAX_BODY_BYTES)?;
    let prev_hash = Hash::from_bytes(array(&record[16..48]));
    let hash = Hash::chained(&prev_hash, body);
    let kind = [record[4], record[5]];
    seal(&mut record, kind, &prev_hash, &hash);
    Some(record)
}

/// Fixed fields, then the keys, then the payload to the end.
fn encode_body(frame: &Frame, out: &mut Vec<u8>) {
    out.extend_from_slice(&frame.first_seq.to_le_bytes());
    out.extend_from_slice(&frame.events.to_le_bytes());
    out.extend_from_slice(&frame.at_ms.to_le_bytes());
    out.extend_from_slice(&frame.durable_upto.to_le_bytes());
    out.extend_from_slice(&frame.prev_in_log.to_le_bytes());
    out.extend_from_slice(&frame.prev_in_stream.to_le_bytes());
    out.extend_from_slice(&frame.prev_in_run.to_le_bytes());
    out.extend_from_slice(frame.keys.stream.as_bytes());
    match frame.keys.run {
        Some(run) => {
            out.push(1);
            out.extend_from_slice(run.as_bytes());
        }
        None => out.push(0),
    }
    let tickets = u16::try_from(frame.keys.tickets.len()).expect("refused by check_new");
    out.extend_from_slice(&tickets.to_le_bytes());
    for ticket in &frame.keys.tickets {
        let bytes = u16::try_from(ticket.len()).expect("refused by check_new");
        out.extend_from_slice(&bytes.to_le_bytes());
        out.extend_from_slice(ticket.as_bytes());
    }
    out.extend_from_slice(&frame.payload);
}

/// The hash that a frame with these fields has: what it is checked against when it does not come from a segment file.
pub(crate) fn recompute_hash(frame: &Frame) -> Result<Hash, String> {
    let tickets = &frame.keys.tickets;
    if tickets.len() > usize::from(u16::MAX) || tickets.iter().any(|t| t.len() > MAX_TICKET_BYTES) {
        return Err("it names more tickets, or longer ones, than a frame can".to_owned());
    }
    if frame.events == 0 || frame.durable_upto >= frame.first_seq || frame.prev_in_log >= frame.first_seq {
        return Err("its numbers contradict each other".to_owned());
    }
    let mut body = Vec::new();
    encode_body(frame, &mut body);
    if body.len() > MAX_BODY_BYTES {
        return Err(format!("it has more than {MAX_BODY_BYTES} bytes"));
    }
    Ok(Hash::chained(&frame.prev_hash, &body))
}

/// How many bytes the frame takes on disk.
pub(crate) fn encoded_bytes(frame: &NewFrame) -> usize {
    let run = if frame.keys.run.is_some() { 17 } else { 1 };
    let tickets: usize = frame.keys.tickets.iter().map(|t| 2 + t.len()).sum();
    HEADER_BYTES + 52 + 16 + run + 2 + tickets + frame.payload.len()
}

/// Refuses what could not be read back.
pub(crate) fn check_new(frame: &NewFrame) -> Result<(), String> {
    if frame.events == 0 {
        return Err(format!("the frame at {} has no events", frame.first_seq));
    }
    if frame.first_seq.checked_add(u64::from(frame.events)).is_none() {
        return Err("sequence numbers ran out".to_owned());
    }
    if frame.keys.tickets.len() > usize::from(u16::MAX) {
        return Err(format!("the frame at {} names more than {} tickets", frame.first_seq, u16::MAX));
    }
    for (n, ticket) in frame.keys.tickets.iter().enumerate() {
        if ticket.is_empty() || ticket.len() > MAX_TICKET_BYTES || ticket.contains('\0') {
            return Err(format!("`{}` cannot be a ticket id", ticket.escape_debug()));
        }
        if frame.keys.tickets[..n].contains(ticket) {
            return Err(format!("the frame at {} names ticket {ticket} twice", frame.first_seq));
        }
    }
    if encoded_bytes(frame) - HEADER_BYTES > MAX_BODY_BYTES {
        return Err(format!(
            "the frame at {} has {} bytes, more than {MAX_BODY_BYTES}; put large things into blobs",
            frame.first_seq,
            frame.payload.len()
        ));
    }
    Ok(())
}

/// The length of the whole record that starts with these bytes (at least 16 of them).
pub(crate) fn record_bytes(start: &[u8]) -> Result<usize, Flaw> {
    if start.len() < 16 {
        return Err(Flaw::broken("a frame was cut short"));
    }
    if start[0..4] != MAGIC {
        return Err(Flaw::broken("no frame starts here"));
    }
    let body = u32_at(start, 8) as usize;
    if body > MAX_BODY_BYTES {
        return Err(Flaw::broken(format!("a frame claims {body} bytes")));
    }
    Ok(HEADER_BYTES + body)
}

/// The sequence number that a whole record says it starts at, taken at its word.
pub(crate) fn first_seq(record: &[u8]) -> Option<u64> {
    Some(u64::from_le_bytes(record.get(HEADER_BYTES..HEADER_BYTES + 8)?.try_into().ok()?))
}

/// What stands in a journal or a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// A frame.
    Frame(Box<Frame>),
    /// What stands for frames that archives hold.
    Span(Box<Span>),
}

/// An [`Entry`] that somebody else holds.
#[derive(Debug, Clone, Copy)]
pub(crate) enum View<'a> {
    Frame(&'a Frame),
    Span(&'a Span),
}

impl Entry {
    pub(crate) fn view(&self) -> View<'_> {
        match self {
            Entry::Frame(frame) => View::Frame(frame),
            Entry::Span(span) => View::Span(span),
        }
    }

    /// The sequence number of its first event.
    pub(crate) fn first_seq(&self) -> u64 {
        match self {
            Entry::Frame(frame) => frame.first_seq,
            Entry::Span(span) => span.first_seq,
        }
    }
}

/// Reads a whole record that must be a frame.
#[cfg(any(fuzzing, test))]
pub(crate) fn decode(record: &[u8]) -> Result<Frame, Flaw> {
    match read(record)? {
        Entry::Frame(frame) => Ok(*frame),
        Entry::Span(_) => Err(Flaw::broken("this stands for archived frames")),
    }
}

/// Reads a whole record and checks everything that it alone can show.
pub(crate) fn read(record: &[u8]) -> Result<Entry, Flaw> {
    check_bytes(record)?;
    Ok(match read_raw(record)? {
        RawEntry::Frame(raw) => {
            let (prev_hash, hash) = hashes(record);
            Entry::Frame(Box::new(raw.to_frame(prev_hash, hash)))
        }
        RawEntry::Span(span) => Entry::Span(span),
    })
}

/// An [`Entry`], read where it stands.
pub(crate) enum RawEntry<'a> {
    Frame(Raw<'a>),
    Span(Box<Span>),
}

/// The two hashes of a record that is long enough.
fn hashes(record: &[u8]) -> (Hash, Hash) {
    (Hash::from_bytes(array(&record[16..48])), Hash::from_bytes(array(&record[48..80])))
}

/// Whether a record is as long as it says, and its checksum is right.
fn check_bytes(record: &[u8]) -> Result<(), Flaw> {
    if record_bytes(record)? != record.len() || record.len() < HEADER_BYTES {
        return Err(Flaw::broken("a frame was cut short"));
    }
    if u32_at(record, 12) != checksum(record) {
        return Err(Flaw::broken("the checksum does not match"));
    }
    Ok(())
}

/// [`read`], copying nothing of a frame. Its hash is checked and its checksum is not: what comes from the store has been
/// checked against torn writes by sled, and the hash is the stronger word about the content.
pub(crate) fn read_raw(record: &[u8]) -> Result<RawEntry<'_>, Flaw> {
    if record_bytes(record)? != record.len() || record.len() < HEADER_BYTES {
        return Err(Flaw::broken("a frame was cut short"));
    }
    if record[4] > NEWEST {
        return Err(Flaw::Newer(record[4]));
    }
    let (prev_hash, hash) = hashes(record);
    let body = &record[HEADER_BYTES..];
    match (record[4], record[5], &record[6..8]) {
        (NEWEST, ARCHIVED, [0, 0]) => {
            // No hash covers what it says of itself.
            check_bytes(record)?;
            return Span::decode_body(body, prev_hash, hash).map(|span| RawEntry::Span(Box::new(span)));
        }
        (1..=VERSION, AS_IS, [0, 0]) => {}
        _ => return Err(Flaw::broken("the frame has an unknown encoding")),
    }
    if Hash::chained(&prev_hash, body) != hash {
        return Err(Flaw::broken("the hash does not match the content"));
    }
    let frame = raw::decode_body(body).ok_or_else(|| Flaw::broken("the content has the wrong shape"))?;
    if frame.events == 0 || frame.durable_upto >= frame.first_seq || frame.prev_in_log >= frame.first_seq {
        return Err(Flaw::broken("the numbers in the frame contradict each other"));
    }
    Ok(RawEntry::Frame(frame))
}

pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*head)
}

fn checksum(record: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&record[..12]), &record[16..])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn array(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(bytes);
    out
}
