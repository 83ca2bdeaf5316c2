//! Conflict markers that an attempt left behind, told apart from those that a text is about.
use super::disk;
use super::error::{Error, GitContext};
use super::globs;
use super::tree::{EXECUTABLE, Edits, Entry, FILE, GITLINK, Leaf};
use git2::{Odb, Oid, Repository};
use globset::GlobSet;

/// Bytes at the beginning of a file in which a NUL says that it is no text.
const LOOKED_AT: usize = 8000;

/// The changed files with more conflicts in them than they had, but for those where markers are meant. What an attempt
/// moved or copied from a file that it changed counts as having been there.
pub(super) fn introduced(
    repo: &Repository,
    edits: &Edits,
    base: &[Entry],
    meant: &GlobSet,
) -> Result<Vec<String>, Error> {
    let odb = repo.odb().git("opening the objects", repo.path())?;
    let find =
        |path: &[u8]| base.binary_search_by(|entry| entry.path.as_slice().cmp(path)).ok().map(|at| base[at].leaf);
    let text = |leaf: Leaf| matches!(leaf.mode, FILE | EXECUTABLE);
    let mut moved = None;
    let mut out = Vec::new();
    for (path, now) in edits {
        let Some(now) = now.filter(|leaf| text(*leaf)) else { continue };
        if globs::matches(meant, path) {
            continue;
        }
        let have = conflicts(repo, &odb, now.id)?;
        if have == 0 {
            continue;
        }
        let had = match find(path).filter(|leaf| leaf.mode != GITLINK) {
            Some(was) if text(was) => conflicts(repo, &odb, was.id)?,
            Some(_) => 0,
            None => match moved {
                Some(most) => most,
                None => {
                    let mut most = 0;
                    for was in edits.keys().filter_map(|path| find(path)).filter(|leaf| text(*leaf)) {
                        most = most.max(conflicts(repo, &odb, was.id)?);
                    }
                    moved = Some(most);
                    most
                }
            },
        };
        if have > had {
            out.push(disk::shown(path));
        }
    }
    Ok(out)
}

/// How many conflicts a text has: a line that begins one, one that divides it, one that ends it. A heading underlined
/// with `=======` is none.
fn conflicts(repo: &Repository, odb: &Odb<'_>, id: Oid) -> Result<usize, Error> {
    let object = odb.read(id).git(format!("reading object {id}"), repo.path())?;
    let data = object.data();
    if data[..data.len().min(LOOKED_AT)].contains(&0) {
        return Ok(0);
    }
    let is = |line: &[u8], marker: &[u8]| {
        line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest[0] == b' ' || rest[0] == b'\r')
    };
    let (mut count, mut parts) = (0, 0);
    for line in data.split(|byte| *byte == b'\n') {
        parts = match parts {
            _ if is(line, b"<<<<<<<") => 1,
            1 if is(line, b"=======") => 2,
            2 if is(line, b">>>>>>>") => {
                count += 1;
                0
            }
            parts => parts,
        };
    }
    Ok(count)
}
