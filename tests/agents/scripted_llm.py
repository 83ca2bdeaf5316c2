#!/usr/bin/env python3
"""A model server that says what a script tells it to, so that real agents can be tested without a model or an account.

  python3 scripted_llm.py --script s.json [--port 0] [--port-file F] [--log F.jsonl] [--dump DIR]
  (prints "LISTENING <port>"; binds 127.0.0.1 only; standard library only; SIGTERM and SIGINT end it)

Speaks: Anthropic  POST /v1/messages (+ count_tokens)       stream and plain
        OpenAI     POST /v1/responses                        stream and plain
        OpenAI     POST /v1/chat/completions                 stream and plain
        Gemini     POST /v1beta/models/M:(stream)generateContent
        GET /v1/models ; GET /_log (requests so far) ; GET /_usage (tokens it has counted) ; POST /_reset (forget error counters)

Script (JSON):
  {"usage": {"in": 1000, "out": 50, "cached": 200},     token counts reported for every answer
   "side_text": "side answer",                          answer to tool-less side requests (titles, ...)
   "rules": [{"when": {"prompt": "regex over all user text", "last": "regex over the last user text",
              "system": "regex", "model": "regex", "turn": 0}, "steps": [...]}],          first match wins
   "side_system": "regex",                              background sub-agents answered with side_text (default: memory extraction)
   "steps": [                                           used when no rule matches
     {"do":"write","path":"hello.txt","content":"hi\n","prefer":"shell|write"},
     {"do":"shell","command":"ls"},
     {"do":"mcp","match":"ticket","args":{"title":"T"},"optional":true},
     {"do":"tool","match":"^Glob$","args":{"pattern":"*"},"optional":true},
     {"do":"error","status":429,"times":2,"headers":{"retry-after":"1"},"message":"..."},   times absent = always
     {"do":"sleep","seconds":3},  {"do":"await","path":"FILE"} (until it exists),  {"do":"hang"},
     {"do":"drop"} (cut the socket mid stream; "times" as above)
     {"do":"text","text":"Done.","chunk_delay":0.0}]}   ends the turn
Every step may carry "say" (text before the tool call).  Templates: {{turn}} {{prompt}} {{cwd}} {{n}} (request number).

The step reached is read from the conversation itself (tool-call ids carry turn and step), so one server serves
many clients at once, and resumed sessions start the script again with the next turn number.
The shell / write / MCP tool is chosen from the names and JSON schemas in the request's tool list.
"""
import argparse, json, os, re, signal, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SHELL_NAME = re.compile(r'(^|[_.])(bash|shell|exec_command|run_shell_command|local_shell|shell_command|terminal|run_command|execute_command)$', re.I)
WRITE_NAME = re.compile(r'write|create|save|text_editor|str_replace', re.I)
CMD_KEYS = ('command', 'cmd', 'commands', 'script')
PATH_KEYS = ('file_path', 'filePath', 'absolute_path', 'path', 'filename', 'target_file')
BODY_KEYS = ('content', 'contents', 'file_text', 'text', 'new_content')
CWD_RES = [re.compile(p) for p in (
    # p0 tells a resumed conversation, which is full of older paths, where it is now
    r'Your worktree is a new one: (/\S+?)\. ',
    r'<cwd>\s*([^<\s]+)\s*</cwd>', r'[Pp]rimary working directory:\s*`?(/[^\s`<\\]+)', r'[Ww]orking directory:\s*`?(/[^\s`<\\]+)',
    r'working (?:in )?(?:the )?directory[: ]+`?(/[^\s`<\\,]+)', r'[Cc]urrent directory(?: is)?:?\s*`?(/[^\s`<\\]+)', r'"cwd":\s*"(/[^"]+)"')]
STATE = {'n': 0, 'hits': {}, 'log': [], 'used': {k: {'requests': 0, 'input_tokens': 0, 'cached_tokens': 0, 'output_tokens': 0} for k in ('main', 'side')}}
LOCK = threading.Lock()


# ---------- one normal form for the four wire formats ----------
def texts(c):
    """all text in a message content (string, list of parts, ...)"""
    if c is None: return ''
    if isinstance(c, str): return c
    if isinstance(c, dict):
        return texts(c.get('text') if 'text' in c else c.get('content') if 'content' in c else c.get('parts'))
    return '\n'.join(t for t in (texts(x) for x in c) if t)


def normalise(api, body):
    """-> dict(system, msgs=[(role, text, [call ids], [result ids])], tools=[{name,schema,kind}], model, stream, schema)"""
    msgs, tools, system, schema = [], [], '', None
    if api == 'anthropic':
        system = texts(body.get('system'))
        for m in body.get('messages', []):
            if m['role'] == 'system': system += '\n' + texts(m.get('content')); continue
            c = m.get('content'); parts = c if isinstance(c, list) else [{'type': 'text', 'text': c}]
            msgs.append((m['role'], texts([p for p in parts if p.get('type') == 'text']),
                         [p['id'] for p in parts if p.get('type') == 'tool_use'],
                         [p['tool_use_id'] for p in parts if p.get('type') == 'tool_result']))
        tools = [dict(name=t['name'], schema=t.get('input_schema') or {}, kind='function')
                 for t in body.get('tools', []) if t.get('input_schema')]
        schema = ((body.get('output_config') or {}).get('format') or body.get('output_format') or {}).get('schema')
    elif api == 'responses':
        system = body.get('instructions') or ''
        inp = body.get('input') or []
        for m in ([{'type': 'message', 'role': 'user', 'content': inp}] if isinstance(inp, str) else inp):
            t = m.get('type', 'message')
            if t == 'message':
                if m['role'] in ('system', 'developer'): system += '\n' + texts(m.get('content'))
                else: msgs.append((m['role'], texts(m.get('content')), [], []))
            elif t.endswith('_call'): msgs.append(('assistant', '', [m.get('call_id') or m.get('id')], []))
            elif t.endswith('_call_output'): msgs.append(('tool', '', [], [m.get('call_id')]))
            elif t == 'additional_tools': body.setdefault('tools', []).extend(m.get('tools') or [])
        def add(t, ns=None):
            if t.get('type') == 'namespace':
                for x in t.get('tools', []): add(x, t['name'])
            elif t.get('type') in ('function', 'custom'):
                tools.append(dict(name=t['name'], ns=ns, schema=t.get('parameters') or {}, kind=t['type'], desc=t.get('description', '')))
            elif t.get('type') == 'local_shell': tools.append(dict(name='local_shell', ns=None, schema={}, kind='local_shell'))
        for t in body.get('tools') or []: add(t)
        schema = ((body.get('text') or {}).get('format') or {}).get('schema')
    elif api == 'chat':
        for m in body.get('messages', []):
            if m['role'] in ('system', 'developer'): system += texts(m.get('content')) + '\n'; continue
            msgs.append((m['role'], texts(m.get('content')), [c['id'] for c in m.get('tool_calls') or []],
                         [m['tool_call_id']] if m.get('tool_call_id') else []))
        tools = [dict(name=t['function']['name'], schema=t['function'].get('parameters') or {}, kind='function') for t in body.get('tools') or []]
        schema = ((body.get('response_format') or {}).get('json_schema') or {}).get('schema')
    else:  # gemini
        system = texts(body.get('systemInstruction'))
        for m in body.get('contents', []):
            ps = m.get('parts', [])
            msgs.append(('assistant' if m.get('role') == 'model' else 'user', texts([p for p in ps if 'text' in p]),
                         [p['functionCall'].get('id') or '?' for p in ps if 'functionCall' in p],
                         [p['functionResponse'].get('id') or '?' for p in ps if 'functionResponse' in p]))
        for t in body.get('tools') or []:
            for f in t.get('functionDeclarations', []):
                tools.append(dict(name=f['name'], schema=f.get('parametersJsonSchema') or f.get('parameters') or {}, kind='function'))
        g = body.get('generationConfig') or {}
        schema = g.get('responseJsonSchema') or g.get('responseSchema')
    return dict(system=system, msgs=msgs, tools=tools, model=body.get('model', ''), stream=bool(body.get('stream')), schema=schema)


def progress(msgs, tools):
    """(turn, next step, searched) from the conversation: ids look like call_t<turn>s<step>[d]_<n>; d = a tool search before that step"""
    turn = step = 0; searched = set()
    for role, text, calls, results in msgs:
        if role != 'assistant': continue
        m = re.match(r'^\[t(\d+)s(\d+)\]', text)          # tool-less agents: marker at the start of the text
        if m: turn, step = int(m[1]), int(m[2]) + 1
        for c in calls:
            m = re.search(r't(\d+)s(\d+)(d?)', c or '')
            if m: turn, step = int(m[1]), int(m[2]) + (0 if m[3] else 1)
            if m and m[3]: searched.add((turn, step))
            elif not m and c == '?': step += 1
        if tools and not calls and text.strip(): turn, step = turn + 1, 0
    return turn, step, searched


# ---------- choosing and filling a tool ----------
def fill(schema, given):
    """given values plus a neutral value for every other required property"""
    if not isinstance(schema, dict): return given
    out, props = dict(given), schema.get('properties') or {}
    for k in schema.get('required') or []:
        if k in out: continue
        out[k] = neutral(props.get(k) or {}, k)
    return out


def neutral(s, k='x'):
    if 'default' in s: return s['default']
    if s.get('enum'): return s['enum'][0]
    for alt in ('anyOf', 'oneOf'):
        if s.get(alt): return neutral(s[alt][0], k)
    t = s.get('type'); t = (t[0] if isinstance(t, list) else t or 'string').lower()
    return {'string': 'scripted ' + k, 'boolean': False, 'integer': int(s.get('minimum', 0)), 'number': s.get('minimum', 0),
            'array': [], 'null': None}.get(t, fill(s, {}) if t == 'object' else '')


def key_of(schema, keys):
    props = (schema or {}).get('properties') or {}
    return next((k for k in keys if k in props), None)


def shell_tool(tools):
    named = [t for t in tools if SHELL_NAME.search(t['name']) and (key_of(t['schema'], CMD_KEYS) or t['kind'] == 'local_shell')]
    loose = [t for t in tools if key_of(t['schema'], CMD_KEYS) and not key_of(t['schema'], PATH_KEYS)]
    return (named or loose or [None])[0]


def write_tool(tools):
    return next((t for t in tools if WRITE_NAME.search(t['name']) and key_of(t['schema'], PATH_KEYS) and key_of(t['schema'], BODY_KEYS)), None)


def shq(s): return "'" + s.replace("'", "'\\''") + "'"


def shell_call(tools, cmd):
    t = shell_tool(tools)
    if t and t['kind'] == 'local_shell':
        return t, {'type': 'exec', 'command': ['bash', '-lc', cmd], 'env': {}}
    if t:
        k = key_of(t['schema'], CMD_KEYS); kt = t['schema']['properties'][k].get('type')
        return t, fill(t['schema'], {k: ['bash', '-lc', cmd] if kt == 'array' else cmd})
    js = next((t for t in tools if t['kind'] == 'custom' and 'exec_command' in (t.get('desc') or '')), None)   # codex "code mode"
    if js: return js, 'const r = await tools.exec_command({cmd: %s});\ntext(JSON.stringify(r));' % json.dumps(cmd)
    return None, None


def write_call(tools, step, cwd):
    cmd = 'mkdir -p %s && printf %%s %s > %s' % (shq(os.path.dirname(step['path']) or '.'), shq(step['content']), shq(step['path']))
    order = ['write', 'shell'] if step.get('prefer', 'write') == 'write' else ['shell', 'write']
    for how in order:
        if how == 'shell':
            t, a = shell_call(tools, cmd)
        else:
            t = write_tool(tools); a = None
            if t:
                pk, bk = key_of(t['schema'], PATH_KEYS), key_of(t['schema'], BODY_KEYS)
                given = {pk: step['path'] if os.path.isabs(step['path']) or not cwd else os.path.join(cwd, step['path']), bk: step['content']}
                enum = ((t['schema'].get('properties') or {}).get('command') or {}).get('enum')
                if enum: given['command'] = next((e for e in enum if re.search('create|write', e)), enum[0])
                a = fill(t['schema'], given)
        if t: return t, a
    return None, None


def fence(step):
    """tool-less agents: text for aider (SEARCH/REPLACE or whole file) and for ```bash agents"""
    return '%s\n```\n%s```\n' % (step['path'], step['content'] if step['content'].endswith('\n') else step['content'] + '\n')


def render(v, ctx):
    if isinstance(v, str): return re.sub(r'\{\{(\w+)\}\}', lambda m: str(ctx.get(m[1], m[0])), v)
    if isinstance(v, list): return [render(x, ctx) for x in v]
    if isinstance(v, dict): return {k: render(x, ctx) for k, x in v.items()}
    return v


def decide(script, req, n):
    """-> dict(kind='text'|'call'|'error'|..., ...)"""
    users = [t for r, t, c, res in req['msgs'] if r == 'user' and t]
    alltext = '\n'.join(users)
    turn, at, searched = progress(req['msgs'], req['tools'])
    cwd = next((m[1] for rx in CWD_RES for m in [rx.search(req['system'] + '\n' + alltext)] if m), '')
    cwd = cwd.rstrip('.,;') if cwd else ''
    ctx = dict(turn=turn, prompt=users[-1][:200] if users else '', cwd=cwd, n=n)
    toolless = None
    if re.search(script.get('side_system', 'memory extraction subagent'), req['system']):
        return dict(kind='text', text=script.get('side_text', 'side answer'), turn=turn, step=-1, side=True, cwd=cwd)
    if not req['tools']:
        both = req['system'] + alltext
        if 'SEARCH/REPLACE' in both: toolless = 'searchreplace'
        elif re.search(r'entire content of|\*file listing\*', both): toolless = 'whole'
        elif re.search(r'```(mswea_bash_command|bash)\b', both): toolless = re.search(r'```(mswea_bash_command|bash)\b', both)[1]
        else:
            return dict(kind='text', text=json.dumps(neutral(dict(req['schema'], type='object'))) if req['schema'] else script.get('side_text', 'side answer'),
                        turn=turn, step=-1, side=True, cwd=cwd)
    rid, steps = 'default', script.get('steps', [])
    for i, r in enumerate(script.get('rules', [])):
        w = r.get('when', {})
        if 'turn' in w and w['turn'] != turn: continue
        if 'prompt' in w and not re.search(w['prompt'], alltext): continue
        if 'last' in w and not (users and re.search(w['last'], users[-1])): continue
        if 'system' in w and not re.search(w['system'], req['system']): continue
        if 'model' in w and not re.search(w['model'], req['model']): continue
        rid, steps = 'r%d' % i, r['steps']; break
    delay = 0
    while at < len(steps):
        s = render(steps[at], ctx); base = dict(turn=turn, step=at, say=s.get('say', ''), cwd=cwd, delay=delay)
        if s['do'] in ('error', 'drop'):
            key = '%s/%d/%d' % (rid, turn, at)
            with LOCK: STATE['hits'][key] = h = STATE['hits'].get(key, 0) + 1
            if s.get('times') is None or h <= s['times']: return dict(base, kind=s['do'], **{k: v for k, v in s.items() if k != 'do'})
            at += 1; continue
        if s['do'] == 'sleep': delay += s['seconds']; at += 1; continue
        if s['do'] == 'await':
            while not os.path.exists(s['path']): time.sleep(0.02)
            at += 1; continue
        if s['do'] == 'hang': return dict(base, kind='hang')
        if s['do'] == 'text': return dict(base, kind='text', text=s['text'], chunk_delay=s.get('chunk_delay', 0))
        if toolless:
            cmd = s.get('command') or ('printf %%s %s > %s' % (shq(s['content']), shq(s['path'])) if s['do'] == 'write' else None)
            if toolless in ('bash', 'mswea_bash_command') and cmd:
                return dict(base, kind='text', text='[t%ds%d] THOUGHT: scripted\n\n```%s\n%s\n```\n' % (turn, at, toolless, cmd))
            if s['do'] == 'write':
                body = fence(s) if toolless == 'whole' else '%s\n```\n<<<<<<< SEARCH\n=======\n%s>>>>>>> REPLACE\n```\n' % (s['path'], s['content'])
                return dict(base, kind='text', text='[t%ds%d] %s\n\n%s' % (turn, at, s.get('say', 'Scripted edit.'), body))
            at += 1; continue
        if s['do'] == 'write': t, a = write_call(req['tools'], s, cwd)
        elif s['do'] == 'shell': t, a = shell_call(req['tools'], s['command'])
        else:   # mcp / tool
            t = next((t for t in req['tools'] if re.search(s['match'], ((t.get('ns') or '') + '.' if t.get('ns') else '') + t['name'])), None)
            a = fill(t['schema'], s.get('args', {})) if t else None
            if t and t['kind'] == 'custom': a = s.get('input', '')
            if not t and s['do'] == 'mcp':   # codex "code mode": MCP tools are named inside the exec tool's description
                js = next((x for x in req['tools'] if x['kind'] == 'custom' and 'exec_command' in (x.get('desc') or '')), None)
                m = js and re.search(r'\b(mcp__\w*%s\w*)' % s['match'], js['desc'])
                if m: t, a = js, 'const r = await tools.%s(%s);\ntext(JSON.stringify(r));' % (m[1], json.dumps(s.get('args', {})))
            if not t and s['do'] == 'mcp':   # deferred tools (claude, qwen): search first, then call it, through tool_call if there is one
                m = re.search(r'\b(mcp__\w*%s\w*)' % s['match'].replace('$', r'\b'), req['system'] + '\n' + alltext)
                if not m and 'mcp__p0__NAME' in alltext:   # told how tools that are listed nowhere are found
                    m = re.search(r'(.*)', 'mcp__p0__' + re.search(r'(\w+)\$?$', s['match'])[1])
                via = next((x for x in req['tools'] if x['name'] == 'tool_call'), None)
                find = next((x for x in req['tools'] if x['name'].lower() in ('toolsearch', 'tool_search')), None)
                if m and find and (turn, at) not in searched:
                    return dict(base, kind='call', tool=find, args=fill(find['schema'], {'query': 'select:' + m[1]}), id='call_t%ds%dd_%d' % (turn, at, n))
                if m and via: t, a = via, {'name': m[1], 'arguments': s.get('args', {})}
                elif m and find: t, a = dict(name=m[1], schema={}, kind='function'), s.get('args', {})
        if t: return dict(base, kind='call', tool=t, args=a, id='call_t%ds%d_%d' % (turn, at, n))
        if not s.get('optional'): return dict(base, kind='text', text='SCRIPT ERROR: no tool for step %d (%s); offered: %s' % (at, s['do'], [t['name'] for t in req['tools']]))
        at += 1
    return dict(kind='text', text='Done (end of script).', turn=turn, step=at, say='', cwd=cwd, delay=delay)


# ---------- answering ----------
class H(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def log_message(self, *a): pass

    def send_json(self, code, obj, headers=()):
        b = json.dumps(obj).encode()
        self.send_response(code); self.send_header('Content-Type', 'application/json'); self.send_header('Content-Length', str(len(b)))
        for k, v in dict(headers).items(): self.send_header(k, str(v))
        self.end_headers(); self.wfile.write(b)

    def do_HEAD(self): self.send_response(200); self.send_header('Content-Length', '0'); self.end_headers()

    def do_GET(self):
        if self.path == '/_log': return self.send_json(200, STATE['log'])
        if self.path == '/_usage': return self.send_json(200, STATE['used'])
        if self.path.split('?')[0].rstrip('/').endswith('/models'):
            ms = [{'id': m, 'object': 'model', 'created': 0, 'owned_by': 'scripted', 'type': 'model', 'display_name': m} for m in ('scripted-1',)]
            return self.send_json(200, {'object': 'list', 'data': ms, 'has_more': False, 'models': []})
        self.note('GET'); self.send_json(404, {'error': {'type': 'not_found_error', 'message': 'no such path'}})

    def note(self, api, **kw):
        with LOCK:
            rec = dict(n=STATE['n'], t=round(time.time(), 3), api=api, path=self.path, ua=self.headers.get('user-agent', '')[:80], **kw)
            STATE['log'].append(rec)
            if ARGS.log: open(ARGS.log, 'a').write(json.dumps(rec) + '\n')

    def do_POST(self):
        if self.headers.get('Transfer-Encoding', '').lower() == 'chunked':
            raw = b''
            while True:
                k = int(self.rfile.readline().split(b';')[0], 16)
                raw += self.rfile.read(k); self.rfile.readline()
                if not k: break
        else: raw = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        p = self.path.split('?')[0]
        if p == '/_reset': STATE['hits'].clear(); return self.send_json(200, {})
        enc = self.headers.get('Content-Encoding')
        if enc == 'gzip': import gzip; raw = gzip.decompress(raw)
        try: body = json.loads(raw or b'{}')
        except ValueError: self.note('bad', enc=enc); return self.send_json(400, {'error': {'type': 'invalid_request_error', 'message': 'not JSON (%s)' % enc}})
        if p.endswith('/count_tokens'): return self.send_json(200, {'input_tokens': 1000})
        if p.endswith(':countTokens'): return self.send_json(200, {'totalTokens': 1000})
        api = 'anthropic' if p.endswith('/messages') else 'responses' if p.endswith('/responses') else 'chat' if p.endswith('/chat/completions') else \
              'gemini' if 'generateContent' in p or 'streamGenerateContent' in p else None
        if not api: self.note('POST'); return self.send_json(404, {'error': {'type': 'not_found_error', 'message': 'no such path ' + p}})
        with LOCK: STATE['n'] += 1; n = STATE['n']
        if ARGS.dump:
            os.makedirs(ARGS.dump, exist_ok=True)
            json.dump(body, open(os.path.join(ARGS.dump, '%04d-%s.json' % (n, api)), 'w'), indent=1)
        script = json.load(open(ARGS.script))              # read anew: a test may swap the script while the server runs
        req = normalise(api, body)
        if api == 'gemini': req['stream'] = 'stream' in p; req['model'] = re.sub(r'.*/models/(.*?):.*', r'\1', p)
        d = decide(script, req, n)
        key = self.headers.get('x-api-key') or self.headers.get('authorization') or self.headers.get('x-goog-api-key') or ''
        self.note(api, model=req['model'], stream=req['stream'], tools=[t['name'] for t in req['tools']], msgs=len(req['msgs']), turn=d['turn'], step=d['step'],
                  kind=d['kind'], tool=d.get('tool', {}).get('name') if d.get('tool') else None, status=d.get('status'), side=d.get('side', False), cwd=d.get('cwd'), key_tail=key[-6:])
        if d.get('delay'): time.sleep(d['delay'])
        u = dict({'in': 1000, 'out': 50, 'cached': 0}, **script.get('usage', {}))
        try:
            if d['kind'] == 'error': return self.error(api, d)
            if d['kind'] == 'hang':
                while True: time.sleep(1); self.connection.getpeername()
            if d['kind'] == 'drop': self.close_connection = True; self.send_response(200); self.send_header('Content-Type', 'text/event-stream'); self.end_headers(); self.wfile.write(b': cut\n\n'); return
            with LOCK:
                used = STATE['used']['side' if d.get('side') else 'main']
                used['requests'] += 1
                # Anthropic counts what was cached beside the input, the others within it.
                used['input_tokens'] += u['in'] + (u['cached'] if api == 'anthropic' else 0)
                used['cached_tokens'] += u['cached']; used['output_tokens'] += u['out']
            getattr(self, 'api_' + api)(req, d, u, n)
        except (BrokenPipeError, ConnectionResetError, OSError): self.close_connection = True

    def error(self, api, d):
        st = d.get('status', 500); msg = d.get('message', 'scripted error %d' % st)
        typ = {400: 'invalid_request_error', 401: 'authentication_error', 402: 'billing_error', 403: 'permission_error', 404: 'not_found_error',
               429: 'rate_limit_error', 500: 'api_error', 529: 'overloaded_error'}.get(st, 'api_error')
        if d.get('type'): typ = d['type']
        obj = {'type': 'error', 'error': {'type': typ, 'message': msg}} if api == 'anthropic' else \
              {'error': {'code': st, 'message': msg, 'status': {429: 'RESOURCE_EXHAUSTED', 401: 'UNAUTHENTICATED'}.get(st, 'INTERNAL')}} if api == 'gemini' else \
              {'error': {'type': typ, 'message': msg, 'code': d.get('code', typ), 'param': None}}
        self.send_json(st, obj, d.get('headers', {}))

    def sse(self):
        self.send_response(200); self.send_header('Content-Type', 'text/event-stream'); self.send_header('Cache-Control', 'no-cache')
        self.send_header('Connection', 'close'); self.close_connection = True; self.end_headers()

    def ev(self, data, event=None):
        s = ('event: %s\n' % event if event else '') + 'data: %s\n\n' % (data if isinstance(data, str) else json.dumps(data))
        self.wfile.write(s.encode()); self.wfile.flush()

    def pieces(self, d, text):
        for w in re.findall(r'\s*\S+\s*|\s+', text) or ['']:
            yield w
            if d.get('chunk_delay'): time.sleep(d['chunk_delay'])

    def api_anthropic(self, req, d, u, n):
        content = []
        if d['kind'] == 'call':
            if d.get('say'): content.append({'type': 'text', 'text': d['say']})
            content.append({'type': 'tool_use', 'id': 'toolu_' + d['id'][5:], 'name': d['tool']['name'], 'input': d['args']}); stop = 'tool_use'
        else: content.append({'type': 'text', 'text': d['text']}); stop = 'end_turn'
        usage = {'input_tokens': u['in'], 'cache_creation_input_tokens': 0, 'cache_read_input_tokens': u['cached'], 'output_tokens': u['out']}
        msg = {'id': 'msg_%d' % n, 'type': 'message', 'role': 'assistant', 'model': req['model'], 'content': content, 'stop_reason': stop, 'stop_sequence': None, 'usage': usage}
        if not req['stream']: return self.send_json(200, msg)
        self.sse()
        self.ev({'type': 'message_start', 'message': dict(msg, content=[], stop_reason=None, usage=dict(usage, output_tokens=1))}, 'message_start')
        for i, c in enumerate(content):
            if c['type'] == 'text':
                self.ev({'type': 'content_block_start', 'index': i, 'content_block': {'type': 'text', 'text': ''}}, 'content_block_start')
                for w in self.pieces(d, c['text']): self.ev({'type': 'content_block_delta', 'index': i, 'delta': {'type': 'text_delta', 'text': w}}, 'content_block_delta')
            else:
                self.ev({'type': 'content_block_start', 'index': i, 'content_block': dict(c, input={})}, 'content_block_start')
                self.ev({'type': 'content_block_delta', 'index': i, 'delta': {'type': 'input_json_delta', 'partial_json': json.dumps(c['input'])}}, 'content_block_delta')
            self.ev({'type': 'content_block_stop', 'index': i}, 'content_block_stop')
        self.ev({'type': 'message_delta', 'delta': {'stop_reason': stop, 'stop_sequence': None}, 'usage': {'output_tokens': u['out']}}, 'message_delta')
        self.ev({'type': 'message_stop'}, 'message_stop')

    def api_responses(self, req, d, u, n):
        out = []
        if d['kind'] != 'call' or d.get('say'):
            out.append({'type': 'message', 'id': 'item_%d_m' % n, 'role': 'assistant', 'status': 'completed',
                        'content': [{'type': 'output_text', 'text': d.get('say') if d['kind'] == 'call' else d['text'], 'annotations': []}]})
        if d['kind'] == 'call':
            t, it = d['tool'], {'id': 'item_%d_c' % n, 'call_id': d['id'], 'status': 'completed'}
            if t['kind'] == 'custom': it.update(type='custom_tool_call', name=t['name'], input=d['args'])
            elif t['kind'] == 'local_shell': it.update(type='local_shell_call', action=d['args'])
            else: it.update(type='function_call', name=t['name'], arguments=json.dumps(d['args']))
            if t.get('ns'): it['namespace'] = t['ns']
            out.append(it)
        usage = {'input_tokens': u['in'], 'input_tokens_details': {'cached_tokens': u['cached']}, 'output_tokens': u['out'],
                 'output_tokens_details': {'reasoning_tokens': 0}, 'total_tokens': u['in'] + u['out']}
        resp = {'id': 'resp_%d' % n, 'object': 'response', 'created_at': int(time.time()), 'status': 'completed', 'model': req['model'], 'output': out, 'usage': usage,
                'error': None, 'incomplete_details': None, 'parallel_tool_calls': False, 'tool_choice': 'auto', 'tools': []}
        if not req['stream']: return self.send_json(200, resp)
        self.sse(); seq = [0]
        def e(typ, **kw): seq[0] += 1; self.ev(dict(type=typ, sequence_number=seq[0], **kw), typ)
        e('response.created', response=dict(resp, status='in_progress', output=[], usage=None))
        for i, it in enumerate(out):
            if it['type'] == 'message':
                txt = it['content'][0]['text']
                e('response.output_item.added', output_index=i, item=dict(it, status='in_progress', content=[]))
                e('response.content_part.added', output_index=i, item_id=it['id'], content_index=0, part={'type': 'output_text', 'text': '', 'annotations': []})
                for w in self.pieces(d, txt): e('response.output_text.delta', output_index=i, item_id=it['id'], content_index=0, delta=w)
                e('response.output_text.done', output_index=i, item_id=it['id'], content_index=0, text=txt)
                e('response.content_part.done', output_index=i, item_id=it['id'], content_index=0, part=it['content'][0])
            elif it['type'] == 'function_call':
                e('response.output_item.added', output_index=i, item=dict(it, status='in_progress', arguments=''))
                e('response.function_call_arguments.delta', output_index=i, item_id=it['id'], delta=it['arguments'])
                e('response.function_call_arguments.done', output_index=i, item_id=it['id'], arguments=it['arguments'])
            else: e('response.output_item.added', output_index=i, item=dict(it, status='in_progress'))
            e('response.output_item.done', output_index=i, item=it)
        e('response.completed', response=resp)

    def api_chat(self, req, d, u, n):
        msg = {'role': 'assistant', 'content': d['text'] if d['kind'] != 'call' else (d.get('say') or None)}
        if d['kind'] == 'call': msg['tool_calls'] = [{'id': d['id'], 'type': 'function', 'function': {'name': d['tool']['name'], 'arguments': json.dumps(d['args'])}}]
        fin = 'tool_calls' if d['kind'] == 'call' else 'stop'
        usage = {'prompt_tokens': u['in'], 'completion_tokens': u['out'], 'total_tokens': u['in'] + u['out'], 'prompt_tokens_details': {'cached_tokens': u['cached']}}
        top = {'id': 'chatcmpl-%d' % n, 'created': int(time.time()), 'model': req['model']}
        if not req['stream']:
            return self.send_json(200, dict(top, object='chat.completion', choices=[{'index': 0, 'message': msg, 'finish_reason': fin}], usage=usage))
        self.sse()
        def ch(delta, f=None): self.ev(dict(top, object='chat.completion.chunk', choices=[{'index': 0, 'delta': delta, 'finish_reason': f}]))
        ch({'role': 'assistant', 'content': ''})
        if msg['content']:
            for w in self.pieces(d, msg['content']): ch({'content': w})
        for tc in msg.get('tool_calls', []):
            ch({'tool_calls': [{'index': 0, 'id': tc['id'], 'type': 'function', 'function': {'name': tc['function']['name'], 'arguments': ''}}]})
            ch({'tool_calls': [{'index': 0, 'function': {'arguments': tc['function']['arguments']}}]})
        ch({}, fin)
        self.ev(dict(top, object='chat.completion.chunk', choices=[], usage=usage)); self.ev('[DONE]')

    def api_gemini(self, req, d, u, n):
        parts = [{'text': d['text']}] if d['kind'] != 'call' else ([{'text': d['say']}] if d.get('say') else []) + \
                [{'functionCall': {'id': d['id'], 'name': d['tool']['name'], 'args': d['args']}}]
        obj = {'candidates': [{'content': {'role': 'model', 'parts': parts}, 'finishReason': 'STOP', 'index': 0}], 'modelVersion': req['model'], 'responseId': 'r%d' % n,
               'usageMetadata': {'promptTokenCount': u['in'], 'candidatesTokenCount': u['out'], 'totalTokenCount': u['in'] + u['out'], 'cachedContentTokenCount': u['cached']}}
        if not req['stream']: return self.send_json(200, obj)
        self.sse(); self.ev(obj)


def main():
    global ARGS
    ap = argparse.ArgumentParser(); ap.add_argument('--script', required=True); ap.add_argument('--port', type=int, default=0)
    ap.add_argument('--port-file'); ap.add_argument('--log'); ap.add_argument('--dump'); ARGS = ap.parse_args()
    srv = ThreadingHTTPServer(('127.0.0.1', ARGS.port), H); srv.daemon_threads = True
    if ARGS.port_file: open(ARGS.port_file, 'w').write(str(srv.server_port))
    print('LISTENING', srv.server_port, flush=True)
    signal.signal(signal.SIGTERM, lambda *a: os._exit(0))
    try: srv.serve_forever()
    except KeyboardInterrupt: pass


if __name__ == '__main__': main()
