//! Where a catalog keeps its rows.

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
