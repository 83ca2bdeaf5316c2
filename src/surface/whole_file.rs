//! A file that has its name only once it is whole and durable.
use super::error::{Kind, Problem};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

/// A file in the making; dropped before [`WholeFile::finish`] it leaves nothing behind.
pub(crate) struct WholeFile {
    file: File,
    part: PathBuf,
    target: PathBuf,
    finished: bool,
}

impl WholeFile {
    /// Begins a file that will be `target`. One that is there already is refused, unless `over` allows it.
    pub(crate) fn begin(target: &Path, over: bool) -> Result<WholeFile, Problem> {
        if target.exists() && !over {
            let problem = Problem::new(Kind::Refused, format!("{} is there already", target.display()));
            return Err(problem.hint("name another file, or write over it with --force"));
        }
        let mut part = target.as_os_str().to_owned();
        part.push(format!(".part-{}", std::process::id()));
        let part = PathBuf::from(part);
        let file = OpenOptions::new().write(true).create_new(true).open(&part);
        let file = file.map_err(|e| Problem::io("writing", &part, &e))?;
        Ok(WholeFile { file, part, target: target.to_path_buf(), finished: false })
    }

    /// Gives it its name.
    pub(crate) fn finish(mut self) -> Result<(), Problem> {
        let parent = self.target.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.file
            .sync_all()
            .and_then(|()| fs::rename(&self.part, &self.target))
            .and_then(|()| File::open(parent)?.sync_all())
            .map_err(|e| Problem::io("writing", &self.target, &e))?;
        self.finished = true;
        Ok(())
    }
}

impl Write for WholeFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for WholeFile {
    fn drop(&mut self) {
        if !self.finished {
            // Half a file is of no use; it may have its name already.
            let _ = fs::remove_file(&self.part);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_comes_last() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("f");
        let mut file = WholeFile::begin(&target, false).unwrap();
        file.write_all(b"one").unwrap();
        assert!(!target.exists());
        drop(file);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut file = WholeFile::begin(&target, false).unwrap();
        file.write_all(b"two").unwrap();
        file.finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"two");
        assert_eq!(WholeFile::begin(&target, false).err().unwrap().kind, Kind::Refused);
        WholeFile::begin(&target, true).unwrap().finish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"");
    }
}
