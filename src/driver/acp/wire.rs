//! The agent's lines, both ways.
use super::Shared;
use crate::{
    driver::{
        child::Line,
        out::note,
        stream::{LAST_OUTPUT, ring, too_long},
    },
    reader::{Fragment, LineReader, Piece, Source},
};
use futures_util::{Sink, Stream, sink, stream};
use serde_json::{Map, Value, json};
use std::{
    collections::VecDeque,
    io::{self, Write},
    pin::Pin,
    sync::Arc,
    time::Duration,
};
use tokio::{io::AsyncWriteExt, process::ChildStdin, sync::mpsc, time::Sleep};

/// The code of what cannot be read.
const PARSE_ERROR: i32 = -32700;
/// The code of an error that has none of its own.
const INTERNAL_ERROR: i32 = -32603;

/// The method that stands for a request of the agent that cannot be read: it is answered with an error.
pub(super) const UNREADABLE: &str = "_p0/unreadable";

/// How long the rest of an object may take that is spread over several lines.
const REST_OF_OBJECT: Duration = Duration::from_secs(2);

/// What the agent writes: each line is logged, and the JSON objects in it are handed on. What else stands on stdout (a
/// banner, a half line of a dying program) is log. It ends with stdout, and soon after it even when somebody still holds
/// stderr.
pub(super) fn incoming(
    lines: mpsc::Receiver<Line>,
    shared: Arc<Shared>,
) -> impl Stream<Item = io::Result<String>> + Send + 'static {
    let incoming = Incoming {
        lines,
        shared,
        reader: LineReader::new(Source::Program),
        number: 0,
        ready: VecDeque::new(),
        alarm: None,
    };
    stream::unfold(incoming, |mut incoming| async move {
        let message = incoming.next().await?;
        Some((message, incoming))
    })
}

struct Incoming {
    lines: mpsc::Receiver<Line>,
    shared: Arc<Shared>,
    reader: LineReader,
    number: u64,
    /// Messages that were read and not handed on yet.
    ready: VecDeque<io::Result<String>>,
    /// Rings some time after the end of stdout.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Incoming {
    /// The next message. An error ends the connection: somebody may wait for what could not be read.
    async fn next(&mut self) -> Option<io::Result<String>> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            let mut rest = self.reader.is_within().then(|| Box::pin(tokio::time::sleep(REST_OF_OBJECT)));
            let line = tokio::select! {
                biased;
                () = ring(&mut self.alarm) => return None,
                line = self.lines.recv() => line,
                () = ring(&mut rest) => {
                    self.take(|reader| reader.end());
                    continue;
                }
            };
            match line {
                Some(Line::OutEnd) => {
                    self.take(|reader| reader.end());
                    self.alarm = Some(Box::pin(tokio::time::sleep(LAST_OUTPUT)));
                }
                Some(Line::Err(bytes)) => self.provider_error(&bytes),
                Some(Line::Out { bytes, cut }) => self.line(&bytes, cut),
                None => {
                    self.take(|reader| reader.end());
                    return self.ready.pop_front();
                }
            }
        }
    }

    fn provider_error(&self, bytes: &[u8]) {
        let mut inner = self.shared.inner();
        let text = String::from_utf8_lossy(bytes);
        let _ = writeln!(io::stderr(), "{text}");
        inner.log.line(&text, &self.shared.classes);
        if inner.log.over && !self.shared.over.send_replace(true) {
            note("the program tries the same again and again: it is ended");
        }
    }

    fn line(&mut self, bytes: &[u8], cut: bool) {
        self.number += 1;
        let pieces = if cut { vec![too_long(self.number, bytes)] } else { self.reader.line(self.number, bytes) };
        self.shared.inner().out.program_line(bytes, &pieces);
        self.take(|_| pieces);
    }

    fn take(&mut self, pieces: impl FnOnce(&mut LineReader) -> Vec<Piece>) {
        for piece in pieces(&mut self.reader) {
            match piece {
                Piece::Object(message) => {
                    let text = message.to_string();
                    self.ready.push_back(Ok(mended(message).unwrap_or(text)));
                }
                Piece::Unreadable(fragment) => self.ready.extend(self.unreadable(&fragment)),
            }
        }
    }

    /// What stands for a message that cannot be read: who waits for it, or whom we wait for, gets an error.
    fn unreadable(&self, fragment: &Fragment) -> Option<io::Result<String>> {
        let Fragment { line, column, why, text, .. } = fragment;
        self.shared.inner().out.say(&self.shared.rules.unreadable(fragment));
        let why = format!("line {line} of its output, column {column}, cannot be read: {why}");
        let is_call = after_key(text, "method").is_some();
        match (id_in(text), is_call) {
            (Some(id), false) => {
                let error = json!({ "code": PARSE_ERROR, "message": why });
                Some(Ok(json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string()))
            }
            (Some(id), true) => {
                let params = json!({ "why": why });
                Some(Ok(json!({ "jsonrpc": "2.0", "id": id, "method": UNREADABLE, "params": params }).to_string()))
            }
            // Nobody waits for the answer to a notification.
            (None, true) => None,
            (None, false) if is_of_the_protocol(text) => Some(Err(io::Error::new(io::ErrorKind::InvalidData, why))),
            (None, false) => None,
        }
    }
}

/// Whether a text has a key that answers have: somebody may wait for it.
fn is_of_the_protocol(text: &str) -> bool {
    ["jsonrpc", "result", "error", "id"].iter().any(|key| after_key(text, key).is_some())
}

/// The id of a message that cannot be read: a number, or a text without escapes.
fn id_in(text: &str) -> Option<Value> {
    let rest = after_key(text, "id")?;
    let end = match rest.strip_prefix('"') {
        Some(word) => word.find('"')? + 2,
        None => rest.find(|c: char| !(c.is_ascii_digit() || c == '-')).unwrap_or(rest.len()),
    };
    serde_json::from_str(&rest[..end]).ok().filter(|id: &Value| id.is_number() || id.is_string())
}

/// What follows a key of the outermost object of a text that is no JSON.
fn after_key<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let (mut depth, mut string, mut escaped) = (0, None, false);
    for (at, byte) in text.bytes().enumerate() {
        match (byte, string) {
            _ if escaped => escaped = false,
            (b'\\', Some(_)) => escaped = true,
            (b'"', None) => string = Some(at + 1),
            (b'"', Some(start)) => {
                string = None;
                let value = text[at + 1..].trim_start().strip_prefix(':');
                if depth == 1 && text.get(start..at) == Some(key) && value.is_some() {
                    return value.map(str::trim_start);
                }
            }
            (b'{' | b'[', None) => depth += 1,
            (b'}' | b']', None) => depth -= 1,
            _ => {}
        }
    }
    None
}

/// A message as the protocol wants it, when it is not: the crate drops an answer that it cannot read, and whoever asked
/// would wait for ever. `None` = as it is.
fn mended(message: Value) -> Option<String> {
    let Value::Object(mut message) = message else { return None };
    let (is_call, is_answer) = (message.contains_key("method"), message.contains_key("id"));
    if !is_call && !is_answer {
        return None;
    }
    let version = message.insert("jsonrpc".to_owned(), "2.0".into());
    let mut changed = version.as_ref().and_then(Value::as_str) != Some("2.0");
    if !is_call {
        match message.get("error").filter(|error| !error.is_null()).cloned() {
            Some(error) => {
                let proper = proper(error.clone());
                changed |= message.remove("result").is_some() || proper != error;
                message.insert("error".to_owned(), proper);
            }
            None => {
                changed |= message.remove("error").is_some() || !message.contains_key("result");
                message.entry("result").or_insert(Value::Null);
            }
        }
    }
    changed.then(|| Value::Object(message).to_string())
}

/// An error with a code, a message and data, whatever it was; what it was is in the data where that says more.
fn proper(error: Value) -> Value {
    let of = |name: &str| error.get(name);
    let number = |code: &Value| code.as_i64().or_else(|| code.as_str()?.parse().ok());
    let code = of("code").and_then(number).and_then(|code| i32::try_from(code).ok());
    let message = of("message").and_then(Value::as_str).or(error.as_str()).map(str::to_owned);
    let mut made = match &error {
        Value::Object(fields) => fields.clone(),
        _ => Map::new(),
    };
    if (code.is_none() || message.is_none()) && error.is_object() && of("data").is_none() {
        made.insert("data".to_owned(), error.clone());
    }
    made.insert("code".to_owned(), json!(code.unwrap_or(INTERNAL_ERROR)));
    made.insert("message".to_owned(), message.unwrap_or_else(|| error.to_string()).into());
    Value::Object(made)
}

/// What the agent is told. Its stdin is closed when this is dropped.
pub(super) fn outgoing(stdin: ChildStdin) -> impl Sink<String, Error = io::Error> + Send + 'static {
    sink::unfold(stdin, |mut stdin, mut line: String| async move {
        line.push('\n');
        stdin.write_all(line.as_bytes()).await?;
        stdin.flush().await?;
        Ok(stdin)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_found_where_there_is_one() {
        let cases = [
            (r#"{"jsonrpc":"2.0","id":3,"result":{"#, json!(3)),
            (r#"{"id" : "a-1","result":{"#, json!("a-1")),
            (r#"{"result":x,"id":-7"#, json!(-7)),
            (r#"{"id":null,"result":{"#, Value::Null),
            (r#"{"idle":3"#, Value::Null),
            (r#"{"result":{"id":4},"id":5,"x":y}"#, json!(5)),
            (r#"{"result":{"id":4"#, Value::Null),
            (r#"{"result":"\"id\":4","#, Value::Null),
            (r#"{"id":"#, Value::Null),
        ];
        for (text, id) in cases {
            assert_eq!(id_in(text).unwrap_or_default(), id, "{text}");
        }
    }

    #[test]
    fn an_answer_is_one_whatever_the_agent_makes_of_it() {
        let mended = |text: &str| {
            let made = mended(serde_json::from_str(text).unwrap());
            made.map_or(Value::Null, |text| serde_json::from_str(&text).unwrap())
        };
        let error = |of: Value| json!({"jsonrpc": "2.0", "id": 1, "error": of});
        assert_eq!(
            mended(r#"{"id":1,"error":"overloaded","result":{}}"#),
            error(json!({"code": -32603, "message": "overloaded"}))
        );
        let sparse = json!({"message": "slow down", "type": "rate_limit"});
        assert_eq!(
            mended(&json!({"jsonrpc": "2.0", "id": 1, "error": sparse}).to_string()),
            error(json!({"code": -32603, "message": "slow down", "type": "rate_limit", "data": sparse}))
        );
        let code =
            |code: Value| mended(&json!({"id": 1, "error": {"code": code, "message": "m", "data": 1}}).to_string());
        assert_eq!(code(json!(9_999_999_999_u64)), error(json!({"code": -32603, "message": "m", "data": 1})));
        assert_eq!(code(json!("-32000")), error(json!({"code": -32000, "message": "m", "data": 1})));
        assert_eq!(code(json!(-32000)), error(json!({"code": -32000, "message": "m", "data": 1})));
        let nothing = json!({"jsonrpc": "2.0", "id": 1, "result": null});
        assert_eq!((mended(r#"{"id":1}"#), mended(r#"{"id":1,"error":null}"#)), (nothing.clone(), nothing));
        for whole in [
            r#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
            r#"{"jsonrpc":"2.0","method":"m","params":{}}"#,
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}"#,
            r#"{"type":"verdict"}"#,
        ] {
            assert_eq!(mended(whole), Value::Null, "{whole}");
        }
    }
}
