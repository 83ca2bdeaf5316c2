//! Events about work items.
use imbl::Vector;
use p0_model::{
    Time,
    actor::Actor,
    aggregate::Aggregate,
    event::{Event, OpenStatus, events_about},
    files::Files,
    record::Draft,
    ticket::{Changes, Comment, Holder, Kind, Seed, Status, Ticket},
};
use std::sync::Arc;

pub(super) fn evolve(state: &mut Aggregate, draft: &Draft) {
    if let Event::TicketCreated { ticket } | Event::FeedbackFiled { ticket } = &draft.event {
        return create(state, draft, ticket);
    }
    if let Event::TicketClaimed { claim } = &draft.event {
        state.last_fence = state.last_fence.max(claim.fence.0);
    }
    let explicit = state.keeps_a_persons_word();
    if let Some(id) = &draft.ticket {
        state.change_ticket(id, |ticket| change(ticket, draft, &draft.event, explicit));
    }
}

fn create(state: &mut Aggregate, draft: &Draft, seed: &Seed) {
    match &seed.parent {
        Some(parent) => {
            if let Some(parent) = state.tickets.get_mut(parent).map(Arc::make_mut) {
                parent.children += 1;
            }
        }
        None => state.last_item += 1,
    }
    state.add_ticket(
        seed.id.clone(),
        Ticket {
            seed: seed.clone(),
            status: Status::Open,
            run: draft.run,
            by: draft.actor.clone(),
            comments: Vector::new(),
            claim: None,
            attempts: Vec::new(),
            commit: None,
            deferred: None,
            rounds: 0,
            rounds_counted: 0,
            lost: 0,
            renewals: 0,
            feedback: Vec::new(),
            children: 0,
        },
    );
}

/// `explicit`: an item that was blocked goes back to work by an event of its own.
fn change(ticket: &mut Ticket, draft: &Draft, event: &Event, explicit: bool) {
    match event {
        Event::TicketUpdated { changes } => {
            update(ticket, changes);
            // The engine's own changes are nobody's wish to go on with what was put off.
            if !explicit || draft.attempt.is_some() || draft.actor != Actor::Engine {
                ticket.deferred = None;
            }
            if !explicit {
                back_to_work(ticket);
            }
        }
        Event::TicketReopened { renewals, .. } => {
            back_to_work(ticket);
            ticket.renewals = *renewals;
        }
        Event::TicketClaimed { claim } => {
            ticket.claim = Some(claim.clone());
            ticket.status = Status::InProgress;
        }
        Event::TicketReleased { .. } | Event::TicketLeaseExpired { .. } => {
            ticket.claim = None;
            if ticket.status == Status::InProgress {
                ticket.status = Status::Open;
            }
        }
        Event::TicketRenewed {} => renew(ticket, draft.at),
        Event::TicketStatusChanged { status, .. } => {
            if explicit && matches!(draft.actor, Actor::Person(_)) {
                ticket.deferred = None;
                // Whoever opens it, or answers its question, wants it tried anew.
                if matches!(ticket.status, Status::Blocked(_)) {
                    ticket.rounds_counted = 0;
                }
            }
            ticket.status = match status {
                OpenStatus::Open => Status::Open,
                OpenStatus::InProgress => Status::InProgress,
            };
        }
        Event::TicketCommented { text } => {
            ticket.comments.push_back(Comment { actor: draft.actor.clone(), text: text.clone(), at: draft.at })
        }
        Event::TicketDeferred { reason } => ticket.deferred = Some(reason.clone()),
        Event::TicketCompleted { commit } => {
            ticket.status = Status::Done;
            ticket.claim = None;
            ticket.deferred = None;
            if commit.is_some() {
                ticket.commit.clone_from(commit);
            }
        }
        Event::TicketBlocked { on } => {
            ticket.status = Status::Blocked(on.clone());
            ticket.claim = None;
        }
        Event::OwnershipGranted { files } => grant(&mut ticket.seed.files, files),
        // New items are made in `create`.
        Event::OwnershipViolated { .. }
        | Event::OwnershipExtensionRequested { .. }
        | events_about!(
            milestone new_ticket run stage new_attempt attempt gate integration verdict learning agent approval rights refusal
            run_file engine
        ) => {}
    }
}

fn renew(ticket: &mut Ticket, at: Time) {
    if let Some(claim) = &mut ticket.claim
        && let Holder::Worker { renewals, lease_s, expires, .. } = &mut claim.holder
    {
        *renewals += 1;
        *expires = lease_end(at, *lease_s);
    }
}

/// A change by the planner or a person puts a blocked item back to work, with a fresh set of rounds.
fn back_to_work(ticket: &mut Ticket) {
    if ticket.seed.kind != Kind::Feedback && matches!(ticket.status, Status::Blocked(_)) {
        ticket.status = Status::Open;
        ticket.rounds_counted = 0;
    }
}

fn update(ticket: &mut Ticket, changes: &Changes) {
    let seed = &mut ticket.seed;
    if let Some(title) = &changes.title {
        seed.title.clone_from(title);
    }
    if let Some(body) = &changes.body {
        seed.body.clone_from(body);
    }
    if let Some(priority) = changes.priority {
        seed.priority = priority;
    }
    if let Some(files) = &changes.files {
        seed.files = files.clone();
    }
    if let Some(depends_on) = &changes.depends_on {
        seed.depends_on.clone_from(depends_on);
    }
    if let Some(contract) = &changes.contract {
        seed.contract = Some(contract.clone());
    }
    if let Some(closes) = &changes.closes {
        seed.closes.clone_from(closes);
    }
}

/// When a lease that is granted now ends.
pub(crate) fn lease_end(at: Time, lease_s: u64) -> Time {
    let most = chrono::TimeDelta::days(365);
    let lease = i64::try_from(lease_s).ok().and_then(chrono::TimeDelta::try_seconds).unwrap_or(most).min(most);
    at + lease
}

fn grant(own: &mut Files, more: &Files) {
    for (own, more) in [(&mut own.create, &more.create), (&mut own.modify, &more.modify)] {
        own.extend(more.iter().filter(|p| !own.contains(p)).cloned().collect::<Vec<_>>());
    }
}
