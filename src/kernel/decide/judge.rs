//! The end of an attempt: is there evidence, and did it keep to its rights?
use super::{control, cx::Cx, finding, output, plan};
use crate::rights::{may_say, may_write_files, says_trouble};
use p0_model::{
    attempt::{Attempt, ChangeKind, Ending, ExitReport, Harvest, Outcome, Phase, Unread, Worktree},
    event::{Event, OpenStatus},
    id::{AttemptId, CommitId},
    protocol::{FailureClass, Message, OwnStatus, refuses_its_attempt},
    rejection::Rejection,
    reply::Reply,
    run::{LOST_IN_A_ROW, SIGNALS_IN_A_ROW},
    ticket::BlockedOn,
    workflow::Rights,
};

pub(super) fn harvested(cx: &mut Cx<'_>, id: AttemptId, harvest: &Harvest) -> Result<Reply, Rejection> {
    let scope = cx.scope_of(id)?;
    let Phase::Exited { report } = cx.attempt(id)?.phase.clone() else {
        cx.ignore(id, "attempt harvested", "the attempt is not at that point")?;
        return Ok(Reply::Ignored);
    };
    cx.emit_engine(scope.clone(), Event::AttemptHarvested { harvest: harvest.clone().into() });
    let rights = cx.attempt(id)?.rights;
    if !may_write_files(rights) && !harvest.changes.is_empty() {
        let paths: Vec<String> = harvest.changes.iter().map(|c| c.path.clone()).collect();
        let role = cx.attempt(id)?.role.clone();
        let reasons = vec![format!("{role} is a read-only role; its changes are dropped")];
        cx.emit_engine(scope, Event::OwnershipViolated { paths, reasons });
    }
    if cx.run(cx.attempt(id)?.run)?.state.is_over() {
        control::finish_cancelled(cx, id);
        return Ok(Reply::Ok);
    }
    if let Some(outcome) = bad_end(cx, id, &report, harvest.commit.as_ref())? {
        let outcome = no_accident(cx, id, &report.ending, outcome)?;
        finish(cx, id, outcome)?;
        return Ok(Reply::Ok);
    }
    if let Some(reasons) = not_all_heard(cx, id, &report)? {
        let outcome = refuse_plan(cx, id, reasons)?;
        finish(cx, id, outcome)?;
        return Ok(Reply::Ok);
    }
    if called_nothing(cx, id, harvest)? {
        let reason = "it called no tool: whatever it says, it has looked at nothing and changed nothing".to_owned();
        let outcome = if rights == Rights::Executor {
            Outcome::Refused { reasons: vec![reason] }
        } else {
            refuse_plan(cx, id, vec![reason])?
        };
        finish(cx, id, outcome)?;
        return Ok(Reply::Ok);
    }
    let said = allowed(cx, id, &report)?;
    let outcome = match rights {
        Rights::Executor => return executor(cx, id, harvest, &said).map(|()| Reply::Ok),
        Rights::Planner => match plan::apply(cx, id, &said, &harvest.paths) {
            Ok(()) => Outcome::Accepted,
            Err(reasons) => refuse_plan(cx, id, reasons)?,
        },
        Rights::Verifier => verdict(cx, id, &said)?,
        Rights::Specialist => {
            let reasons = finding::bad(&said);
            if reasons.is_empty() {
                for message in &said {
                    finding::file(cx, id, message)?;
                }
                Outcome::Accepted
            } else {
                refuse_plan(cx, id, reasons)?
            }
        }
    };
    finish(cx, id, outcome)?;
    Ok(Reply::Ok)
}

/// Why not all that it said is known: its output was not kept whole, or a message in it cannot be read. What is applied
/// together is refused together then.
fn not_all_heard(cx: &Cx<'_>, id: AttemptId, report: &ExitReport) -> Result<Option<Vec<String>>, Rejection> {
    let attempt = cx.attempt(id)?;
    let run = cx.run(attempt.run)?;
    let speaks_at_its_end = attempt.rights != Rights::Executor || !report.staged.is_empty();
    if report.truncated && speaks_at_its_end {
        let limit = run.settings.limits.output_bytes;
        let reason =
            format!("its output passed {limit} bytes, so what it said is not complete; print less, and say it again");
        return Ok(Some(vec![reason]));
    }
    let mut reasons = report.misread.clone();
    if run.hears_trouble_from_every_role() {
        reasons.extend(trouble_unheard(attempt, run.rules, report));
    }
    Ok((!reasons.is_empty()).then(|| [reasons.as_slice(), &report.notes].concat()))
}

/// What it printed that its role may not say, and that says that something is in the way: a specialist that is blocked found
/// nothing, and a verifier's finding may be why the milestone is not met.
fn trouble_unheard(attempt: &Attempt, rules: u32, report: &ExitReport) -> Vec<String> {
    let staged = report.staged.iter().filter(|said| says_trouble(&said.message)).filter_map(|said| {
        let why = may_say(attempt.rights, rules, &said.message).err()?;
        Some(format!("line {}: {why}", said.line))
    });
    let weighs = |unread: &&Unread| refuses_its_attempt(&unread.what);
    let at_once = attempt.talk.unread.iter().filter(weighs).map(ToString::to_string);
    staged.chain(at_once.filter(|why| !report.misread.contains(why))).collect()
}

/// Whether there is no sign that it did anything. Since rules 4 what it changed is one: not every program tells what it
/// calls tools for.
fn called_nothing(cx: &Cx<'_>, id: AttemptId, harvest: &Harvest) -> Result<bool, Rejection> {
    let attempt = cx.attempt(id)?;
    let changed = harvest.commit.is_some() && harvest.commit != attempt.talk.carries;
    let is_evidence = changed && cx.run(attempt.run)?.learns_from_bad_ends();
    Ok(attempt.talk.tool_calls == Some(0) && !is_evidence)
}

/// What it said that its role may say: through its socket first, then its lines.
fn allowed(cx: &Cx<'_>, id: AttemptId, report: &ExitReport) -> Result<Vec<Message>, Rejection> {
    let attempt = cx.attempt(id)?;
    let rules = cx.run(attempt.run)?.rules;
    let lines = report.staged.iter().map(|s| &s.message);
    let may = |m: &&Message| may_say(attempt.rights, rules, m).is_ok();
    Ok(attempt.staged.iter().chain(lines).filter(may).cloned().collect())
}

/// An end without evidence, whatever the agent says of it.
fn bad_end(
    cx: &Cx<'_>,
    id: AttemptId,
    report: &ExitReport,
    harvested: Option<&CommitId>,
) -> Result<Option<Outcome>, Rejection> {
    let attempt = cx.attempt(id)?;
    let tells = cx.run(attempt.run)?.tells_trouble_from_fault();
    if !report.ending.is_clean()
        && let Some(outcome) = full_disk(cx, attempt, report)?
    {
        return Ok(Some(outcome));
    }
    if !report.ending.is_clean()
        && let Some(why) = not_its_fault(attempt, harvested)
    {
        return Ok(Some(Outcome::Lost { why }));
    }
    Ok(match &report.ending {
        Ending::Exited { code: 0 } => None,
        Ending::Stopped => {
            let why = attempt.stopping.as_ref().map(|why| format!("it was stopped: {why}"));
            Some(Outcome::Lost { why: why.unwrap_or_else(|| "it was stopped together with the engine".into()) })
        }
        Ending::NeverRan => Some(Outcome::Lost { why: report.ending.to_string() }),
        Ending::Lost { why } | Ending::NotStarted { why } => Some(Outcome::Lost { why: why.clone() }),
        // Not KILL: an agent that memory runs out for does so again, and each time is paid.
        Ending::Signaled { signal } if report.ending.is_by_request() && tells => {
            Some(Outcome::Lost { why: format!("somebody ended it by signal {signal}") })
        }
        Ending::Exited { .. } | Ending::Signaled { .. } | Ending::TimedOut { .. } | Ending::Idle { .. } => {
            let told = attempt.talk.failure.as_ref().map_or(report.stderr_tail.as_str(), |(_, text)| text.as_str());
            let tail = told.trim();
            let said = if tail.is_empty() { String::new() } else { format!("; it printed: {tail}") };
            Some(Outcome::Failed { why: format!("the agent {}{said}", report.ending) })
        }
    })
}

/// What a full disk makes of an attempt that ended badly: the one that filled it failed, and is told so; one that had no
/// room while another filled it did not.
fn full_disk(cx: &Cx<'_>, attempt: &Attempt, report: &ExitReport) -> Result<Option<Outcome>, Rejection> {
    if let Some(written) = attempt.talk.filled_disk {
        let why = format!(
            "it filled the disk ({written} written) and was ended, so that the others could go on; write less, and \
             remove what is not needed any more"
        );
        return Ok(Some(Outcome::Failed { why }));
    }
    let said = attempt.talk.failure.as_ref().map_or(report.stderr_tail.as_str(), |(_, text)| text.as_str());
    if !cx.run(attempt.run)?.spares_who_had_no_room() || !output::tells_of_full_disk(said) {
        return Ok(None);
    }
    // Whoever is ended later than this one was at work beside it.
    let filler =
        cx.state.attempts.values().find(|other| {
            other.id != attempt.id && other.talk.filled_disk.is_some() && other.worktree == Worktree::Held
        });
    Ok(filler.map(|filler| Outcome::Lost { why: format!("it had no room: attempt {} filled the disk", filler.id) }))
}

/// Why an attempt that ended badly uses up no round: its provider, or the length of its conversation.
fn not_its_fault(attempt: &Attempt, harvested: Option<&CommitId>) -> Option<String> {
    if attempt.rate_limited {
        return Some("its provider takes no more work for now".into());
    }
    let (class, text) = attempt.talk.failure.as_ref()?;
    match class {
        FailureClass::Auth => Some(format!("its agent is not logged in: {text}")),
        FailureClass::Overloaded => Some(format!("its provider has trouble: {text}")),
        FailureClass::Configuration => Some(format!("its agent cannot be used as it is configured: {text}")),
        // Only for who got somewhere: a ticket that fills every conversation without a step is too large.
        FailureClass::Context if harvested.is_some() && harvested != attempt.talk.carries.as_ref() => {
            Some(format!("its conversation became too long: {text}"))
        }
        FailureClass::Context | FailureClass::Refused | FailureClass::Other => None,
    }
}

/// Attempts that are lost again and again are no accident: the next one uses up its round.
fn no_accident(cx: &Cx<'_>, id: AttemptId, ending: &Ending, outcome: Outcome) -> Result<Outcome, Rejection> {
    let Outcome::Lost { why } = outcome else { return Ok(outcome) };
    if matches!(ending, Ending::Stopped | Ending::NeverRan) {
        return Ok(Outcome::Lost { why });
    }
    let attempt = cx.attempt(id)?;
    if attempt.waits_for_provider() {
        // Each one waited longer than the one before; nothing is burnt by waiting on.
        return Ok(Outcome::Lost { why });
    }
    let at = cx.run(attempt.run)?.stage.as_ref();
    let before = match attempt.ticket.as_ref().and_then(|t| cx.state.tickets.get(t)) {
        Some(ticket) => ticket.lost,
        None => at.and_then(|at| at.lost.get(&attempt.role)).copied().unwrap_or_default(),
    };
    let most = if matches!(ending, Ending::Signaled { .. }) { SIGNALS_IN_A_ROW } else { LOST_IN_A_ROW };
    if before < most {
        return Ok(Outcome::Lost { why });
    }
    Ok(Outcome::Failed { why: format!("the agent was lost {} times in a row, the last time: {why}", before + 1) })
}

fn refuse_plan(cx: &mut Cx<'_>, id: AttemptId, reasons: Vec<String>) -> Result<Outcome, Rejection> {
    let scope = cx.scope_of(id)?;
    cx.emit_engine(scope, Event::PlanRefused { reasons: reasons.clone() });
    Ok(Outcome::Refused { reasons })
}

fn verdict(cx: &mut Cx<'_>, id: AttemptId, said: &[Message]) -> Result<Outcome, Rejection> {
    let verdicts: Vec<&Message> = said.iter().filter(|m| matches!(m, Message::Verdict { .. })).collect();
    let [Message::Verdict { met, rationale, gaps }] = verdicts.as_slice() else {
        let reason = format!("a verifier says one verdict; this one said {}", verdicts.len());
        return Ok(Outcome::Refused { reasons: vec![reason] });
    };
    let (scope, agent, commit) = (cx.scope_of(id)?, cx.agent(id)?, cx.attempt(id)?.base.clone());
    let event = Event::VerdictIssued { met: *met, rationale: rationale.clone(), gaps: gaps.clone(), commit };
    cx.emit_as(agent, scope, event);
    Ok(Outcome::Accepted)
}

/// An executor's end: its commit goes to the merge queue if it kept to its files and there is something to show.
fn executor(cx: &mut Cx<'_>, id: AttemptId, harvest: &Harvest, said: &[Message]) -> Result<(), Rejection> {
    let scope = cx.scope_of(id)?;
    let attempt = cx.attempt(id)?.clone();
    let waits = cx.run(attempt.run)?.waits_for_answers();
    if let Some(on) = given_up(&attempt, &attempt_reason(cx, id)?, harvest, waits) {
        let outcome = Outcome::Refused { reasons: vec![on.to_string()] };
        let outcome = if waits { with_parking_place(outcome, id, harvest.commit.as_ref()) } else { outcome };
        cx.emit_engine(scope.clone(), Event::AttemptFinished { outcome });
        cx.emit_engine(scope, Event::TicketBlocked { on });
        return Ok(());
    }
    let mut reasons = violations(cx, id, harvest)?;
    if !attempt.open_checklist.is_empty() {
        reasons.push(format!("its checklist has open entries: {}", attempt.open_checklist.join("; ")));
    }
    let tells = cx.run(attempt.run)?.compares_plans_with_trees();
    for path in &harvest.conflict_markers {
        let meant = if tells {
            "; if they are meant there, a person allows them with [files] conflict_markers in .p0/config.toml"
        } else {
            ""
        };
        reasons.push(format!("'{path}' has conflict markers in it{meant}"));
    }
    if tells && !harvest.left_out.is_empty() {
        let text = format!("changed, and not landing: {}", harvest.left_out.join("; "));
        cx.emit_engine(scope.clone(), Event::TicketCommented { text });
    }
    if !reasons.is_empty() {
        return fail_round(cx, id, Outcome::Refused { reasons });
    }
    let subtasks = match plan::subtasks(cx, id, said, &harvest.paths) {
        Ok(added) => added,
        Err(reasons) => {
            refuse_plan(cx, id, reasons.clone())?;
            return fail_round(cx, id, Outcome::Refused { reasons });
        }
    };
    match &harvest.commit {
        Some(commit) => {
            cx.emit_engine(scope, Event::IntegrationQueued { commit: commit.clone() });
            Ok(())
        }
        None if subtasks > 0 => {
            cx.emit_engine(scope.clone(), Event::AttemptFinished { outcome: Outcome::Accepted });
            wait_for_subtasks(cx, &scope, "it was split into sub-tasks");
            Ok(())
        }
        None => {
            let mut why =
                "it changed nothing: an attempt is done when there is a commit, whatever the agent says".to_owned();
            if cx.run(cx.attempt(id)?.run)?.learns_from_bad_ends() {
                why.push_str("; files that git ignores are not in one");
            }
            if tells && !harvest.left_out.is_empty() {
                why.push_str(&format!("; changed, and not landing: {}", harvest.left_out.join("; ")));
            }
            fail_round(cx, id, Outcome::Refused { reasons: vec![why] })
        }
    }
}

/// A ticket without a holder that goes on when its sub-tasks are done.
pub(super) fn wait_for_subtasks(cx: &mut Cx<'_>, scope: &super::cx::Scope, why: &str) {
    cx.emit_engine(scope.clone(), Event::TicketReleased { why: why.to_owned() });
    let event = Event::TicketStatusChanged { status: OpenStatus::InProgress, reason: "waits for its sub-tasks".into() };
    cx.emit_engine(scope.clone(), event);
}

/// The reason the agent gave with its last status.
fn attempt_reason(cx: &Cx<'_>, id: AttemptId) -> Result<String, Rejection> {
    let attempt = cx.attempt(id)?;
    Ok(attempt.status_reason.clone().unwrap_or_else(|| "no reason given".into()))
}

fn given_up(attempt: &Attempt, reason: &str, harvest: &Harvest, waits: bool) -> Option<BlockedOn> {
    if attempt.claimed_status == Some(OwnStatus::Blocked) {
        return Some(BlockedOn::Agent { reason: reason.to_owned() });
    }
    match &attempt.question {
        // One that says it is done has found its own answer.
        Some(question) if harvest.commit.is_none() || (waits && attempt.claimed_status != Some(OwnStatus::Done)) => {
            Some(BlockedOn::NeedsInput { question: question.clone() })
        }
        Some(_) | None => None,
    }
}

/// What it changed and does not own. Recorded with the paths, and handed back in words.
fn violations(cx: &mut Cx<'_>, id: AttemptId, harvest: &Harvest) -> Result<Vec<String>, Rejection> {
    let scope = cx.scope_of(id)?;
    let Some(ticket) = scope.ticket.as_ref().and_then(|t| cx.state.tickets.get(t)) else { return Ok(Vec::new()) };
    let files = &ticket.seed.files;
    let mut paths = Vec::new();
    let mut reasons = Vec::new();
    for change in &harvest.changes {
        if !files.cover(&change.path) {
            paths.push(change.path.clone());
            let did = match change.kind {
                ChangeKind::Added => "created",
                ChangeKind::Modified => "modified",
                ChangeKind::Deleted => "deleted",
                ChangeKind::TypeChanged => "replaced by another type of file",
            };
            reasons.push(format!("'{}' was {did}, which this ticket does not own", change.path));
        } else if change.symlink_escapes {
            paths.push(change.path.clone());
            reasons.push(format!("'{}' is a symbolic link that leads out of the repository", change.path));
        }
    }
    for path in &harvest.untracked_repos {
        paths.push(path.clone());
        reasons.push(format!("'{path}' holds a git repository of its own, which cannot land"));
    }
    if !paths.is_empty() {
        let owned: Vec<&str> = files.all().collect();
        reasons.push(format!(
            "the ticket owns only: {}",
            if owned.is_empty() { "nothing".into() } else { owned.join(", ") }
        ));
        cx.emit_engine(scope, Event::OwnershipViolated { paths, reasons: reasons.clone() });
    }
    Ok(reasons)
}

/// The attempt is over, with this outcome; an executor's ticket goes to its next round.
fn finish(cx: &mut Cx<'_>, id: AttemptId, outcome: Outcome) -> Result<(), Rejection> {
    if cx.attempt(id)?.ticket.is_some() {
        return fail_round(cx, id, outcome);
    }
    let scope = cx.scope_of(id)?;
    let outcome = with_unread(outcome, unread(cx, id)?);
    cx.emit_engine(scope, Event::AttemptFinished { outcome });
    Ok(())
}

/// What of an attempt's messages could not be read without its work being refused for it, a sentence each.
fn unread(cx: &Cx<'_>, id: AttemptId) -> Result<Vec<String>, Rejection> {
    let attempt = cx.attempt(id)?;
    if !cx.run(attempt.run)?.tells_of_unread_messages() {
        return Ok(Vec::new());
    }
    let beside = attempt.talk.unread.iter().filter(|unread| !refuses_its_attempt(&unread.what));
    Ok(beside.map(ToString::to_string).collect())
}

/// A refused round is told of them, too.
fn with_unread(outcome: Outcome, unread: Vec<String>) -> Outcome {
    match outcome {
        Outcome::Refused { reasons } => Outcome::Refused { reasons: [reasons, unread].concat() },
        Outcome::Accepted | Outcome::Failed { .. } | Outcome::Lost { .. } | Outcome::Cancelled => outcome,
    }
}

/// A round that did not land: the ticket is free for the next one, or blocked when it has no more.
pub(super) fn fail_round(cx: &mut Cx<'_>, id: AttemptId, outcome: Outcome) -> Result<(), Rejection> {
    let scope = cx.scope_of(id)?;
    let attempt = cx.attempt(id)?;
    let (run, commit) = (attempt.run, attempt.commit.clone());
    let unread = unread(cx, id)?;
    let outcome = with_unread(with_parking_place(outcome, id, commit.as_ref()), unread);
    cx.emit_engine(scope.clone(), Event::AttemptFinished { outcome: outcome.clone() });
    let Some(ticket) = scope.ticket.as_ref().and_then(|t| cx.state.tickets.get(t)) else { return Ok(()) };
    let (limit, tells) = (cx.run(run)?.settings.limits.rounds, cx.run(run)?.tells_trouble_from_fault());
    // A lost attempt used up no round, also where an answer let the ticket go on after its last one.
    let keeps_round = tells && matches!(outcome, Outcome::Lost { .. });
    let event = if ticket.rounds_counted >= limit && !keeps_round {
        Event::TicketBlocked { on: BlockedOn::Rounds { rounds: ticket.rounds_counted, last: ticket.feedback.clone() } }
    } else {
        Event::TicketReleased { why: format!("the round was {}", outcome.word()) }
    };
    cx.emit_engine(scope, event);
    Ok(())
}

/// The next round begins clean; it is told where the last one's work is kept.
fn with_parking_place(outcome: Outcome, id: AttemptId, commit: Option<&CommitId>) -> Outcome {
    match (outcome, commit) {
        (Outcome::Refused { mut reasons }, Some(commit)) => {
            reasons.push(format!(
                "the last round's work is kept as commit {} (refs/p0/parked/{id}); `git cherry-pick -n {}` brings it back",
                commit.short(),
                commit.0
            ));
            Outcome::Refused { reasons }
        }
        (outcome, _) => outcome,
    }
}
