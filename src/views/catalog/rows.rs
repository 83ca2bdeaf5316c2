//! Where a catalog keeps its rows.
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// The rows cannot be read or written.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the catalog: {0}")]
pub struct RowError(pub String);

/// Rows in the order of their keys.
pub type RowIter = Box<dyn DoubleEndedIterator<Item = Result<(Vec<u8>, Vec<u8>), RowError>> + Send>;

/// Where rows are kept.
pub trait Rows: Send + Sync {
    /// The row with this key.
    ///
    /// # Errors
    /// It cannot be read.
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, RowError>;
    /// Writes it.
    ///
    /// # Errors
    /// It cannot be written.
    fn put(&self, table: &str, key: &[u8], value: &[u8]) -> Result<(), RowError>;
    /// Removes it, if it is there.
    ///
    /// # Errors
    /// It cannot be written.
    fn remove(&self, table: &str, key: &[u8]) -> Result<(), RowError>;
    /// The rows whose keys begin with `prefix`, in order, with the rest of their keys' table left off.
    fn scan(&self, table: &str, prefix: &[u8]) -> RowIter;
}

/// The table and key of a row.
type Place = (String, Vec<u8>);

/// Rows in memory: of who reads a log without its holder, and of tests.
#[derive(Debug, Default)]
pub struct MemoryRows(Mutex<BTreeMap<Place, Vec<u8>>>);

impl MemoryRows {
    fn rows(&self) -> MutexGuard<'_, BTreeMap<Place, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rows for MemoryRows {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, RowError> {
        Ok(self.rows().get(&(table.to_owned(), key.to_vec())).cloned())
    }

    fn put(&self, table: &str, key: &[u8], value: &[u8]) -> Result<(), RowError> {
        self.rows().insert((table.to_owned(), key.to_vec()), value.to_vec());
        Ok(())
    }

    fn remove(&self, table: &str, key: &[u8]) -> Result<(), RowError> {
        self.rows().remove(&(table.to_owned(), key.to_vec()));
        Ok(())
    }

    fn scan(&self, table: &str, prefix: &[u8]) -> RowIter {
        let from = (table.to_owned(), prefix.to_vec());
        let rows = self.rows();
        let wanted = rows.range(from..).take_while(|((of, key), _)| of == table && key.starts_with(prefix));
        Box::new(wanted.map(|((_, key), value)| Ok((key.clone(), value.clone()))).collect::<Vec<_>>().into_iter())
    }
}
