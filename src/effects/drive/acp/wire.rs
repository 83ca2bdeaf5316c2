//! The agent's lines, both ways.
use super::Shared;
use crate::effects::drive::{
    child::Line,
    out::note,
    stream::{LAST_OUTPUT, ring},
};
use futures_util::{Sink, Stream, sink, stream};
use serde_json::{Map, Value, json};
use std::{
    io::{self, Write},
    pin::Pin,
    sync::Arc,
};
use tokio::{io::AsyncWriteExt, process::ChildStdin, sync::mpsc, time::Sleep};

/// The code of an error that has none of its own.
const INTERNAL_ERROR: i32 = -32603;

/// What the agent writes: each line is logged, and those that are JSON objects are handed on. What else stands on
/// stdout (a banner, a half line of a dying program) is log. It ends with stdout, and soon after it even when somebody
/// still holds stderr.
pub(super) fn incoming(
    lines: mpsc::Receiver<Line>,
    shared: Arc<Shared>,
) -> impl Stream<Item = io::Result<String>> + Send + 'static {
    let alarm: Option<Pin<Box<Sleep>>> = None;
    stream::unfold((lines, shared, alarm), |(mut lines, shared, mut alarm)| async move {
        loop {
            let line = tokio::select! {
                biased;
                () = ring(&mut alarm) => return None,
                line = lines.recv() => line?,
            };
            if matches!(line, Line::OutEnd) {
                alarm = Some(Box::pin(tokio::time::sleep(LAST_OUTPUT)));
            } else if let Some(line) = understood(line, &shared) {
                return Some((Ok(line), (lines, shared, alarm)));
            }
        }
    })
}

fn understood(line: Line, shared: &Shared) -> Option<String> {
    let mut inner = shared.inner();
    match line {
        Line::OutEnd => None,
        Line::Err(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let _ = writeln!(io::stderr(), "{text}");
            inner.log.line(&text, &shared.classes);
            if inner.log.over && !shared.over.send_replace(true) {
                note("the program tries the same again and again: it is ended");
            }
            None
        }
        Line::Out { bytes, cut } => {
            // One byte that is no text must not cost the whole message.
            let text = String::from_utf8_lossy(&bytes);
            match serde_json::from_str::<Value>(text.trim()) {
                Ok(Value::Object(message)) if !cut => {
                    let message = Value::Object(message);
                    inner.out.native(&bytes, &message);
                    Some(mended(message).unwrap_or_else(|| text.into_owned()))
                }
                _ => {
                    if !bytes.trim_ascii().is_empty() {
                        inner.out.native_text(text.trim_end_matches('\r'));
                    }
                    None
                }
            }
        }
    }
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
