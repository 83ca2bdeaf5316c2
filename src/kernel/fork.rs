//! What a fork takes over of a run's state: its items under the new key, what was learned, and the commit its branch was
//! at. Not taken over: approvals, verdicts, claims, attempts – whatever was at work at that point is lost to the fork.
use p0_model::{
    aggregate::Aggregate,
    event::RULES,
    id::{MilestoneId, RunId, TicketId},
    kept::{Fork, ForkedLearning, ForkedTicket, Origin},
    ticket::{BlockedOn, Seed, Status},
};

/// What goes on under another name.
#[derive(Debug, Clone)]
pub struct NewName {
    /// The new milestone.
    pub milestone: MilestoneId,
    /// Its key.
    pub key: String,
    /// The version of p0.
    pub p0: String,
}

/// The fork of `run` from the state it had after event `seq`; none when it had not begun then.
pub fn fork_of(state: &Aggregate, run: RunId, seq: u64, name: NewName) -> Option<Fork> {
    let milestone = state.milestone.as_ref()?;
    let old = state.runs.get(&run)?;
    let tickets = state.tickets.values().map(|ticket| ForkedTicket {
        seed: renamed(&ticket.seed, &name.key),
        by: ticket.by.clone(),
        done: ticket.status == Status::Done,
        commit: ticket.commit.clone(),
        deferred: ticket.deferred.clone(),
        blocked: match &ticket.status {
            Status::Blocked(BlockedOn::Person { reason }) => Some(reason.clone()),
            Status::Blocked(_) | Status::Open | Status::InProgress | Status::Done => None,
        },
        comments: ticket.comments.iter().cloned().collect(),
    });
    let learnings = state.learnings.iter().map(|(id, learning)| ForkedLearning {
        id: id.clone(),
        text: learning.text.clone(),
        attempt: learning.attempt,
        curated: learning.curated,
    });
    Some(Fork {
        origin: Origin { run, seq },
        milestone: name.milestone,
        title: milestone.title.clone(),
        spec: milestone.spec.clone(),
        project: milestone.project.clone(),
        base: old.head.clone().unwrap_or_else(|| old.base.clone()),
        workflow: (*old.workflow).clone(),
        settings: (*old.settings).clone(),
        tickets: tickets.collect(),
        learnings: learnings.collect(),
        backlog: old.backlog.clone(),
        rules: RULES,
        key: name.key,
        p0: name.p0,
    })
}

fn renamed(seed: &Seed, key: &str) -> Seed {
    let rename = |id: &TicketId| id.under(key);
    Seed {
        id: rename(&seed.id),
        parent: seed.parent.as_ref().map(rename),
        depends_on: seed.depends_on.iter().map(rename).collect(),
        closes: seed.closes.iter().map(rename).collect(),
        ..seed.clone()
    }
}
