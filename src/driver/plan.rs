//! The table filled in for one attempt: what is started, with which arguments, variables and files.
use super::file::{Drive, Resume, write_private};
use crate::model::{
    adapter::{Adapter, Condition, Dialect, FileTemplate, Group, PromptBy, handover, template},
    permission::Permissions,
    protocol::AgentInput,
};
use serde_json::{Map, Value, json};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// What is started.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub(super) program: String,
    pub(super) args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
    /// What it gets on stdin; empty = nothing.
    pub(super) stdin: Vec<u8>,
    /// The placeholders' values, for what is filled later.
    pub(super) values: template::Values,
    files: Vec<(PathBuf, Content)>,
    /// Those of the files that are removed when the program has ended.
    once: Vec<PathBuf>,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Text(String),
    Json(Value, bool),
}

/// The variables of the attempt (`P0_…`), as the engine set them.
pub(super) fn own_variables() -> BTreeMap<String, String> {
    let own = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        let (name, value) = (name.into_string().ok()?, value.into_string().ok()?);
        name.starts_with("P0_").then_some((name, value))
    };
    std::env::vars_os().filter_map(own).collect()
}

impl Plan {
    /// For this attempt; `resume` is the conversation to go on with.
    ///
    /// # Errors
    /// A sentence: the table and the person name no program, or the program would change the prompt.
    pub(super) fn new(
        drive: &Drive,
        input: &AgentInput,
        own: &BTreeMap<String, String>,
        resume: Option<&Resume>,
    ) -> Result<Plan, String> {
        let adapter = &drive.adapter;
        let mut files = Vec::new();
        let mut values = values(drive, input, own, resume, &mut files);
        let stdin = stdin(adapter, &input.prompt, &mut values)?;
        let start = if drive.program.is_empty() { &adapter.program } else { &drive.program };
        let (program, first) = start.split_first().ok_or_else(|| {
            format!("adapter '{}' names no program; give the agent command = [\"PROGRAM\", …]", adapter.name)
        })?;
        let mut args = first.to_vec();
        args.extend(arguments(drive, &values, resume.is_some()));
        let mut once = Vec::new();
        for file in &adapter.files {
            let content = content(file, &values);
            once.extend(content.iter().filter(|_| file.once).map(|(path, _)| path.clone()));
            files.extend(content);
        }
        let filled = |(name, text): (&String, &String)| Some((name.clone(), template::fill(text, &values)?));
        let env = adapter.env.iter().filter_map(filled).collect();
        Ok(Plan { program: program.clone(), args, env, stdin, values, files, once })
    }

    /// Writes the files.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub(super) fn write_files(&self) -> Result<(), String> {
        for (path, content) in &self.files {
            let written = match content {
                Content::Text(text) => write_private(path, text.as_bytes()),
                Content::Json(value, merge) => {
                    let there = if *merge { fs::read(path).ok() } else { None };
                    let mut whole = there.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or(Value::Null);
                    lay_over(&mut whole, value.clone());
                    write_private(path, format!("{whole:#}\n").as_bytes())
                }
            };
            written.map_err(|error| format!("{}: cannot be written: {error}", path.display()))?;
        }
        Ok(())
    }

    /// Removes the files that are for the attempt alone. One that cannot be removed stays in the attempt's home.
    pub(super) fn remove_files(&self) {
        for path in &self.once {
            let _ = fs::remove_file(path);
        }
    }
}

/// What stands on stdin. Sets `{way_prompt}` when the prompt is handed over in another place.
fn stdin(adapter: &Adapter, prompt: &str, values: &mut template::Values) -> Result<Vec<u8>, String> {
    if adapter.prompt != PromptBy::Stdin || adapter.dialect == Dialect::Acp {
        return Ok(Vec::new());
    }
    let handover = handover::choose(&adapter.name, &adapter.prompt_ways, prompt).map_err(|e| e.to_string())?;
    let Some(text) = handover.stdin else { return Ok(handover.prompt.into_bytes()) };
    values.insert("way_prompt".to_owned(), json!(handover.prompt));
    Ok(template::fill(text, values).unwrap_or_default().into_bytes())
}

fn values(
    drive: &Drive,
    input: &AgentInput,
    own: &BTreeMap<String, String>,
    resume: Option<&Resume>,
    files: &mut Vec<(PathBuf, Content)>,
) -> template::Values {
    let mut values = template::Values::new();
    let mut set = |name: &str, value: Value| {
        values.insert(name.to_owned(), value);
    };
    let path = |path: &Path| json!(path.display().to_string());
    let mut in_file = |name: &str, text: &str| {
        let place = drive.temp.join(name);
        files.push((place.clone(), Content::Text(text.to_owned())));
        path(&place)
    };
    for (name, value) in [("model", &drive.model), ("system", &drive.system)] {
        if let Some(text) = value.as_deref().filter(|text| !text.trim().is_empty()) {
            set(name, json!(text));
        }
    }
    if let Some(system) = drive.system.as_deref().filter(|text| !text.trim().is_empty()) {
        set("system_file", in_file("p0-system.md", system));
    }
    if let Some(resume) = resume {
        set("session", json!(resume.session));
    }
    set("prompt", json!(input.prompt));
    if drive.adapter.prompt == PromptBy::File {
        set("prompt_file", in_file("p0-prompt.md", &input.prompt));
    }
    for (name, place) in
        [("worktree", &drive.worktree), ("home", &drive.home), ("temp", &drive.temp), ("p0", &drive.p0)]
    {
        set(name, path(place));
    }
    set("role", json!(input.role));
    set("run", json!(input.run));
    set("attempt", json!(input.attempt));
    for (name, variable) in [("ticket", "P0_TICKET"), ("socket", "P0_SOCKET"), ("token", "P0_TOKEN")] {
        if let Some(value) = own.get(variable).filter(|value| !value.is_empty()) {
            set(name, json!(value));
        }
    }
    if own.get("P0_SOCKET").is_some_and(|socket| !socket.is_empty()) {
        let command = drive.p0.display().to_string();
        let arguments = mcp_arguments(drive.permissions);
        let server = json!({ "command": command, "args": arguments, "env": own });
        let whole = json!({ "mcpServers": { "p0": server } });
        set("mcp_command", json!(command));
        set("mcp_args", json!(arguments));
        set("mcp_env", json!(own));
        set("mcp_env_names", json!(own.keys().collect::<Vec<_>>()));
        set("mcp_list", json!(std::iter::once(&command).chain(&arguments).collect::<Vec<_>>()));
        set("mcp_file", in_file("p0-mcp.json", &whole.to_string()));
        set("mcp", server);
        set("mcp_json", whole);
    }
    values
}

/// The arguments of p0 as the MCP server of the attempt: it answers permission prompts too, for programs that ask there.
pub(super) fn mcp_arguments(permissions: Permissions) -> Vec<String> {
    let word = match permissions {
        Permissions::Allow => return vec!["mcp".to_owned()],
        Permissions::Ask => "ask",
        Permissions::Deny => "deny",
    };
    ["mcp", "--permissions", word].map(str::to_owned).to_vec()
}

fn arguments(drive: &Drive, values: &template::Values, resumed: bool) -> Vec<String> {
    let holds = |condition: &Condition| match condition {
        Condition::Allow => drive.permissions == Permissions::Allow,
        Condition::Ask => drive.permissions == Permissions::Ask,
        Condition::Deny => drive.permissions == Permissions::Deny,
        Condition::Mcp => values.contains_key("mcp"),
        Condition::Resumed => resumed,
        Condition::Fresh => !resumed,
    };
    let mut args = Vec::new();
    let mut extra_placed = false;
    for group in &drive.adapter.args {
        if group.args() == ["{extra}"] {
            args.extend(drive.extra_args.iter().cloned());
            extra_placed = true;
            continue;
        }
        if let Group::When(conditional) = group
            && !conditional.when.iter().any(holds)
        {
            continue;
        }
        let filled: Option<Vec<String>> = group.args().iter().map(|text| template::fill(text, values)).collect();
        args.extend(filled.unwrap_or_default());
    }
    if !extra_placed {
        args.extend(drive.extra_args.iter().cloned());
    }
    args
}

fn content(file: &FileTemplate, values: &template::Values) -> Option<(PathBuf, Content)> {
    let path = PathBuf::from(template::fill(&file.path, values)?);
    let content = match (&file.text, &file.json) {
        (Some(text), _) => Content::Text(template::fill(text, values)?),
        (None, Some(json)) => Content::Json(template::fill_json(json, values).unwrap_or_else(|| json!({})), file.merge),
        (None, None) => return None,
    };
    Some((path, content))
}

/// Lays `over` over `below`, table by table.
fn lay_over(below: &mut Value, over: Value) {
    match (below, over) {
        (Value::Object(below), Value::Object(over)) => {
            for (key, value) in over {
                lay_over(below.entry(key).or_insert_with(|| Value::Object(Map::new())), value);
            }
        }
        (below, over) => *below = over,
    }
}

#[cfg(test)]
mod tests;
