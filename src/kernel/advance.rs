//! What follows by itself: stages entered and left, attempts started, runs ended. Interprets the run's workflow value.
use super::{
    budget,
    decide::cx::{Cx, Scope},
    schedule,
};
use p0_model::{
    attempt::{Attempt, Outcome, Session},
    event::Event,
    id::{AgentName, AttemptId, CommitId, Fence, RoleName, RunId, StageName, TicketId},
    not_ready::NotReady,
    protocol::FailureClass,
    run::{AtStage, Run, RunState},
    ticket::{Claim, Holder, Status},
    workflow::{Exit, Goal, Stage, When, Work},
};

/// Goes on until nothing more follows.
pub(crate) fn advance(cx: &mut Cx<'_>) {
    budget::enforce(cx);
    answered(cx);
    while let Some(run) = cx.state.live_run().filter(|r| r.state == RunState::Running && r.head.is_some()) {
        let id = run.id;
        if !step(cx, id) {
            return;
        }
    }
}

/// A run that waited for answers goes on when there is something to do, or nothing left to answer.
fn answered(cx: &mut Cx<'_>) {
    if let Some(run) = cx.state.live_run()
        && matches!(run.state, RunState::AwaitingApproval { .. })
        && (schedule::to_answer(&cx.state).is_none() || schedule::next_ready(&cx.state).is_some())
    {
        let scope = Scope::run(run.id);
        cx.emit_engine(scope, Event::RunResumed {});
    }
}

/// One step; whether there was one to take.
fn step(cx: &mut Cx<'_>, id: RunId) -> bool {
    let Some(run) = cx.state.runs.get(&id).cloned() else { return false };
    let Some(at) = &run.stage else {
        let Some(first) = run.workflow.stages.first() else {
            fail(cx, id, "the workflow has no stage");
            return false;
        };
        cx.emit_engine(Scope::run(id), Event::RunIterationStarted { iteration: 1, signature: String::new() });
        cx.emit_engine(Scope::run(id), Event::StageEntered { stage: first.name.clone() });
        return true;
    };
    let Some(stage) = run.workflow.stage(&at.name) else {
        fail(cx, id, &format!("the workflow has no stage '{}'", at.name));
        return false;
    };
    match &stage.work {
        Work::Plan { role } => {
            if at.decided.is_some() && !anyone_live(cx, id) {
                leave(cx, &run, stage, at);
                return true;
            }
            if at.decided.is_some() || anyone_live(cx, id) {
                return false;
            }
            solo(cx, &run, stage, at, role)
        }
        Work::Panel { roles, every_specialist } => {
            let panel = schedule::panel(&run.settings, roles, *every_specialist);
            let missing: Vec<RoleName> = panel.into_iter().filter(|r| !at.heard.contains(r)).collect();
            if missing.is_empty() && !anyone_live(cx, id) {
                leave(cx, &run, stage, at);
                return true;
            }
            // One that has to wait holds up nobody else of the panel.
            let waiting = missing.into_iter().filter(|role| !live_in_role(cx, id, role));
            let (can, cannot): (Vec<RoleName>, Vec<RoleName>) =
                waiting.partition(|role| schedule::no_place(&cx.state, &run, role).is_none());
            can.first().or(cannot.first()).is_some_and(|role| solo(cx, &run, stage, at, role))
        }
        Work::EachReadyTicket { role } => {
            if start_ready(cx, &run, stage, role) {
                return true;
            }
            if anyone_live(cx, id) || schedule::anything_moves(&cx.state) {
                return false;
            }
            if let Some(why) = schedule::to_answer(&cx.state).filter(|_| run.waits_for_answers()) {
                cx.emit_engine(Scope::run(id), Event::RunAwaitingApproval { why });
                return false;
            }
            leave(cx, &run, stage, at);
            true
        }
    }
}

fn anyone_live(cx: &Cx<'_>, run: RunId) -> bool {
    cx.state.attempts.values().any(|a| a.run == run && a.outcome().is_none())
}

fn live_in_role(cx: &Cx<'_>, run: RunId, role: &RoleName) -> bool {
    cx.state.attempts.values().any(|a| a.run == run && a.role == *role && a.outcome().is_none())
}

/// Starts the one attempt of a role in this stage, or gives up after too many.
fn solo(cx: &mut Cx<'_>, run: &Run, stage: &Stage, at: &AtStage, role: &RoleName) -> bool {
    let failures = at.failures.get(role).copied().unwrap_or_default();
    if failures >= run.settings.limits.rounds {
        let last = at.feedback.get(role).map(|f| f.join("; ")).unwrap_or_default();
        let why = format!("{role} failed {failures} times in stage {}: {last}", stage.name);
        stuck(cx, run.id, why);
        return true;
    }
    if let Some(why) = schedule::no_place(&cx.state, run, role) {
        return wait_for_person(cx, run, &why);
    }
    if !budget::afford(cx, run) {
        return false;
    }
    let round = at.rounds.get(role).copied().unwrap_or_default() + 1;
    let feedback = at.feedback.get(role).cloned().unwrap_or_default();
    start(cx, run, stage, role, None, round, feedback)
}

/// Starts an attempt on the most important ready ticket, if there is one and a place for it.
fn start_ready(cx: &mut Cx<'_>, run: &Run, stage: &Stage, role: &RoleName) -> bool {
    if let Some(why) = schedule::no_place(&cx.state, run, role) {
        return schedule::next_ready(&cx.state).is_some() && wait_for_person(cx, run, &why);
    }
    let Some(ticket) = schedule::next_ready(&cx.state) else { return false };
    if !budget::afford(cx, run) {
        return false;
    }
    let Some((round, feedback)) = cx.state.tickets.get(&ticket).map(|t| (t.rounds + 1, t.feedback.clone())) else {
        return false;
    };
    start(cx, run, stage, role, Some(&ticket), round, feedback)
}

/// When nobody can play a role before a person does something, and nothing else is at work, the run waits for that.
fn wait_for_person(cx: &mut Cx<'_>, run: &Run, why: &NotReady) -> bool {
    if let NotReady::AgentUnavailable { agent, why: told } = why
        && !anyone_live(cx, run.id)
    {
        let misconfigured = |attempt: &Attempt| {
            let failure = attempt.talk.failure.as_ref();
            attempt.agent == *agent && failure.is_some_and(|f| f.0 == FailureClass::Configuration && f.1 == *told)
        };
        let help = run.settings.agents.get(agent).and_then(|a| a.adapter.as_ref()).map(|a| a.login.help.as_str());
        let help = match help.filter(|help| !help.is_empty()) {
            _ if cx.state.attempts.values().any(|attempt| misconfigured(attempt)) => "change its configuration",
            Some(help) => help,
            None => "log it in",
        };
        let why = format!("{why}; {help}, then run the same command again (or `p0 resume`)");
        cx.emit_engine(Scope::run(run.id), Event::RunPaused { why, until: None, held: false });
    }
    false
}

fn start(
    cx: &mut Cx<'_>,
    run: &Run,
    stage: &Stage,
    role: &RoleName,
    ticket: Option<&TicketId>,
    round: u32,
    feedback: Vec<String>,
) -> bool {
    let Some(settings) = run.settings.roles.get(role) else {
        fail(cx, run.id, &format!("nobody plays the role '{role}'"));
        return false;
    };
    let Some(base) = run.head.clone() else { return false };
    let Ok(agent) = schedule::player(&cx.state, run, role) else { return false };
    let (resumes, carries) = going_on(cx, run, role, &agent, ticket);
    let model = settings.model.clone().or_else(|| run.settings.agents.get(&agent).and_then(|a| a.model.clone()));
    let id = AttemptId(cx.new_id());
    let scope = Scope { run: Some(run.id), ticket: ticket.cloned(), attempt: Some(id) };
    if ticket.is_some() {
        let claim = Claim { fence: Fence(cx.state.last_fence + 1), holder: Holder::Attempt { attempt: id } };
        cx.emit_engine(scope.clone(), Event::TicketClaimed { claim });
    }
    let event = Event::AttemptStarted {
        id,
        role: role.clone(),
        rights: settings.rights,
        agent,
        stage: stage.name.clone(),
        iteration: run.iteration,
        round,
        base,
        feedback,
        model,
        resumes,
        carries,
    };
    cx.emit_engine(scope, event);
    true
}

/// What an attempt takes over from the one before it on the same work: the conversation, when the same agent goes on
/// and can; and what stood in the worktree, when the conversation knows of it or was given up for its length.
fn going_on(
    cx: &Cx<'_>,
    run: &Run,
    role: &RoleName,
    agent: &AgentName,
    ticket: Option<&TicketId>,
) -> (Option<Session>, Option<CommitId>) {
    let same_work = |a: &&Attempt| match ticket {
        Some(ticket) => a.ticket.as_ref() == Some(ticket),
        None => a.role == *role && a.ticket.is_none() && a.iteration == run.iteration,
    };
    let last = cx.state.attempts.values().rev().map(AsRef::as_ref).filter(|a| a.run == run.id).find(same_work);
    let goes_on = |a: &&Attempt| a.agent == *agent && a.outcome() != Some(&Outcome::Accepted);
    let Some(last) = last.filter(goes_on) else { return (None, None) };
    let resumes = run.settings.agents.get(agent).and_then(|a| a.adapter.as_ref()).is_some_and(|a| a.resumes);
    let too_long = matches!(last.talk.failure, Some((FailureClass::Context, _)));
    // One that ended before it began leaves what it was given to the next.
    let unheard =
        last.talk.session.is_none() && last.commit.is_none() && matches!(last.outcome(), Some(Outcome::Lost { .. }));
    if unheard {
        return (last.talk.resumes.clone().filter(|_| resumes && !too_long), last.talk.carries.clone());
    }
    let session = last.talk.session.clone().filter(|_| resumes && !too_long);
    let carries = last.commit.clone().filter(|_| session.is_some() || too_long);
    (session, carries)
}

/// Takes the first way out whose condition holds.
fn leave(cx: &mut Cx<'_>, run: &Run, stage: &Stage, at: &AtStage) {
    let holds = |exit: &&Exit| match exit.when {
        When::Decided(choice) => at.decided.as_ref().is_some_and(|(decided, _)| *decided == choice),
        When::Finished => true,
    };
    let reason = at.decided.as_ref().map(|(_, why)| why.clone()).unwrap_or_default();
    let Some(exit) = stage.exits.iter().find(holds) else {
        fail(cx, run.id, &format!("stage '{}' has no way out for what was decided", stage.name));
        return;
    };
    cx.emit_engine(Scope::run(run.id), Event::StageCompleted { stage: stage.name.clone() });
    match &exit.goal {
        Goal::Stage(goal) => {
            // Asked of a plan, not of what a stage leaves behind: the planner may know a way around.
            if at.decided.is_some()
                && !(run.waits_for_answers() && schedule::to_answer(&cx.state).is_some())
                && let Some(why) = everything_blocked(cx)
            {
                stuck(cx, run.id, why);
                return;
            }
            enter(cx, run.id, goal);
        }
        Goal::NextIteration(goal) => next_iteration(cx, run, goal),
        Goal::Done { otherwise } => match done_on(cx, run) {
            Some(commit) => {
                super::decide::end_run(cx, run.id, Event::RunDone { commit });
            }
            None => enter(cx, run.id, otherwise),
        },
        Goal::Stuck => stuck(cx, run.id, format!("the planner says: {reason}")),
    }
}

fn enter(cx: &mut Cx<'_>, run: RunId, stage: &StageName) {
    cx.emit_engine(Scope::run(run), Event::StageEntered { stage: stage.clone() });
}

/// The head, if nothing that DONE needs is missing. Priorities were checked with the decision; here it is the verdict.
fn done_on(cx: &Cx<'_>, run: &Run) -> Option<CommitId> {
    let run = cx.state.runs.get(&run.id)?;
    let head = run.head.clone()?;
    let judged = run.verdict.as_ref().is_some_and(|v| v.met && v.commit == head);
    (judged || !run.workflow.done.verdict).then_some(head)
}

fn next_iteration(cx: &mut Cx<'_>, run: &Run, goal: &StageName) {
    let limit = run.settings.limits.max_iterations;
    if run.iteration >= limit {
        let open = unsettled(cx).join(", ");
        let open = if open.is_empty() { "no open item".to_owned() } else { format!("open: {open}") };
        stuck(cx, run.id, format!("the limit of {limit} iterations is reached; {open}"));
        return;
    }
    let signature = signature(cx, run.id);
    if run.signature.as_ref() == Some(&signature) {
        stuck(cx, run.id, format!("two iterations ended alike, nothing moves: {signature}"));
        return;
    }
    let event = Event::RunIterationStarted { iteration: run.iteration + 1, signature };
    cx.emit_engine(Scope::run(run.id), event);
    enter(cx, run.id, goal);
}

/// What stands at the end of an iteration: the head, the open items with what blocks them, and the verdict.
fn signature(cx: &Cx<'_>, run: RunId) -> String {
    let Some(run) = cx.state.runs.get(&run) else { return String::new() };
    let head = run.head.as_ref().map(CommitId::short).unwrap_or_default();
    let verdict = match &run.verdict {
        Some(v) if Some(&v.commit) == run.head.as_ref() => {
            if v.met {
                "met"
            } else {
                "not met"
            }
        }
        Some(_) | None => "no verdict",
    };
    format!("head {head}, {verdict}, open: {}", unsettled(cx).join(", "))
}

fn unsettled(cx: &Cx<'_>) -> Vec<String> {
    cx.state
        .tickets
        .iter()
        .filter(|(_, t)| t.is_unsettled())
        .map(|(id, t)| match &t.status {
            Status::Blocked(on) => format!("{id} ({on})"),
            Status::Open | Status::InProgress | Status::Done => id.to_string(),
        })
        .collect()
}

/// Why nothing can be worked on, if everything left is blocked or waits for what is.
fn everything_blocked(cx: &Cx<'_>) -> Option<String> {
    if schedule::anything_moves(&cx.state) {
        return None;
    }
    let blocked: Vec<String> = cx
        .state
        .tickets
        .iter()
        .filter_map(|(id, t)| match &t.status {
            Status::Blocked(on) if t.deferred.is_none() => Some(format!("{id} {on}")),
            Status::Blocked(_) | Status::Open | Status::InProgress | Status::Done => None,
        })
        .collect();
    (!blocked.is_empty()).then(|| format!("everything left is blocked: {}", blocked.join("; ")))
}

fn stuck(cx: &mut Cx<'_>, run: RunId, why: String) {
    super::decide::end_run(cx, run, Event::RunStuck { why });
}

fn fail(cx: &mut Cx<'_>, run: RunId, why: &str) {
    super::decide::end_run(cx, run, Event::RunFailed { why: why.to_owned() });
}
