//! What p0 sends is what the model reads: the driver with real agents, and what their requests to the scripted model
//! server hold. Programs take first words for commands of theirs, rewrite `@` words, run `!` lines, cut blank lines.
use crate::{
    agent::{self, Agent, CODEX_ACP, CODEX_EXEC, left_out, programs},
    env::p0_path,
    model::Model,
};
use p0::{
    driver::Drive,
    model::{adapter::Adapter, permission::Permissions},
};
use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

/// What every program is given: a name, the prompt, and what stands before the words that its model must read.
const PROMPTS: &[(&str, &str, &str)] = &[
    ("every sign", EVERY_SIGN, ""),
    ("a command of many", "/help me mend the parser", OPENING),
    ("a command with a prompt of its own", "/init", OPENING),
    ("a command that empties", "\n /compact now\n", OPENING),
    ("a path", "/src/main.rs has a bug", OPENING),
    ("a shell line", "!ls -la", OPENING),
    ("a file", "@README.md says so, and left-pad@1.3.0", OPENING),
    ("an option", "--version", OPENING),
    ("one word", "exit", OPENING),
    ("blank lines", "\n\n  words between blank lines \n\n\n", ""),
];

/// What the driver puts before a first word that could be taken for a command.
const OPENING: &str = "Your task:\n\n";

/// Everything that a program was seen to change, or could.
const EVERY_SIGN: &str = "You are the executor.\n\n- left-pad@1.3.0, ops@example.org, @types/node, @src/main.rs, @src/, \
    git@github.com:a/b.git, me@README.md, \\@README.md, HEAD@{1}, @ alone, @\n\nSay \"hi\" to 'x' in C:\\path\\new, \\n, $HOME, \
    ${VAR}, $(ls), `ls`, $&, $1, %s, ~, *, !ls, #x, a;b|c&d>e<f.\n/help\n!ls\n@README.md\n\n\n\ttab, trailing blanks  \n\
    ünïcödé 漢字 😀 zero\u{200b}width \u{1b}[31mred\u{1b}[0m bell \u{7} form \u{c} del \u{7f}\n```sh\n!ls\n```\n\
    {{ args }} {args} {prompt} <b>&amp;</b> <system>x</system>\nThe end.";

/// A worktree with the files that the prompts name, a home and a model server.
struct Scene {
    dir: tempfile::TempDir,
    model: Model,
    agent: Agent,
}

impl Scene {
    fn new(agent: Agent) -> Scene {
        agent.must_be_installed();
        let dir = tempfile::tempdir().unwrap();
        for folder in ["tree/src", "home", "temp", "requests"] {
            fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        let tree = dir.path().join("tree");
        fs::write(tree.join("README.md"), "what the file says\n").unwrap();
        fs::write(tree.join("src/main.rs"), "fn main() {}\n").unwrap();
        let git =
            |args: &[&str]| assert!(Command::new("git").args(args).current_dir(&tree).status().unwrap().success());
        git(&["init", "-q"]);
        git(&["add", "."]);
        git(&["-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "files"]);
        let model =
            Model::start_with(dir.path(), true, &["--dump", &dir.path().join("requests").display().to_string()]);
        model.say(&json!([{ "do": "text", "text": "All done." }]), &json!([]));
        agent.write_home(&dir.path().join("home"), model.port);
        Scene { dir, model, agent }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Runs the driver with this prompt.
    fn drive(&self, prompt: &str) -> Output {
        let drive = Drive {
            adapter: Adapter::builtin(self.agent.kind).unwrap(),
            program: Vec::new(),
            model: Some(self.agent.model.to_owned()),
            system: None,
            session: None,
            worktree: self.at("tree"),
            home: self.at("home"),
            temp: self.at("temp"),
            p0: p0_path().into(),
            permissions: Permissions::Allow,
            log_bytes: None,
            budgeted: false,
            extra_args: Vec::new(),
        };
        fs::write(self.at("drive.json"), serde_json::to_vec(&drive).unwrap()).unwrap();
        let input = json!({
            "protocol": 1, "role": "executor", "run": "R", "iteration": 1, "attempt": "A", "round": 1, "prompt": prompt,
            "milestone": { "id": "M", "title": "t", "body": "b" }, "ticket": null, "tickets": [], "backlog": [],
            "verdict": null, "learnings": [], "feedback": [], "files": { "create": [], "modify": [] },
        });
        let path = format!("{}:{}", programs().display(), std::env::var("PATH").unwrap());
        let mut child = Command::new(p0_path())
            .arg("__drive")
            .arg(self.at("drive.json"))
            .current_dir(self.at("tree"))
            .env_clear()
            .env("PATH", path)
            .env("HOME", self.at("home"))
            .env("TMPDIR", self.at("temp"))
            .envs(self.agent.variables(self.model.port))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// The texts that stood in what a user said, in all requests.
    fn read_by_the_model(&self) -> Vec<String> {
        let mut found = Vec::new();
        for entry in fs::read_dir(self.at("requests")).unwrap() {
            let request: Value = serde_json::from_slice(&fs::read(entry.unwrap().path()).unwrap()).unwrap();
            let messages = ["input", "messages", "contents"].iter().find_map(|key| request.get(*key)?.as_array());
            for message in messages.into_iter().flatten().filter(|m| m["role"] == "user") {
                texts(message.get("content").or_else(|| message.get("parts")).unwrap_or(&Value::Null), &mut found);
            }
        }
        found
    }
}

fn texts(content: &Value, found: &mut Vec<String>) {
    match content {
        Value::String(text) => found.push(text.clone()),
        Value::Array(parts) => parts.iter().for_each(|part| texts(part, found)),
        Value::Object(part) => texts(part.get("text").unwrap_or(&Value::Null), found),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// What is wrong when the model did not read this prompt as p0 sent it.
fn spoilt(agent: Agent, (name, prompt, before): (&str, &str, &str)) -> Option<String> {
    let scene = Scene::new(agent);
    let ended = scene.drive(prompt);
    let note = Adapter::builtin(agent.kind).unwrap().tools_note.map(|note| format!("\n\n{}", note.trim()));
    let sent = format!("{before}{}{}", prompt.trim(), note.unwrap_or_default());
    let read = scene.read_by_the_model();
    // aider repeats the form of its answers behind every prompt.
    let is_it = |text: &String| *text == sent || (agent.kind == "aider" && text.starts_with(&format!("{sent}\n\n")));
    if read.iter().any(is_it) && ended.status.success() {
        return None;
    }
    let said = String::from_utf8_lossy(&ended.stdout);
    Some(format!("{} {name}: exit {:?}\nsent {sent:?}\nread {read:#?}\nsaid {said}", agent.kind, ended.status.code()))
}

/// A prompt as long as p0 ever makes one, with what takes programs long: quotes, backslashes, `@`.
fn long() -> String {
    "A word \" and \\ and left@pad and 😀.\n".repeat(8_000)
}

fn all_prompts(agent: Agent) -> Vec<String> {
    let long = long();
    let prompts = PROMPTS.iter().copied().chain([("a long one", long.as_str(), "")]);
    prompts.filter_map(|prompt| spoilt(agent, prompt)).collect()
}

#[track_caller]
fn check(agent: Agent) {
    if !left_out() {
        let wrong = all_prompts(agent);
        assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    }
}

#[test]
fn codex_reads_every_prompt_as_it_was_sent() {
    check(CODEX_EXEC);
}

#[test]
fn codex_acp_reads_every_prompt_as_it_was_sent() {
    check(CODEX_ACP);
}

/// What gemini and qwen would carry out (`!{…}`) or replace on every way is refused before a call is paid.
fn refuses(agent: Agent) -> Option<String> {
    let scene = Scene::new(agent);
    let ended = scene.drive("Bump left-pad@1.3.0 as in HEAD@{1} and !{touch ran}");
    let said = String::from_utf8_lossy(&ended.stdout).into_owned();
    let refused = ended.status.code() == Some(65) && said.contains("would change or carry out `!{`");
    let untouched = scene.model.log().is_empty() && !Path::new(&scene.at("tree/ran")).exists();
    (!refused || !untouched).then(|| format!("{} did not refuse: {said}", agent.kind))
}

/// `P0_TEST_AGENTS_ALL=DIR`: every prompt with every agent whose program is in `DIR`; `P0_TEST_AGENTS_ONLY=KIND,…` narrows
/// it.
#[test]
#[ignore = "needs every agent installed; P0_TEST_AGENTS_ALL=DIR cargo test --test agents all_agents_read -- --ignored --nocapture"]
fn all_agents_read_every_prompt_as_it_was_sent() {
    assert!(std::env::var_os("P0_TEST_AGENTS_ALL").is_some(), "P0_TEST_AGENTS_ALL=DIR says where the programs are");
    let wanted = |agent: &&Agent| {
        let only = std::env::var("P0_TEST_AGENTS_ONLY");
        only.map_or(true, |list| list.split(',').any(|kind| kind == agent.kind))
            && programs().join(agent.program).exists()
    };
    let mut wrong = Vec::new();
    for agent in agent::ALL.iter().filter(wanted) {
        let mut spoilt = all_prompts(*agent);
        if matches!(agent.kind, "gemini" | "qwen") {
            spoilt.extend(refuses(*agent));
        }
        println!("| {} | {} |", agent.kind, if spoilt.is_empty() { "every prompt as it was sent" } else { "NOT" });
        wrong.extend(spoilt);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}
