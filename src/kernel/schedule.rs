//! What is ready, and why the rest is not. Every ticket that does not move has a typed reason.
use p0_model::{
    aggregate::Aggregate,
    attempt::{Phase, Step},
    id::{AgentName, RoleName, TicketId},
    not_ready::NotReady,
    run::{Run, RunState},
    settings::{Settings, UnknownUsage},
    ticket::{BlockedOn, Holder, Kind, Status, Ticket},
    workflow::{Rights, Work},
};

/// Why this ticket cannot be claimed now, looking at tickets alone; `None` = it can.
pub fn not_claimable(state: &Aggregate, id: &TicketId, ticket: &Ticket) -> Option<NotReady> {
    not_claimable_beside(&claimed(state), state, id, ticket)
}

fn claimed(state: &Aggregate) -> Vec<(&TicketId, &Ticket)> {
    state.claimed().collect()
}

fn not_claimable_beside(
    claimed: &[(&TicketId, &Ticket)],
    state: &Aggregate,
    id: &TicketId,
    ticket: &Ticket,
) -> Option<NotReady> {
    if ticket.seed.kind == Kind::Feedback {
        return Some(NotReady::Feedback);
    }
    if let Some(reason) = &ticket.deferred {
        return Some(NotReady::Deferred { reason: reason.clone() });
    }
    match &ticket.status {
        Status::Open => {}
        Status::Done => return Some(NotReady::ByHand),
        Status::Blocked(on) => return Some(NotReady::Blocked(on.clone())),
        Status::InProgress => return Some(in_progress(state, id, ticket)),
    }
    if let Some(on) = ticket
        .seed
        .depends_on
        .iter()
        .find_map(|on| state.tickets.get(on).filter(|t| t.status != Status::Done).map(|t| (on, t.status.word())))
    {
        return Some(NotReady::WaitingFor { ticket: on.0.clone(), status: on.1.to_owned() });
    }
    busy_files(claimed, id, ticket)
}

fn in_progress(state: &Aggregate, id: &TicketId, ticket: &Ticket) -> NotReady {
    match ticket.claim.as_ref().map(|c| &c.holder) {
        Some(Holder::Worker { name, .. }) => NotReady::HeldBy { worker: name.clone() },
        Some(Holder::Attempt { attempt }) => {
            let Some(attempt) = state.attempts.get(attempt) else { return NotReady::ByHand };
            match &attempt.phase {
                Phase::Integrating { step: Step::Queued, .. } => {
                    let queue = state.runs.get(&attempt.run).map(|r| &r.queue);
                    let before = queue.and_then(|q| q.iter().position(|a| *a == attempt.id)).unwrap_or_default();
                    NotReady::InQueue { before }
                }
                Phase::Integrating { step: Step::Gating { candidate, .. }, .. } => {
                    NotReady::AtGates { commit: candidate.clone() }
                }
                Phase::Integrating { step: Step::Landing { .. }, .. } => NotReady::Landing,
                Phase::Starting | Phase::Running { .. } | Phase::Exited { .. } | Phase::Finished { .. } => {
                    NotReady::AtWork { role: attempt.role.clone(), round: attempt.round }
                }
            }
        }
        None => match open_child(state, id) {
            Some(child) => NotReady::WaitingForSubtask { ticket: child },
            None => NotReady::ByHand,
        },
    }
}

/// A sub-task of this item that is not done, if there is one.
pub(crate) fn open_child(state: &Aggregate, id: &TicketId) -> Option<TicketId> {
    state
        .tickets
        .iter()
        .find(|(_, t)| t.seed.parent.as_ref() == Some(id) && t.is_unsettled())
        .map(|(child, _)| child.clone())
}

/// Sub-tasks inherit files, so two of one parent may own the same path: they take turns.
fn busy_files(claimed: &[(&TicketId, &Ticket)], id: &TicketId, ticket: &Ticket) -> Option<NotReady> {
    claimed.iter().filter(|(other, _)| *other != id).find_map(|(other, t)| {
        let path = t.seed.files.overlap(&ticket.seed.files)?;
        Some(NotReady::FilesBusy { path, holder: (*other).clone() })
    })
}

/// The tickets that can be claimed now, the most important first, then by number.
pub fn ready(state: &Aggregate) -> Vec<TicketId> {
    let claimed = claimed(state);
    let is_ready = |id: &TicketId, ticket: &Ticket| not_claimable_beside(&claimed, state, id, ticket).is_none();
    state.open().filter(|(id, ticket)| is_ready(id, ticket)).map(|(id, _)| id.clone()).collect()
}

/// The first of [`ready`], without looking at the rest.
pub fn next_ready(state: &Aggregate) -> Option<TicketId> {
    let claimed = claimed(state);
    let mut open = state.open();
    open.find(|(id, t)| not_claimable_beside(&claimed, state, id, t).is_none()).map(|(id, _)| id.clone())
}

/// Whether somebody works, or could work, on some ticket.
pub(crate) fn anything_moves(state: &Aggregate) -> bool {
    state.claimed().next().is_some() || next_ready(state).is_some()
}

/// Places taken by the attempts of a run.
pub(crate) fn slots_taken(state: &Aggregate, run: &Run) -> u32 {
    let taken = state.live_attempts().filter(|a| a.run == run.id && a.takes_slot()).count();
    u32::try_from(taken).unwrap_or(u32::MAX)
}

/// Why the run cannot start another attempt of this role; `None` = it can.
pub(crate) fn no_place(state: &Aggregate, run: &Run, role: &RoleName) -> Option<NotReady> {
    let limit = run.settings.limits.max_parallel;
    if slots_taken(state, run) >= limit {
        return Some(NotReady::SlotsFull { limit });
    }
    player(state, run, role).err()
}

/// Who plays a role now: the first of its agents that is neither limited nor unavailable, and has not failed again and
/// again for its own sake; the first of those that have when there is nobody else.
pub(crate) fn player(state: &Aggregate, run: &Run, role: &RoleName) -> Result<AgentName, NotReady> {
    let Some(settings) = run.settings.roles.get(role) else { return Ok(AgentName(String::new())) };
    let mut first_reason = None;
    let mut troubled = None;
    for agent in settings.agents() {
        match cannot_play(state, run, agent) {
            // The soonest to come back is the one to wait for; a person may never come.
            Some(why) => {
                if matches!(first_reason, None | Some(NotReady::AgentUnavailable { .. })) {
                    first_reason = Some(why);
                }
            }
            None if run.keeps_failing(agent) => {
                troubled.get_or_insert(agent);
            }
            None => return Ok(agent.clone()),
        }
    }
    match (troubled, first_reason) {
        // One that comes back by itself is worth the wait.
        (_, Some(why @ (NotReady::AgentLimited { .. } | NotReady::AgentOnTrial { .. }))) => Err(why),
        (Some(agent), _) => Ok(agent.clone()),
        (None, Some(why)) => Err(why),
        (None, None) => Ok(settings.agent.clone()),
    }
}

fn cannot_play(state: &Aggregate, run: &Run, agent: &AgentName) -> Option<NotReady> {
    if let Some(why) = run.unavailable.get(agent) {
        return Some(NotReady::AgentUnavailable { agent: agent.clone(), why: why.clone() });
    }
    if let Some(until) = run.limited.get(agent) {
        return Some(NotReady::AgentLimited { agent: agent.clone(), until: *until });
    }
    let at_work = || state.attempts.values().any(|a| a.run == run.id && a.agent == *agent && a.takes_slot());
    (run.on_trial.contains(agent) && at_work()).then(|| NotReady::AgentOnTrial { agent: agent.clone() })
}

/// Why a ticket does not move, with its run in view; `None` = it is done.
pub fn why_waiting(state: &Aggregate, id: &TicketId) -> Option<NotReady> {
    let ticket = state.tickets.get(id)?;
    if ticket.status == Status::Done {
        return None;
    }
    if let Some(why) = not_claimable(state, id, ticket) {
        return Some(why);
    }
    let Some(run) = state.live_run() else { return Some(NotReady::NoRun) };
    match &run.state {
        RunState::Paused { why, .. } | RunState::AwaitingApproval { why } => {
            return Some(NotReady::Paused { why: why.clone() });
        }
        RunState::Running
        | RunState::Done
        | RunState::Stuck { .. }
        | RunState::Failed { .. }
        | RunState::Cancelled { .. } => {}
    }
    let at = run.stage.as_ref()?;
    match run.workflow.stage(&at.name).map(|s| &s.work) {
        Some(Work::EachReadyTicket { role }) => {
            no_place(state, run, role).or(Some(NotReady::SlotsFull { limit: run.settings.limits.max_parallel }))
        }
        Some(Work::Plan { .. } | Work::Panel { .. }) | None => Some(NotReady::OtherStage { stage: at.name.clone() }),
    }
}

/// The questions that tickets wait with, and how they are answered; `None` = there are none.
pub(crate) fn to_answer(state: &Aggregate) -> Option<String> {
    let asked = state.tickets.iter().filter_map(|(id, ticket)| match &ticket.status {
        Status::Blocked(BlockedOn::NeedsInput { question }) if ticket.deferred.is_none() => {
            Some(format!("{id} asks: {question} (`p0 answer {id} TEXT`)"))
        }
        Status::Blocked(_) | Status::Open | Status::InProgress | Status::Done => None,
    });
    Some(asked.collect::<Vec<_>>().join("; ")).filter(|all| !all.is_empty())
}

/// Why nothing more may be spent.
pub(crate) enum Exhausted {
    /// A limit is reached.
    UsedUp {
        /// In words.
        what: String,
        /// The option of the command line that raises it.
        option: &'static str,
    },
    /// What was used is not known.
    Unknown {
        /// In words.
        what: String,
    },
}

impl Exhausted {
    /// In words.
    pub(crate) fn what(&self) -> String {
        match self {
            Exhausted::UsedUp { what, .. } => what.clone(),
            Exhausted::Unknown { what } => format!("what is left of it is unknown, since {what}"),
        }
    }

    /// Why an attempt is ended.
    pub(crate) fn reason(&self) -> String {
        match self {
            Exhausted::UsedUp { what, .. } => format!("the budget is used up: {what}"),
            Exhausted::Unknown { what } => format!("what is left of the budget is unknown: {what}"),
        }
    }
}

/// The budget that is used up, if one is.
pub(crate) fn exhausted(run: &Run) -> Option<Exhausted> {
    let budget = &run.settings.budget;
    let tokens = run.usage.input_tokens.saturating_add(run.usage.output_tokens);
    if let Some(limit) = budget.tokens
        && tokens >= limit
    {
        let what = format!("{tokens} of {limit} tokens are used");
        return Some(Exhausted::UsedUp { what, option: "--budget-tokens" });
    }
    if let Some(limit) = budget.usd
        && run.usage.cost_usd >= limit
    {
        let what = format!("{:.2} of {limit:.2} USD are spent", run.usage.cost_usd);
        return Some(Exhausted::UsedUp { what, option: "--budget-usd" });
    }
    let has_limit = budget.tokens.is_some() || budget.usd.is_some();
    let unknown = run.unknown_usage.as_ref().filter(|_| has_limit && budget.unknown == UnknownUsage::Stop)?;
    Some(Exhausted::Unknown { what: unknown.clone() })
}

/// The roles that a panel must hear.
pub(crate) fn panel(settings: &Settings, roles: &[RoleName], every_specialist: bool) -> Vec<RoleName> {
    let mut all = roles.to_vec();
    if every_specialist {
        all.extend(settings.roles.iter().filter(|(_, r)| r.rights == Rights::Specialist).map(|(n, _)| n.clone()));
    }
    all
}
