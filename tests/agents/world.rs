//! A repository, a spec, a model server, and a run in which a real agent plays the executor.
use crate::{
    agent::Agent,
    env::{Running, TestEnvironment},
    model::Model,
};
use serde_json::{Value, json};
use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

/// More than any run here takes on a loaded machine.
pub const LIMIT: Duration = Duration::from_secs(600);

pub struct World {
    pub model: Model,
    pub env: TestEnvironment,
    pub agent: Agent,
    begun: Instant,
}

impl World {
    /// With Python programs as planner (one ticket, `a.txt`) and verifier; what the model says comes from the test.
    pub fn new(agent: Agent) -> World {
        agent.must_be_installed();
        let mut env = TestEnvironment::new();
        let model = Model::start(&env.dir, !agent.text_only);
        agent.write_home(&env.dir.join("home"), model.port);
        let path = std::env::var("PATH").unwrap();
        env.set("PATH", &format!("{}:{path}", agent.folder().display()));
        let world = World { model, env, agent, begun: Instant::now() };
        world.config("", "", "");
        world
    }

    /// The configuration: more of `[agents.real]`, of `[roles.executor]`, and of the file.
    pub fn config(&self, agent: &str, role: &str, more: &str) {
        let own = self.env.agent_table("t", "agent.py");
        let real = self.agent.table(self.model.port, agent);
        let players = "[roles.planner]\nagent = \"t\"\n[roles.verifier]\nagent = \"t\"\n";
        let executor = format!("[roles.executor]\nagent = \"real\"\n{role}\n");
        let text = format!("{own}{real}{players}{executor}[limits]\ngrace_ms = 2000\n{more}\n");
        self.env.put(".p0/config.toml", &text);
    }

    /// Every role is played by the real agent.
    pub fn config_alone(&self) {
        let real = self.agent.table(self.model.port, "");
        let roles: Vec<String> =
            ["planner", "executor", "verifier"].map(|r| format!("[roles.{r}]\nagent = \"real\"\n")).into();
        self.env.put(".p0/config.toml", &format!("{real}{}[limits]\ngrace_ms = 2000\n", roles.concat()));
    }

    /// The model's part of a ticket: these steps, then the status through MCP, then an end.
    pub fn does(&self, steps: &[Value]) {
        let mut all = steps.to_vec();
        all.extend([done(), json!({ "do": "text", "text": "All done." })]);
        self.model.say(&Value::Array(self.steps(&all)), &json!([]));
    }

    /// The steps as this agent's model takes them: where it has no tools, all that is written and said is one text.
    pub fn steps(&self, steps: &[Value]) -> Vec<Value> {
        if !self.agent.text_only {
            return steps.to_vec();
        }
        let (mut taken, mut text) = (Vec::new(), String::new());
        for step in steps {
            match step["do"].as_str().unwrap() {
                "write" => {
                    let (path, content) = (step["path"].as_str().unwrap(), step["content"].as_str().unwrap());
                    writeln!(text, "{path}\n```\n{content}```\n").unwrap();
                }
                "mcp" => {
                    let word = step["match"].as_str().unwrap().trim_end_matches('$').rsplit([')', '_']).next().unwrap();
                    let mut message = step["args"].clone();
                    message["type"] = word.into();
                    writeln!(text, "{message}").unwrap();
                }
                "text" => writeln!(text, "{}", step["text"].as_str().unwrap()).unwrap(),
                "shell" => {}
                _ => taken.push(step.clone()),
            }
        }
        taken.push(json!({ "do": "text", "text": text }));
        taken
    }

    /// A command for which the agent has to ask.
    pub fn asked_for(&self, command: &str) -> Value {
        if self.agent.escalates {
            let args =
                json!({ "cmd": command, "sandbox_permissions": "require_escalated", "justification": "to write" });
            return json!({ "do": "tool", "match": "^exec_command$", "args": args });
        }
        json!({ "do": "shell", "command": command })
    }

    pub fn start(&self) -> Running {
        self.env.start_run(&["--json"])
    }

    /// As [`World::run`], with more on the command line.
    #[track_caller]
    pub fn run_with(&self, code: i32, more: &[&str]) -> Value {
        let all: Vec<&str> = ["--json"].iter().chain(more).copied().collect();
        self.env.start_run(&all).wait_within(LIMIT).expect(code).json()
    }

    /// Runs to an end, and gives the status.
    #[track_caller]
    pub fn run(&self, code: i32) -> Value {
        self.start().wait_within(LIMIT).expect(code).json()
    }

    /// How the rounds of the one ticket ended.
    #[track_caller]
    pub fn outcomes(&self) -> Vec<String> {
        let tickets = self.env.tickets();
        let attempts = tickets[0]["attempts"].as_array().unwrap();
        attempts.iter().map(|a| a["outcome"].as_str().unwrap_or("none").to_owned()).collect()
    }

    /// The landed file.
    pub fn landed(&self, status: &Value) -> Option<String> {
        self.env.show(status["branch"].as_str().unwrap(), "a.txt")
    }

    /// The ticket's status as the agent told it itself, through its tools.
    #[track_caller]
    pub fn told_status(&self) -> Vec<String> {
        let reported = self.env.events("attempt.reported");
        let said = reported.iter().map(|e| &e["data"]["message"]).filter(|m| m["type"] == "status");
        said.map(|m| m["status"].as_str().unwrap().to_owned()).collect()
    }

    /// p0 counted what the server counted.
    #[track_caller]
    pub fn usage_agrees(&self) -> String {
        let counted = self.model.counted();
        let usage = self.env.status()["usage"].clone();
        let seen = (usage["input_tokens"].as_u64().unwrap(), usage["output_tokens"].as_u64().unwrap());
        assert_eq!(seen, (counted.input, counted.output), "p0 counted {usage}, the server {counted:?}");
        assert!(counted.requests > 0, "the model was never asked");
        format!("{} + {} tokens in {} calls, as the server counted", seen.0, seen.1, counted.requests)
    }

    /// [`World::usage_agrees`] for those that write down each call; what was seen of the others, whose attempts that
    /// did not come to an end may have told nothing.
    #[track_caller]
    pub fn usage_of_failures(&self) -> String {
        if self.agent.tells_each_call {
            return self.usage_agrees();
        }
        let (used, counted) = (self.env.status()["usage"].clone(), self.model.counted());
        let seen = (used["input_tokens"].as_u64().unwrap(), used["output_tokens"].as_u64().unwrap());
        let (requests, of) = (counted.requests, (counted.input, counted.output));
        format!("p0 counted {} + {} tokens, the server {} + {} in {requests} calls", seen.0, seen.1, of.0, of.1)
    }

    /// No process of the agent's, its tools or p0 is left; the model server is ours.
    #[track_caller]
    pub fn nothing_of_it_is_alive(&self) {
        let server = i32::try_from(self.model.pid()).unwrap();
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let alive: Vec<_> = self.env.processes().into_iter().filter(|(pid, _)| *pid != server).collect();
            if alive.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "still alive: {alive:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Seconds since it began, for the table.
    pub fn seconds(&self) -> String {
        format!("{:.0} s", self.begun.elapsed().as_secs_f64())
    }
}

/// The status of its own ticket through MCP.
pub fn done() -> Value {
    json!({ "do": "mcp", "match": "ticket_status", "args": { "status": "done", "reason": "a.txt is there" } })
}

/// Writes the ticket's file.
pub fn write(text: &str) -> Value {
    json!({ "do": "write", "path": "a.txt", "content": text, "say": "I will write the file." })
}

/// An answer with an error, this often (always, when not said).
pub fn error(status: u16, times: Option<u32>) -> Value {
    match times {
        Some(times) => json!({ "do": "error", "status": status, "times": times }),
        None => json!({ "do": "error", "status": status }),
    }
}
