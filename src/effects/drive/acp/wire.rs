//! The agent's lines, both ways.
use super::Shared;
use crate::effects::{drive::child::Line, drive::out::note};
use futures_util::{Sink, Stream, sink, stream};
use serde_json::Value;
use std::{
    io::{self, Write},
    sync::Arc,
};
use tokio::{io::AsyncWriteExt, process::ChildStdin, sync::mpsc};

/// What the agent writes: each line is logged, and those that are JSON objects are handed on. What else stands on
/// stdout (a banner, a half line of a dying program) is log.
pub(super) fn incoming(
    lines: mpsc::Receiver<Line>,
    shared: Arc<Shared>,
) -> impl Stream<Item = io::Result<String>> + Send + 'static {
    stream::unfold((lines, shared), |(mut lines, shared)| async move {
        loop {
            let line = lines.recv().await?;
            if let Some(line) = understood(line, &shared) {
                return Some((Ok(line), (lines, shared)));
            }
        }
    })
}

fn understood(line: Line, shared: &Shared) -> Option<String> {
    let mut inner = shared.inner();
    match line {
        Line::Err(bytes) => {
            let text = String::from_utf8_lossy(&bytes);
            let _ = writeln!(io::stderr(), "{text}");
            inner.log.line(&text, &shared.classes);
            if inner.log.over && !shared.over.send_replace(true) {
                note("the program tries the same again and again: it is ended");
            }
            None
        }
        Line::Out { bytes, cut } => match serde_json::from_slice::<Value>(bytes.trim_ascii()) {
            Ok(message) if message.is_object() && !cut => {
                inner.out.native(&bytes, &message);
                String::from_utf8(bytes).ok()
            }
            _ => {
                if !bytes.trim_ascii().is_empty() {
                    inner.out.native_text(String::from_utf8_lossy(&bytes).trim_end_matches('\r'));
                }
                None
            }
        },
    }
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
