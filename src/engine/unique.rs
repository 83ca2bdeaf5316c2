//! What only one milestone may have: a spec, a key, the tracker of a project.
//!
//! Rules that span milestones cannot be decided from the state of one. They are decided where commands are put in
//! order, against the catalog and what is staged upon it, so that no caller can get past them: of two commands that
//! would begin a milestone for the same spec, the second is refused with the id of the first one's milestone.
use crate::{
    model::{
        aggregate::Aggregate,
        command::Action,
        event::Event,
        id::MilestoneId,
        record::Draft,
        rejection::{Rejection, Unique},
    },
    views::catalog::{Catalog, RowError},
};

/// What a command would give to its milestone.
struct Wanted<'a> {
    /// The key, where the milestone would begin.
    key: &'a str,
    project: &'a str,
    /// The hash of the spec, where no other milestone may have it: a fork has the spec of its origin.
    spec: Option<&'a str>,
    /// Whether it is for a project without any milestone.
    first: bool,
}

fn wanted(action: &Action) -> Option<Wanted<'_>> {
    if let Action::StartRun(start) = action {
        let spec = Some(start.spec.hash.as_str());
        return Some(Wanted { key: &start.key, project: &start.project, spec, first: false });
    }
    if let Action::ForkRun(fork) = action {
        return Some(Wanted { key: &fork.key, project: &fork.project, spec: None, first: false });
    }
    if let Action::OpenTracker { key, project, .. } = action {
        return Some(Wanted { key, project, spec: None, first: true });
    }
    None
}

/// Why `action` cannot be decided for `milestone`, whose staged state is `state`: another milestone has what this one
/// would begin with. `staged` are the events that were decided and are not published yet, each with its milestone and
/// its place.
pub(super) fn taken<'a>(
    catalog: &Catalog,
    staged: impl Iterator<Item = (MilestoneId, u64, &'a Draft)>,
    (milestone, state): (MilestoneId, &Aggregate),
    action: &Action,
) -> Result<Option<Rejection>, RowError> {
    let Some(wanted) = wanted(action) else { return Ok(None) };
    let catalog = with_staged(catalog, staged)?;
    let is_new = state.milestone.is_none();
    let has_spec = |hash: &str| state.milestone.as_ref().is_some_and(|known| known.spec.hash == hash);
    let mut owners = Vec::new();
    if let Some(hash) = wanted.spec.filter(|hash| !has_spec(hash)) {
        owners.push((Unique::Spec, catalog.of_spec(wanted.project, hash)?));
    }
    if is_new && wanted.first {
        owners.push((Unique::Tracker, catalog.of_project(wanted.project).next().transpose()?));
    }
    if is_new {
        owners.push((Unique::Key, catalog.of_key(wanted.key)?));
    }
    let found = owners.into_iter().find_map(|(what, owner)| Some((what, owner.filter(|owner| *owner != milestone)?)));
    Ok(found.map(|(what, milestone)| Rejection::Taken { what, milestone }))
}

/// The catalog as it will be when what is staged is durable.
fn with_staged<'a>(
    catalog: &Catalog,
    staged: impl Iterator<Item = (MilestoneId, u64, &'a Draft)>,
) -> Result<Catalog, RowError> {
    let mut drafted: Option<Catalog> = None;
    for (stream, seq, draft) in staged {
        if matches!(draft.event, Event::MilestoneCreated { .. } | Event::MilestoneUpdated { .. }) {
            drafted.get_or_insert_with(|| catalog.draft()).apply(stream, seq, draft)?;
        }
    }
    Ok(drafted.unwrap_or_else(|| catalog.clone()))
}
