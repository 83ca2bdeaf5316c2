//! A question to a program that a person installed: its version, whether it is logged in, a smallest real call.
//!
//! No attempt: nothing is recorded, and it ends with the process that asks. It has a limit all the same, output that
//! cannot grow, and nothing of it stays alive.

use super::{linux::Tree, spec::MARK};
use crate::system::wake::when_readable;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::{
    collections::{BTreeMap, VecDeque},
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    task::JoinHandle,
};

/// Bytes that are kept of each output: the last ones, where the reason of a failure stands.
const KEPT_BYTES: usize = 16 * 1024;
/// How long what was started may take to die of KILL.
const KILL_PATIENCE: Duration = Duration::from_secs(2);
/// How long its output may take to end once everything has been killed.
const OUTPUT_PATIENCE: Duration = Duration::from_secs(1);

/// What is started, and how long it may take.
#[derive(Debug, Clone)]
pub struct Question {
    /// The program.
    pub program: PathBuf,
    /// Its arguments.
    pub args: Vec<String>,
    /// The complete environment: nothing is inherited. [`MARK`] is added.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub folder: PathBuf,
    /// When it is killed.
    pub limit: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The exit code; `None` when a signal or the limit ended it.
    pub code: Option<i32>,
    /// Whether the limit ended it.
    pub timed_out: bool,
    /// The end of what it wrote on stdout.
    pub out: String,
    /// The end of what it wrote on stderr.
    pub err: String,
}

/// Starts the program with a closed stdin and waits until it ends, at the most until its limit; then its whole process
/// group is killed, and whoever left the group. Dropping the future kills them too.
///
/// # Errors
/// The program cannot be started.
pub async fn ask(question: &Question) -> io::Result<Answer> {
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let mut child = Command::new(&question.program)
        .args(&question.args)
        .env_clear()
        .envs(&question.env)
        .env(MARK, &nonce)
        .current_dir(&question.folder)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let (out, err) = (child.stdout.take().map(follow), child.stderr.take().map(follow));
    let mut asked = Asked { child, nonce };
    let ended = tokio::time::timeout(question.limit, asked.end_of_program()).await;
    let timed_out = ended.is_err();
    if let Ok(Err(error)) = ended {
        return Err(error);
    }
    asked.kill_group();
    let tree = asked.tree();
    // A panic in there would mean that somebody may be alive; dropping `asked` tries again.
    let _ = tokio::task::spawn_blocking(move || tree.kill(KILL_PATIENCE)).await;
    let status = asked.child.wait().await?;
    let code = if timed_out { None } else { status.code() };
    Ok(Answer { code, timed_out, out: kept(out).await, err: kept(err).await })
}

/// A started program.
struct Asked {
    child: Child,
    nonce: String,
}

impl Asked {
    /// Resolves when the program has ended, and leaves it a zombie: as long as nobody has waited for it, its pid, and
    /// with it that of its group, is given to nobody else.
    async fn end_of_program(&self) -> io::Result<()> {
        let Some(pid) = self.pid() else { return Ok(()) };
        let handle = rustix::process::pidfd_open(pid, PidfdFlags::empty())?;
        when_readable(handle)?.readable().await.map(|_| ())
    }

    /// `None` once it was waited for.
    fn pid(&self) -> Option<Pid> {
        self.child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
    }

    fn kill_group(&self) {
        if let Some(pid) = self.pid() {
            let _ = rustix::process::kill_process_group(pid, Signal::KILL);
        }
    }

    fn tree(&self) -> Tree {
        Tree::new(None, &self.nonce)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.pid().is_some() {
            self.kill_group();
            self.tree().kill(KILL_PATIENCE);
        }
    }
}

fn follow(mut from: impl AsyncRead + Send + Unpin + 'static) -> JoinHandle<VecDeque<u8>> {
    tokio::spawn(async move {
        let (mut kept, mut chunk) = (VecDeque::new(), vec![0; 4096]);
        // A pipe that cannot be read has ended for us. It is read on when enough was kept: nobody waits for a reader.
        while let Ok(n @ 1..) = from.read(&mut chunk).await {
            kept.extend(&chunk[..n]);
            kept.drain(..kept.len().saturating_sub(KEPT_BYTES));
        }
        kept
    })
}

async fn kept(output: Option<JoinHandle<VecDeque<u8>>>) -> String {
    let Some(mut output) = output else { return String::new() };
    match tokio::time::timeout(OUTPUT_PATIENCE, &mut output).await {
        Ok(Ok(bytes)) => String::from_utf8_lossy(&Vec::from(bytes)).into_owned(),
        Ok(Err(_)) => String::new(),
        Err(_) => {
            output.abort();
            String::new()
        }
    }
}

/// An empty folder for programs that are asked: there is nothing to read and nothing to spoil. It goes with the value.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Makes it, for its owner only, below `parent`.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn make(parent: &Path) -> io::Result<Scratch> {
        use std::os::unix::fs::DirBuilderExt;
        let name = format!("p0-ask-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let path = parent.join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Scratch(path))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed is in the folder for temporary files, which is cleared by whoever clears it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask_sh(script: &str, limit_ms: u64) -> Answer {
        let scratch = Scratch::make(&std::env::temp_dir()).unwrap();
        let question = Question {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            env: BTreeMap::from([("PATH".into(), "/usr/bin:/bin".into()), ("WORD".into(), "seen".into())]),
            folder: scratch.path().to_path_buf(),
            limit: Duration::from_millis(limit_ms),
        };
        ask(&question).await.unwrap()
    }

    #[tokio::test]
    async fn the_end_and_both_outputs_are_told_and_nothing_is_inherited() {
        let answer = ask_sh("cat; echo $WORD-$CARGO_MANIFEST_DIR; echo no >&2; exit 3", 60_000).await;
        let expected = Answer { code: Some(3), timed_out: false, out: "seen-\n".into(), err: "no\n".into() };
        assert_eq!(answer, expected);
    }

    #[tokio::test]
    async fn the_limit_ends_the_group_and_whoever_left_it() {
        let answer = ask_sh("trap '' TERM; setsid sleep 99 & sleep 99 & echo begun; wait", 300).await;
        assert_eq!((answer.code, answer.timed_out, answer.out.as_str()), (None, true, "begun\n"));
    }

    #[tokio::test]
    async fn what_stays_behind_keeps_nobody_waiting() {
        let answer = ask_sh("setsid sleep 99 & sleep 99 & echo $!", 60_000).await;
        assert_eq!((answer.code, answer.timed_out), (Some(0), false));
        let pid: i32 = answer.out.trim().parse().unwrap();
        assert!(!std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().contains("sleep"));
    }

    #[tokio::test]
    async fn of_a_flood_the_end_is_kept() {
        let answer =
            ask_sh("i=0; while [ $i -lt 3000 ]; do echo some words of a flood; i=$((i+1)); done; echo end", 60_000)
                .await;
        assert!(answer.out.len() <= KEPT_BYTES && answer.out.ends_with("\nend\n"));
    }

    #[tokio::test]
    async fn who_does_not_wait_for_the_answer_ends_it() {
        let scratch = Scratch::make(&std::env::temp_dir()).unwrap();
        let file = scratch.path().join("late");
        let script = format!("sleep 1; echo > {}", file.display());
        let asked = tokio::time::timeout(Duration::from_millis(200), ask_sh(&script, 60_000)).await;
        assert!(asked.is_err());
        tokio::time::sleep(Duration::from_millis(1200)).await;
        assert!(!file.exists());
    }
}
