//! The tracker as tools, spoken to as real clients do: an agent starts `p0 mcp` and talks the protocol with it.
use crate::env::{Output, TestEnvironment, p0_path, python};
use serde_json::Value;

/// A client, in the agent's language. `call` notes down what it gets under the tool's name.
const CLIENT: &str = r#"
class Mcp:
  def __init__(self, begin=True, args=(), **env):
    self.p = subprocess.Popen([os.environ["T_P0"], "mcp", *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **env})
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
  def tools(self):
    # Some clients read one page only.
    listed = self.ask("tools/list")["result"]
    assert "nextCursor" not in listed, listed
    return [t["name"] for t in listed["tools"]]
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

/// The same over HTTP on a Unix socket.
const HTTP: &str = r#"
import http.client, socket
class Unix(http.client.HTTPConnection):
  def __init__(self, path): super().__init__("localhost"); self.path = path
  def connect(self): self.sock = socket.socket(socket.AF_UNIX); self.sock.connect(self.path)
def http_ask(path, token, method, params, id=1):
  c = Unix(path)
  headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
  if token: headers["Authorization"] = "Bearer " + token
  body = {"jsonrpc": "2.0", "method": method, "params": params, **({"id": id} if id else {})}
  c.request("POST", "/mcp", json.dumps(body), headers)
  r = c.getresponse(); text = r.read().decode()
  return {"status": r.status, **(json.loads(text) if text.startswith("{") else {})}
"#;

/// A world whose agents have the client.
pub fn world(own: &str) -> TestEnvironment {
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
        "def executor():\n  own_files(); m = Mcp()\n  m.call('comment', txt='x'); m.call('ticket_status', status='flying')\n  m.end()\n\
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
    there is no field `txt` (do you mean `text`?); there are: `text`
    `text` is missing; give a text (What it says)
    nothing was done; call ticket_status again:
    `status` must be one of in_progress, done, blocked, not "flying"
    nothing was done; call plan again:
    `reason` is missing; give a text (Why)
    there is no field `tickets[0].files.crate` (do you mean `create`?); there are: `create`, `modify`
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
        "def executor():\n  own_files(); m = Mcp(begin=False)\n  m.raw('{\"jsonrpc\": broken'); m.raw('[]'); m.raw(''); m.raw('\"text\"')\n  \
         seen = []\n  m.tell('notifications/cancelled', {'requestId': 7})\n  m.raw(json.dumps({'jsonrpc': '2.0', 'id': 9, 'result': {}}))\n  \
         m.raw(json.dumps({'jsonrpc': '2.0', 'id': 'probe', 'method': 'server/discover'}))\n  \
         while not seen or seen[-1].get('id') != 'probe': seen.append(m.read())\n  m.begin()\n  m.call('comment', text='one')\n  \
         m.tell('notifications/cancelled', {'requestId': m.n, 'reason': 'done'})\n  m.raw('garbage'); seen.append(m.read())\n  \
         m.raw('{\"jsonrpc\": \"2.0\", \"id\": 77, \"method\": \"tools/call\", \"params\": }'); seen.append(m.read())\n  \
         m.raw(json.dumps({'jsonrpc': '2.0', 'id': 'x', 'method': 'tools/call', 'params': {'name': 3}}))\n  seen.append(m.read())\n  \
         seen.append(m.ask('no/such/method'))\n  m.call('comment', text='two', wait_for_previous=True)\n  note('seen', json.dumps(seen)); m.end()",
    );
    t.run_json(0);
    let seen = t.note("seen");
    let codes: Vec<(Value, i64)> =
        seen.as_array().unwrap().iter().map(|a| (a["id"].clone(), a["error"]["code"].as_i64().unwrap())).collect();
    assert!(codes.contains(&(Value::Null, -32700)), "{seen}");
    assert!(codes.contains(&("probe".into(), -32601)), "{seen}");
    assert!(codes.contains(&(77.into(), -32700)), "{seen}");
    assert!(codes.contains(&("x".into(), -32602)), "{seen}");
    assert_eq!(codes.last().unwrap().1, -32601, "{seen}");
    let comments = t.tickets()[0]["comments"].clone();
    let texts: Vec<&str> = comments.as_array().unwrap().iter().map(|c| c["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["one", "two"]);
}

/// A program that is started while no engine is there begins with its tools all the same.
#[test]
fn the_tools_are_listed_while_the_engine_is_away() {
    let t = world(
        "def executor():\n  own_files(); note('at-work'); wait_for('killed')\n  m = Mcp(); note('listed', json.dumps(m.tools())); wait_for('on')\n  \
         m.call('comment', text='still here'); m.end()",
    );
    let holder = t.start_run(&["--json"]);
    t.wait_note("at-work");
    holder.signal("KILL");
    holder.wait();
    t.go("killed");
    t.wait_note("listed");
    let listed = t.note("listed").to_string();
    assert!(listed.contains("ticket_status") && !listed.contains("verdict"), "{listed}");
    t.go("on");
    t.run_json(0);
    assert_eq!(said(&t, "comment", "executor"), (false, "the comment is on record".into()));
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

#[test]
fn the_door_serves_the_tools_over_http() {
    let t = TestEnvironment::with(&format!(
        "{HTTP}\ndef executor():\n  own_files(); s, k = os.environ['P0_SOCKET'], os.environ['P0_TOKEN']\n  \
         hello = http_ask(s, k, 'initialize', {{'protocolVersion': '2025-06-18', 'capabilities': {{}}, 'clientInfo': {{'name': 't', 'version': '1'}}}})\n  \
         told = http_ask(s, k, 'notifications/initialized', {{}}, id=None)\n  \
         tools = http_ask(s, k, 'tools/list', {{}})\n  call = http_ask(s, k, 'tools/call', {{'name': 'comment', 'arguments': {{'text': 'by http'}}}})\n  \
         wrong = http_ask(s, 'guessed', 'tools/call', {{'name': 'comment', 'arguments': {{'text': 'sneaked'}}}})\n  \
         note('http', json.dumps([hello, told, tools, call, wrong]))"
    ));
    t.run_json(0);
    let seen = t.note("http");
    assert_eq!(seen[0]["result"]["serverInfo"]["name"], "p0", "{seen}");
    assert_eq!(seen[1]["status"], 202);
    assert!(seen[2]["result"]["tools"].to_string().contains("ticket_status"), "{seen}");
    assert_eq!(seen[3]["result"]["content"][0]["text"], "the comment is on record");
    assert_eq!(seen[4]["status"], 403);
    let comments = t.tickets()[0]["comments"].clone();
    let outcomes: Vec<Value> = t.events("attempt.finished").iter().map(|event| event["data"].clone()).collect();
    assert_eq!(comments.as_array().unwrap().len(), 1, "{comments} {outcomes:?}");
}

/// Runs a client of a person's, with what `p0 mcp` outside of any attempt is like.
fn person(t: &TestEnvironment, script: &str) -> Output {
    let file = t.dir.join("person.py");
    let head = format!(
        "import json, os, subprocess, sys, time\nos.environ['T_P0'] = {:?}\nrole, rnd = 'person', 1\ndef note(*_): pass\n",
        p0_path()
    );
    std::fs::write(&file, format!("{head}{CLIENT}{HTTP}{script}")).unwrap();
    t.start_program(python(), &["-SE", &file.display().to_string()]).wait().expect(0)
}

#[test]
fn a_persons_assistant_starts_a_run_and_looks() {
    let t = TestEnvironment::new();
    let output = person(
        &t,
        "m = Mcp()\nprint(json.dumps(m.tools()))\n\
         def data(tool, **a):\n  r = m.ask('tools/call', {'name': tool, 'arguments': a})['result']\n  assert r['isError'] is False, r\n  \
         assert json.loads(r['content'][1]['text']) == r['structuredContent']\n  assert r['structuredContent']['summary'] == r['content'][0]['text']\n  return r['structuredContent'], r['content'][0]['text']\n\
         assert data('runs')[0] == {'summary': '0 runs', 'runs': []}\n\
         print(m.call('run_status')); print(m.call('run_start', path='no-such.md')); print(m.call('run_start', text='x'))\n\
         started, text = data('run_start', spec='# A blog\\n\\nMake it.\\n')\n\
         run = started['run']; assert run in text and 'p0d' in text, text\n\
         while data('run_status', run=run)[0]['state'] == 'running': time.sleep(0.05)\n\
         print(data('run_status')[1].replace(run, 'RUN')); print(data('tickets')[1]); print(data('ticket', ticket='blog-1')[1])\n\
         found, text = data('audit_search', kind='run.', limit=1)\n\
         print(found['events'][0]['kind'], found['left_out'] > 0, text.count('\\n'))\n\
         print(m.call('cancel', run=run).replace(run, 'RUN')); print(m.call('no_such'))\nm.end()\n",
    );
    insta::assert_snapshot!(output.shown(), @r#"
    exit 0
    ["run_start", "run_status", "runs", "tickets", "ticket", "audit_search", "pause", "resume", "cancel", "approvals", "approve", "reject", "answer"]
    there is no run '@last' (list them with `p0 runs`)
    reading the spec [dir]/repo/no-such.md: No such file or directory (os error 2) (name a Markdown file, or - for standard input)
    nothing was done; call run_start again:
    there is no field `text`; there are: `spec`, `path`, `project`, `workflow`, `agents`, `base`, `max_parallel`, `max_iterations`, `budget_usd`, `budget_tokens`
    run RUN of BLOG (A blog) is done; tickets: 0 open, 0 in progress, 1 done, 0 blocked
    1 ticket
    BLOG-1 is done: a
    run.done True 1
    run RUN is over (done); start the spec again with `p0 run`
    there is no tool 'no_such'; there are: run_start, run_status, runs, tickets, ticket, audit_search, pause, resume, cancel, approvals, approve, reject, answer
    "#);
    let (pid, _) = t.processes().into_iter().find(|(_, line)| line.contains("p0d")).expect("p0d runs");
    crate::env::signal(pid, "TERM");
    t.nothing_is_alive();
}

/// A tool service that waits holds nothing: others start and end runs meanwhile.
#[test]
fn an_idle_assistant_is_in_nobodys_way() {
    let t = TestEnvironment::new();
    let output = person(
        &t,
        "m = Mcp(); m.call('runs')\n\
         done = subprocess.run([os.environ['T_P0'], 'ticket', 'new', '--title', 'x'], capture_output=True, text=True)\n\
         print(done.returncode, m.call('tickets', all=True))\nm.end()\n",
    );
    assert_eq!(output.out, "0 1 ticket\n");
}

#[test]
fn the_main_socket_serves_persons_over_http() {
    let t = TestEnvironment::new();
    let daemon = t.daemon();
    t.p0(&["ticket", "new", "--title", "x"]).expect(0);
    let socket = t.data.join("p0.sock").display().to_string();
    let output = person(
        &t,
        &format!(
            "s = {socket:?}\nprint(len(http_ask(s, None, 'tools/list', {{}})['result']['tools']))\n\
             print(http_ask(s, None, 'tools/call', {{'name': 'tickets', 'arguments': {{}}}})['result']['content'][0]['text'])\n\
             print(http_ask(s, None, 'tools/call', {{'name': 'run_start', 'arguments': {{'spec': '# A'}}}})['result']['content'][0]['text'])\n"
        ),
    );
    assert_eq!(output.out, "13\n1 ticket\n`project` is missing; give the absolute path of the repository\n");
    daemon.signal("TERM");
    daemon.wait().expect(0);
}

#[test]
fn requests_for_permission_are_answered_by_the_policy() {
    let t = world(
        "def executor():\n  own_files(); m = Mcp()\n  w = os.environ['P0_WORKTREE']\n  \
         ask = lambda tool, **input: json.loads(m.call('permission_prompt', tool_name=tool, input=input, tool_use_id='1', more=1))\n  \
         note('answers', json.dumps([ask('Edit', file_path=w + '/a.txt', x=1), ask('Edit', file_path='/etc/passwd'), ask('Bash', command='ls'), ask('mcp__p0__comment')]))\n  m.end()",
    );
    t.run_json(0);
    let answers = t.note("answers");
    assert_eq!(answers[0]["behavior"], "allow");
    assert_eq!(answers[0]["updatedInput"]["x"], 1);
    assert_eq!(answers[1]["behavior"], "deny");
    assert!(answers[1]["message"].as_str().unwrap().contains("/etc/passwd"));
    assert_eq!((&answers[2]["behavior"], &answers[3]["behavior"]), (&"allow".into(), &"allow".into()));
}
