//! From lines to messages of JSON-RPC, with the tolerance of [`crate::reader`].
use crate::reader::{LineReader, Piece, Source};
use regex_lite::Regex;
use rmcp::{
    RoleServer,
    model::{ErrorCode, RequestId},
    service::RxJsonRpcMessage,
};
use serde_json::{Value, json};
use std::sync::LazyLock;

/// What came in.
pub(super) enum Incoming {
    /// A message.
    Message(Box<RxJsonRpcMessage<RoleServer>>),
    /// What is answered with an error.
    Refused {
        /// The id that the answer names; null when none could be seen.
        id: Option<RequestId>,
        /// The error's code.
        code: ErrorCode,
        /// What could not be read, and why.
        why: String,
    },
    /// What needs no answer: an answer to nothing, a notification of an unknown form.
    Ignored,
}

impl Incoming {
    /// A line or a message that is answered with an error, to the id that can be seen in `text`.
    pub(super) fn refused(code: ErrorCode, text: &[u8], why: String) -> Incoming {
        let id: Option<RequestId> = serde_json::from_value(seen_id(text)).ok();
        Incoming::Refused { id, code, why }
    }
}

/// Reads lines, in order.
pub(super) struct MessageReader {
    reader: LineReader,
    number: u64,
    /// The lines of a message that has begun and not ended.
    within: Vec<u8>,
}

impl Default for MessageReader {
    fn default() -> Self {
        Self { reader: LineReader::new(Source::Program).strict(), number: 0, within: Vec::new() }
    }
}

impl MessageReader {
    /// Reads one line, without its line feed.
    pub(super) fn line(&mut self, line: &[u8]) -> Vec<Incoming> {
        self.number += 1;
        let was_within = self.reader.is_within();
        let is_whole = was_within && matches!(serde_json::from_slice(line.trim_ascii()), Ok(Value::Object(_)));
        let mut text = std::mem::take(&mut self.within);
        let pieces = self.reader.line(self.number, line);
        // A whole message that leaves nothing open is no part of the one that had begun: that one has no end.
        let cut_off = is_whole && !self.reader.is_within();
        if was_within && !cut_off {
            text.push(b'\n');
            text.extend_from_slice(line);
        } else if !was_within {
            text = after_whole(line).to_vec();
        }
        let is_told = pieces.iter().any(|piece| matches!(piece, Piece::Unreadable(_)));
        let is_found = !pieces.is_empty();
        let mut read = incoming_of(pieces, &text);
        if cut_off && !is_told {
            read.insert(0, self.not_whole(&text));
        }
        if self.reader.is_within() {
            self.within = text;
        } else if !is_found && !line.trim_ascii().is_empty() {
            read.push(self.no_message(line, &text));
        }
        read
    }

    /// A line in which no message was found.
    fn no_message(&self, line: &[u8], text: &[u8]) -> Incoming {
        let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
        let (code, why) = match serde_json::from_slice::<Value>(line) {
            Ok(_) => (ErrorCode::INVALID_REQUEST, "is no request: a message is a JSON object with a method".to_owned()),
            Err(e) => (ErrorCode::PARSE_ERROR, format!("cannot be read: {e}")),
        };
        Incoming::refused(code, text, format!("line {} {why}", self.number))
    }

    fn not_whole(&self, text: &[u8]) -> Incoming {
        let why = format!("the message that began before line {} has no end", self.number);
        Incoming::refused(ErrorCode::PARSE_ERROR, text, why)
    }

    /// Whether a message has begun and not ended.
    pub(super) fn is_within(&self) -> bool {
        self.reader.is_within()
    }

    /// The rest of a message that has begun does not come.
    pub(super) fn give_up(&mut self) -> Vec<Incoming> {
        let was_within = self.reader.is_within();
        let text = std::mem::take(&mut self.within);
        let pieces = self.reader.end();
        if was_within && pieces.is_empty() {
            return vec![self.not_whole(&text)];
        }
        incoming_of(pieces, &text)
    }
}

/// What was found in `text`, whose unreadable parts are told with the id that can be seen in it.
fn incoming_of(pieces: Vec<Piece>, text: &[u8]) -> Vec<Incoming> {
    let read = |piece: Piece| match piece {
        Piece::Object(object) => incoming(object),
        Piece::Unreadable(fragment) => {
            let why = format!("line {}, column {} cannot be read: {}", fragment.line, fragment.column, fragment.why);
            Incoming::refused(ErrorCode::PARSE_ERROR, text, why)
        }
    };
    pieces.into_iter().map(read).collect()
}

/// A line without the whole messages that it begins with.
fn after_whole(line: &[u8]) -> &[u8] {
    let mut values = serde_json::Deserializer::from_slice(line).into_iter::<Value>();
    let mut after = 0;
    while let Some(Ok(_)) = values.next() {
        after = values.byte_offset();
    }
    line.get(after..).unwrap_or_default()
}

/// An object as a message. A version that is missing and a number with a fraction of zero as its id are taken for what they
/// mean.
fn incoming(mut object: Value) -> Incoming {
    object["jsonrpc"] = "2.0".into();
    let asks = object.get("method").is_some_and(Value::is_string);
    let answers = object.get("result").or_else(|| object.get("error")).is_some();
    let whole = object.get("id").and_then(Value::as_f64).filter(|id| id.fract() == 0.0 && id.abs() < 9e15);
    if let Some(id) = whole {
        object["id"] = json!(id as i64);
    }
    let has_id = object.get("id").is_some();
    let id: Option<RequestId> = object.get("id").and_then(|id| serde_json::from_value(id.clone()).ok());
    let invalid = |id: Option<RequestId>, why: &str| Incoming::Refused {
        id,
        code: ErrorCode::INVALID_REQUEST,
        why: format!("this is no request: {why}"),
    };
    if !asks {
        return if answers { Incoming::Ignored } else { invalid(id, "it has no `method`") };
    }
    if has_id && id.is_none() {
        return invalid(None, "its `id` must be a text or a whole number");
    }
    match serde_json::from_value(object) {
        Ok(message) => Incoming::Message(Box::new(message)),
        Err(_) if !has_id => Incoming::Ignored,
        Err(e) => invalid(id, &e.to_string()),
    }
}

/// The id of the message that `text` seems to be; null when none is seen. It stands at the beginning of a message or at its
/// end, and what stands in its parameters is another's.
pub(super) fn seen_id(text: &[u8]) -> Value {
    static ID: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r#"(?:"id"|'id'|\bid)\s*:\s*("(?:[^"\\]|\\.)*"|'[^'\\]*'|-?[0-9]+)\s*([,}\]]|$)"#).ok()
    });
    let text = String::from_utf8_lossy(text);
    let Some(pattern) = ID.as_ref() else { return Value::Null };
    let inner = text.find("params").unwrap_or(text.len());
    let found: Vec<_> = pattern.captures_iter(&text).filter_map(|c| Some((c.get(0)?.start(), c.get(1)?))).collect();
    let first = found.iter().find(|(at, _)| *at < inner);
    let last = found.last().filter(|(at, _)| text[*at..].matches('}').count() <= 1 && !text[*at..].contains('{'));
    let id = first.or(last).map(|(_, id)| id.as_str());
    let bare = |id: &str| id.strip_prefix('\'')?.strip_suffix('\'').map(Value::from);
    id.and_then(|id| bare(id).or_else(|| serde_json::from_str(id).ok())).unwrap_or(Value::Null)
}
