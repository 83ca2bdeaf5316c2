//! `decide`: a state and a command give events, or a rejection. One file per group of commands.
//!
//! A decision is whole: what follows by itself ([`super::advance`]) is part of it, so that one frame of the log holds a
//! command with all its consequences.
mod approval;
mod attempt;
mod change;
mod control;
pub(crate) mod cx;
mod finding;
mod fork;
mod gates;
mod integration;
mod judge;
mod output;
mod plan;
mod plan_paths;
mod proposal;
mod provider;
mod start_run;
mod tracker;

pub(crate) use control::end as end_run;

use super::advance::advance;
use cx::{Cx, Scope};
use p0_model::{
    aggregate::Aggregate,
    command::{Action, Command},
    event::Event,
    record::Draft,
    rejection::Rejection,
    reply::Reply,
};

/// The answer of [`decide`].
#[derive(Debug, Clone)]
pub struct Decision {
    /// What the caller is told.
    pub reply: Reply,
    /// What happened, in order. Empty = nothing worth a frame.
    pub events: Vec<Draft>,
    /// The state after it.
    pub state: Aggregate,
}

/// Decides a command against the state of its milestone.
///
/// # Errors
/// The command is refused; the state stays as it is.
pub fn decide(state: &Aggregate, command: &Command) -> Result<Decision, Rejection> {
    if let Some(why) = &state.quarantined {
        return Err(Rejection::Quarantined { why: why.clone() });
    }
    let mut cx = Cx::new(state, command);
    let reply = apply(&mut cx, &command.action)?;
    advance(&mut cx);
    let (state, events) = cx.into_parts();
    let reply = if events.is_empty() && reply == Reply::Ok { Reply::Ignored } else { reply };
    Ok(Decision { reply, events, state })
}

fn apply(cx: &mut Cx<'_>, action: &Action) -> Result<Reply, Rejection> {
    match action {
        Action::StartRun(start) => start_run::start_run(cx, start),
        Action::PauseRun { run, why } => control::pause(cx, *run, why),
        Action::ResumeRun { run, budget } => control::go_on(cx, *run, budget.as_ref()),
        Action::CancelRun { run, why } => control::cancel(cx, *run, why),
        Action::RunOpened { run, head } => control::opened(cx, *run, head),
        Action::RunBroken { run, why } => control::broken(cx, *run, why),
        Action::RunHeldUp { run, why } => control::held_up(cx, *run, why),
        Action::TimerFired { timer } => control::timer(cx, timer),
        Action::OpenTracker { milestone, key, title, spec, project } => {
            if cx.state.milestone.is_none() {
                cx.emit(
                    Scope::default(),
                    Event::MilestoneCreated {
                        id: *milestone,
                        key: key.clone(),
                        title: title.clone(),
                        spec: spec.clone(),
                        project: project.clone(),
                    },
                );
            }
            Ok(Reply::Ok)
        }
        Action::CreateTicket { proposal, parent } => tracker::create(cx, proposal, parent.as_ref()),
        Action::UpdateTicket { ticket, proposal } => tracker::update(cx, ticket, proposal),
        Action::SetStatus { ticket, status, reason, token_hash } => {
            tracker::set_status(cx, ticket, *status, reason, token_hash.as_deref())
        }
        Action::SetStatuses { tickets, status, reason } => {
            for ticket in tickets {
                tracker::set_status(cx, ticket, *status, reason, None)?;
            }
            Ok(Reply::Ok)
        }
        Action::Comment { ticket, text } => tracker::comment(cx, ticket, text),
        Action::Claim { ticket, worker, token_hash, lease_s, timed } => {
            tracker::claim(cx, ticket.as_ref(), (worker, token_hash, *lease_s), *timed)
        }
        Action::Heartbeat { ticket, token_hash } => tracker::heartbeat(cx, ticket, token_hash),
        Action::Release { ticket, token_hash } => tracker::release(cx, ticket, token_hash),
        Action::AnswerApproval { approval, allowed, reason } => approval::answer(cx, approval, *allowed, reason),
        Action::AnswerQuestion { ticket, text } => approval::answer_question(cx, ticket, text),
        Action::AttemptSpawned { attempt, pid, start_ticks, nonce, token_hash, input } => {
            let event = Event::AttemptSpawned {
                pid: *pid,
                start_ticks: *start_ticks,
                nonce: nonce.clone(),
                token_hash: token_hash.clone(),
                input: input.clone(),
            };
            attempt::spawned(cx, *attempt, event)
        }
        Action::AttemptSaid { attempt, line, part, message, paths } => {
            attempt::said(cx, *attempt, (*line, *part), message, paths)
        }
        Action::AttemptExited { attempt, report } => attempt::exited(cx, *attempt, report),
        Action::AttemptNeverRan { attempt } => attempt::lost(cx, *attempt, "its program was never started", false),
        Action::AttemptLost { attempt, why } => attempt::lost(cx, *attempt, why, true),
        Action::AttemptHarvested { attempt, harvest } => judge::harvested(cx, *attempt, harvest),
        Action::AttemptReleased { attempt, parked } => attempt::released(cx, *attempt, parked.as_ref()),
        Action::Merged { attempt, onto, merge } => integration::merged(cx, *attempt, onto, merge),
        Action::Gated { attempt, candidate, gates } => integration::gated(cx, *attempt, candidate, gates),
        Action::Landed { attempt, candidate, landing, wall_ms, note } => {
            integration::landed(cx, *attempt, candidate, landing, *wall_ms, note.as_deref())
        }
        Action::NoteRepair { what } => note(cx, Event::JournalRepaired { what: what.clone() }),
        Action::NoteRebuild { why } => note(cx, Event::StoreRebuilt { why: why.clone() }),
        Action::NoteClock { step } => note(cx, Event::ClockStepped { step: step.clone() }),
        Action::DiskFilled { attempt, written } => attempt::filled_disk(cx, *attempt, *written),
        Action::NoteImport { imported } => note(cx, Event::RunImported { imported: (**imported).clone() }),
        Action::NoteArchive { archived } => note(cx, Event::RunArchived { archived: archived.clone() }),
        Action::ForkRun(wanted) => fork::fork(cx, wanted),
        Action::NoteRefusedRequest { attempt, what, why } => {
            let scope = cx.scope_of(*attempt)?;
            cx.emit(scope, Event::RightsRefused { what: what.clone(), why: why.clone() });
            Ok(Reply::Ok)
        }
    }
}

/// Puts something on record that belongs to no run.
fn note(cx: &mut Cx<'_>, event: Event) -> Result<Reply, Rejection> {
    cx.emit(Scope::default(), event);
    Ok(Reply::Ok)
}
