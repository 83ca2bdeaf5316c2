"""A stand-in for an agent that speaks ACP: plays the case that its first argument names and logs on stderr what it was
told. The session S-OLD can be loaded when the case says so."""
import json, os, signal, sys, time

CASE = sys.argv[1]
# `modes {...}`: what session/new says, what setting a mode leads to ("refuse", "ignore"), and the mode it switches to by itself.
MODES = json.loads(CASE[len('modes '):]) if CASE.startswith('modes ') else {}
KINDS = [{'optionId': 'always', 'name': 'Always', 'kind': 'allow_always'}, {'optionId': 'yes', 'name': 'Yes', 'kind': 'allow_once'},
         {'optionId': 'no', 'name': 'No', 'kind': 'reject_once'}]


def put(message):
    print(json.dumps({'jsonrpc': '2.0', **message}), flush=True)


def update(which, **rest):
    put({'method': 'session/update', 'params': {'sessionId': 'S-1', 'update': {'sessionUpdate': which, **rest}}})


def read():
    line = sys.stdin.readline()
    if not line:
        if CASE == 'stays':
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            time.sleep(60)
        sys.exit(0)
    return json.loads(line)


def answer(message, **body):
    put({'id': message['id'], **body})


def note(*words):
    print(*words, file=sys.stderr, flush=True)


def ask(number, call, options=KINDS):
    put({'id': number, 'method': 'session/request_permission',
         'params': {'sessionId': 'S-1', 'toolCall': {'toolCallId': f'c{number}', **call}, 'options': options}})
    while True:
        message = read()
        if message.get('id') == number:
            note('answer', number, json.dumps(message.get('result') or message.get('error'), sort_keys=True))
            return


def set_option(value):
    options = MODES['state']['configOptions']
    options[0]['currentValue'] = value
    return options


def prompt(message):
    if MODES.get('switch'):
        update('tool_call', toolCallId='c1', title='x')
        update('current_mode_update', currentModeId=MODES['switch'])
        while read().get('method') != 'session/cancel':
            pass
        note('cancelled')
        return answer(message, result={'stopReason': 'cancelled'})
    if CASE == 'empty':
        return answer(message, result={'stopReason': 'end_turn', 'usage': None})
    if CASE == 'used':
        return answer(message, result={'stopReason': 'end_turn', 'usage': {'inputTokens': 5, 'outputTokens': 1}})
    if CASE == 'thinks':
        update('agent_thought_chunk', content={'type': 'text', 'text': 'Hm.'})
        return answer(message, result={'stopReason': 'end_turn'})
    if CASE.startswith('says '):
        update('agent_message_chunk', content={'type': 'text', 'text': CASE[len('says '):]})
        return answer(message, result={'stopReason': 'end_turn', 'usage': None})
    if CASE.startswith('works and says '):
        update('tool_call', toolCallId='c1', title='x')
        update('agent_message_chunk', content={'type': 'text', 'text': CASE[len('works and says '):]})
        return answer(message, result={'stopReason': 'end_turn'})
    if CASE.startswith('system error '):
        # codex-acp 2.6: a provider that answers 500 after a good call.
        update('tool_call', toolCallId='c1', title='x')
        update('session_info_update', _meta={'codex': {'error': {'message': 'Reconnecting... 1/1', 'willRetry': True,
                                                                 'additionalDetails': CASE[len('system error '):]}}})
        update('session_info_update', _meta={'codex': {'threadStatus': {'type': 'systemError'}}})
        update('agent_message_chunk', content={'type': 'text', 'text': CASE[len('system error '):] + '\n\n'})
        return answer(message, result={'stopReason': 'end_turn', 'usage': {'inputTokens': 5, 'outputTokens': 1}})
    if CASE == 'permission':
        tree = os.environ['P0_WORKTREE']
        update('tool_call', toolCallId='c1', title='Write a', kind='edit', status='pending', locations=[{'path': tree + '/a'}])
        ask(1, {})
        ask(2, {'kind': 'edit', 'title': 'Write passwd', 'rawInput': {'file_path': '/etc/passwd'}})
        ask(3, {'kind': 'execute', 'title': 'ls -l', 'rawInput': {'command': 'ls -l'}})
        ask(4, {'title': 'p0_comment'})
        ask(5, {'kind': 'execute', 'title': 'p0_comment', 'rawInput': {'command': 'p0_comment'}})
        ask(6, {'kind': 'edit', 'locations': [{'path': tree + '/a'}]}, KINDS[:1])
    if CASE == 'unknown':
        put({'id': 'x-1', 'method': 'craft/drainMidTurnQueue', 'params': {}})
        note('unknown', read()['error']['code'])
        put({'id': 7, 'method': 'fs/read_text_file', 'params': {'sessionId': 'S-1', 'path': '/etc/passwd'}})
        note('fs', read()['error']['code'])
        put({'method': '$/whatever', 'params': [1]})
        update('novel_update', thing=1)
        put({'method': 'session/update', 'params': {'update': 'no object'}})
        put({'method': 'session/update'})
    if CASE == 'wrong':
        print('npm warn: a banner\n{"note":', flush=True)
        print('[1,2]\n"text"\n{}\n{"type":"verdict","met":true}', flush=True)
        sys.stdout.buffer.write(b'\xff\xfe\n')
        answer({'id': 4711}, result={'stopReason': 'end_turn'})
    if CASE == 'crash':
        update('tool_call', toolCallId='c1', title='x')
        note('Segmentation fault, or so')
        os._exit(3)
    if CASE == 'error':
        return answer(message, error={'code': -32603, 'message': 'Internal error', 'data': {'statusCode': 429, 'message': 'Too Many Requests, retry after 30 s'}})
    if CASE == 'auth':
        return answer(message, error={'code': -32000, 'message': 'Authentication required'})
    if CASE.startswith('answer '):
        print(CASE[len('answer '):].replace('ID', json.dumps(message['id'])), flush=True)
        return
    if CASE == 'no-text':
        update('agent_message_chunk', content={'type': 'text', 'text': 'Done.'})
        sys.stdout.buffer.write(b'{"id":%s,"result":{"stopReason":"end_turn","note":"\xff"}}\n' % json.dumps(message['id']).encode())
        sys.stdout.buffer.flush()
        return
    if CASE == 'orphan':
        # Its child holds its pipes when it dies.
        if os.fork():
            note('Segmentation fault, or so')
            os._exit(3)
        os.setsid()
        time.sleep(60)
    if CASE == 'closes':
        os.close(1)
        time.sleep(60)
    if CASE == 'no-newline':
        update('agent_message_chunk', content={'type': 'text', 'text': 'That is it.'})
        update('agent_message_chunk', content={'type': 'text', 'text': '{"type":"status","status":"done"}'})
        return answer(message, result={'stopReason': 'end_turn'})
    if CASE == 'hang':
        update('usage_update', used=10, size=20, cost={'amount': 0.5, 'currency': 'USD'})
        note('hanging')
        while True:
            told = read()
            if told.get('method') == 'session/cancel':
                note('cancelled')
                return answer(message, result={'stopReason': 'cancelled', 'usage': {'inputTokens': 5, 'outputTokens': 1, 'totalTokens': 6}})
    if CASE == 'refused':
        ask(1, {'kind': 'execute', 'title': 'rm', 'rawInput': {'command': 'rm -rf x'}})
        return answer(message, result={'stopReason': 'cancelled'})
    if CASE in ('refusal', 'max_tokens', 'max_turn_requests', 'cancelled', 'tea_time'):
        return answer(message, result={'stopReason': CASE})
    update('agent_message_chunk', content={'type': 'text', 'text': 'Let me see. '})
    update('tool_call', toolCallId='c9', title='think', kind='think')
    update('tool_call', toolCallId='c9', title='think', kind='think')
    update('tool_call_update', toolCallId='c9', status='completed')
    update('tool_call_update', toolCallId='c10', status='completed')
    for piece in ('{"type":"verd', 'ict","met":true,"rationale":"r"}\n', '{"type":"usage","input_tokens":9}'):
        update('agent_message_chunk', content={'type': 'text', 'text': piece})
    update('usage_update', used=10, size=20, cost={'amount': 0.75, 'currency': 'USD'})
    update('usage_update', used=10, size=20, cost={'amount': 9.75, 'currency': 'EUR'})
    answer(message, result={'stopReason': 'end_turn', 'usage': {
        'inputTokens': 100, 'cachedReadTokens': 20, 'outputTokens': 7, 'totalTokens': 127}})


while True:
    told = read()
    method = told.get('method')
    if method == 'initialize':
        note('initialize', json.dumps(told['params'], sort_keys=True).replace(os.environ.get('VERSION', '?'), 'V'))
        loads = CASE in ('load', 'load-lost')
        answer(told, result={'protocolVersion': 1, 'agentCapabilities': {'loadSession': loads},
                             'authMethods': [{'id': 'key', 'name': 'Key'}]})
    elif method == 'session/load':
        note('load', told['params']['sessionId'])
        if CASE == 'load-lost':
            answer(told, error={'code': -32002, 'message': 'Session not found'})
            continue
        update('agent_message_chunk', content={'type': 'text', 'text': '{"type":"verdict","met":false}'})
        update('tool_call', toolCallId='old', title='old')
        update('usage_update', used=1, size=20, cost={'amount': 0.5, 'currency': 'USD'})
        answer(told, result={})
    elif method == 'session/new':
        if CASE == 'mute':
            continue
        note('new', len(told['params']['mcpServers']), json.dumps(told['params'].get('_meta')))
        if CASE in ('login', 'login-refused', 'login-mute'):
            answer(told, error={'code': -32000, 'message': 'Please log in'})
            continue
        if CASE == 'nameless':
            answer(told, result={})
            continue
        if MODES:
            answer(told, result={'sessionId': 'S-1', **MODES['state']})
            continue
        if CASE == 'models':
            answer(told, result={'sessionId': 'S-1', 'models': {'currentModelId': 'small', 'availableModels': [
                {'modelId': 'small', 'name': 'Small'}, {'modelId': 'large', 'name': 'Large'}]}})
            continue
        answer(told, result={'sessionId': 'S-1', 'modes': {'currentModeId': 'plan', 'availableModes': [
            {'id': 'plan', 'name': 'Plan'}, {'id': 'full-access', 'name': 'All'}]}})
    elif method == 'session/set_mode':
        note('mode', told['params']['modeId'])
        if MODES.get('set') == 'refuse':
            answer(told, error={'code': -32603, 'message': 'not this one'})
            continue
        if MODES:
            # Some say so before they answer.
            before = MODES['state']['modes']['currentModeId']
            update('current_mode_update', currentModeId=before if MODES.get('set') == 'ignore' else told['params']['modeId'])
        answer(told, result={})
    elif method == 'session/set_config_option':
        note('option', told['params']['configId'], told['params']['value'])
        answer(told, result={'configOptions': set_option(told['params']['value'])})
    elif method == 'authenticate':
        note('authenticate', told['params']['methodId'])
        if CASE == 'login-refused':
            answer(told, error={'code': -32603, 'message': 'no browser here'})
    elif method == 'session/set_model':
        note('model', told['params']['sessionId'], told['params']['modelId'])
        answer(told)
    elif method == 'session/prompt':
        note('prompt', json.dumps(told['params']['prompt']))
        prompt(told)
