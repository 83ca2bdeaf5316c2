//! Events in words: one line each, for people who follow a run.
use p0_model::{
    actor::Actor,
    attempt::{ExitReport, Outcome},
    event::{Event, OpenStatus, events_about},
    kept::Origin,
    protocol::Message,
    record::Record,
    ticket::Holder,
    workflow::Choice,
};

/// How much an event matters to somebody who follows a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Only in the audit log.
    Detail,
    /// Worth a line.
    Normal,
    /// Worth a line in colour: it went wrong.
    Bad,
    /// Worth a line in colour: it went well.
    Good,
}

/// One event in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub weight: Weight,
    /// The words, without the time; one line.
    pub text: String,
}

/// An event in words. One that this version cannot read is told by its kind.
pub fn line(record: &Record) -> Line {
    let Ok(draft) = record.to_draft() else {
        return Line { weight: Weight::Detail, text: one_line(&format!("{} {}", subject(record), record.kind)) };
    };
    let (weight, words) = words(&draft.event);
    let subject = subject(record);
    let text = if subject.is_empty() { words } else { format!("{subject}: {words}") };
    Line { weight, text: one_line(&text) }
}

/// A line with time and actor, as `p0 audit log` prints it.
pub fn audit_line(record: &Record) -> String {
    let at = record.at.format("%Y-%m-%d %H:%M:%S%.3f");
    let actor = match &record.actor {
        Actor::Engine => "engine".to_owned(),
        Actor::Person(name) => format!("person:{name}"),
        Actor::Worker(name) => format!("worker:{name}"),
        Actor::Agent { role, attempt } => format!("{role}@{}", tail(&attempt.to_string())),
    };
    format!("{:>6}  {at}  {:<20}  {:<28}  {}", record.seq, one_line(&actor), record.kind, line(record).text)
}

/// The last six digits of an id: the ones that tell ids of the same moment apart.
pub fn tail(id: &str) -> &str {
    id.get(id.len().saturating_sub(6)..).unwrap_or(id)
}

/// Text of others cannot move the cursor or hide what was said.
pub fn one_line(text: &str) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(400).collect();
    clean.trim_end().to_owned()
}

fn subject(record: &Record) -> String {
    let role = match &record.actor {
        Actor::Agent { role, .. } => Some(role.0.as_str()),
        Actor::Engine | Actor::Person(_) | Actor::Worker(_) => None,
    };
    match (&record.ticket, role) {
        (Some(ticket), _) => ticket.to_string(),
        (None, Some(role)) => role.to_owned(),
        (None, None) => String::new(),
    }
}

fn words(event: &Event) -> (Weight, String) {
    let run = of_run(event).or_else(|| of_ticket(event)).or_else(|| of_attempt(event));
    run.or_else(|| of_landing(event)).unwrap_or_else(|| of_the_rest(event))
}

fn of_run(event: &Event) -> Option<(Weight, String)> {
    use Weight::{Bad, Detail, Good, Normal};
    Some(match event {
        Event::MilestoneCreated { key, title, .. } => (Normal, format!("milestone {key}: {title}")),
        Event::MilestoneUpdated { title, .. } => (Normal, format!("the spec changed: {title}")),
        Event::RunStarted { id, branch, origin: Some(Origin { run, seq }), .. } => {
            (Normal, format!("run {id} on {branch}, forked from run {run} at event {seq}"))
        }
        Event::RunImported { imported } => {
            (Normal, format!("run {} of {} taken in: {}", imported.run.run, imported.key, imported.title))
        }
        Event::RunArchived { archived } => (
            Normal,
            format!("{} is archived: {} events of {} runs", archived.key, archived.file.events, archived.runs.len()),
        ),
        Event::RunStarted { id, workflow, base, branch, .. } => {
            (Normal, format!("run {id} of workflow {} on {branch} from {}", workflow.name, base.short()))
        }
        Event::RunOpened { head } => (Detail, format!("branch ready at {}", head.short())),
        Event::RunIterationStarted { iteration, .. } => (Normal, format!("iteration {iteration}")),
        Event::RunDecided { decision, reason } => {
            let word = match decision {
                Choice::Continue => "CONTINUE",
                Choice::Done => "DONE",
                Choice::Stuck => "STUCK",
            };
            (Normal, with_reason(&format!("the planner decides {word}"), reason))
        }
        Event::RunPaused { why, until: Some(until), .. } => {
            (Normal, format!("paused until {}: {why}", until.format("%H:%M:%S UTC")))
        }
        Event::RunPaused { why, until: None, .. } => (Normal, format!("paused: {why}")),
        Event::RunAwaitingApproval { why } => (Normal, format!("waits for an answer: {why}")),
        Event::RunResumed {} => (Normal, "goes on".to_owned()),
        Event::RunBudgetChanged { .. } => (Normal, "has another budget from now on".to_owned()),
        Event::RunStuck { why } => (Bad, format!("STUCK: {why}")),
        Event::RunDone { commit } => (Good, format!("DONE at {}", commit.short())),
        Event::RunFailed { why } => (Bad, format!("failed: {why}")),
        Event::RunCancelled { why } => (Bad, with_reason("cancelled", why)),
        Event::StageEntered { stage } => (Normal, format!("stage {stage}")),
        Event::StageCompleted { stage } => (Detail, format!("stage {stage} is complete")),
        Event::RunRebased { .. }
        | events_about!(
            new_ticket ticket new_attempt attempt ownership gate integration verdict learning agent approval
            rights refusal engine
        ) => return None,
    })
}

fn of_ticket(event: &Event) -> Option<(Weight, String)> {
    use Weight::{Bad, Detail, Good, Normal};
    Some(match event {
        Event::TicketCreated { ticket } => (Normal, format!("new: {}", ticket.title)),
        Event::TicketUpdated { .. } => (Detail, "changed".to_owned()),
        Event::TicketClaimed { claim } => match &claim.holder {
            Holder::Attempt { .. } => (Detail, "claimed by an attempt".to_owned()),
            Holder::Worker { name, .. } => (Normal, format!("claimed by {name}")),
        },
        Event::TicketReleased { why } => (Detail, with_reason("released", why)),
        Event::TicketRenewed {} => (Detail, "claim renewed".to_owned()),
        Event::TicketLeaseExpired { why } => (Bad, with_reason("the claim expired", why)),
        Event::TicketStatusChanged { status, reason } => {
            let word = match status {
                OpenStatus::Open => "open",
                OpenStatus::InProgress => "in progress",
            };
            (Detail, with_reason(word, reason))
        }
        Event::TicketReopened { reason, .. } => (Normal, with_reason("open again", reason)),
        Event::TicketCommented { text } => (Normal, format!("\"{text}\"")),
        Event::TicketDeferred { reason } => (Normal, with_reason("put off", reason)),
        Event::TicketCompleted { commit: Some(commit) } => (Good, format!("done as {}", commit.short())),
        Event::TicketCompleted { commit: None } => (Good, "done".to_owned()),
        Event::TicketBlocked { on } => (Bad, format!("blocked: {on}")),
        Event::FeedbackFiled { ticket } => (Normal, format!("feedback: {}", ticket.title)),
        events_about!(
            milestone run stage new_attempt attempt ownership gate integration verdict learning agent approval
            rights refusal run_file engine
        ) => return None,
    })
}

fn of_attempt(event: &Event) -> Option<(Weight, String)> {
    use Weight::{Bad, Detail, Normal};
    Some(match event {
        Event::AttemptStarted { role, agent, round, .. } => (Normal, format!("{role} starts ({agent}, round {round})")),
        Event::AttemptSpawned { pid, .. } => (Detail, format!("supervisor {pid} waits")),
        Event::AttemptReported { message, .. } => (Detail, said(message)),
        Event::AttemptExited { report } => {
            let weight = match report.ending.is_clean() {
                true if report.truncated => Normal,
                true => Detail,
                false => Bad,
            };
            (weight, format!("its program {}{}", report.ending, left_out(report)))
        }
        Event::AttemptTimedOut { limit } => (Bad, format!("ended at its limit: {limit}")),
        Event::AttemptLost { why, .. } => (Bad, with_reason("lost", why)),
        Event::AttemptStopping { why, filled } => {
            (if filled.is_some() { Bad } else { Detail }, with_reason("being ended", why))
        }
        Event::AttemptHarvested { harvest } => (Detail, format!("changed {} files", harvest.changes.len())),
        Event::AttemptFinished { outcome } => match outcome {
            Outcome::Accepted => (Detail, "accepted".to_owned()),
            Outcome::Refused { reasons } => (Bad, format!("refused: {}", reasons.join("; "))),
            Outcome::Failed { why } => (Bad, with_reason("failed", why)),
            Outcome::Lost { why } => (Bad, with_reason("lost", why)),
            Outcome::Cancelled => (Normal, "cancelled".to_owned()),
        },
        Event::AttemptReleased { parked: Some(parked) } => (Normal, format!("unlanded work is kept at {parked}")),
        Event::AttemptReleased { parked: None } => (Detail, "worktree given back".to_owned()),
        events_about!(
            milestone new_ticket ticket run stage ownership gate integration verdict learning agent approval
            rights refusal run_file engine
        ) => return None,
    })
}

/// What of a program's output is not kept.
fn left_out(report: &ExitReport) -> String {
    let (printed, kept) = (report.stdout_bytes, report.transcript.as_ref().map_or(0, |blob| blob.size));
    match report.truncated {
        true if kept < printed => {
            format!("; of its output {kept} of {printed} bytes are kept, the rest was over limits.output_bytes")
        }
        true => "; of its standard error only the first part is kept, the rest was over the limit".to_owned(),
        false => String::new(),
    }
}

fn of_landing(event: &Event) -> Option<(Weight, String)> {
    use Weight::{Bad, Detail, Good, Normal};
    Some(match event {
        Event::OwnershipGranted { files } => {
            (Normal, format!("owns more files: {}", files.all().collect::<Vec<_>>().join(", ")))
        }
        Event::OwnershipViolated { paths, .. } => {
            (Bad, format!("changed files that are not its own: {}", paths.join(", ")))
        }
        Event::OwnershipExtensionRequested { files, refused, .. } => {
            let files = files.all().collect::<Vec<_>>().join(", ");
            match refused {
                Some(why) => (Bad, format!("asked for {files}; refused: {why}")),
                None => (Detail, format!("asked for {files}")),
            }
        }
        Event::GatePassed { gate, commit, .. } => {
            (Normal, format!("gate `{}` passed on {}", gate.join(" "), commit.short()))
        }
        Event::GateFailed { gate, commit, why, .. } => {
            (Bad, format!("gate `{}` failed on {}: {why}", gate.join(" "), commit.short()))
        }
        Event::GateLost { lost } => {
            let (gate, commit) = (lost.gate.join(" "), lost.commit.short());
            (Bad, format!("gate `{gate}` was lost on {commit}, and is run again: {}", lost.why))
        }
        Event::IntegrationQueued { .. } => (Detail, "waits to land".to_owned()),
        Event::IntegrationMerged { .. } => (Detail, "merged in memory".to_owned()),
        Event::IntegrationConflicted { paths, .. } => (Bad, format!("does not merge: {}", paths.join(", "))),
        Event::IntegrationLanded { commit, .. } => (Good, format!("landed as {}", commit.short())),
        Event::EffectIntended { .. } => (Detail, "about to land".to_owned()),
        events_about!(
            milestone new_ticket ticket run stage new_attempt attempt verdict learning agent approval rights refusal
            run_file engine
        ) => return None,
    })
}

/// A tool, and what it is used on.
fn on(tool: &str, target: &str) -> String {
    if target.is_empty() { tool.to_owned() } else { format!("{tool} on {target}") }
}

fn of_the_rest(event: &Event) -> (Weight, String) {
    use Weight::{Bad, Detail, Good, Normal};
    match event {
        Event::VerdictIssued { met: true, rationale, .. } => (Good, with_reason("verdict: met", rationale)),
        Event::VerdictIssued { met: false, rationale, gaps, .. } => {
            let why = if gaps.is_empty() { rationale.clone() } else { gaps.join("; ") };
            (Bad, with_reason("verdict: not met", &why))
        }
        Event::LearningRecorded { text, .. } => (Normal, format!("learned: {text}")),
        Event::LearningCurated { keep } => (Detail, format!("keeps {} learnings", keep.len())),
        Event::BudgetExhausted { what } => (Bad, format!("the budget is used up: {what}")),
        Event::AgentRateLimited { agent, until } => {
            (Bad, format!("agent {agent} takes no work until {}", until.format("%Y-%m-%d %H:%M:%S UTC")))
        }
        Event::AgentAvailable { agent } => (Normal, format!("agent {agent} takes work again")),
        Event::RightsRefused { what, why } => (Bad, format!("{what} refused: {why}")),
        Event::SandboxDenied { operation, path, times } => {
            (Detail, format!("its sandbox did not let it {operation} {path}{}", times_of(*times)))
        }
        Event::SecretRedacted { name, times } => (Bad, format!("showed the secret {name}{}", times_of(*times))),
        Event::ApprovalRequested { approval } => {
            let what = on(&approval.tool, &approval.target);
            (Normal, format!("asks to use {what}: `p0 approve {0}` or `p0 reject {0}`", approval.id))
        }
        Event::ApprovalAnswered { id, allowed, reason } => {
            let word = if *allowed { "allowed" } else { "denied" };
            (if *allowed { Normal } else { Bad }, with_reason(&format!("{id} is {word}"), reason))
        }
        Event::PlanRefused { reasons } => (Bad, format!("the plan is refused: {}", reasons.join("; "))),
        Event::ResultIgnored { what, why } => (Detail, format!("{what} ignored: {why}")),
        Event::JournalRepaired { what } => (Normal, format!("the log was repaired: {what}")),
        Event::StoreRebuilt { why } => (Normal, format!("the store was made anew: {why}")),
        Event::ClockStepped { step } => (Bad, step.to_string()),
        other @ (Event::AgentUnavailable { .. }
        | events_about!(
            milestone new_ticket ticket run stage new_attempt attempt ownership gate integration run_file
        )) => (Detail, other.kind().to_owned()),
    }
}

fn times_of(times: u64) -> String {
    if times == 1 { String::new() } else { format!(" ({times} times)") }
}

fn said(message: &Message) -> String {
    match message {
        Message::Comment { text } | Message::Learning { text } | Message::Question { text } => {
            format!("{}: {text}", message.word())
        }
        Message::Status { status, reason } => with_reason(&format!("status {status:?}").to_lowercase(), reason),
        Message::Usage { input_tokens, output_tokens, .. } => {
            format!("used {input_tokens} + {output_tokens} tokens")
        }
        Message::Permission { tool, target, allowed, why } => {
            let word = if *allowed { "may use" } else { "may not use" };
            with_reason(&format!("{word} {}", on(tool, target)), why)
        }
        other @ (Message::Ticket(_)
        | Message::Defer { .. }
        | Message::Decision { .. }
        | Message::Subtask(_)
        | Message::Curate { .. }
        | Message::RequestFiles { .. }
        | Message::Verdict { .. }
        | Message::Feedback { .. }
        | Message::Artifact { .. }
        | Message::Checklist { .. }
        | Message::Confidence { .. }
        | Message::Session { .. }
        | Message::Failed { .. }
        | Message::Activity { .. }
        | Message::Ask { .. }
        | Message::RateLimited { .. }
        | Message::Unreadable { .. }) => format!("said {}", other.word()),
    }
}

fn with_reason(what: &str, why: &str) -> String {
    if why.trim().is_empty() { what.to_owned() } else { format!("{what}: {why}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_model::{id::TicketId, record::Draft};
    use p0_samples::{at, attempt_id};

    fn record(actor: Actor, ticket: Option<u32>, event: Event) -> Record {
        let ticket = ticket.map(|n| TicketId::new("BLOG", n));
        Record::new(7, &Draft { at: at(0), run: None, ticket, attempt: None, actor, event })
    }

    #[test]
    fn events_read_as_sentences() {
        let agent = Actor::Agent { role: "verifier".into(), attempt: attempt_id() };
        let lines = [
            record(Actor::Engine, Some(2), Event::IntegrationConflicted { paths: vec!["a".into()], onto: "b".into() }),
            record(
                agent,
                None,
                Event::VerdictIssued { met: true, rationale: "all there".into(), gaps: vec![], commit: "c".into() },
            ),
            record(Actor::Person("ada".into()), Some(1), Event::TicketCommented { text: "a\u{1b}[2J\nb".into() }),
            record(Actor::Engine, None, Event::RunStuck { why: "no progress".into() }),
        ];
        let text: Vec<String> = lines.iter().map(|r| line(r).text).collect();
        insta::assert_snapshot!(text.join("\n"), @r#"
        BLOG-2: does not merge: a
        verifier: verdict: met: all there
        BLOG-1: "a [2J b"
        STUCK: no progress
        "#);
        insta::assert_snapshot!(audit_line(&lines[3]), @"     7  2023-11-14 22:13:20.000  engine                run.stuck                     STUCK: no progress");
    }

    #[test]
    fn an_event_of_a_newer_version_is_told_by_its_kind() {
        let mut newer = record(Actor::Engine, Some(1), Event::RunResumed {});
        newer.kind = "ticket.enchanted".into();
        assert_eq!(line(&newer).text, "BLOG-1 ticket.enchanted");
    }
}
