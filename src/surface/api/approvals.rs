//! What waits for a person: questions of attempts, and of tickets.
use super::{
    app::App,
    edit::shown,
    names,
    reply::{Answer, Asked, Failure, Input},
};
use crate::{
    engine::handle::Handle,
    model::{
        command::Action,
        id::{ApprovalId, AttemptId, MilestoneId},
    },
    surface::error::{Kind, Problem},
    views::{
        approvals::{self, ApprovalDoc},
        catalog::RowError,
        tickets::TicketFull,
    },
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The longest that an answer is waited for in one request, in seconds.
const MOST_WAIT_S: u64 = 60;

/// Which questions.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Which {
    /// Those of this run.
    run: Option<String>,
    /// Those that are answered as well.
    all: Option<String>,
}

/// The questions, the oldest first.
pub(crate) async fn list(State(app): State<App>, Asked(which): Asked<Which>) -> Answer<Vec<ApprovalDoc>> {
    let run = which.run.as_deref().map(|name| names::run(&app.handle, name)).transpose()?;
    let milestones: Vec<MilestoneId> = match &run {
        Some(row) => vec![row.milestone],
        // A question is open only as long as something waits for it.
        None if which.all.is_none() => app.handle.live().into_iter().map(|(id, _)| id).collect(),
        None => app.handle.catalog().milestones().map(|row| Ok(row?.0)).collect::<Result<_, RowError>>()?,
    };
    let mut rows = Vec::new();
    for milestone in milestones {
        rows.extend(approvals::all(&*names::state(&app.handle, milestone)?));
    }
    rows.retain(|row| (which.all.is_some() || row.is_open()) && run.as_ref().is_none_or(|run| run.id == row.run));
    rows.sort_by_key(|row| row.asked_at);
    Ok(Json(rows))
}

/// What an answer says beside yes and no.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Reason {
    /// Why.
    #[serde(default)]
    pub(crate) why: Option<String>,
}

/// Yes.
pub(crate) async fn approve(app: State<App>, name: Path<String>, reason: Input<Reason>) -> Answer<ApprovalDoc> {
    answer(app, name, reason, true).await
}

/// No.
pub(crate) async fn reject(app: State<App>, name: Path<String>, reason: Input<Reason>) -> Answer<ApprovalDoc> {
    answer(app, name, reason, false).await
}

async fn answer(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(reason): Input<Reason>,
    allowed: bool,
) -> Answer<ApprovalDoc> {
    let (milestone, id) = find(&app.handle, &name)?;
    let reason = reason.why.unwrap_or_default();
    let action = Action::AnswerApproval { approval: id.clone(), allowed, reason };
    app.handle.submit(milestone, app.person(), action).await?;
    look(&app.handle, milestone, &id)
}

/// An answer in words.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Words {
    /// The words.
    pub(crate) text: String,
}

/// Answers what a ticket is blocked on.
pub(crate) async fn answer_ticket(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(words): Input<Words>,
) -> Answer<TicketFull> {
    let found = names::ticket(&app.handle, &name)?;
    let action = Action::AnswerQuestion { ticket: found.id.clone(), text: words.text };
    app.handle.submit(found.milestone, app.person(), action).await?;
    shown(&app, found.milestone, found.id)
}

/// The question that an id stands for: `BLOG-A1`, in any case.
fn find(handle: &Handle, name: &str) -> Result<(MilestoneId, ApprovalId), Failure> {
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
    Err(Failure(problem.hint("list them with `p0 approvals`; a ticket is answered with `p0 answer`")))
}

fn look(handle: &Handle, milestone: MilestoneId, id: &ApprovalId) -> Answer<ApprovalDoc> {
    let state = names::state(handle, milestone)?;
    let found = state.approvals.get(id).map(ApprovalDoc::of);
    found.map(Json).ok_or_else(|| Failure(Problem::new(Kind::NotFound, format!("there is no approval '{id}'"))))
}

/// How long to wait.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Patience {
    wait_s: Option<u64>,
}

/// A question of this attempt, once it is answered, or as it stands when the patience is at its end. `None` when the
/// attempt asked no such question.
pub(crate) async fn wait_for(
    handle: &Handle,
    milestone: MilestoneId,
    attempt: AttemptId,
    id: &str,
    patience: &Patience,
) -> Result<Option<ApprovalDoc>, Failure> {
    let id = ApprovalId(id.to_owned());
    let mut head = handle.head();
    let end = tokio::time::sleep(Duration::from_secs(patience.wait_s.unwrap_or(0).min(MOST_WAIT_S)));
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
