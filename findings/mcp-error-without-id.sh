#!/usr/bin/env bash
# MCP's own SDKs, Python (`mcp` 2.3.0) and TypeScript (`@modelcontextprotocol/sdk` 1.32.2): the error that answers a message whose
# id could not be seen. JSON-RPC 2.0 gives it `"id": null`; MCP's schema lets the id be left out. Each SDK reads one of the two
# forms and refuses the other, and not the same one, so that a server has no form that both clients read.
# Seen: Python reads `"id": null` and refuses a missing id; TypeScript refuses `"id": null` and reads a missing id. Both read an id.
# Exit 0: they still do so. 1: they do something else. 2: it could not be tried. Needs python3 with venv, node, npm and the
# registries of both.
set -eu
FOLDER=$(mktemp -d "${TMPDIR:-/tmp}/finding.XXXXXX")
trap 'rm -rf "$FOLDER"' EXIT
not_tried() {
    cat "$FOLDER/log" >&2
    echo "NOT TRIED: $*" >&2
    exit 2
}
cd "$FOLDER"
python3 -m venv python >log 2>&1 || not_tried "python3 -m venv"
python/bin/pip install --quiet mcp==2.3.0 >log 2>&1 || not_tried "mcp 2.3.0 could not be installed"
npm install --prefix node --no-audit --no-fund --loglevel=error @modelcontextprotocol/sdk@1.32.2 >log 2>&1 ||
    not_tried "@modelcontextprotocol/sdk 1.32.2 could not be installed"

cat >forms.jsonl <<'JSON'
{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"cannot be read"}}
{"jsonrpc":"2.0","error":{"code":-32700,"message":"cannot be read"}}
{"jsonrpc":"2.0","id":1,"error":{"code":-32700,"message":"cannot be read"}}
JSON
cat >read.py <<'PY'
from mcp.types import JSONRPCMessage
from pydantic import TypeAdapter, ValidationError

def reads(line):
    try:
        TypeAdapter(JSONRPCMessage).validate_json(line)
        return "yes"
    except ValidationError:
        return "no"

print(*map(reads, open("forms.jsonl")))
PY
cat >node/read.mjs <<'JS'
import { readFileSync } from "node:fs";
import { JSONRPCMessageSchema } from "@modelcontextprotocol/sdk/types.js";

const lines = readFileSync("forms.jsonl", "utf8").trim().split("\n");
console.log(lines.map((line) => (JSONRPCMessageSchema.safeParse(JSON.parse(line)).success ? "yes" : "no")).join(" "));
JS
PYTHON=$(python/bin/python read.py 2>log) || not_tried "the Python SDK"
TYPESCRIPT=$(node node/read.mjs 2>log) || not_tried "the TypeScript SDK"
echo "reads an error with id null, without id, with id 1: Python: $PYTHON; TypeScript: $TYPESCRIPT"
if [ "$PYTHON" = "yes no yes" ] && [ "$TYPESCRIPT" = "no yes yes" ]; then
    echo "SEEN: no form without an id is read by both"
    exit 0
fi
echo "CHANGED: see above" >&2
exit 1
