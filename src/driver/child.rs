//! The agent's program: started in a process group of its own, read line by line, ended with everything in its group.
use super::plan::Plan;
use rustix::process::{Pid, Signal};
use std::{path::Path, process::Stdio};
use tokio::{
    io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, ChildStdin, Command},
    sync::mpsc,
};

/// The longest line that is understood, in bytes; of a longer one the beginning is logged.
pub(super) const LONGEST_LINE: usize = 16 * 1024 * 1024;
/// Lines that wait to be understood: the program waits when there are more.
const WAITING_LINES: usize = 16;

/// One line of the program.
#[derive(Debug)]
pub(super) enum Line {
    /// On stdout.
    Out { bytes: Vec<u8>, cut: bool },
    /// On stderr.
    Err(Vec<u8>),
    /// There is no more on stdout. On stderr there may be: whatever the program left behind may hold it for ever.
    OutEnd,
}

/// The started program.
pub(super) struct Program {
    pub(super) child: Child,
    pub(super) stdin: Option<ChildStdin>,
    pub(super) lines: Option<mpsc::Receiver<Line>>,
    group: Option<Pid>,
}

impl Program {
    /// Starts what `plan` says in `folder`. With `talk` its stdin stays open for us.
    ///
    /// # Errors
    /// A sentence with what to do.
    pub(super) fn start(plan: &Plan, folder: &Path, talk: bool) -> Result<Program, String> {
        let piped = talk || !plan.stdin.is_empty();
        let mut child = Command::new(&plan.program)
            .args(&plan.args)
            .envs(&plan.env)
            .current_dir(folder)
            .process_group(0)
            .stdin(if piped { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| explain(plan, folder, &error))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let (sender, lines) = mpsc::channel(WAITING_LINES);
        if let Some(out) = child.stdout.take() {
            let sender = sender.clone();
            tokio::spawn(async move {
                read(out, sender.clone(), |bytes, cut| Line::Out { bytes, cut }).await;
                let _ = sender.send(Line::OutEnd).await;
            });
        }
        if let Some(err) = child.stderr.take() {
            tokio::spawn(async move { read(err, sender, |bytes, _| Line::Err(bytes)).await });
        }
        let stdin = child.stdin.take();
        Ok(Program { child, stdin, lines: Some(lines), group })
    }

    /// Signals everything in its group that is alive.
    pub(super) fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }
}

fn explain(plan: &Plan, folder: &Path, error: &std::io::Error) -> String {
    let program = &plan.program;
    if error.kind() == std::io::ErrorKind::NotFound && !folder.is_dir() {
        return format!("the worktree {} is not there", folder.display());
    }
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            format!("the program {program} was not found; install it, or give its full path as the agent's command")
        }
        std::io::ErrorKind::PermissionDenied => {
            format!("the program {program} may not be executed; make it executable (chmod +x)")
        }
        std::io::ErrorKind::ArgumentListTooLong => {
            format!("an argument of {program} is too long; hand the prompt over with prompt = \"stdin\"")
        }
        _ => format!("the program {program} cannot be started: {error}"),
    }
}

async fn read(from: impl AsyncRead + Unpin, to: mpsc::Sender<Line>, line: impl Fn(Vec<u8>, bool) -> Line) {
    let mut from = BufReader::with_capacity(64 * 1024, from);
    // A pipe that cannot be read has ended for us.
    while let Ok(Some((bytes, cut))) = next_line(&mut from, LONGEST_LINE).await {
        if to.send(line(bytes, cut)).await.is_err() {
            return;
        }
    }
}

/// The next line without its end, of which at most `limit` bytes are kept; `None` at the end.
async fn next_line(from: &mut (impl AsyncBufRead + Unpin), limit: usize) -> std::io::Result<Option<(Vec<u8>, bool)>> {
    let (mut bytes, mut cut, mut any) = (Vec::new(), false, false);
    loop {
        let chunk = from.fill_buf().await?;
        if chunk.is_empty() {
            return Ok(any.then_some((bytes, cut)));
        }
        any = true;
        let end = chunk.iter().position(|byte| *byte == b'\n');
        let part = &chunk[..end.unwrap_or(chunk.len())];
        let kept = part.len().min(limit - bytes.len());
        bytes.extend_from_slice(&part[..kept]);
        cut |= kept < part.len();
        let taken = end.map_or(chunk.len(), |end| end + 1);
        from.consume(taken);
        if end.is_some() {
            return Ok(Some((bytes, cut)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(text: &[u8], limit: usize) -> Vec<(String, bool)> {
        let mut from = BufReader::with_capacity(3, text);
        let mut lines = Vec::new();
        while let Some((bytes, cut)) = next_line(&mut from, limit).await.unwrap() {
            lines.push((String::from_utf8(bytes).unwrap(), cut));
        }
        lines
    }

    #[tokio::test]
    async fn lines_are_read_whole_or_cut_and_the_last_needs_no_end() {
        let line = |text: &str, cut| (text.to_owned(), cut);
        assert_eq!(all(b"", 9).await, []);
        assert_eq!(
            all(b"a\n\nbcdefgh\nx", 9).await,
            [line("a", false), line("", false), line("bcdefgh", false), line("x", false)]
        );
        assert_eq!(all(b"abcdefgh\ni\n", 4).await, [line("abcd", true), line("i", false)]);
        assert_eq!(all(b"abcd", 4).await, [line("abcd", false)]);
    }
}
