//! Reports about an attempt's process.
use super::{
    approval, control,
    cx::{Cx, Scope},
    finding, provider,
};
use crate::{
    rights::{may_say, says_trouble},
    schedule,
};
use p0_model::{
    attempt::{DiskUse, Ending, ExitReport, Outcome, Phase, Usage, Worktree},
    event::Event,
    files::Files,
    id::{AttemptId, LearningId},
    paths::PathFact,
    protocol::Message,
    rejection::Rejection,
    reply::Reply,
    run::RunState,
};

/// Programs of one agent that may fail to start in a row before the run fails.
const START_FAILURES: u32 = 3;

pub(super) fn spawned(cx: &mut Cx<'_>, id: AttemptId, event: Event) -> Result<Reply, Rejection> {
    let scope = cx.scope_of(id)?;
    match cx.attempt(id)?.phase {
        Phase::Starting => cx.emit_engine(scope, event),
        Phase::Running { .. } | Phase::Exited { .. } | Phase::Integrating { .. } | Phase::Finished { .. } => {
            cx.ignore(id, "attempt spawned", "the attempt was started already")?;
        }
    }
    Ok(Reply::Ok)
}

/// A message's line and its part of that line, from 0. Line 0 came through the attempt's socket.
type Place = (u64, u32);

/// Something an attempt says. Lines are numbered, and so are the messages of one line: what was taken before a crash is
/// not taken twice.
pub(super) fn said(
    cx: &mut Cx<'_>,
    id: AttemptId,
    place: Place,
    message: &Message,
    paths: &[PathFact],
) -> Result<Reply, Rejection> {
    let attempt = cx.attempt(id)?;
    let (line, part) = place;
    if line > 0 && place <= (attempt.line, attempt.part) {
        return Ok(Reply::Ignored);
    }
    match attempt.phase {
        Phase::Starting | Phase::Running { .. } => {}
        Phase::Exited { .. } | Phase::Integrating { .. } | Phase::Finished { .. } => {
            cx.ignore(id, message.word(), "the attempt is over")?;
            return Ok(Reply::Ignored);
        }
    }
    if let Message::Ask { tool, target, why } = message {
        if line > 0 {
            let (scope, agent) = (cx.scope_of(id)?, cx.agent(id)?);
            cx.emit_as(agent, scope, Event::AttemptReported { line, part, message: message.clone() });
        }
        return approval::ask(cx, id, tool, target, why);
    }
    let refused = take(cx, id, place, message, paths)?;
    Ok(refused.map_or(Reply::Ok, |why| Reply::Refused { why }))
}

/// Takes it, or puts on record why not; the answer is that reason.
fn take(
    cx: &mut Cx<'_>,
    id: AttemptId,
    (line, part): Place,
    message: &Message,
    paths: &[PathFact],
) -> Result<Option<String>, Rejection> {
    let (scope, agent) = (cx.scope_of(id)?, cx.agent(id)?);
    let attempt = cx.attempt(id)?;
    let run = cx.run(attempt.run)?;
    let is_unread = run.hears_trouble_from_every_role() && says_trouble(message) && line > 0;
    if let Err(why) = may_say(attempt.rights, run.rules, message) {
        let what = message.word().to_owned();
        cx.emit_as(agent.clone(), scope.clone(), Event::RightsRefused { what: what.clone(), why: why.clone() });
        // Through its socket it was told so, and can say it otherwise.
        if is_unread {
            let unread = Message::Unreadable { line, column: 0, what, why: why.clone() };
            cx.emit_as(agent, scope, Event::AttemptReported { line, part, message: unread });
        }
        return Ok(Some(why));
    }
    if let Err(why) = sound(message) {
        if matches!(message, Message::Usage { .. }) && cx.run(attempt.run)?.tells_of_unread_messages() {
            let unread = Message::Unreadable { line, column: 0, what: "usage".to_owned(), why: why.clone() };
            cx.emit_as(agent, scope, Event::AttemptReported { line, part, message: unread });
            return Ok(Some(why));
        }
        cx.emit_engine(scope, Event::ResultIgnored { what: message.word().to_owned(), why: why.clone() });
        return Ok(Some(why));
    }
    cx.emit_as(agent.clone(), scope.clone(), Event::AttemptReported { line, part, message: message.clone() });
    match message {
        Message::Comment { text } if scope.ticket.is_some() => {
            cx.emit_as(agent, scope, Event::TicketCommented { text: text.clone() });
        }
        Message::Learning { text } => {
            let learning = LearningId(format!("L{}", cx.state.learnings.len() + 1));
            cx.emit_as(agent, scope, Event::LearningRecorded { id: learning, text: text.clone() });
        }
        Message::RequestFiles { create, modify, reason } => {
            let files = Files { create: create.clone(), modify: modify.clone() };
            return finding::request_files(cx, id, files, reason, paths);
        }
        Message::RateLimited { .. } | Message::Failed { .. } => provider::heard(cx, id, message)?,
        Message::Question { text } if scope.ticket.is_some() => {
            cx.emit_as(agent, scope, Event::TicketCommented { text: format!("needs input: {text}") });
        }
        Message::Comment { .. }
        | Message::Question { .. }
        | Message::Unreadable { .. }
        | Message::Status { .. }
        | Message::Artifact { .. }
        | Message::Checklist { .. }
        | Message::Confidence { .. }
        | Message::Usage { .. }
        | Message::Session { .. }
        | Message::Activity { .. }
        | Message::Permission { .. }
        | Message::Ask { .. }
        | Message::Ticket(_)
        | Message::Subtask(_)
        | Message::Defer { .. }
        | Message::Decision { .. }
        | Message::Verdict { .. }
        | Message::Feedback { .. }
        | Message::Curate { .. } => {}
    }
    Ok(None)
}

/// Whether the numbers of a message can be true.
fn sound(message: &Message) -> Result<(), String> {
    /// More than any attempt can use.
    const MOST_TOKENS: u64 = 1_000_000_000_000;
    const MOST_USD: f64 = 1_000_000.0;
    match message {
        Message::Usage { input_tokens, output_tokens, cost_usd, .. }
        | Message::Session { used: Usage { input_tokens, output_tokens, cost_usd, .. }, .. } => {
            let tokens = (*input_tokens).max(*output_tokens) <= MOST_TOKENS;
            if tokens && cost_usd.is_finite() && (0.0..=MOST_USD).contains(cost_usd) {
                Ok(())
            } else {
                Err(format!("{input_tokens} + {output_tokens} tokens for {cost_usd} USD cannot be"))
            }
        }
        Message::Confidence { value } if !value.is_finite() => Err(format!("{value} is no confidence")),
        Message::Ticket(_)
        | Message::Defer { .. }
        | Message::Decision { .. }
        | Message::Status { .. }
        | Message::Subtask(_)
        | Message::Comment { .. }
        | Message::Learning { .. }
        | Message::Curate { .. }
        | Message::RequestFiles { .. }
        | Message::Verdict { .. }
        | Message::Feedback { .. }
        | Message::Artifact { .. }
        | Message::Checklist { .. }
        | Message::Confidence { .. }
        | Message::Failed { .. }
        | Message::Activity { .. }
        | Message::Permission { .. }
        | Message::Ask { .. }
        | Message::RateLimited { .. }
        | Message::Question { .. }
        | Message::Unreadable { .. } => Ok(()),
    }
}

pub(super) fn exited(cx: &mut Cx<'_>, id: AttemptId, report: &ExitReport) -> Result<Reply, Rejection> {
    let scope = cx.scope_of(id)?;
    match cx.attempt(id)?.phase {
        Phase::Starting | Phase::Running { .. } => {}
        Phase::Exited { .. } | Phase::Integrating { .. } | Phase::Finished { .. } => {
            cx.ignore(id, "attempt exited", "its end is on record already")?;
            return Ok(Reply::Ignored);
        }
    }
    let (agent, attempt) = (cx.agent(id)?, cx.attempt(id)?);
    let (rights, rules) = (attempt.rights, cx.run(attempt.run)?.rules);
    cx.emit_engine(scope.clone(), Event::AttemptExited { report: report.clone().into() });
    approval::close_all(cx, id);
    kept_in(cx, id, report)?;
    for said in &report.staged {
        if let Err(why) = may_say(rights, rules, &said.message) {
            let what = said.message.word().to_owned();
            cx.emit_as(agent.clone(), scope.clone(), Event::RightsRefused { what, why });
        }
    }
    match &report.ending {
        Ending::TimedOut { .. } | Ending::Idle { .. } => {
            cx.emit_engine(scope, Event::AttemptTimedOut { limit: report.ending.to_string() });
        }
        Ending::NotStarted { why } => not_started(cx, id, why)?,
        Ending::Exited { .. } | Ending::Signaled { .. } | Ending::Stopped | Ending::NeverRan | Ending::Lost { .. } => {}
    }
    Ok(Reply::Ok)
}

/// Events about what the sandbox did not let it do, and what was left out of its output.
fn kept_in(cx: &mut Cx<'_>, id: AttemptId, report: &ExitReport) -> Result<(), Rejection> {
    /// Tries of one attempt that get an event each; the report has them all.
    const MOST_DENIED: usize = 50;
    let (scope, agent) = (cx.scope_of(id)?, cx.agent(id)?);
    for denied in report.denied.iter().take(MOST_DENIED) {
        let event = Event::SandboxDenied {
            operation: denied.operation.clone(),
            path: denied.path.clone(),
            times: denied.times,
        };
        cx.emit_as(agent.clone(), scope.clone(), event);
    }
    for redacted in &report.redacted {
        let event = Event::SecretRedacted { name: redacted.name.clone(), times: redacted.times };
        cx.emit_as(agent.clone(), scope.clone(), event);
    }
    Ok(())
}

/// Ends an attempt that filled the disk. One that has ended by itself meanwhile, and not well, did so for that.
pub(super) fn filled_disk(cx: &mut Cx<'_>, id: AttemptId, written: DiskUse) -> Result<Reply, Rejection> {
    let (scope, attempt) = (cx.scope_of(id)?, cx.attempt(id)?);
    let is_due = match &attempt.phase {
        Phase::Running { .. } => true,
        Phase::Exited { report } => !report.ending.is_clean(),
        Phase::Starting | Phase::Integrating { .. } | Phase::Finished { .. } => false,
    };
    if !is_due || attempt.talk.filled_disk.is_some() {
        cx.ignore(id, "disk filled", "the attempt has ended, or is being ended for that")?;
        return Ok(Reply::Ignored);
    }
    let why = format!("it filled the disk: {written} written");
    cx.emit_engine(scope, Event::AttemptStopping { why, filled: Some(written) });
    Ok(Reply::Ok)
}

/// The program could not be started at all. That is no fault of the ticket; after a few times in a row the run is paused
/// (before rules 5 it failed), with the reason.
fn not_started(cx: &mut Cx<'_>, id: AttemptId, why: &str) -> Result<(), Rejection> {
    let scope = cx.scope_of(id)?;
    let attempt = cx.attempt(id)?;
    let (run, agent, role) = (attempt.run, attempt.agent.clone(), attempt.role.clone());
    cx.emit_engine(scope.clone(), Event::AttemptFinished { outcome: Outcome::Lost { why: why.to_owned() } });
    if scope.ticket.is_some() {
        cx.emit_engine(scope, Event::TicketReleased { why: "the agent could not be started".into() });
    }
    let run_now = cx.run(run)?;
    let another = schedule::player(&cx.state, run_now, &role) != Ok(agent.clone());
    if run_now.start_failures >= START_FAILURES && !another && !run_now.state.is_over() {
        let why = format!("agent '{agent}' could not be started {START_FAILURES} times in a row: {why}");
        if !run_now.tells_trouble_from_fault() {
            control::end(cx, run, Event::RunFailed { why });
        } else if !matches!(run_now.state, RunState::Paused { .. }) {
            let why = format!("{why}; then run the same command again, or `p0 resume {run}`");
            cx.emit_engine(Scope::run(run), Event::RunPaused { why, until: None, held: false });
        }
    }
    Ok(())
}

pub(super) fn lost(cx: &mut Cx<'_>, id: AttemptId, why: &str, began: bool) -> Result<Reply, Rejection> {
    let scope = cx.scope_of(id)?;
    match cx.attempt(id)?.phase {
        Phase::Starting | Phase::Running { .. } => {
            cx.emit_engine(scope, Event::AttemptLost { began, why: why.to_owned() });
            approval::close_all(cx, id);
            Ok(Reply::Ok)
        }
        Phase::Exited { .. } | Phase::Integrating { .. } | Phase::Finished { .. } => {
            cx.ignore(id, "attempt lost", "its end is on record already")?;
            Ok(Reply::Ignored)
        }
    }
}

pub(super) fn released(cx: &mut Cx<'_>, id: AttemptId, parked: Option<&String>) -> Result<Reply, Rejection> {
    let scope = cx.scope_of(id)?;
    let attempt = cx.attempt(id)?;
    if attempt.outcome().is_some() && attempt.worktree == Worktree::Held {
        cx.emit_engine(scope, Event::AttemptReleased { parked: parked.cloned() });
        return Ok(Reply::Ok);
    }
    cx.ignore(id, "worktree released", "it was not held")?;
    Ok(Reply::Ignored)
}
