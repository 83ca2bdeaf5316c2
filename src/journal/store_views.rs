//! What is kept in the store beside the frames: views that are written as a whole, and rows of views that follow the log.

use crate::{Error, store::Store, trees};
use std::sync::atomic::Ordering;

impl Store {
    /// Keeps `bytes` as the view or snapshot `name`, folded up to event `upto`; the one before it is dropped. A view is
    /// a cache: it is lost when the store is rebuilt.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put_view(&self, name: &str, upto: u64, bytes: &[u8]) -> Result<(), Error> {
        let prefix = [name.as_bytes(), &[0]].concat();
        let chunk_prefix = trees::index_key(&prefix, upto);
        let trees = self.trees();
        let old = self.run(|| trees.views.get(name))?.and_then(|v| trees::parse_chunked(v.get(8..)?));
        self.replaced(old.map_or(0, |(length, _)| usize::try_from(length).unwrap_or(0)), bytes.len());
        self.change(|trees| {
            let mut chunks = 0;
            for chunk in bytes.chunks(trees::CHUNK_BYTES) {
                trees.view_chunks.insert(trees::chunk_key(&chunk_prefix, chunks), chunk)?;
                chunks += 1;
            }
            let value = [&upto.to_be_bytes()[..], &trees::chunked_value(bytes.len(), chunks)].concat();
            trees.views.insert(name, value)?;
            for key in trees.view_chunks.scan_prefix(&prefix).keys() {
                let key = key?;
                let keep = key.strip_prefix(&chunk_prefix[..]).is_some_and(|n| n < &chunks.to_be_bytes()[..]);
                if !keep {
                    trees.view_chunks.remove(key)?;
                }
            }
            Ok(())
        })
    }

    /// The view `name` and the event it was folded up to, if there is one. A view that is not whole is none.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn view(&self, name: &str) -> Result<Option<(u64, Vec<u8>)>, Error> {
        let trees = self.trees();
        self.run(|| {
            let Some(value) = trees.views.get(name)? else { return Ok(None) };
            let Some((upto, rest)) = value.split_first_chunk::<8>() else { return Ok(None) };
            let Some((bytes, chunks)) = trees::parse_chunked(rest) else { return Ok(None) };
            let prefix = [name.as_bytes(), &[0], upto].concat();
            let mut out = Vec::new();
            for n in 0..chunks {
                let Some(chunk) = trees.view_chunks.get(trees::chunk_key(&prefix, n))? else { return Ok(None) };
                out.extend_from_slice(&chunk);
            }
            Ok((out.len() as u64 == bytes).then(|| (u64::from_be_bytes(*upto), out)))
        })
    }

    /// Drops the view `name`, if it is there.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn remove_view(&self, name: &str) -> Result<(), Error> {
        let prefix = [name.as_bytes(), &[0]].concat();
        let old = self.change(|trees| trees.views.remove(name))?.and_then(|v| trees::parse_chunked(v.get(8..)?));
        self.replaced(old.map_or(0, |(length, _)| usize::try_from(length).unwrap_or(0)), 0);
        self.change(|trees| {
            trees.view_chunks.scan_prefix(&prefix).keys().try_for_each(|key| trees.view_chunks.remove(key?).map(drop))
        })
    }

    /// The row of `table` with this key.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn row(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        let trees = self.trees();
        let value = self.run(|| trees.rows.get(trees::row_key(table, key)))?;
        Ok(value.map(|v| v.to_vec()))
    }

    /// Writes a row. It is part of the view that the caller keeps: after a crash rows may be as they were at an earlier
    /// event, and the caller goes on from there.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn put_row(&self, table: &str, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let key = trees::row_key(table, key);
        let new = key.len() + value.len();
        let old = self.change(|trees| trees.rows.insert(&key, value))?;
        self.replaced(old.map_or(0, |old| key.len() + old.len()), new);
        Ok(())
    }

    /// Removes a row, if it is there.
    ///
    /// # Errors
    /// The store cannot be written.
    pub fn remove_row(&self, table: &str, key: &[u8]) -> Result<(), Error> {
        let key = trees::row_key(table, key);
        let old = self.change(|trees| trees.rows.remove(&key))?;
        self.replaced(old.map_or(0, |old| key.len() + old.len()), 0);
        Ok(())
    }

    /// Keeps count of what is kept.
    pub(crate) fn replaced(&self, old: usize, new: usize) {
        let change = |live: u64| Some(live.saturating_add(new as u64).saturating_sub(old as u64));
        let _ = self.inner.live.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }

    /// The rows of `table` whose keys begin with `prefix`, in the order of their keys; taken from both ends at will.
    pub fn rows(
        &self,
        table: &str,
        prefix: &[u8],
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, Vec<u8>), Error>> + Send + use<> {
        let skip = trees::row_key(table, b"").len();
        let range = self.trees().rows.scan_prefix(trees::row_key(table, prefix));
        let store = self.clone();
        range.map(move |entry| {
            let (key, value) = store.run(|| entry)?;
            Ok((key[skip..].to_vec(), value.to_vec()))
        })
    }
}
