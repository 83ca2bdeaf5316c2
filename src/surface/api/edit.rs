//! Work items: making and changing them, for people and for workers outside any run.
use super::{
    app::App,
    names::{self, Found},
    reply::{Answer, Failure, Input, blocking},
    start::fresh_milestone,
    tickets::full,
};
use crate::{
    model::{
        actor::Actor,
        command::{Action, WantedStatus},
        files::Files,
        id::{MilestoneId, TicketId},
        protocol::Proposal,
        rejection::Rejection,
        reply::Reply,
        spec::Spec,
        ticket::{Claim, Holder},
    },
    surface::{
        error::{Kind, Problem},
        project, token,
    },
    views::tickets::{self, TicketDoc, TicketFull},
};
use axum::{
    Json,
    extract::{Path, State},
};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A new item.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewTicket {
    /// What it is.
    pub(crate) proposal: Proposal,
    /// A part of this one.
    #[serde(default)]
    pub(crate) parent: Option<String>,
    /// The key of its milestone; the newest of the project when left out.
    #[serde(default)]
    pub(crate) milestone: Option<String>,
    /// A path in the repository it is for.
    #[serde(default)]
    pub(crate) project: Option<PathBuf>,
}

/// Makes an item.
pub(crate) async fn create(State(app): State<App>, Input(new): Input<NewTicket>) -> Answer<TicketFull> {
    if new.proposal.title.as_deref().is_none_or(|title| title.trim().is_empty()) {
        return Err(Failure(Problem::new(Kind::Usage, "a ticket needs a title")));
    }
    let mut proposal = new.proposal;
    if let Some(ids) = &mut proposal.depends_on {
        for id in ids.iter_mut() {
            *id = names::ticket(&app.handle, id)?.id.to_string();
        }
    }
    let parent = new.parent.as_deref().map(|name| names::ticket(&app.handle, name)).transpose()?;
    let milestone = match (&parent, new.milestone, new.project) {
        (Some(parent), _, _) => parent.milestone,
        (None, Some(key), _) => {
            let mut keys = app.handle.catalog().keys(&key);
            let found = keys.find(|found| found.as_ref().map_or(true, |(name, _)| *name == key)).transpose()?;
            let none = || Failure(Problem::new(Kind::NotFound, format!("there is no milestone '{key}'")));
            found.map(|(_, id)| id).ok_or_else(none)?
        }
        (None, None, Some(path)) => newest_or_tracker(&app, path).await?,
        (None, None, None) => {
            let problem = Problem::new(Kind::Usage, "a ticket needs a milestone or a project");
            return Err(Failure(problem.hint("name one with --milestone, or run this in a repository")));
        }
    };
    if let Some(files) = proposal.files.clone() {
        check_paths(&app, milestone, files.clone(), &files).await?;
    }
    let action = Action::CreateTicket { proposal, parent: parent.map(|p| p.id) };
    let accepted = app.handle.submit(milestone, app.person(), action).await?;
    match accepted.reply {
        Reply::Ticket { ticket } => shown(&app, milestone, ticket),
        Reply::Ok
        | Reply::RunStarted { .. }
        | Reply::RunAttached { .. }
        | Reply::RunAlreadyDone { .. }
        | Reply::Claimed { .. }
        | Reply::Asked { .. }
        | Reply::Refused { .. }
        | Reply::Ignored => Err(Failure(Problem::new(Kind::General, "the engine gave no id for the ticket"))),
    }
}

/// The newest milestone of the project; a tracker for it when it has none.
async fn newest_or_tracker(app: &App, path: PathBuf) -> Result<MilestoneId, Failure> {
    let root = blocking(move || project::root(&path)).await?;
    let root_text = root.display().to_string();
    let _one_at_a_time = app.starting.lock().await;
    let catalog = app.handle.catalog();
    if let Some(id) = catalog.of_project(&root_text).next_back().transpose()? {
        return Ok(id);
    }
    let name = root.file_name().map_or_else(|| "project".into(), |name| name.to_string_lossy().into_owned());
    let title = format!("Work items of {name}");
    let text = format!("# {title}\n");
    let suggested = Spec { title: name, key: None, workflow: None, text: String::new() }.suggested_key();
    let milestone = fresh_milestone();
    let spec = app.handle.put_blob(text.as_bytes())?;
    let key = catalog.free_key(&suggested)?;
    let action = Action::OpenTracker { milestone, key, title, spec, project: root_text };
    app.handle.submit(milestone, app.person(), action).await?;
    Ok(milestone)
}

/// A status to set.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewStatus {
    /// To what.
    pub(crate) status: WantedStatus,
    /// Why.
    #[serde(default)]
    pub(crate) reason: String,
    /// The claim's token, of a worker.
    #[serde(default)]
    pub(crate) token: Option<String>,
}

/// Sets a status.
pub(crate) async fn status(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(new): Input<NewStatus>,
) -> Answer<TicketFull> {
    let found = names::ticket(&app.handle, &name)?;
    let actor = writer(&app, &found, new.token.as_deref());
    let action = Action::SetStatus {
        ticket: found.id.clone(),
        status: new.status,
        reason: new.reason,
        token_hash: new.token.as_deref().map(token::hash),
    };
    app.handle.submit(found.milestone, actor, action).await?;
    shown(&app, found.milestone, found.id)
}

/// A status for several.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewStatuses {
    /// Which; all of one milestone.
    pub(crate) tickets: Vec<String>,
    /// To what.
    pub(crate) status: WantedStatus,
    /// Why.
    #[serde(default)]
    pub(crate) reason: String,
}

/// Sets the status of several items of one milestone, all or none.
pub(crate) async fn statuses(State(app): State<App>, Input(new): Input<NewStatuses>) -> Answer<Vec<TicketDoc>> {
    let mut milestone = None;
    let mut ids = Vec::new();
    for name in &new.tickets {
        let found = names::ticket(&app.handle, name)?;
        if *milestone.get_or_insert(found.milestone) != found.milestone {
            let why = format!("{} is of another milestone than {}", found.id, new.tickets[0]);
            return Err(Failure(Problem::new(Kind::Usage, why).hint("set the items of one milestone at a time")));
        }
        ids.push(found.id);
    }
    let Some(milestone) = milestone else {
        return Err(Failure(Problem::new(Kind::Usage, "no ticket is named")));
    };
    let action = Action::SetStatuses { tickets: ids.clone(), status: new.status, reason: new.reason };
    app.handle.submit(milestone, app.person(), action).await?;
    let state = names::state(&app.handle, milestone)?;
    Ok(Json(tickets::of(&state, &ids)))
}

/// Who writes: the worker whose token it is, else the person.
pub(crate) fn writer(app: &App, found: &Found, token: Option<&str>) -> Actor {
    match (token, &found.ticket().claim) {
        (Some(token), Some(Claim { holder: Holder::Worker { name, token_hash, .. }, .. }))
            if token::fits(token, token_hash) =>
        {
            Actor::Worker(name.as_str().into())
        }
        _ => app.person(),
    }
}

/// Words about an item.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewComment {
    /// The words.
    pub(crate) text: String,
    /// The claim's token, of a worker.
    #[serde(default)]
    pub(crate) token: Option<String>,
}

/// Says something about an item.
pub(crate) async fn comment(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(new): Input<NewComment>,
) -> Answer<TicketFull> {
    if new.text.trim().is_empty() {
        return Err(Failure(Problem::new(Kind::Usage, "the comment is empty")));
    }
    let found = names::ticket(&app.handle, &name)?;
    let actor = writer(&app, &found, new.token.as_deref());
    if new.token.is_some() && !matches!(actor, Actor::Worker(_)) {
        // Who shows a token speaks as its holder or not at all.
        return Err(Failure(Rejection::NotHolder { ticket: found.id }.into()));
    }
    let action = Action::Comment { ticket: found.id.clone(), text: new.text };
    app.handle.submit(found.milestone, actor, action).await?;
    shown(&app, found.milestone, found.id)
}

/// Adds files to those an item owns.
pub(crate) async fn files(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(more): Input<Files>,
) -> Answer<TicketFull> {
    let found = names::ticket(&app.handle, &name)?;
    let mut files = found.ticket().seed.files.clone();
    let asked = more.clone();
    for (owned, added) in [(&mut files.create, more.create), (&mut files.modify, more.modify)] {
        for path in added {
            if !owned.contains(&path) {
                owned.push(path);
            }
        }
    }
    check_paths(&app, found.milestone, asked, &files).await?;
    update(&app, found, Proposal { files: Some(files), ..Proposal::default() }).await
}

/// Refuses paths that no ticket can land in the tree that the milestone works on. `all` are those that the ticket owns
/// then.
async fn check_paths(app: &App, milestone: MilestoneId, asked: Files, all: &Files) -> Result<(), Failure> {
    let state = names::state(&app.handle, milestone)?;
    let root = state.milestone.as_ref().map(|m| PathBuf::from(&m.project)).unwrap_or_default();
    let head = state.live_run().and_then(|run| run.head.clone()).map(|head| head.0);
    let facts = blocking(move || project::path_facts(&root, head.as_deref(), &asked)).await?;
    match facts.iter().find_map(|fact| fact.refusal(all)) {
        Some(why) => Err(Failure(Problem::new(Kind::Refused, why))),
        None => Ok(()),
    }
}

/// What an item waits for.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewDepends {
    /// Items to wait for.
    #[serde(default)]
    pub(crate) on: Vec<String>,
    /// Items no longer to wait for.
    #[serde(default)]
    pub(crate) remove: Vec<String>,
}

/// Changes what an item waits for.
pub(crate) async fn depends(
    State(app): State<App>,
    Path(name): Path<String>,
    Input(new): Input<NewDepends>,
) -> Answer<TicketFull> {
    let found = names::ticket(&app.handle, &name)?;
    let mut ids = found.ticket().seed.depends_on.clone();
    for name in &new.on {
        ids.insert(names::ticket(&app.handle, name)?.id);
    }
    for name in &new.remove {
        ids.remove(&names::ticket(&app.handle, name)?.id);
    }
    let depends_on = Some(ids.iter().map(ToString::to_string).collect());
    update(&app, found, Proposal { depends_on, ..Proposal::default() }).await
}

async fn update(app: &App, found: Found, proposal: Proposal) -> Answer<TicketFull> {
    let action = Action::UpdateTicket { ticket: found.id.clone(), proposal };
    app.handle.submit(found.milestone, app.person(), action).await?;
    shown(app, found.milestone, found.id)
}

/// An item as it stands now.
pub(crate) fn shown(app: &App, milestone: MilestoneId, id: TicketId) -> Answer<TicketFull> {
    let state = names::state(&app.handle, milestone)?;
    if !state.tickets.contains_key(&id) {
        return Err(Failure(Problem::new(Kind::NotFound, format!("there is no ticket '{id}'"))));
    }
    Ok(Json(full(&app.handle, &Found { milestone, state, id })))
}
