//! Work items: making and changing them, for people and for workers outside any run.
use super::{
    app::Service,
    background::blocking,
    names::{self, Found},
    principal::Principal,
    problem::{Kind, Problem},
    project,
    start::{PROPOSALS, fresh_milestone},
    token,
};
use crate::{
    contract::tickets::{NewComment, NewDepends, NewStatus, NewStatuses, NewTicket},
    engine::handle::SubmitError,
    model::{
        command::Action,
        files::Files,
        id::MilestoneId,
        protocol::Proposal,
        rejection::Rejection,
        reply::Reply,
        spec::Spec,
        ticket::{Claim, Holder},
    },
    views::tickets::{self, TicketDoc, TicketFull},
};
use std::path::PathBuf;

impl Service {
    /// Makes an item.
    pub(crate) async fn create_ticket(&self, who: &Principal, new: NewTicket) -> Result<TicketFull, Problem> {
        if new.proposal.title.as_deref().is_none_or(|title| title.trim().is_empty()) {
            return Err(Problem::new(Kind::Usage, "a ticket needs a title"));
        }
        let mut proposal = new.proposal;
        if let Some(ids) = &mut proposal.depends_on {
            for id in ids.iter_mut() {
                *id = names::ticket(&self.handle, id)?.id.to_string();
            }
        }
        let parent = new.parent.as_deref().map(|name| names::ticket(&self.handle, name)).transpose()?;
        let milestone = match (&parent, new.milestone, new.project) {
            (Some(parent), _, _) => parent.milestone,
            (None, Some(key), _) => {
                let found = self.handle.catalog().of_key(&key)?;
                found.ok_or_else(|| Problem::new(Kind::NotFound, format!("there is no milestone '{key}'")))?
            }
            (None, None, Some(path)) => self.newest_or_tracker(who, path).await?,
            (None, None, None) => {
                let problem = Problem::new(Kind::Usage, "a ticket needs a milestone or a project");
                return Err(problem.hint("name one with --milestone, or run this in a repository"));
            }
        };
        if let Some(files) = proposal.files.clone() {
            self.check_paths(milestone, files.clone(), &files).await?;
        }
        let action = Action::CreateTicket { proposal, parent: parent.map(|p| p.id) };
        let accepted = self.handle.submit(milestone, who.actor(), action).await?;
        match accepted.reply {
            Reply::Ticket { ticket } => self.shown(milestone, ticket),
            Reply::Ok
            | Reply::RunStarted { .. }
            | Reply::RunAttached { .. }
            | Reply::RunAlreadyDone { .. }
            | Reply::Claimed { .. }
            | Reply::Asked { .. }
            | Reply::Refused { .. }
            | Reply::Ignored => Err(Problem::new(Kind::General, "the engine gave no id for the ticket")),
        }
    }

    /// The newest milestone of the project; a tracker for it when it has none.
    async fn newest_or_tracker(&self, who: &Principal, path: PathBuf) -> Result<MilestoneId, Problem> {
        let root = blocking(move || project::root(&path)).await?;
        let project = root.display().to_string();
        let name = root.file_name().map_or_else(|| "project".into(), |name| name.to_string_lossy().into_owned());
        let title = format!("Work items of {name}");
        let suggested = Spec { title: name, key: None, workflow: None, text: String::new() }.suggested_key();
        let catalog = self.handle.catalog();
        let mut tries = 0;
        loop {
            if let Some(id) = catalog.of_project(&project).next_back().transpose()? {
                return Ok(id);
            }
            let milestone = fresh_milestone();
            let spec = self.handle.put_blob(format!("# {title}\n").as_bytes())?;
            let key = catalog.free_key(&suggested)?;
            let (title, project) = (title.clone(), project.clone());
            let action = Action::OpenTracker { milestone, key, title, spec, project };
            match self.handle.submit(milestone, who.actor(), action).await {
                Ok(_) => return Ok(milestone),
                Err(SubmitError::Rejected(Rejection::Taken { .. })) if tries < PROPOSALS => tries += 1,
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Sets the status of an item.
    pub(crate) async fn set_status(&self, who: &Principal, name: &str, new: NewStatus) -> Result<TicketFull, Problem> {
        let found = names::ticket(&self.handle, name)?;
        let actor = writer(who, &found, new.token.as_deref()).actor();
        let action = Action::SetStatus {
            ticket: found.id.clone(),
            status: new.status,
            reason: new.reason,
            token_hash: new.token.as_deref().map(token::hash),
        };
        self.handle.submit(found.milestone, actor, action).await?;
        self.shown(found.milestone, found.id)
    }

    /// Sets the status of several items of one milestone, all or none.
    pub(crate) async fn set_statuses(&self, who: &Principal, new: NewStatuses) -> Result<Vec<TicketDoc>, Problem> {
        let mut milestone = None;
        let mut ids = Vec::new();
        for name in &new.tickets {
            let found = names::ticket(&self.handle, name)?;
            if *milestone.get_or_insert(found.milestone) != found.milestone {
                let why = format!("{} is of another milestone than {}", found.id, new.tickets[0]);
                return Err(Problem::new(Kind::Usage, why).hint("set the items of one milestone at a time"));
            }
            ids.push(found.id);
        }
        let Some(milestone) = milestone else {
            return Err(Problem::new(Kind::Usage, "no ticket is named"));
        };
        let action = Action::SetStatuses { tickets: ids.clone(), status: new.status, reason: new.reason };
        self.handle.submit(milestone, who.actor(), action).await?;
        let state = names::state(&self.handle, milestone)?;
        Ok(tickets::of(&state, &ids))
    }

    /// Says something about an item.
    pub(crate) async fn comment(&self, who: &Principal, name: &str, new: NewComment) -> Result<TicketFull, Problem> {
        if new.text.trim().is_empty() {
            return Err(Problem::new(Kind::Usage, "the comment is empty"));
        }
        let found = names::ticket(&self.handle, name)?;
        let writer = writer(who, &found, new.token.as_deref());
        if new.token.is_some() && !matches!(writer, Principal::Worker(_)) {
            // A token speaks for its holder or not at all.
            return Err(Rejection::NotHolder { ticket: found.id }.into());
        }
        let action = Action::Comment { ticket: found.id.clone(), text: new.text };
        self.handle.submit(found.milestone, writer.actor(), action).await?;
        self.shown(found.milestone, found.id)
    }

    /// Adds files to those an item owns.
    pub(crate) async fn add_files(&self, who: &Principal, name: &str, more: Files) -> Result<TicketFull, Problem> {
        let found = names::ticket(&self.handle, name)?;
        let mut files = found.ticket().seed.files.clone();
        let asked = more.clone();
        for (owned, added) in [(&mut files.create, more.create), (&mut files.modify, more.modify)] {
            for path in added {
                if !owned.contains(&path) {
                    owned.push(path);
                }
            }
        }
        self.check_paths(found.milestone, asked, &files).await?;
        self.update(who, found, Proposal { files: Some(files), ..Proposal::default() }).await
    }

    /// Refuses paths that no ticket can land in the tree that the milestone works on. `all` are those that the ticket
    /// owns then.
    async fn check_paths(&self, milestone: MilestoneId, asked: Files, all: &Files) -> Result<(), Problem> {
        let state = names::state(&self.handle, milestone)?;
        let root = state.milestone.as_ref().map(|m| PathBuf::from(&m.project)).unwrap_or_default();
        let head = state.live_run().and_then(|run| run.head.clone()).map(|head| head.0);
        let facts = blocking(move || project::path_facts(&root, head.as_deref(), &asked)).await?;
        match facts.iter().find_map(|fact| fact.refusal(all)) {
            Some(why) => Err(Problem::new(Kind::Refused, why)),
            None => Ok(()),
        }
    }

    /// Changes what an item waits for.
    pub(crate) async fn change_depends(
        &self,
        who: &Principal,
        name: &str,
        new: NewDepends,
    ) -> Result<TicketFull, Problem> {
        let found = names::ticket(&self.handle, name)?;
        let mut ids = found.ticket().seed.depends_on.clone();
        for name in &new.on {
            ids.insert(names::ticket(&self.handle, name)?.id);
        }
        for name in &new.remove {
            ids.remove(&names::ticket(&self.handle, name)?.id);
        }
        let depends_on = Some(ids.iter().map(ToString::to_string).collect());
        self.update(who, found, Proposal { depends_on, ..Proposal::default() }).await
    }

    async fn update(&self, who: &Principal, found: Found, proposal: Proposal) -> Result<TicketFull, Problem> {
        let action = Action::UpdateTicket { ticket: found.id.clone(), proposal };
        self.handle.submit(found.milestone, who.actor(), action).await?;
        self.shown(found.milestone, found.id)
    }
}

/// Who writes: the worker whose token it is, else whoever asks.
pub(super) fn writer(who: &Principal, found: &Found, token: Option<&str>) -> Principal {
    match (token, &found.ticket().claim) {
        (Some(token), Some(Claim { holder: Holder::Worker { name, token_hash, .. }, .. }))
            if token::fits(token, token_hash) =>
        {
            Principal::Worker(name.clone())
        }
        _ => who.clone(),
    }
}
