//! From a program's pipe into its spool file, up to a limit. What is over the limit is read and counted, so that the
//! program never blocks on a reader that has had enough.

use std::fs::File;
use std::io::{self, PipeReader, Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd};

/// Bytes taken from a pipe at once; a Linux pipe holds as much.
const CHUNK_BYTES: usize = 64 * 1024;

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
    pub(super) fn finish(&self) -> io::Result<(u64, u64)> {
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
}

impl<W: Keep> Spooler<W> {
    fn new(out: W, limit: u64) -> Self {
        Self { out, limit, produced: 0, kept: 0, line_end: 0, full: false }
    }

    fn take(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.produced += chunk.len() as u64;
        if self.full {
            return Ok(());
        }
        let room = usize::try_from(self.limit - self.kept).unwrap_or(usize::MAX);
        let fits = chunk.get(..room.min(chunk.len())).expect("cut to the chunk's length");
        if let Some(newline) = fits.iter().rposition(|byte| *byte == b'\n') {
            self.line_end = self.kept + newline as u64 + 1;
        }
        let written = self.out.write_all(fits);
        if written.is_err() {
            // How much of it arrived is unknown; what is certain ends where the last chunk did.
            self.full = true;
            let _ = self.out.shorten(self.kept);
            return written;
        }
        self.kept += fits.len() as u64;
        if fits.len() < chunk.len() {
            self.full = true;
            if self.line_end > 0 {
                self.out.shorten(self.line_end)?;
                self.kept = self.line_end;
            }
        }
        Ok(())
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

    #[test]
    fn a_limit_of_nothing_keeps_nothing_and_counts() {
        assert_eq!(spooled(0, &["abc\n", "d"]), (String::new(), 5, 0));
    }
}
