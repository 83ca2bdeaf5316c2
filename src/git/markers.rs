//! Conflict markers that an attempt left behind, told apart from those that a text is about.
use super::{
    disk,
    error::{Error, GitContext},
    globs,
    tree::{EXECUTABLE, Edits, Entry, FILE, Leaf},
};
use git2::{Odb, Oid, Repository};
use globset::GlobSet;

/// Bytes at the beginning of a file in which a NUL says that it is no text.
const LOOKED_AT: usize = 8000;

/// The changed files with more conflicts in them than they had, but for those where markers are meant. A conflict that
/// stood in a file which is gone was moved, and not made.
pub(super) fn introduced(
    repo: &Repository,
    edits: &Edits,
    base: &[Entry],
    meant: &GlobSet,
) -> Result<Vec<String>, Error> {
    let odb = repo.odb().git("opening the objects", repo.path())?;
    let find =
        |path: &[u8]| base.binary_search_by(|entry| entry.path.as_slice().cmp(path)).ok().map(|at| base[at].leaf);
    let text = |leaf: &Leaf| matches!(leaf.mode, FILE | EXECUTABLE);
    let mut moved: Option<Vec<Vec<u8>>> = None;
    let mut out = Vec::new();
    for (path, now) in edits {
        let Some(now) = now.filter(text) else { continue };
        if globs::matches(meant, path) {
            continue;
        }
        let mut have = conflicts(repo, &odb, now.id)?;
        if have.is_empty() {
            continue;
        }
        match find(path) {
            Some(was) if text(&was) => {
                let had = conflicts(repo, &odb, was.id)?.len();
                have.drain(..had.min(have.len()));
            }
            Some(_) => {}
            None => {
                if moved.is_none() {
                    let mut found = Vec::new();
                    let gone = edits.iter().filter(|(_, leaf)| leaf.is_none()).filter_map(|(path, _)| find(path));
                    for was in gone.filter(text) {
                        found.extend(conflicts(repo, &odb, was.id)?);
                    }
                    moved = Some(found);
                }
                let found = moved.get_or_insert_default();
                have.retain(|conflict| match found.iter().position(|known| known == conflict) {
                    Some(at) => {
                        found.swap_remove(at);
                        false
                    }
                    None => true,
                });
            }
        }
        if !have.is_empty() {
            out.push(disk::shown(path));
        }
    }
    Ok(out)
}

/// The conflicts of a text: from a line that begins one, over one that divides it, to one that ends it. A heading
/// underlined with `=======` is none.
fn conflicts(repo: &Repository, odb: &Odb<'_>, id: Oid) -> Result<Vec<Vec<u8>>, Error> {
    let object = odb.read(id).git(format!("reading object {id}"), repo.path())?;
    let data = object.data();
    let mut out = Vec::new();
    if data[..data.len().min(LOOKED_AT)].contains(&0) {
        return Ok(out);
    }
    let is = |line: &[u8], marker: &[u8]| {
        line.strip_prefix(marker).is_some_and(|rest| rest.is_empty() || rest[0] == b' ' || rest[0] == b'\r')
    };
    let (mut begun, mut divided, mut at) = (None, false, 0);
    for line in data.split(|byte| *byte == b'\n') {
        let end = at + line.len();
        if is(line, b"<<<<<<<") {
            (begun, divided) = (Some(at), false);
        } else if is(line, b"=======") {
            divided = begun.is_some();
        } else if is(line, b">>>>>>>")
            && divided
            && let Some(from) = begun.take()
        {
            divided = false;
            out.push(data[from..end].to_vec());
        }
        at = end + 1;
    }
    Ok(out)
}
