//! Reading an agent's output: a million lines, of which most are log, against the reader that took only exact JSON.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a bench may stop at the first surprise, reads clocks and prints"
)]

mod harness;

use harness::{Case, Group, seconds};
use p0::{
    model::protocol::Message,
    reader::{LineReader, Piece, Reading, Source, read_message},
};
use serde_json::Value;
use std::hint::black_box;

const LINES: usize = 1_000_000;
const EXACT: &str = "exact JSON only";

/// What a build, a test run and an agent print; one line in `one_in` is a message.
fn output(one_in: usize) -> Vec<Vec<u8>> {
    let log: &[&str] = &[
        "   Compiling serde v1.0.229",
        "test reader::tests::a_line_is_read ... ok",
        "warning: unused variable: `x` at src/main.rs:12:9, which is a longer line than the others are, as warnings may be",
        "    let x = S { a: 1, b: vec![1, 2, 3] };",
        "",
        "{\"native\":{\"type\":\"assistant\",\"message\":{\"content\":[{\"type\":\"text\",\"text\":\"I will look at it\"}]}}}",
    ];
    let messages: &[&str] = &[
        r#"{"type":"comment","text":"the parser is done"}"#,
        r#"{"type":"usage","model":"m","input_tokens":900000,"output_tokens":5,"cost_usd":12.5}"#,
        r#"{"type":"ticket","key":"a","title":"A","files":{"create":["a.rs"],"modify":[]},"depends_on":["b"]}"#,
        r#"{"type":"status","status":"in_progress","reason":"half of it stands"}"#,
    ];
    let line =
        |n: usize| if n.is_multiple_of(one_in) { messages[n / one_in % messages.len()] } else { log[n % log.len()] };
    (0..LINES).map(|n| line(n).as_bytes().to_vec()).collect()
}

/// Every line as the reader before this one took it: parsed to see what is to be redacted, and parsed again.
fn exact(lines: &[Vec<u8>]) -> usize {
    let parse = |line: &[u8]| -> Option<Value> {
        let trimmed = line.trim_ascii();
        if trimmed.first() != Some(&b'{') {
            black_box(String::from_utf8_lossy(line).into_owned());
            return None;
        }
        let value = serde_json::from_slice::<Value>(trimmed).ok()?;
        value.get("type").is_some_and(Value::is_string).then_some(value)
    };
    let mut messages = 0;
    for line in lines {
        let copy = match parse(line) {
            Some(value) => value.to_string().into_bytes(),
            None => line.clone(),
        };
        if let Some(value) = parse(&copy) {
            messages += usize::from(serde_json::from_value::<Message>(value).is_ok());
        }
    }
    messages
}

fn tolerant(lines: &[Vec<u8>]) -> usize {
    let (mut reader, mut messages) = (LineReader::new(Source::Agent), 0);
    for (line, number) in lines.iter().zip(1..) {
        for piece in reader.line(number, line) {
            if let Piece::Object(value) = piece {
                messages += usize::from(matches!(read_message(&value), Reading::Message { .. }));
            }
        }
    }
    messages
}

fn main() {
    if !harness::is_bench() {
        return;
    }
    for (one_in, title) in
        [(50, "A million lines of output, 2 % of them messages"), (2, "The same, half of them messages")]
    {
        let lines = output(one_in);
        assert_eq!(exact(&lines), tolerant(&lines), "the same messages");
        let per_line = |read: fn(&[Vec<u8>]) -> usize| vec![seconds(|| _ = black_box(read(&lines))) / LINES as f64];
        let cases = vec![
            Case::new(EXACT, &[], || per_line(exact)),
            Case::new("tolerant reader", &[EXACT], || per_line(tolerant)),
        ];
        Group { title, unit: "line", rounds: 7, cases }.measure();
    }
}
