//! Checking a journal from end to end: names the first frame that is not what was written. Reads only, never repairs,
//! never opens sled, and may run beside a live daemon.

use crate::{
    DirLock, Error, Frame, Hash,
    archives::Archives,
    hash::NotAHash,
    log::JOURNAL_DIR,
    segment::{self, Segment},
    walk::{Damage, Step, Walk},
};
use std::{
    collections::HashMap,
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

/// How often and how long a live writer gets to finish what looks half written.
const LIVE_TRIES: u32 = 40;
const LIVE_POLL: Duration = Duration::from_millis(25);

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whether nothing is wrong: no bad frame, and the anchor (if one was given) is in the log.
    pub ok: bool,
    /// Good frames, from the beginning to the first bad one or the end.
    pub frames: u64,
    /// Events in them.
    pub events: u64,
    /// The first thing that is wrong.
    pub first_bad: Option<Bad>,
    /// The hash of the last good frame; [`Hash::ZERO`] for none. Note it somewhere else: it is the anchor of a later
    /// check, and the only thing that shows a log cut at a frame's end.
    pub head: Hash,
}

/// Something wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bad {
    /// The first event that cannot be vouched for.
    pub seq: u64,
    /// What is wrong.
    pub what: String,
    /// The segment file, or the archive of what is no more in one.
    pub file: PathBuf,
    /// Where in the file, in bytes.
    pub offset: u64,
}

/// Checks the journal at `path`: a data directory, a directory of segment files, or one segment file (whose first
/// frame is then taken at its word about what was before it). `anchor` is the hash of a frame that must be in it.
/// `on_progress` is called after every frame with the frames and events so far.
///
/// # Errors
/// `path` is no log ([`Error::NotALog`]), was written by a newer p0, or cannot be read. What is wrong with the content
/// is not an error: it is in the answer.
pub fn verify(path: &Path, anchor: Option<Hash>, on_progress: &mut dyn FnMut(u64, u64)) -> Result<Verified, Error> {
    let anchors: Vec<Anchor> = anchor.map(|hash| Anchor { seq: None, hash }).into_iter().collect();
    let (mut frames, mut events) = (0, 0);
    verify_with(path, &anchors, &mut |frame, _| {
        frames += 1;
        events += u64::from(frame.events);
        on_progress(frames, events);
    })
}

/// Where a frame was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kept {
    /// In the journal.
    Journal,
    /// In the archive of its stream.
    Archive,
}

/// Is shown every good frame.
type OnFrame<'a> = dyn FnMut(&Frame, Kept) + 'a;

/// [`verify`] with any number of anchors; `on_frame` is shown every good frame, archived ones too.
///
/// # Errors
/// As [`verify`].
pub fn verify_with(path: &Path, anchors: &[Anchor], on_frame: &mut OnFrame<'_>) -> Result<Verified, Error> {
    let target = Target::find(path)?;
    let segments = target.segments()?;
    let mut seen = Seen { anchors: Anchors::new(anchors), frames: 0, events: 0 };
    let first_missing = segments.first().filter(|s| !target.single && s.first_seq != 1).map(|first| Bad {
        seq: 1,
        what: format!("the log starts at event {}: the files before it are missing", first.first_seq),
        file: first.path.clone(),
        offset: 0,
    });
    if let Some(bad) = first_missing {
        return Ok(seen.answer(Some(bad), Hash::ZERO));
    }
    let mut walk = Walk::new(segments, 0, 0, None);
    let bad = check(&mut walk, &target, &mut seen, on_frame)?;
    let head = walk.chain().map_or(Hash::ZERO, |c| c.hash);
    let missed = seen.anchors.missing().filter(|_| bad.is_none()).map(|anchor| Bad {
        seq: walk.chain().map_or(1, |c| c.next_seq),
        what: format!("the anchor {anchor} is not in this log: it was cut or rewritten before it"),
        file: walk.segments().last().map_or_else(|| path.to_path_buf(), |s| s.path.clone()),
        offset: walk.position().1,
    });
    Ok(seen.answer(bad.or(missed), head))
}

/// Walks to the end, giving a live writer time to finish what it is writing.
fn check(walk: &mut Walk, target: &Target, seen: &mut Seen, on_frame: &mut OnFrame<'_>) -> Result<Option<Bad>, Error> {
    let mut archives = Archives::of(target.data_dir.as_deref().unwrap_or(Path::new(".")));
    let mut tries = 0;
    loop {
        match walk.step()? {
            Step::Frame(frame) => {
                tries = 0;
                seen.frames += 1;
                seen.events += u64::from(frame.events);
                seen.anchors.see(&frame);
                on_frame(&frame, Kept::Journal);
            }
            Step::Span(span) => {
                tries = 0;
                match archives.frames(&span) {
                    Ok(frames) => {
                        for frame in frames {
                            seen.frames += 1;
                            seen.events += u64::from(frame.events);
                            seen.anchors.see(&frame);
                            on_frame(&frame, Kept::Archive);
                        }
                    }
                    Err(e) => {
                        let (what, seq) = (e.to_string(), span.first_seq);
                        // The journal is well: what is wrong is the archive.
                        let (file, offset) = match e {
                            Error::Archive { path, .. } => (path, 0),
                            _ => (walk.segments()[walk.position().0].path.clone(), walk.position().1),
                        };
                        return Ok(Some(Bad { seq, what, file, offset }));
                    }
                }
            }
            Step::End => return Ok(None),
            Step::Bad(damage) => {
                // The first look may have been at a half-written group even when its writer is gone by now.
                let patience = if target.is_live() { LIVE_TRIES } else { 1 };
                if tries >= patience {
                    return Ok(Some(finding(*damage)));
                }
                if tries > 0 {
                    std::thread::sleep(LIVE_POLL);
                }
                tries += 1;
                walk.refresh();
                walk.set_segments(target.segments()?);
            }
        }
    }
}

fn finding(damage: Damage) -> Bad {
    Bad { seq: damage.seq, what: damage.what, file: damage.path, offset: damage.offset }
}

#[derive(Debug)]
struct Seen {
    anchors: Anchors,
    frames: u64,
    events: u64,
}

impl Seen {
    fn answer(self, first_bad: Option<Bad>, head: Hash) -> Verified {
        Verified { ok: first_bad.is_none(), frames: self.frames, events: self.events, first_bad, head }
    }
}

/// A frame that must be in a log: noted somewhere else, it shows when the log was cut or rewritten before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// The last event of the frame, where it was noted.
    pub seq: Option<u64>,
    /// The hash of the frame.
    pub hash: Hash,
}

impl fmt::Display for Anchor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.seq {
            Some(seq) => write!(f, "{seq} {}", self.hash),
            None => write!(f, "{}", self.hash),
        }
    }
}

impl FromStr for Anchor {
    type Err = NotAHash;

    /// Reads `HASH` or `SEQ HASH`, as `p0 audit anchor` prints it.
    fn from_str(text: &str) -> Result<Anchor, NotAHash> {
        let mut words = text.split_whitespace();
        match (words.next(), words.next(), words.next()) {
            (Some(hash), None, _) => Ok(Anchor { seq: None, hash: hash.parse()? }),
            (Some(seq), Some(hash), None) => {
                let seq = seq.parse().map_err(|_| NotAHash { text: text.to_owned() })?;
                Ok(Anchor { seq: Some(seq), hash: hash.parse()? })
            }
            _ => Err(NotAHash { text: text.to_owned() }),
        }
    }
}

/// The anchors that were not met yet.
#[derive(Debug, Clone, Default)]
pub struct Anchors {
    unmet: HashMap<Hash, Option<u64>>,
}

impl Anchors {
    /// All of them; the one of an empty log is met by every log.
    #[must_use]
    pub fn new(anchors: &[Anchor]) -> Anchors {
        Anchors { unmet: anchors.iter().filter(|a| a.hash != Hash::ZERO).map(|a| (a.hash, a.seq)).collect() }
    }

    /// Takes in a frame.
    pub fn see(&mut self, frame: &Frame) {
        if self.unmet.get(&frame.hash).is_some_and(|seq| seq.is_none_or(|seq| seq == frame.last_seq())) {
            self.unmet.remove(&frame.hash);
        }
    }

    /// The first one that was not met.
    #[must_use]
    pub fn missing(&self) -> Option<Anchor> {
        self.unmet.iter().map(|(hash, seq)| Anchor { seq: *seq, hash: *hash }).min_by_key(|a| (a.seq, a.hash))
    }
}

/// What is to be checked.
#[derive(Debug)]
struct Target {
    path: PathBuf,
    /// Whose lock tells whether somebody may be writing.
    data_dir: Option<PathBuf>,
    single: bool,
}

impl Target {
    fn find(path: &Path) -> Result<Target, Error> {
        // What it stands in holds the archives.
        let path = &std::path::absolute(path).map_err(|e| Error::io("read", path, e))?;
        let meta = std::fs::metadata(path).map_err(|e| Error::io("read", path, e))?;
        let parent = |p: &Path| p.parent().map(Path::to_path_buf);
        if meta.is_file() {
            return match Segment::from_path(path) {
                Some(_) => {
                    let data_dir = path.parent().and_then(parent);
                    Ok(Target { path: path.to_path_buf(), data_dir, single: true })
                }
                None => Err(not_a_log(path, "a segment file is named by 20 digits and ends in .p0j")),
            };
        }
        let inner = path.join(JOURNAL_DIR);
        if inner.is_dir() {
            return Ok(Target { path: inner, data_dir: Some(path.to_path_buf()), single: false });
        }
        // A journal that was emptied is not the same as a directory that never was one.
        if segment::list(path)?.is_empty() && path.file_name() != Some(JOURNAL_DIR.as_ref()) {
            return Err(not_a_log(path, "it holds no segment files and no `journal` directory"));
        }
        Ok(Target { path: path.to_path_buf(), data_dir: parent(path), single: false })
    }

    fn segments(&self) -> Result<Vec<Segment>, Error> {
        if self.single { Ok(Segment::from_path(&self.path).into_iter().collect()) } else { segment::list(&self.path) }
    }

    fn is_live(&self) -> bool {
        self.data_dir.as_deref().is_some_and(DirLock::is_held)
    }
}

/// Where a journal ends: the first event of its last segment file, and the length of that file in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    first_seq: u64,
    bytes: u64,
}

/// Where the journal of `data_dir` ends, without reading it. None while somebody holds it – its files have room then that
/// nothing is written in – and where there is none.
#[must_use]
pub fn extent(data_dir: &Path) -> Option<Extent> {
    let last = segment::list(&data_dir.join(JOURNAL_DIR)).ok()?.pop()?;
    let bytes = std::fs::metadata(&last.path).ok()?.len();
    // Asked last: whoever takes it from now on has not changed what was looked at.
    (!DirLock::is_held(data_dir)).then_some(Extent { first_seq: last.first_seq, bytes })
}

fn not_a_log(path: &Path, what: &str) -> Error {
    Error::NotALog { path: path.to_path_buf(), what: what.to_owned() }
}
