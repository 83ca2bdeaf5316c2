//! A daemon killed with SIGKILL while 64 writers are at it, again and again on the same data: every acknowledged event
//! is there, none twice, and the sequence has no gap.
//!
//! `P0_KILL_ROUNDS` sets how often (default 12, so that the suite stays quick; the claim is made of 100).
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "a test may stop at the first surprise, start processes, read the environment and the clock"
)]

use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::{Child, Command},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

const WRITERS: usize = 64;
/// Far more than a loaded machine needs.
const PATIENCE: Duration = Duration::from_secs(120);

struct Place {
    _dir: tempfile::TempDir,
    data: PathBuf,
    repo: PathBuf,
}

impl Place {
    fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let (data, repo) = (dir.path().join("data"), dir.path().join("repo"));
        let git = Command::new("git").args(["init", "-q"]).arg(&repo).output().unwrap();
        assert!(git.status.success());
        Place { _dir: dir, data, repo }
    }

    fn start(&self) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_p0d"));
        let words = self.data.with_extension("stderr");
        let stderr = std::fs::File::create(&words).unwrap();
        let mut child = command.arg("--data-dir").arg(&self.data).stderr(stderr).spawn().unwrap();
        let began = Instant::now();
        while UnixStream::connect(self.data.join("p0.sock")).is_err() {
            let said = || std::fs::read_to_string(&words).unwrap();
            assert_eq!(child.try_wait().unwrap(), None, "the daemon has ended: {}", said());
            assert!(began.elapsed() < PATIENCE, "the daemon does not serve: {}", said());
            std::thread::sleep(Duration::from_millis(10));
        }
        child
    }

    fn verify(&self) -> Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_p0"));
        let output = command.args(["audit", "verify", "--json", "--data-dir"]).arg(&self.data).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// One connection, request after request.
struct Connection {
    stream: BufReader<UnixStream>,
}

impl Connection {
    fn open(data: &Path) -> std::io::Result<Connection> {
        Ok(Connection { stream: BufReader::new(UnixStream::connect(data.join("p0.sock"))?) })
    }

    /// The status and the body of an answer; an error when the daemon died over it.
    fn post(&mut self, path: &str, body: &Value) -> std::io::Result<(u16, Vec<u8>)> {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: p0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.get_mut().write_all((head + &body).as_bytes())?;
        let mut line = String::new();
        let cut_off = || std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
        if self.stream.read_line(&mut line)? == 0 {
            return Err(cut_off());
        }
        let status = line.split(' ').nth(1).and_then(|s| s.parse().ok()).ok_or_else(cut_off)?;
        let mut length = 0;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                return Err(cut_off());
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        Ok((status, answer))
    }
}

/// Makes tickets until the daemon dies; the titles of those that were acknowledged.
fn write_until_death(data: &Path, key: &str, name: &str, stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    let Ok(mut connection) = Connection::open(data) else { return acknowledged };
    for n in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let title = format!("{name}-{n}");
        match connection.post("/api/v1/tickets", &json!({ "proposal": { "title": title }, "milestone": key })) {
            Ok((200, _)) => acknowledged.push(title),
            Ok((status, body)) => panic!("{status}: {}", String::from_utf8_lossy(&body)),
            Err(_) => break,
        }
    }
    acknowledged
}

/// Every event of the log, as the daemon tells them.
fn events(data: &Path) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_p0"));
    let output = command.args(["audit", "log", "--json", "--data-dir"]).arg(data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout.split(|b| *b == b'\n').filter(|l| !l.is_empty()).map(|l| serde_json::from_slice(l).unwrap()).collect()
}

#[test]
fn what_was_acknowledged_under_sixty_four_writers_is_there_once() {
    let rounds: u64 = std::env::var("P0_KILL_ROUNDS").ok().map_or(12, |n| n.parse().unwrap());
    let place = Place::new();
    let mut daemon = place.start();
    let first = json!({ "proposal": { "title": "the first" }, "project": place.repo });
    let (status, body) = Connection::open(&place.data).unwrap().post("/api/v1/tickets", &first).unwrap();
    assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
    let made: Value = serde_json::from_slice(&body).unwrap();
    let key = made["id"].as_str().unwrap().split('-').next().unwrap().to_owned();
    let mut wanted = vec!["the first".to_owned()];
    let mut total = 0;
    for round in 0..rounds {
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (data, stop, name) = (place.data.clone(), stop.clone(), format!("r{round}w{writer}"));
                let key = key.clone();
                std::thread::spawn(move || write_until_death(&data, &key, &name, &stop))
            })
            .collect();
        // Anywhere between the first requests and a few hundred groups.
        std::thread::sleep(Duration::from_millis(40 + round * 37 % 400));
        daemon.kill().unwrap();
        daemon.wait().unwrap();
        stop.store(true, Ordering::Relaxed);
        for writer in writers {
            wanted.extend(writer.join().unwrap());
        }
        daemon = place.start();
        if round % 4 == 3 || round + 1 == rounds {
            total = check(&place, &wanted);
        }
    }
    assert!(wanted.len() > usize::try_from(rounds).unwrap(), "{} acknowledged", wanted.len());
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let verified = place.verify();
    assert_eq!((&verified["ok"], verified["events"].as_u64()), (&json!(true), Some(total)), "{verified}");
}

/// Compares the log with what was acknowledged; how many events it has.
fn check(place: &Place, wanted: &[String]) -> u64 {
    let events = events(&place.data);
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    for (n, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], n as u64 + 1, "the sequence has no gap");
        if event["kind"] == "ticket.created" {
            *seen.entry(event["data"]["ticket"]["title"].as_str().unwrap()).or_default() += 1;
        }
    }
    for title in wanted {
        assert_eq!(seen.get(title.as_str()), Some(&1), "{title} was acknowledged");
    }
    events.len() as u64
}
