//! The answer to a client that asks before it uses a tool of its own (`claude --permission-prompt-tool`).
//!
//! The rules are `model::permission`'s; what they leave to a person is asked through the socket, and the answer of all of
//! them is put on record. The client waits for JSON of its own kind and understands no other failure than "deny".
use super::{answer::Answer, own_attempt::DoorWay};
use crate::{
    contract::{approvals::ApprovalWait, endpoints::GetOwnApproval},
    model::{
        permission::{self, Grounds, Permissions, Request, Verdict},
        protocol::Message,
        reply::Reply,
    },
    service::problem::{Kind, Problem},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::{path::PathBuf, time::Duration};

/// Seconds that one look at an open approval waits for its answer.
const LOOK_S: u64 = 20;
/// Looks in a row that found nobody, after which nobody will come back: an agent outlives its engine, and so does its
/// question, which the next engine answers.
const TRIES: u32 = 60;
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// The longest target that is put on record, in characters.
const TARGET: usize = 300;

/// What the client asks.
#[derive(Debug, Deserialize, JsonSchema)]
pub(super) struct Asked {
    /// The tool that is to be used.
    tool_name: String,
    /// Its arguments.
    #[serde(default)]
    input: Map<String, Value>,
    /// The client's own number of the use.
    #[serde(default)]
    #[expect(dead_code, reason = "it is part of what the client sends, and of no use here")]
    tool_use_id: Option<String>,
}

/// What a tool service answers such requests by.
pub(crate) struct Policy {
    /// Where the attempt is at home.
    pub(crate) grounds: Grounds,
    /// What is done about what no rule decides.
    pub(crate) permissions: Permissions,
}

/// Answers a request. It always answers: a client without an answer stands still.
pub(super) async fn answer(attempt_socket: &DoorWay, policy: Option<&Policy>, arguments: Map<String, Value>) -> Answer {
    let asked: Asked = match serde_json::from_value(arguments.into()) {
        Ok(asked) => asked,
        Err(e) => return deny(&format!("the request cannot be read: {e}")),
    };
    let Some(policy) = policy else { return deny("this server answers no permission requests") };
    let request = request(&asked);
    let target = target(&asked, &request);
    let (allowed, why) = match permission::decide(&request, &policy.grounds, policy.permissions) {
        Verdict::Allow(why) => (true, why.to_owned()),
        Verdict::Deny(why) => (false, why),
        Verdict::Ask => match ask(attempt_socket, &asked.tool_name, &target).await {
            Ok(answered) => answered,
            Err(problem) => (false, format!("nobody could be asked: {}", Answer::from(problem).text)),
        },
    };
    let record = Message::Permission { tool: asked.tool_name.clone(), target, allowed, why: why.clone() };
    if let Err(problem) = attempt_socket.say(&record).await {
        tracing::warn!("a permission could not be put on record: {problem}");
    }
    if allowed {
        return Answer::told(json!({"behavior": "allow", "updatedInput": asked.input}).to_string());
    }
    deny(&why)
}

fn deny(why: &str) -> Answer {
    Answer::told(json!({"behavior": "deny", "message": why}).to_string())
}

/// Asks a person and waits; whether it was allowed, and why.
async fn ask(attempt_socket: &DoorWay, tool: &str, target: &str) -> Result<(bool, String), Problem> {
    let why = "no rule decides it, and permissions are \"ask\"".to_owned();
    let asked = Message::Ask { tool: tool.to_owned(), target: target.to_owned(), why };
    let id = match attempt_socket.say(&asked).await? {
        Reply::Asked { approval } => approval,
        Reply::Refused { why } => return Ok((false, why)),
        _ => return Ok((false, "there is nobody to ask: this attempt is over".into())),
    };
    let call = GetOwnApproval::at(&id).query(&ApprovalWait { wait_s: Some(LOOK_S) });
    let mut failures = 0;
    loop {
        let approval = match attempt_socket.get(call.clone()).await {
            Ok(approval) => approval,
            Err(problem) if problem.kind == Kind::General && failures < TRIES => {
                failures += 1;
                tokio::time::sleep(TRY_AGAIN).await;
                continue;
            }
            Err(problem) => return Err(problem),
        };
        failures = 0;
        let reason = approval.reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        match approval.state.as_str() {
            "open" => {}
            "allowed" => return Ok((true, format!("a person allowed it ({id}){reason}"))),
            _ => return Ok((false, format!("denied ({id}){reason}"))),
        }
    }
}

/// The request in the words of the rules.
fn request(asked: &Asked) -> Request {
    let kind = match asked.tool_name.as_str() {
        "Read" | "NotebookRead" => "read",
        "Glob" | "Grep" | "LS" | "ToolSearch" => "search",
        "Edit" | "MultiEdit" | "Write" | "NotebookEdit" => "edit",
        "Task" | "Agent" | "TodoWrite" | "TodoRead" | "ExitPlanMode" => "think",
        "Bash" | "BashOutput" | "KillBash" | "KillShell" => "execute",
        "WebFetch" | "WebSearch" => "fetch",
        _ => "other",
    };
    let paths = ["file_path", "notebook_path", "path"].into_iter().filter_map(|name| asked.input.get(name)?.as_str());
    Request {
        tool: asked.tool_name.clone(),
        kind: Some(kind.to_owned()),
        paths: paths.map(PathBuf::from).collect(),
        own_tool: asked.tool_name.starts_with("mcp__p0__"),
    }
}

/// What it is about, for people.
fn target(asked: &Asked, request: &Request) -> String {
    let words = ["command", "url", "query", "pattern"].into_iter().find_map(|name| asked.input.get(name)?.as_str());
    let path = request.paths.first().map(|path| path.display().to_string());
    let text = path.or(words.map(str::to_owned)).unwrap_or_else(|| Value::Object(asked.input.clone()).to_string());
    text.chars().take(TARGET).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(tool: &str, input: Value) -> Asked {
        serde_json::from_value(json!({"tool_name": tool, "input": input, "tool_use_id": "x", "later": 1})).unwrap()
    }

    #[test]
    fn requests_are_put_in_the_words_of_the_rules() {
        let edit = asked("Edit", json!({"file_path": "/w/a.rs", "old_string": "a", "new_string": "b"}));
        let told = request(&edit);
        assert_eq!((told.kind.as_deref(), told.paths.len()), (Some("edit"), 1));
        assert_eq!(target(&edit, &told), "/w/a.rs");
        let bash = asked("Bash", json!({"command": "rm -rf /"}));
        assert_eq!(request(&bash).kind.as_deref(), Some("execute"));
        assert_eq!(target(&bash, &request(&bash)), "rm -rf /");
        assert!(request(&asked("mcp__p0__comment", json!({}))).own_tool);
        assert!(!request(&asked("mcp__other__comment", json!({}))).own_tool);
    }
}
