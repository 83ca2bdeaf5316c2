//! Events about attempts and their commits.
use p0_model::{
    Time,
    aggregate::Aggregate,
    attempt::{Attempt, Conversation, Ending, ExitReport, Outcome, Phase, Session, Step, Unread, Usage, Worktree},
    event::{Event, Intent, events_about},
    id::{AgentName, AttemptId},
    protocol::{FailureClass, Message},
    record::Draft,
    run::{Artifact, Run},
};
use std::sync::Arc;

/// Unreadable messages of one attempt that its state keeps; the log has them all.
const MOST_UNREAD: usize = 20;

pub(super) fn evolve(state: &mut Aggregate, draft: &Draft) {
    match &draft.event {
        Event::AttemptStarted { id, .. } => {
            start(state, draft);
            state.note_attempt(*id);
        }
        Event::AttemptFinished { outcome } => {
            finish(state, draft, outcome);
            draft.attempt.into_iter().for_each(|id| state.note_attempt(id));
        }
        Event::AttemptReleased { .. } => {
            change(state, draft);
            draft.attempt.into_iter().for_each(|id| state.note_attempt(id));
        }
        Event::AttemptReported { line, part, message } => report(state, draft, (*line, *part), message),
        Event::IntegrationLanded { commit, wall_ms, .. } => {
            if let Some(run) = draft.run.and_then(|id| state.runs.get_mut(&id).map(Arc::make_mut)) {
                run.head = Some(commit.clone());
                run.counters.landed += 1;
                run.spent.integration_ms += wall_ms;
                leave_queue(run, draft.attempt);
            }
            if let Some(ticket) = draft.ticket.as_ref().and_then(|id| state.tickets.get_mut(id).map(Arc::make_mut)) {
                ticket.commit = Some(commit.clone());
            }
        }
        Event::IntegrationQueued { commit } => {
            let Some(id) = draft.attempt else { return };
            if let Some(attempt) = state.attempts.get_mut(&id).map(Arc::make_mut) {
                attempt.phase = Phase::Integrating { commit: commit.clone(), step: Step::Queued };
            }
            if let Some(run) = draft.run.and_then(|id| state.runs.get_mut(&id).map(Arc::make_mut)) {
                run.queue.push_back(id);
            }
        }
        Event::GateLost { lost } => {
            change(state, draft);
            if let Some(run) = draft.run.and_then(|id| state.runs.get_mut(&id).map(Arc::make_mut)) {
                run.spent.integration_ms += lost.wall_ms;
            }
        }
        Event::AttemptExited { report } => {
            if let Some(run) = draft.run.and_then(|id| state.runs.get_mut(&id).map(Arc::make_mut)) {
                run.spent.agents_ms += report.wall_ms;
                run.start_failures =
                    if matches!(report.ending, Ending::NotStarted { .. }) { run.start_failures + 1 } else { 0 };
            }
            change(state, draft);
            trouble(state, draft, report);
        }
        Event::AttemptSpawned { .. }
        | Event::AttemptLost { .. }
        | Event::AttemptStopping { .. }
        | Event::AttemptHarvested { .. }
        | Event::IntegrationMerged { .. }
        | Event::EffectIntended { .. } => change(state, draft),
        // Nothing of an attempt: `super::evolve` says which events come here.
        Event::AttemptTimedOut { .. }
        | Event::GatePassed { .. }
        | Event::GateFailed { .. }
        | Event::IntegrationConflicted { .. }
        | events_about!(
            milestone new_ticket ticket run stage ownership verdict learning agent approval rights refusal run_file
            engine
        ) => {}
    }
}

fn start(state: &mut Aggregate, draft: &Draft) {
    let Event::AttemptStarted {
        id,
        role,
        rights,
        agent,
        stage,
        iteration,
        round,
        base,
        feedback,
        model,
        resumes,
        carries,
    } = &draft.event
    else {
        return;
    };
    let Some(run_id) = draft.run else { return };
    let attempt = Attempt {
        id: *id,
        run: run_id,
        role: role.clone(),
        rights: *rights,
        agent: agent.clone(),
        stage: stage.clone(),
        iteration: *iteration,
        round: *round,
        ticket: draft.ticket.clone(),
        base: base.clone(),
        feedback: feedback.clone(),
        started_at: draft.at,
        phase: Phase::Starting,
        stopping: None,
        line: 0,
        part: 0,
        usage: Usage::default(),
        wall_ms: 0,
        commit: None,
        gates_lost: 0,
        worktree: Worktree::Held,
        claimed_status: None,
        status_reason: None,
        question: None,
        staged: Vec::new(),
        open_checklist: Vec::new(),
        rate_limited: false,
        talk: Conversation {
            model: model.clone(),
            resumes: resumes.clone(),
            carries: carries.clone(),
            ..Conversation::default()
        },
    };
    state.attempts.insert(*id, Arc::new(attempt));
    if let Some(run) = state.runs.get_mut(&run_id).map(Arc::make_mut) {
        run.counters.attempts += 1;
        if draft.ticket.is_none()
            && let Some(at) = &mut run.stage
        {
            at.rounds.insert(role.clone(), *round);
        }
    }
    if let Some(ticket) = draft.ticket.as_ref().and_then(|id| state.tickets.get_mut(id).map(Arc::make_mut)) {
        ticket.rounds = *round;
        ticket.attempts.push(*id);
    }
}

fn change(state: &mut Aggregate, draft: &Draft) {
    let Some(attempt) = draft.attempt.and_then(|id| state.attempts.get_mut(&id).map(Arc::make_mut)) else { return };
    match &draft.event {
        Event::AttemptSpawned { pid, start_ticks, nonce, token_hash, .. } => {
            attempt.phase = Phase::Running {
                pid: *pid,
                start_ticks: *start_ticks,
                nonce: nonce.clone(),
                token_hash: token_hash.clone(),
            };
        }
        Event::AttemptExited { report } => {
            attempt.wall_ms = report.wall_ms;
            attempt.phase = Phase::Exited { report: (**report).clone() };
        }
        Event::AttemptLost { why, began } => attempt.phase = Phase::Exited { report: lost(why, *began) },
        Event::AttemptStopping { why, filled } => {
            attempt.stopping = Some(why.clone());
            if filled.is_some() {
                attempt.talk.filled_disk = *filled;
            }
        }
        Event::GateLost { .. } => attempt.gates_lost += 1,
        Event::AttemptHarvested { harvest } => attempt.commit.clone_from(&harvest.commit),
        Event::AttemptReleased { parked } => attempt.worktree = Worktree::Released { parked: parked.clone() },
        Event::IntegrationMerged { onto, candidate } => {
            step(attempt, Step::Gating { onto: onto.clone(), candidate: candidate.clone() });
        }
        Event::EffectIntended { what: Intent::Land { commit, parent } } => {
            step(attempt, Step::Landing { onto: parent.clone(), candidate: commit.clone() });
        }
        // These change more than the attempt's own row, in `evolve`; the others change none.
        Event::AttemptStarted { .. }
        | Event::AttemptReported { .. }
        | Event::AttemptTimedOut { .. }
        | Event::AttemptFinished { .. }
        | Event::GatePassed { .. }
        | Event::GateFailed { .. }
        | Event::IntegrationQueued { .. }
        | Event::IntegrationConflicted { .. }
        | Event::IntegrationLanded { .. }
        | events_about!(
            milestone new_ticket ticket run stage ownership verdict learning agent approval rights refusal run_file
            engine
        ) => {}
    }
}

/// Counts what an agent says of its own trouble: once for all its attempts, while it gets no more work anyway. `waits`: it
/// is its provider's, and waited for.
fn trouble_heard(run: Option<&mut Run>, agent: &AgentName, waits: bool, at: Time) {
    if let Some(run) = run.filter(|run| !run.limited.contains_key(agent)) {
        *run.trouble.entry(agent.clone()).or_default() += 1;
        if waits {
            run.note_trouble(agent, at);
        }
    }
}

/// Counts ends that say something about the agent itself, so that another one can take its place.
fn trouble(state: &mut Aggregate, draft: &Draft, report: &ExitReport) {
    let Some(attempt) = draft.attempt.and_then(|id| state.attempts.get(&id).cloned()) else { return };
    let Some(run) = state.runs.get_mut(&attempt.run).map(Arc::make_mut) else { return };
    if run.learns_from_bad_ends() {
        bad_end(run, &attempt, &report.ending);
    }
    if matches!(report.ending, Ending::NotStarted { .. }) {
        *run.trouble.entry(attempt.agent.clone()).or_default() += 1;
    } else if report.ending.is_clean() && attempt.talk.failure.is_none() {
        run.trouble.remove(&attempt.agent);
        run.note_clean_end(&attempt.agent);
        run.on_trial.remove(&attempt.agent);
    }
}

/// Counts ends that an agent brought about itself.
fn bad_end(run: &mut Run, attempt: &Attempt, ending: &Ending) {
    match ending {
        Ending::Exited { code: 0 } if attempt.talk.failure.is_none() => {
            run.bad_ends.remove(&attempt.agent);
        }
        // Lost, and no sign of a bad agent.
        Ending::Signaled { .. } if ending.is_by_request() && run.tells_trouble_from_fault() => {}
        Ending::Exited { .. }
        | Ending::Signaled { .. }
        | Ending::TimedOut { .. }
        | Ending::Idle { .. }
        | Ending::NotStarted { .. }
            if !attempt.waits_for_provider() && !attempt.has_talked_too_long() =>
        {
            *run.bad_ends.entry(attempt.agent.clone()).or_default() += 1;
        }
        // The provider's, or too long a conversation (above); p0's own doing, or nobody's.
        Ending::Exited { .. }
        | Ending::Signaled { .. }
        | Ending::TimedOut { .. }
        | Ending::Idle { .. }
        | Ending::NotStarted { .. }
        | Ending::Stopped
        | Ending::NeverRan
        | Ending::Lost { .. } => {}
    }
}

fn lost(why: &str, began: bool) -> ExitReport {
    ExitReport::silent(if began { Ending::Lost { why: why.to_owned() } } else { Ending::NeverRan })
}

fn step(attempt: &mut Attempt, next: Step) {
    if let Phase::Integrating { step, .. } = &mut attempt.phase {
        *step = next;
    }
}

fn leave_queue(run: &mut Run, attempt: Option<AttemptId>) {
    run.queue.retain(|a| Some(*a) != attempt);
}

/// Takes in that a message could not be read.
fn not_read(attempt: &mut Attempt, run: Option<&mut Run>, unread: Unread) {
    if let Some(run) = run.filter(|run| unread.what == "usage" && run.tells_of_unread_messages()) {
        let whose = attempt.ticket.as_ref().map_or_else(|| attempt.role.to_string(), ToString::to_string);
        run.unknown_usage = Some(format!("a report of what {whose} used cannot be read: {}", unread.why));
    }
    if attempt.talk.unread.len() < MOST_UNREAD {
        attempt.talk.unread.push(unread);
    }
}

fn report(state: &mut Aggregate, draft: &Draft, place: (u64, u32), message: &Message) {
    let Some(attempt) = draft.attempt.and_then(|id| state.attempts.get_mut(&id).map(Arc::make_mut)) else { return };
    (attempt.line, attempt.part) = place.max((attempt.line, attempt.part));
    let run = state.runs.get_mut(&attempt.run).map(Arc::make_mut);
    match message {
        Message::Usage { input_tokens, output_tokens, cached_tokens, cost_usd, total, last, .. } => {
            attempt.talk.spent = *last;
            let (input_tokens, output_tokens, cached_tokens) = (*input_tokens, *output_tokens, *cached_tokens);
            let said = Usage { input_tokens, output_tokens, cached_tokens, cost_usd: *cost_usd };
            // A total that went back is a program's mistake: what was counted stays counted.
            let used = if *total { said.minus(attempt.usage) } else { said };
            attempt.usage = attempt.usage.plus(used);
            if let Some(run) = run {
                run.usage = run.usage.plus(used);
            }
        }
        Message::Status { status, reason } => {
            attempt.claimed_status = Some(*status);
            attempt.status_reason = Some(reason.clone()).filter(|r| !r.is_empty());
        }
        Message::Question { text } => attempt.question = Some(text.clone()),
        Message::Unreadable { line, column, what, why } => {
            let unread = Unread { line: *line, column: *column, what: what.clone(), why: why.clone() };
            not_read(attempt, run, unread);
        }
        Message::RateLimited { .. } => {
            attempt.rate_limited = true;
            trouble_heard(run, &attempt.agent, true, draft.at);
        }
        Message::Session { session, used, .. } => {
            attempt.talk.session = Some(Session { id: session.clone(), agent: attempt.agent.clone(), used: *used });
        }
        Message::Failed { class, text, .. } => {
            attempt.talk.failure = Some((*class, text.clone()));
            trouble_heard(run, &attempt.agent, *class == FailureClass::Overloaded, draft.at);
        }
        Message::Activity { tool_calls, .. } => {
            attempt.talk.tool_calls = Some(*tool_calls);
            if let Some(run) = run.filter(|_| *tool_calls > 0) {
                run.on_trial.remove(&attempt.agent);
                run.trouble.remove(&attempt.agent);
            }
        }
        Message::Checklist { items } => {
            attempt.open_checklist = items.iter().filter(|i| !i.done).map(|i| i.text.clone()).collect();
        }
        Message::Artifact { name, content } => {
            if let Some(run) = run {
                run.artifacts.insert(name.clone(), Artifact { content: content.clone(), attempt: attempt.id });
            }
        }
        Message::Comment { .. }
        | Message::Learning { .. }
        | Message::RequestFiles { .. }
        | Message::Permission { .. }
        | Message::Ask { .. }
        | Message::Confidence { .. } => {}
        Message::Ticket(_)
        | Message::Subtask(_)
        | Message::Defer { .. }
        | Message::Decision { .. }
        | Message::Verdict { .. }
        | Message::Feedback { .. }
        | Message::Curate { .. } => attempt.staged.push(message.clone()),
    }
}

fn finish(state: &mut Aggregate, draft: &Draft, outcome: &Outcome) {
    let Some(attempt) = draft.attempt.and_then(|id| state.attempts.get_mut(&id).map(Arc::make_mut)) else { return };
    // What the engine itself brought about is no sign of a bad agent.
    let by_engine = matches!(&attempt.phase, Phase::Exited { report } if matches!(report.ending, Ending::Stopped | Ending::NeverRan));
    attempt.phase = Phase::Finished { outcome: outcome.clone() };
    let (role, stage, iteration) = (attempt.role.clone(), attempt.stage.clone(), attempt.iteration);
    let reasons = match outcome {
        Outcome::Refused { reasons } => Some(reasons.clone()),
        Outcome::Failed { why } => Some(vec![why.clone()]),
        Outcome::Accepted | Outcome::Lost { .. } | Outcome::Cancelled => None,
    };
    let uses_no_round = matches!(outcome, Outcome::Lost { .. });
    let run = draft.run.and_then(|id| state.runs.get_mut(&id).map(Arc::make_mut));
    if let Some(ticket) = draft.ticket.as_ref().and_then(|id| state.tickets.get_mut(id).map(Arc::make_mut)) {
        if uses_no_round {
            ticket.rounds = ticket.rounds.saturating_sub(1);
            ticket.lost += u32::from(!by_engine);
        } else {
            ticket.lost = 0;
        }
        if let Some(reasons) = reasons {
            ticket.rounds_counted += 1;
            ticket.feedback = reasons;
        } else if *outcome == Outcome::Accepted {
            ticket.feedback.clear();
        }
        if let Some(run) = run {
            leave_queue(run, draft.attempt);
        }
        return;
    }
    let Some(run) = run else { return };
    let this_iteration = run.iteration == iteration;
    let Some(at) = run.stage.as_mut().filter(|at| at.name == stage && this_iteration) else { return };
    if let Some(reasons) = reasons {
        *at.failures.entry(role.clone()).or_default() += 1;
        at.feedback.insert(role.clone(), reasons);
    } else if uses_no_round {
        let used = at.rounds.get(&role).copied().unwrap_or_default().saturating_sub(1);
        at.rounds.insert(role.clone(), used);
        if !by_engine {
            *at.lost.entry(role).or_default() += 1;
        }
        return;
    } else if *outcome == Outcome::Accepted {
        at.heard.push(role.clone());
    }
    at.lost.remove(&role);
}
