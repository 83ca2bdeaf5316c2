//! A span: frames that a journal or a store no longer holds itself, because archives do.
//!
//! It stands where the frames stood, and says which ones they were: what the chain was before the first and after the
//! last, and whose frames they are. So the chain goes on across it, and whoever needs the frames themselves reads them
//! from the archives and finds out whether they are the ones that were taken away (see `archives`).
//!
//! As a record it begins like a frame (see `frame`), with format version 3, encoding 1, and the hashes before and after
//! its frames in the two places of a frame's own; its body is the fixed fields and then the members.

use crate::{
    Hash,
    frame::{Flaw, Frame, take},
};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// Whose frames a span holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Member {
    /// The stream, and so the archive.
    pub(crate) stream: Uuid,
    /// The run, if the frames belong to one.
    pub(crate) run: Option<Uuid>,
}

/// `first_seq` of the last frame of each member: what goes on with a stream or run links to it, archive or not.
type Members = BTreeMap<Member, u64>;

/// Frames that are kept in archives, without a gap between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Span {
    /// The sequence number of the first event.
    pub(crate) first_seq: u64,
    /// The sequence number after the last event.
    pub(crate) end_seq: u64,
    /// `first_seq` of its last frame.
    pub(crate) last_first_seq: u64,
    /// `first_seq` of the frame before its first; 0 for none.
    pub(crate) prev_in_log: u64,
    /// What its last frame said was durable.
    pub(crate) durable_upto: u64,
    /// How many frames.
    pub(crate) frames: u64,
    /// How many bytes they took.
    pub(crate) bytes: u64,
    /// The hash of the frame before its first.
    pub(crate) prev_hash: Hash,
    /// The hash of its last frame.
    pub(crate) hash: Hash,
    /// Whose they are.
    pub(crate) members: Members,
}

impl Span {
    /// The span of one frame, which took `bytes` bytes.
    pub(crate) fn of(frame: &Frame, bytes: usize) -> Span {
        Span {
            first_seq: frame.first_seq,
            end_seq: frame.end_seq(),
            last_first_seq: frame.first_seq,
            prev_in_log: frame.prev_in_log,
            durable_upto: frame.durable_upto,
            frames: 1,
            bytes: bytes as u64,
            prev_hash: frame.prev_hash,
            hash: frame.hash,
            members: [(Member { stream: frame.keys.stream, run: frame.keys.run }, frame.first_seq)].into(),
        }
    }

    /// Takes in the span that follows on this one.
    pub(crate) fn join(&mut self, next: Span) {
        debug_assert_eq!((self.end_seq, self.hash), (next.first_seq, next.prev_hash), "spans join where they meet");
        self.end_seq = next.end_seq;
        self.last_first_seq = next.last_first_seq;
        self.durable_upto = next.durable_upto;
        self.frames += next.frames;
        self.bytes += next.bytes;
        self.hash = next.hash;
        self.members.extend(next.members);
    }

    /// The streams whose archives hold its frames.
    pub(crate) fn streams(&self) -> BTreeSet<Uuid> {
        self.members.keys().map(|member| member.stream).collect()
    }

    /// The members with frames of this stream or run, each with the first event of its last frame.
    pub(crate) fn members_of(&self, wanted: impl Fn(&Member) -> bool) -> impl Iterator<Item = (&Member, u64)> {
        self.members.iter().filter(move |(member, _)| wanted(member)).map(|(member, last)| (member, *last))
    }

    /// The body of its record.
    pub(crate) fn encode_body(&self, out: &mut Vec<u8>) {
        let numbers = [
            self.first_seq,
            self.end_seq,
            self.last_first_seq,
            self.prev_in_log,
            self.durable_upto,
            self.frames,
            self.bytes,
            self.members.len() as u64,
        ];
        for number in numbers {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for (member, last) in &self.members {
            out.extend_from_slice(member.stream.as_bytes());
            out.push(u8::from(member.run.is_some()));
            out.extend_from_slice(member.run.unwrap_or_default().as_bytes());
            out.extend_from_slice(&last.to_le_bytes());
        }
    }

    /// Reads the body of a record whose checksum was right.
    pub(crate) fn decode_body(body: &[u8], prev_hash: Hash, hash: Hash) -> Result<Span, Flaw> {
        let span = Span::parse(body, prev_hash, hash);
        let holds = |span: &Span| {
            span.prev_in_log < span.first_seq
                && span.first_seq <= span.last_first_seq
                && span.last_first_seq < span.end_seq
                && span.durable_upto < span.last_first_seq
                && (1..=span.end_seq - span.first_seq).contains(&span.frames)
                && span.members.values().copied().max() == Some(span.last_first_seq)
                && span.members.values().all(|last| *last >= span.first_seq)
        };
        span.filter(holds).ok_or_else(|| Flaw::Broken("what stands for archived frames has the wrong shape".to_owned()))
    }

    fn parse(body: &[u8], prev_hash: Hash, hash: Hash) -> Option<Span> {
        let mut rest = body;
        let mut number = || Some(u64::from_le_bytes(take(&mut rest)?));
        let [first_seq, end_seq, last_first_seq, prev_in_log, durable_upto, frames, bytes, count] =
            [number()?, number()?, number()?, number()?, number()?, number()?, number()?, number()?];
        let mut members = Members::new();
        for _ in 0..count {
            let stream = Uuid::from_bytes(take(&mut rest)?);
            let has_run = take::<1>(&mut rest)?;
            let run = Uuid::from_bytes(take(&mut rest)?);
            let run = match has_run {
                [0] if run.is_nil() => None,
                [1] => Some(run),
                _ => return None,
            };
            let member = Member { stream, run };
            // In their order, each once: so that what is read is written the same way.
            if members.last_key_value().is_some_and(|(last, _)| *last >= member) {
                return None;
            }
            members.insert(member, u64::from_le_bytes(take(&mut rest)?));
        }
        let whole = rest.is_empty();
        whole.then_some(Span {
            first_seq,
            end_seq,
            last_first_seq,
            prev_in_log,
            durable_upto,
            frames,
            bytes,
            prev_hash,
            hash,
            members,
        })
    }
}
