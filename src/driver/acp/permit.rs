//! What the agent may do: `session/request_permission`.
use super::Shared;
use crate::model::permission::{Grounds, Request, Verdict, decide};
use agent_client_protocol::v1::schema::{
    RequestPermissionOutcome, RequestPermissionResponse, SelectedPermissionOutcome,
};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Bytes of a target that are recorded.
const LONGEST_TARGET: usize = 500;
/// Keys of a tool's input that name a file.
const PATH_KEYS: &[&str] =
    &["file_path", "filePath", "path", "absolute_path", "absolutePath", "target_file", "notebook_path", "dir_path"];

/// Answers one request.
pub(super) async fn answer(shared: &Shared, params: &Value) -> RequestPermissionResponse {
    let call = shared.inner().ear.known(params.get("toolCall").unwrap_or(&Value::Null));
    let mut request = request(&call);
    let target = target(&call, &request);
    let drive = &shared.drive;
    let grounds = Grounds { worktree: drive.worktree.clone(), home: drive.home.clone(), temp: drive.temp.clone() };
    for path in &mut request.paths {
        *path = as_given(path, &grounds);
    }
    let (mut allowed, mut why) = match decide(&request, &grounds, drive.permissions) {
        Verdict::Allow(why) => (true, why.to_owned()),
        Verdict::Deny(why) => (false, why),
        Verdict::Ask => match &shared.attempt_client {
            Some(attempt_client) => {
                // An agent that waits for a person is not idle: a line of log says so.
                let waiting = |id: &str| shared.inner().out.native_text(&format!("waiting for the answer to {id}"));
                let answer = attempt_client.ask(&request.tool, &target, "the agent asks for permission", waiting).await;
                (answer.allowed, answer.why)
            }
            None => (false, "nobody could be asked: the attempt has no socket".to_owned()),
        },
    };
    // By kind, never by position or name. What would be allowed for good is never chosen.
    let option = |kinds: &[&str]| {
        let options = params.get("options").and_then(Value::as_array)?;
        let of = |kind: &&str| options.iter().find(|o| o.get("kind").and_then(Value::as_str) == Some(kind));
        kinds.iter().find_map(of)?.get("optionId")?.as_str().map(str::to_owned)
    };
    let mut chosen = option(if allowed { &["allow_once"] } else { &["reject_once", "reject_always"] });
    if allowed && chosen.is_none() {
        (allowed, why) = (false, "the agent offers no permission for this once".to_owned());
        chosen = option(&["reject_once", "reject_always"]);
    }
    if !allowed {
        shared.inner().ear.refused = Some(request.tool.clone());
    }
    shared.inner().out.say(&json!({
        "type": "permission", "tool": request.tool, "target": target, "allowed": allowed, "why": why,
    }));
    RequestPermissionResponse::new(match chosen {
        Some(id) => RequestPermissionOutcome::Selected(SelectedPermissionOutcome::new(id)),
        None => RequestPermissionOutcome::Cancelled,
    })
}

/// A path in one of the attempt's folders as the engine names the folder: programs name it as the kernel does, links
/// resolved.
fn as_given(path: &Path, grounds: &Grounds) -> PathBuf {
    let in_ground = |ground: &PathBuf| {
        let rest = path.strip_prefix(ground.canonicalize().ok()?).ok()?;
        Some(ground.join(rest))
    };
    [&grounds.worktree, &grounds.home, &grounds.temp].into_iter().find_map(in_ground).unwrap_or_else(|| path.to_owned())
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty())
}

fn request(call: &Value) -> Request {
    let kind = text(call, "/kind").map(str::to_owned);
    let mut paths: Vec<PathBuf> = Vec::new();
    let listed = |key: &str| call.get(key).and_then(Value::as_array).into_iter().flatten();
    paths.extend(listed("locations").filter_map(|l| text(l, "/path")).map(PathBuf::from));
    paths.extend(listed("content").filter_map(|c| text(c, "/path")).map(PathBuf::from));
    if let Some(input) = call.get("rawInput").and_then(Value::as_object) {
        paths.extend(PATH_KEYS.iter().filter_map(|key| input.get(*key)?.as_str()).map(PathBuf::from));
        // codex names the files it changes as keys.
        let changes = input.get("changes").and_then(Value::as_object);
        paths.extend(changes.into_iter().flat_map(|changes| changes.keys()).map(PathBuf::from));
    }
    paths.sort();
    paths.dedup();
    // A title may be the command or the path itself, which is the target already.
    let title = text(call, "/title").filter(|title| !title.contains(['/', ' ']) || kind.is_none());
    let tool = text(call, "/_meta/claudeCode/toolName").or(title).or(kind.as_deref()).or_else(|| text(call, "/title"));
    let tool = tool.unwrap_or("unknown").chars().take(200).collect();
    Request { tool, own_tool: is_own(call, kind.as_deref()), kind, paths }
}

/// Whether it is a tool of p0's own MCP server. A title may be the very command that is to be run: it counts only when
/// the agent does not say that it changes, runs or fetches anything, and only when it is a tool's name and no more.
fn is_own(call: &Value, kind: Option<&str>) -> bool {
    let is_name = |name: &str| {
        let rest = name.strip_prefix("mcp__p0__").or_else(|| name.strip_prefix("p0_"));
        let rest = rest.or_else(|| name.strip_prefix("p0.")).or_else(|| name.strip_prefix("p0/"));
        let rest = rest.or_else(|| name.strip_suffix(" (p0 MCP Server)"));
        rest.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
    };
    if let Some(name) = text(call, "/_meta/claudeCode/toolName") {
        return name.starts_with("mcp__p0__");
    }
    if text(call, "/_meta/provenance") == Some("mcp") {
        // qwen.
        return text(call, "/_meta/toolName").is_some_and(|name| name.starts_with("mcp__p0__"));
    }
    if !matches!(kind, None | Some("other" | "think")) {
        return false;
    }
    if text(call, "/rawInput/server") == Some("p0") || text(call, "/rawInput/server_name") == Some("p0") {
        return true;
    }
    text(call, "/title").is_some_and(is_name)
}

/// What it is to be done to, for the record.
fn target(call: &Value, request: &Request) -> String {
    let command = call.pointer("/rawInput/command").map(|command| match command {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    });
    let whole = command
        .or_else(|| text(call, "/rawInput/url").map(str::to_owned))
        .or_else(|| request.paths.first().map(|path| path.display().to_string()))
        .or_else(|| text(call, "/title").map(str::to_owned))
        .unwrap_or_default();
    let mut end = whole.len().min(LONGEST_TARGET);
    while !whole.is_char_boundary(end) {
        end -= 1;
    }
    whole[..end].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_wherever_agents_put_them() {
        let call = json!({
            "kind": "edit", "locations": [{"path": "/a"}], "content": [{"type": "diff", "path": "/b"}],
            "rawInput": {"file_path": "/c", "changes": {"/d": {}}, "command": ["x"]},
        });
        let found = request(&call);
        assert_eq!(found.paths, ["/a", "/b", "/c", "/d"].map(PathBuf::from));
        assert!(!found.own_tool);
    }

    #[test]
    fn a_folder_reached_through_a_link_is_the_same_folder() {
        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let grounds = Grounds { worktree: link.clone(), home: "/nowhere/h".into(), temp: "/nowhere/t".into() };
        let real = real.canonicalize().unwrap();
        assert_eq!(as_given(&real.join("a/b"), &grounds), link.join("a/b"));
        assert_eq!(as_given(Path::new("/etc/x"), &grounds), Path::new("/etc/x"));
        assert_eq!(as_given(Path::new("a"), &grounds), Path::new("a"));
    }

    #[test]
    fn a_command_that_looks_like_our_tool_is_none() {
        let own = |call: Value| request(&call).own_tool;
        assert!(own(json!({"title": "mcp__p0__comment"})));
        assert!(own(json!({"title": "p0_comment", "kind": "other"})));
        assert!(own(json!({"title": "comment (p0 MCP Server)", "kind": "other"})));
        assert!(own(json!({"title": "x", "_meta": {"claudeCode": {"toolName": "mcp__p0__comment"}}})));
        assert!(own(json!({"title": "Approve", "rawInput": {"server": "p0", "tool": "comment"}})));
        assert!(own(json!({"title": "x", "_meta": {"toolName": "mcp__p0__comment", "provenance": "mcp"}})));
        assert!(!own(json!({"title": "x", "_meta": {"toolName": "run_shell_command", "provenance": "mcp"}})));
        assert!(!own(json!({"title": "x", "_meta": {"toolName": "mcp__p0__comment", "provenance": "builtin"}})));
        assert!(!own(json!({"title": "mcp__p0__comment", "kind": "execute"})));
        assert!(!own(json!({"title": "p0_comment; rm -rf /"})));
        assert!(!own(json!({"title": "mcp__p0__x", "_meta": {"claudeCode": {"toolName": "Bash"}}})));
        assert!(!own(json!({"title": "x", "kind": "execute", "rawInput": {"server": "p0"}})));
    }
}
