//! Writing damaged frames of the journal anew from the store's copies.
//!
//! A frame's hash stands in the frame after it, so that a copy which fits between its neighbours is, byte for byte, what
//! was written. Nothing else is ever put there: what the store does not have, or not the same, stays as it is.

use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};

use crate::journal::frame::{self, Entry};
use crate::journal::log::JOURNAL_DIR;
use crate::journal::segments::Options;
use crate::journal::store::{Opened, Store};
use crate::journal::walk::{self, Chain, Damage, SegmentReader, Step, Walk};
use crate::journal::{DirLock, Error, log, store_renew, tail};

/// Where segment files are kept as they were found.
const ASIDE: &str = "journal.damaged";

/// A frame that was written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mended {
    /// Its first event.
    pub seq: u64,
    /// The segment file.
    pub file: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What was wrong.
    pub what: String,
}

/// Reads the whole journal of the locked directory and mends what can be mended, oldest first. The files as they were
/// found are kept beside it, under `journal.damaged/`. An unacknowledged end is left to the next open.
///
/// # Errors
/// [`Error::Damaged`]: a frame that the store does not have, or has otherwise; those before it are mended. Or a file cannot
/// be read or written.
pub fn mend(lock: &DirLock, options: &Options) -> Result<Vec<Mended>, Error> {
    let data_dir = lock.dir();
    let segments = walk::list(&data_dir.join(JOURNAL_DIR))?;
    let mut walk = Walk::new(segments, 0, 0, None);
    let mut store = None;
    let mut mended = Vec::new();
    loop {
        let damage = match walk.step()? {
            Step::Frame(_) | Step::Span(_) => continue,
            Step::End => return Ok(mended),
            Step::Bad(damage) => *damage,
        };
        if tail::is_unacknowledged(walk.segments(), walk.chain(), &damage)? {
            return Ok(mended);
        }
        let store = match &store {
            Some(store) => store,
            None => store.insert(open(data_dir, options)?),
        };
        let Some(record) = copy_of(store, walk.chain(), &damage)? else { return Err(damage.into_error()) };
        if !mended.iter().any(|earlier: &Mended| earlier.file == damage.path) {
            keep(data_dir, &damage.path)?;
        }
        write(&damage, &record, options)?;
        mended.push(Mended {
            seq: damage.seq,
            file: damage.path.clone(),
            offset: damage.offset,
            what: damage.what.clone(),
        });
        walk.refresh();
        if let Step::Bad(still) = walk.step()? {
            return Err(still.into_error());
        }
    }
}

fn open(data_dir: &Path, options: &Options) -> Result<Store, Error> {
    let dir = data_dir.join(log::STORE_DIR);
    store_renew::finish(data_dir, &dir)?;
    let unusable = |what| Error::Store { path: dir.clone(), what };
    match Store::open(&dir, options)? {
        Opened::Usable(store) => Ok(store),
        Opened::Old(version) => Err(unusable(format!("it has the old format {version}"))),
        Opened::Unusable(what) => Err(unusable(what)),
    }
}

/// The bytes that stood there, if the store has them and they fit: after the frame before, and before what stands next.
fn copy_of(store: &Store, chain: Option<&Chain>, damage: &Damage) -> Result<Option<Vec<u8>>, Error> {
    let Some(chain) = chain.filter(|_| !damage.structural) else { return Ok(None) };
    let Some(record) = store.record(damage.seq)? else { return Ok(None) };
    let Ok(Entry::Frame(copy)) = frame::read(&record) else { return Ok(None) };
    if copy.first_seq != chain.next_seq || copy.prev_hash != chain.hash || copy.prev_in_log != chain.last_first_seq {
        return Ok(None);
    }
    // A good frame within the place is in the way; one right behind it must follow from this one.
    let mut reader = SegmentReader::open(&damage.path)?;
    let end = damage.offset + record.len() as u64;
    let follows = match reader.find_frame(damage.offset + 1)? {
        None => true,
        Some((at, Ok(Entry::Frame(next)))) => at >= end && (at > end || next.prev_hash == copy.hash),
        Some((at, Ok(Entry::Span(next)))) => at >= end && (at > end || next.prev_hash == copy.hash),
        Some((_, Err(_))) => false,
    };
    Ok((follows && end <= reader.len()?).then_some(record))
}

/// Keeps a segment file as it was found, beside those of earlier repairs.
fn keep(data_dir: &Path, segment: &Path) -> Result<(), Error> {
    let aside = data_dir.join(ASIDE);
    fs::create_dir_all(&aside).map_err(|e| Error::io("create", &aside, e))?;
    let name = segment.file_name().unwrap_or_default().to_string_lossy();
    let names = (1_u32..).map(|n| if n == 1 { name.to_string() } else { format!("{name}.{n}") });
    let free = names.map(|name| aside.join(name)).find(|path| !path.exists()).unwrap_or(aside);
    fs::copy(segment, free).map(drop).map_err(|e| Error::io("copy", segment, e))
}

/// Puts the bytes in their place.
fn write(damage: &Damage, record: &[u8], options: &Options) -> Result<(), Error> {
    let disk = options.disk.as_ref();
    let file = OpenOptions::new().read(true).write(true).open(&damage.path);
    let file = file.map_err(|e| Error::io("open", &damage.path, e))?;
    let written = disk.write_all_at(&file, record, damage.offset).and_then(|()| disk.sync_data(&file));
    written.map_err(|e| Error::io("write", &damage.path, e))
}
