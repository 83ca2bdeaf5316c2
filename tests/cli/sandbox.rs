//! Agents that try to escape: every try fails, every try is on record, nobody else is touched, and the run goes on.
use crate::env::TestEnvironment;
use p0::sandbox::Kernel;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::{
        linux::net::SocketAddrExt,
        unix::{
            fs::PermissionsExt,
            net::{SocketAddr, UnixListener},
        },
    },
    path::Path,
};

/// These tests are about what the kernel does: where it cannot, they say so instead of passing.
#[track_caller]
fn needs_landlock() {
    let kernel = Kernel::probe(&std::env::var("PATH").unwrap_or_default());
    assert!(kernel.landlock >= 3, "this kernel has Landlock {}; these tests need 3 or later", kernel.landlock);
    assert!(kernel.listener, "this kernel lets no filter report to a listener; these tests need Linux 5.5 or later");
}

/// Every file with its mode and content, but for what landing writes.
fn everything_in(dir: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![dir.to_path_buf()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            let meta = path.symlink_metadata().unwrap();
            let landing = [".git/objects", ".git/refs", ".git/logs", ".git/packed-refs"];
            if landing.iter().any(|it| name.starts_with(it)) {
                continue;
            }
            let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
            found.insert(name, (meta.permissions().mode(), content));
            if meta.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

fn denied(t: &TestEnvironment) -> BTreeSet<(String, String)> {
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    t.events("sandbox.denied").iter().map(|e| (text(&e["data"]["operation"]), text(&e["data"]["path"]))).collect()
}

const ESCAPE: &str = r#"
import ctypes, fcntl, resource, shutil, signal, socket, struct, threading
def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'])
T = {}
def attempt(name, deed):
    try:
        deed()
        T[name] = 'succeeded'
    except OSError as e:
        T[name] = e.strerror
def write(path):
    def deed():
        with open(path, 'a') as f: f.write('escaped')
    return deed
def read(path):
    def deed():
        with open(path, 'rb') as f: f.read(1)
    return deed
def connect(path):
    def deed():
        with socket.socket(socket.AF_UNIX) as s: s.connect(path)
    return deed
def flipping(step, deed):
    # Another thread exchanges what the deed is about, all the time.
    over = threading.Event()
    def flip():
        while not over.is_set(): step(f'{DIR}/foreign.sock'); step('flip/own.sock')
    thread = threading.Thread(target=flip); thread.start()
    own, refused = 0, 0
    for _ in range(400):
        with socket.socket(socket.AF_UNIX) as s:
            try: deed(s)
            except OSError: refused += 1; continue
            if s.getpeername() != 'flip/own.sock': raise SystemExit('it came out')
            own += 1
    over.set(); thread.join()
    if not own: raise SystemExit('its own was never reached')
    note('flips', f'{own} {refused}\n')
def by_link(target):
    os.symlink(os.path.abspath(target), 'flip/next'); os.rename('flip/next', 'flip/link')
libc, ADDRESS = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(110)
def by_memory(target): ctypes.memmove(ADDRESS, struct.pack('H', socket.AF_UNIX) + target.encode().ljust(108, b'\0'), 110)
def raw_connect(s):
    if libc.connect(s.fileno(), ADDRESS, 110): raise OSError(ctypes.get_errno(), '')
def swaps():
    os.mkdir('flip')
    with socket.socket(socket.AF_UNIX) as own:
        own.bind('flip/own.sock'); own.listen(1000)
        by_link('flip/own.sock'); flipping(by_link, lambda s: s.connect('flip/link'))
        by_memory('flip/own.sock'); flipping(by_memory, raw_connect)
    shutil.rmtree('flip')
def from_another_network(name):
    # The socket is from here, and the name is held by an own one in the network that the process is in by then.
    out, child = socket.socket(socket.AF_UNIX), os.fork()
    if child == 0:
        if libc.unshare(0x10000000 | 0x40000000): note('network', 'Operation not permitted'); os._exit(0)
        own = socket.socket(socket.AF_UNIX); own.bind(name); own.listen()
        attempt('network', lambda: out.connect(name)); note('network', T['network']); os._exit(0)
    os.waitpid(child, 0); wait_for('network')
    return open(f'{DIR}/notes/network').read()
def orphan(path):
    child = os.fork()
    if child == 0:
        middle = os.getpid()
        if os.fork(): os._exit(0)
        while os.getppid() == middle: time.sleep(0.01)
        attempt('orphan', connect(path)); note('orphan', T['orphan']); os._exit(0)
    os.waitpid(child, 0); wait_for('orphan')
    return open(f'{DIR}/notes/orphan').read()
def executor():
    own_files()
    if tid == 'BLOG-2':
        note('neighbour', json.dumps({**os.environ, 'PID': str(os.getpid())})); wait_for('tried'); return
    wait_for('neighbour')
    other = json.load(open(f'{DIR}/notes/neighbour'))
    repo, data = f'{DIR}/repo', f'{DIR}/data'
    attempt('checkout', write(f'{repo}/README.md'))
    attempt('checkout, a new file', write(f'{repo}/evil.txt'))
    attempt('checkout, a hook', write(f'{repo}/.git/hooks/post-checkout'))
    attempt('checkout, read', read(f'{repo}/README.md'))
    attempt('checkout, configuration', read(f'{repo}/.p0/config.toml'))
    attempt('etc', write('/etc/p0-escape'))
    attempt('tmp', write('/tmp/p0-escape'))
    attempt('worktree', write(other['P0_WORKTREE'] + '/b.txt'))
    attempt('worktree, read', read(other['P0_WORKTREE'] + '/b.txt'))
    attempt('home', write(other['HOME'] + '/.gitconfig'))
    attempt('log', write(f'{data}/journal/evil'))
    attempt('list', lambda: os.listdir(data))
    attempt('specification', read(f'{data}/attempts/{other["P0_ATTEMPT"]}/spec.json'))
    attempt('environment', read(f'/proc/{other["PID"]}/environ'))
    attempt('environment of its supervisor', read(f'/proc/{os.getppid()}/environ'))
    attempt('memory', read(f'/proc/{other["PID"]}/mem'))
    attempt('kill', lambda: os.kill(int(other['PID']), signal.SIGKILL))
    attempt('kill its supervisor', lambda: os.kill(os.getppid(), signal.SIGKILL))
    os.symlink(f'{repo}/README.md', 'link')
    attempt('link', write('link'))
    attempt('link, read', read('link'))
    os.unlink('link')
    os.symlink(f'{repo}/not-there-yet', 'link')
    attempt('link to nothing', write('link'))
    os.unlink('link')
    attempt('remove', lambda: os.unlink(f'{repo}/README.md'))
    attempt('move', lambda: os.rename(f'{repo}/README.md', 'stolen'))
    attempt('hard link', lambda: os.link(f'{repo}/README.md', 'stolen'))
    attempt('folder', lambda: os.mkdir(f'{repo}/evil'))
    attempt('cut', lambda: os.truncate(f'{repo}/README.md', 0))
    attempt('mode', lambda: os.chmod(f'{repo}/README.md', 0o777))
    attempt('owner', lambda: os.chown(f'{repo}/README.md', os.getuid(), os.getgid()))
    attempt('mode through a handle', lambda: os.chmod(f'/proc/self/fd/{os.open(repo + "/README.md", os.O_PATH)}', 0o777))
    attempt('times', lambda: os.utime(f'{repo}/README.md', (0, 0)))
    attempt('times through a handle', lambda: os.utime(os.open(f'{repo}/README.md', os.O_PATH), (0, 0)))
    attempt('access list', lambda: os.setxattr(f'{repo}/README.md', 'system.posix_acl_access', bytes([2, 0, 0, 0])))
    attempt('attribute', lambda: os.setxattr(f'{data}/journal', 'user.escaped', b'x'))
    memory = f'/dev/shm/p0-escape-{os.path.basename(DIR)}'
    attempt('shared memory', write(memory))
    attempt('shared memory, read', read(memory))
    attempt('socket in shared memory', connect(memory + '.sock'))
    def number(name, *arguments):
        def deed():
            if libc[name](*arguments) < 0: raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return deed
    attempt('memory by its number', number('shmget', 0x70301, 4096, 0o1666))
    attempt('memory by its number, attached', number('shmctl', 0, 2, None))
    attempt('messages by their number', number('msgget', 0x70302, 0o1666))
    attempt('messages by their number, sent', number('msgsnd', 0, b'12345678x', 1, 0))
    attempt('counters by their number', number('semget', 0x70303, 1, 0o1666))
    attempt('counters by their number, removed', number('semctl', 0, 0, 0))
    attempt('messages by their name', number('syscall', 240 if os.uname().machine == 'x86_64' else 180, b'p0-escape', 0o102, 0o666, None))
    keys = (248, 249, 250) if os.uname().machine == 'x86_64' else (217, 218, 219)
    attempt('key', number('syscall', keys[0], b'user', b'p0-escape', b'x', 1, ctypes.c_long(-4)))
    attempt('key, asked for', number('syscall', keys[1], b'user', b'p0-escape', None, 0))
    attempt('keyring', number('syscall', keys[2], 0, ctypes.c_long(-4), 0))
    for name, flags in (('flags', 0x40086602), ('project', 0x401c5820)):
        attempt(name + ' of a file', lambda: fcntl.ioctl(os.open(f'{DIR}/theirs', os.O_RDONLY), flags, bytes(32)))
    attempt('limits of the neighbour', lambda: resource.prlimit(int(other['PID']), resource.RLIMIT_CPU, (1, 1)))
    attempt('limits of its supervisor', lambda: resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (0, 0)))
    attempt('priority of its supervisor', lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19))
    attempt('priority of everybody', lambda: os.setpriority(os.PRIO_USER, os.getuid(), 19))
    attempt('processor of its supervisor', lambda: os.sched_setaffinity(os.getppid(), {0}))
    open('own', 'w').close(); os.utime('own', (5, 7))
    if os.stat('own').st_mtime != 7: raise SystemExit('its own times are not set')
    os.utime('own')
    if os.stat('own').st_mtime == 7: raise SystemExit('its own times are not now')
    os.unlink('own'); resource.prlimit(os.getpid(), resource.RLIMIT_CORE, (0, 0)); os.nice(1)
    attempt('foreign socket', connect(f'{DIR}/foreign.sock'))
    with socket.socket(socket.AF_UNIX) as s: s.bind('own.sock'); s.listen(); attempt('own socket', connect('own.sock'))
    os.unlink('own.sock')
    with socket.socket(socket.AF_UNIX) as s: s.bind('\0own' + DIR); s.listen(); attempt('own socket without a file', connect('\0own' + DIR))
    attempt('foreign socket without a file', connect('\0foreign' + DIR))
    T['foreign socket out of a network of its own'] = from_another_network('\0foreign' + DIR)
    swaps()
    attempt('main socket by hand', connect(f'{data}/p0.sock'))
    T['main socket of an orphan'] = orphan(f'{data}/p0.sock')
    attempt('terminal', lambda: os.open('/dev/ptmx', os.O_RDWR))
    attempt('terminals', lambda: os.listdir('/dev/pts'))
    T['main socket'] = p0('cancel', '@last', '--data-dir', data, P0_TOKEN='').returncode
    T['socket of another'] = p0('ticket', 'comment', 'BLOG-2', 'x', P0_SOCKET=other['P0_SOCKET']).returncode
    T['no token'] = p0('ticket', 'show', tid, P0_TOKEN='none').returncode
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork(): os._exit(0)
        note('daemon', str(os.getpid()))
        for fd in range(3): os.close(fd)
        time.sleep(600); os._exit(0)
    os.waitpid(child, 0); wait_for('daemon')
    print('here is ' + os.environ['P0_TOKEN'], flush=True)
    sys.stdout.write(os.environ['MY_API_KEY'][:7]); sys.stdout.flush(); time.sleep(0.3); print(os.environ['MY_API_KEY'][7:], flush=True)
    print('err ' + os.environ['MY_API_KEY'], file=sys.stderr, flush=True)
    say('comment', text='the key is ' + os.environ['MY_API_KEY'])
    T['said'] = p0('ticket', 'comment', tid, 'once more ' + os.environ['MY_API_KEY']).returncode
    note('token', os.environ['P0_TOKEN'])
    subprocess.run('git add -A && git commit -qm own && git checkout -qb mine', shell=True, check=True)
    note('tried', json.dumps(T))
"#;

#[test]
fn an_agent_that_tries_to_escape() {
    needs_landlock();
    let t = TestEnvironment::with(ESCAPE);
    let table = t.agent_table("t", "agent.py").replace("env = {", "env = { MY_API_KEY = \"sk-0123456789-abcdef\",");
    t.put(".p0/config.toml", &format!("{table}[limits]\ngrace_ms = 200\n"));
    let foreign = UnixListener::bind(t.dir.join("foreign.sock")).unwrap();
    let name = SocketAddr::from_abstract_name(format!("foreign{}", t.dir.display())).unwrap();
    let nameless = UnixListener::bind_addr(&name).unwrap();
    let memory = format!("/dev/shm/p0-escape-{}", t.dir.file_name().unwrap().to_string_lossy());
    fs::write(&memory, "theirs").unwrap();
    let in_memory = UnixListener::bind(format!("{memory}.sock")).unwrap();
    fs::write(t.dir.join("theirs"), "").unwrap();
    let before = everything_in(&t.repo);
    let status = t.run_json(0);
    let in_memory_now = fs::read_to_string(&memory).unwrap();
    for name in [memory.clone(), format!("{memory}.sock")] {
        fs::remove_file(name).unwrap();
    }
    assert_eq!(in_memory_now, "theirs");
    assert_eq!(status["tickets"]["done"], 2, "it did its ticket all the same: {status}");
    assert_eq!(everything_in(&t.repo), before, "the checkout is what it was, byte for byte");
    assert!(!Path::new("/etc/p0-escape").exists() && !Path::new("/tmp/p0-escape").exists());

    for listener in [foreign, nameless, in_memory] {
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody came out");
    }
    let tried = t.note("tried");
    for (name, how) in tried.as_object().unwrap() {
        let expected: Vec<Value> = match name.as_str() {
            "own socket" | "own socket without a file" => vec!["succeeded".into()],
            "said" => vec![0.into()],
            "main socket" | "socket of another" | "no token" => vec![6.into()],
            _ => ["Permission denied", "Operation not permitted", "Invalid cross-device link"].map(Value::from).into(),
        };
        assert!(expected.contains(how), "{name}: {how}");
    }
    assert!(tried.as_object().unwrap().len() > 30);

    let denied = denied(&t);
    let other = t.note("neighbour");
    let own = |name: &str| other[name].as_str().unwrap();
    let (repo, data) = (t.repo.display(), t.data.display());
    let expected = [
        ("write", format!("{repo}/README.md")),
        ("write", format!("{repo}/evil.txt")),
        ("write", format!("{repo}/.git/hooks/post-checkout")),
        ("write", format!("{repo}/not-there-yet")),
        ("read", format!("{repo}/README.md")),
        ("read", format!("{repo}/.p0/config.toml")),
        ("write", "/etc/p0-escape".to_owned()),
        ("write", "/tmp/p0-escape".to_owned()),
        ("write", format!("{}/b.txt", own("P0_WORKTREE"))),
        ("read", format!("{}/b.txt", own("P0_WORKTREE"))),
        ("write", format!("{}/.gitconfig", own("HOME"))),
        ("write", format!("{data}/journal/evil")),
        ("read", data.to_string()),
        ("read", format!("{data}/attempts/{}/spec.json", own("P0_ATTEMPT"))),
        // Walks through all processes would crowd the rest out of the record: theirs are one entry each.
        ("read", "/proc/PID/environ".to_owned()),
        ("read", "/proc/PID/mem".to_owned()),
        ("signal", format!("/proc/{}", own("PID"))),
        ("remove", format!("{repo}/README.md")),
        ("move", format!("{repo}/README.md")),
        ("link", format!("{repo}/README.md")),
        ("make", format!("{repo}/evil")),
        ("cut", format!("{repo}/README.md")),
        ("rights", format!("{repo}/README.md")),
        ("rights", format!("{data}/journal")),
        ("govern", format!("/proc/{}", own("PID"))),
        ("write", memory.clone()),
        ("read", memory.clone()),
        ("connect", format!("{memory}.sock")),
        ("rights", format!("{}/theirs", t.dir.display())),
        ("share", "shmget".to_owned()),
        ("share", "shmctl".to_owned()),
        ("share", "msgget".to_owned()),
        ("share", "msgsnd".to_owned()),
        ("share", "semget".to_owned()),
        ("share", "semctl".to_owned()),
        ("share", "mq_open".to_owned()),
        ("share", "add_key".to_owned()),
        ("share", "request_key".to_owned()),
        ("share", "keyctl".to_owned()),
        ("connect", format!("{}/foreign.sock", t.dir.display())),
        ("connect", format!("{data}/p0.sock")),
        ("connect", format!("@foreign{}", t.dir.display())),
        ("read", "/dev/pts".to_owned()),
        ("connect", own("P0_SOCKET").to_owned()),
    ];
    for (operation, path) in expected {
        assert!(denied.contains(&(operation.to_owned(), path.clone())), "{operation} {path} is not among {denied:#?}");
    }
    let refused: Vec<String> = t.events("rights.refused").iter().map(|e| e["data"]["what"].to_string()).collect();
    assert!(refused.iter().any(|what| what.contains("without the token")), "{refused:?}");
    assert!(denied.iter().any(|(how, what)| how == "write" && what.ends_with("/ptmx")), "{denied:#?}");
    nothing_of_a_secret(&t);
    let daemon: i32 = fs::read_to_string(t.note_path("daemon")).unwrap().parse().unwrap();
    assert!(!Path::new(&format!("/proc/{daemon}")).exists(), "the daemon it left is gone");
    let exits = t.events("attempt.exited");
    assert!(exits.iter().any(|e| e["data"]["report"]["orphans"].as_u64() >= Some(1)), "and counted");
    assert!(exits.iter().all(|e| e["data"]["report"]["confined"]["landlock"].as_u64() >= Some(3)), "{exits:?}");
    t.log_is_whole();
}

#[track_caller]
fn nothing_of_a_secret(t: &TestEnvironment) {
    let redacted: BTreeMap<String, u64> = t
        .events("secret.redacted")
        .iter()
        .map(|e| (e["data"]["name"].as_str().unwrap().to_owned(), e["data"]["times"].as_u64().unwrap()))
        .collect();
    assert_eq!(redacted, BTreeMap::from([("MY_API_KEY".to_owned(), 4), ("P0_TOKEN".to_owned(), 1)]));
    let token = fs::read_to_string(t.note_path("token")).unwrap();
    let log = t.p0(&["audit", "log", "--json"]).expect(0).out;
    let out = t.p0(&["logs", "BLOG-1"]).expect(0).out;
    let ticket = t.p0(&["ticket", "show", "BLOG-1"]).expect(0).out;
    for text in [&log, &out, &ticket] {
        assert!(!text.contains(&token) && !text.contains("sk-0123456789-abcdef"), "{text}");
    }
    assert!(out.contains("here is [redacted P0_TOKEN]") && out.contains("\n[redacted MY_API_KEY]\n"), "{out}");
    assert!(ticket.contains("the key is [redacted MY_API_KEY]"), "{ticket}");
    assert!(ticket.contains("once more [redacted MY_API_KEY]"), "{ticket}");
}

#[test]
fn secrets_are_not_shown_while_an_attempt_is_at_work() {
    let t = TestEnvironment::with(
        "def executor():\n  own_files(); print('now ' + os.environ['P0_TOKEN'] + ' end', flush=True); note('printed'); wait_for('over')\n",
    );
    let run = t.start_run(&["--json"]);
    t.wait_note("printed");
    let follow = t.start(&["logs", "BLOG-1", "--follow"]);
    crate::env::wait_until("the line is shown", || follow.out_so_far().contains(" end"));
    t.go("over");
    assert_eq!(follow.wait().expect(0).out, "now [redacted P0_TOKEN] end\n");
    run.wait().expect(0);
}

#[test]
fn the_network_as_configured() {
    needs_landlock();
    let t = TestEnvironment::with(
        "import socket\ndef executor():\n  own_files()\n  port = int(open(f'{DIR}/notes/port').read())\n  \
         try: socket.create_connection(('127.0.0.1', port), 5).close(); note('connected', 'yes')\n  \
         except OSError as e: note('connected', e.strerror)\n",
    );
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    fs::write(t.note_path("port"), port.to_string()).unwrap();
    let kernel = Kernel::probe("");
    let own = format!("[{port}]");
    for (network, expected) in [("\"none\"", "Permission denied"), ("[1]", "Permission denied"), (own.as_str(), "yes")]
    {
        if network.starts_with('[') && kernel.landlock < 4 {
            continue;
        }
        t.config(&format!("[sandbox]\nnetwork = {network}\n"));
        t.spec(&format!("# Network {network}\n\nTry.\n"));
        t.run_json(0);
        assert_eq!(fs::read_to_string(t.note_path("connected")).unwrap(), expected, "{network}");
    }
}

#[test]
fn limits_toolchains_and_a_home_of_its_own() {
    let t = TestEnvironment::with(
        "import resource\ndef executor():\n  own_files()\n  h = os.environ['HOME']\n  \
         note('home', json.dumps([h, os.environ['TMPDIR'], os.path.exists(h + '/kept'), os.environ.get('CARGO_HOME'), \
         resource.getrlimit(resource.RLIMIT_CORE)[1], resource.getrlimit(resource.RLIMIT_NOFILE)[1], resource.getrlimit(resource.RLIMIT_FSIZE)[1]]))\n  \
         put(h + '/kept'); put(os.environ['TMPDIR'] + '/x/y'); os.chmod(os.environ['TMPDIR'] + '/x', 0)\n  \
         if rnd == 1: sys.exit(1)\n",
    );
    fs::create_dir_all(t.dir.join("home/.cargo")).unwrap();
    t.config("[roles.executor.sandbox]\nopen_files = 200\nfile_mb = 7\n");
    t.run_json(0);
    let seen = t.note("home");
    let home = seen[0].as_str().unwrap();
    assert!(home.starts_with(&t.data.join("homes").display().to_string()), "{home}");
    assert!(seen[1].as_str().unwrap().starts_with(&t.data.join("attempts").display().to_string()));
    assert_eq!(seen[2], true, "the second round finds what the first left at home");
    assert_eq!(seen[3], t.dir.join("home/.cargo").display().to_string());
    assert_eq!((&seen[4], &seen[5], &seen[6]), (&0.into(), &200.into(), &(7 * 1024 * 1024).into()));
    assert!(!Path::new(home).exists(), "the run is over, and its homes are gone");
    assert!(fs::read_dir(t.data.join("attempts")).unwrap().next().is_none());
}

#[test]
fn what_cannot_be_enforced_is_refused_at_the_start() {
    let t = TestEnvironment::with("");
    let table = t.agent_table("t", "agent.py");
    let config = |text: &str| t.put(".p0/config.toml", &format!("{table}{text}"));
    config("[sandbox]\nbubblewrap = true\n");
    let without = t.start_program("/usr/bin/env", &["-u", "PATH", crate::env::p0_path(), "run", &t.spec_path()]);
    let output = without.wait().expect(3);
    assert!(output.err.contains("bubblewrap is asked for") && output.err.contains("best_effort"), "{}", output.err);
    config("[sandbox]\nreads = \"all\"\n");
    let output = t.run(&[]).expect(3);
    assert!(output.err.contains("reads"), "{}", output.err);
}

#[test]
fn the_doctor_says_what_this_kernel_gives() {
    let t = TestEnvironment::new();
    let report = t.p0(&["doctor", "--json"]).json();
    let checks = &report["checks"];
    let kernel = Kernel::probe("");
    let said = |name: &str| {
        let check = checks.as_array().unwrap().iter().find(|check| check["name"] == name);
        check.unwrap_or_else(|| panic!("no {name} in {checks}"))["text"].as_str().unwrap().to_owned()
    };
    assert!(said("landlock").contains(&format!("interface {}", kernel.landlock)) || kernel.landlock == 0);
    for name in ["seccomp", "namespaces", "bubblewrap", "cgroup"] {
        assert!(!said(name).is_empty());
    }
}
