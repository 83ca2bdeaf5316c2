//! How one kind of command-line agent is driven: a table, not code. The built-in tables stand in `src/adapters/*.toml`;
//! a person's own have the same form.
//!
//! A table says how the program is started (`args`, `prompt`, `env`, `files`), how it logs in, and what the lines it
//! writes mean (`dialect`, `[[on]]`, `[[errors]]`). The driver, `p0 __drive`, does what the table says; the engine
//! only stores it.
//!
//! **Templates.** Texts may hold placeholders `{name}` or `{name|filter}`: see [`template`]. What is left out when a
//! placeholder has no value is always the smallest whole: a group of arguments, a variable, a key of a JSON file.
//!
//! **Paths** into a native event are dotted: `item.usage.input`, `results.0.text`. Where several are given, numbers
//! are added and the first text that is there is taken.
mod acp;
mod builtin;
mod check;
mod error_rule;
pub mod handover;
pub mod template;

pub use acp::{AcpSettings, Modes, ModesByPolicy};
pub use check::BadAdapter;
pub use error_rule::{ErrorClass, ErrorRule};
pub use handover::PromptWay;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// One kind of agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Adapter {
    /// Its name: the file's, or the one after `adapters.`.
    #[serde(default)]
    pub name: String,
    /// The program and what always comes first; the person's `command` replaces it. Empty = the person must give it.
    #[serde(default)]
    pub program: Vec<String>,
    /// Groups of arguments, in order. A group is left out when one of its placeholders has no value. The group
    /// `["{extra}"]` is where the person's own arguments go; without it they come last.
    #[serde(default)]
    pub args: Vec<Group>,
    /// How the prompt gets to the program.
    #[serde(default)]
    pub prompt: PromptBy,
    /// Ways to hand the prompt over on stdin, for a program that changes some texts: the first that keeps the prompt.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prompt_ways: Vec<PromptWay>,
    /// Variables to set; left out when a placeholder has no value.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Names of variables that the engine hands on from the person's environment, when they are set.
    #[serde(default)]
    pub pass_env: Vec<String>,
    /// Files written before the start.
    #[serde(default)]
    pub files: Vec<FileTemplate>,
    /// How it knows who pays.
    #[serde(default)]
    pub login: Login,
    /// Arguments that make the program say its version.
    #[serde(default)]
    pub version: Vec<String>,
    /// Arguments of a smallest real call, for `p0 doctor`; it is well when the program ends with 0.
    #[serde(default)]
    pub probe: Vec<String>,
    /// What it writes on stdout.
    pub dialect: Dialect,
    /// Whether lines of the agent's final message that are whole protocol objects are taken for what the agent says.
    /// For programs that cannot call `p0 mcp`.
    #[serde(default)]
    pub says_in_text: bool,
    /// Whether the program must have reported the end of its turn for the attempt to count as a clean end.
    #[serde(default)]
    pub needs_end: bool,
    /// Whether a conversation can be taken up again.
    #[serde(default)]
    pub resumes: bool,
    /// Whether that works from another folder than the one it began in as well: the agent is told of its new one.
    #[serde(default)]
    pub resumes_elsewhere: bool,
    /// Whether the program hands requests for permission to p0's MCP tool `permission_prompt`. Speakers of ACP ask in
    /// their protocol; the others cannot be given `permissions` but `allow`.
    #[serde(default)]
    pub asks: bool,
    /// Settings of the dialect `acp`.
    #[serde(default)]
    pub acp: AcpSettings,
    /// What follows every prompt: how this program comes to p0's tools, where they are not simply offered to its model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools_note: Option<String>,
    /// Where the program itself writes down what a conversation used, when its lines do not tell, or only at their end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub usage_log: Option<UsageLog>,
    /// From TERM to KILL, in milliseconds; keep it below the run's `grace_ms` (5000).
    #[serde(default = "usual_grace")]
    pub grace_ms: u64,
    /// What its lines mean.
    #[serde(default, rename = "on")]
    pub rules: Vec<Rule>,
    /// What its error texts mean; the first that fits. Those of `src/adapters/common.toml` follow.
    #[serde(default)]
    pub errors: Vec<ErrorRule>,
}

fn usual_grace() -> u64 {
    3_000
}

/// A group of arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Group {
    /// Given when every placeholder has a value.
    Plain(Vec<String>),
    /// Given when, besides, one of the conditions holds.
    When(GroupWhen),
}

/// A group of arguments with conditions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GroupWhen {
    /// One of these must hold.
    pub when: Vec<Condition>,
    /// The arguments.
    pub args: Vec<String>,
}

/// What a group of arguments may depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Permissions are `allow`: p0's own sandbox is the fence.
    Allow,
    /// Permissions are `ask`.
    Ask,
    /// Permissions are `deny`.
    Deny,
    /// The attempt has a socket, so `p0 mcp` can be reached.
    Mcp,
    /// A conversation is resumed.
    Resumed,
    /// A new conversation begins.
    Fresh,
}

/// How the prompt gets to the program.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PromptBy {
    /// On stdin, which is closed after it. The usual one: an argument holds 128 KiB at the most.
    #[default]
    Stdin,
    /// As the placeholder `{prompt}` of an argument; stdin is empty.
    Argument,
    /// As the placeholder `{prompt_file}`; stdin is empty.
    File,
}

/// A file written before the start, readable by its owner only. Its folders are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileTemplate {
    /// Where: a template that begins with `{home}` or `{temp}`.
    pub path: String,
    /// Its text, a template. The file is not written when a placeholder has no value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Its content as JSON. A string that is nothing but one placeholder becomes the value itself; a key whose
    /// placeholder has no value is left out, and so is a table that this leaves empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
    /// Whether `json` is merged over a file that is there already (deeply, ours winning).
    #[serde(default)]
    pub merge: bool,
    /// Whether it is removed when the program has ended: it holds what only this attempt may read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once: bool,
}

/// How a program knows who pays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Login {
    /// Credential files below the person's home; copied to the same place of the attempt's home when they are there, and
    /// back when the program renewed them. Nothing that can name a command belongs here.
    pub files: Vec<String>,
    /// Settings below the person's home that say which provider it talks to: handed over before every attempt, and never
    /// taken back. An agent may write its own home, and a program's settings can name commands to run.
    pub config: Vec<String>,
    /// Variables any of which counts as a login. They belong into `pass_env` too.
    pub env: Vec<String>,
    /// Arguments of a command that ends with 0 when logged in.
    pub status: Vec<String>,
    /// What a person does to log in.
    pub help: String,
}

/// What a program writes on stdout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// JSON objects, one in a line; `[[on]]` says what they mean.
    Lines,
    /// The Agent Client Protocol over stdin and stdout.
    Acp,
    /// Text. Every line is taken for the object `{"line": "…"}`, with the named groups of a rule's `regex` as
    /// further keys.
    Text,
}

/// A program's own record of its conversations.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UsageLog {
    /// The folder below the home; the file is the one in it, at any depth, whose name holds the conversation's id.
    pub folder: String,
    /// How the numbers in its JSON lines count: with scope `session` the last line that has them, with `message` each
    /// that was written since the attempt began.
    pub usage: UsageAt,
}

/// What a line means. Every rule that matches is applied, in order, unless one says `ignore`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Paths and what must be there. An empty table matches every line.
    #[serde(rename = "match")]
    pub when: BTreeMap<String, Expected>,
    /// Dialect `text`: must match the line; its named groups become keys.
    pub regex: Option<String>,
    /// A path to an array: `element`, `text`, `tool` and `denied` are about each of its elements.
    pub each: Option<String>,
    /// With `each`: paths in the element and what must be there.
    pub element: BTreeMap<String, Expected>,
    /// Nothing further is looked at.
    pub ignore: bool,
    /// Where the conversation's id is.
    pub session: Option<String>,
    /// Where the model's name is.
    pub model: Option<String>,
    /// Where words of the agent are.
    pub text: Option<String>,
    /// Whether `text` is a piece of a message, to be joined to the last without a line break.
    pub piece: bool,
    /// A tool was called: where its name is.
    pub tool: Option<String>,
    /// What was used.
    pub usage: Option<UsageAt>,
    /// The program gives up, and why.
    pub failure: Option<ErrorAt>,
    /// Something went wrong that the program may get over; it is the reason when the program fails without another.
    pub notice: Option<ErrorAt>,
    /// The program refused a tool call by itself.
    pub denied: Option<DeniedAt>,
    /// The turn is over.
    pub turn: bool,
}

/// What must be at a path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Expected {
    /// Whether anything but null, false, 0 and the empty text is there... written as `{ present = true }`.
    Present(Present),
    /// One of these.
    OneOf(Vec<Value>),
    /// This.
    Is(Value),
}

/// Whether something is at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Present {
    /// Whether it must be there, null counting as absent.
    pub present: bool,
}

/// Where the numbers of a usage report are, and what they count.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UsageAt {
    /// What the tokens count.
    pub scope: Scope,
    /// Tokens read, cached ones included: name the cached ones here too when the program counts them apart.
    pub input: Vec<String>,
    /// Tokens written.
    pub output: Vec<String>,
    /// The cached ones of those read.
    pub cached: Vec<String>,
    /// US dollars.
    pub cost: Option<String>,
    /// What the dollars count; as the tokens when left out.
    pub cost_scope: Option<Scope>,
    /// With scope `message`: where the message's id is, for programs that report a message more than once.
    pub id: Option<String>,
}

/// What a number counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The whole conversation, resumed parts included.
    Session,
    /// This process so far.
    #[default]
    Run,
    /// One message or step: to be added up. A later report of a larger scope replaces the sum.
    Message,
}

/// Where an error is described.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ErrorAt {
    /// Its words: the first that is there.
    pub text: Vec<String>,
    /// The HTTP status.
    pub status: Option<String>,
    /// When it may be tried again: seconds since 1970.
    pub reset_at: Option<String>,
    /// When it may be tried again: seconds from now.
    pub retry_after_s: Option<String>,
    /// Its class, when the event itself says enough.
    pub class: Option<ErrorClass>,
}

/// Where a refused tool call is described.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeniedAt {
    /// The tool.
    pub tool: Option<String>,
    /// What it was to be used on: the first that is there.
    pub target: Vec<String>,
    /// Why, in the program's words.
    pub why: Option<String>,
}

impl Adapter {
    /// Whether a request for permission reaches p0 at all.
    pub fn can_ask(&self) -> bool {
        self.asks || self.dialect == Dialect::Acp
    }

    /// Whether a turn that told of nothing did nothing: its words, its calls of tools and what it used are all told.
    pub fn tells_of_all_work(&self) -> bool {
        let tells = |of: fn(&Rule) -> bool| self.rules.iter().any(of);
        self.dialect == Dialect::Acp
            || (tells(|rule| rule.tool.is_some()) && tells(|rule| rule.text.is_some()) && tells(|r| r.usage.is_some()))
    }

    /// Whether it tells of every call of a tool: where none is told, none was made.
    pub fn counts_tools(&self) -> bool {
        self.dialect == Dialect::Acp || self.rules.iter().any(|rule| rule.tool.is_some())
    }

    /// The program's own record of what was used, wherever the table names it.
    pub fn own_usage_log(&self) -> Option<&UsageLog> {
        self.usage_log.as_ref().or(self.acp.usage_log.as_ref())
    }
}

/// The value at a dotted path.
pub fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(value);
    }
    path.split('.').try_fold(value, |value, key| match value {
        Value::Object(map) => map.get(key),
        Value::Array(list) => key.parse::<usize>().ok().and_then(|n| list.get(n)),
        _ => None,
    })
}

impl Expected {
    /// Whether `found` is what is expected.
    pub fn holds(&self, found: Option<&Value>) -> bool {
        match self {
            Expected::Present(wanted) => wanted.present == found.is_some_and(|v| !v.is_null()),
            Expected::OneOf(values) => found.is_some_and(|v| values.contains(v)),
            Expected::Is(value) => found == Some(value),
        }
    }
}

#[cfg(test)]
mod tests;
