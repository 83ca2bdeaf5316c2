//! What waits for a person: questions of attempts, and of tickets.
use super::{
    app::Service,
    names,
    principal::Principal,
    problem::{Kind, Problem},
};
use crate::{
    contract::approvals::{ApprovalQuery, ApprovalReason, ApprovalWait, TicketAnswer},
    engine::handle::Handle,
    model::{
        command::Action,
        id::{ApprovalId, AttemptId, MilestoneId},
    },
    views::{
        approvals::{self, ApprovalDoc},
        catalog::RowError,
        tickets::TicketFull,
    },
};
use std::time::Duration;

/// The longest that an answer is waited for in one request, in seconds.
const MOST_WAIT_S: u64 = 60;

impl Service {
    /// The questions, the oldest first.
    pub(crate) fn approvals(&self, which: &ApprovalQuery) -> Result<Vec<ApprovalDoc>, Problem> {
        let run = which.run.as_deref().map(|name| names::run(&self.handle, name)).transpose()?;
        let milestones: Vec<MilestoneId> = match &run {
            Some(row) => vec![row.milestone],
            // A question is open only as long as something waits for it.
            None if which.all.is_none() => self.handle.live().into_iter().map(|(id, _)| id).collect(),
            None => self.handle.catalog().milestones().map(|row| Ok(row?.0)).collect::<Result<_, RowError>>()?,
        };
        let mut rows = Vec::new();
        for milestone in milestones {
            rows.extend(approvals::all(&*names::state(&self.handle, milestone)?));
        }
        rows.retain(|row| (which.all.is_some() || row.is_open()) && run.as_ref().is_none_or(|run| run.id == row.run));
        rows.sort_by_key(|row| row.asked_at);
        Ok(rows)
    }

    /// Answers a question with yes or no.
    pub(crate) async fn answer_approval(
        &self,
        who: &Principal,
        name: &str,
        reason: ApprovalReason,
        allowed: bool,
    ) -> Result<ApprovalDoc, Problem> {
        let (milestone, id) = find(&self.handle, name)?;
        let reason = reason.why.unwrap_or_default();
        let action = Action::AnswerApproval { approval: id.clone(), allowed, reason };
        self.handle.submit(milestone, who.actor(), action).await?;
        let state = names::state(&self.handle, milestone)?;
        let found = state.approvals.get(&id).map(ApprovalDoc::of);
        found.ok_or_else(|| Problem::new(Kind::NotFound, format!("there is no approval '{id}'")))
    }

    /// Answers what a ticket is blocked on.
    pub(crate) async fn answer_ticket(
        &self,
        who: &Principal,
        name: &str,
        answer: TicketAnswer,
    ) -> Result<TicketFull, Problem> {
        let found = names::ticket(&self.handle, name)?;
        let action = Action::AnswerQuestion { ticket: found.id.clone(), text: answer.text };
        self.handle.submit(found.milestone, who.actor(), action).await?;
        self.shown(found.milestone, found.id)
    }
}

/// The question that an id stands for: `BLOG-A1`, in any case.
fn find(handle: &Handle, name: &str) -> Result<(MilestoneId, ApprovalId), Problem> {
    let wanted = ApprovalId(name.to_uppercase());
    let catalog = handle.catalog();
    let key = wanted.0.rsplit_once("-A").map_or("", |(key, _)| key);
    for found in catalog.keys(key) {
        let (name, milestone) = found?;
        if name == key && names::state(handle, milestone)?.approvals.contains_key(&wanted) {
            return Ok((milestone, wanted));
        }
    }
    let problem = Problem::new(Kind::NotFound, format!("there is no approval '{name}'"));
    Err(problem.hint("list them with `p0 approvals`; a ticket is answered with `p0 answer`"))
}

/// A question of this attempt, once it is answered, or as it stands when the wait is over. `None` when the attempt asked
/// no such question.
pub(crate) async fn wait_for(
    handle: &Handle,
    (milestone, attempt): (MilestoneId, AttemptId),
    id: &str,
    wait: &ApprovalWait,
) -> Result<Option<ApprovalDoc>, Problem> {
    let id = ApprovalId(id.to_owned());
    let mut head = handle.head();
    let end = tokio::time::sleep(Duration::from_secs(wait.wait_s.unwrap_or(0).min(MOST_WAIT_S)));
    tokio::pin!(end);
    loop {
        // Marked as seen before looking: what comes after it is not missed.
        head.borrow_and_update();
        let state = names::state(handle, milestone)?;
        let Some(approval) = state.approvals.get(&id).filter(|a| a.attempt == attempt) else { return Ok(None) };
        let doc = ApprovalDoc::of(approval);
        if !doc.is_open() {
            return Ok(Some(doc));
        }
        tokio::select! {
            Ok(()) = head.changed() => {}
            () = &mut end => return Ok(Some(doc)),
        }
    }
}
