//! One attempt that fills the disk does not stop the others.
use crate::{
    env::TestEnvironment,
    store::{Tmpfs, mounts_allowed},
};
use serde_json::Value;

/// A writes until there is no room, in the way of the test; B works beside it, and ends later.
fn two(fill: &str) -> TestEnvironment {
    TestEnvironment::with(&format!(
        "def plan(): ticket('a', ['a.txt']); ticket('b', ['b.txt'])\n\
         def fill():\n{fill}\n\
         def executor():\n\
         \x20 if title == 'b': note('b-at-work'); wait_for('a-was-ended'); own_files()\n\
         \x20 elif rnd == 1: wait_for('b-at-work'); fill()\n\
         \x20 else: note('told', json.dumps(I['feedback'])); own_files()\n"
    ))
}

/// Everything that is there is written to, until nothing goes.
const FOR_EVER: &str = "\x20 while True:\n\x20   try:\n\x20     f.write(b'x' * 1048576); f.flush()\n\x20   except OSError: time.sleep(0.01)";

/// B goes on once A was ended; both land.
fn both_land(t: &TestEnvironment) -> Value {
    let run = t.start_run(&["--json"]);
    t.wait_note("b-at-work");
    crate::env::wait_until("A is ended", || run.err_so_far().contains("filled the disk"));
    t.go("a-was-ended");
    let status = run.wait().expect(0).json();
    assert_eq!((status["state"].as_str(), status["tickets"]["done"].as_u64()), (Some("done"), Some(2)), "{status}");
    let told = t.note("told");
    assert!(told[0].as_str().unwrap().contains("it filled the disk"), "{told}");
    let stopping = t.events("attempt.stopping");
    let filled: Vec<&Value> = stopping.iter().filter(|event| event["data"]["filled"].is_object()).collect();
    assert_eq!(filled.len(), 1, "{stopping:?}");
    assert!(filled[0]["data"]["filled"]["bytes"].as_u64().unwrap() > 16 << 20, "{filled:?}");
    let tickets = t.tickets();
    let b = tickets.iter().find(|ticket| ticket["title"] == "b").unwrap();
    assert_eq!(b["attempts"].as_array().unwrap().len(), 1, "B was not disturbed: {b}");
    t.log_is_whole();
    status
}

#[test]
fn an_attempt_that_fills_the_disk_is_ended_and_the_others_go_on() {
    if !mounts_allowed() {
        return;
    }
    let t = two(&format!("\x20 f = open('a.txt', 'wb')\n{FOR_EVER}"));
    let _disk = Tmpfs::at(&t.data, 300);
    let status = both_land(&t);
    let replay = t.p0(&["replay", "@last", "--json"]).expect(0).json();
    assert_eq!((&replay["digest"], &replay["divergence"]), (&status["digest"], &Value::Null));
}

/// In its temporary folder, in a file that has no name any more, and in many small ones that git would take.
#[test]
fn wherever_it_writes() {
    if !mounts_allowed() {
        return;
    }
    let unnamed = "\x20 import tempfile\n\x20 f = tempfile.TemporaryFile()\n";
    let many = "\x20 n = 0\n\x20 while True:\n\x20   n += 1\n\x20   try:\n\x20     put(f'd{n % 50}/{n}', os.urandom(30000).hex())\n\
                \x20   except OSError: time.sleep(0.01)";
    for fill in [format!("{unnamed}{FOR_EVER}"), many.to_owned()] {
        let t = two(&fill);
        let _disk = Tmpfs::at(&t.data, 300);
        both_land(&t);
    }
}

#[test]
fn without_a_reserve_nobody_is_ended() {
    if !mounts_allowed() {
        return;
    }
    let t = TestEnvironment::with(
        "def executor():\n\
         \x20 f = open(os.environ['TMPDIR'] + '/f', 'wb')\n\
         \x20 try:\n\x20   while True: f.write(b'x' * 1048576); f.flush()\n\
         \x20 except OSError: f.close(); os.remove(f.name); own_files()\n",
    );
    t.config("disk_reserve_mb = 0\n");
    let _disk = Tmpfs::at(&t.data, 300);
    t.run_json(0);
    assert!(!t.data.join("reserve").exists());
    assert_eq!(t.events("attempt.stopping").len(), 0);
}
