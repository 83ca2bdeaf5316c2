"""A stand-in for an agent's program: plays a fixture.

python3 fake.py FIXTURE [the arguments that the adapter gives]

Lines of the fixture are written to stdout as they are, but for those that begin with `#`:
  #fresh / #resumed   what follows is played only when the arguments do not / do hold the session S-OLD
  #always             ends such a part
  #err TEXT           TEXT is written to stderr
  #huge N             a line of N bytes
  #raw HEX            these bytes
  #hang               waits until it is ended; TERM ends it with 143
  #deaf               as above, but TERM is not heard
  #exit N             ends
"""
import os, signal, sys, time

sys.stdin.buffer.read()
part, resumed = 'always', any('S-OLD' in word for word in sys.argv[2:])
out = sys.stdout.buffer
for line in open(sys.argv[1], 'rb'):
    word, _, rest = line.rstrip(b'\n').partition(b' ')
    if word in (b'#fresh', b'#resumed', b'#always'):
        part = word[1:].decode()
        continue
    if part == 'fresh' and resumed or part == 'resumed' and not resumed:
        continue
    if not line.startswith(b'#'):
        out.write(line)
    elif word == b'#err':
        out.flush()
        sys.stderr.buffer.write(rest + b'\n')
        sys.stderr.buffer.flush()
    elif word == b'#huge':
        out.write(b'{"type":"text","part":{"text":"' + b'x' * int(rest) + b'"}}\n')
    elif word == b'#raw':
        out.write(bytes.fromhex(rest.decode()) + b'\n')
    elif word in (b'#hang', b'#deaf'):
        out.flush()
        signal.signal(signal.SIGTERM, signal.SIG_IGN if word == b'#deaf' else lambda *_: os._exit(143))
        print('hanging', file=sys.stderr, flush=True)
        time.sleep(60)
    elif word == b'#exit':
        out.flush()
        os._exit(int(rest))
    out.flush()
