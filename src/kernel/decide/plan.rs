//! A planner's output, applied whole or refused whole.
use super::{
    change::{self, By},
    cx::{Cx, Scope},
    finding::{self, forbids_done},
    plan_paths::PlanPaths,
    proposal::{self, Names},
};
use crate::{graph, schedule};
use p0_model::{
    event::Event,
    id::{AttemptId, LearningId, TicketId},
    paths::PathFact,
    protocol::{Message, Proposal, ProposalKind},
    ticket::{Changes, Kind, Priority, Seed, Status, Ticket},
    workflow::Choice,
};
use std::collections::{BTreeMap, BTreeSet};

/// Applies everything a planner said.
///
/// # Errors
/// Every reason why the plan cannot be taken, a sentence each; nothing of it is applied then.
pub(super) fn apply(cx: &mut Cx<'_>, id: AttemptId, said: &[Message], paths: &[PathFact]) -> Result<(), Vec<String>> {
    let mut trial = cx.clone();
    let facts = PlanPaths::new(cx, id, paths);
    let mut plan = Plan { id, reasons: Vec::new(), facts };
    plan.items(&mut trial, said);
    plan.defers(&mut trial, said);
    plan.curates(&mut trial, said);
    plan.decides(&mut trial, said);
    if !plan.reasons.is_empty() {
        return Err(plan.reasons);
    }
    *cx = trial;
    Ok(())
}

struct Plan<'f> {
    id: AttemptId,
    reasons: Vec<String>,
    facts: PlanPaths<'f>,
}

/// One proposal with the item it makes or changes.
enum Item {
    New(Seed),
    Change(TicketId, Changes),
}

impl Plan<'_> {
    fn items(&mut self, trial: &mut Cx<'_>, said: &[Message]) {
        let proposals: Vec<&Proposal> =
            said.iter().filter_map(|m| if let Message::Ticket(proposal) = m { Some(proposal) } else { None }).collect();
        let Ok(scope) = trial.scope_of(self.id) else { return };
        let items = self.resolve(trial, &proposals);
        self.facts.check(&proposals, &mut self.reasons);
        self.check_ownership(trial, &items);
        self.check_cycles(trial, &items);
        if !self.reasons.is_empty() {
            return;
        }
        for item in items {
            match item {
                Item::New(seed) => {
                    let (id, kind) = (seed.id.clone(), seed.kind);
                    let files = seed.files.clone();
                    trial.emit(scope.clone().ticket(&id), Event::TicketCreated { ticket: seed.into() });
                    self.facts.tell(trial, &scope.clone().ticket(&id), &files);
                    if kind == Kind::Fix {
                        change::dependents_wait_for(trial, &scope, &id);
                    }
                }
                Item::Change(id, changes) => {
                    let files = changes.files.clone().unwrap_or_default();
                    trial.emit(scope.clone().ticket(&id), Event::TicketUpdated { changes: changes.into() });
                    self.facts.tell(trial, &scope.clone().ticket(&id), &files);
                    change::reopen(trial, &scope, &id, By::Planner);
                }
            }
        }
        change::wait_for_fixes(trial, &scope);
    }

    fn resolve(&mut self, trial: &Cx<'_>, proposals: &[&Proposal]) -> Vec<Item> {
        let mut names = Names { state: &trial.state, keys: BTreeMap::new() };
        let key = proposal::key(trial).to_owned();
        let mut next = trial.state.last_item;
        let mut ids = Vec::new();
        for proposal in proposals {
            let known = known(trial, proposal);
            let id = match (&proposal.id, known) {
                (Some(id), _) => self.existing(trial, id),
                (None, Some(known)) => Some(known),
                (None, None) => {
                    next += 1;
                    Some(TicketId::new(&key, next))
                }
            };
            if let (Some(name), Some(id)) = (&proposal.key, &id) {
                if name.parse::<TicketId>().is_ok_and(|t| trial.state.tickets.contains_key(&t)) {
                    self.reasons
                        .push(format!("the key '{name}' is the id of an existing item; use \"id\" to change it"));
                }
                if names.keys.insert(name.clone(), id.clone()).is_some() {
                    self.reasons.push(format!("the key '{name}' is used for two items of this plan"));
                }
            }
            ids.push(id);
        }
        let mut items = Vec::new();
        for (proposal, id) in proposals.iter().zip(ids) {
            let Some(id) = id else { continue };
            let item =
                match trial.state.tickets.get(&id) {
                    Some(_) => proposal::changes(&names, &id, proposal).and_then(|changes| {
                        match change::against_a_person(&trial.state, &id, &changes) {
                            Some(why) => Err(why),
                            None => Ok(Item::Change(id, changes)),
                        }
                    }),
                    None => {
                        let kind = match proposal.kind {
                            Some(ProposalKind::Fix) => Kind::Fix,
                            Some(ProposalKind::Task) | None => Kind::Task,
                        };
                        proposal::seed(&names, proposal, id, kind, None).map(Item::New)
                    }
                };
            match item {
                Ok(item) => items.push(item),
                Err(why) => self.reasons.push(why),
            }
        }
        items
    }

    fn existing(&mut self, trial: &Cx<'_>, id: &str) -> Option<TicketId> {
        let found = id.parse::<TicketId>().ok().and_then(|id| trial.state.tickets.get_key_value(&id));
        match found {
            None => self.reasons.push(format!("there is no item '{id}' to change; leave \"id\" out for a new one")),
            Some((id, ticket)) if ticket.status == Status::Done => {
                self.reasons.push(format!("{id} has landed and does not reopen; propose an item of kind \"fix\""));
            }
            Some((id, ticket)) if ticket.claim.is_some() => {
                self.reasons.push(format!("{id} is being worked on and cannot be changed now"));
            }
            Some((id, _)) if change::is_in_hand(&trial.state, id) => {
                self.reasons.push(format!("{id} is being worked on by hand, as a person said; leave it as it is"));
            }
            Some((id, _)) => return Some(id.clone()),
        }
        None
    }

    /// Overlapping lists among live tickets are refused with both ids and the path.
    fn check_ownership(&mut self, trial: &Cx<'_>, items: &[Item]) {
        let changed: BTreeSet<&TicketId> = items
            .iter()
            .filter_map(|i| match i {
                Item::Change(id, Changes { files: Some(_), .. }) => Some(id),
                Item::Change(..) | Item::New(_) => None,
            })
            .collect();
        let mut owners: Vec<(TicketId, String, p0_model::files::Files, BTreeSet<TicketId>)> = trial
            .state
            .tickets
            .iter()
            .filter(|(id, t)| t.is_live_work() && !changed.contains(id))
            .map(|(id, t)| (id.clone(), t.seed.title.clone(), t.seed.files.clone(), BTreeSet::new()))
            .collect();
        for item in items {
            let (id, title, files, waits) = match item {
                Item::New(seed) => (&seed.id, seed.title.clone(), &seed.files, seed.depends_on.clone()),
                Item::Change(id, Changes { files: Some(files), .. }) => {
                    let ticket = trial.state.tickets.get(id);
                    if ticket.is_some_and(|t| t.seed.kind == Kind::Feedback) {
                        continue;
                    }
                    (id, ticket.map(|t| t.seed.title.clone()).unwrap_or_default(), files, BTreeSet::new())
                }
                // A change puts a deferred item back to work, and with it its claim on its files.
                Item::Change(id, _) => match trial.state.tickets.get(id) {
                    Some(t) if t.deferred.is_some() && t.seed.kind != Kind::Feedback => {
                        (id, t.seed.title.clone(), &t.seed.files, BTreeSet::new())
                    }
                    Some(_) | None => continue,
                },
            };
            let is_fix = matches!(item, Item::New(seed) if seed.kind == Kind::Fix);
            for (other, other_title, owned, _) in &owners {
                if is_fix && waits.contains(other) {
                    continue;
                }
                let overlap = files.overlap(owned).or_else(|| self.facts.nested(files, owned));
                if let Some(path) = overlap {
                    self.reasons.push(format!(
                        "'{path}' would belong to both {other} '{other_title}' and {id} '{title}'; \
                         a file belongs to at most one live ticket: merge them, or give the file to one"
                    ));
                }
            }
            owners.push((id.clone(), title, files.clone(), waits));
        }
    }

    fn check_cycles(&mut self, trial: &Cx<'_>, items: &[Item]) {
        let changed: BTreeMap<TicketId, Vec<TicketId>> = items
            .iter()
            .filter_map(|item| match item {
                Item::New(seed) => Some((seed.id.clone(), seed.depends_on.iter().cloned().collect())),
                Item::Change(id, Changes { depends_on: Some(on), .. }) => {
                    Some((id.clone(), on.iter().cloned().collect()))
                }
                Item::Change(..) => None,
            })
            .collect();
        if let Some(path) = graph::cycle(&trial.state, &changed) {
            let names: Vec<String> = path
                .iter()
                .map(|id| {
                    let new = items.iter().find_map(|i| match i {
                        Item::New(seed) if seed.id == *id => Some(seed.title.as_str()),
                        Item::New(_) | Item::Change(..) => None,
                    });
                    let title = new.or(trial.state.tickets.get(id).map(|t| t.seed.title.as_str()));
                    format!("{id} '{}'", title.unwrap_or_default())
                })
                .collect();
            self.reasons.push(format!("the dependencies form a cycle: {}", names.join(" → ")));
        }
    }

    fn defers(&mut self, trial: &mut Cx<'_>, said: &[Message]) {
        let Ok(scope) = trial.scope_of(self.id) else { return };
        for message in said {
            let Message::Defer { ticket, reason } = message else { continue };
            let found = ticket.parse::<TicketId>().ok().and_then(|id| trial.state.tickets.get_key_value(&id));
            match found {
                None => self.reasons.push(format!("there is no item '{ticket}' to put off")),
                Some((id, _)) if reason.trim().is_empty() => {
                    self.reasons.push(format!("{id} is put off without a reason; say why"));
                }
                Some((id, t)) if t.seed.priority == Priority::High => {
                    self.reasons.push(format!("{id} is of high priority and cannot be put off; address it"));
                }
                Some((id, t)) if t.status == Status::Done => {
                    self.reasons.push(format!("{id} is done and cannot be put off"));
                }
                Some((id, _)) if change::is_in_hand(&trial.state, id) => {
                    self.reasons
                        .push(format!("{id} is being worked on by hand, as a person said, and cannot be put off"));
                }
                Some((id, _)) => {
                    let id = id.clone();
                    trial.emit(scope.clone().ticket(&id), Event::TicketDeferred { reason: reason.clone() });
                    finding::close_parent(trial, &scope, &id);
                }
            }
        }
    }

    fn curates(&mut self, trial: &mut Cx<'_>, said: &[Message]) {
        let Ok(scope) = trial.scope_of(self.id) else { return };
        for message in said {
            let Message::Curate { keep } = message else { continue };
            let keep: Vec<LearningId> = keep.iter().map(|k| LearningId(k.clone())).collect();
            match keep.iter().find(|k| !trial.state.learnings.contains_key(*k)) {
                Some(unknown) => self.reasons.push(format!("there is no learning '{unknown}' to keep")),
                None => trial.emit(scope.clone(), Event::LearningCurated { keep }),
            }
        }
    }

    fn decides(&mut self, trial: &mut Cx<'_>, said: &[Message]) {
        let Ok(scope) = trial.scope_of(self.id) else { return };
        let decisions: Vec<(Choice, &str)> = said
            .iter()
            .filter_map(|m| {
                if let Message::Decision { decision, reason } = m { Some((*decision, reason.as_str())) } else { None }
            })
            .collect();
        let planned = said.iter().any(|m| matches!(m, Message::Ticket(_)));
        let (decision, reason) = match decisions.as_slice() {
            [one] => *one,
            [] if planned => (Choice::Continue, "new or changed items"),
            [] => return self.reasons.push("the plan has no decision: say continue, done or stuck".into()),
            _ => return self.reasons.push("the plan has more than one decision; say one".into()),
        };
        if !self.reasons.is_empty() {
            return;
        }
        match decision {
            Choice::Continue => self.check_continue(trial),
            Choice::Done => self.check_done(trial, &scope),
            Choice::Stuck => {}
        }
        trial.emit(scope, Event::RunDecided { decision, reason: reason.to_owned() });
    }

    fn check_continue(&mut self, trial: &Cx<'_>) {
        let blocked = trial.state.tickets.values().any(|t| matches!(t.status, Status::Blocked(_)));
        if !schedule::anything_moves(&trial.state) && !blocked {
            self.reasons.push(
                "the decision is continue, but no ticket is ready to be worked on: add tickets, or decide done or stuck"
                    .into(),
            );
        }
    }

    /// What DONE asks for and can be seen now. A missing verdict is no reason: the judging stage gets one.
    fn check_done(&mut self, trial: &Cx<'_>, scope: &Scope) {
        let Some(run) = scope.run.and_then(|id| trial.state.runs.get(&id)) else { return };
        let rules = &run.workflow.done;
        if rules.verdict
            && let Some(verdict) = run.verdict.as_ref().filter(|v| !v.met && Some(&v.commit) == run.head.as_ref())
        {
            let gaps = if verdict.gaps.is_empty() { &verdict.rationale } else { &verdict.gaps.join("; ") };
            self.reasons.push(format!("DONE needs the verdict 'met' on the head; the verifier says not met: {gaps}"));
        }
        for (id, ticket) in &trial.state.tickets {
            let open = ticket.status != Status::Done;
            if open
                && let Some(why) = forbids_done(
                    ticket.seed.priority,
                    ticket.deferred.is_some(),
                    rules.no_open_high,
                    rules.medium_deferred,
                )
            {
                // A run that ends STUCK here is told why the item is open, not only that it is.
                let blocked = match &ticket.status {
                    Status::Blocked(on) => format!(" (it is blocked: {on})"),
                    Status::Open | Status::InProgress | Status::Done => String::new(),
                };
                self.reasons.push(format!("{id} '{}': {why}{blocked}", ticket.seed.title));
            }
        }
    }
}

/// The item that a proposal without an id repeats to the letter: work that waits, with this title and these files. A
/// planner that says its plan again means the same item, not a second one that would own the same files.
fn known(trial: &Cx<'_>, proposal: &Proposal) -> Option<TicketId> {
    let files = proposal.files.as_ref().filter(|f| !f.is_empty())?;
    let title = proposal.title.as_deref()?;
    let repeats = |ticket: &Ticket| {
        ticket.is_live_work() && ticket.claim.is_none() && ticket.seed.title == title && ticket.seed.files == *files
    };
    trial.state.tickets.iter().find(|(_, t)| repeats(t)).map(|(id, _)| id.clone())
}

/// Adds the sub-tasks an executor proposed for its ticket.
///
/// # Errors
/// Every reason why they cannot be taken; none is added then.
pub(super) fn subtasks(
    cx: &mut Cx<'_>,
    id: AttemptId,
    said: &[Message],
    paths: &[PathFact],
) -> Result<u32, Vec<String>> {
    let mut trial = cx.clone();
    let mut reasons = Vec::new();
    let facts = PlanPaths::new(cx, id, paths);
    let Ok(scope) = trial.scope_of(id) else { return Ok(0) };
    let Some(parent) = scope.ticket.clone() else { return Ok(0) };
    let mut number = trial.state.tickets.get(&parent).map_or(0, |t| t.children);
    let mut names = Names { state: &cx.state, keys: BTreeMap::new() };
    let mut added = 0;
    let proposals = said.iter().filter_map(|m| if let Message::Subtask(proposal) = m { Some(proposal) } else { None });
    // Said again after a refused round, a sub-task is the one that is there.
    let same = |p: &Proposal| {
        let of_parent = |t: &Ticket| t.seed.parent.as_ref() == Some(&parent) && Some(&t.seed.title) == p.title.as_ref();
        cx.state.tickets.iter().find(|(_, t)| of_parent(t)).map(|(id, _)| id.clone())
    };
    let proposals: Vec<(&Proposal, TicketId)> = proposals
        .map(|p| {
            let known = same(p);
            number += u32::from(known.is_none());
            (p, known.unwrap_or_else(|| parent.child(number)))
        })
        .collect();
    facts.check(&proposals.iter().map(|(p, _)| *p).collect::<Vec<_>>(), &mut reasons);
    names.keys.extend(proposals.iter().filter_map(|(p, id)| Some((p.key.clone()?, id.clone()))));
    for (proposal, child) in proposals {
        if cx.state.tickets.contains_key(&child) {
            added += 1;
            continue;
        }
        match proposal::seed(&names, proposal, child, Kind::Subtask, Some(&parent)) {
            Err(why) => reasons.push(why),
            Ok(seed) => {
                if let Some((path, owner)) = proposal::owner_of(&trial.state, &seed.files, &seed.id, Some(&parent)) {
                    reasons.push(format!("sub-task '{}': '{path}' is owned by {owner}", seed.title));
                    continue;
                }
                added += 1;
                let (of_child, files) = (scope.clone().ticket(&seed.id), seed.files.clone());
                trial.emit_as(
                    trial.agent(id).unwrap_or(p0_model::actor::Actor::Engine),
                    of_child.clone(),
                    Event::TicketCreated { ticket: seed.into() },
                );
                facts.tell(&mut trial, &of_child, &files);
            }
        }
    }
    if graph::cycle(&trial.state, &BTreeMap::new()).is_some() {
        reasons.push("the sub-tasks' dependencies form a cycle".into());
    }
    if !reasons.is_empty() {
        return Err(reasons);
    }
    *cx = trial;
    Ok(added)
}
