//! Reading a log without holding it: no lock, no store, no thread, nothing written. What a look costs is one pass over the
//! journal, and folding what is live.
use super::{
    boot::{fold_live, row_error, take_in},
    handle::Handle,
    shared::Shared,
    start::StartError,
};
use crate::{
    journal::{BLOBS, Blobs, LogReader, ReadOnly, Sealer},
    views::catalog::{Catalog, MemoryRows},
};
use std::{collections::BTreeSet, path::Path, sync::Arc};
use tokio::sync::mpsc;

/// A hold on the log in `data_dir` as it is now, for reading alone: every command is refused. No directory is an empty log.
///
/// # Errors
/// The log cannot be read, is damaged, or is of a newer version.
pub fn open(data_dir: &Path) -> Result<Handle, StartError> {
    let catalog = Catalog::new(Arc::new(MemoryRows::default()));
    let mut seen = BTreeSet::new();
    let log = ReadOnly::open(data_dir, |frame| take_in(frame, &catalog, &mut seen))?;
    let log = LogReader::Files(log);
    let head = log.last_seq();
    catalog.mark(head).map_err(row_error)?;
    let (live, _) = fold_live(&log, &catalog)?;
    let parts = (log, Blobs::at(&data_dir.join(BLOBS)), Sealer::default());
    let shared = Shared::new(data_dir.to_owned(), parts, catalog, head, &live);
    shared.fail("this process only reads it".to_owned());
    // Nobody listens: whoever sends a command hears that at once.
    let (asks, _) = mpsc::channel(1);
    Ok(Handle { shared: Arc::new(shared), asks })
}
