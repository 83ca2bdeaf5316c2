//! Lines as programs really write them, and what the reader makes of each: every message of the protocol under every
//! repair, lines that cannot be read, and events of the programs that are driven.
use super::{LineReader, Piece, Reading, Source, read_message};
use p0_model::protocol::{Message, refuses_its_attempt};
use serde_json::Value;
use std::fmt::Write;

/// One of each message, as docs/agents.md and schemas/agent-message.json describe them.
pub(super) const DOCUMENTED: &[&str] = &[
    r#"{"type":"ticket","key":"api","title":"The API","body":"All of it.","priority":"high","files":{"create":["api.rs"],"modify":[]},"depends_on":["db"],"contract":{"feature_id":"F1","provides":["api"],"depends_on":[],"acceptance_criteria":[{"text":"answers","command":["true"]}]}}"#,
    r#"{"type":"ticket","id":"BLOG-2","priority":"low"}"#,
    r#"{"type":"ticket","title":"Repair","kind":"fix","closes":["BLOG-3"]}"#,
    r#"{"type":"defer","ticket":"BLOG-2","reason":"not now"}"#,
    r#"{"type":"decision","decision":"continue","reason":"work is left"}"#,
    r#"{"type":"status","status":"blocked","reason":"the schema is missing"}"#,
    r#"{"type":"subtask","title":"The first half","files":{"create":["a.rs"],"modify":[]}}"#,
    r#"{"type":"comment","text":"looks fine"}"#,
    r#"{"type":"learning","text":"run the migration first"}"#,
    r#"{"type":"curate","keep":["L1","L2"]}"#,
    r#"{"type":"request_files","create":[],"modify":["b.rs"],"reason":"it calls it"}"#,
    r#"{"type":"verdict","met":false,"rationale":"no tests","gaps":["tests"]}"#,
    r#"{"type":"feedback","title":"Login can be bypassed","body":"See a.rs.","priority":"high","category":"security","files":["a.rs"]}"#,
    r#"{"type":"artifact","name":"plan","content":"1. do it"}"#,
    r#"{"type":"checklist","items":[{"text":"migrate","done":false}]}"#,
    r#"{"type":"confidence","value":80}"#,
    r#"{"type":"usage","model":"m","input_tokens":900000,"output_tokens":5,"cost_usd":12.5}"#,
    r#"{"type":"rate_limited","retry_after_s":60}"#,
    r#"{"type":"question","text":"may I drop the table?"}"#,
    r#"{"type":"failed","class":"auth","text":"no key","status":401}"#,
    r#"{"type":"session","session":"s1","resumed":true,"input_tokens":10,"output_tokens":2,"cost_usd":0.1}"#,
    r#"{"type":"activity","tool_calls":3,"turns":1}"#,
];

/// What an output means, a line for each piece.
pub(super) fn meaning(source: Source, output: &[u8]) -> Vec<String> {
    let mut reader = LineReader::new(source);
    let mut pieces = Vec::new();
    for (line, number) in output.split(|b| *b == b'\n').zip(1..) {
        pieces.extend(reader.line(number, line));
    }
    pieces.extend(reader.end());
    let of = |piece: Piece| match piece {
        Piece::Object(value) if source == Source::Program => Some(format!("event {value}")),
        Piece::Object(value) => match read_message(&value) {
            Reading::Message { message, notes } => {
                let notes: String = notes.iter().map(|note| format!(" # {note}")).collect();
                Some(format!("{}{notes}", serde_json::to_string(&message).unwrap()))
            }
            Reading::Unreadable(it) => Some(format!("unreadable {:?}: {}", it.what, it.why)),
            Reading::Log => None,
        },
        Piece::Unreadable(it) => Some(format!("unreadable {:?} at {}:{}: {}", it.what, it.line, it.column, it.why)),
    };
    pieces.into_iter().filter_map(of).collect()
}

/// The same message in other words: each must mean the same.
fn in_other_words(line: &str) -> Vec<(&'static str, Vec<u8>)> {
    let value: Value = serde_json::from_str(line).unwrap();
    let mut ways = vec![
        ("byte order mark", format!("\u{feff}{line}").into_bytes()),
        ("colours", format!("\u{1b}[1;32m{line}\u{1b}[0m").into_bytes()),
        ("window title", format!("\u{1b}]0;agent: ready\u{7}{line}").into_bytes()),
        ("text before", format!("2026-11-29 INFO agent: {line}").into_bytes()),
        ("spaces and CR", format!("  {line} \r").into_bytes()),
        ("several lines", serde_json::to_vec_pretty(&value).unwrap()),
        ("key order", {
            let mut fields: Vec<(String, Value)> = value.as_object().unwrap().clone().into_iter().collect();
            fields.reverse();
            Value::Object(fields.into_iter().collect()).to_string().into_bytes()
        }),
    ];
    ways.extend(in_other_values(&value));
    ways.retain(|(_, bytes)| bytes != line.as_bytes());
    ways
}

/// The same message with other values and words.
fn in_other_values(value: &Value) -> Vec<(&'static str, Vec<u8>)> {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut changed = value.clone();
        change(&mut changed);
        changed.to_string().into_bytes()
    };
    let fields = |value: &mut Value, change: &dyn Fn(&str, &mut Value)| {
        for (field, of) in value.as_object_mut().unwrap() {
            change(field, of);
        }
    };
    let is_number = |value: &Value| value.is_u64() || value.is_f64();
    vec![
        ("type in capitals", with(&|v| v["type"] = v["type"].as_str().unwrap().to_uppercase().into())),
        ("hyphens", with(&|v| v["type"] = v["type"].as_str().unwrap().replace('_', "-").into())),
        (
            "null for what is left out",
            with(&|v| {
                for field in ["model", "closes", "category", "retry_after_s", "cached_tokens", "contract", "gaps"] {
                    let known = super::form::of_message(v["type"].as_str().unwrap());
                    if known["properties"].get(field).is_some() && v.get(field).is_none() {
                        v[field] = Value::Null;
                    }
                }
            }),
        ),
        (
            "words in capitals",
            with(&|v| {
                fields(v, &|field, of| {
                    if matches!(field, "priority" | "status" | "decision" | "kind" | "class")
                        && let Some(word) = of.as_str()
                    {
                        *of = word.to_uppercase().into();
                    }
                });
            }),
        ),
        (
            "numbers as texts",
            with(&|v| {
                fields(v, &|_, of| {
                    if is_number(of) {
                        *of = of.to_string().into()
                    }
                })
            }),
        ),
        (
            "whole numbers with a fraction",
            with(&|v| {
                fields(v, &|_, of| {
                    if let Some(number) = of.as_u64() {
                        *of = (number as f64).into()
                    }
                });
            }),
        ),
        (
            "booleans as texts",
            with(&|v| {
                fields(v, &|_, of| {
                    if let Some(b) = of.as_bool() {
                        *of = if b { "yes" } else { "No" }.into()
                    }
                })
            }),
        ),
    ]
}

#[test]
fn every_message_means_the_same_in_other_words() {
    let mut tried = 0;
    for line in DOCUMENTED {
        let expected: Message = serde_json::from_str(line).unwrap();
        for (way, bytes) in in_other_words(line) {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let mut reader = LineReader::new(Source::Agent);
            let mut pieces = Vec::new();
            for (part, number) in bytes.split(|b| *b == b'\n').zip(1..) {
                pieces.extend(reader.line(number, part));
            }
            pieces.extend(reader.end());
            let [Piece::Object(value)] = pieces.as_slice() else { panic!("{way}: {shown}: {pieces:?}") };
            let Reading::Message { message, .. } = read_message(value) else { panic!("{way}: {shown}: {value}") };
            assert_eq!(message, expected, "{way}: {shown}");
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
}

/// The message in a guise: each must mean the same, or be on record as a message that cannot be read.
fn in_a_guise(line: &str) -> Vec<(&'static str, Vec<u8>)> {
    let value: Value = serde_json::from_str(line).unwrap();
    let fields = value.as_object().unwrap();
    let word = value["type"].as_str().unwrap();
    let keys: Vec<String> = fields.keys().map(|key| format!("\"{key}\":")).collect();
    let bare = keys.iter().fold(line.to_owned(), |text, key| text.replace(key, &key.replace('"', "")));
    let python = line.replace('"', "'").replace("true", "True").replace("false", "False");
    let typed = |of: Value| {
        let mut changed = value.clone();
        changed["type"] = of;
        changed.to_string()
    };
    let mut reversed: Vec<(String, Value)> = fields.clone().into_iter().collect();
    reversed.reverse();
    let python_reversed =
        Value::Object(reversed.into_iter().collect()).to_string().replace('"', "'").replace("false", "False");
    let twice = format!("{},\"{}\":\"another\"}}", &line[..line.len() - 1], fields.keys().nth(1).unwrap());
    let texts = vec![
        ("text on both sides", format!("INFO {line} req=12")),
        ("a sentence", format!("My last word is {line}, as I said.")),
        ("quoted behind a label", format!("{word}: '{line}'")),
        ("behind words", format!("If all were well I would print {line}")),
        ("in a list", format!("- {line}")),
        ("in a container's log", format!("agent-1  | {line}")),
        ("with a comma at the end", format!("{},}}", &line[..line.len() - 1])),
        ("with a comment", format!("{{ /* mine */ {}", &line[1..])),
        ("a tool's call", serde_json::json!({"name": word, "arguments": value}).to_string()),
        (
            "fenced in an object",
            serde_json::json!({"response": format!("```json\n{line}\n```\nThat is all.")}).to_string(),
        ),
        ("tags", format!("<{word}>{line}</{word}>")),
        ("zero-width characters", format!("\u{200b}{line}\u{200b}")),
        ("a progress bar", format!("Working 10%\r{line}\rdone")),
        ("names without quotes", bare.clone()),
        ("names without quotes, amid text", format!("message: {} now", bare.replace('"', "'"))),
        ("several lines without quotes", bare.replace(',', ",\n  ").replace('{', "{\n  ").replace('}', "\n}")),
        ("Python", python.clone()),
        ("Python behind text", format!("final: {python_reversed}")),
        ("Python amid text", format!("final: {python} (sure)")),
        ("curly quotes", line.replace('"', "\u{201c}")),
        ("HTML", line.replace('"', "&quot;")),
        ("an escaped text", format!("\"{}\"", line.replace('"', "\\\""))),
        ("repeated keys", twice),
        ("within an object", format!("{{\"message\":{line}}}")),
        ("within a typed object", format!("{{\"type\":\"event\",\"data\":[{line}]}}")),
        ("as a text within an object", serde_json::json!({ "result": line }).to_string()),
        ("its type a list", typed(vec![Value::from(word)].into())),
    ];
    let mut ways: Vec<(&str, Vec<u8>)> = texts.into_iter().map(|(way, text)| (way, text.into_bytes())).collect();
    let utf_16 = |unit: fn(u16) -> [u8; 2]| line.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    ways.push(("UTF-16, little-endian", utf_16(u16::to_le_bytes)));
    ways.push(("UTF-16, big-endian", utf_16(u16::to_be_bytes)));
    ways.push(("UTF-16 with its mark", [b"\xff\xfe".as_slice(), &utf_16(u16::to_le_bytes)].concat()));
    ways.extend(without_its_type(&value).into_iter().map(|(way, text)| (way, text.into_bytes())));
    ways
}

/// The message without its `type`, where its fields say enough. Of a text, a name or a session alone nothing can be said.
fn without_its_type(value: &Value) -> Vec<(&'static str, String)> {
    let word = value["type"].as_str().unwrap();
    let says_enough = match word {
        "ticket" => value.get("title").is_some() && value.get("files").is_some(),
        "status" | "defer" | "decision" | "curate" | "verdict" | "feedback" | "usage" | "question" => true,
        _ => false,
    };
    if !says_enough {
        return Vec::new();
    }
    // A question's text alone could be anything's.
    let plain = |value: &Value| value.to_string().replace("\"text\"", "\"question\"");
    let (mut untyped, mut null) = (value.clone(), value.clone());
    untyped.as_object_mut().unwrap().shift_remove("type");
    null["type"] = Value::Null;
    vec![
        ("without its type", plain(&untyped)),
        ("its type null", plain(&null)),
        ("called what it is", format!("{{\"{word}\":{}}}", plain(&untyped))),
        ("behind its name", format!("{word}: {}", plain(&untyped))),
    ]
}

#[test]
fn every_message_in_a_guise_means_the_same_or_is_on_record() {
    let mut tried = 0;
    for line in DOCUMENTED {
        let Reading::Message { message, .. } = read_message(&serde_json::from_str(line).unwrap()) else {
            panic!("{line}")
        };
        for (way, bytes) in in_a_guise(line) {
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let came = came(&bytes);
            let counts = |came: &Came| match came {
                Came::Message(heard) => **heard == message,
                Came::OnRecord(what) => !refuses_its_attempt(message.word()) || refuses_its_attempt(what),
                Came::Log => false,
            };
            assert!(came.iter().any(counts), "{way}: {shown}: {came:?}");
            assert!(bytes.contains(&b'\n') || crate::may_be_message(&bytes), "{way}: {shown}");
            tried += 1;
        }
    }
    assert!(tried > 500, "{tried}");
}

/// Lines that were seen, or that programs were seen to write nearly so.
const SEEN: &[&str] = include!("corpus_lines.rs");

#[test]
fn lines_that_were_seen() {
    let mut table = String::new();
    for line in SEEN {
        let meaning = meaning(Source::Agent, line.as_bytes());
        let meaning = if meaning.is_empty() { vec!["log".to_owned()] } else { meaning };
        writeln!(table, "{}\n    => {}", line.escape_debug(), meaning.join("\n    => ")).unwrap();
    }
    assert!(SEEN.len() >= 120, "{}", SEEN.len());
    insta::assert_snapshot!(table);
}

/// Events of the programs that are driven, from the recordings of tests/adapters, and messages of ACP and MCP.
#[test]
fn events_of_programs_mean_the_same_in_other_words() {
    let folder = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../..")).join("tests/adapters");
    let mut lines: Vec<String> = vec![
        r#"{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":1,"agentCapabilities":{"loadSession":true},"authMethods":[]}}"#.into(),
        r#"{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s","update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"é \"x\" {"}}}}"#.into(),
        r#"{"jsonrpc":"2.0","id":0,"method":"session/request_permission","params":{"sessionId":"s","toolCall":{"toolCallId":"t"},"options":[{"optionId":"o","kind":"allow_once"}]}}"#.into(),
        r#"{"jsonrpc":"2.0","id":3,"error":{"code":-32000,"message":"Authentication required"}}"#.into(),
        r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"verdict","arguments":{"met":true}}}"#.into(),
    ];
    for program in ["claude", "codex", "gemini", "opencode", "qwen"] {
        let text = std::fs::read_to_string(folder.join(format!("{program}-success.jsonl"))).unwrap();
        let events = text.lines().filter(|line| serde_json::from_str::<Value>(line).is_ok_and(|v| v.is_object()));
        lines.extend(events.take(12).map(str::to_owned));
    }
    assert!(lines.len() >= 40, "{}", lines.len());
    for line in &lines {
        let value: Value = serde_json::from_str(line).unwrap();
        let expected = vec![format!("event {value}")];
        let ways = [
            line.clone(),
            format!("\u{feff}{line}"),
            format!("\u{1b}]0;working\u{7}\u{1b}[2K{line}\u{1b}[0m"),
            format!("{line}\r"),
            serde_json::to_string_pretty(&value).unwrap(),
        ];
        for way in ways {
            assert_eq!(meaning(Source::Program, way.as_bytes()), expected, "{way}");
        }
        let twice = meaning(Source::Program, format!("{line}{line}").as_bytes());
        assert_eq!(twice, [expected.clone(), expected].concat(), "{line}");
        let half = &line[..line.len() - 1];
        assert!(meaning(Source::Program, half.as_bytes())[0].starts_with("unreadable"), "{half}");
    }
}

#[path = "../../fuzz/mutations.rs"]
mod fuzz_mutations;

#[test]
fn the_corpus_of_the_fuzzer_is_read_without_harm() {
    let repository = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let files = fuzz_mutations::of_corpus(repository, "reader", 1000, |bytes| {
        for source in [Source::Agent, Source::Program] {
            meaning(source, bytes);
        }
    });
    assert!(files >= 20, "{files}");
}

/// What an output of one message came to.
#[derive(Debug, PartialEq)]
enum Came {
    Message(Box<Message>),
    OnRecord(String),
    Log,
}

fn came(bytes: &[u8]) -> Vec<Came> {
    let mut reader = LineReader::new(Source::Agent);
    let mut pieces = Vec::new();
    for (line, number) in bytes.split(|b| *b == b'\n').zip(1..) {
        pieces.extend(reader.line(number, line));
    }
    pieces.extend(reader.end());
    let of = |piece| match piece {
        Piece::Object(value) => match read_message(&value) {
            Reading::Message { message, .. } => Came::Message(Box::new(message)),
            Reading::Unreadable(it) => Came::OnRecord(it.what),
            Reading::Log => Came::Log,
        },
        Piece::Unreadable(it) => Came::OnRecord(it.what),
    };
    pieces.into_iter().map(of).collect()
}

mod mutations {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

        /// One byte lost, added or changed: it is a message still, or on record as one that cannot be read. What an
        /// attempt is judged by is never log.
        #[test]
        fn a_mutated_message_is_read_or_on_record(
            which in 0..DOCUMENTED.len(),
            at in any::<prop::sample::Index>(),
            byte in prop::sample::select(b"\"{}[]:,\\ xX0\n\xff\x1b".to_vec()),
            how in 0..4u8,
        ) {
            let mut bytes = DOCUMENTED[which].as_bytes().to_vec();
            let at = at.index(bytes.len());
            match how {
                0 => { bytes.remove(at); }
                1 => bytes.insert(at, byte),
                2 => bytes[at] = byte,
                // Cut off; of a single brace nothing can be said.
                _ => bytes.truncate(at.max(3)),
            }
            let came = came(&bytes);
            let shown = String::from_utf8_lossy(&bytes).into_owned();
            let heard = came.iter().any(|came| !matches!(came, Came::Log));
            prop_assert!(heard, "{shown}: {came:?}");
            let word = read_message(&serde_json::from_str(DOCUMENTED[which]).unwrap());
            let Reading::Message { message, .. } = word else { panic!("documented") };
            if refuses_its_attempt(message.word()) {
                let counts = |came: &Came| match came {
                    Came::Message(_) => true,
                    Came::OnRecord(what) => refuses_its_attempt(what),
                    Came::Log => false,
                };
                prop_assert!(came.iter().any(counts), "{shown}: {came:?}");
            }
        }

        #[test]
        fn any_output_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..200), which in 0..DOCUMENTED.len(), cut in any::<prop::sample::Index>()) {
            let line = DOCUMENTED[which].as_bytes();
            let (head, tail) = line.split_at(cut.index(line.len()));
            came(&[head, &bytes, tail].concat());
        }
    }
}
