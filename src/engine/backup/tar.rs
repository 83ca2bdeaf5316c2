//! The few things of the tar format (POSIX ustar) that a backup needs: plain files with names and sizes.
use super::Flaw;
use std::io::{self, Read, Write};

pub(super) const BLOCK: usize = 512;
/// Names have 100 bytes, and 155 more before a slash.
const NAME: usize = 100;
const PREFIX: usize = 155;

/// The header of a file of this name and size.
pub(super) fn header(name: &str, size: u64) -> io::Result<[u8; BLOCK]> {
    let mut block = [0_u8; BLOCK];
    let (prefix, base) = split(name).ok_or_else(|| io::Error::other(format!("the name {name} is too long")))?;
    block[..base.len()].copy_from_slice(base.as_bytes());
    block[345..345 + prefix.len()].copy_from_slice(prefix.as_bytes());
    let octal = |field: &mut [u8], value: u64| {
        let digits = format!("{value:0width$o}", width = field.len() - 1);
        field[..digits.len()].copy_from_slice(digits.as_bytes());
    };
    if size >= 1 << 33 {
        return Err(io::Error::other(format!("{name} has {size} bytes, more than 8 GiB")));
    }
    octal(&mut block[100..108], 0o600);
    octal(&mut block[108..116], 0);
    octal(&mut block[116..124], 0);
    octal(&mut block[124..136], size);
    octal(&mut block[136..148], 0);
    block[156] = b'0';
    block[257..263].copy_from_slice(b"ustar\0");
    block[263..265].copy_from_slice(b"00");
    let sum = checksum(&block);
    octal(&mut block[148..155], sum);
    block[155] = b' ';
    Ok(block)
}

/// The sum of all bytes, with spaces where the sum itself stands.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    block.iter().enumerate().map(|(i, b)| if (148..156).contains(&i) { u64::from(b' ') } else { u64::from(*b) }).sum()
}

fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= NAME {
        return Some(("", name));
    }
    name.match_indices('/')
        .map(|(at, _)| (&name[..at], &name[at + 1..]))
        .find(|(p, b)| p.len() <= PREFIX && b.len() <= NAME)
}

/// How many zeros follow this many bytes.
pub(super) fn padding(size: u64) -> usize {
    let rest = usize::try_from(size % BLOCK as u64).unwrap_or(0);
    (BLOCK - rest) % BLOCK
}

/// The name and size in a header; none for the zeros at the end.
pub(super) fn parse(block: &[u8; BLOCK]) -> Result<Option<(String, u64)>, Flaw> {
    if block.iter().all(|b| *b == 0) {
        return Ok(None);
    }
    let text = |field: &[u8]| {
        let end = field.iter().position(|b| *b == 0).unwrap_or(field.len());
        std::str::from_utf8(&field[..end]).map(str::to_owned).map_err(|_| Flaw::Name)
    };
    let number = |field: &[u8]| -> Result<u64, Flaw> {
        let text = text(field)?;
        u64::from_str_radix(text.trim(), 8).map_err(|_| Flaw::Numbers)
    };
    if number(&block[148..156])? != checksum(block) {
        return Err(Flaw::Header);
    }
    if block[156] != b'0' || &block[257..262] != b"ustar" {
        return Err(Flaw::NoPlainFile);
    }
    let (base, prefix) = (text(&block[..NAME])?, text(&block[345..345 + PREFIX])?);
    let name = if prefix.is_empty() { base } else { format!("{prefix}/{base}") };
    Ok(Some((name, number(&block[124..136])?)))
}

/// Writes entries and hashes what it writes.
pub(super) struct Entries<W> {
    pub(super) out: W,
    pub(super) hasher: blake3::Hasher,
    pub(super) files: u64,
}

impl<W: Write> Entries<W> {
    /// Adds a file of `size` bytes.
    pub(super) fn add(&mut self, name: &str, size: u64, content: &mut dyn Read) -> io::Result<()> {
        let header = header(name, size)?;
        self.put(&header)?;
        let mut chunk = vec![0; 64 << 10];
        let mut left = size;
        while left > 0 {
            let want = chunk.len().min(usize::try_from(left).unwrap_or(chunk.len()));
            let n = match content.read(&mut chunk[..want]) {
                Ok(0) => return Err(io::Error::other(format!("{name} became shorter while it was read"))),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            self.put(&chunk[..n])?;
            left -= n as u64;
        }
        self.put(&[0; BLOCK][..padding(size)])?;
        self.files += 1;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.out.write_all(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_come_back() {
        let long = format!("repos/{}/{}", "p".repeat(90), "o".repeat(90));
        for (name, size) in [("journal/1.p0j", 0), ("x", 12_345), (long.as_str(), (1 << 33) - 1)] {
            let block = header(name, size).unwrap();
            assert_eq!(parse(&block).unwrap(), Some((name.to_owned(), size)));
            let mut damaged = block;
            damaged[3] ^= 1;
            assert!(parse(&damaged).is_err());
        }
        assert_eq!(parse(&[0; BLOCK]).unwrap(), None);
        assert!(header(&"x".repeat(101), 1).is_err());
        assert!(header("x", 1 << 33).is_err());
        assert_eq!([0, 1, 512, 513].map(padding), [0, 511, 0, 511]);
    }
}
