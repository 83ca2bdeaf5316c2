//! The scenarios: each is one run with a real agent, and says in a line what was seen.
use crate::{
    agent::{Agent, USUAL_TRIES},
    env::{p0_path, wait_until, wait_until_within},
    world::{LIMIT, World, done, error, write},
};
use serde_json::{Value, json};

/// A name for the table, and the scenario.
pub type Scenario = (&'static str, fn(Agent) -> String);

/// All of them, in the order of the table.
pub const ALL: &[Scenario] = &[
    ("implements", implements),
    ("outside", outside),
    ("permission", permission),
    ("approved", approved),
    ("rate limit", rate_limit),
    ("unauthorized", unauthorized),
    ("server error", server_error),
    ("hang", hang),
    ("killed daemon", killed_daemon),
    ("resumed", resumed),
    ("every role", every_role),
    ("budget", budget),
];

const NO_TOOLS: &str = "runs no commands: it asks nobody, and writes the files it is told";

/// A ticket implemented, its status set through MCP, and the tokens are those that the server counted.
pub fn implements(agent: Agent) -> String {
    let world = World::new(agent);
    world.does(&[write("by hand of a model\n"), json!({ "do": "shell", "command": "cat a.txt" })]);
    let status = world.run(0);
    assert_eq!(world.landed(&status).unwrap().trim(), "by hand of a model");
    assert_eq!(world.told_status(), ["done"], "the status through MCP");
    assert_eq!(world.outcomes(), ["accepted"]);
    let usage = world.usage_agrees();
    world.env.log_is_whole();
    agent.home_is_as_it_was(&world.env.dir.join("home"), world.model.port);
    format!("landed in {}; status through MCP; {usage}", world.seconds())
}

/// A write outside of the worktree fails and is on record, and what the agent does to its own settings does not come
/// back to the person's; the work inside goes on.
pub fn outside(agent: Agent) -> String {
    if agent.text_only {
        return NO_TOOLS.to_owned();
    }
    let world = World::new(agent);
    let target = world.env.dir.join("home/outside.txt");
    let try_it = format!("{}echo out > {}; echo tried", agent.spoil_settings(), target.display());
    world.does(&[json!({ "do": "shell", "command": try_it }), write("inside\n")]);
    let status = world.run(0);
    assert!(!target.exists(), "it wrote outside of its worktree");
    agent.home_is_as_it_was(&world.env.dir.join("home"), world.model.port);
    assert_eq!(world.landed(&status).unwrap().trim(), "inside");
    let told = Value::Array(world.env.events("sandbox.denied")).to_string();
    let reported = world.env.events("attempt.reported");
    let refused = |e: &&Value| e["data"]["message"]["type"] == "permission" && e["data"]["message"]["allowed"] == false;
    let refused: Vec<&Value> = reported.iter().filter(refused).collect();
    if agent.asks && refused.iter().any(|e| e.to_string().contains("outside.txt")) {
        return "it asked for the write outside of the worktree, which was refused and is on record; the rest landed"
            .into();
    }
    assert!(told.contains("outside.txt"), "what was tried is not on record: {told} {refused:?}");
    if !agent.asks {
        assert!(!reported.iter().any(|e| e["data"]["message"]["type"] == "permission"), "it does ask: {reported:?}");
    }
    "a write outside of the worktree failed with EACCES and is on record; the rest landed".into()
}

/// What the agent asks for is refused by the policy, and on record.
pub fn permission(agent: Agent) -> String {
    if !agent.asks {
        return asks_nobody(agent);
    }
    let world = World::new(agent);
    world.config("permissions = \"deny\"", "", "rounds = 1");
    world.does(&[world.asked_for("echo ran > a.txt")]);
    let status = world.run(10);
    assert_eq!(status["state"], "stuck");
    assert_eq!(world.landed(&status), None, "the command ran");
    let reported = world.env.events("attempt.reported");
    let asked: Vec<&Value> =
        reported.iter().map(|e| &e["data"]["message"]).filter(|m| m["type"] == "permission").collect();
    let denied =
        asked.iter().find(|m| m["allowed"] == false).unwrap_or_else(|| panic!("nothing was refused: {asked:?}"));
    format!("asked for {}, which was refused and is on record; nothing landed", denied["tool"])
}

/// A person allows what no rule decides; the daemon is killed while the question is open, and the next one takes the answer.
pub fn approved(agent: Agent) -> String {
    let world = World::new(agent);
    world.config("permissions = \"ask\"", "", "");
    world.does(&[world.asked_for("echo allowed > a.txt")]);
    if !agent.asks {
        let refused = world.start().wait_within(LIMIT);
        assert!(refused.code != 0 && refused.err.contains("permissions"), "{refused:?}");
        return "cannot ask while it works: such a configuration is refused".into();
    }
    let mut daemon = world.env.daemon();
    world.env.p0(&["run", &world.env.spec_path(), "--detach"]).expect(0);
    let open = || {
        let approvals = world.env.p0(&["approvals", "--json"]).expect(0).json();
        let found = approvals.as_array().unwrap().iter().find(|a| a["state"] == "open").cloned();
        found.map(|approval| approval["id"].as_str().unwrap().to_owned())
    };
    wait_until_within(LIMIT, "it asks", || open().is_some());
    let first = open().unwrap();
    daemon.signal("KILL");
    wait_until("the daemon is dead", || !daemon.is_running());
    let daemon = world.env.daemon();
    assert_eq!(open().unwrap(), first, "the question is still open");
    let mut allowed = 0;
    wait_until_within(LIMIT, "the run is done", || {
        if let Some(id) = open() {
            world.env.p0(&["approve", &id]).expect(0);
            allowed += 1;
        }
        world.env.status()["state"] == "done"
    });
    let status = world.env.status();
    assert_eq!(world.landed(&status).unwrap().trim(), "allowed");
    assert_eq!(world.outcomes(), ["accepted"], "nothing was done twice");
    let reported = world.env.events("attempt.reported");
    let by_a_person = |e: &&Value| {
        let message = &e["data"]["message"];
        message["type"] == "permission" && message["allowed"] == true && message["why"].to_string().contains(&first)
    };
    assert!(reported.iter().any(|e| by_a_person(&e)), "who allowed it is not on record");
    daemon.signal("TERM");
    daemon.wait();
    format!("asked {allowed} times and waited for a person across a kill of the daemon; allowed, and landed")
}

/// An agent that cannot ask while it works: p0 is not asked, and the sandbox alone says no.
fn asks_nobody(agent: Agent) -> String {
    if agent.text_only {
        return NO_TOOLS.to_owned();
    }
    let seen = outside(agent);
    format!("asks nobody while it works: {seen}")
}

/// 429: the agent rests, uses up no round, and goes on by itself.
pub fn rate_limit(agent: Agent) -> String {
    let world = World::new(agent);
    let mut steps =
        vec![json!({ "do": "error", "status": 429, "times": agent.tries, "headers": { "retry-after": "1" } })];
    steps.push(write("after a rest\n"));
    world.does(&steps);
    let status = world.run(0);
    assert_eq!(world.landed(&status).unwrap().trim(), "after a rest");
    let rested = world.env.events("agent.rate_limited").len();
    // Some get over so few by themselves; those of every check do not.
    assert!(rested >= 1 || agent.tries == USUAL_TRIES, "the limit was never told of");
    let outcomes = world.outcomes();
    assert!(!outcomes.iter().any(|o| o == "failed"), "a limit used up a round: {outcomes:?}");
    assert_eq!(outcomes.last().unwrap(), "accepted");
    let calls = world.model.answered(Some(429));
    format!("{calls} refused calls, {rested} rests of the agent, no round used up; landed in {}", world.seconds())
}

/// 401: the run waits for a person, and says what to do; with the key mended the same command goes on.
pub fn unauthorized(agent: Agent) -> String {
    let world = World::new(agent);
    world.does(&[error(401, None), write("with a key\n")]);
    let status = world.run(13);
    assert_eq!(status["state"], "paused");
    let reason = status["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("real"), "{reason}");
    assert_eq!(world.env.events("agent.unavailable").len(), 1);
    let calls = world.model.answered(Some(401));
    world.does(&[write("with a key\n")]);
    let status = world.run(0);
    assert_eq!(world.landed(&status).unwrap().trim(), "with a key");
    assert!(!world.outcomes().iter().any(|o| o == "failed"), "it used up a round");
    format!("{calls} refused calls, then the run waits and says how to log in; the same command goes on")
}

/// 500 after a call that was answered: tried again, without using up a round; what the failed attempts used counts.
pub fn server_error(agent: Agent) -> String {
    let world = World::new(agent);
    let look = json!({ "do": "shell", "command": "ls" });
    world.does(&[look, error(500, Some(4)), write("after trouble\n")]);
    let status = world.run(0);
    assert_eq!(world.landed(&status).unwrap().trim(), "after trouble");
    let outcomes = world.outcomes();
    assert!(!outcomes.iter().any(|o| o == "failed"), "trouble of the provider used up a round: {outcomes:?}");
    let (attempts, calls, usage) = (outcomes.len(), world.model.answered(Some(500)), world.usage_of_failures());
    format!("{calls} failed calls, {attempts} attempts, no round used up; {usage}")
}

/// A model that never answers: the agent is killed, tried again, and its ticket blocked; nothing of it stays alive.
pub fn hang(agent: Agent) -> String {
    let world = World::new(agent);
    // What is slow to start has to get as far as its model.
    let limits = if agent.text_only { "timeout_s = 90\nidle_s = 40" } else { "timeout_s = 20\nidle_s = 8" };
    world.config("", limits, "rounds = 2");
    world.does(&[json!({ "do": "shell", "command": "ls" }), json!({ "do": "hang" })]);
    let status = world.run(10);
    assert_eq!(status["tickets"]["blocked"], 1);
    assert_eq!(world.outcomes(), ["failed", "failed"]);
    assert!(world.model.log().len() >= 2, "its model was not asked: {:?}", world.model.log());
    world.nothing_of_it_is_alive();
    let usage = world.usage_of_failures();
    format!("killed after its limit without output, tried again, its ticket blocked; no process was left; {usage}")
}

/// SIGKILL of the daemon while the agent works: the next daemon finds the same agent at work, and takes its result.
pub fn killed_daemon(agent: Agent) -> String {
    let world = World::new(agent);
    let go = world.env.note_path("go");
    world.does(&[write("across a kill\n"), json!({ "do": "await", "path": go })]);
    let mut daemon = world.env.daemon();
    world.env.p0(&["run", &world.env.spec_path(), "--detach"]).expect(0);
    // Its next call of the model waits for `go`.
    wait_until_within(LIMIT, "the agent is at work", || world.model.counted().requests >= 1);
    daemon.signal("KILL");
    wait_until("the daemon is dead", || !daemon.is_running());
    let before = agents_alive(&world);
    assert!(!before.is_empty(), "the agent died with the daemon");
    let daemon = world.env.daemon();
    assert!(before.iter().all(|pid| agents_alive(&world).contains(pid)), "the agent did not live on");
    world.env.go("go");
    wait_until_within(LIMIT, "the run is done", || world.env.status()["state"] == "done");
    let status = world.env.status();
    assert_eq!(world.landed(&status).unwrap().trim(), "across a kill");
    assert_eq!(world.outcomes(), ["accepted"], "the work was done once");
    let usage = world.usage_agrees();
    daemon.signal("TERM");
    daemon.wait();
    world.env.log_is_whole();
    format!("the agent lived on, was found again and landed in one attempt; {usage}")
}

/// The processes of the agent's supervisor.
fn agents_alive(world: &World) -> Vec<i32> {
    let all = world.env.processes();
    all.into_iter()
        .filter(|(_, line)| line.contains(p0_path()) && line.contains("__agent"))
        .map(|(pid, _)| pid)
        .collect()
}

/// A gate refuses the first round: the second goes on with the same conversation, in which the model sees what it did.
pub fn resumed(agent: Agent) -> String {
    if agent.text_only {
        return "begins a new conversation every time".into();
    }
    let world = World::new(agent);
    world.config("", "", "[gates]\ncommands = [[\"grep\", \"-q\", \"turn 1\", \"a.txt\"]]");
    // With the shell: the writing tools of some want to have read the file in this process.
    world.does(&[json!({ "do": "write", "path": "a.txt", "content": "turn {{turn}}\n", "prefer": "shell" })]);
    let status = world.run(0);
    assert_eq!(world.landed(&status).unwrap().trim(), "turn 1", "the conversation was not gone on with");
    assert_eq!(world.outcomes().len(), 2);
    let usage = world.usage_agrees();
    format!("round 2 went on with the conversation of round 1; {usage}")
}

/// The planner plans, the executor works and the verifier judges, all through MCP.
pub fn every_role(agent: Agent) -> String {
    let world = World::new(agent);
    world.config_alone();
    let call = |tool: &str, args: Value| json!({ "do": "mcp", "match": format!("(^|[.]|p0_+){tool}$"), "args": args });
    let end = json!({ "do": "text", "text": "Done." });
    let ticket =
        json!({ "key": "a", "title": "Write it", "body": "one file", "files": { "create": ["a.txt"], "modify": [] } });
    let plan = [
        call("ticket", ticket),
        call("decision", json!({ "decision": "continue", "reason": "one to do" })),
        end.clone(),
    ];
    let enough = [call("decision", json!({ "decision": "done", "reason": "the verdict is met" })), end.clone()];
    let verdict = [call("verdict", json!({ "met": true, "rationale": "a.txt is there", "gaps": [] })), end.clone()];
    let rules = json!([
        { "when": { "prompt": "You are the planner[\\s\\S]*# The last verdict: met" }, "steps": world.steps(&enough) },
        { "when": { "prompt": "You are the planner" }, "steps": world.steps(&plan) },
        { "when": { "prompt": "You are the verifier" }, "steps": world.steps(&verdict) },
    ]);
    let work = world.steps(&[write("planned and judged\n"), done(), end]);
    world.model.say(&Value::Array(work), &rules);
    let status = world.run(0);
    assert_eq!(world.landed(&status).unwrap().trim(), "planned and judged");
    format!("plan, work and verdict through MCP in {}; {}", world.seconds(), world.usage_agrees())
}

/// A budget that a third of the work uses up: the run pauses, and a larger one goes on to the end.
pub fn budget(agent: Agent) -> String {
    if agent.text_only {
        return "one call in each attempt: nothing to end in the middle".into();
    }
    let world = World::new(agent);
    let look = |n: u32| json!({ "do": "shell", "command": format!("sleep 3; echo look {n}; cat a.txt") });
    world.does(&[write("within means\n"), look(1), look(2), look(3)]);
    let status = world.run_with(13, &["--budget-tokens", "2000"]);
    let reason = status["reason"].as_str().unwrap();
    assert!(status["state"] == "paused" && reason.contains("the budget is used up"), "{status}");
    let (first, calls) = (world.outcomes(), world.model.counted().requests);
    world.nothing_of_it_is_alive();
    world.env.p0(&["resume", status["run"].as_str().unwrap(), "--budget-tokens", "1000000"]).expect(0);
    let status = world.run(0);
    assert_eq!(world.landed(&status).unwrap().trim(), "within means");
    let rounds = world.outcomes();
    let ends = || world.env.events("attempt.finished").iter().map(|e| e["data"].to_string()).collect::<Vec<_>>();
    assert!(!rounds.iter().any(|o| o == "failed" || o == "refused"), "it used up a round: {:?}", ends());
    let all = world.model.counted().requests;
    if first == ["lost"] {
        assert!(calls < 6, "all of its {calls} calls were made");
        let resumed = world.env.events("attempt.started").iter().any(|e| !e["data"]["resumes"].is_null());
        let how = if resumed { "its conversation went on" } else { "a new conversation went on with its work" };
        format!("ended after {calls} calls; with more, {how}, {all} calls in all, no round used up")
    } else {
        assert_eq!(first, ["accepted"]);
        format!("told of its use at its end only: the attempt came to its end ({calls} calls), then the run paused")
    }
}
