use super::{template::Values, *};
use serde_json::json;

fn read(text: &str) -> Result<Adapter, BadAdapter> {
    Adapter::from_table("mine", toml::from_str(text).unwrap())
}

fn why(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

#[test]
fn every_built_in_table_is_sound_and_survives_json() {
    for name in Adapter::builtin_names() {
        let table = format!("extends = \"{name}\"");
        let adapter = Adapter::from_table(name, toml::from_str(&table).unwrap()).unwrap();
        assert_eq!(Adapter::builtin(name).as_ref(), Some(&adapter));
        let again: Adapter = serde_json::from_value(serde_json::to_value(&adapter).unwrap()).unwrap();
        assert_eq!(again, adapter, "{name}");
        assert!(name == "acp" || !adapter.program.is_empty(), "{name}");
        for variable in &adapter.login.env {
            assert!(adapter.pass_env.contains(variable), "{name}: {variable} counts as a login and is not handed on");
        }
    }
    assert_eq!(Adapter::builtin("emacs"), None);
}

#[test]
fn speakers_of_acp_get_the_table_made_for_them() {
    let name = |command: &[&str]| {
        let command: Vec<String> = command.iter().map(|part| (*part).to_owned()).collect();
        Adapter::for_acp_command(&command).unwrap().name
    };
    assert_eq!(name(&["/usr/local/bin/codex-acp"]), "codex-acp");
    assert_eq!(name(&["opencode", "acp"]), "opencode-acp");
    assert_eq!(name(&["/x/gemini", "--acp"]), "gemini-acp");
    for other in
        [&["my-agent"][..], &["my-agent", "--like", "gemini"], &["node", "/x/gemini", "--acp"], &["/qwen/x"], &[]]
    {
        assert_eq!(name(other), "acp", "an argument or a folder is not the program: {other:?}");
    }
}

#[test]
fn a_person_changes_single_keys_of_a_built_in_table() {
    let mine = read("extends = \"claude\"\ngrace_ms = 100\n[env]\nCLAUDE_CODE_MAX_RETRIES = \"9\"").unwrap();
    let base = Adapter::builtin("claude").unwrap();
    assert_eq!((mine.grace_ms, mine.name.as_str()), (100, "mine"));
    assert_eq!(mine.env["CLAUDE_CODE_MAX_RETRIES"], "9");
    assert_eq!((mine.env["IS_SANDBOX"].as_str(), mine.rules), ("1", base.rules));
}

#[test]
fn what_is_wrong_is_said_with_table_key_and_mend() {
    let lines = "program = [\"x\"]\ndialect = \"lines\"\n";
    let on = "[[on]]\nmatch = { type = \"a\" }\n";
    let said = [
        why("extends = \"emacs\""),
        why("program = [\"x\"]\ndialect = \"morse\""),
        why("program = [\"x\"]\ndialect = \"acp\"\nprogramme = 1"),
        why(lines),
        why(&format!("{lines}args = [[\"{{modell}}\"]]\n{on}turn = true")),
        why(&format!("{lines}args = [[\"{{model|yaml}}\"]]\n{on}turn = true")),
        why(&format!("{lines}args = [[\"-x\", \"{{extra}}\"]]\n{on}turn = true")),
        why(&format!("{lines}prompt = \"argument\"\n{on}turn = true")),
        why(&format!("{lines}{on}")),
        why(&format!("{lines}{on}turn = true\nregex = \"a\"")),
        why(&format!("{lines}{on}turn = true\nelement = {{ a = 1 }}")),
        why(&format!("{lines}{on}turn = true\n[[errors]]\nclass = \"auth\"\ntext = \"(\"")),
        why(&format!("{lines}{on}turn = true\n[[errors]]\nclass = \"auth\"")),
        why(&format!("{lines}{on}turn = true\n[[files]]\npath = \"/etc/x\"\ntext = \"\"")),
        why(&format!("{lines}{on}turn = true\n[[files]]\npath = \"{{home}}/../x\"\ntext = \"\"")),
        why(&format!("{lines}{on}turn = true\n[[files]]\npath = \"{{home}}/x\"")),
        why(&format!("{lines}{on}turn = true\n[login]\nfiles = [\"/etc/shadow\"]")),
        why(&format!("{}{on}turn = true", lines.replace("\"lines\"", "\"acp\""))),
        why(&format!("{lines}{on}turn = true\nusage = {{ scope = \"run\" }}")),
        why(&format!("{}{on}regex = \"^(?P<words>.*)$\"\ntext = \"word\"", lines.replace("\"lines\"", "\"text\""))),
    ];
    insta::assert_snapshot!(said.join("\n---\n"));
}

#[test]
fn a_mode_can_be_named_for_each_policy_and_a_list_is_for_allow() {
    use crate::permission::Permissions::{Allow, Ask, Deny};
    let acp = |text: &str| read(&format!("extends = \"acp\"\n{text}")).unwrap().acp;
    let of = |text: &str| {
        let acp = acp(text);
        [Allow, Ask, Deny].map(|permissions| acp.modes_for(permissions).join(","))
    };
    assert_eq!(of(""), ["", "", ""]);
    assert_eq!(of("[acp]\nmodes = [\"a\", \"b\"]"), ["a,b", "", ""]);
    assert_eq!(of("[acp.modes]\nallow = [\"a\"]\nask = [\"b\"]\ndeny = [\"c\", \"d\"]"), ["a", "b", "c,d"]);
    let stored = serde_json::to_value(acp("[acp]\nmodes = [\"a\"]")).unwrap();
    assert_eq!((&stored["modes"], stored.get("asks_nobody")), (&json!(["a"]), None), "as tables were stored before");
    assert!(why("extends = \"acp\"\n[acp.modes]\nalow = [\"a\"]").contains("expected one of `allow`, `ask`, `deny`"));
    assert!(why("extends = \"acp\"\n[acp]\nmodes = \"a\"").contains("a list of modes for permissions \"allow\""));
}

#[test]
fn modes_that_ask_nobody_are_known() {
    let claude = Adapter::builtin("claude-acp").unwrap().acp;
    for mode in ["auto", "bypassPermissions", "acceptEdits"] {
        assert!(claude.is_unasked(mode), "{mode}");
    }
    assert!(!claude.is_unasked("default") && !claude.is_unasked("plan"));
    for name in Adapter::builtin_names() {
        let acp = Adapter::builtin(name).unwrap().acp;
        for permissions in [crate::permission::Permissions::Ask, crate::permission::Permissions::Deny] {
            let unasked: Vec<_> = acp.modes_for(permissions).into_iter().filter(|mode| acp.is_unasked(mode)).collect();
            assert!(unasked.is_empty(), "{name} sets {unasked:?} with {permissions:?}");
        }
    }
}

fn values() -> Values {
    let mcp = json!({"command": "/bin/p0", "args": ["mcp"], "env": {"P0_TOKEN": "a\"b\\c\n"}});
    [("model", json!("gpt \"5\"")), ("mcp", mcp), ("home", json!("/h"))]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

#[test]
fn templates_are_filled_and_other_braces_are_text() {
    let fill = |text: &str| template::fill(text, &values());
    assert_eq!(fill("-m={model}").unwrap(), "-m=gpt \"5\"");
    assert_eq!(fill("{model|json}{model|toml}").unwrap(), r#""gpt \"5\"""gpt \"5\"""#);
    assert_eq!(
        fill(r#"{"a": {}, "b": {model|json}, {Not} { x } {"#).unwrap(),
        r#"{"a": {}, "b": "gpt \"5\"", {Not} { x } {"#
    );
    assert_eq!(fill("{session}"), None);
    let toml: toml::Table = toml::from_str(&format!("x = {}", fill("{mcp|toml}").unwrap())).unwrap();
    assert_eq!(serde_json::to_value(&toml["x"]).unwrap(), values()["mcp"]);
}

#[test]
fn a_json_template_leaves_out_what_has_no_value() {
    let template = json!({
        "model": "{model}", "session": "{session}", "list": ["{system}", "x"], "servers": {"p0": "{mcp}"},
        "none": {"deep": {"session": "{session}"}}, "empty": {}, "n": 3, "path": "{home}/x",
    });
    let filled = template::fill_json(&template, &values()).unwrap();
    let wanted = json!({
        "model": "gpt \"5\"", "list": ["x"], "servers": {"p0": values()["mcp"]}, "empty": {}, "n": 3, "path": "/h/x",
    });
    assert_eq!(filled, wanted);
}

#[test]
fn a_path_leads_through_objects_and_lists() {
    let value = json!({"a": [{"b": 1}, {"b": 2}], "n": null});
    assert_eq!(at(&value, "a.1.b"), Some(&json!(2)));
    assert_eq!(at(&value, "a.2.b"), None);
    assert_eq!(at(&value, ""), Some(&value));
    let absent: Expected = serde_json::from_value(json!({"present": false})).unwrap();
    assert!(absent.holds(at(&value, "n")) && absent.holds(None) && !absent.holds(at(&value, "a")));
}

proptest::proptest! {
    #[test]
    fn any_text_is_a_toml_value(text: String) {
        let toml: toml::Table = toml::from_str(&format!("x = {}", template::as_toml(&json!(text)))).unwrap();
        assert_eq!(toml["x"].as_str(), Some(text.as_str()));
    }

    #[test]
    fn any_text_can_be_looked_at_as_a_template(text: String) {
        let _ = template::check(&text);
        let _ = template::fill(&text, &values());
    }
}
