#!/usr/bin/env bash
# qwen 0.24.4 (npm @qwen-code/qwen-code), --input-format stream-json: messages of a program, as JSON.
# The content of a user's message is treated as if a person had typed it: a first word that is one of its commands is
# carried out or refused, words with `@` are written anew. No form of the message (text, list of blocks) is exempt.
# Seen: "/help me mend the parser": no request, result is_error true, 'The command "/help" is not supported in this mode.'
# Seen: "bump left-pad@1.3.0" reaches the model as "bump left-pad @1.3.0", from a text and from a block of type text.
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
server = ThreadingHTTPServer(("127.0.0.1", 0), H)
with open(FOLDER + "/port.new", "w") as f: f.write(str(server.server_address[1]))
os.rename(FOLDER + "/port.new", FOLDER + "/port")
server.serve_forever()
PY
python3 "$FOLDER/server.py" "$FOLDER" &
SERVER=$!
until [ -s "$FOLDER/port" ]; do sleep 0.05; done
PORT=$(cat "$FOLDER/port")

install @qwen-code/qwen-code@0.24.4
mkdir -p "$HOME/.qwen"
echo '{"security": {"auth": {"selectedType": "openai"}}}' >"$HOME/.qwen/settings.json"
export OPENAI_BASE_URL=http://127.0.0.1:$PORT/v1 OPENAI_API_KEY=none OPENAI_MODEL=m
say() { echo "$1" | timeout -s KILL 90 qwen --input-format stream-json -o stream-json --approval-mode yolo >"$FOLDER/out" 2>&1 || true; }
say '{"type":"user","message":{"role":"user","content":"/help me mend the parser"}}'
[ "$(asked)" -eq 0 ] || changed "/help reached the model"
grep -q 'not supported in this mode' "$FOLDER/out" || changed "it says something else of /help: $(tail -2 "$FOLDER/out")"
say '{"type":"user","message":{"role":"user","content":"bump left-pad@1.3.0"}}'
holds 'bump left-pad @1.3.0' || changed "a text with @ is not written anew any more"
rm -f "$FOLDER"/asked/*
say '{"type":"user","message":{"role":"user","content":[{"type":"text","text":"bump left-pad@1.3.0"}]}}'
holds 'bump left-pad @1.3.0' || changed "a block with @ is not written anew any more"
seen "/help is refused as a command; left-pad@1.3.0 becomes left-pad @1.3.0, from a text and from a block"
