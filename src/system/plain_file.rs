//! Reading files that a person names: whatever else stands at such a path is refused and never waited for.
use std::{
    fs::{File, FileType, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileTypeExt, OpenOptionsExt},
    path::Path,
};

/// Opens a file for reading. A named pipe, a socket, a device or a folder is an error that says what it is: opening a
/// pipe that nobody writes to would wait for ever.
///
/// # Errors
/// There is no such file, it cannot be read, or it is no file.
pub fn open(path: &Path) -> io::Result<File> {
    let nonblock = rustix::fs::OFlags::NONBLOCK.bits();
    let opened = OpenOptions::new().read(true).custom_flags(i32::try_from(nonblock).unwrap_or(0)).open(path);
    let file = match opened {
        Ok(file) => file,
        // A socket cannot be opened at all, and the system does not say why.
        Err(error) => {
            return Err(match path.metadata() {
                Ok(meta) => what_else(meta.file_type()).map_or(error, is_no_file),
                Err(_) => error,
            });
        }
    };
    match what_else(file.metadata()?.file_type()) {
        Some(what) => Err(is_no_file(what)),
        None => Ok(file),
    }
}

/// Reads a text of at most `most` bytes.
///
/// # Errors
/// As [`open`]; and it is longer, or no UTF-8.
pub fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let mut bytes = Vec::new();
    let read = open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if read as u64 > most {
        return Err(io::Error::other(format!("it has more than {most} bytes")));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

fn is_no_file(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("it is {what}, not a file: put a file in its place"))
}

/// What stands there when it is no file.
fn what_else(kind: FileType) -> Option<&'static str> {
    match () {
        () if kind.is_file() => None,
        () if kind.is_dir() => Some("a folder"),
        () if kind.is_fifo() => Some("a named pipe"),
        () if kind.is_socket() => Some("a socket"),
        () => Some("a device"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_named_and_not_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::fs::write(at("text"), "words").unwrap();
        std::fs::write(at("bytes"), b"\xff").unwrap();
        std::os::unix::fs::symlink(at("pipe"), at("link")).unwrap();
        let said = |path: &Path| read_text(path, 10).unwrap_err().to_string();
        for (path, what) in [
            (at("pipe"), "a named pipe"),
            (at("link"), "a named pipe"),
            (at("socket"), "a socket"),
            (dir.path().to_path_buf(), "a folder"),
            ("/dev/null".into(), "a device"),
        ] {
            assert!(said(&path).contains(what), "{}: {}", path.display(), said(&path));
        }
        assert_eq!(read_text(&at("text"), 5).unwrap(), "words");
        assert!(read_text(&at("text"), 4).unwrap_err().to_string().contains("more than 4 bytes"));
        assert!(said(&at("bytes")).contains("UTF-8"));
        assert_eq!(read_text(&at("none"), 1).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
