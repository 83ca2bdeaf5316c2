//! Who asks: the log names the user of the process that connects to the socket.
use crate::env::{TestEnvironment, python};
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt,
    process::Command,
};

/// Comments on a ticket as another user: `UID DATA_DIR TICKET`. The folder is opened before the rights are given up, as
/// those above it may be closed to others.
const COMMENT_AS: &str = r#"
import os, socket, sys
uid, data, ticket = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.chdir(data)
os.setgroups([]); os.setgid(uid); os.setuid(uid)
s = socket.socket(socket.AF_UNIX)
s.connect('p0.sock')
body = b'{"text": "hello"}'
s.sendall(b'POST /api/v1/tickets/%s/comment HTTP/1.1\r\nHost: p0\r\nContent-Type: application/json\r\n'
          b'Content-Length: %d\r\nConnection: close\r\n\r\n%s' % (ticket.encode(), len(body), body))
answer = b''
while piece := s.recv(65536):
    answer += piece
print(answer.split(b'\r\n', 1)[0].decode())
"#;

/// A user of this machine that is not root, as `/etc/passwd` names it.
fn somebody() -> (u32, String) {
    let text = fs::read_to_string("/etc/passwd").unwrap();
    let user = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        Some((fields.get(2)?.parse().ok().filter(|uid| *uid != 0)?, (*fields.first()?).to_owned()))
    };
    text.lines().find_map(user).expect("a machine has users beside root")
}

#[test]
#[expect(clippy::disallowed_macros, reason = "a test that cannot run here says so")]
fn the_log_names_the_user_of_the_connecting_process() {
    if !rustix::process::getuid().is_root() {
        eprintln!("skipped: only root can become another user");
        return;
    }
    let t = TestEnvironment::new();
    t.p0(&["ticket", "new", "--title", "T"]).expect(0);
    let id = t.tickets()[0]["id"].as_str().unwrap().to_owned();
    let daemon = t.daemon();
    let socket = t.data.join("p0.sock");
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o600, "p0 itself lets nobody else in");
    // What an owner may do who wants to share the daemon.
    fs::set_permissions(&t.data, Permissions::from_mode(0o711)).unwrap();
    fs::set_permissions(&socket, Permissions::from_mode(0o666)).unwrap();
    let (uid, name) = somebody();
    let nameless = 3_000_000_017;
    for uid in [uid, nameless, 0] {
        let data = t.data.to_str().unwrap();
        let out = Command::new(python()).args(["-c", COMMENT_AS, &uid.to_string(), data, &id]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&out.stdout).trim(), "HTTP/1.1 200 OK", "as {uid}: {out:?}");
    }
    t.p0(&["ticket", "comment", &id, "hello"]).expect(0);
    let actors: Vec<String> =
        t.events("ticket.commented").iter().map(|event| event["actor"].as_str().unwrap().to_owned()).collect();
    // The daemon's own user is who its environment says, whatever the client's environment says.
    assert_eq!(
        actors,
        [format!("person:{name}"), format!("person:uid-{nameless}"), "person:ada".into(), "person:ada".into()]
    );
    daemon.signal("TERM");
    daemon.wait().expect(0);
}

#[test]
fn the_description_of_the_api_is_served_as_it_is_checked_in() {
    let t = TestEnvironment::empty();
    let daemon = t.daemon();
    let script = "import json, socket, sys\n\
        s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n\
        s.sendall(b'GET /api/v1/openapi.json HTTP/1.1\\r\\nHost: p0\\r\\nConnection: close\\r\\n\\r\\n')\n\
        answer = b''\n\
        while piece := s.recv(65536): answer += piece\n\
        head, body = answer.split(b'\\r\\n\\r\\n', 1)\n\
        assert b'content-type: application/json' in head.lower(), head\n\
        assert json.loads(body) == json.load(open(sys.argv[2]))\n";
    let checked_in = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/openapi.json");
    let socket = t.data.join("p0.sock");
    let out = Command::new(python()).args(["-c", script, socket.to_str().unwrap(), checked_in]).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    daemon.signal("TERM");
    daemon.wait().expect(0);
}
