//! What the end of a gate says about the commit: a judgement, or nothing.
use p0_model::{
    attempt::{Attempt, Ending},
    command::{GateEnd, GateReport},
    run::{LOST_IN_A_ROW, Run, SIGNALS_IN_A_ROW},
};

/// What the reports of a commit's gates come to.
pub(super) enum Said<'a> {
    /// They passed, or failed for what the commit is.
    Judged,
    /// One was ended before it could judge: it is to be run again.
    Lost {
        /// Its report.
        gate: &'a GateReport,
        /// What became of it.
        why: String,
    },
    /// One cannot be started, which is no fault of the commit.
    CannotStart {
        /// Why, and what would help.
        why: String,
    },
}

/// Before rules 5 everything but exit code 0 was a judgement.
pub(super) fn said<'a>(gates: &'a [GateReport], attempt: &Attempt, run: &Run) -> Said<'a> {
    if !run.tells_trouble_from_fault() {
        return Said::Judged;
    }
    let ended = gates.iter().filter(|gate| !gate.passed).find_map(|gate| Some((gate, gate.end.as_deref()?)));
    let Some((gate, end)) = ended else { return Said::Judged };
    let lost = |most: u32| {
        // Lost so often is no accident: the commit's tests may bring it about.
        if attempt.gates_lost >= most {
            return Said::Judged;
        }
        Said::Lost { gate, why: format!("it {}", end.ending) }
    };
    match &end.ending {
        Ending::Stopped | Ending::NeverRan | Ending::Lost { .. } => lost(LOST_IN_A_ROW),
        Ending::Signaled { .. } if end.ending.is_by_signal_from_outside() => lost(SIGNALS_IN_A_ROW),
        Ending::NotStarted { why } if !starts_on_base(end) => {
            Said::CannotStart { why: format!("the gate `{}` cannot be started: {why}", gate.gate.join(" ")) }
        }
        // A shell says so of a program that it started.
        Ending::Exited { code: 137 } => lost(SIGNALS_IN_A_ROW),
        Ending::Exited { code } => match &end.missing {
            Some(program) if end.on_base.as_ref() == Some(&end.ending) => {
                let why = format!(
                    "the gate `{}` exited with code {code}, on the commit before as well: the program {program} is not on \
                     PATH; install it",
                    gate.gate.join(" ")
                );
                Said::CannotStart { why }
            }
            Some(_) | None => Said::Judged,
        },
        Ending::NotStarted { .. } | Ending::Signaled { .. } | Ending::TimedOut { .. } | Ending::Idle { .. } => {
            Said::Judged
        }
    }
}

/// Whether the same gate could be started on the commit that the merge began from: then this commit broke it.
fn starts_on_base(end: &GateEnd) -> bool {
    match &end.on_base {
        None | Some(Ending::NotStarted { .. } | Ending::NeverRan | Ending::Lost { .. } | Ending::Stopped) => false,
        Some(Ending::Exited { .. } | Ending::Signaled { .. } | Ending::TimedOut { .. } | Ending::Idle { .. }) => true,
    }
}
