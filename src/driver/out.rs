//! The lines the driver writes.
use crate::{model::protocol::LINE_LIMIT, reader::Piece};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::io::{self, Write};

/// Bytes of a native line that are logged; the engine cuts a line of its own at [`LINE_LIMIT`].
const LOGGED: usize = LINE_LIMIT / 2;

/// Answered requests for permission that are told one by one. The engine takes a few thousand lines of an attempt at
/// once, and what was used, told at the end, must be among them.
const TOLD_PERMISSIONS: u32 = 500;

/// Where the lines go.
pub(super) struct Out {
    to: Box<dyn Write + Send>,
    permissions: u32,
    /// Bytes of log that may still be written: the protocol's last lines must find room behind them.
    log_left: u64,
}

impl Out {
    pub(super) fn new(to: Box<dyn Write + Send>) -> Self {
        Self { to, permissions: 0, log_left: u64::MAX }
    }

    /// The same, with so many bytes of log at the most.
    pub(super) fn with_log_limit(self, bytes: Option<u64>) -> Self {
        Self { log_left: bytes.unwrap_or(u64::MAX), ..self }
    }

    /// A protocol line.
    pub(super) fn say(&mut self, message: &Value) {
        if message["type"] == "permission" {
            self.permissions += 1;
            if self.permissions > TOLD_PERMISSIONS {
                return self.log(&json!({ "native": message }).to_string());
            }
        }
        self.write(&message.to_string());
    }

    /// A line of the agent's program that is JSON, as log.
    pub(super) fn native(&mut self, line: &[u8], event: &Value) {
        match std::str::from_utf8(line.trim_ascii()) {
            // As it was written: key order, numbers and all. A carriage return may stand between tokens, a newline not.
            Ok(text) if text.len() <= LOGGED => self.log(&format!("{{\"native\":{text}}}")),
            _ => self.native_text(&event.to_string()),
        }
    }

    /// A line of the agent's program and what was found in it, as log.
    pub(super) fn program_line(&mut self, line: &[u8], pieces: &[Piece]) {
        match pieces.last() {
            Some(Piece::Object(event)) if serde_json::from_slice::<IgnoredAny>(line.trim_ascii()).is_ok() => {
                self.native(line, event);
            }
            _ if line.trim_ascii().is_empty() => {}
            _ => self.native_text(String::from_utf8_lossy(line).trim_end_matches('\r')),
        }
    }

    /// Any other line of the agent's program, as log.
    pub(super) fn native_text(&mut self, line: &str) {
        if line.len() <= LOGGED {
            // A control character takes six bytes once it is escaped.
            let whole = json!({ "native": line }).to_string();
            if whole.len() < LINE_LIMIT {
                return self.log(&whole);
            }
        }
        let mut end = line.len().min(LOGGED / 6);
        while !line.is_char_boundary(end) {
            end -= 1;
        }
        self.log(&json!({ "native": line[..end], "cut_bytes": line.len() - end }).to_string());
    }

    /// A line of log, while there is room for it.
    fn log(&mut self, line: &str) {
        let size = u64::try_from(line.len()).unwrap_or(u64::MAX);
        if size <= self.log_left {
            self.log_left -= size;
            self.write(line);
        } else if self.log_left > 0 {
            self.log_left = 0;
            self.write(&json!({ "native": "what follows is left out: the limit of the log is reached" }).to_string());
        }
    }

    fn write(&mut self, line: &str) {
        // Whoever read us is gone: the program is ended by those who end us.
        let _ = self.to.write_all(format!("{line}\n").as_bytes()).and_then(|()| self.to.flush());
    }
}

/// A sentence for the person, on stderr.
pub(super) fn note(sentence: &str) {
    let _ = writeln!(io::stderr(), "p0 drive: {sentence}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::{LineReader, Piece, Reading, Source, read_message};

    /// Whether the engine takes a line for log.
    fn is_log(line: &[u8]) -> bool {
        let mut reader = LineReader::new(Source::Agent);
        let pieces = [reader.line(1, line), reader.end()].concat();
        pieces.iter().all(|piece| matches!(piece, Piece::Object(value) if read_message(value) == Reading::Log))
    }
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(write: impl FnOnce(&mut Out)) -> Vec<u8> {
        let sink = Sink::default();
        write(&mut Out::new(Box::new(sink.clone())));
        Arc::into_inner(sink.0).unwrap().into_inner().unwrap()
    }

    #[test]
    fn a_native_line_is_never_a_protocol_line() {
        let line = br#"{"type":"verdict","met":true}"#;
        let event = serde_json::from_slice(line).unwrap();
        let bytes = written(|out| out.native(line, &event));
        assert_eq!(bytes, b"{\"native\":{\"type\":\"verdict\",\"met\":true}}\n");
        assert!(is_log(bytes.trim_ascii_end()));
        let text = written(|out| out.native_text("{\"type\":\"verdict\"}\n{\"type\":\"verdict\"}"));
        assert_eq!(text.iter().filter(|b| **b == b'\n').count(), 1);
        assert!(is_log(text.trim_ascii_end()));
    }

    #[test]
    fn log_has_a_limit_and_the_agents_words_have_none() {
        let sink = Sink::default();
        let mut out = Out::new(Box::new(sink.clone())).with_log_limit(Some(100));
        (0..50).for_each(|_| out.native_text("twenty bytes of text"));
        out.say(&json!({"type": "usage"}));
        drop(out);
        let text = String::from_utf8(Arc::into_inner(sink.0).unwrap().into_inner().unwrap()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 5, "{text}");
        assert!(lines[3].contains("left out") && lines[4].contains("usage"), "{text}");
    }

    #[test]
    fn a_flood_of_permissions_becomes_log() {
        let bytes = written(|out| {
            for _ in 0..TOLD_PERMISSIONS + 3 {
                out.say(&json!({"type": "permission", "tool": "t"}));
            }
            out.say(&json!({"type": "usage"}));
        });
        let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()).collect();
        let messages = lines.iter().filter(|line| !is_log(line)).count();
        assert_eq!((messages, lines.len()), (TOLD_PERMISSIONS as usize + 1, TOLD_PERMISSIONS as usize + 4));
    }

    #[test]
    fn a_huge_line_is_cut_below_the_limit() {
        for text in ["é".repeat(LINE_LIMIT), "\u{1}".repeat(LINE_LIMIT), "\u{1}".repeat(LOGGED)] {
            let bytes = written(|out| out.native_text(&text));
            assert!(bytes.len() < LINE_LIMIT);
            assert!(is_log(bytes.trim_ascii_end()));
            let value: Value = serde_json::from_slice(&bytes).unwrap();
            assert!(value["cut_bytes"].as_u64().unwrap() > 0);
        }
    }
}
