//! What a plan lists, against the tree it is for: what cannot land is refused before an agent is paid for it.
use super::cx::{Cx, Scope};
use p0_model::{event::Event, files::Files, id::AttemptId, paths::PathFact, protocol::Proposal, ticket::Status};

/// The facts about the paths that one attempt listed.
pub(super) struct PlanPaths<'f> {
    facts: &'f [PathFact],
    /// Whether the run's rules compare at all.
    compares: bool,
}

impl<'f> PlanPaths<'f> {
    /// The facts of an attempt's harvest; those of a run under earlier rules say nothing.
    pub(super) fn new(cx: &Cx<'_>, id: AttemptId, facts: &'f [PathFact]) -> PlanPaths<'f> {
        let run = cx.attempt(id).and_then(|attempt| cx.run(attempt.run));
        let compares = run.is_ok_and(|run| run.compares_plans_with_trees());
        PlanPaths { facts: if compares { facts } else { &[] }, compares }
    }

    fn of<'s>(&'s self, files: &'s Files) -> impl Iterator<Item = &'s PathFact> {
        self.facts.iter().filter(|fact| files.all().any(|path| path == fact.path))
    }

    /// Adds a reason for each path that no ticket can land.
    pub(super) fn check(&self, proposals: &[&Proposal], reasons: &mut Vec<String>) {
        for proposal in proposals {
            let Some(files) = &proposal.files else { continue };
            let name = proposal.title.as_deref().or(proposal.id.as_deref()).unwrap_or_default();
            // What cannot be owned at all has been refused with its own reason.
            let may_be =
                |fact: &&PathFact| Files { create: vec![fact.path.clone()], modify: Vec::new() }.first_bad().is_none();
            let refused = self.of(files).filter(may_be).filter_map(|fact| fact.refusal(files));
            reasons.extend(refused.map(|why| format!("item '{name}': {why}")));
            if self.compares
                && let Some((file, below)) = file_and_folder(&files.create, &files.create)
            {
                reasons.push(format!(
                    "item '{name}': '{file}' and '{below}' cannot both be: '{file}' is a file or a folder"
                ));
            }
        }
    }

    /// The path of one list for which the other has a file where a folder would have to be. A ticket that replaces a file
    /// by a folder owns both.
    pub(super) fn nested(&self, a: &Files, b: &Files) -> Option<String> {
        if !self.compares {
            return None;
        }
        let (a, b): (Vec<String>, Vec<String>) =
            (a.all().map(str::to_owned).collect(), b.all().map(str::to_owned).collect());
        file_and_folder(&a, &b).or_else(|| file_and_folder(&b, &a)).map(|(_, below)| below)
    }

    /// Puts what is odd about an item's paths on record, as a comment on it. What another live item makes, or what this
    /// one waits for, may be missing now.
    pub(super) fn tell(&self, trial: &mut Cx<'_>, scope: &Scope, files: &Files) {
        let made = |path: &str| {
            let live = trial.state.tickets.values().filter(|t| t.status != Status::Done);
            live.into_iter().any(|t| t.seed.files.create.iter().any(|c| c == path))
        };
        let mut odd: Vec<String> = self
            .of(files)
            .filter(|fact| !made(&fact.path) || fact.other_case.is_some() || files.create.contains(&fact.path))
            .filter_map(|fact| fact.oddity(files))
            .collect();
        if self.compares {
            odd.extend(same_but_for_case(trial, scope, files));
        }
        if !odd.is_empty() {
            trial.emit_engine(scope.clone(), Event::TicketCommented { text: odd.join("; ") });
        }
    }
}

/// A path of `files` and one of another live item, or another of its own, that differ in case alone.
fn same_but_for_case(trial: &Cx<'_>, scope: &Scope, files: &Files) -> Option<String> {
    let others = trial.state.tickets.iter().filter(|(id, t)| Some(*id) != scope.ticket.as_ref() && t.is_live_work());
    let others = others.flat_map(|(_, t)| t.seed.files.all()).chain(files.all());
    let lower: Vec<(String, &str)> = files.all().map(|path| (path.to_lowercase(), path)).collect();
    others.into_iter().find_map(|other| {
        let folded = other.to_lowercase();
        let (_, own) = lower.iter().find(|(own, path)| *own == folded && *path != other)?;
        Some(format!(
            "'{own}' differs from '{other}' in upper and lower case alone; some file systems hold only one of them"
        ))
    })
}

/// A path of `files` that one of `paths` would be below.
fn file_and_folder(files: &[String], paths: &[String]) -> Option<(String, String)> {
    files.iter().filter(|file| !file.ends_with('/')).find_map(|file| {
        let below =
            paths.iter().find(|path| path.strip_prefix(file.as_str()).is_some_and(|rest| rest.starts_with('/')))?;
        // `src` beside `src/` is how a ticket says that one takes the other's place.
        (below.len() > file.len() + 1).then(|| (file.clone(), below.clone()))
    })
}
