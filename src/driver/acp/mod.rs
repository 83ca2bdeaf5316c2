//! Dialect `acp`: a client of the Agent Client Protocol, version 1, over the agent's stdin and stdout.
//!
//! The connection is the crate's; messages that come in are read as JSON rather than as the crate's types, because
//! agents leave out what the protocol asks for (the kind of a tool call) and add what it does not know (usage). Version
//! 2 is a draft that the crate keeps behind an unstable feature and that no agent we know offers: it is not asked for.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `talk` | initialize, session, prompt, what the answers mean |
//! | `turn` | what the end of a turn means |
//! | `mode` | the session's mode, and whether it asks |
//! | `hear` | what the agent tells while it works |
//! | `permit` | what it may do |
//! | `wire` | its lines, both ways |
mod hear;
mod mode;
mod permit;
mod talk;
mod turn;
mod wire;

use super::{
    attempt_client::AttemptClient,
    child::Program,
    file::{Drive, Resume},
    log::Log,
    out::Out,
    plan::Plan,
    provider_error::{Classes, ProviderError},
    rules::{Heard, Rules},
    stream::{End, LAST_OUTPUT},
    usage_log::UsageLogReader,
};
use crate::model::protocol::AgentInput;
use hear::Ear;
use mode::SessionMode;
use rustix::process::Signal;
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::watch;

/// What the parts of a conversation share.
pub(super) struct Shared {
    inner: Mutex<Inner>,
    drive: Drive,
    classes: Classes,
    rules: Rules,
    attempt_client: Option<AttemptClient>,
    /// Becomes true when the program tries the same again and again, or has to be ended for `Inner::broke`.
    over: watch::Sender<bool>,
}

/// What changes.
struct Inner {
    out: Out,
    heard: Heard,
    log: Log,
    ear: Ear,
    mode: SessionMode,
    /// Why the turn is ended, when that is not in the log.
    broke: Option<ProviderError>,
    usage_log: UsageLogReader,
}

impl Shared {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One try.
pub(super) struct Conversation<'a> {
    pub(super) drive: &'a Drive,
    pub(super) input: &'a AgentInput,
    pub(super) attempt_client: Option<AttemptClient>,
    pub(super) out: &'a mut Out,
    pub(super) heard: &'a mut Heard,
    pub(super) stop: watch::Receiver<bool>,
}

impl Conversation<'_> {
    /// Runs the program of `plan` to its end.
    ///
    /// # Errors
    /// It could not be started: a sentence.
    pub(super) async fn run(self, plan: &Plan, resume: Option<&Resume>) -> Result<End, String> {
        let mut program = Program::start(plan, &self.drive.worktree, true)?;
        let (over, over_heard) = watch::channel(false);
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                out: std::mem::replace(self.out, Out::new(Box::new(std::io::sink()))),
                heard: std::mem::replace(self.heard, Heard::new(super::usage_meter::UsageMeter::new(None, None))),
                log: Log::default(),
                ear: Ear::default(),
                mode: SessionMode::default(),
                broke: None,
                usage_log: UsageLogReader::of(self.drive),
            }),
            drive: self.drive.clone(),
            classes: Classes::new(&self.drive.adapter.errors),
            rules: Rules::new(&self.drive.adapter),
            attempt_client: self.attempt_client,
            over,
        });
        let talk =
            talk::Talk { shared: shared.clone(), input: self.input, plan, resume, stop: self.stop, over: over_heard };
        let outcome = match (program.stdin.take(), program.lines.take()) {
            (Some(stdin), Some(lines)) => tokio::select! {
                outcome = talk.run(stdin, lines) => outcome,
                () = gone(&mut program.child) => talk::Outcome::Broken("it ended, and left others behind".to_owned()),
            },
            _ => talk::Outcome::Broken("its pipes are gone".to_owned()),
        };
        let status = end(&mut program, &shared.drive).await;
        let mut inner = shared.inner();
        std::mem::swap(self.out, &mut inner.out);
        std::mem::swap(self.heard, &mut inner.heard);
        let (stopped, failure) = match outcome {
            talk::Outcome::Done => (false, None),
            talk::Outcome::Stopped => (true, None),
            talk::Outcome::Failed(provider_error) => (false, Some(provider_error)),
            talk::Outcome::Broken(why) => {
                let how = status.map_or_else(|| "hung".to_owned(), |status| status.to_string());
                let tail = inner.log.tail();
                (false, Some(ProviderError::words(format!("the agent broke off ({how}): {why}. {tail}").trim())))
            }
        };
        // The status of a program that is told to end says nothing about its work: the answer to the prompt does.
        let provider_error =
            failure.map(|failure| inner.log.provider_error.clone().filter(|_| inner.log.over).unwrap_or(failure));
        Ok(End { status: Some(std::process::ExitStatus::default()), stopped, provider_error, tail: inner.log.tail() })
    }
}

/// Until the program has ended and what it wrote last had time to be read: what it left behind may hold its pipes. Where
/// nobody does, their end is seen before this.
async fn gone(child: &mut tokio::process::Child) {
    let _ = child.wait().await;
    tokio::time::sleep(4 * LAST_OUTPUT).await;
}

/// Ends the program: its stdin is closed already; then TERM, then KILL, always to its whole group.
async fn end(program: &mut Program, drive: &Drive) -> Option<std::process::ExitStatus> {
    let eof = Duration::from_millis(drive.adapter.acp.eof_ms);
    let grace = Duration::from_millis(drive.adapter.grace_ms);
    let mut status = None;
    for (patience, signal) in [(eof, Signal::TERM), (grace, Signal::KILL), (Duration::from_secs(1), Signal::KILL)] {
        if status.is_none() {
            status = tokio::time::timeout(patience, program.child.wait()).await.ok().and_then(Result::ok);
        }
        // Also when it has ended: it may have left others in its group.
        program.signal(signal);
    }
    status
}
