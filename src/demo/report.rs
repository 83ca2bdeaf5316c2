//! What `p0 demo` prints at the end of its run.
use crate::views::status::RunStatus;
use std::{fmt::Write as _, path::Path};

/// How often something happened on the way that the demo is there to show.
#[derive(Debug, Clone, Copy, Default)]
pub struct Story {
    /// Events `plan.refused`.
    pub plans_refused: usize,
    /// Events `gate.failed`.
    pub gates_failed: usize,
    /// Events `feedback.filed`.
    pub findings: usize,
}

/// The end of the demo in words: what it gained, what went wrong on the way, where the result is, and what to try
/// next. `root` is the demo's repository, `p0` how this program is called from a shell.
pub fn closing(status: &RunStatus, root: &Path, p0: &str, story: Story) -> String {
    let time = &status.time;
    let root = quoted(root);
    let commit = status.commit.as_ref().map(|c| c.short().to_owned()).unwrap_or_default();
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{:.1} s of agents' work in {:.1} s: {:.1} times as fast as one after the other",
        time.agent_s, time.wall_s, time.speedup
    );
    let _ = writeln!(
        text,
        "merge conflicts: {}   plans refused: {}   gates failed: {}   findings: {}",
        status.merge_conflicts, story.plans_refused, story.gates_failed, story.findings
    );
    let _ = writeln!(text, "branch {} at {commit} in {root}; your checkout is as it was", status.branch);
    let _ = writeln!(text, "\nNext, try:");
    let _ = writeln!(text, "  git -C {root} log --first-parent --stat {}", status.branch);
    let _ = writeln!(text, "  {p0} tickets {}", status.run);
    let _ = writeln!(text, "  {p0} replay {}", status.run);
    text
}

/// A path that can be pasted into a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:@".contains(c));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_samples::{aggregate, at, run_id};

    #[test]
    fn the_closing_words() {
        let status = RunStatus::of(&aggregate(), run_id(), at(10), String::new(), vec![]).unwrap();
        insta::assert_snapshot!(closing(&status, Path::new("/tmp/my demo"), "p0", Story { plans_refused: 1, gates_failed: 1, findings: 1 }), @r"
        30.0 s of agents' work in 10.0 s: 3.0 times as fast as one after the other
        merge conflicts: 0   plans refused: 1   gates failed: 1   findings: 1
        branch p0/x/main at bb in '/tmp/my demo'; your checkout is as it was

        Next, try:
          git -C '/tmp/my demo' log --first-parent --stat p0/x/main
          p0 tickets 00000000-0000-0000-0000-000000000007
          p0 replay 00000000-0000-0000-0000-000000000007
        ");
    }
}
