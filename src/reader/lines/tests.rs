use super::*;

/// Every piece of an output, with the line at whose reading it was found.
fn read(source: Source, output: &[u8]) -> Vec<(u64, Piece)> {
    let mut reader = LineReader::new(source);
    let mut found = Vec::new();
    let mut number = 0;
    for line in output.split(|b| *b == b'\n') {
        number += 1;
        found.extend(reader.line(number, line).into_iter().map(|piece| (number, piece)));
    }
    found.extend(reader.end().into_iter().map(|piece| (number, piece)));
    found
}

#[track_caller]
fn objects(output: &str) -> Vec<(u64, Value)> {
    let object = |(line, piece)| match piece {
        Piece::Object(value) => (line, value),
        Piece::Unreadable(it) => panic!("{output}: {it:?}"),
    };
    read(Source::Agent, output.as_bytes()).into_iter().map(object).collect()
}

#[track_caller]
fn unreadable(output: &str) -> Vec<(u64, u64, String, String)> {
    let told = |(_, piece)| match piece {
        Piece::Object(_) => None,
        Piece::Unreadable(it) => Some((it.line, it.column, it.what, it.why)),
    };
    read(Source::Agent, output.as_bytes()).into_iter().filter_map(told).collect()
}

#[test]
fn objects_alone_several_and_over_lines() {
    let (a, b) = (json!({"type": "comment", "text": "a"}), json!({"type": "comment", "text": "b"}));
    let (one, two) = (r#"{"type":"comment","text":"a"}"#, r#"{"type":"comment","text":"b"}"#);
    for output in [format!("{one}{two}"), format!("{one} {two}"), format!("[{one},{two}]"), format!("{one}\u{1e}{two}")]
    {
        assert_eq!(objects(&output), [(1, a.clone()), (1, b.clone())], "{output}");
    }
    assert_eq!(objects(&format!("{one}\r\n{two}\r")), [(1, a.clone()), (2, b.clone())]);
    let pretty = serde_json::to_string_pretty(&a).unwrap();
    assert_eq!(objects(&pretty), [(4, a.clone())]);
    assert_eq!(objects(&format!("log\n{pretty}{two}\nlog {{")), [(5, a.clone()), (5, b.clone())]);
    assert_eq!(objects("{\"type\":\"comment\",\n\"text\":\"a\"\r\n}"), [(3, a)]);
    let broken = objects("{\"type\":\"comment\",\"text\":\"one\ntwo\"}");
    assert_eq!(broken, [(2, json!({"type": "comment", "text": "one\ntwo"}))]);
}

#[test]
fn what_stands_before_an_object() {
    let one = r#"{"type":"comment","text":"a"}"#;
    let value = json!({"type": "comment", "text": "a"});
    for before in ["\u{feff}", "\x1b[32m", "\x1b]0;title\x07", "INFO agent: ", "2026-11-29T01:02:03Z ", "> ", "{: "] {
        assert_eq!(objects(&format!("{before}{one}")), [(1, value.clone())], "{before:?}");
    }
    for after in [".", "`", "</verdict>", " -->", "\u{200b}", ")**", "'"] {
        assert_eq!(objects(&format!("({one}{after}")), [(1, value.clone())], "{after:?}");
    }
    for amid in [
        format!("sends {one} now"),
        format!("INFO {one} req=12"),
        format!("comment: '{one}'"),
        format!("I would print {one}"),
        format!("fixtures/a.jsonl:3:{one}"),
        format!("-{one}"),
        format!("-  {one},"),
        format!("{one} would be wrong: three tests fail."),
        format!("+    print(json.dumps({one}))"),
        format!("# {one}"),
    ] {
        let at = amid.find('{').unwrap() as u64 + 1;
        let why = "there is other text on its line; print it on a line of its own";
        assert_eq!(unreadable(&amid), [(1, at, "comment".to_owned(), why.to_owned())], "{amid}");
    }
    for quoted in ["expected '{}' but got none", "$ echo '{}'", "I print `{}`.", "let x = r#\"{}\"#;"] {
        let quoted = quoted.replace("{}", one);
        assert_eq!(objects(&quoted), [], "{quoted}");
    }
    assert_eq!(objects("f({\"a\": 1}) and more"), []);
    let many = vec![one; 40].join(",");
    assert_eq!(objects(&format!("[{many}]")).len(), 40);
    assert_eq!(objects("INFO {\"type\":\"assistant\"}"), [], "no message of the protocol");
    let events =
        read(Source::Program, b"debug: {\"type\":\"assistant\"}\ndebug: {\"jsonrpc\":\"2.0\"}\ndebug: {\"a\":1}");
    assert_eq!(events.len(), 2, "{events:?}");
}

#[test]
fn a_carriage_return_begins_a_line_anew() {
    let one = r#"{"type":"comment","text":"a"}"#;
    let value = json!({"type": "comment", "text": "a"});
    for bar in [format!("Working 10%\r{one}\rdone"), format!("{one}\r\r"), format!("10%\r20%\r{one}")] {
        assert_eq!(objects(&bar), [(1, value.clone())], "{bar:?}");
    }
    let broken = objects("{\"type\":\"comment\",\"text\":\"one\rtwo\"}\n\n{\r\"type\":\"comment\"\r}");
    let expected = [(1, json!({"type": "comment", "text": "one\ntwo"})), (3, json!({"type": "comment"}))];
    assert_eq!(broken, expected);
    assert_eq!(unreadable(&format!("x\n10%\r{}", &one[..20]))[0].0, 2);
}

#[test]
fn a_message_that_follows_a_broken_one_is_not_lost() {
    let value = json!({"type": "status", "status": "blocked"});
    let one = r#"{"type":"status","status":"blocked"}"#;
    for broken in
        ["{", "{\n  \"a\":", "{\"type\":\"comment\",\"text\":\"no end", "{\"type\":\"comment\",\n  \"text\": \"x"]
    {
        let found = read(Source::Agent, format!("{broken}\n{one}").as_bytes());
        assert!(found.iter().any(|(_, piece)| *piece == Piece::Object(value.clone())), "{broken}: {found:?}");
    }
    // Behind text, and so a part of what has begun until that has no end.
    let found = read(Source::Agent, format!("{{\n  \"a\":\nlog: {one}").as_bytes());
    assert!(found.iter().any(|(_, piece)| *piece == Piece::Object(value.clone())), "{found:?}");
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let cases = [
        (r#"{"type":"verdict","met":tru}"#, 1, 28, "verdict", "expected ident"),
        ("log\n{\"type\":\"verdict\",\n  \"met\": False\n}", 3, 10, "verdict", "expected value"),
        (r#"{"type":"verdict","met":true"#, 1, 28, "verdict", "the output ends in the middle of it"),
        (r#"{'type': 'verdict', 'met': True}"#, 1, 2, "verdict", "a name must stand in double quotes"),
        (r#"{"type":"usage","cost_usd":NaN}"#, 1, 28, "usage", "expected value"),
        (r#"{"type":"usage","cost_usd":1e999}"#, 1, 32, "usage", "number out of range"),
        (r#""type":"verdict","met":false}"#, 1, 1, "verdict", "it is no JSON object"),
        (r#"{"met":fals"#, 1, 11, "", "the output ends in the middle of it"),
    ];
    for (output, line, column, what, why) in cases {
        assert_eq!(unreadable(output), [(line, column, what.to_owned(), why.to_owned())], "{output}");
    }
    let both = read(Source::Agent, br#"{"type":"decision","decision":"done"}{"type":"ticket","ti"#);
    assert!(matches!(both[0].1, Piece::Object(_)));
    assert!(matches!(&both[1].1, Piece::Unreadable(it) if it.what == "ticket"), "{both:?}");
}

#[test]
fn plain_output_is_log() {
    for output in [
        "echo {\"name\": 1} now",
        "building...",
        "fn main() {\n    foo();\n}",
        "{ a: 1 }",
        "",
        "[1,2]",
        "{}",
        "{\n  body\n}",
        "a } b {",
    ] {
        assert_eq!(
            read(Source::Agent, output.as_bytes()),
            read(Source::Agent, b"{}").into_iter().filter(|_| output == "{}").collect::<Vec<_>>(),
            "{output}"
        );
    }
}

#[test]
fn depth_and_length_do_no_harm() {
    let deep = format!("{{\"type\":{}", "[".repeat(1_000_000));
    assert_eq!(unreadable(&deep).len(), 1);
    let endless = format!("{{\n{}", "\"x\": 1,\n".repeat(200_000));
    assert!(unreadable(&endless).len() <= 1);
    let braces = "{".repeat(1_000_000);
    assert!(unreadable(&braces).is_empty());
    let many = "{\n".repeat(100_000);
    assert!(unreadable(&many).is_empty());
}

proptest::proptest! {
    #[test]
    fn any_bytes_are_some_pieces(output: Vec<u8>) {
        read(Source::Agent, &output);
        read(Source::Program, &output);
    }
}

#[test]
fn a_message_amid_other_text_is_told_by_the_protocols_own_word() {
    for written in ["VERDICT", "Verdict"] {
        let told = unreadable(&format!("INFO {{\"type\":\"{written}\",\"met\":false}} req=12"));
        assert_eq!(told[0].2, "verdict", "{written}");
    }
}
