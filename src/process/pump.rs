//! From a program's pipe into its spool file, up to a limit. What is over the limit is read and counted, so that the
//! program never blocks on a reader that has had enough; the lines in it that may be messages are kept all the same.

use crate::reader::may_be_message;
use std::{
    fs::File,
    io::{self, PipeReader, Read, Seek, SeekFrom, Write},
    os::fd::{AsFd, BorrowedFd},
};

/// Bytes taken from a pipe at once; a Linux pipe holds as much.
const CHUNK_BYTES: usize = 64 * 1024;

/// Bytes of messages that are kept beyond the limit.
const MESSAGE_BYTES: usize = 1024 * 1024;

/// One output of the program.
#[derive(Debug)]
pub(super) struct Pump {
    pipe: Option<PipeReader>,
    spool: Spooler<File>,
}

impl Pump {
    /// Pumps from `pipe` into `file`, keeping at most `limit` bytes.
    pub(super) fn new(pipe: PipeReader, file: File, limit: u64) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        Ok(Self { pipe: Some(pipe), spool: Spooler::new(file, limit) })
    }

    /// Keeps messages beyond the limit too: 1 MiB of them.
    pub(super) fn keeping_messages(mut self) -> Self {
        self.spool.messages = Some(Messages { left: MESSAGE_BYTES, ..Messages::default() });
        self
    }

    /// Whether a line that may be a message was dropped.
    pub(super) fn dropped_messages(&self) -> bool {
        self.spool.messages.as_ref().is_some_and(|it| it.dropped)
    }

    /// What to wait on; `None` once every writer has closed its end.
    pub(super) fn source(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// Moves one chunk. Answers how many bytes came; 0 = nothing there at the moment, or the end.
    ///
    /// # Errors
    /// The spool file could not be written. The bytes are counted all the same.
    pub(super) fn pump(&mut self, buffer: &mut Buffer) -> io::Result<usize> {
        let Some(pipe) = self.pipe.as_mut() else { return Ok(0) };
        match pipe.read(&mut buffer.0) {
            Ok(0) => {
                self.pipe = None;
                Ok(0)
            }
            Ok(count) => {
                let chunk = buffer.0.get(..count).expect("read answers at most the buffer's length");
                self.spool.take(chunk).map(|()| count)
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(0),
            // A pipe that cannot be read has ended for us.
            Err(_) => {
                self.pipe = None;
                Ok(0)
            }
        }
    }

    /// Makes what was kept durable, and answers (produced, kept) in bytes.
    pub(super) fn finish(&mut self) -> io::Result<(u64, u64)> {
        self.spool.end()?;
        self.spool.out.sync_data()?;
        Ok(self.counts())
    }

    /// (produced, kept) so far, in bytes.
    pub(super) fn counts(&self) -> (u64, u64) {
        (self.spool.produced, self.spool.kept)
    }
}

/// The memory both pumps share.
#[derive(Debug)]
pub(super) struct Buffer(Box<[u8]>);

impl Buffer {
    pub(super) fn new() -> Self {
        Self(vec![0; CHUNK_BYTES].into_boxed_slice())
    }
}

/// A place that can take a bad end back.
trait Keep: Write {
    fn shorten(&mut self, len: u64) -> io::Result<()>;
}

impl Keep for File {
    fn shorten(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(|_| ())
    }
}

/// The lines over the limit, looked at one by one.
#[derive(Debug, Default)]
struct Messages {
    /// The line that has begun, as far as it could be kept.
    line: Vec<u8>,
    /// Whether bytes of that line are missing.
    cut: bool,
    /// Bytes that may still be kept.
    left: usize,
    dropped: bool,
}

impl Messages {
    fn gather(&mut self, part: &[u8]) {
        let fits = part.len().min(self.left.saturating_sub(self.line.len()));
        self.line.extend_from_slice(part.get(..fits).unwrap_or_default());
        self.cut |= fits < part.len();
    }

    /// The line that has ended, when it may be a message and is whole.
    fn end_line(&mut self) -> Option<Vec<u8>> {
        let (line, cut) = (std::mem::take(&mut self.line), std::mem::take(&mut self.cut));
        // With no space left nothing of a line is known: it may have been one.
        let is_meant = may_be_message(&line) || cut && line.is_empty();
        let fits = !cut && line.len() < self.left;
        self.dropped |= is_meant && !fits;
        if is_meant && fits {
            self.left -= line.len() + 1;
            return Some(line);
        }
        None
    }
}

/// The limit's arithmetic. The kept part ends after a whole line, unless the very first line is over the limit.
#[derive(Debug)]
struct Spooler<W> {
    out: W,
    limit: u64,
    produced: u64,
    kept: u64,
    /// Where the last whole line in the kept part ends.
    line_end: u64,
    full: bool,
    /// Writing failed: nothing more is tried.
    broken: bool,
    messages: Option<Messages>,
}

impl<W: Keep> Spooler<W> {
    fn new(out: W, limit: u64) -> Self {
        Self { out, limit, produced: 0, kept: 0, line_end: 0, full: false, broken: false, messages: None }
    }

    fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.produced += chunk.len() as u64;
        if self.full {
            return self.look_for_messages(chunk);
        }
        let room = usize::try_from(self.limit - self.kept).unwrap_or(usize::MAX);
        let (fits, over) = chunk.split_at(room.min(chunk.len()));
        if let Some(newline) = memchr::memrchr(b'\n', fits) {
            self.line_end = self.kept + newline as u64 + 1;
        }
        self.write(fits)?;
        self.begin_line(fits);
        if over.is_empty() {
            return Ok(());
        }
        self.full = true;
        if self.line_end > 0 {
            self.out.shorten(self.line_end)?;
            self.kept = self.line_end;
        }
        self.look_for_messages(over)
    }

    /// Keeps the beginning of the line that the limit may cut.
    fn begin_line(&mut self, fits: &[u8]) {
        let Some(messages) = &mut self.messages else { return };
        let begun = match memchr::memrchr(b'\n', fits) {
            Some(newline) => {
                messages.line.clear();
                messages.cut = false;
                fits.get(newline + 1..).unwrap_or_default()
            }
            None => fits,
        };
        messages.gather(begun);
    }

    fn look_for_messages(&mut self, mut over: &[u8]) -> io::Result<()> {
        while let (false, Some(messages)) = (self.broken, &mut self.messages) {
            let Some(newline) = memchr::memchr(b'\n', over) else {
                messages.gather(over);
                break;
            };
            let (line, rest) = over.split_at(newline);
            messages.gather(line);
            over = rest.get(1..).unwrap_or_default();
            self.end_line()?;
        }
        Ok(())
    }

    fn end_line(&mut self) -> io::Result<()> {
        let Some(mut line) = self.messages.as_mut().and_then(Messages::end_line) else { return Ok(()) };
        if self.kept > 0 && self.kept != self.line_end {
            // The first line of all was cut at the limit.
            self.write(b"\n")?;
        }
        line.push(b'\n');
        self.write(&line)?;
        self.line_end = self.kept;
        Ok(())
    }

    /// The program writes no more: what it wrote last may be a line without its end.
    fn end(&mut self) -> io::Result<()> {
        if self.full && !self.broken { self.end_line() } else { Ok(()) }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.out.write_all(bytes);
        match &written {
            Ok(()) => self.kept += bytes.len() as u64,
            Err(_) => {
                // How much of it arrived is unknown; what is certain ends where the last write did.
                (self.full, self.broken) = (true, true);
                let _ = self.out.shorten(self.kept);
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Keep for Vec<u8> {
        fn shorten(&mut self, len: u64) -> io::Result<()> {
            self.truncate(usize::try_from(len).unwrap());
            Ok(())
        }
    }

    fn spooled(limit: u64, chunks: &[&str]) -> (String, u64, u64) {
        let mut spooler = Spooler::new(Vec::new(), limit);
        for chunk in chunks {
            spooler.take(chunk.as_bytes()).unwrap();
        }
        (String::from_utf8(spooler.out).unwrap(), spooler.produced, spooler.kept)
    }

    #[test]
    fn under_the_limit_everything_is_kept_half_lines_included() {
        assert_eq!(spooled(100, &["one\ntw", "o\nthr"]), ("one\ntwo\nthr".into(), 11, 11));
        assert_eq!(spooled(4, &["one\n"]), ("one\n".into(), 4, 4));
    }

    #[test]
    fn at_the_limit_the_file_ends_after_a_whole_line() {
        assert_eq!(spooled(9, &["one\ntwo\nthree\n"]), ("one\ntwo\n".into(), 14, 8));
        assert_eq!(spooled(9, &["one\nt", "wo\nt", "hree\n"]), ("one\ntwo\n".into(), 14, 8));
        assert_eq!(spooled(6, &["one\ntw", "o\n", "x\n"]), ("one\n".into(), 10, 4));
    }

    #[test]
    fn a_first_line_over_the_limit_is_cut_at_the_limit() {
        assert_eq!(spooled(5, &["abc", "defgh", "i\n"]), ("abcde".into(), 10, 5));
    }

    fn with_messages(limit: u64, left: usize, chunks: &[&str]) -> (String, bool) {
        let mut spooler = Spooler::new(Vec::new(), limit);
        spooler.messages = Some(Messages { left, ..Messages::default() });
        for chunk in chunks {
            spooler.take(chunk.as_bytes()).unwrap();
        }
        spooler.end().unwrap();
        assert_eq!(spooler.kept, spooler.out.len() as u64);
        (String::from_utf8(spooler.out).unwrap(), spooler.messages.unwrap().dropped)
    }

    const BLOCKED: &str = r#"{"type": "blocked", "reason": "no key"}"#;

    #[test]
    fn a_message_over_the_limit_is_kept_wherever_the_chunks_end() {
        let text = format!("noise\nmore noise\n{BLOCKED}\nnoise\n{BLOCKED}");
        for limit in 0..text.len() {
            for at in 0..text.len() {
                let (kept, dropped) = with_messages(limit as u64, 1000, &[&text[..at], &text[at..]]);
                let found = kept.lines().filter(|line| *line == BLOCKED).count();
                assert_eq!((found, dropped), (2, false), "limit {limit}, chunk {at}: {kept}");
            }
        }
    }

    #[test]
    fn a_message_that_cannot_be_kept_is_told() {
        let two = format!("{BLOCKED}\n{BLOCKED}\n");
        assert_eq!(with_messages(0, 45, &[&two]), (format!("{BLOCKED}\n"), true));
        assert_eq!(with_messages(0, 20, &["x\n", BLOCKED]), (String::new(), true));
        assert_eq!(with_messages(0, 20, &[&"noise ".repeat(100)]), (String::new(), false));
    }

    #[test]
    fn after_a_first_line_that_was_cut_a_message_has_its_own_line() {
        let text = format!("a long line\n{BLOCKED}\n");
        assert_eq!(with_messages(4, 100, &[&text]).0, format!("a lo\n{BLOCKED}\n"));
    }

    #[test]
    fn a_limit_of_nothing_keeps_nothing_and_counts() {
        assert_eq!(spooled(0, &["abc\n", "d"]), (String::new(), 5, 0));
    }
}
