//! From a proposal to a work item: ids, dependencies, files. Shared by plans, sub-tasks and people.
use super::cx::Cx;
use p0_model::{
    aggregate::Aggregate,
    files::Files,
    id::TicketId,
    protocol::Proposal,
    ticket::{Changes, Kind, Seed, Status},
};
use std::collections::{BTreeMap, BTreeSet};

/// The longest title of a work item, in bytes.
const MAX_TITLE: usize = 500;
/// The longest body of a work item, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The milestone's key.
pub(super) fn key<'a>(cx: &'a Cx<'_>) -> &'a str {
    cx.state.milestone.as_ref().map_or("P0", |m| m.key.as_str())
}

/// Names that lines of one plan may use for each other, and the items that exist.
pub(super) struct Names<'a> {
    pub(super) state: &'a Aggregate,
    pub(super) keys: BTreeMap<String, TicketId>,
}

impl Names<'_> {
    /// The item that a key of this plan, or an id, stands for.
    pub(super) fn find(&self, name: &str) -> Result<TicketId, String> {
        if let Some(id) = self.keys.get(name) {
            return Ok(id.clone());
        }
        match name.parse::<TicketId>() {
            Ok(id) if self.state.tickets.contains_key(&id) || self.keys.values().any(|k| *k == id) => Ok(id),
            Ok(_) | Err(_) => Err(format!("'{name}' is neither a key of this plan nor the id of an existing item")),
        }
    }

    fn find_all(&self, names: &[String]) -> Result<BTreeSet<TicketId>, String> {
        names.iter().map(|n| self.find(n)).collect()
    }

    fn feedback(&self, names: &[String]) -> Result<BTreeSet<TicketId>, String> {
        let found = self.find_all(names)?;
        for id in &found {
            match self.state.tickets.get(id) {
                Some(t) if t.seed.kind == Kind::Feedback => {}
                Some(_) | None => return Err(format!("{id} cannot be closed by a ticket: it is no feedback item")),
            }
        }
        Ok(found)
    }
}

/// A new item from a proposal.
pub(super) fn seed(
    names: &Names<'_>,
    proposal: &Proposal,
    id: TicketId,
    kind: Kind,
    parent: Option<&TicketId>,
) -> Result<Seed, String> {
    let title = proposal.title.as_deref().unwrap_or_default().trim().to_owned();
    if title.is_empty() {
        let name = proposal.key.as_deref().map(|k| format!(" '{k}'")).unwrap_or_default();
        return Err(format!("the new item{name} has no title"));
    }
    let context = |why: String| format!("item '{title}': {why}");
    let closes = names.feedback(proposal.closes.as_deref().unwrap_or_default()).map_err(context)?;
    let mut seed = Seed {
        id,
        title: title.clone(),
        body: proposal.body.clone().unwrap_or_default(),
        kind,
        priority: proposal.priority.unwrap_or_default(),
        category: None,
        parent: parent.cloned(),
        depends_on: names.find_all(proposal.depends_on.as_deref().unwrap_or_default()).map_err(context)?,
        files: proposal.files.clone().unwrap_or_default(),
        contract: proposal.contract.clone(),
        closes,
    };
    check_text(&seed.title, &seed.body).map_err(context)?;
    inherit(names.state, &mut seed);
    check_files(&seed.files).map_err(context)?;
    Ok(seed)
}

/// A sub-task has its parent's files unless it names its own; a fix has those of what it mends.
fn inherit(state: &Aggregate, seed: &mut Seed) {
    if let Some(parent) = seed.parent.as_ref().and_then(|p| state.tickets.get(p))
        && seed.files.is_empty()
    {
        seed.files = parent.seed.files.clone();
    }
    if seed.kind != Kind::Fix {
        return;
    }
    if seed.files.is_empty() {
        seed.files = mended_files(state, &seed.closes);
    }
    // A fix waits for the live tickets that own one of its files, instead of being refused.
    let owners: Vec<TicketId> = state
        .tickets
        .iter()
        .filter(|(_, t)| t.is_live_work() && t.seed.files.overlap(&seed.files).is_some())
        .map(|(id, _)| id.clone())
        .collect();
    seed.depends_on.extend(owners);
}

/// The files of the landed tickets that own what the findings are about; the files of the findings where none does.
fn mended_files(state: &Aggregate, findings: &BTreeSet<TicketId>) -> Files {
    let mut modify = BTreeSet::new();
    for finding in findings.iter().filter_map(|id| state.tickets.get(id)) {
        let about = &finding.seed.files;
        modify.extend(about.all().map(str::to_owned));
        let owners = state.tickets.values().filter(|t| {
            t.seed.kind != Kind::Feedback && t.status == Status::Done && t.seed.files.overlap(about).is_some()
        });
        modify.extend(owners.flat_map(|t| t.seed.files.all().map(str::to_owned).collect::<Vec<_>>()));
    }
    Files { create: Vec::new(), modify: modify.into_iter().collect() }
}

/// The changes that a proposal makes to an existing item.
pub(super) fn changes(names: &Names<'_>, id: &TicketId, proposal: &Proposal) -> Result<Changes, String> {
    let context = |why: String| format!("{id}: {why}");
    if let Some(ticket) = names.state.tickets.get(id) {
        let title = proposal.title.as_deref().unwrap_or(&ticket.seed.title);
        check_text(title, proposal.body.as_deref().unwrap_or(&ticket.seed.body)).map_err(context)?;
    }
    if let Some(files) = &proposal.files {
        check_files(files).map_err(context)?;
    }
    Ok(Changes {
        title: proposal.title.clone(),
        body: proposal.body.clone(),
        priority: proposal.priority,
        files: proposal.files.clone(),
        depends_on: proposal.depends_on.as_deref().map(|d| names.find_all(d)).transpose().map_err(context)?,
        contract: proposal.contract.clone(),
        closes: proposal.closes.as_deref().map(|c| names.feedback(c)).transpose().map_err(context)?,
    })
}

/// Whether these can be an item's words.
pub(super) fn check_text(title: &str, body: &str) -> Result<(), String> {
    if title.trim().is_empty() {
        return Err("it has no title".into());
    }
    if title.len() > MAX_TITLE || title.contains(char::is_control) {
        return Err(format!("its title must be one line of {MAX_TITLE} bytes at the most"));
    }
    if body.len() > MAX_BODY {
        return Err(format!("its body has {} bytes, {MAX_BODY} at the most", body.len()));
    }
    Ok(())
}

fn check_files(files: &Files) -> Result<(), String> {
    match files.first_bad() {
        Some((path, why)) => Err(format!("the path '{path}' cannot be owned: {why}")),
        None => Ok(()),
    }
}

/// Whether one is an ancestor of the other, or both have one parent: family shares files and takes turns.
fn family(state: &Aggregate, a: &TicketId, b: &TicketId) -> bool {
    let line = |id: &TicketId| {
        let mut line = vec![id.clone()];
        while let Some(parent) = line.last().and_then(|i| state.tickets.get(i)).and_then(|t| t.seed.parent.clone()) {
            line.push(parent);
        }
        line
    };
    let (a, b) = (line(a), line(b));
    a.last() == b.last()
}

/// The live ticket outside its family that owns one of these files, with the path; for the item `id`.
pub(super) fn owner_of(
    state: &Aggregate,
    files: &Files,
    id: &TicketId,
    parent: Option<&TicketId>,
) -> Option<(String, TicketId)> {
    if files.is_empty() {
        return None;
    }
    state
        .tickets
        .iter()
        .filter(|(other, t)| {
            *other != id
                && !t.seed.files.is_empty()
                && t.is_live_work()
                && !family(state, other, id)
                && parent.is_none_or(|p| !family(state, other, p))
        })
        .find_map(|(other, t)| t.seed.files.overlap(files).map(|path| (path, other.clone())))
}
