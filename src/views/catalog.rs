//! Which milestones and runs there are: what a name, a prefix or `@last` refers to.
use crate::model::{
    Time,
    event::Event,
    id::{AttemptId, BlobId, CommitId, MilestoneId, RunId},
    kept::{Imported, RunSummary},
    record::Draft,
};
use std::collections::BTreeMap;

/// A milestone, in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MilestoneRow {
    /// Its key.
    pub key: String,
    /// Its title.
    pub title: String,
    /// Its spec.
    pub spec: BlobId,
    /// The repository's root.
    pub project: String,
}

/// A run, in one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRow {
    /// Its id.
    pub id: RunId,
    /// Its milestone.
    pub milestone: MilestoneId,
    /// The sequence number of its first event.
    pub seq: u64,
    /// The workflow's name.
    pub workflow: String,
    /// The word of its state.
    pub state: &'static str,
    /// The reason of its state.
    pub reason: Option<String>,
    /// Its branch.
    pub branch: String,
    /// The head of its branch, or its base.
    pub head: CommitId,
    /// When it began.
    pub started_at: Time,
    /// When it was over.
    pub ended_at: Option<Time>,
}

/// The catalog.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// By id.
    pub milestones: BTreeMap<MilestoneId, MilestoneRow>,
    /// In the order of their beginning.
    pub runs: Vec<RunRow>,
    /// Where an attempt belongs.
    pub attempts: BTreeMap<AttemptId, MilestoneId>,
    /// Runs of other data directories, which only their files know.
    pub imported: BTreeMap<RunId, Imported>,
    by_run: BTreeMap<RunId, usize>,
}

/// A run whose record can be looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded<'a> {
    /// A run of this data directory.
    Here(&'a RunRow),
    /// A run of another one, whose file was taken in.
    Imported(&'a Imported),
}

impl Recorded<'_> {
    /// Its id.
    pub fn id(&self) -> RunId {
        match self {
            Recorded::Here(row) => row.id,
            Recorded::Imported(imported) => imported.run.run,
        }
    }
}

impl RunRow {
    /// The row as it is stored.
    pub fn summary(&self) -> RunSummary {
        RunSummary {
            run: self.id,
            seq: self.seq,
            workflow: self.workflow.clone(),
            state: self.state.to_owned(),
            reason: self.reason.clone(),
            branch: self.branch.clone(),
            head: self.head.clone(),
            started_at: self.started_at,
            ended_at: self.ended_at,
        }
    }
}

/// Why a name stands for nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOne {
    /// Nothing has this name.
    #[error("there is no {what} '{name}'")]
    None {
        /// `run`, `ticket`, …
        what: &'static str,
        /// The name.
        name: String,
    },
    /// More than one has.
    #[error("'{name}' is the beginning of several {what}s: {}; write more of it", .several.join(", "))]
    Several {
        /// `run`, `ticket`, …
        what: &'static str,
        /// The name.
        name: String,
        /// Those that begin so.
        several: Vec<String>,
    },
}

impl Catalog {
    /// Takes in one event of a milestone's stream.
    pub fn apply(&mut self, stream: MilestoneId, seq: u64, draft: &Draft) {
        match &draft.event {
            Event::MilestoneCreated { id, key, title, spec, project } => {
                let row = MilestoneRow {
                    key: key.clone(),
                    title: title.clone(),
                    spec: spec.clone(),
                    project: project.clone(),
                };
                self.milestones.insert(*id, row);
            }
            Event::MilestoneUpdated { title, spec } => {
                if let Some(row) = self.milestones.get_mut(&stream) {
                    row.title.clone_from(title);
                    row.spec.clone_from(spec);
                }
            }
            Event::RunStarted { id, workflow, base, branch, .. } => {
                self.by_run.insert(*id, self.runs.len());
                self.runs.push(RunRow {
                    id: *id,
                    milestone: stream,
                    seq,
                    workflow: workflow.name.clone(),
                    state: "running",
                    reason: None,
                    branch: branch.clone(),
                    head: base.clone(),
                    started_at: draft.at,
                    ended_at: None,
                });
            }
            Event::AttemptStarted { id, .. } => {
                self.attempts.insert(*id, stream);
            }
            Event::RunImported { imported } => {
                self.imported.insert(imported.run.run, imported.clone());
            }
            Event::RunOpened { head } => self.edit(draft.run, |r| r.head.clone_from(head)),
            Event::IntegrationLanded { commit, .. } => self.edit(draft.run, |r| r.head.clone_from(commit)),
            Event::RunPaused { why, .. } => self.set(draft, "paused", Some(why), false),
            Event::RunResumed {} => self.set(draft, "running", None, false),
            Event::RunStuck { why } => self.set(draft, "stuck", Some(why), true),
            Event::RunDone { .. } => self.set(draft, "done", None, true),
            Event::RunFailed { why } => self.set(draft, "failed", Some(why), true),
            Event::RunCancelled { why } => self.set(draft, "cancelled", Some(why), true),
            _ => {}
        }
    }

    fn set(&mut self, draft: &Draft, state: &'static str, reason: Option<&String>, over: bool) {
        let at = draft.at;
        self.edit(draft.run, |r| {
            r.state = state;
            r.reason = reason.cloned();
            r.ended_at = over.then_some(at);
        });
    }

    fn edit(&mut self, run: Option<RunId>, change: impl FnOnce(&mut RunRow)) {
        if let Some(row) = run.and_then(|id| self.by_run.get(&id)).and_then(|i| self.runs.get_mut(*i)) {
            change(row);
        }
    }

    /// The row of a run.
    pub fn run(&self, id: RunId) -> Option<&RunRow> {
        self.by_run.get(&id).and_then(|i| self.runs.get(*i))
    }

    /// The run that a name stands for: `@last` (or nothing) is the newest, else any unambiguous beginning of its id.
    ///
    /// # Errors
    /// None or several match.
    pub fn find_run(&self, name: Option<&str>) -> Result<&RunRow, NotOne> {
        let name = name.unwrap_or("@last");
        if name == "@last" {
            return self.runs.last().ok_or_else(|| NotOne::None { what: "run", name: name.to_owned() });
        }
        let wanted = name.to_lowercase();
        let found: Vec<&RunRow> = self.runs.iter().filter(|r| r.id.to_string().starts_with(&wanted)).collect();
        match found.as_slice() {
            [one] => Ok(one),
            [] => Err(NotOne::None { what: "run", name: name.to_owned() }),
            several => Err(NotOne::Several {
                what: "run",
                name: name.to_owned(),
                several: several.iter().map(|r| r.id.to_string()).collect(),
            }),
        }
    }

    /// The run or imported run that a name stands for. `@last` is never an imported one.
    ///
    /// # Errors
    /// None or several match.
    pub fn find_record(&self, name: &str) -> Result<Recorded<'_>, NotOne> {
        if name == "@last" {
            return self.find_run(None).map(Recorded::Here);
        }
        let wanted = name.to_lowercase();
        let elsewhere: Vec<&Imported> =
            self.imported.values().filter(|i| i.run.run.to_string().starts_with(&wanted)).collect();
        match (self.find_run(Some(name)), elsewhere.as_slice()) {
            (found, []) => found.map(Recorded::Here),
            (Err(NotOne::None { .. }), [one]) => Ok(Recorded::Imported(one)),
            (found, several) => {
                let here = match found {
                    Ok(row) => vec![row.id.to_string()],
                    Err(NotOne::Several { several, .. }) => several,
                    Err(NotOne::None { .. }) => Vec::new(),
                };
                let several = here.into_iter().chain(several.iter().map(|i| i.run.run.to_string())).collect();
                Err(NotOne::Several { what: "run", name: name.to_owned(), several })
            }
        }
    }

    /// The milestone of this key.
    pub fn find_key(&self, key: &str) -> Option<MilestoneId> {
        self.milestones.iter().find(|(_, m)| m.key == key).map(|(id, _)| *id)
    }

    /// The milestone that a spec belongs to: of this project, with the same content, the same declared key or the same
    /// title, in this order.
    pub fn find_spec(&self, project: &str, hash: &str, key: Option<&str>, title: &str) -> Option<MilestoneId> {
        let of_project = || self.milestones.iter().filter(|(_, m)| m.project == project);
        of_project()
            .find(|(_, m)| m.spec.hash == hash)
            .or_else(|| of_project().find(|(_, m)| key == Some(m.key.as_str())))
            .or_else(|| of_project().find(|(_, m)| key.is_none() && m.title == title))
            .map(|(id, _)| *id)
    }

    /// A key that nobody has: the wanted one, or it with the first free number behind it.
    pub fn free_key(&self, wanted: &str) -> String {
        let taken = |key: &str| self.milestones.values().any(|m| m.key == key);
        if !taken(wanted) {
            return wanted.to_owned();
        }
        (2u32..).map(|n| format!("{wanted}{n}")).find(|key| !taken(key)).unwrap_or_else(|| wanted.to_owned())
    }
}
