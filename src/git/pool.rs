//! The pool of worktrees: taken by a holder, kept warm, given back on proof that nothing is lost.
use super::{
    compare::Owned,
    convert::Conversion,
    disk,
    error::{Error, GitContext},
    globs, handle, land,
    merge::Merge,
    populate::Mover,
    repository::ProjectRepository,
    scan::Scan,
    slot::{Record, Slot},
    tree::{self, Entry},
};
use git2::Repository;
use std::{path::PathBuf, sync::PoisonError};

/// Why a worktree may be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safe<'a> {
    /// Its content is that of this commit, which is kept: harvested by this holder, parked, or in a `p0/…` branch.
    Commit(&'a str),
    /// Its content is that of the commit it was taken for, or it was taken with [`ProjectRepository::checkout_fresh`].
    NothingChanged,
}

/// The most paths an error lists.
const LISTED: usize = 10;

impl ProjectRepository {
    /// A worktree for `holder` at `commit`: HEAD detached there, clean, nothing of an earlier holder in it. The same
    /// holder gets the same worktree again, untouched.
    pub fn checkout(&self, holder: &str, commit: &str) -> Result<PathBuf, Error> {
        self.checkout_after(holder, commit, None)
    }

    /// The same; of the free worktrees the one that `before` held last is taken, if there is one: programs tie what they
    /// remember to the folder they were in.
    pub fn checkout_after(&self, holder: &str, commit: &str, before: Option<&str>) -> Result<PathBuf, Error> {
        if let Some((slot, mut record)) = self.find(holder)?
            && record.ready
            && slot.has_tree()
        {
            if record.commit != commit {
                return Err(Error::HeldElsewhere {
                    holder: holder.into(),
                    path: slot.tree,
                    has: record.commit,
                    wanted: commit.into(),
                });
            }
            if record.scratch {
                record.scratch = false;
                slot.write(&record)?;
            }
            return Ok(slot.tree);
        }
        self.prepare(holder, commit, false, false, before)
    }

    /// Brings the change from `base` to `commit` into the worktree of `holder`, which stands at `onto`: its files only,
    /// HEAD and index stay. For a worktree that nobody has worked in yet. Of a conflict nothing is brought.
    pub fn carry(&self, holder: &str, onto: &str, base: &str, commit: &str) -> Result<Merge, Error> {
        let merge = self.merge(onto, base, commit)?;
        let Merge::Clean { tree } = &merge else { return Ok(merge) };
        let (slot, _) = self.find_ready(holder)?;
        let repo = self.repo()?;
        let tree = git2::Oid::from_str(tree).git("reading the merged tree", repo.path())?;
        let target = tree::flatten(&repo, tree)?;
        self.fill(&repo, &slot, commit, &target, None)?;
        Ok(merge)
    }

    /// A worktree for `holder` that is always reset to the content of `commit`: for gates and readers, whose leavings
    /// are worth nothing. With `keep_ignored`, files git ignores stay (build caches).
    pub fn checkout_fresh(&self, holder: &str, commit: &str, keep_ignored: bool) -> Result<PathBuf, Error> {
        self.prepare(holder, commit, true, keep_ignored, None)
    }

    /// The worktree `holder` has; none when it has none or it never was ready.
    pub fn worktree(&self, holder: &str) -> Result<Option<PathBuf>, Error> {
        Ok(self.find(holder)?.filter(|(_, record)| record.ready).map(|(slot, _)| slot.tree))
    }

    /// Who has a worktree now, sorted.
    pub fn holders(&self) -> Result<Vec<String>, Error> {
        let mut out = Vec::new();
        for slot in Slot::all(&self.project)? {
            out.extend(slot.record()?.map(|record| record.holder));
        }
        out.sort();
        Ok(out)
    }

    /// Gives the worktree back to the pool. Refused unless the proof holds: content that is kept nowhere else is never
    /// removed. Without a worktree there is nothing to do, and a working directory that is gone holds nothing.
    pub fn release(&self, holder: &str, safe: Safe<'_>) -> Result<(), Error> {
        let Some((slot, record)) = self.find(holder)? else { return Ok(()) };
        // Not ready: nobody ever worked in it.
        if record.ready && !(record.scratch && safe == Safe::NothingChanged) {
            let repo = self.repo()?;
            let proof = match safe {
                Safe::NothingChanged => record.commit.as_str(),
                Safe::Commit(commit) => {
                    self.check_kept(&repo, &slot, holder, commit)?;
                    commit
                }
            };
            if slot.has_tree() {
                self.check_content(&repo, &slot, &record, proof)?;
            }
        }
        slot.clear()?;
        self.found.lock().unwrap_or_else(PoisonError::into_inner).remove(holder);
        self.tidy_agent_refs()
    }

    /// Removes free worktrees until at most `max` worktrees are left. Held ones always stay.
    pub fn prune_pool(&self, max: usize) -> Result<(), Error> {
        let choosing = self.choosing.lock().unwrap_or_else(PoisonError::into_inner);
        let slots = Slot::all(&self.project)?;
        let mut excess = slots.len().saturating_sub(max);
        for slot in slots.iter().rev() {
            if excess == 0 {
                break;
            }
            if slot.record()?.is_none() && !choosing.contains(&slot.own) {
                slot.remove()?;
                excess -= 1;
            }
        }
        Ok(())
    }

    /// The slot a holder has.
    pub(super) fn find(&self, holder: &str) -> Result<Option<(Slot, Record)>, Error> {
        handle::check_name("holder", holder)?;
        let known =
            |slot: Slot| Ok(slot.record()?.filter(|record| record.holder == holder).map(|record| (slot, record)));
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = found.remove(holder)
            && let Some(known) = known(slot)?
        {
            found.insert(holder.to_owned(), known.0.clone());
            return Ok(Some(known));
        }
        drop(found);
        for slot in Slot::all(&self.project)? {
            if let Some(known) = known(slot)? {
                let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
                found.insert(holder.to_owned(), known.0.clone());
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// The slot a holder has, prepared.
    pub(super) fn find_ready(&self, holder: &str) -> Result<(Slot, Record), Error> {
        let found = self.find(holder)?;
        let missing = || Error::NoWorktree { holder: holder.into(), project: self.project.clone() };
        let (slot, record) = found.ok_or_else(missing)?;
        if !record.ready {
            return Err(Error::NotReady { holder: holder.into(), path: slot.tree });
        }
        Ok((slot, record))
    }

    /// Takes a slot and moves it. The record stands before the first file is touched and says `ready` after the last.
    fn prepare(
        &self,
        holder: &str,
        commit: &str,
        scratch: bool,
        keep_ignored: bool,
        before: Option<&str>,
    ) -> Result<PathBuf, Error> {
        let repo = self.repo()?;
        let target = handle::tree_of(&repo, handle::commit_id(commit, repo.path())?)?;
        let target = tree::flatten(&repo, target)?;
        let mut record =
            Record { holder: holder.into(), commit: commit.into(), ready: false, scratch, generated: Vec::new() };
        let slot = self.choose(&record, before)?;
        if !slot.has_tree() {
            disk::remove_any(&slot.tree)?;
        }
        disk::make_dir(&slot.tree)?;
        let rules = self.rules(&slot.tree)?;
        let conversion = self.fill(&repo, &slot, commit, &target, keep_ignored.then_some(&rules))?;
        let print = conversion.as_ref().map(Conversion::print);
        slot.attach(commit, print, &self.for_agents(conversion.as_ref())?)?;
        record.ready = true;
        slot.write(&record)?;
        let tree = slot.tree.clone();
        self.found.lock().unwrap_or_else(PoisonError::into_inner).insert(record.holder, slot);
        Ok(tree)
    }

    /// Makes the worktree of a slot the content of a tree, and gives the conversions that apply to it.
    fn fill(
        &self,
        repo: &Repository,
        slot: &Slot,
        commit: &str,
        target: &[Entry],
        keep_ignored: Option<&Repository>,
    ) -> Result<Option<Conversion>, Error> {
        let conversion = self.conversion(repo, target, false)?;
        let print = conversion.as_ref().map(Conversion::print);
        let mover = Mover {
            slot,
            root: &slot.tree,
            commit,
            target,
            conversion: conversion.as_ref(),
            same_settings: slot.has_cache(print),
            converted: &conversion.as_ref().map(|_| slot.converted()).unwrap_or_default(),
            cache: &slot.cache(print),
            objects: repo,
            keep_ignored,
        };
        let moved = mover.run()?;
        slot.save_cache(print, &moved.entries, moved.converted.as_ref())?;
        Ok(conversion)
    }

    /// The holder's slot, else a free one (that of `before` first), else a new one; its record is written.
    fn choose(&self, record: &Record, before: Option<&str>) -> Result<Slot, Error> {
        let slot = self.reserve(&record.holder, before)?;
        // Beside the lock: many that begin at once wait for the disk together, not one after the other.
        let written = disk::sync_parent(&slot.own).and_then(|()| slot.write(record));
        self.choosing.lock().unwrap_or_else(PoisonError::into_inner).remove(&slot.own);
        written.map(|()| slot)
    }

    /// Chooses a slot and keeps it from others until its record is written.
    fn reserve(&self, holder: &str, before: Option<&str>) -> Result<Slot, Error> {
        let mut choosing = self.choosing.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut own, mut free) = (None, None);
        for slot in Slot::all(&self.project)?.into_iter().filter(|slot| !choosing.contains(&slot.own)) {
            match slot.record()? {
                Some(found) if found.holder == holder => {
                    own = Some(slot);
                    break;
                }
                None if before.is_some_and(|before| slot.was_held_by(before)) || free.is_none() => free = Some(slot),
                _ => {}
            }
        }
        let slot = match own.or(free) {
            Some(slot) => slot,
            None => self.new_slot()?,
        };
        choosing.insert(slot.own.clone());
        Ok(slot)
    }

    fn new_slot(&self) -> Result<Slot, Error> {
        let slots = (1..).map(|number| Slot::new(&self.project, &format!("w{number}")));
        let slot = slots.into_iter().find(|slot| !slot.own.exists()).expect("numbers do not run out");
        disk::make_dir(&slot.own)?;
        Ok(slot)
    }

    fn check_kept(&self, repo: &Repository, slot: &Slot, holder: &str, commit: &str) -> Result<(), Error> {
        let id = handle::commit_id(commit, repo.path())?;
        if land::read_ref(repo, &format!("refs/p0/attempts/{holder}"))? == Some(id) {
            return Ok(());
        }
        let person = self.person_repo()?;
        if land::read_ref(&person, &format!("refs/p0/parked/{holder}"))? == Some(id) {
            return Ok(());
        }
        let branches = person.references_glob("refs/heads/p0/*").git("listing branches", person.path())?;
        for branch in branches.flatten() {
            if let Some(head) = branch.target()
                && land::contains(&person, head, id)?
            {
                return Ok(());
            }
        }
        let why = format!("no attempt, parked ref or p0 branch keeps {commit}");
        Err(Error::WorkNotSafe { holder: holder.into(), path: slot.tree.clone(), why, paths: Vec::new() })
    }

    fn check_content(&self, repo: &Repository, slot: &Slot, record: &Record, proof: &str) -> Result<(), Error> {
        let tree = handle::tree_of(repo, handle::commit_id(proof, repo.path())?)?;
        let base = tree::flatten(repo, tree)?;
        // What a harvest refuses was told to whoever made it, and could not be kept by any commit.
        let Scan { edits, repositories, .. } = self.compare(repo, slot, &base, &Owned::default(), None)?;
        let generated = globs::compile(&record.generated)?;
        let submodules = repositories.into_iter().filter(|path| base.iter().any(|entry| entry.path == *path));
        let unsafe_paths: Vec<String> = edits
            .into_keys()
            .filter(|path| !globs::matches(&generated, path))
            .chain(submodules)
            .map(|path| disk::shown(&path))
            .collect();
        if unsafe_paths.is_empty() {
            return Ok(());
        }
        Err(Error::WorkNotSafe {
            holder: record.holder.clone(),
            path: slot.tree.clone(),
            why: format!("{} path(s) differ from {proof}", unsafe_paths.len()),
            paths: unsafe_paths.into_iter().take(LISTED).collect(),
        })
    }
}
