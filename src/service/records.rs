//! The record of a run: lived again, compared with itself, taken in, gone on from; and the head of the log.
use super::{
    app::Service,
    background::blocking,
    names,
    principal::Principal,
    problem::{Kind, Problem},
    replays::{self, Wanted},
    start::{PROPOSALS, fresh_milestone},
};
use crate::{
    contract::records::{
        ForkDoc, ForkRequest, HeadDoc, ImportDoc, ImportOutcome, ImportRequest, ReplayDoc, ReplayQuery,
    },
    engine::{
        handle::{Handle, SubmitError},
        run_files::{ImportError, ImportOutcome as Outcome},
    },
    git::PersonRepo,
    model::{command::Action, id::RunId, kept::Fork, rejection::Rejection, reply::Reply},
    views::{
        catalog::{Recorded, RunRow},
        diff::Difference,
    },
};

impl Service {
    /// Re-decides a run from its record.
    pub(crate) async fn replay(&self, name: &str, query: &ReplayQuery) -> Result<ReplayDoc, Problem> {
        let run = names::record(&self.handle, name)?;
        let wanted = Wanted {
            until: query.until.as_deref().map(names::point).transpose()?.map(replays::until),
            records: query.records.is_some(),
            steps: query.steps.is_some(),
        };
        let handle = self.handle.clone();
        blocking(move || replays::replayed(run, handle.frames(run)?, wanted)).await
    }

    /// What differs between the states of a run at two points, `A..B`.
    pub(crate) async fn differences(&self, name: &str, span: &str) -> Result<Vec<Difference>, Problem> {
        let run = names::record(&self.handle, name)?;
        let span = replays::span(span)?;
        let handle = self.handle.clone();
        blocking(move || replays::differences(|| Ok(handle.frames(run)?), span)).await
    }

    /// Where the log ends.
    pub(crate) fn head(&self) -> HeadDoc {
        let (seq, hash) = self.handle.anchor();
        HeadDoc { seq, hash }
    }

    /// Takes a run of another data directory in.
    pub(crate) async fn import(&self, who: &Principal, wish: ImportRequest) -> Result<ImportDoc, Problem> {
        if !wish.path.is_absolute() {
            return Err(Problem::new(Kind::Usage, "'path' must be an absolute path"));
        }
        let done = self.handle.import(wish.path, who.actor()).await;
        let (imported, outcome) = done.map_err(|e| match e {
            ImportError::File(bad) => Problem::new(Kind::Diverged, bad),
            ImportError::Refused(why) => Problem::new(Kind::Refused, why),
            ImportError::Unreadable(why) => Problem::new(Kind::Refused, why),
            ImportError::Read(e) => e.into(),
            ImportError::Submit(e) => e.into(),
        })?;
        let outcome = match outcome {
            Outcome::Imported => ImportOutcome::Imported,
            Outcome::Extended => ImportOutcome::Extended,
            Outcome::Known => ImportOutcome::Known,
        };
        Ok(ImportDoc { imported, outcome })
    }

    /// Goes on from the state a run had at one event.
    pub(crate) async fn fork(&self, who: &Principal, name: &str, wish: ForkRequest) -> Result<ForkDoc, Problem> {
        let catalog = self.handle.catalog();
        let row = match catalog.find_record(name)? {
            Recorded::Here(row) => row,
            Recorded::Imported(imported) => {
                let why = format!("run {} was imported: its repository is not here", imported.run.run);
                return Err(Problem::new(Kind::Refused, why).hint("fork it where it ran"));
            }
        };
        let (handle, of) = (self.handle.clone(), row.clone());
        blocking(move || can_be_forked(&handle, &of, wish.at)).await?;
        let wanted_key = catalog.milestone(row.milestone)?.map(|m| m.key).unwrap_or_default();
        let (handle, of, key) = (self.handle.clone(), row.clone(), catalog.free_key(&wanted_key)?);
        let mut fork = blocking(move || prepared(&handle, &of, wish.at, key)).await?;
        let mut tries = 0;
        let accepted = loop {
            let action = Action::ForkRun(Box::new(fork.clone()));
            match self.handle.submit(fork.milestone, who.actor(), action).await {
                Ok(accepted) => break accepted,
                Err(SubmitError::Rejected(Rejection::Taken { .. })) if tries < PROPOSALS => {
                    tries += 1;
                    fork.key = catalog.free_key(&wanted_key)?;
                }
                Err(e) => return Err(e.into()),
            }
        };
        let Reply::RunStarted { run } = accepted.reply else {
            return Err(Problem::new(Kind::General, "the engine gave no run for the fork"));
        };
        self.hand(run);
        let Fork { key, base, origin, .. } = fork;
        Ok(ForkDoc {
            run,
            milestone: key,
            branch: format!("p0/{run}/main"),
            base: base.0,
            from: row.id,
            at: origin.seq,
            at_work: self.works(),
        })
    }

    /// Writes the file of a run, piece by piece. It blocks.
    pub(crate) fn export(&self, run: RunId, write: impl std::io::Write) -> Result<(), Problem> {
        Ok(self.handle.export(run, write)?)
    }
}

/// What a fork takes over, with its spec and its commit in their places.
fn prepared(handle: &Handle, of: &RunRow, at: u64, key: String) -> Result<Fork, Problem> {
    let fork = handle.fork_of(of.id, at, fresh_milestone(), key)?;
    let fork = fork.ok_or_else(|| Problem::new(Kind::Usage, format!("run {} had not begun at {at}", of.id)))?;
    // Where the run is archived, its spec is with it.
    handle.put_blob(&handle.blob(of.milestone, &fork.spec)?)?;
    // Without its commit there is nothing to go on from; better said now than by a run that fails.
    let there = PersonRepo::discover(std::path::Path::new(&fork.project)).and_then(|r| r.resolve(&fork.base.0));
    there.map_err(|e| {
        Problem::new(Kind::Config, format!("the commit that the run was at is not there: {e}"))
            .hint("bring it back into the repository (`git fetch`), then fork again")
    })?;
    Ok(fork)
}

/// Whether a run can be forked at an event: from its beginning on, and until the next run of its milestone begins. What
/// that one lands is done in the milestone's state, and is not on this one's branch.
fn can_be_forked(handle: &Handle, row: &RunRow, at: u64) -> Result<(), Problem> {
    let mut later = Vec::new();
    for other in handle.catalog().runs_of(row.milestone) {
        later.extend(Some(other?).filter(|other| other.seq > row.seq));
    }
    let head = *handle.head().borrow();
    let mut last = head;
    if let Some(next) = later.first() {
        // A command is taken over whole, so that the first event of the one that began it is too far.
        for frame in handle.frames(row.id)? {
            let events = frame?.events;
            if let (Some(first), true) = (events.first(), events.last().is_some_and(|end| end.seq >= next.seq)) {
                last = first.seq.saturating_sub(1);
                break;
            }
        }
    }
    if (row.seq..=last).contains(&at) {
        return Ok(());
    }
    let why = format!("run {} can be forked at events {} to {last}, not at {at}", row.id, row.seq);
    let instead =
        later.iter().rev().find(|other| other.seq <= at).or(later.first()).filter(|_| at > last && at <= head);
    Err(match instead {
        Some(other) => {
            Problem::new(Kind::Usage, format!("{why}: run {} of the same milestone went on after it", other.id))
                .hint(format!("fork that one: `p0 fork {} --at {}`", other.id, at.max(other.seq)))
        }
        None => Problem::new(Kind::Usage, why).hint("see them with `p0 audit log --run RUN`"),
    })
}
