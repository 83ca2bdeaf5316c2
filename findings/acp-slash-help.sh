#!/usr/bin/env bash
# ACP: a prompt that begins with the name of a command of the agent's terminal, and goes on as a sentence.
# gemini 0.61.0 (`gemini --acp`) answers it itself: end_turn, 0 tokens, no request. qwen 0.24.4 (`qwen --acp`, a fork of it)
# answers an error of the protocol, -32603. A client that takes end_turn for "done" believes that the work was done.
# Seen, gemini: {"stopReason":"end_turn","_meta":{"quota":{"token_count":{"input_tokens":0,"output_tokens":0},...}}}
# Seen, qwen: -32603 'Slash command not supported in ACP integration: The command "/help" is not supported in this mode.'
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
        if path.endswith("/chat/completions"):
            part = lambda delta, end: {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": end}]}
            if body.get("stream"): return self.sse([part({"role": "assistant", "content": "Done."}, None), part({}, "stop")])
            return self.json({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "Done."}, "finish_reason": "stop"}]})
        if path.endswith("countTokens"): return self.json({"totalTokens": 1})
        answer = {"candidates": [{"content": {"role": "model", "parts": [{"text": "Done."}]}, "finishReason": "STOP", "index": 0}], "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}}
        if "stream" in path: self.sse([answer])
        else: self.json(answer)
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

install @google/gemini-cli@0.61.0 @qwen-code/qwen-code@0.24.4
mkdir -p "$HOME/.gemini" "$HOME/.qwen"
echo '{"security": {"auth": {"selectedType": "gemini-api-key"}}}' >"$HOME/.gemini/settings.json"
echo '{"security": {"auth": {"selectedType": "openai"}}}' >"$HOME/.qwen/settings.json"
export GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:$PORT GEMINI_API_KEY=none GEMINI_CLI_TRUST_WORKSPACE=true
export OPENAI_BASE_URL=http://127.0.0.1:$PORT/v1 OPENAI_API_KEY=none OPENAI_MODEL=m
words="/help me mend the parser"
answer=$(acp "$words" gemini --acp)
case $answer in *end_turn*) ;; *) changed "gemini answers $answer" ;; esac
! holds "mend the parser" || changed "gemini: the words reach the model"
answer=$(acp "$words" qwen --acp)
case $answer in *-32603*"not supported"*) ;; *) changed "qwen answers $answer" ;; esac
! holds "mend the parser" || changed "qwen: the words reach the model"
seen "gemini: end_turn without a request; qwen: -32603"
