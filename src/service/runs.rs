//! Runs: lists and status.
use super::{
    app::Service,
    names,
    problem::{Kind, Problem},
};
use crate::{
    contract::runs::{QuarantinedDoc, RunRowDoc},
    model::aggregate::Aggregate,
    system::clock,
    views::{
        catalog::{RowError, RunRow},
        graph::{self, Language},
        retrying::Retrying,
        status::{RunStatus, Waiting},
    },
};

impl Service {
    /// Every run, the oldest first.
    pub(crate) fn runs(&self) -> Result<Vec<RunRowDoc>, Problem> {
        let catalog = self.handle.catalog();
        let row = |run: Result<RunRow, RowError>| {
            let run = run?;
            let of = catalog.milestone(run.milestone)?;
            let (milestone, title, project) = of.map(|m| (m.key, m.title, m.project)).unwrap_or_default();
            Ok(RunRowDoc {
                run: run.id,
                milestone,
                title,
                project,
                workflow: run.workflow,
                state: run.state,
                reason: run.reason,
                branch: run.branch,
                commit: run.head,
                started_at: run.started_at,
                ended_at: run.ended_at,
            })
        };
        Ok(catalog.runs().map(row).collect::<Result<_, RowError>>()?)
    }

    /// The milestones whose records cannot be followed by this version; every other one works.
    pub(crate) fn quarantined(&self) -> Result<Vec<QuarantinedDoc>, Problem> {
        let catalog = self.handle.catalog();
        let found = self.handle.live().into_iter().filter_map(|(id, state)| Some((id, state.quarantined.clone()?)));
        let row = |(milestone, why)| {
            let key = catalog.milestone(milestone)?.map(|row| row.key).unwrap_or_default();
            Ok(QuarantinedDoc { milestone, key, why })
        };
        Ok(found.map(row).collect::<Result<_, RowError>>()?)
    }

    /// The status of the run that a name stands for.
    pub(crate) fn status(&self, name: &str) -> Result<RunStatus, Problem> {
        self.status_of(&names::run(&self.handle, name)?)
    }

    /// The status of a run.
    pub(super) fn status_of(&self, row: &RunRow) -> Result<RunStatus, Problem> {
        let state = names::state(&self.handle, row.milestone)?;
        let digest = self.handle.digest(&state);
        let mut status = RunStatus::of(&state, row.id, clock::now(), digest, self.waiting(&state))
            .ok_or_else(|| Problem::new(Kind::Store, format!("the state of run {} is missing", row.id)))?;
        // What belongs to no run, such as a log without room, keeps every run from going on.
        let unfinished = status.ended_at.is_none();
        let concerns = |it: &Retrying| it.run.map_or(unfinished, |run| run == row.id);
        status.retrying = self.handle.retrying().into_iter().filter(concerns).collect();
        Ok(status)
    }

    fn waiting(&self, state: &Aggregate) -> Vec<Waiting> {
        let unfinished = state.tickets.values().filter(|ticket| ticket.is_unsettled());
        unfinished
            .filter_map(|ticket| {
                let cause = self.handle.why_waiting(state, &ticket.seed.id)?;
                Some(Waiting { ticket: ticket.seed.id.clone(), why: cause.to_string(), cause: Some(cause) })
            })
            .collect()
    }

    /// The tickets of a run and what they depend on, drawn in a language: `dot` or `mermaid`.
    pub(crate) fn graph(&self, name: &str, language: Option<&str>) -> Result<String, Problem> {
        let language = match language {
            None | Some("dot") => Language::Dot,
            Some("mermaid") => Language::Mermaid,
            Some(other) => {
                let text = format!("there is no graph format '{other}'; there are: dot, mermaid");
                return Err(Problem::new(Kind::Usage, text));
            }
        };
        let row = names::run(&self.handle, name)?;
        let state = names::state(&self.handle, row.milestone)?;
        Ok(graph::of_tickets(&state, language))
    }
}
