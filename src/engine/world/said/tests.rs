//! Agents that garble what they say, in every role: whatever was not heard as it was meant keeps their work from being
//! taken.
use super::{Heard, Place, SpoolLine};
use crate::model::{
    protocol::{LINE_LIMIT, Message, refuses_its_attempt},
    run::RunState,
};
use p0_simulation::{Random, Simulation, Spoken};
use serde_json::Value;
use std::collections::BTreeMap;

fn line(number: u64, bytes: &[u8]) -> SpoolLine {
    SpoolLine { number, bytes: bytes.to_vec(), cut: false, half: false }
}

/// What is heard of an output.
fn heard(output: &[u8]) -> (Heard, Vec<(Place, Message)>) {
    let (mut heard, mut at_once) = (Heard::new(), Vec::new());
    for (bytes, number) in output.split(|b| *b == b'\n').zip(1..) {
        let is_long = bytes.len() > LINE_LIMIT;
        let parts = if is_long { bytes.chunks(LINE_LIMIT).collect() } else { vec![bytes] };
        for part in parts {
            at_once.extend(heard.take(&SpoolLine { cut: is_long, ..line(number, part) }, &|_| {}));
        }
    }
    at_once.extend(heard.end(&|_| {}));
    (heard, at_once)
}

/// One message as a program writes it that does not take care.
fn garbled(random: &mut Random, value: &Value) -> Vec<u8> {
    let text = value.to_string();
    let mut bytes = text.clone().into_bytes();
    let structure: Vec<usize> = (0..bytes.len()).filter(|at| b"\"{}[]:,".contains(&bytes[*at])).collect();
    let at = structure[random.roll(structure.len() as u64) as usize];
    let word = value["type"].as_str().unwrap_or_default();
    let untyped = || {
        let mut fields = value.as_object().unwrap().clone();
        fields.remove("type");
        Value::Object(fields).to_string()
    };
    match random.roll(64) {
        0 => {
            bytes.remove(at);
        }
        1 => bytes[at] = b"x'\\\xff\x00"[random.roll(5) as usize],
        // Of less nothing can be said behind other text.
        2 => bytes.truncate(at.max(8)),
        3 => bytes = serde_json::to_vec_pretty(value).unwrap(),
        4 => bytes = format!("{text}{text}").into_bytes(),
        5 => bytes = text.replace('"', "'").into_bytes(),
        6 => bytes = text.replace("\"type\"", "\"tpye\"").into_bytes(),
        7 => bytes = text.replacen("\":\"", "\":\"\\ud83d", 1).into_bytes(),
        8 => bytes = text.to_uppercase().into_bytes(),
        9 => bytes = format!("\u{1b}]0;t\u{7}\u{feff}log: {text}").into_bytes(),
        10 => bytes = text.replace("true", "True").replace("false", "False").replace("null", "None").into_bytes(),
        11 => bytes = [text.as_bytes(), b" and more {\"type\":\"comment\""].concat(),
        12 => bytes = [b"{\n", text.as_bytes()].concat(),
        13 => bytes = text.replace(",\"", ",\n\"").into_bytes(),
        14 => bytes = format!("INFO {text} req=12").into_bytes(),
        15 => bytes = format!("<{word}>{text}</{word}>").into_bytes(),
        16 => bytes = format!("Working 10%\r{text}\rdone").into_bytes(),
        17 => bytes = text.replace('"', "\u{201d}").into_bytes(),
        18 => bytes = text.replace('"', "&quot;").into_bytes(),
        19 => bytes = format!("final: {} (sure)", text.replace('"', "'").replace("true", "True")).into_bytes(),
        20 => bytes = format!("{{\"message\":{text}}}").into_bytes(),
        21 => bytes = format!("{{\"type\":\"result\",\"result\":{}}}", Value::from(text)).into_bytes(),
        22 => bytes = format!("{{\"{word}\":{}}}", untyped()).into_bytes(),
        23 => bytes = text.replacen('{', "{\"type\":\"comment\",", 1).into_bytes(),
        24 => bytes = text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        25 => bytes = [text.as_bytes(), &[b' '; 1024 * 1024]].concat(),
        _ => {}
    }
    bytes
}

/// What is heard of messages that are garbled, several of them on one line at times.
fn garbling(mut random: Random, meant: &[Value]) -> Spoken {
    let mut output = b"starting\n".to_vec();
    for value in meant {
        output.extend(garbled(&mut random, value));
        if random.roll(5) > 0 {
            output.push(b'\n');
        }
    }
    let (heard, at_once) = heard(&output);
    let read = |value: &Value| serde_json::from_value::<Message>(value.clone()).unwrap();
    let mut wanted: BTreeMap<String, i64> = BTreeMap::new();
    for message in meant.iter().map(read).filter(|message| refuses_its_attempt(message.word())) {
        *wanted.entry(format!("{message:?}")).or_default() += 1;
    }
    for message in heard.staged.iter().map(|said| &said.message).chain(at_once.iter().map(|(_, message)| message)) {
        wanted.entry(format!("{message:?}")).and_modify(|left| *left -= 1);
    }
    let lost = wanted.values().any(|left| *left > 0);
    assert!(!lost || !heard.misread.is_empty(), "lost in silence: {}", String::from_utf8_lossy(&output));
    Spoken { staged: heard.staged, misread: heard.misread, at_once, lost }
}

#[test]
fn no_run_is_done_with_a_message_that_nobody_read() {
    let mut ends: BTreeMap<&'static str, u32> = BTreeMap::new();
    for seed in 0..2000 {
        let end = Simulation::heard(seed, if seed % 2 == 0 { 0 } else { 12 }, garbling);
        assert!(matches!(end, RunState::Done | RunState::Stuck { .. }), "{seed}: {end:?}");
        *ends.entry(end.word()).or_default() += 1;
    }
    assert!(ends["done"] > 20 && ends["stuck"] > 20, "{ends:?}");
}

#[test]
fn the_messages_of_one_line_have_places_of_their_own() {
    let two = br#"{"type":"comment","text":"a"}{"type":"comment","text":"b"}"#;
    let (_, at_once) = heard(&[two.as_slice(), b"\n", two].concat());
    let places: Vec<(u64, u32)> = at_once.iter().map(|(place, _)| *place).collect();
    assert_eq!(places, [(1, 0), (1, 1), (2, 0), (2, 1)]);
}

#[test]
fn an_unreadable_limit_is_a_limit_and_unreadable_usage_is_told_once_more() {
    let (heard, at_once) =
        heard(b"{\"type\":\"rate_limited\",\"retry_after_s\":soon}\n{\"type\":\"usage\",\"cost_usd\":NaN}");
    let words: Vec<&str> = at_once.iter().map(|(_, message)| message.word()).collect();
    assert_eq!((words, heard.misread), (vec!["unreadable", "rate_limited", "unreadable"], Vec::new()));
}

#[test]
fn a_flood_of_unreadable_lines_is_told_in_part_and_refuses_all_the_same() {
    let flood = b"{\"type\":\"verdict\",\"met\":x}\n{\"type\":\"comment\",\"text\":x}\n".repeat(1000);
    let (heard, at_once) = heard(&[flood.as_slice(), b"{\"type\":\"usage\",\"cost_usd\":x}"].concat());
    assert_eq!((heard.misread.len(), heard.malformed, at_once.len()), (20, 2001, 21));
    assert_eq!(at_once.last().unwrap().1.word(), "unreadable");
    assert_eq!(heard.misread[0], "line 1, column 25: the verdict cannot be read: expected value");
}

#[test]
fn a_line_that_is_too_long_is_no_message_and_not_passed_over() {
    let mut heard = Heard::new();
    let cut = |number, bytes: &[u8]| SpoolLine { cut: true, ..line(number, bytes) };
    heard.take(&cut(1, b"a log"), &|_| {});
    assert!(heard.misread.is_empty());
    let begun = [" {\"type\":\"artifact\"", "INFO {\"type\":\"artifact\",", "\u{feff}{\"type\":"];
    for (begun, number) in begun.iter().zip(2..) {
        heard.take(&cut(number, begun.as_bytes()), &|_| {});
    }
    assert_eq!(heard.misread.len(), 3, "{:?}", heard.misread);
    assert!(heard.misread.iter().all(|why| why.contains("longer than a line may be")), "{:?}", heard.misread);
}

#[test]
fn a_long_line_within_an_object_or_before_a_message_is_not_passed_over() {
    let long = "x".repeat(LINE_LIMIT + 10);
    let finding = r#"{"type":"feedback","title":"t","priority":"high"}"#;
    for output in [
        format!("{{\n\"type\":\"verdict\",\n\"gaps\":[\"{long}\"],\n\"met\":true}}"),
        format!("{long}{finding}"),
        format!("{long}\r{finding}"),
        format!("INFO {{\"title\":\"{long}\",\"severity\":\"high\"}}\n{{\"severity\":\"high\",\"title\":\"{long}\"}}"),
    ] {
        let (heard, _) = heard(output.as_bytes());
        assert!(!heard.misread.is_empty() && heard.staged.is_empty(), "{}", &output[..60]);
    }
    let (heard, _) = heard(format!("{long}\n{finding}").as_bytes());
    assert_eq!((heard.misread.len(), heard.staged.len()), (0, 1));
}

#[test]
fn a_flood_of_comments_takes_nothing_else_with_it() {
    let comment = b"{\"type\":\"comment\",\"text\":\"a\"}\n";
    let blocked = b"{\"type\":\"status\",\"status\":\"blocked\"}\n";
    let (told, at_once) = heard(&[comment.repeat(2_500), blocked.to_vec()].concat());
    assert_eq!((at_once.len(), at_once.last().unwrap().1.word()), (2_001, "status"));
    assert_eq!(
        told.notes,
        ["line 2001, the comment: it is one of more than 2000 such messages in one attempt; say less"]
    );
    assert!(told.misread.is_empty());
    // More statuses than anybody means: what the last one said is not known.
    let (told, at_once) = heard(&blocked.repeat(20_001));
    assert_eq!((at_once.len(), at_once.last().unwrap().1.word()), (20_001, "unreadable"));
    assert!(told.misread[0].contains("more than 20000"), "{:?}", told.misread);
    let limit = b"{\"type\":\"rate_limited\"}\n";
    assert_eq!(heard(&limit.repeat(20_002)).1.len(), 20_001);
}
