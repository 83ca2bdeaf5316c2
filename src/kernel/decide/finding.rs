//! What read-only roles find, and what executors ask for.
use super::{
    cx::{Cx, Scope},
    proposal,
};
use crate::schedule;
use p0_model::{
    event::{Event, OpenStatus},
    files::Files,
    id::{AttemptId, TicketId},
    paths::PathFact,
    protocol::Message,
    rejection::Rejection,
    ticket::{Kind, Priority, Seed, Status, Ticket},
};
use std::collections::BTreeSet;

/// Why findings cannot be filed, a sentence each. One that is left out in silence would be a false DONE.
pub(super) fn bad(said: &[Message]) -> Vec<String> {
    let why = |message: &Message| {
        let Message::Feedback { title, body, .. } = message else { return None };
        proposal::check_text(title, body).err().map(|why| format!("the finding '{title:.60}': {why}"))
    };
    said.iter().filter_map(why).collect()
}

/// Files a feedback item as its own work item, unless the same finding is open already.
pub(super) fn file(cx: &mut Cx<'_>, id: AttemptId, message: &Message) -> Result<(), Rejection> {
    let Message::Feedback { title, body, priority, category, files } = message else { return Ok(()) };
    let (scope, agent) = (cx.scope_of(id)?, cx.agent(id)?);
    let category = category.clone().unwrap_or_else(|| cx.state.attempts[&id].role.0.clone());
    let same = cx.state.tickets.iter().find(|(_, t)| {
        t.seed.kind == Kind::Feedback
            && t.status != Status::Done
            && t.seed.title == *title
            && t.seed.category.as_ref() == Some(&category)
    });
    if let Some(known) = same.map(|(known, _)| known.clone()) {
        let head = cx.state.attempts[&id].base.clone();
        let text = format!("found again on {}", head.short());
        cx.emit_as(agent, scope.ticket(&known), Event::TicketCommented { text });
        return Ok(());
    }
    let ticket = TicketId::new(proposal::key(cx), cx.state.last_item + 1);
    let seed = Seed {
        id: ticket.clone(),
        title: title.clone(),
        body: body.clone(),
        kind: Kind::Feedback,
        priority: *priority,
        category: Some(category),
        parent: None,
        depends_on: BTreeSet::new(),
        files: Files { create: Vec::new(), modify: about(files) },
        contract: None,
        closes: BTreeSet::new(),
    };
    cx.emit_as(agent, scope.ticket(&ticket), Event::FeedbackFiled { ticket: seed.into() });
    Ok(())
}

/// The paths of a finding that can be files of the repository; a fix inherits them.
fn about(files: &[String]) -> Vec<String> {
    let one = |path: &String| Files { create: Vec::new(), modify: vec![path.clone()] };
    files.iter().filter(|path| one(path).first_bad().is_none()).cloned().collect()
}

/// An executor asks for more files: granted when nobody live owns them. The answer is why not.
pub(super) fn request_files(
    cx: &mut Cx<'_>,
    id: AttemptId,
    files: Files,
    reason: &str,
    paths: &[PathFact],
) -> Result<Option<String>, Rejection> {
    let (scope, agent) = (cx.scope_of(id)?, cx.agent(id)?);
    let Some(ticket) = scope.ticket.clone() else { return Ok(None) };
    let compares = cx.run(cx.attempt(id)?.run)?.compares_plans_with_trees();
    // What it owns already may be what makes room for a path: a file that a folder takes the place of.
    let owned = cx.state.tickets.get(&ticket).map(|t| t.seed.files.clone()).unwrap_or_default();
    let together = Files {
        create: [owned.create, files.create.clone()].concat(),
        modify: [owned.modify, files.modify.clone()].concat(),
    };
    let refused = match files.first_bad() {
        Some((path, why)) => Some(format!("'{path}': {why}")),
        None => paths
            .iter()
            .filter(|_| compares)
            .find_map(|fact| fact.refusal(&together))
            .or_else(|| owner_in_words(cx, &files, &ticket)),
    };
    let event = Event::OwnershipExtensionRequested {
        files: files.clone(),
        reason: reason.to_owned(),
        refused: refused.clone(),
    };
    cx.emit_as(agent, scope.clone(), event);
    let answer = match &refused {
        None => "the files are yours".to_owned(),
        Some(why) => format!("request for files refused: {why}"),
    };
    if refused.is_none() {
        cx.emit_engine(scope.clone(), Event::OwnershipGranted { files });
    }
    cx.emit_engine(scope, Event::TicketCommented { text: answer });
    Ok(refused)
}

fn owner_in_words(cx: &Cx<'_>, files: &Files, ticket: &TicketId) -> Option<String> {
    let (path, owner) = proposal::owner_of(&cx.state, files, ticket, None)?;
    Some(format!("'{path}' is owned by {owner}"))
}

/// Closes what a landed ticket answers: its feedback, and its parent when this was the last sub-task.
pub(super) fn close_after(cx: &mut Cx<'_>, scope: &Scope, id: &TicketId) {
    let Some(ticket) = cx.state.tickets.get(id).cloned() else { return };
    for feedback in &ticket.seed.closes {
        // What a person blocked is not closed by an agent's work.
        let stays = |t: &Ticket| cx.state.keeps_a_persons_word() && t.is_blocked_by_person();
        let open = cx.state.tickets.get(feedback).is_some_and(|t| t.status != Status::Done && !stays(t));
        if open {
            let scope = Scope { attempt: None, ..scope.clone() }.ticket(feedback);
            cx.emit_engine(scope, Event::TicketCompleted { commit: ticket.commit.clone() });
        }
    }
    close_parent(cx, scope, id);
}

/// The parent of a sub-task that was done or put off: done itself when this was the last one and something has landed,
/// open again when nothing has.
pub(super) fn close_parent(cx: &mut Cx<'_>, scope: &Scope, id: &TicketId) {
    let Some(ticket) = cx.state.tickets.get(id) else { return };
    let (Some(parent_id), child_commit) = (ticket.seed.parent.clone(), ticket.commit.clone()) else { return };
    let Some(parent) = cx.state.tickets.get(&parent_id) else { return };
    let waits = parent.claim.is_none() && parent.status == Status::InProgress;
    if !waits || schedule::open_child(&cx.state, &parent_id).is_some() {
        return;
    }
    let scope = Scope { attempt: None, ..scope.clone() }.ticket(&parent_id);
    match parent.commit.clone().or(child_commit) {
        Some(commit) => {
            cx.emit_engine(scope.clone(), Event::TicketCompleted { commit: Some(commit) });
            close_after(cx, &scope, &parent_id);
        }
        None => {
            let reason = "its sub-tasks are put off, and nothing of it has landed".to_owned();
            cx.emit_engine(scope, Event::TicketStatusChanged { status: OpenStatus::Open, reason });
        }
    }
}

/// How a priority is to be treated when DONE is asked for, in words; `None` = it may stay open.
pub(super) fn forbids_done(priority: Priority, deferred: bool, high: bool, medium: bool) -> Option<&'static str> {
    match priority {
        Priority::High if high => Some("an open item of high priority forbids DONE"),
        Priority::Medium if medium && !deferred => {
            Some("an open item of medium priority must be addressed, or put off with a reason")
        }
        Priority::High | Priority::Medium | Priority::Low => None,
    }
}
