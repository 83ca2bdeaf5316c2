//! Reading a spool file line by line while it grows. Memory is bounded by what is asked for, whatever a program
//! writes.

use super::error::{Error, io_error};
use crate::model::protocol::LINE_LIMIT;
use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

/// Where a reader stands. The default is the beginning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Cursor {
    /// Bytes read so far.
    pub offset: u64,
    /// Lines handed on so far.
    pub lines: u64,
    /// Whether the rest of a cut line comes next.
    pub skipping: bool,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpoolLine {
    /// Its number in the file, from 1.
    pub number: u64,
    /// Its bytes without the newline.
    pub bytes: Vec<u8>,
    /// Whether it is a part of a line that is longer than [`LINE_LIMIT`]; the parts of one have the same number.
    pub cut: bool,
    /// Whether it has no newline: the program ended in the middle of it.
    pub half: bool,
}

/// Reads whole lines from `from` on, about `max_bytes` of them (at least one when there is one). A last line without
/// a newline is handed on only when `ended` says that nothing will follow. A missing file is empty. Answers the lines
/// and where to go on; the same cursor again = nothing new.
///
/// # Errors
/// The file cannot be read.
pub fn read_lines(path: &Path, from: Cursor, max_bytes: usize, ended: bool) -> Result<(Vec<SpoolLine>, Cursor), Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), from)),
        Err(error) => return Err(io_error("open the output", path)(error)),
    };
    file.seek(SeekFrom::Start(from.offset)).map_err(io_error("read the output", path))?;
    gather(&mut BufReader::with_capacity(64 * 1024, file), from, max_bytes, ended)
        .map_err(io_error("read the output", path))
}

fn gather(
    input: &mut impl BufRead,
    from: Cursor,
    max_bytes: usize,
    ended: bool,
) -> io::Result<(Vec<SpoolLine>, Cursor)> {
    let (mut lines, mut at) = (Vec::new(), from);
    let enough = from.offset.saturating_add(max_bytes as u64);
    loop {
        if at.offset >= enough && !lines.is_empty() {
            return Ok((lines, at));
        }
        let mut bytes = Vec::new();
        // One byte more than the limit, for the newline of a line of exactly that length.
        let taken = input.by_ref().take(LINE_LIMIT as u64 + 1).read_until(b'\n', &mut bytes)?;
        let whole = bytes.last() == Some(&b'\n');
        let cut = !whole && taken > LINE_LIMIT;
        if taken == 0 || (!whole && !cut && !ended) {
            return Ok((lines, at));
        }
        if whole {
            bytes.pop();
        }
        let is_rest = at.skipping;
        at = Cursor { offset: at.offset + taken as u64, lines: at.lines + u64::from(!is_rest), skipping: cut };
        lines.push(SpoolLine { number: at.lines, bytes, cut: cut || is_rest, half: !whole && !cut });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], from: Cursor, max: usize, ended: bool) -> (Vec<SpoolLine>, Cursor) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stdout");
        std::fs::write(&path, content).unwrap();
        read_lines(&path, from, max, ended).unwrap()
    }

    fn texts(lines: &[SpoolLine]) -> Vec<String> {
        lines.iter().map(|line| String::from_utf8_lossy(&line.bytes).into_owned()).collect()
    }

    #[test]
    fn a_half_line_waits_for_its_end() {
        let (lines, at) = read(b"one\ntwo\nthr", Cursor::default(), 1000, false);
        assert_eq!(texts(&lines), ["one", "two"]);
        assert_eq!(at, Cursor { offset: 8, lines: 2, skipping: false });
        let (lines, at) = read(b"one\ntwo\nthr", at, 1000, true);
        assert_eq!((texts(&lines), lines[0].number, lines[0].half), (vec!["thr".to_owned()], 3, true));
        assert_eq!(read(b"one\ntwo\nthr", at, 1000, true).0, []);
    }

    #[test]
    fn a_page_ends_after_a_whole_line() {
        let (lines, at) = read(b"aaaa\nbbbb\ncccc\n", Cursor::default(), 6, false);
        assert_eq!(texts(&lines), ["aaaa", "bbbb"]);
        assert_eq!(texts(&read(b"aaaa\nbbbb\ncccc\n", at, 6, false).0), ["cccc"]);
        assert_eq!(texts(&read(b"aaaa\nbbbb\n", Cursor::default(), 1, false).0), ["aaaa"]);
    }

    #[test]
    fn an_endless_line_is_cut_and_the_next_one_is_whole() {
        let mut content = vec![b'x'; LINE_LIMIT + 5000];
        let (lines, at) = read(&content, Cursor::default(), 10, false);
        assert_eq!((lines.len(), lines[0].cut, lines[0].bytes.len()), (1, true, LINE_LIMIT + 1));
        // Its rest waits for its end, as a line does.
        assert_eq!(read(&content, at, 10, false), (Vec::new(), at));
        content.extend_from_slice(b"y\nnext\n");
        let (lines, _) = read(&content, at, 10_000, false);
        assert_eq!((lines[0].number, lines[0].cut, lines[0].bytes.ends_with(b"xy")), (1, true, true));
        assert_eq!((texts(&lines[1..]), lines[1].number, lines[1].cut), (vec!["next".to_owned()], 2, false));
    }

    #[test]
    fn a_line_of_exactly_the_limit_is_whole() {
        let mut content = vec![b'x'; LINE_LIMIT];
        content.push(b'\n');
        let (lines, _) = read(&content, Cursor::default(), 10, false);
        assert_eq!((lines[0].cut, lines[0].bytes.len()), (false, LINE_LIMIT));
    }

    #[test]
    fn a_missing_file_is_empty() {
        let (lines, at) = read_lines(Path::new("/nonexistent/stdout"), Cursor::default(), 10, true).unwrap();
        assert_eq!((lines, at), (Vec::new(), Cursor::default()));
    }
}
