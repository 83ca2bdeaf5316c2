#!/usr/bin/env bash
# gemini 0.61.0 (npm @google/gemini-cli), headless, the prompt on stdin.
# A text with thousands of words with `@` (a list of mail addresses, a lock file) keeps it busy before the first request:
# each word is looked for as a file, by a search through the folder where it is none. The same text without the `@` is sent
# at once. Nothing is said meanwhile.
# Seen: 20,000 such words (400 KB): 70 s to the answer; the same words without `@`: 10 s (two busy cores). Both: one request.
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

install @google/gemini-cli@0.61.0
mkdir -p "$HOME/.gemini"
echo '{"security": {"auth": {"selectedType": "gemini-api-key"}}}' >"$HOME/.gemini/settings.json"
export GOOGLE_GEMINI_BASE_URL=http://127.0.0.1:$PORT GEMINI_API_KEY=none GEMINI_CLI_TRUST_WORKSPACE=true
# Seconds that gemini takes for what stands on stdin.
run() {
    begun=$(date +%s)
    timeout -s KILL 300 gemini -m gemini-2.5-pro -o stream-json >"$FOLDER/out" 2>&1 || true
    echo $(($(date +%s) - begun))
}
without=$(python3 -c 'print("\n".join(f"user{n} at example" for n in range(20000)))' | run)
[ "$(asked)" -ge 1 ] || changed "no request for the text without @: $(tail -c 300 "$FOLDER/out")"
with=$(python3 -c 'print("\n".join(f"user{n}@example" for n in range(20000)))' | run)
[ "$with" -ge $((3 * without)) ] || changed "$with s with @, $without s without"
seen "20,000 words: $with s with @, $without s without"
