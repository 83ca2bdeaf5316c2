//! Dates that jump: deadlines are durations.
use crate::{
    env::{TestEnvironment, wait_until},
    mcp::world,
};
use std::{fs, path::PathBuf};

/// An environment whose date a test sets.
struct Dated {
    t: TestEnvironment,
    shift: PathBuf,
}

const HOUR: i64 = 3_600_000;

impl Dated {
    fn with(agent: &str, shift_ms: i64) -> Dated {
        Dated::of(TestEnvironment::with(agent), shift_ms)
    }

    fn of(mut t: TestEnvironment, shift_ms: i64) -> Dated {
        let shift = t.dir.join("shift");
        t.set("P0_TEST_CLOCK", &shift.display().to_string());
        let it = Dated { t, shift };
        it.set(shift_ms);
        it
    }

    /// Whole at every moment: it is read while it is written.
    fn set(&self, shift_ms: i64) {
        let draft = self.shift.with_extension("new");
        fs::write(&draft, shift_ms.to_string()).unwrap();
        fs::rename(draft, &self.shift).unwrap();
    }
}

/// The first try is refused for two seconds, the second works.
const LIMITED: &str = "def executor():\n\
                       \x20 if os.path.exists(DIR + '/notes/once'): own_files(); return\n\
                       \x20 note('once'); say('rate_limited', retry_after_s=2); sys.exit(1)\n";

#[test]
fn a_limit_takes_its_time_after_the_date_was_ahead() {
    let it = Dated::with("", HOUR);
    it.t.run_json(0);
    it.set(0);
    it.t.agent(LIMITED);
    it.t.spec("# Another\n\nMake it.\n");
    // It would take an hour.
    let status = it.t.run_json(0);
    assert_eq!(status["tickets"]["done"], 1);
    let stepped = it.t.events("clock.stepped");
    assert!(stepped[0]["data"]["behind_log_ms"].as_i64().unwrap() > HOUR - 600_000, "{stepped:?}");
}

#[test]
fn a_date_that_is_behind_the_log_is_told() {
    let it = Dated::with("", 30 * 24 * HOUR);
    it.t.run_json(0);
    it.set(0);
    it.t.spec("# Another\n\nMake it.\n");
    let output = it.t.run(&[]).expect(0);
    assert!(output.err.contains("behind the log"), "{output:?}");
    let doctor = it.t.p0(&["doctor", "--json"]).json();
    let checks = doctor["checks"].as_array().unwrap();
    let clock = checks.iter().find(|check| check["name"] == "clock").unwrap();
    assert_eq!(clock["verdict"], "warn", "{clock}");
    assert!(clock["text"].as_str().unwrap().contains("behind"), "{clock}");
}

/// Both ways, in the middle of everything, with a limit that is waited for.
#[test]
fn a_date_that_is_set_while_agents_work_changes_no_deadline() {
    for shift in [-2 * HOUR, 2 * HOUR] {
        let it = Dated::with(
            "def executor():\n\
             \x20 if os.path.exists(DIR + '/notes/once'): own_files(); return\n\
             \x20 note('once'); wait_for('shifted'); say('rate_limited', retry_after_s=2); sys.exit(1)\n",
            0,
        );
        let run = it.t.start_run(&["--json"]);
        it.t.wait_note("once");
        it.set(shift);
        it.t.go("shifted");
        let output = run.wait().expect(0);
        assert!(output.err.contains("the date of the machine was set 2 h"), "{output:?}");
        let way = if shift > 0 { "forward" } else { "back" };
        assert!(output.err.contains(way), "{output:?}");
        let stepped = it.t.events("clock.stepped");
        assert_eq!(stepped.len(), 1, "{stepped:?}");
        it.t.log_is_whole();
    }
}

/// A question keeps its patience when the date is set, and the program that asks is not idle meanwhile.
#[test]
fn a_question_is_open_for_as_long_as_it_is_to_be() {
    let t = world(
        "def executor():\n  m = Mcp(args=['--permissions', 'ask'])\n  \
         m.call('permission_prompt', tool_name='Bash', input={'command': 'x'}); own_files(); m.end()",
    );
    let it = Dated::of(t, 0);
    it.t.config("approval_s = 3000\n[roles.executor]\nidle_s = 60\n");
    let run = it.t.start_run(&["--json"]);
    wait_until("it is asked", || it.t.p0(&["approvals"]).expect(0).out.contains("BLOG-A1"));
    it.set(24 * HOUR);
    // Every command reads the date.
    it.t.p0(&["ticket", "comment", "BLOG-1", "tick"]).expect(0);
    assert_eq!(it.t.events("approval.answered").len(), 0);
    it.t.p0(&["approve", "BLOG-A1"]).expect(0);
    run.wait().expect(0);
}

#[test]
fn no_date_stops_anything() {
    let year = |years: i64| years * 365 * 24 * HOUR;
    for (shift, told) in [(-year(500), "1970"), (year(73), "2099"), (year(300), "2261"), (i64::MAX, "2261")] {
        let it = Dated::with(LIMITED, shift);
        let output = it.t.run(&["--json"]).expect(0);
        assert!(output.err.contains("cannot be right") && output.err.contains(told), "{shift}: {output:?}");
        it.t.log_is_whole();
        it.t.p0(&["replay", "@last", "--json"]).expect(0);
        let doctor = it.t.p0(&["doctor"]).out;
        assert!(doctor.contains("cannot be right"), "{doctor}");
        // And the way back.
        it.set(0);
        it.t.spec("# Another\n\nMake it.\n");
        it.t.agent("");
        it.t.run_json(0);
        it.t.p0(&["gc"]).expect(0);
        it.t.log_is_whole();
    }
}
