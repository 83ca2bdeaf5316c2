//! The tables that come with p0, and how a person's own table is read.
use super::{Adapter, BadAdapter, ErrorRule};
use serde::Deserialize;

/// Name and text of each.
const TABLES: &[(&str, &str)] = &[
    ("acp", include_str!("../../adapters/acp.toml")),
    ("aider", include_str!("../../adapters/aider.toml")),
    ("claude", include_str!("../../adapters/claude.toml")),
    ("claude-acp", include_str!("../../adapters/claude-acp.toml")),
    ("codex", include_str!("../../adapters/codex.toml")),
    ("codex-acp", include_str!("../../adapters/codex-acp.toml")),
    ("gemini", include_str!("../../adapters/gemini.toml")),
    ("gemini-acp", include_str!("../../adapters/gemini-acp.toml")),
    ("opencode", include_str!("../../adapters/opencode.toml")),
    ("opencode-acp", include_str!("../../adapters/opencode-acp.toml")),
    ("qwen", include_str!("../../adapters/qwen.toml")),
    ("qwen-acp", include_str!("../../adapters/qwen-acp.toml")),
];

/// Programs that speak ACP, and their tables.
const SPEAKERS: &[(&str, &str)] = &[
    ("claude-agent-acp", "claude-acp"),
    ("claude-code-acp", "claude-acp"),
    ("codex-acp", "codex-acp"),
    ("opencode", "opencode-acp"),
    ("gemini", "gemini-acp"),
    ("qwen", "qwen-acp"),
];

/// What error texts mean whoever says them.
const COMMON: &str = include_str!("../../adapters/common.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Common {
    errors: Vec<ErrorRule>,
}

impl Adapter {
    /// The names of the built-in tables.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        TABLES.iter().map(|(name, _)| *name)
    }

    /// The built-in table of this name, ready for use.
    pub fn builtin(name: &str) -> Option<Adapter> {
        let table = builtin_table(name)?;
        Adapter::from_table(name, table).ok()
    }

    /// The built-in table for a speaker of ACP started with `command`: the one made for the program of that name when it
    /// is known, else `acp`. No argument is looked at: what an argument names is not the program.
    pub fn for_acp_command(command: &[String]) -> Option<Adapter> {
        let program = command.first().and_then(|program| program.rsplit('/').next()).unwrap_or_default();
        let known = SPEAKERS.iter().find(|(name, _)| *name == program);
        Adapter::builtin(known.map_or("acp", |(_, table)| table))
    }

    /// Reads a person's table, `[adapters.NAME]`. With `extends = "codex"` it changes a built-in one: tables are
    /// merged key by key, anything else replaces what was there.
    ///
    /// # Errors
    /// [`BadAdapter`], which names the table, the key and what to do.
    pub fn from_table(name: &str, mut table: toml::Table) -> Result<Adapter, BadAdapter> {
        let fail = |key: &str, why: String| BadAdapter { table: name.to_owned(), key: key.to_owned(), why };
        if let Some(base) = table.remove("extends") {
            let known = || Adapter::builtin_names().collect::<Vec<_>>().join(", ");
            let base = base.as_str().and_then(builtin_table).ok_or_else(|| {
                fail("extends", format!("there is no built-in table {base}; the names are: {}", known()))
            })?;
            table = merged(base, table);
        }
        let mut adapter: Adapter =
            table.try_into().map_err(|e: toml::de::Error| fail("", e.to_string().trim().to_owned()))?;
        name.clone_into(&mut adapter.name);
        adapter.check()?;
        let common: Common = toml::from_str(COMMON).map_err(|e| fail("common", e.to_string()))?;
        adapter.errors.extend(common.errors);
        Ok(adapter)
    }
}

fn builtin_table(name: &str) -> Option<toml::Table> {
    let (_, text) = TABLES.iter().find(|(known, _)| *known == name)?;
    let mut table: toml::Table = toml::from_str(text).ok()?;
    let Some(base) = table.remove("extends") else { return Some(table) };
    Some(merged(builtin_table(base.as_str()?)?, table))
}

fn merged(mut base: toml::Table, over: toml::Table) -> toml::Table {
    for (key, value) in over {
        let value = match (base.remove(&key), value) {
            (Some(toml::Value::Table(below)), toml::Value::Table(above)) => toml::Value::Table(merged(below, above)),
            (_, value) => value,
        };
        base.insert(key, value);
    }
    base
}
