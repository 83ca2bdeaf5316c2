//! The catalog's rows in the store.
use crate::{
    journal::Store,
    views::catalog::{RowError, RowIter, Rows},
};

/// Rows of the store.
pub(super) struct StoreRows(pub(super) Store);

impl Rows for StoreRows {
    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, RowError> {
        self.0.row(table, key).map_err(|e| RowError(e.to_string()))
    }

    fn put(&self, table: &str, key: &[u8], value: &[u8]) -> Result<(), RowError> {
        self.0.put_row(table, key, value).map_err(|e| RowError(e.to_string()))
    }

    fn remove(&self, table: &str, key: &[u8]) -> Result<(), RowError> {
        self.0.remove_row(table, key).map_err(|e| RowError(e.to_string()))
    }

    fn scan(&self, table: &str, prefix: &[u8]) -> RowIter {
        Box::new(self.0.rows(table, prefix).map(|row| row.map_err(|e| RowError(e.to_string()))))
    }
}
