//! Work items in the hands of people and of workers outside any run.
use super::{
    change::{self, By},
    cx::{Cx, Scope},
    finding,
    proposal::{self, Names},
};
use crate::{evolve::lease_end, graph, schedule};
use p0_model::{
    command::WantedStatus,
    event::{Event, OpenStatus},
    id::{Fence, TicketId},
    protocol::{Proposal, ProposalKind},
    rejection::Rejection,
    reply::Reply,
    ticket::{BlockedOn, Claim, Holder, Kind, Status, Ticket},
};
use std::{collections::BTreeMap, sync::Arc};

fn find<'a>(cx: &'a Cx<'_>, id: &TicketId) -> Result<&'a Ticket, Rejection> {
    cx.state
        .tickets
        .get(id)
        .map(Arc::as_ref)
        .ok_or_else(|| Rejection::NotFound { what: "ticket".into(), id: id.to_string() })
}

fn scope(cx: &Cx<'_>, id: &TicketId) -> Scope {
    let run = cx.state.live_run().map(|r| r.id);
    Scope { run, ..Scope::default() }.ticket(id)
}

pub(super) fn create(cx: &mut Cx<'_>, proposal: &Proposal, parent: Option<&TicketId>) -> Result<Reply, Rejection> {
    let (id, kind) = match parent {
        Some(parent) => {
            let ticket = find(cx, parent)?;
            if ticket.status == Status::Done {
                return Err(Rejection::refused(format!("{parent} is done; make a new ticket instead of a sub-task")));
            }
            (parent.child(ticket.children + 1), Kind::Subtask)
        }
        None => {
            let kind = if proposal.kind == Some(ProposalKind::Fix) { Kind::Fix } else { Kind::Task };
            (TicketId::new(proposal::key(cx), cx.state.last_item + 1), kind)
        }
    };
    let names = Names { state: &cx.state, keys: BTreeMap::new() };
    let seed = proposal::seed(&names, proposal, id.clone(), kind, parent).map_err(Rejection::refused)?;
    if kind != Kind::Fix
        && let Some((path, held_by)) = proposal::owner_of(&cx.state, &seed.files, &id, parent)
    {
        return Err(Rejection::Owned { path, held_by: held_by.to_string(), wanted_by: id.to_string() });
    }
    let scope = scope(cx, &id);
    cx.emit(scope.clone(), Event::TicketCreated { ticket: seed.into() });
    change::wait_for_fixes(cx, &scope);
    Ok(Reply::Ticket { ticket: id })
}

pub(super) fn update(cx: &mut Cx<'_>, id: &TicketId, proposal: &Proposal) -> Result<Reply, Rejection> {
    let ticket = find(cx, id)?;
    if ticket.status == Status::Done {
        return Err(Rejection::refused(format!("{id} is done and does not change; make a new ticket")));
    }
    if let Some(attempt) = ticket.holding_attempt() {
        let why = format!("{id} is being worked on by attempt {attempt}; wait for its end, or cancel the run");
        return Err(Rejection::refused(why));
    }
    let names = Names { state: &cx.state, keys: BTreeMap::new() };
    let changes = proposal::changes(&names, id, proposal).map_err(Rejection::refused)?;
    let revived = ticket.deferred.is_some() && ticket.seed.kind != Kind::Feedback;
    let wanted = changes.files.as_ref().or(revived.then_some(&ticket.seed.files));
    if let Some(files) = wanted
        && (ticket.is_live_work() || revived)
        && let Some((path, held_by)) = proposal::owner_of(&cx.state, files, id, None)
    {
        return Err(Rejection::Owned { path, held_by: held_by.to_string(), wanted_by: id.to_string() });
    }
    if let Some(on) = &changes.depends_on {
        let changed = BTreeMap::from([(id.clone(), on.iter().cloned().collect())]);
        if let Some(path) = graph::cycle(&cx.state, &changed) {
            return Err(Rejection::Cycle { path });
        }
    }
    let scope = scope(cx, id);
    cx.emit(scope.clone(), Event::TicketUpdated { changes: changes.into() });
    change::reopen(cx, &scope, id, By::Person);
    Ok(Reply::Ticket { ticket: id.clone() })
}

pub(super) fn comment(cx: &mut Cx<'_>, id: &TicketId, text: &str) -> Result<Reply, Rejection> {
    find(cx, id)?;
    cx.emit(scope(cx, id), Event::TicketCommented { text: text.to_owned() });
    Ok(Reply::Ticket { ticket: id.clone() })
}

pub(super) fn set_status(
    cx: &mut Cx<'_>,
    id: &TicketId,
    status: WantedStatus,
    reason: &str,
    token_hash: Option<&str>,
) -> Result<Reply, Rejection> {
    if let Some(token) = token_hash {
        holds(cx, id, token)?;
    }
    let ticket = find(cx, id)?;
    if ticket.status == Status::Done {
        return if status == WantedStatus::Done {
            Ok(Reply::Ticket { ticket: id.clone() })
        } else {
            Err(Rejection::refused(format!("{id} is done and does not reopen; make a new ticket, or a fix")))
        };
    }
    if let Some(attempt) = ticket.holding_attempt() {
        let why = format!("{id} is being worked on by attempt {attempt}; wait for its end, or cancel the run");
        return Err(Rejection::refused(why));
    }
    let claimed = ticket.claim.is_some();
    let scope = scope(cx, id);
    let keeps_claim = status == WantedStatus::InProgress;
    if claimed && !keeps_claim && status != WantedStatus::Done {
        cx.emit(scope.clone(), Event::TicketReleased { why: reason.to_owned() });
    }
    let reason = reason.to_owned();
    let put_off = cx.state.keeps_a_persons_word() && find(cx, id)?.deferred.is_some();
    if put_off && matches!(status, WantedStatus::Open | WantedStatus::InProgress) {
        takes_files_back(cx, id)?;
    }
    let event = match status {
        WantedStatus::Open if put_off => Event::TicketStatusChanged { status: OpenStatus::Open, reason },
        WantedStatus::Open if matches!(find(cx, id)?.status, Status::Open) => {
            return Ok(Reply::Ticket { ticket: id.clone() });
        }
        WantedStatus::Open => Event::TicketStatusChanged { status: OpenStatus::Open, reason },
        WantedStatus::InProgress => Event::TicketStatusChanged { status: OpenStatus::InProgress, reason },
        WantedStatus::Done => Event::TicketCompleted { commit: None },
        WantedStatus::Blocked => Event::TicketBlocked { on: BlockedOn::Person { reason } },
    };
    cx.emit(scope.clone(), event);
    if status == WantedStatus::Done {
        finding::close_after(cx, &scope, id);
    }
    Ok(Reply::Ticket { ticket: id.clone() })
}

/// Whether an item that was put off may go back to work: nobody else owns its files meanwhile.
fn takes_files_back(cx: &Cx<'_>, id: &TicketId) -> Result<(), Rejection> {
    let ticket = find(cx, id)?;
    if ticket.seed.kind != Kind::Feedback
        && let Some((path, held_by)) = proposal::owner_of(&cx.state, &ticket.seed.files, id, None)
    {
        return Err(Rejection::Owned { path, held_by: held_by.to_string(), wanted_by: id.to_string() });
    }
    Ok(())
}

pub(super) fn claim(
    cx: &mut Cx<'_>,
    wanted: Option<&TicketId>,
    (worker, token_hash, lease_s): (&str, &str, u64),
    timed: bool,
) -> Result<Reply, Rejection> {
    if !timed {
        lapse(cx);
    }
    let id = match wanted {
        Some(id) => {
            let ticket = find(cx, id)?;
            if let Some(why) = schedule::not_claimable(&cx.state, id, ticket) {
                let why = if ticket.status == Status::Done { "it is done".to_owned() } else { why.to_string() };
                return Err(Rejection::refused(format!("{id} cannot be claimed: {why}")));
            }
            id.clone()
        }
        None => schedule::next_ready(&cx.state).ok_or_else(|| Rejection::NothingReady {
            why: cx
                .state
                .tickets
                .iter()
                .find(|(_, t)| t.status != Status::Done)
                .and_then(|(id, t)| schedule::not_claimable(&cx.state, id, t).map(|why| format!("{id}: {why}"))),
        })?,
    };
    let fence = Fence(cx.state.last_fence + 1);
    let expires = lease_end(cx.at(), lease_s);
    let (name, token_hash) = (worker.to_owned(), token_hash.to_owned());
    let holder = Holder::Worker { name, token_hash, lease_s, expires, renewals: 0 };
    cx.emit(scope(cx, &id), Event::TicketClaimed { claim: Claim { fence, holder } });
    Ok(Reply::Claimed { ticket: id, fence })
}

/// Ends the leases that are over: without an engine at work no timer does.
fn lapse(cx: &mut Cx<'_>) {
    let now = cx.at();
    let over = |ticket: &Ticket| match ticket.claim.as_ref().map(|c| &c.holder) {
        Some(Holder::Worker { expires, .. }) => *expires < now,
        Some(Holder::Attempt { .. }) | None => false,
    };
    let lapsed: Vec<TicketId> = cx.state.claimed().filter(|(_, t)| over(t)).map(|(id, _)| id.clone()).collect();
    for id in lapsed {
        let why = "its lease was over when somebody else asked for a ticket".to_owned();
        cx.emit_engine(scope(cx, &id), Event::TicketLeaseExpired { why });
    }
}

/// Whether this token holds the ticket's claim.
fn holds(cx: &Cx<'_>, id: &TicketId, token: &str) -> Result<(), Rejection> {
    match find(cx, id)?.claim.as_ref().map(|c| &c.holder) {
        Some(Holder::Worker { token_hash, .. }) if token_hash == token => Ok(()),
        Some(Holder::Worker { .. } | Holder::Attempt { .. }) | None => Err(Rejection::NotHolder { ticket: id.clone() }),
    }
}

pub(super) fn heartbeat(cx: &mut Cx<'_>, id: &TicketId, token: &str) -> Result<Reply, Rejection> {
    holds(cx, id, token)?;
    cx.emit(scope(cx, id), Event::TicketRenewed {});
    Ok(Reply::Ticket { ticket: id.clone() })
}

pub(super) fn release(cx: &mut Cx<'_>, id: &TicketId, token: &str) -> Result<Reply, Rejection> {
    holds(cx, id, token)?;
    cx.emit(scope(cx, id), Event::TicketReleased { why: "given back by its worker".into() });
    Ok(Reply::Ticket { ticket: id.clone() })
}
