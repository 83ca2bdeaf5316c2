//! What only one milestone may have: the question, and a draft of the catalog to ask it of before a commit.
use super::{Catalog, Found, RowError, RowIter, Rows};
use p0_model::id::MilestoneId;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

impl Catalog {
    /// The oldest milestone of this project whose spec has this content.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn of_spec(&self, project: &str, hash: &str) -> Found<Option<MilestoneId>> {
        self.first("spec", &[project, hash])
    }

    /// The milestone with exactly this key.
    ///
    /// # Errors
    /// A row cannot be read.
    pub fn of_key(&self, key: &str) -> Found<Option<MilestoneId>> {
        self.first("key", &[key])
    }

    /// A catalog that begins with the rows of this one; what is applied to it is kept in memory and goes away with it.
    pub fn draft(&self) -> Catalog {
        Catalog::new(Arc::new(Draft { below: self.rows.clone(), changed: Mutex::default() }))
    }
}

/// The value of each changed row by table and key; `None` = removed.
type Changes = BTreeMap<(String, Vec<u8>), Option<Vec<u8>>>;

/// Changed rows over others.
struct Draft {
    below: Arc<dyn Rows>,
    changed: Mutex<Changes>,
}

impl Draft {
    fn changed(&self) -> MutexGuard<'_, Changes> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows for Draft {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, RowError> {
        match self.changed().get(&(table.to_owned(), key.to_vec())) {
            Some(value) => Ok(value.clone()),
            None => self.below.get(table, key),
        }
    }

    fn put(&self, table: &str, key: &[u8], value: &[u8]) -> Result<(), RowError> {
        self.changed().insert((table.to_owned(), key.to_vec()), Some(value.to_vec()));
        Ok(())
    }

    fn remove(&self, table: &str, key: &[u8]) -> Result<(), RowError> {
        self.changed().insert((table.to_owned(), key.to_vec()), None);
        Ok(())
    }

    fn scan(&self, table: &str, prefix: &[u8]) -> RowIter {
        let changed = self.changed();
        let own = changed.iter().filter(|((of, key), _)| of == table && key.starts_with(prefix));
        let own: BTreeMap<Vec<u8>, Option<Vec<u8>>> =
            own.map(|((_, key), value)| (key.clone(), value.clone())).collect();
        if own.is_empty() {
            return self.below.scan(table, prefix);
        }
        let mut failed = None;
        let mut rows = BTreeMap::new();
        for row in self.below.scan(table, prefix) {
            match row {
                Ok((key, value)) => drop(rows.insert(key, value)),
                Err(e) => failed = Some(Err(e)),
            }
        }
        for (key, value) in own {
            match value {
                Some(value) => drop(rows.insert(key, value)),
                None => drop(rows.remove(&key)),
            }
        }
        let rows: Vec<_> = failed.into_iter().chain(rows.into_iter().map(Ok)).collect();
        Box::new(rows.into_iter())
    }
}
