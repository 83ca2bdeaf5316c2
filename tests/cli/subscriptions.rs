//! Following the log: every reader gets every event once, in order, and a reader that does not read holds nobody up.
use crate::env::{TestEnvironment, wait_until};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

/// Comments that are written while the readers read.
const COMMENTS: usize = 400;
/// Long enough that a reader who does not read fills every buffer on the way.
const TEXT_BYTES: usize = 4000;

fn connect(data: &Path, request: &str) -> UnixStream {
    let mut stream = UnixStream::connect(data.join("p0.sock")).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn follow(data: &Path, since: u64) -> UnixStream {
    let path = format!("/api/v1/events?since={since}&follow=true");
    connect(data, &format!("GET {path} HTTP/1.1\r\nHost: p0\r\nAccept: application/x-ndjson\r\n\r\n"))
}

fn comment_on(data: &Path, id: &str, n: usize) {
    let body = format!(r#"{{"text":"{n} {}"}}"#, "x".repeat(TEXT_BYTES));
    let request = format!(
        "POST /api/v1/tickets/{id}/comment HTTP/1.1\r\nHost: p0\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut answer = String::new();
    connect(data, &request).read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// The numbers of the events that a stream of chunks brings, up to `last`.
fn numbers(stream: UnixStream, last: u64) -> Vec<u64> {
    let mut lines = BufReader::new(stream).split(b'\n').map(|line| line.unwrap());
    assert!(lines.next().unwrap().starts_with(b"HTTP/1.1 200"));
    let mut found = Vec::new();
    let mut rest = Vec::new();
    for line in lines {
        // Headers and the sizes of chunks end in CR, events do not; a chunk may end within an event.
        if line.ends_with(b"\r") {
            continue;
        }
        rest.extend_from_slice(&line);
        let Ok(event) = serde_json::from_slice::<Value>(&rest) else { continue };
        rest.clear();
        found.push(event["seq"].as_u64().unwrap());
        if found.last() == Some(&last) {
            return found;
        }
    }
    panic!("the stream ended at {:?}", found.last());
}

#[test]
fn every_reader_gets_every_event_once_and_a_slow_one_holds_nobody_up() {
    let t = TestEnvironment::new();
    t.p0(&["ticket", "new", "--title", "T"]).expect(0);
    let id = t.tickets()[0]["id"].as_str().unwrap().to_owned();
    let daemon = t.daemon();
    let begins = t.p0(&["audit", "log", "--json"]).expect(0).lines().len() as u64;
    let last = begins + COMMENTS as u64;
    let slow = follow(&t.data, 0);
    let data = t.data.clone();
    std::thread::scope(|scope| {
        let readers: Vec<_> = (0..4)
            .map(|n| {
                let stream = follow(&t.data, n % 2 * begins);
                scope.spawn(move || (n % 2 * begins, numbers(stream, last)))
            })
            .collect();
        let id = &id;
        let writers = (0..4).map(|w| {
            let data = data.clone();
            scope.spawn(move || {
                for n in 0..COMMENTS / 4 {
                    comment_on(&data, id, w * 1000 + n);
                }
            })
        });
        // All is written while the slow reader has not read a byte.
        for writer in writers.collect::<Vec<_>>() {
            writer.join().unwrap();
        }
        for reader in readers {
            let (since, found) = reader.join().unwrap();
            assert_eq!(found, (since + 1..=last).collect::<Vec<_>>());
        }
    });
    assert_eq!(numbers(slow, last), (1..=last).collect::<Vec<_>>(), "late, and whole all the same");
    let of_ticket = t.p0(&["audit", "log", "--ticket", &id, "--kind", "ticket.commented", "--json"]).expect(0).lines();
    assert_eq!(of_ticket.len(), COMMENTS);
    let following = t.start(&["audit", "log", "--ticket", &id, "--follow", "--json"]);
    wait_until("the past is shown", || following.out_so_far().lines().count() > COMMENTS);
    let shown = following.out_so_far().lines().count();
    t.p0(&["ticket", "comment", &id, "live"]).expect(0);
    wait_until("what is new is shown", || following.out_so_far().lines().count() == shown + 1);
    daemon.signal("TERM");
    daemon.wait();
    following.signal("TERM");
    following.wait();
}
