//! The hand that writes the log: beside the turn, so that it can decide meanwhile, or in its place when nobody waits.
use crate::journal::{AppendError, Error, Log, NewFrame};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// What became of a group.
pub(super) type Written = Result<(), AppendError>;

type Back = (Log, Written);

/// Writes one group at a time.
pub(super) struct Writer {
    /// Here unless a group is being written beside.
    log: Option<Log>,
    next_seq: u64,
    groups: std::sync::mpsc::SyncSender<(Log, Vec<NewFrame>)>,
    written: mpsc::UnboundedReceiver<Back>,
    thread: JoinHandle<()>,
}

impl Writer {
    /// Starts its thread.
    pub(super) fn start(log: Log) -> std::io::Result<Writer> {
        let (groups, given) = std::sync::mpsc::sync_channel::<(Log, Vec<NewFrame>)>(1);
        let (back, written) = mpsc::unbounded_channel::<Back>();
        let work = move || {
            while let Ok((mut log, group)) = given.recv() {
                let result = log.append(group);
                if back.send((log, result)).is_err() {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("p0-log".into()).spawn(work)?;
        Ok(Writer { next_seq: log.next_seq(), log: Some(log), groups, written, thread })
    }

    /// The number that follows the last durable event.
    pub(super) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Writes a group, now and on this thread. Nothing may be being written.
    pub(super) fn write_here(&mut self, group: Vec<NewFrame>) -> Written {
        if group.is_empty() {
            return Ok(());
        }
        let log = self.log.as_mut().expect("nothing is being written beside");
        let written = log.append(group);
        self.next_seq = log.next_seq();
        written
    }

    /// Begins to write a group beside. Nothing else may be being written.
    pub(super) fn write_beside(&mut self, group: Vec<NewFrame>) {
        let log = self.log.take().expect("nothing is being written beside");
        self.groups.send((log, group)).expect("the thread lives as long as its writer");
    }

    /// What became of the group that is being written beside.
    pub(super) async fn written(&mut self) -> Written {
        match self.written.recv().await {
            Some((log, written)) => {
                self.next_seq = log.next_seq();
                self.log = Some(log);
                written
            }
            None => Err(AppendError::Invalid { what: "the thread that writes the log has ended".to_owned() }),
        }
    }

    /// Closes the log.
    pub(super) fn close(self) -> Result<(), Error> {
        drop(self.groups);
        // A panic of the thread has left its message.
        let _ = self.thread.join();
        self.log.map_or(Ok(()), Log::close)
    }
}
