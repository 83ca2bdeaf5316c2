//! Placeholders in the texts of an adapter.
//!
//! `{name}` is the value as text (a JSON value as JSON), `{name|json}` as JSON, `{name|toml}` as a TOML value on one
//! line. Anything else in braces is text, so JSON can be written as it is.
//!
//! | name | value |
//! | --- | --- |
//! | `model`, `system`, `session` | as configured; none when not |
//! | `prompt`, `prompt_file` | the prompt, or a file that holds it |
//! | `way_prompt` | the prompt as the chosen one of `prompt_ways` writes it; none when that way has no `stdin` |
//! | `system_file` | a file that holds `system` |
//! | `worktree`, `home`, `temp` | the attempt's folders |
//! | `p0` | the path of the p0 binary |
//! | `role`, `run`, `ticket`, `attempt`, `socket`, `token` | of the attempt |
//! | `mcp` | p0's MCP server: `{"command", "args", "env"}` |
//! | `mcp_command`, `mcp_args`, `mcp_env` | the same in parts |
//! | `mcp_env_names` | the names of `mcp_env`, for programs that hand variables on by name |
//! | `mcp_list` | command and arguments as one list |
//! | `mcp_json` | `{"mcpServers": {"p0": {"command", "args", "env"}}}` |
//! | `mcp_file` | a file that holds `mcp_json` |
//! | `extra` | the person's own arguments; only as the group `["{extra}"]` |
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The names there are.
pub const NAMES: &[&str] = &[
    "model",
    "system",
    "session",
    "prompt",
    "prompt_file",
    "way_prompt",
    "system_file",
    "worktree",
    "home",
    "temp",
    "p0",
    "role",
    "run",
    "ticket",
    "attempt",
    "socket",
    "token",
    "mcp",
    "mcp_command",
    "mcp_args",
    "mcp_env",
    "mcp_env_names",
    "mcp_list",
    "mcp_json",
    "mcp_file",
    "extra",
];

/// The values of placeholders; what has none is not in it.
pub type Values = BTreeMap<String, Value>;

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Hole { name: &'a str, filter: Option<&'a str> },
}

/// What is wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// No such name.
    #[error("there is no placeholder {{{0}}}; the names are: {names}", names = NAMES.join(", "))]
    Name(String),
    /// No such filter.
    #[error("there is no filter |{0}; the filters are: json, toml")]
    Filter(String),
}

fn parts(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut rest = text;
    let mut from = 0;
    while let Some(open) = rest[from..].find('{').map(|at| at + from) {
        match hole(&rest[open + 1..]) {
            Some((part, length)) => {
                if open > 0 {
                    parts.push(Part::Text(&rest[..open]));
                }
                parts.push(part);
                rest = &rest[open + 1 + length..];
                from = 0;
            }
            None => from = open + 1,
        }
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    parts
}

/// What stands after an opening brace, when it is a placeholder, and its length with the closing brace.
fn hole(text: &str) -> Option<(Part<'_>, usize)> {
    let end = text.find('}')?;
    let inside = &text[..end];
    let (name, filter) = inside.split_once('|').map_or((inside, None), |(name, filter)| (name, Some(filter)));
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    (is_word(name) && filter.is_none_or(is_word)).then_some((Part::Hole { name, filter }, end + 1))
}

/// Whether every placeholder and filter of `text` exists.
///
/// # Errors
/// [`BadTemplate`] for the first that does not.
pub fn check(text: &str) -> Result<(), BadTemplate> {
    for part in parts(text) {
        if let Part::Hole { name, filter } = part {
            if !NAMES.contains(&name) {
                return Err(BadTemplate::Name(name.to_owned()));
            }
            if let Some(filter) = filter.filter(|f| !["json", "toml"].contains(f)) {
                return Err(BadTemplate::Filter(filter.to_owned()));
            }
        }
    }
    Ok(())
}

/// Whether `text` has the placeholder `wanted`.
pub fn mentions(text: &str, wanted: &str) -> bool {
    parts(text).iter().any(|part| matches!(part, Part::Hole { name, .. } if *name == wanted))
}

/// `text` with its placeholders filled; `None` when one has no value.
pub fn fill(text: &str, values: &Values) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    for part in parts(text) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Hole { name, filter } => out.push_str(&written(values.get(name)?, filter)),
        }
    }
    Some(out)
}

fn written(value: &Value, filter: Option<&str>) -> String {
    match (filter, value) {
        (None, Value::String(text)) => text.clone(),
        (Some("toml"), value) => as_toml(value),
        (_, value) => value.to_string(),
    }
}

/// A JSON template with its placeholders filled, see [`super::FileTemplate::json`]. `None` when nothing is left of it.
pub fn fill_json(template: &Value, values: &Values) -> Option<Value> {
    match template {
        Value::String(text) => match parts(text).as_slice() {
            [Part::Hole { name, filter: None }] => values.get(*name).cloned(),
            _ => fill(text, values).map(Value::String),
        },
        Value::Array(list) => Some(Value::Array(list.iter().filter_map(|item| fill_json(item, values)).collect())),
        Value::Object(map) => {
            let filled: Map<String, Value> =
                map.iter().filter_map(|(key, value)| Some((fill(key, values)?, fill_json(value, values)?))).collect();
            (!filled.is_empty() || map.is_empty()).then_some(Value::Object(filled))
        }
        other => Some(other.clone()),
    }
}

/// Every text in a JSON template.
pub fn texts_of<'a>(template: &'a Value, found: &mut Vec<&'a str>) {
    match template {
        Value::String(text) => found.push(text),
        Value::Array(list) => list.iter().for_each(|item| texts_of(item, found)),
        Value::Object(map) => {
            for (key, value) in map {
                found.push(key);
                texts_of(value, found);
            }
        }
        _ => {}
    }
}

/// A JSON value as a TOML value on one line. TOML has no null: such keys are left out.
pub fn as_toml(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        // Every escape of JSON is one of TOML; DEL is the one character that TOML wants escaped and JSON does not.
        Value::String(_) => value.to_string().replace('\u{7f}', "\\u007F"),
        Value::Array(list) => format!("[{}]", list.iter().map(as_toml).collect::<Vec<_>>().join(",")),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                (!value.is_null()).then(|| format!("{}={}", as_toml(&Value::String(key.clone())), as_toml(value)))
            };
            format!("{{{}}}", map.iter().filter_map(entry).collect::<Vec<_>>().join(","))
        }
    }
}
