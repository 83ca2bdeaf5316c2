//! Writing damaged and lost frames of the journal anew from the store's copies.
//!
//! A frame's hash stands in the frame after it, so that a copy which fits between its neighbours is, byte for byte, what
//! was written. Nothing else is ever put there: what the store does not have, or not the same, stays as it is.

use crate::{
    DirLock, Error,
    frame::{self, Entry, Frame},
    log::{self, JOURNAL_DIR},
    segment::{self, Segment},
    segments::Options,
    store::{Opened, Store},
    store_renew, tail,
    walk::{Chain, Damage, SegmentReader, Step, Walk},
};
use std::{
    fs::{self, OpenOptions},
    path::{Path, PathBuf},
};

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
/// found are kept beside it, under `journal.damaged/`. What the store has was acknowledged: where the journal ends before
/// it, it is written on. An end that nobody was told of is left to the next open.
///
/// # Errors
/// [`Error::Damaged`]: a frame that the store does not have, or has otherwise; those before it are mended. Or a file cannot
/// be read or written.
pub fn mend(lock: &DirLock, options: &Options) -> Result<Vec<Mended>, Error> {
    let data_dir = lock.dir();
    let segments = segment::list(&data_dir.join(JOURNAL_DIR))?;
    let mut walk = Walk::new(segments, 0, 0, None);
    let mut opened = None;
    let mut mended = Vec::new();
    loop {
        let (damage, is_end) = match walk.step()? {
            Step::Frame(_) | Step::Span(_) => continue,
            Step::End => (end_of(&walk, data_dir), true),
            Step::Bad(damage) => (*damage, false),
        };
        let store = match opened.get_or_insert_with(|| open(data_dir, options)) {
            Ok(store) => Some(&*store),
            Err(_) => None,
        };
        let held = store.is_some_and(|store| store.applied().next_seq > damage.seq);
        if !held && (is_end || tail::is_unacknowledged(walk.segments(), walk.chain(), &damage)?) {
            return Ok(mended);
        }
        let Some(store) = store else {
            let why = opened.and_then(Result::err).filter(|_| data_dir.join(log::STORE_DIR).exists());
            return Err(why.unwrap_or_else(|| damage.into_error()));
        };
        let Some(record) = copy_of(store, walk.chain(), &damage)? else {
            let lost = Lost { chain: walk.chain(), damage: &damage, store };
            mended.push(lost.write(data_dir, options)?);
            return Ok(mended);
        };
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

/// The last event that the store of the locked directory has: it was acknowledged, so the journal must have it as well.
///
/// # Errors
/// There is no store that can be read.
pub fn held_by_store(lock: &DirLock, options: &Options) -> Result<u64, Error> {
    Ok(open(lock.dir(), options)?.applied().next_seq - 1)
}

fn open(data_dir: &Path, options: &Options) -> Result<Store, Error> {
    let dir = data_dir.join(log::STORE_DIR);
    store_renew::finish(data_dir, &dir)?;
    let unusable = |what| Error::Store { path: dir.clone(), what };
    // sled makes what is not there.
    if !dir.exists() {
        return Err(unusable("it is not there".to_owned()));
    }
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
    if !follows(&copy, chain) || !damage.path.exists() {
        return Ok(None);
    }
    // A good frame within the place is in the way; one right behind it must follow from this one.
    let mut reader = SegmentReader::open(&damage.path)?;
    let end = damage.offset + record.len() as u64;
    let fits = match reader.find_frame(damage.offset + 1)? {
        None => true,
        Some((at, Ok(Entry::Frame(next)))) => at >= end && (at > end || next.prev_hash == copy.hash),
        Some((at, Ok(Entry::Span(next)))) => at >= end && (at > end || next.prev_hash == copy.hash),
        Some((_, Err(_))) => false,
    };
    Ok((fits && end <= reader.len()?).then_some(record))
}

/// The end of a journal that can be read to its end, as a place where more should stand.
fn end_of(walk: &Walk, data_dir: &Path) -> Damage {
    let (index, offset) = walk.position();
    let seq = walk.chain().map_or(1, |chain| chain.next_seq);
    let segment = walk.segments().get(index).cloned();
    Damage {
        seq,
        segment: index,
        path: segment.unwrap_or_else(|| Segment::at(&data_dir.join(JOURNAL_DIR), seq)).path,
        offset,
        what: "the journal ended here".to_owned(),
        structural: false,
    }
}

/// The end of a journal that was cut off, and a store that has it.
struct Lost<'a> {
    chain: Option<&'a Chain>,
    damage: &'a Damage,
    store: &'a Store,
}

impl Lost<'_> {
    /// Writes what the store has from the damage on, if nothing else stands there.
    fn write(self, data_dir: &Path, options: &Options) -> Result<Mended, Error> {
        let Lost { damage, store, .. } = self;
        let is_last = segment::list(&data_dir.join(JOURNAL_DIR))?.last().is_none_or(|last| last.path == damage.path);
        let is_there = damage.path.exists();
        let is_bare =
            is_last && (!is_there || SegmentReader::open(&damage.path)?.find_frame(damage.offset + 1)?.is_none());
        let Some(mut chain) = self.chain.cloned().filter(|_| is_bare && !damage.structural) else {
            return Err(damage.clone().into_error());
        };
        let mut bytes = Vec::new();
        while chain.next_seq < store.applied().next_seq {
            let record = store.record(chain.next_seq)?.unwrap_or_default();
            let copy = match frame::read(&record) {
                Ok(Entry::Frame(copy)) if follows(&copy, &chain) => copy,
                Ok(_) | Err(_) => return Err(damage.clone().into_error()),
            };
            chain.advance(&copy);
            bytes.extend(record);
        }
        if is_there {
            keep(data_dir, &damage.path)?;
        }
        append(damage, &bytes, options)?;
        let what = format!("{}; all up to event {} was written again", damage.what, chain.next_seq - 1);
        Ok(Mended { seq: damage.seq, file: damage.path.clone(), offset: damage.offset, what })
    }
}

fn follows(copy: &Frame, chain: &Chain) -> bool {
    copy.first_seq == chain.next_seq && copy.prev_hash == chain.hash && copy.prev_in_log == chain.last_first_seq
}

/// Puts bytes at the end of a segment file, in the place of what is left of a frame.
fn append(damage: &Damage, bytes: &[u8], options: &Options) -> Result<(), Error> {
    let (disk, path) = (options.disk.as_ref(), damage.path.as_path());
    let dir = path.parent().unwrap_or(path);
    fs::create_dir_all(dir).map_err(|e| Error::io("create", dir, e))?;
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    let file = file.map_err(|e| Error::io("open", path, e))?;
    let written = file.set_len(damage.offset).and_then(|()| disk.write_all_at(&file, bytes, damage.offset));
    let written = written.and_then(|()| disk.sync_data(&file)).and_then(|()| disk.sync_dir(dir));
    written.map_err(|e| Error::io("write", path, e))
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
