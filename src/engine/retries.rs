//! The registry of what is tried again and again right now: for `p0 status`, and for those who follow a run.
use crate::views::retrying::Retrying;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::watch;

/// The registry. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Retries {
    entries: Arc<watch::Sender<BTreeMap<u64, Retrying>>>,
    next: Arc<AtomicU64>,
}

impl Default for Retries {
    fn default() -> Self {
        Retries { entries: Arc::new(watch::Sender::new(BTreeMap::new())), next: Arc::default() }
    }
}

impl Retries {
    /// An entry of its own, which is empty until it is told something.
    pub(crate) fn entry(&self) -> Entry {
        Entry { id: self.next.fetch_add(1, Ordering::Relaxed), of: self.clone() }
    }

    /// What is tried again now, the oldest first.
    pub(crate) fn all(&self) -> Vec<Retrying> {
        self.entries.borrow().values().cloned().collect()
    }

    /// For whoever wants to hear of changes.
    pub(crate) fn watch(&self) -> watch::Receiver<BTreeMap<u64, Retrying>> {
        self.entries.subscribe()
    }
}

/// A place in the registry; it goes with the value.
#[derive(Debug)]
pub(crate) struct Entry {
    id: u64,
    of: Retries,
}

impl Entry {
    /// Puts this in the entry's place.
    pub(crate) fn tell(&self, retrying: Retrying) {
        self.of.entries.send_modify(|entries| {
            entries.insert(self.id, retrying);
        });
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // Most were never told anything, and nobody is to be woken for them.
        self.of.entries.send_if_modified(|entries| entries.remove(&self.id).is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use p0_samples::at;

    #[test]
    fn an_entry_is_there_from_its_first_word_until_it_is_dropped() {
        let retries = Retries::default();
        let mut watch = retries.watch();
        let (one, two) = (retries.entry(), retries.entry());
        assert_eq!(retries.all(), []);
        let said = |what: &str, times| Retrying {
            run: None,
            what: what.into(),
            why: "w".into(),
            since: at(0),
            times,
            help: "h".into(),
        };
        two.tell(said("b", 1));
        one.tell(said("a", 1));
        one.tell(said("a", 2));
        assert!(watch.has_changed().unwrap());
        assert_eq!(retries.all(), [said("a", 2), said("b", 1)]);
        drop(one);
        assert_eq!(retries.all(), [said("b", 1)]);
        watch.mark_unchanged();
        drop(retries.entry());
        assert!(!watch.has_changed().unwrap(), "nobody is woken for an entry without words");
    }
}
