#!/usr/bin/env bash
# codex-acp over ACP: Zed's 0.16.0 (@zed-industries/codex-acp) and its successor 2.6.0 (@agentclientprotocol/codex-acp).
# A prompt whose first word is `/compact` or (0.16.0) `/init`, whatever follows, does not reach the model: another one is
# sent in its place, and the turn ends as usual. The client hears nothing of it.
# Seen, both: "/compact the log files on every night": the request asks for a "CONTEXT CHECKPOINT COMPACTION"; end_turn.
# Seen, 0.16.0: "/init" asks for an AGENTS.md; 2.6.0 sends it as it is.
# Exit 0: it still does so. 1: it does something else. 2: it could not be tried. Needs npm, python3, git and the registry of npm.
set -eu
FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/finding.XXXXXX")
SERVER=
trap '[ -z "$SERVER" ] || kill "$SERVER" 2>/dev/null; rm -rf "$FOLDER"' EXIT
export HOME="$FOLDER/home"
mkdir -p "$HOME" "$FOLDER/work" "$FOLDER/asked"
cd "$FOLDER/work"
git init -q .

seen() { echo "SEEN: $*"; exit 0; }
changed() { echo "CHANGED: $*" >&2; exit 1; }
# The programs, in a folder of their own, on PATH.
install() {
    npm install --prefix "$FOLDER/npm" --no-audit --no-fund --loglevel=error "$@" >"$FOLDER/npm.log" 2>&1 || {
        cat "$FOLDER/npm.log" >&2
        echo "NOT TRIED: $* could not be installed" >&2
        exit 2
    }
    PATH="$FOLDER/npm/node_modules/.bin:$PATH"
}
# How many requests the model server had, and whether one of them had a text.
asked() { find "$FOLDER/asked" -type f | wc -l | tr -d ' '; }
holds() { grep -qF -- "$1" "$FOLDER"/asked/*.json 2>/dev/null; }

# A model server on the loopback that answers "Done." and keeps what it was asked.
cat >"$FOLDER/server.py" <<'PY'
import json, os, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
FOLDER = sys.argv[1]
class H(BaseHTTPRequestHandler):
    def log_message(self, *a): pass
    def answer(self, kind, text):
        body = text.encode()
        self.send_response(200); self.send_header("Content-Type", kind); self.send_header("Content-Length", str(len(body)))
        self.end_headers(); self.wfile.write(body)
    def json(self, value): self.answer("application/json", json.dumps(value))
    def sse(self, events): self.answer("text/event-stream", "".join((f"event: {e['type']}\n" if "type" in e else "") + f"data: {json.dumps(e)}\n\n" for e in events))
    def do_GET(self): self.json({"object": "list", "data": [{"id": "m", "object": "model"}], "models": []})
    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        with open(f"{FOLDER}/asked/{len(os.listdir(FOLDER + '/asked')):03}.json", "w") as f: json.dump(body, f)
        path = self.path.split("?")[0]
        item = {"type": "message", "id": "i", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Done.", "annotations": []}]}
        self.sse([{"type": "response.created", "response": {"id": "r"}}, {"type": "response.output_item.done", "output_index": 0, "item": item},
                  {"type": "response.completed", "response": {"id": "r", "output": [item], "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}}])
server = ThreadingHTTPServer(("127.0.0.1", 0), H)
with open(FOLDER + "/port.new", "w") as f: f.write(str(server.server_address[1]))
os.rename(FOLDER + "/port.new", FOLDER + "/port")
server.serve_forever()
PY
python3 "$FOLDER/server.py" "$FOLDER" &
SERVER=$!
until [ -s "$FOLDER/port" ]; do sleep 0.05; done
PORT=$(cat "$FOLDER/port")

# acp TEXT PROGRAM..: one prompt in one session, over the Agent Client Protocol; prints the answer to session/prompt
acp() {
    python3 - "$@" <<'PY'
import json, os, signal, subprocess, sys, threading
text, command = sys.argv[1], sys.argv[2:]
p = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True)
timer = threading.Timer(120, p.kill); timer.start()
def ask(id, method, params):
    p.stdin.write(json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}) + "\n"); p.stdin.flush()
    for line in p.stdout:
        try: said = json.loads(line)
        except ValueError: continue
        if said.get("id") == id and "method" not in said: return said
        if "id" in said and "method" in said:
            p.stdin.write(json.dumps({"jsonrpc": "2.0", "id": said["id"], "error": {"code": -32601, "message": "no"}}) + "\n"); p.stdin.flush()
    sys.exit("the agent ended, or said nothing for two minutes")
ask(1, "initialize", {"protocolVersion": 1, "clientCapabilities": {"fs": {"readTextFile": False, "writeTextFile": False}, "terminal": False}})
session = ask(2, "session/new", {"cwd": os.getcwd(), "mcpServers": []})["result"]["sessionId"]
print(json.dumps(ask(3, "session/prompt", {"sessionId": session, "prompt": [{"type": "text", "text": text}]})))
timer.cancel(); os.killpg(p.pid, signal.SIGKILL)
PY
}

mkdir -p "$HOME/.codex"
cat >"$HOME/.codex/config.toml" <<TOML
model = "m"
model_provider = "scripted"
[model_providers.scripted]
name = "scripted"
base_url = "http://127.0.0.1:$PORT/v1"
env_key = "SCRIPTED_KEY"
wire_api = "responses"
TOML
export SCRIPTED_KEY=none
words="/compact the log files on every night"
for package in @zed-industries/codex-acp@0.16.0 @agentclientprotocol/codex-acp@2.6.0; do
    rm -rf "$FOLDER/npm" "$FOLDER"/asked/*
    install "$package"
    answer=$(acp "$words" codex-acp)
    case $answer in *end_turn*) ;; *) changed "$package answers $answer" ;; esac
    holds "CONTEXT CHECKPOINT COMPACTION" || changed "$package does not compact any more"
    ! holds "$words" || changed "$package: the words reach the model"
    rm -f "$FOLDER"/asked/*
    acp "/init" codex-acp >"$FOLDER/answer"
    case $package in
        @zed*) holds "AGENTS.md" || changed "$package: /init does not ask for an AGENTS.md" ;;
        *) holds '"/init"' || changed "$package: /init does not reach the model" ;;
    esac
done
seen "/compact WORDS is replaced by both, /init by 0.16.0; the turn ends with end_turn"
