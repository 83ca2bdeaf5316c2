//! The driver as a process, with stand-ins for the agents' programs: what it says for what they say. The fixtures in
//! `tests/adapters` are recordings of the real programs, shortened, and made by hand where a real one cannot be made to
//! do it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may stop at the first surprise")]

use p0::{
    driver::{Drive, Resume},
    model::{
        adapter::{Adapter, Modes},
        id::ApprovalId,
        permission::Permissions,
        reply::Reply,
    },
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    time::{Duration, Instant},
};

fn adapters() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/adapters")
}

/// An attempt's folders and its drive file.
struct Scene {
    dir: tempfile::TempDir,
    drive: Drive,
    socket: String,
}

/// What the driver did.
struct Played {
    code: Option<i32>,
    /// Its protocol lines.
    said: Vec<String>,
    /// What it logged of the program.
    native: Vec<Value>,
    stderr: String,
    took: Duration,
}

impl Scene {
    fn new(table: &str, script: &str, case: &str) -> Scene {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| {
            let path = dir.path().join(name);
            fs::create_dir(&path).unwrap();
            path
        };
        let script = adapters().join(script).display().to_string();
        let drive = Drive {
            adapter: Adapter::builtin(table).unwrap(),
            program: vec!["python3".into(), script, case.to_owned()],
            model: None,
            system: None,
            session: None,
            worktree: at("tree"),
            home: at("home"),
            temp: at("temp"),
            p0: "/opt/p0".into(),
            permissions: Permissions::Allow,
            log_bytes: None,
            budgeted: false,
            extra_args: Vec::new(),
        };
        Scene { dir, drive, socket: String::new() }
    }

    /// The table `table` and the fixture `table-case.jsonl`.
    fn lines(table: &str, case: &str) -> Scene {
        let mut scene =
            Scene::new(table, "fake.py", &adapters().join(format!("{table}-{case}.jsonl")).display().to_string());
        if case == "resumed" || case == "lost" {
            scene.resume();
        }
        scene
    }

    fn acp(case: &str) -> Scene {
        let mut scene = Scene::new("acp", "fake_acp.py", case);
        scene.drive.adapter.acp.eof_ms = 1_000;
        scene
    }

    fn resume(&mut self) {
        self.drive.session = Some(Resume {
            session: "S-OLD".into(),
            input_tokens: 4936,
            output_tokens: 224,
            cached_tokens: 800,
            cost_usd: 0.0244,
        });
    }

    fn start(&self) -> Child {
        let file = self.dir.path().join("drive.json");
        fs::write(&file, serde_json::to_vec(&self.drive).unwrap()).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_p0"))
            .arg("__drive")
            .arg(&file)
            .env("P0_WORKTREE", &self.drive.worktree)
            .env("P0_SOCKET", &self.socket)
            .env("P0_TOKEN", "secret")
            .env("VERSION", env!("CARGO_PKG_VERSION"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(INPUT.as_bytes()).unwrap();
        child
    }

    fn play(&self) -> Played {
        self.end(self.start(), Instant::now(), String::new())
    }

    /// Plays until the program says that it hangs, ends the driver with TERM, and waits.
    fn play_until_term(&self) -> Played {
        let mut child = self.start();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut heard = String::new();
        while !heard.contains("hanging") {
            assert!(stderr.read_line(&mut heard).unwrap() > 0, "it ended early: {heard}");
        }
        let since = Instant::now();
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        stderr.read_to_string(&mut heard).unwrap();
        self.end(child, since, heard)
    }

    fn end(&self, mut child: Child, since: Instant, mut stderr: String) -> Played {
        let reader = child.stderr.take().map(|mut pipe: ChildStderr| {
            std::thread::spawn(move || {
                let mut text = String::new();
                pipe.read_to_string(&mut text).map(|_| text)
            })
        });
        let mut stdout = Vec::new();
        child.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
        let code = child.wait().unwrap().code();
        stderr.push_str(&reader.map(|reader| reader.join().unwrap().unwrap()).unwrap_or_default());
        let took = since.elapsed();
        let (mut said, mut native) = (Vec::new(), Vec::new());
        let root = self.dir.path().display().to_string();
        for line in String::from_utf8(stdout).unwrap().lines() {
            let value: Value = serde_json::from_str(line).unwrap();
            match value.get("native") {
                Some(heard) => native.push(heard.clone()),
                None => said.push(line.replace(&root, "/w")),
            }
        }
        Played { code, said, native, stderr: stderr.replace(&root, "/w"), took }
    }
}

impl Played {
    fn shown(&self, what: &str) -> String {
        format!("# {what}\n{}\nexit {:?}\n", self.said.join("\n"), self.code)
    }

    fn of_type(&self, word: &str) -> Vec<Value> {
        let lines = self.said.iter().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|line| line["type"] == word).collect()
    }
}

const INPUT: &str = r#"{"protocol":1,"role":"executor","run":"R","iteration":1,"attempt":"A","round":1,"prompt":"Do it.",
    "milestone":{"id":"M","title":"t","body":"b"},"ticket":null,"tickets":[],"backlog":[],"verdict":null,
    "learnings":[],"feedback":[],"files":{"create":[],"modify":[]}}"#;

fn played(table: &str, cases: &[&str]) -> String {
    let play = |case: &&str| Scene::lines(table, case).play().shown(&format!("{table}: {case}"));
    cases.iter().map(play).collect::<Vec<_>>().join("\n")
}

#[test]
fn codex() {
    let failures = ["401", "429", "500", "400", "context", "quota", "offline", "garbage", "silent", "crash"];
    let cases = [&["success", "resumed", "lost"][..], &failures].concat();
    insta::assert_snapshot!(played("codex", &cases));
}

#[test]
fn claude() {
    let cases = ["success", "resumed", "lost", "401", "429", "500", "400", "context", "limit", "interrupted", "denied"];
    insta::assert_snapshot!(played("claude", &cases));
}

#[test]
fn opencode() {
    insta::assert_snapshot!(played("opencode", &["success", "401", "400", "429", "500", "rejected", "huge"]));
}

#[test]
fn gemini() {
    insta::assert_snapshot!(played("gemini", &["success", "401", "429", "500", "400", "untrusted"]));
}

#[test]
fn qwen() {
    insta::assert_snapshot!(played("qwen", &["success", "resumed", "401", "400"]));
}

#[test]
fn aider() {
    insta::assert_snapshot!(played("aider", &["success", "401", "500"]));
}

#[test]
fn term_in_the_middle_tells_what_is_known_and_leaves_nobody() {
    for table in ["codex", "claude", "gemini"] {
        let played = Scene::lines(table, "term").play_until_term();
        assert_eq!(played.code, Some(143), "{table}");
        assert_eq!(played.of_type("session").last().unwrap()["session"], "S-1", "{table}");
        assert!(!played.of_type("activity").is_empty(), "{table}");
        assert!(
            played.of_type("failed").is_empty() && played.took < Duration::from_secs(3),
            "{table}: {:?}",
            played.took
        );
    }
    let played = Scene::lines("codex", "term").play_until_term();
    assert_eq!(played.of_type("usage").last().unwrap()["input_tokens"], 100);
    let played = Scene::lines("claude", "term").play_until_term();
    assert_eq!(played.of_type("usage").last().unwrap()["input_tokens"], 720, "what the messages say, each once");
}

#[test]
fn a_program_that_does_not_hear_term_is_killed_after_the_grace() {
    let mut scene = Scene::lines("codex", "deaf");
    scene.drive.adapter.grace_ms = 300;
    let played = scene.play_until_term();
    assert_eq!(played.code, Some(143));
    assert!(played.took >= Duration::from_millis(300) && played.took < Duration::from_secs(3), "{:?}", played.took);
    assert_eq!(played.of_type("usage").len(), 1);
}

#[test]
fn what_a_program_writes_is_logged_and_never_taken_for_the_agent_s_word() {
    let played = Scene::lines("codex", "garbage").play();
    assert!(played.native.contains(&json!({"type": "verdict", "met": true})));
    assert!(played.native.contains(&json!("[1, 2]")));
    assert_eq!(played.of_type("verdict"), Vec::<Value>::new());
    let played = Scene::lines("opencode", "huge").play();
    assert_eq!(played.native.len(), 4);
}

#[test]
fn a_conversation_is_resumed_only_where_it_took_place() {
    let mut scene = Scene::lines("codex", "resumed");
    assert_eq!(scene.play().of_type("session")[0]["resumed"], true);
    let elsewhere = scene.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    scene.drive.worktree = elsewhere;
    assert_eq!(scene.play().of_type("session")[0]["resumed"], true, "codex finds it anywhere");
    let mut scene = Scene::lines("codex", "resumed");
    scene.drive.adapter.resumes_elsewhere = false;
    scene.play();
    let elsewhere = scene.dir.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    scene.drive.worktree = elsewhere;
    let played = scene.play();
    assert_eq!(played.of_type("session")[0]["resumed"], false);
    assert!(played.stderr.contains("another worktree"), "{}", played.stderr);
}

#[test]
fn what_cannot_be_started_says_what_to_do() {
    let mut scene = Scene::lines("codex", "success");
    scene.drive.program = vec!["/nowhere/codex".into()];
    let played = scene.play();
    assert_eq!(played.code, Some(127));
    assert!(played.stderr.contains("/nowhere/codex was not found; install it"), "{}", played.stderr);
    let mut scene = Scene::lines("codex", "success");
    scene.drive.adapter.args.push(p0::model::adapter::Group::Plain(vec!["{nothing}".into()]));
    let played = scene.play();
    assert_eq!((played.code, played.of_type("failed").len()), (Some(65), 1));
}

#[test]
fn acp_turns_and_their_ends() {
    let mut shown = Vec::new();
    for case in [
        "plain",
        "refusal",
        "max_tokens",
        "max_turn_requests",
        "cancelled",
        "tea_time",
        "error",
        "auth",
        "login",
        "crash",
        "wrong",
        "unknown",
    ] {
        let mut scene = Scene::acp(case);
        scene.drive.adapter.says_in_text = true;
        scene.drive.system = Some("Be brief.".into());
        scene.drive.adapter.acp.modes = Modes::Allow(vec!["yolo".into(), "full-access".into()]);
        shown.push(scene.play().shown(case));
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn acp_tells_the_agent_what_it_needs() {
    let mut scene = Scene::acp("unknown");
    scene.socket = "/w/sock".into();
    scene.drive.system = Some("Be brief.".into());
    scene.drive.adapter.acp.modes = Modes::Allow(vec!["full-access".into()]);
    scene.drive.adapter.acp.meta = Some(json!({"systemPrompt": {"append": "{system}"}}));
    insta::assert_snapshot!(scene.play().stderr);
}

#[test]
fn acp_permissions_are_answered_by_kind_and_policy() {
    let mut shown = Vec::new();
    for permissions in [Permissions::Allow, Permissions::Ask, Permissions::Deny] {
        let mut scene = Scene::acp("permission");
        scene.drive.permissions = permissions;
        let played = scene.play();
        let answers = played.stderr.lines().filter(|line| line.starts_with("answer")).collect::<Vec<_>>().join("\n");
        shown.push(format!("{}{answers}\n", played.shown(&format!("{permissions:?}"))));
    }
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn acp_a_person_is_asked_through_the_door() {
    for (state, allowed) in [("allowed", true), ("denied", false)] {
        let mut scene = Scene::acp("permission");
        scene.drive.permissions = Permissions::Ask;
        let socket = scene.dir.path().join("socket");
        scene.socket = socket.display().to_string();
        let attempt_socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let patience = rustix::net::sockopt::Timeout::Recv;
        rustix::net::sockopt::set_socket_timeout(&attempt_socket, patience, Some(Duration::from_secs(20))).unwrap();
        let asked = std::thread::spawn(move || {
            let mut requests = Vec::new();
            let mut polls = 0;
            // Two questions: the one about `ls -l`, and the command that looks like our tool.
            while polls < 4 {
                let (mut stream, _) = attempt_socket.accept().unwrap();
                let request = read_request(&mut stream);
                let answer = if request.starts_with("POST") {
                    serde_json::to_value(Reply::Asked { approval: ApprovalId("M-A1".into()) }).unwrap()
                } else {
                    polls += 1;
                    json!({"id": "M-A1", "state": if polls % 2 == 1 { "open" } else { state }, "reason": "as I like"})
                };
                let body = answer.to_string();
                write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).unwrap();
                requests.push(request);
            }
            requests
        });
        let played = scene.play();
        let requests = asked.join().unwrap();
        assert!(requests[0].starts_with("POST /api/v1/attempt/say ") && requests[0].contains("Bearer secret"));
        assert!(requests[0].contains(r#""tool":"execute","target":"ls -l""#), "{}", requests[0]);
        assert!(requests[1].starts_with("GET /api/v1/attempt/approvals/M-A1?wait_s=20 "));
        let answered = played.of_type("permission");
        assert_eq!((&answered[2]["allowed"], &answered[4]["allowed"]), (&json!(allowed), &json!(allowed)));
        assert_eq!(answered[2]["why"], format!("{state} by M-A1: as I like"));
    }
}

fn read_request(stream: &mut impl Read) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.ends_with("\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.push(char::from(byte[0]));
    }
    let length = text.to_lowercase().lines().find_map(|l| l.strip_prefix("content-length: ").map(str::to_owned));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).unwrap();
    text + &String::from_utf8(body).unwrap()
}

#[test]
fn acp_a_door_that_is_not_there_means_no() {
    let mut scene = Scene::acp("permission");
    scene.drive.permissions = Permissions::Ask;
    scene.socket = "/nowhere/socket".into();
    let played = scene.play();
    let ls = &played.of_type("permission")[2];
    assert_eq!((&ls["target"], &ls["allowed"]), (&json!("ls -l"), &json!(false)));
    assert!(ls["why"].as_str().unwrap().starts_with("nobody could be asked"));
}

#[test]
fn acp_conversations_are_loaded_and_what_they_repeat_is_not_counted() {
    let mut scene = Scene::acp("load");
    scene.resume();
    scene.drive.adapter.says_in_text = true;
    let loaded = scene.play().shown("load");
    let mut scene = Scene::acp("load-lost");
    scene.resume();
    let lost = scene.play().shown("load-lost");
    let mut scene = Scene::acp("plain");
    scene.resume();
    let cannot = scene.play().shown("an agent that cannot load");
    insta::assert_snapshot!([loaded, lost, cannot].join("\n"));
}

#[test]
fn acp_term_cancels_the_turn_and_counts_what_it_used() {
    let played = Scene::acp("hang").play_until_term();
    assert_eq!(played.code, Some(143));
    assert!(played.stderr.contains("cancelled"), "{}", played.stderr);
    let usage = played.of_type("usage");
    assert_eq!((&usage[0]["input_tokens"], &usage[0]["cost_usd"]), (&json!(5), &json!(0.5)));
}

#[test]
fn acp_an_agent_that_makes_no_session_is_trouble_and_no_failed_work() {
    let mut scene = Scene::acp("mute");
    scene.drive.adapter.acp.start_s = 1;
    let played = scene.play();
    assert_eq!(played.code, Some(1));
    let failed = played.of_type("failed");
    assert_eq!(failed[0]["class"], "overloaded");
    assert_eq!(failed[0]["text"], "the agent made no session in 1 seconds");
}

#[test]
fn acp_an_agent_that_stays_is_killed() {
    let mut scene = Scene::acp("stays");
    (scene.drive.adapter.acp.eof_ms, scene.drive.adapter.grace_ms) = (200, 200);
    let played = scene.play();
    assert_eq!(played.code, Some(0));
    assert!(played.took < Duration::from_secs(5), "{:?}", played.took);
}

#[test]
fn acp_answers_that_are_none_are_understood_all_the_same() {
    for (answer, class, text) in [
        (r#"{"id":ID,"error":"overloaded"}"#, "overloaded", "overloaded"),
        (r#"{"jsonrpc":"2.0","id":ID,"error":{"message":"status 503"}}"#, "overloaded", "status 503"),
        (r#"{"id":ID,"error":{"code":99999999999,"message":"odd"}}"#, "other", "odd"),
        (r#"{"id":ID,"error":{"code":-32000,"message":"odd"}}"#, "auth", "odd"),
        (
            r#"{"id":ID,"error":{"code":-32000,"message":"Overloaded","data":{"status":529}}}"#,
            "overloaded",
            "Overloaded",
        ),
        (r#"{"jsonrpc":"2.0","id":ID}"#, "other", "the turn ended for an unknown reason: None"),
    ] {
        let played = Scene::acp(&format!("answer {answer}")).play();
        let failed = played.of_type("failed");
        assert_eq!(failed[0]["class"], class, "{answer}");
        assert!(failed[0]["text"].as_str().unwrap().starts_with(text), "{answer}: {}", failed[0]);
        assert!(played.took < Duration::from_secs(10), "{answer}: {:?}", played.took);
    }
    let limited = r#"{"id":ID,"error":{"code":-32000,"message":"Rate limited","data":{"retryAfter":77}}}"#;
    let played = Scene::acp(&format!("answer {limited}")).play();
    assert_eq!(played.of_type("rate_limited")[0]["retry_after_s"], 77);
    assert_eq!(Scene::acp("no-text").play().code, Some(0));
}

#[test]
fn acp_an_agent_that_is_gone_is_not_waited_for() {
    for (case, why) in [("orphan", "exit status: 3"), ("closes", "it closed its stdout")] {
        let mut scene = Scene::acp(case);
        (scene.drive.adapter.acp.eof_ms, scene.drive.adapter.grace_ms) = (200, 200);
        let played = scene.play();
        assert_eq!(played.code, Some(1), "{case}");
        let failed = played.of_type("failed");
        assert!(failed[0]["text"].as_str().unwrap().contains(why), "{}", failed[0]);
        assert!(played.took < Duration::from_secs(20), "{case}: {:?}", played.took);
    }
}

#[test]
fn acp_sessions_have_a_name_and_models_are_set_where_they_are_offered() {
    let played = Scene::acp("nameless").play();
    assert!(played.of_type("failed")[0]["text"].as_str().unwrap().contains("the agent named no session"));
    for (model, said) in [("large", "model S-1 large"), ("huge", "the agent offers no model 'huge'")] {
        let mut scene = Scene::acp("models");
        scene.drive.model = Some(model.into());
        let played = scene.play();
        assert!(played.code == Some(0) && played.stderr.contains(said), "{}", played.stderr);
    }
}

#[test]
fn acp_an_object_in_a_message_of_its_own_is_heard() {
    let mut scene = Scene::acp("no-newline");
    scene.drive.adapter.says_in_text = true;
    assert_eq!(scene.play().of_type("status")[0]["status"], "done");
}

/// What a session says of its modes: `current` of these.
fn modes(current: &str, all: &[&str]) -> Value {
    let all: Vec<Value> = all.iter().map(|id| json!({ "id": id, "name": id })).collect();
    json!({ "modes": { "currentModeId": current, "availableModes": all } })
}

/// The same as a configuration option, its values in groups.
fn mode_option(current: &str, all: &[&str]) -> Value {
    let all: Vec<Value> = all.iter().map(|value| json!({ "value": value, "name": value })).collect();
    let options = json!([{ "group": "g", "name": "G", "options": all }]);
    json!({ "configOptions": [
        { "id": "approval", "category": "mode", "type": "select", "currentValue": current, "options": options },
    ] })
}

fn with_modes(permissions: Permissions, case: &Value) -> Scene {
    let mut scene = Scene::acp(&format!("modes {case}"));
    scene.drive.permissions = permissions;
    scene
}

#[test]
fn acp_a_session_that_asks_nobody_is_put_into_a_mode_that_asks() {
    let claude = ["default", "acceptEdits", "auto", "bypassPermissions"];
    let both = |current: &str| {
        let (mut state, option) = (modes(current, &claude), mode_option(current, &claude));
        state["configOptions"] = option["configOptions"].clone();
        state
    };
    for permissions in [Permissions::Ask, Permissions::Deny] {
        for (state, said) in [
            (modes("auto", &claude), "mode default"),
            (mode_option("bypassPermissions", &claude), "option approval default"),
            (both("auto"), "mode default"),
            (modes("yolo", &["plan", "ask", "yolo"]), "mode ask"),
        ] {
            let played = with_modes(permissions, &json!({ "state": state })).play();
            assert!(
                played.code == Some(0) && played.stderr.contains(said),
                "{state}: {:?} {}",
                played.said,
                played.stderr
            );
        }
        let asks = with_modes(permissions, &json!({ "state": modes("plan", &["plan", "default"]) })).play();
        assert!(asks.code == Some(0) && !asks.stderr.contains("\nmode "), "it is left as it is: {}", asks.stderr);
    }
    let allowed = with_modes(Permissions::Allow, &json!({ "state": modes("auto", &claude) })).play();
    assert!(allowed.code == Some(0) && !allowed.stderr.contains("\nmode "), "the sandbox is its fence");
}

#[test]
fn acp_a_session_that_cannot_be_made_to_ask_is_refused_before_it_works() {
    let all = ["default", "auto"];
    for (case, mode) in [
        (json!({ "state": modes("auto", &["auto", "yolo"]) }), "auto"),
        (json!({ "state": mode_option("autopilot", &[]) }), "autopilot"),
        (json!({ "state": modes("auto", &all), "set": "ignore" }), "auto"),
        (json!({ "state": modes("auto", &all), "set": "refuse" }), "auto"),
    ] {
        for (permissions, word) in [(Permissions::Ask, "ask"), (Permissions::Deny, "deny")] {
            let played = with_modes(permissions, &case).play();
            let failed = played.of_type("failed");
            assert_eq!((played.code, &failed[0]["class"]), (Some(1), &json!("configuration")), "{case}");
            let text = failed[0]["text"].as_str().unwrap();
            assert!(text.contains(&format!("in mode '{mode}', in which it asks nobody")), "{text}");
            assert!(text.contains(&format!("permissions are \"{word}\"; name a mode that asks")), "{text}");
            assert!(!played.stderr.contains("\nprompt "), "it was given its work: {}", played.stderr);
        }
        let played = with_modes(Permissions::Allow, &case).play();
        assert_eq!(played.code, Some(0), "{case}: {:?}", played.said);
    }
}

#[test]
fn acp_a_session_that_stops_asking_while_it_works_is_ended() {
    let case = json!({ "state": modes("default", &["default", "auto"]), "switch": "auto" });
    let played = with_modes(Permissions::Deny, &case).play();
    let failed = played.of_type("failed");
    assert_eq!((played.code, &failed[0]["class"]), (Some(1), &json!("configuration")), "{:?}", played.said);
    assert!(played.stderr.contains("cancelled") && failed[0]["text"].as_str().unwrap().contains("'auto'"));
}

#[test]
fn acp_a_table_names_a_mode_for_each_policy_and_those_that_ask_nobody() {
    let table = "extends = \"acp\"\n[acp]\nasks_nobody = [\"swift\"]\n\
                 [acp.modes]\nallow = [\"none\", \"swift\"]\nask = [\"careful\"]\ndeny = [\"shut\"]";
    let adapter = Adapter::from_table("mine", toml::from_str(table).unwrap()).unwrap();
    for (permissions, offered, code, said) in [
        (Permissions::Allow, &["swift", "careful", "shut"][..], 0, "mode swift"),
        (Permissions::Ask, &["swift", "careful", "shut"], 0, "mode careful"),
        (Permissions::Deny, &["swift", "careful", "shut"], 0, "mode shut"),
        (Permissions::Deny, &["swift", "careful"], 1, "in mode 'swift', in which it asks nobody"),
    ] {
        let mut scene = with_modes(permissions, &json!({ "state": modes("swift", offered) }));
        scene.drive.adapter = adapter.clone();
        let played = scene.play();
        let all = format!("{}\n{}", played.stderr, played.said.join("\n"));
        let set = permissions == Permissions::Allow || all.contains(said);
        assert!(played.code == Some(code) && set, "{permissions:?}: {all}");
    }
}

#[test]
fn acp_a_turn_that_a_refusal_ended_says_so() {
    let mut scene = Scene::acp("refused");
    scene.drive.permissions = Permissions::Deny;
    let text = scene.play().of_type("failed")[0]["text"].to_string();
    assert!(text.contains("the agent ended its turn when it was refused the use of 'rm'"), "{text}");
}

#[test]
fn a_turn_in_which_nothing_happened_is_the_provider_s_trouble() {
    let played = Scene::acp("empty").play();
    let failed = played.of_type("failed");
    assert_eq!((played.code, &failed[0]["class"]), (Some(1), &json!("overloaded")));
    assert!(failed[0]["text"].as_str().unwrap().contains("without a word, a call of a tool"), "{}", failed[0]);
    for something in ["used", "thinks", "says I am done.", "works and says "] {
        assert_eq!(Scene::acp(something).play().code, Some(0), "{something}");
    }
    let played = Scene::lines("codex", "empty").play();
    assert_eq!((played.code, &played.of_type("failed")[0]["class"]), (Some(1), &json!("overloaded")));
}

#[test]
fn an_error_in_the_model_s_words_is_one_where_the_table_knows_it_and_nothing_else_was_done() {
    let with = |case: &str| {
        let mut scene = Scene::acp(case);
        let rule = "[[errors]]\nclass = \"auth\"\ntext = 'Error: Authentication failed with .{1,200}'\nin_words = true";
        let table = format!("extends = \"acp\"\n{rule}");
        scene.drive.adapter = Adapter::from_table("mine", toml::from_str(&table).unwrap()).unwrap();
        let played = scene.play();
        (played.code, played.of_type("failed").first().map(|failed| failed["class"].clone()))
    };
    let error = "Error: Authentication failed with provider at http://127.0.0.1: 401";
    assert_eq!(with(&format!("says {error}\n")), (Some(1), Some(json!("auth"))));
    for fine in [
        format!("works and says {error}"),
        format!("says I looked at the log. It says: {error}"),
        format!("says {error}\nThat is what the log says."),
        "says Error: something else".to_owned(),
    ] {
        assert_eq!(with(&fine), (Some(0), None), "{fine}");
    }
}

#[test]
fn what_codex_acp_says_of_a_turn_that_failed_is_heard() {
    let of = |case: &str| {
        let mut scene = Scene::acp(case);
        scene.drive.adapter = Adapter::builtin("codex-acp").unwrap();
        let played = scene.play();
        let line = played.of_type("failed").into_iter().chain(played.of_type("rate_limited")).next().unwrap();
        (played.code, line)
    };
    let (code, failed) =
        of("system error We\u{2019}re currently experiencing high demand, which may cause temporary errors.");
    assert_eq!((code, &failed["class"]), (Some(1), &json!("overloaded")), "{failed}");
    let (code, limited) = of("system error You've hit your usage limit. Try again in 2 hours.");
    assert_eq!((code, &limited["type"], &limited["retry_after_s"]), (Some(1), &json!("rate_limited"), &json!(7200)));
    let (_, failed) = of("says We\u{2019}re currently experiencing high demand, which may cause temporary errors.\n\n");
    assert_eq!(failed["class"], "overloaded");
}

#[test]
fn acp_a_login_that_nobody_can_finish_ends_with_words() {
    let of = |case: &str, method: Option<&str>| {
        let mut scene = Scene::acp(case);
        scene.drive.adapter.acp.auth_method = method.map(str::to_owned);
        scene.drive.adapter.acp.start_s = 4;
        let played = scene.play();
        let failed = played.of_type("failed");
        assert_eq!((played.code, &failed[0]["class"]), (Some(1), &json!("auth")), "{:?}", played.said);
        failed[0]["text"].as_str().unwrap().to_owned()
    };
    for (case, method, words) in [
        ("login", None, "log in with the agent's own program first"),
        ("login", Some("face"), "the agent has no login 'face', which acp.auth_method names"),
        ("login-refused", Some("key"), "the login 'key' was refused: "),
        ("login-mute", Some("key"), "the login 'key' did not end in 2 seconds: it may want a person"),
    ] {
        let text = of(case, method);
        assert!(text.starts_with("Please log in (") && text.contains(words), "{text}");
        assert!(text.ends_with("logins that it offers: key)"), "{text}");
    }
}
