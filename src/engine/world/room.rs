//! Reports that say nothing but that a disk is full.
use crate::model::{attempt::Ending, command::Action};

/// Why there was no room, if this report is about nothing else.
pub(super) fn lacking(action: &Action) -> Option<String> {
    let why = match action {
        Action::RunBroken { why, .. } | Action::RunHeldUp { why, .. } | Action::AttemptLost { why, .. } => why,
        Action::Gated { gates, .. } => match gates.iter().find_map(|gate| gate.end.as_ref()).map(|end| &end.ending)? {
            Ending::NotStarted { why } | Ending::Lost { why } => why,
            Ending::Exited { .. }
            | Ending::Signaled { .. }
            | Ending::TimedOut { .. }
            | Ending::Idle { .. }
            | Ending::Stopped
            | Ending::NeverRan => return None,
        },
        Action::AttemptExited { report, .. } => match &report.ending {
            Ending::NotStarted { why } | Ending::Lost { why } => why,
            Ending::Exited { .. }
            | Ending::Signaled { .. }
            | Ending::TimedOut { .. }
            | Ending::Idle { .. }
            | Ending::Stopped
            | Ending::NeverRan => return None,
        },
        _ => return None,
    };
    is_full(why).then(|| why.clone())
}

/// What is to be done about it, where the system's words do not say: too many open files.
pub(super) fn mend(why: &str) -> &'static str {
    if ["os error 24", "os error 23", "Too many open files"].iter().any(|words| why.contains(words)) {
        " (the limit of open files, RLIMIT_NOFILE, is reached: raise it with `ulimit -n 4096` or LimitNOFILE=, or lower \
         [limits] max_parallel)"
    } else {
        ""
    }
}

/// Whether an error is about nothing but room.
pub(super) fn is_full(why: &str) -> bool {
    // The libraries below give errors as text; these are the system's words for ENOSPC, EDQUOT and EFBIG.
    ["No space left on device", "Disk quota exceeded", "File too large"].iter().any(|words| why.contains(words))
}
