//! The tracker as tools, spoken to as real clients do: an agent starts `p0 mcp` and talks the protocol with it.
use crate::env::TestEnvironment;
use serde_json::Value;

/// A client, in the agent's language. `call` notes down what it gets under the tool's name.
const CLIENT: &str = r#"
class Mcp:
  def __init__(self, begin=True, **env):
    self.p = subprocess.Popen([os.environ["T_P0"], "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **env})
    self.n = 0
    if begin: self.begin()
  def raw(self, text):
    self.p.stdin.write(text + "\n"); self.p.stdin.flush()
  def read(self):
    line = self.p.stdout.readline()
    answer = json.loads(line)
    assert answer["jsonrpc"] == "2.0", line
    return answer
  def ask(self, method, params=None):
    self.n += 1
    self.raw(json.dumps({"jsonrpc": "2.0", "id": self.n, "method": method, **({"params": params} if params is not None else {})}))
    answer = self.read()
    assert answer["id"] == self.n, answer
    return answer
  def tell(self, method, params=None):
    self.raw(json.dumps({"jsonrpc": "2.0", "method": method, "params": params or {}}))
  def begin(self):
    self.hello = self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}})
    self.tell("notifications/initialized")
  def tools(self): return [t["name"] for t in self.ask("tools/list")["result"]["tools"]]
  def call(self, tool, **arguments):
    answer = self.ask("tools/call", {"name": tool, "arguments": arguments})
    result = answer["result"]
    said = {"error": result.get("isError", False), "text": result["content"][0]["text"]}
    note(f"mcp-{tool}-{role}-{rnd}", json.dumps(said))
    return said["text"]
  def end(self):
    self.p.stdin.close()
    rest = self.p.stdout.read()
    code = self.p.wait()
    assert code == 0 and not rest, (code, rest)
"#;

fn world(own: &str) -> TestEnvironment {
    TestEnvironment::with(&format!("{CLIENT}\n{own}"))
}

#[track_caller]
fn said(t: &TestEnvironment, tool: &str, role: &str) -> (bool, String) {
    let note = t.note(&format!("mcp-{tool}-{role}-1"));
    (note["error"].as_bool().unwrap(), note["text"].as_str().unwrap().to_owned())
}

/// A whole run in which everything is said by tools and nothing by lines.
const BY_TOOLS: &str = r#"
def planner():
  m = Mcp()
  note(f"tools-{role}", json.dumps(m.tools()))
  if it == 1:
    m.call("plan", tickets=[{"key": "a", "title": "a", "files": {"create": ["a.txt"]}}], decision="continue", reason="work")
    m.call("decision", decision="stuck", reason="again")
  else: m.call("plan", decision="done", reason="met")
  m.end()
def executor():
  m = Mcp()
  note(f"tools-{role}", json.dumps(m.tools()))
  m.call("ticket_status", status="in_progress")
  m.call("comment", text="found it")
  m.call("learning", text="the frobnicator must be oiled")
  m.call("checklist", items=[{"text": "one", "done": True}])
  m.call("confidence", value=80)
  m.call("artifact", name="notes", content="n")
  m.call("memory_search", query="frobnicator")
  m.call("read_tickets")
  m.call("read_ticket", ticket="@mine")
  own_files()
  m.call("ticket_status", status="done", reason="made it")
  m.end()
def verifier():
  m = Mcp()
  note(f"tools-{role}", json.dumps(m.tools()))
  m.call("verdict", met=True, rationale="looked", gaps=[])
  m.end()
def specialist():
  m = Mcp()
  note(f"tools-{role}", json.dumps(m.tools()))
  m.call("feedback", title="a nit", priority="low", files=["a.txt"])
  m.end()
"#;

#[test]
fn a_run_by_tools_alone() {
    let t = world(BY_TOOLS);
    t.config("[specialists.security]\nprompt = \"look\"\n");
    t.run_json(0);
    let tickets = t.tickets();
    assert_eq!((&tickets[0]["title"], &tickets[0]["status"]), (&"a".into(), &"done".into()));
    assert_eq!((&tickets[1]["title"], &tickets[1]["kind"]), (&"a nit".into(), &"feedback".into()));
    let reported: Vec<Value> = t.events("attempt.reported").iter().map(|e| e["data"]["message"].clone()).collect();
    for word in ["status", "comment", "learning", "checklist", "confidence", "artifact", "verdict", "feedback"] {
        assert!(reported.iter().any(|m| m["type"] == word), "{word}: {reported:?}");
    }
    assert_eq!(t.events("verdict.issued")[0]["data"]["rationale"], "looked");
    assert_eq!(t.events("run.decided")[0]["data"]["decision"], "continue");
    let mut told = String::new();
    for (tool, role) in [
        ("plan", "planner"),
        ("decision", "planner"),
        ("ticket_status", "executor"),
        ("learning", "executor"),
        ("memory_search", "executor"),
        ("verdict", "verifier"),
        ("feedback", "security"),
    ] {
        let (error, text) = said(&t, tool, role);
        told.push_str(&format!("{tool}{}: {text}\n", if error { " (error)" } else { "" }));
    }
    insta::assert_snapshot!(told, @"
    plan: the plan is noted. It is applied at your clean end (exit 0), together with everything else you noted, or refused as a whole with the reasons
    decision (error): nothing was done: this attempt has said its decision already, and exactly one decision counts; go on, and end when you are finished
    ticket_status: the status is on record
    learning: the learning is on record
    memory_search: [learning L1]
    the frobnicator must be oiled
    verdict: the verdict is noted. It is applied at your clean end (exit 0), together with everything else you noted, or refused as a whole with the reasons
    feedback: the feedback is noted. It is applied at your clean end (exit 0), together with everything else you noted, or refused as a whole with the reasons
    ");
    let ticket: Value = serde_json::from_str(&said(&t, "read_ticket", "executor").1).unwrap();
    assert_eq!((&ticket["id"], &ticket["comments"][0]["text"]), (&"BLOG-1".into(), &"found it".into()));
    let rows: Value = serde_json::from_str(&said(&t, "read_tickets", "executor").1).unwrap();
    assert_eq!(rows["tickets"][0]["id"], "BLOG-1");
    let names = |role: &str| t.note(&format!("tools-{role}")).to_string();
    assert!(names("executor").contains("request_files") && !names("executor").contains("verdict"));
    assert!(names("verifier").contains("verdict") && !names("verifier").contains("\"plan\""));
    assert!(t.events("rights.refused").is_empty());
    t.log_is_whole();
}

#[test]
fn tools_above_a_role_are_refused_and_recorded() {
    let t = world(
        "def executor():\n  own_files(); m = Mcp()\n  m.call('verdict', met=True); m.call('plan', nonsense=1); m.call('no_such_tool')\n  m.end()",
    );
    t.run_json(0);
    let (error, text) = said(&t, "verdict", "executor");
    assert!(error && text.contains("'verdict' is for verifiers") && text.contains("You may use: "), "{text}");
    assert!(said(&t, "plan", "executor").0);
    assert!(said(&t, "no_such_tool", "executor").1.contains("there is no tool 'no_such_tool'; there are: "));
    let what: Vec<Value> = t.events("rights.refused").iter().map(|e| e["data"]["what"].clone()).collect();
    assert_eq!(what, ["verdict", "POST /api/v1/attempt/tools/plan"]);
    assert_eq!(t.events("verdict.issued").len(), 1, "the verifier's");
}

#[test]
fn what_is_wrong_with_arguments_is_told_and_nothing_is_done() {
    let t = world(
        "def executor():\n  own_files(); m = Mcp()\n  m.call('comment', txt='x'); m.call('ticket_status', status='finished')\n  m.end()\n\
         def planner():\n  m = Mcp()\n  m.call('plan', tickets=[{'title': 'b', 'files': {'crate': ['b.txt']}}], decision='continue')\n  \
         if it == 1: plan(); decide('continue')\n  else: decide('done')\n  m.end()\n",
    );
    t.run_json(0);
    let mut told = String::new();
    for (tool, role) in [("comment", "executor"), ("ticket_status", "executor"), ("plan", "planner")] {
        let (error, text) = said(&t, tool, role);
        assert!(error);
        told.push_str(&format!("{text}\n"));
    }
    insta::assert_snapshot!(told, @r#"
    nothing was done; call comment again:
    `text` is missing; give a text (What it says)
    there is no field `txt`; there are: `text`
    nothing was done; call ticket_status again:
    `status` must be one of in_progress, done, blocked, not "finished"
    nothing was done; call plan again:
    `reason` is missing; give a text (Why)
    there is no field `tickets[0].files.crate`; there are: `create`, `modify`
    "#);
    assert_eq!(t.tickets().len(), 1);
    assert!(t.tickets()[0]["comments"].as_array().unwrap().is_empty());
}

#[test]
fn a_request_for_files_is_answered_at_once() {
    let t = world(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'])\n\
         def executor():\n  own_files(); m = Mcp()\n  if tid == 'BLOG-1':\n    m.call('request_files', modify=['old.txt'], reason='needed'); put('old.txt', 'changed')\n    \
         note('granted', m.call('request_files', create='c.txt')); put('c.txt'); note('refused', m.call('request_files', modify=['b.txt']))\n  \
         else: wait_for('refused')\n  m.end()",
    );
    let status = t.run_json(0);
    assert_eq!(t.show(status["branch"].as_str().unwrap(), "old.txt").unwrap(), "changed");
    let text = |name: &str| std::fs::read_to_string(t.note_path(name)).unwrap();
    assert_eq!(text("granted"), "granted: the files are yours now");
    assert!(text("refused").starts_with("refused: 'b.txt' is owned by BLOG-2. "), "{}", text("refused"));
    assert!(said(&t, "request_files", "executor").0);
}

#[test]
fn a_wrong_token_opens_nothing() {
    let t = world(
        "def executor():\n  own_files(); m = Mcp(P0_TOKEN='guessed')\n  note('list', json.dumps(m.ask('tools/list'))); m.call('comment', text='x'); m.end()",
    );
    t.run_json(0);
    let list = t.note("list");
    assert!(list["error"]["message"].as_str().unwrap().contains("opens to the token of its attempt only"), "{list}");
    let (error, text) = said(&t, "comment", "executor");
    assert!(error && text.contains("token of its attempt"), "{text}");
    assert!(t.tickets()[0]["comments"].as_array().unwrap().is_empty());
}

/// What clients do that is not in the book: an early probe, early and late notifications, what is no JSON.
#[test]
fn a_client_with_bad_manners_is_served_all_the_same() {
    let t = world(
        "def executor():\n  own_files(); m = Mcp(begin=False)\n  m.raw('{\"jsonrpc\": broken'); m.raw(''); m.raw('[]'); m.raw('\"text\"')\n  \
         seen = []\n  m.tell('notifications/cancelled', {'requestId': 7})\n  m.raw(json.dumps({'jsonrpc': '2.0', 'id': 9, 'result': {}}))\n  \
         m.raw(json.dumps({'jsonrpc': '2.0', 'id': 'probe', 'method': 'server/discover'}))\n  \
         while not seen or seen[-1].get('id') != 'probe': seen.append(m.read())\n  m.begin()\n  m.call('comment', text='one')\n  \
         m.tell('notifications/cancelled', {'requestId': m.n, 'reason': 'done'})\n  m.raw('garbage')\n  \
         m.raw(json.dumps({'jsonrpc': '2.0', 'id': 'x', 'method': 'tools/call', 'params': {'name': 3}}))\n  seen.append(m.read())\n  \
         seen.append(m.ask('no/such/method'))\n  m.call('comment', text='two')\n  note('seen', json.dumps(seen)); m.end()",
    );
    t.run_json(0);
    let seen = t.note("seen");
    let codes: Vec<(Value, i64)> =
        seen.as_array().unwrap().iter().map(|a| (a["id"].clone(), a["error"]["code"].as_i64().unwrap())).collect();
    assert!(codes.contains(&("probe".into(), -32601)), "{seen}");
    assert!(codes.contains(&("x".into(), -32602)), "{seen}");
    assert_eq!(codes.last().unwrap().1, -32601, "{seen}");
    let comments = t.tickets()[0]["comments"].clone();
    let texts: Vec<&str> = comments.as_array().unwrap().iter().map(|c| c["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["one", "two"]);
}

/// The agent outlives its engine; a call waits for the next one.
#[test]
fn a_call_waits_for_the_engine_to_come_back() {
    let t = world(
        "def executor():\n  own_files(); m = Mcp(); note('at-work'); wait_for('killed')\n  m.call('comment', text='still here'); m.end()",
    );
    let holder = t.start_run(&["--json"]);
    t.wait_note("at-work");
    holder.signal("KILL");
    holder.wait();
    t.go("killed");
    t.run_json(0);
    assert_eq!(said(&t, "comment", "executor"), (false, "the comment is on record".into()));
    assert_eq!(t.tickets()[0]["comments"][0]["text"], "still here");
}
