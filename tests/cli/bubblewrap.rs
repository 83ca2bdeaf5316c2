//! `[sandbox] bubblewrap = true`: the same promises, in namespaces of the attempt's own.
use crate::env::TestEnvironment;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Stdio},
};

/// Whether bubblewrap is installed and may make namespaces: in many containers it may not.
fn may_wrap() -> bool {
    let mut command = Command::new("bwrap");
    command.args(["--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc", "true"]).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

const WRAPPED: &str = r#"
def plan(): ticket('a', ['a.txt'])
def executor():
    own_files()
    tried = {}
    for path in ['/etc/p0-escape', f'{DIR}/repo/escape', f'{DIR}/data/escape']:
        try:
            open(path, 'w').close(); tried[path] = 'made'
        except OSError as e: tried[path] = e.strerror
    done = subprocess.run(['git', 'add', '-A'], capture_output=True, text=True)
    done = subprocess.run(['git', 'commit', '-qm', 'mine'], capture_output=True, text=True) if done.returncode == 0 else done
    spoken = p0('ticket', 'show', '@mine')
    subprocess.Popen(['sleep', '1000'], start_new_session=True)
    note('seen', json.dumps({
        'processes': [int(name) for name in os.listdir('/proc') if name.isdigit()],
        'ppid': os.getppid(), 'git': [done.returncode, done.stderr], 'p0': [spoken.returncode, spoken.stderr],
        'tried': tried, 'temp': os.path.isdir(os.environ['TMPDIR']), 'home': os.access(os.environ['HOME'], os.W_OK),
        'null': open('/dev/null', 'w').write('x'),
    }))
"#;

#[test]
fn an_agent_in_namespaces_of_its_own_does_its_work_and_reaches_nobody() {
    if !may_wrap() {
        return;
    }
    let t = TestEnvironment::with(WRAPPED);
    t.config("[sandbox]\nbubblewrap = true\n");
    let done = t.run_json(0);
    assert_eq!(done["state"], "done");
    let seen = t.note("seen");
    let processes = seen["processes"].as_array().unwrap();
    assert!(processes.len() < 10, "only its own processes are in sight: {processes:?}");
    assert_eq!(seen["git"][0], 0, "{seen}");
    assert_eq!(seen["p0"][0], 0, "its socket is open to it: {seen}");
    assert!(seen["tried"].as_object().unwrap().values().all(|it| it != "made"), "{seen}");
    assert_eq!((&seen["temp"], &seen["home"], &seen["null"]), (&true.into(), &true.into(), &1.into()));
    let exits = t.events("attempt.exited");
    for exit in &exits {
        let confined = &exit["data"]["report"]["confined"];
        assert_eq!((&confined["bubblewrap"], &confined["listener"]), (&true.into(), &true.into()), "{exit}");
        assert!(confined["missing"].as_array().is_none_or(Vec::is_empty), "{exit}");
    }
    let denied = t.events("sandbox.denied");
    assert!(denied.iter().any(|event| event["data"]["path"] == "/etc/p0-escape"), "{denied:?}");
    t.nothing_is_alive();
}

#[test]
fn a_bubblewrap_that_may_not_make_namespaces_says_why_nothing_ran() {
    let mut t = TestEnvironment::with("");
    fs::create_dir(t.dir.join("bin")).unwrap();
    let bwrap = t.dir.join("bin/bwrap");
    fs::write(&bwrap, "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n").unwrap();
    fs::set_permissions(&bwrap, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", t.dir.join("bin").display(), std::env::var("PATH").unwrap());
    t.set("PATH", &path);
    t.config("[sandbox]\nbubblewrap = true\n");
    t.run(&["--json"]);
    let exits = t.events("attempt.exited");
    let why = exits[0]["data"]["report"]["ending"]["why"].as_str().unwrap().to_owned();
    assert!(why.contains("bubblewrap") && why.contains("No permissions to create a new namespace"), "{why}");
}
