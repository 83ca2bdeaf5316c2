//! Which milestones and runs there are: what a name, a prefix or `@last` refers to.
//!
//! The catalog is rows beside the log, kept current event by event: what it costs is what is asked for, whatever the
//! history has grown to. Taking in the same events again leads to the same rows, so that after a crash it goes on from
//! its mark.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `milestone` | id | [`MilestoneRow`] |
//! | `key` | key, `0x00`, id | empty |
//! | `project` | root, `0x00`, id | empty |
//! | `spec` | root, `0x00`, hash, `0x00`, id | empty |
//! | `title` | root, `0x00`, title, `0x00`, id | empty |
//! | `open` | id | empty: it may have unfinished tickets |
//! | `live` | id | empty: it is not at rest |
//! | `run` | id | [`RunRow`] |
//! | `runs` | seq u64 | the run's id |
//! | `runs-of` | milestone, `0x00`, seq u64 | the run's id |
//! | `attempt` | id | the milestone's id |
//! | `imported` | id | what is kept of a run of another data directory |
//! | `archived` | milestone | what is kept of a milestone whose record is in an archive |
//! | `mark` | empty | the event up to which all this is current, u64 |
mod archived;
mod recorded;
#[cfg(test)]
mod tests;

pub use recorded::Recorded;

mod rows;
mod unique;

pub use rows::{MemoryRows, RowError, RowIter, Rows};

use p0_model::{
    Time,
    event::{Event, events_about},
    id::{AttemptId, BlobId, CommitId, KEY_CHARS, MilestoneId, RunId},
    record::Draft,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::sync::Arc;

/// A milestone, in one row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
    pub state: String,
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

/// The catalog. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    rows: Arc<dyn Rows>,
}

/// Why a name stands for no one thing.
#[derive(Debug, thiserror::Error)]
pub enum Lookup {
    /// It is none, or several.
    #[error(transparent)]
    Name(#[from] NotOne),
    /// The catalog cannot be read.
    #[error(transparent)]
    Rows(#[from] RowError),
}

type Found<T> = Result<T, RowError>;

/// How many of several are named.
const SEVERAL: usize = 10;

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

/// Parts of a key, told apart by a byte that no name has.
fn joined(parts: &[&str]) -> Vec<u8> {
    parts.join("\0").into_bytes()
}

fn begins(parts: &[&str]) -> Vec<u8> {
    [joined(parts), vec![0]].concat()
}

fn decode<T: DeserializeOwned>(row: &[u8]) -> Found<T> {
    serde_json::from_slice(row).map_err(|e| RowError(format!("a row cannot be read: {e}")))
}

/// The id at the end of a key or in a value.
fn id_at_end(bytes: &[u8]) -> Found<uuid::Uuid> {
    let text = bytes.rsplit(|b| *b == 0).next().unwrap_or_default();
    uuid::Uuid::try_parse_ascii(text).map_err(|e| RowError(format!("an id in a key cannot be read: {e}")))
}

impl Catalog {
    /// The catalog in these rows.
    pub fn new(rows: Arc<dyn Rows>) -> Catalog {
        Catalog { rows }
    }

    /// Takes in one event of a milestone's stream; says whether it changed a row.
    ///
    /// # Errors
    /// A row cannot be read or written.
    pub fn apply(&self, stream: MilestoneId, seq: u64, draft: &Draft) -> Found<bool> {
        match &draft.event {
            Event::MilestoneCreated { id, key, title, spec, project } => {
                let (key, title, project) = (key.clone(), title.clone(), project.clone());
                self.add_milestone(*id, &MilestoneRow { key, title, spec: spec.clone(), project })?;
            }
            Event::MilestoneUpdated { title, spec } => {
                let Some(mut row) = self.milestone(stream)? else { return Ok(false) };
                for (table, key) in names(stream, &row) {
                    self.rows.remove(table, &key)?;
                }
                row.title.clone_from(title);
                row.spec.clone_from(spec);
                self.put_milestone(stream, &row)?;
            }
            Event::TicketCreated { .. } | Event::FeedbackFiled { .. } => self.set_open(stream, true)?,
            Event::RunStarted { id, workflow, base, branch, .. } => {
                self.set_open(stream, true)?;
                self.add_run(&RunRow {
                    id: *id,
                    milestone: stream,
                    seq,
                    workflow: workflow.name.clone(),
                    state: "running".to_owned(),
                    reason: None,
                    branch: branch.clone(),
                    head: base.clone(),
                    started_at: draft.at,
                    ended_at: None,
                })?;
            }
            Event::AttemptStarted { id, .. } => {
                self.rows.put("attempt", id.to_string().as_bytes(), stream.to_string().as_bytes())?;
            }
            Event::RunImported { imported } => {
                let value = serde_json::to_vec(imported).map_err(|e| RowError(e.to_string()))?;
                self.rows.put("imported", imported.run.run.to_string().as_bytes(), &value)?;
            }
            Event::RunArchived { archived } => self.note_archived(archived)?,
            Event::RunOpened { head } => self.edit(draft.run, |r| r.head.clone_from(head))?,
            Event::IntegrationLanded { commit, .. } => self.edit(draft.run, |r| r.head.clone_from(commit))?,
            Event::RunPaused { why, .. } => self.set(draft, "paused", Some(why), false)?,
            Event::RunAwaitingApproval { why } => self.set(draft, "awaiting_approval", Some(why), false)?,
            Event::RunResumed {} => self.set(draft, "running", None, false)?,
            Event::RunStuck { why } => self.set(draft, "stuck", Some(why), true)?,
            Event::RunDone { .. } => self.set(draft, "done", None, true)?,
            Event::RunFailed { why } => self.set(draft, "failed", Some(why), true)?,
            Event::RunCancelled { why } => self.set(draft, "cancelled", Some(why), true)?,
            events_about!(ticket stage attempt ownership gate verdict learning agent approval rights refusal engine)
            | Event::RunRebased { .. }
            | Event::RunIterationStarted { .. }
            | Event::RunDecided { .. }
            | Event::RunBudgetChanged { .. }
            | Event::IntegrationQueued { .. }
            | Event::IntegrationMerged { .. }
            | Event::IntegrationConflicted { .. }
            | Event::EffectIntended { .. } => return Ok(false),
        }
        Ok(true)
    }

    fn add_milestone(&self, id: MilestoneId, row: &MilestoneRow) -> Found<()> {
        self.rows.put("key", &joined(&[&row.key, &id.to_string()]), b"")?;
        self.rows.put("project", &joined(&[&row.project, &id.to_string()]), b"")?;
        self.put_milestone(id, row)
    }

    fn add_run(&self, row: &RunRow) -> Found<()> {
        let name = row.id.to_string();
        self.rows.put("runs", &row.seq.to_be_bytes(), name.as_bytes())?;
        let of = [begins(&[&row.milestone.to_string()]), row.seq.to_be_bytes().to_vec()].concat();
        self.rows.put("runs-of", &of, name.as_bytes())?;
        self.put_run(row)
    }

    fn put_milestone(&self, id: MilestoneId, row: &MilestoneRow) -> Found<()> {
        for (table, key) in names(id, row) {
            self.rows.put(table, &key, b"")?;
        }
        let value = serde_json::to_vec(row).map_err(|e| RowError(e.to_string()))?;
        self.rows.put("milestone", id.to_string().as_bytes(), &value)
    }

    fn put_run(&self, row: &RunRow) -> Found<()> {
        let value = serde_json::to_vec(row).map_err(|e| RowError(e.to_string()))?;
        self.rows.put("run", row.id.to_string().as_bytes(), &value)
    }

    fn set(&self, draft: &Draft, state: &str, reason: Option<&String>, over: bool) -> Found<()> {
        let at = draft.at;
        self.edit(draft.run, |r| {
            r.state = state.to_owned();
            r.reason = reason.cloned();
            r.ended_at = over.then_some(at);
        })
    }

    fn edit(&self, run: Option<RunId>, change: impl FnOnce(&mut RunRow)) -> Found<()> {
        let Some(mut row) = run.map(|id| self.run(id)).transpose()?.flatten() else { return Ok(()) };
        change(&mut row);
        self.put_run(&row)
    }

    /// Notes whether a milestone is at rest.
    ///
    /// # Errors
    /// A row cannot be written.
    pub fn set_live(&self, milestone: MilestoneId, live: bool) -> Found<()> {
        let key = milestone.to_string();
        if live { self.rows.put("live", key.as_bytes(), b"") } else { self.rows.remove("live", key.as_bytes()) }
    }

    /// The milestones that were not at rest at the mark.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn live(&self) -> Found<Vec<MilestoneId>> {
        self.rows.scan("live", b"").map(|row| Ok(MilestoneId(id_at_end(&row?.0)?))).collect()
    }

    /// The event up to which the rows are current.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn marked(&self) -> Found<u64> {
        let mark = self.rows.get("mark", b"")?;
        Ok(mark.and_then(|m| m.try_into().ok()).map_or(0, u64::from_be_bytes))
    }

    /// Says that they are current up to this event.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn mark(&self, seq: u64) -> Found<()> {
        self.rows.put("mark", b"", &seq.to_be_bytes())
    }

    /// The row of a milestone.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn milestone(&self, id: MilestoneId) -> Found<Option<MilestoneRow>> {
        self.rows.get("milestone", id.to_string().as_bytes())?.map(|row| decode(&row)).transpose()
    }

    /// All milestones, the oldest first; or, from the end, the newest.
    pub fn milestones(&self) -> impl DoubleEndedIterator<Item = Found<(MilestoneId, MilestoneRow)>> + use<> {
        self.rows.scan("milestone", b"").map(|row| {
            let (key, value) = row?;
            Ok((MilestoneId(id_at_end(&key)?), decode(&value)?))
        })
    }

    /// The milestones of a project, the oldest first.
    pub fn of_project(&self, project: &str) -> impl DoubleEndedIterator<Item = Found<MilestoneId>> + use<> {
        self.rows.scan("project", &begins(&[project])).map(|row| Ok(MilestoneId(id_at_end(&row?.0)?)))
    }

    /// The milestones that may have unfinished tickets, the oldest first.
    pub fn open(&self) -> impl DoubleEndedIterator<Item = Found<MilestoneId>> + use<> {
        self.rows.scan("open", b"").map(|row| Ok(MilestoneId(id_at_end(&row?.0)?)))
    }

    /// Notes whether a milestone may have unfinished tickets. New tickets, and new runs, say so by themselves.
    ///
    /// # Errors
    /// The row cannot be written.
    pub fn set_open(&self, milestone: MilestoneId, open: bool) -> Found<()> {
        let key = milestone.to_string();
        if open { self.rows.put("open", key.as_bytes(), b"") } else { self.rows.remove("open", key.as_bytes()) }
    }

    /// The milestones whose keys begin so, the oldest of each key first.
    pub fn keys(&self, beginning: &str) -> impl Iterator<Item = Found<(String, MilestoneId)>> + use<> {
        self.rows.scan("key", beginning.as_bytes()).map(|row| {
            let (key, _) = row?;
            let name = key.split(|b| *b == 0).next().unwrap_or_default();
            Ok((String::from_utf8_lossy(name).into_owned(), MilestoneId(id_at_end(&key)?)))
        })
    }

    /// The row of a run.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn run(&self, id: RunId) -> Found<Option<RunRow>> {
        self.rows.get("run", id.to_string().as_bytes())?.map(|row| decode(&row)).transpose()
    }

    /// All runs in the order of their beginning; or, from the end, the newest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = Found<RunRow>> + use<> {
        self.rows_of(self.rows.scan("runs", b""))
    }

    /// The runs of a milestone in the order of their beginning.
    pub fn runs_of(&self, milestone: MilestoneId) -> impl DoubleEndedIterator<Item = Found<RunRow>> + use<> {
        self.rows_of(self.rows.scan("runs-of", &begins(&[&milestone.to_string()])))
    }

    fn rows_of(&self, ids: RowIter) -> impl DoubleEndedIterator<Item = Found<RunRow>> + use<> {
        let catalog = self.clone();
        ids.map(move |row| {
            let id = RunId(id_at_end(&row?.1)?);
            catalog.run(id)?.ok_or_else(|| RowError(format!("run {id} is in the list and has no row")))
        })
    }

    /// The milestone that an attempt belongs to.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn attempt(&self, id: AttemptId) -> Found<Option<MilestoneId>> {
        let row = self.rows.get("attempt", id.to_string().as_bytes())?;
        row.map(|row| Ok(MilestoneId(id_at_end(&row)?))).transpose()
    }

    /// The attempts whose ids begin so, with their milestones.
    pub fn attempts(&self, beginning: &str) -> impl Iterator<Item = Found<(AttemptId, MilestoneId)>> + use<> {
        self.rows.scan("attempt", beginning.as_bytes()).map(|row| {
            let (key, value) = row?;
            Ok((AttemptId(id_at_end(&key)?), MilestoneId(id_at_end(&value)?)))
        })
    }

    /// The run that a name stands for: `@last` (or nothing) is the newest, else any unambiguous beginning of its id.
    ///
    /// # Errors
    /// None or several match, or a row cannot be read.
    pub fn find_run(&self, name: Option<&str>) -> Result<RunRow, Lookup> {
        let name = name.unwrap_or("@last");
        let none = || NotOne::None { what: "run", name: name.to_owned() };
        if name == "@last" {
            return Ok(self.runs().next_back().transpose()?.ok_or_else(none)?);
        }
        let found: Vec<RunId> = self
            .rows
            .scan("run", name.to_lowercase().as_bytes())
            .take(SEVERAL)
            .map(|row| Ok(RunId(id_at_end(&row?.0)?)))
            .collect::<Found<_>>()?;
        match found.as_slice() {
            [one] => Ok(self.run(*one)?.ok_or_else(none)?),
            [] => Err(none().into()),
            several => {
                let several = several.iter().map(ToString::to_string).collect();
                Err(NotOne::Several { what: "run", name: name.to_owned(), several }.into())
            }
        }
    }

    /// The milestone that a spec belongs to: of this project, with the same content, the same declared key or the same
    /// title, in this order.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn find_spec(&self, project: &str, hash: &str, key: Option<&str>, title: &str) -> Found<Option<MilestoneId>> {
        if let Some(id) = self.first("spec", &[project, hash])? {
            return Ok(Some(id));
        }
        let Some(key) = key else { return self.first("title", &[project, title]) };
        for row in self.rows.scan("key", &begins(&[key])) {
            let id = MilestoneId(id_at_end(&row?.0)?);
            if self.milestone(id)?.is_some_and(|row| row.project == project) {
                return Ok(Some(id));
            }
        }
        Ok(None)
    }

    fn first(&self, table: &str, parts: &[&str]) -> Found<Option<MilestoneId>> {
        let row = self.rows.scan(table, &begins(parts)).next().transpose()?;
        row.map(|(key, _)| Ok(MilestoneId(id_at_end(&key)?))).transpose()
    }

    /// A key that nobody has: the wanted one, or as much of it as leaves room for the first free number behind it.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn free_key(&self, wanted: &str) -> Found<String> {
        let mut key = wanted.to_owned();
        let mut number = 2_u32;
        while self.first("key", &[&key])?.is_some() {
            let number_text = number.to_string();
            let kept: String = wanted.chars().take(KEY_CHARS.saturating_sub(number_text.len())).collect();
            key = kept + &number_text;
            number += 1;
        }
        Ok(key)
    }
}

/// What finds a milestone by its present content.
fn names(id: MilestoneId, row: &MilestoneRow) -> [(&'static str, Vec<u8>); 2] {
    let id = id.to_string();
    [("spec", joined(&[&row.project, &row.spec.hash, &id])), ("title", joined(&[&row.project, &row.title, &id]))]
}
