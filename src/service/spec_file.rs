//! Reading a spec: a file, standard input, or the repository's own.
use super::{
    problem::{Kind, Problem},
    project,
};
use crate::{
    model::spec::{BadSpec, MAX_BYTES, Spec},
    system::plain_file,
};
use std::{io::Read, path::Path};

/// Reads a spec: a file, `-`, or the repository's own.
pub(crate) fn read_spec(path: Option<&Path>, project: &Path) -> Result<String, Problem> {
    let unreadable = |path: &Path, e: &std::io::Error| {
        let kind = if e.kind() == std::io::ErrorKind::NotFound { Kind::NotFound } else { Kind::Config };
        Problem::new(kind, format!("reading the spec {}: {e}", path.display()))
            .hint("name a Markdown file, or - for standard input")
    };
    let mut bytes = Vec::new();
    let limit = MAX_BYTES as u64 + 1;
    let size = match path {
        Some(path) if path == Path::new("-") => {
            std::io::stdin().lock().take(limit).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
            bytes.len() as u64
        }
        path => {
            let own = path.is_none().then(|| project::root(project)).transpose()?.map(|root| root.join("SPEC.md"));
            let path = path.or(own.as_deref()).unwrap_or(Path::new("SPEC.md"));
            if own.as_ref().is_some_and(|own| !own.exists()) {
                return Err(Problem::new(Kind::Usage, "no spec was named, and the repository has no SPEC.md")
                    .hint("name a Markdown file, or - for standard input"));
            }
            // `p0 run <(command)` hands over a pipe that somebody writes to.
            let handed = path.starts_with("/dev/fd") || path.starts_with("/proc/self/fd");
            let opened = if handed { std::fs::File::open(path) } else { plain_file::open(path) };
            let file = opened.map_err(|e| unreadable(path, &e))?;
            let meta = file.metadata().map_err(|e| unreadable(path, &e))?;
            file.take(limit).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
            meta.len().max(bytes.len() as u64)
        }
    };
    if bytes.len() > MAX_BYTES {
        return Err(BadSpec::TooLarge { bytes: size }.into());
    }
    Ok(Spec::parse(&bytes)?.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_spec_is_refused_before_it_is_read_whole() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("spec");
        let say = |path: &Path| read_spec(Some(path), dir.path()).unwrap_err();
        assert_eq!(say(&file).kind, Kind::NotFound);
        assert_eq!(say(dir.path()).kind, Kind::Config);
        std::fs::write(&file, b"a\xff").unwrap();
        assert!(say(&file).detail.contains("not text"));
        let huge = std::fs::File::create(&file).unwrap();
        huge.set_len(50 * 1024 * 1024).unwrap();
        let problem = say(&file);
        assert!(problem.detail.contains("52428800 bytes"), "{problem}");
        std::fs::write(&file, "# A blog").unwrap();
        assert_eq!(read_spec(Some(&file), dir.path()).unwrap(), "# A blog");
    }
}
